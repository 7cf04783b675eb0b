"""f-DPO with the Jensen-Shannon divergence."""

import math
from dataclasses import dataclass

from .f_dpo import FDpo

__all__ = ["FDpoJs"]


@dataclass(frozen=True)
class FDpoJs(FDpo):
    """f-DPO with the Jensen-Shannon divergence: f'(u) = log(2u/(1 + u)), TRL's `js_divergence`.

    f(u) = u log u - (1 + u) log((1 + u)/2), twice the divergence; the score log 2 - l(rho) is
    at most log 2, and far below 0 the log-ratio up to a constant.
    """

    name, label, source = "f_dpo_js", "f-DPO, JS", "arXiv 2309.16240"

    def score(self, xp, rho):
        return math.log(2) - xp.softplus(-rho)
