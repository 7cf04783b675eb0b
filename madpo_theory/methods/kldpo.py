"""KLDPO: DPO against the least friendly of the batches near the one at hand."""

import math
from dataclasses import dataclass

from ..registry import setting
from .slots import Slots
from .watching import Watching

__all__ = ["Kldpo"]

LARGEST = math.log(10)
"""log of the largest weight, as released."""


@dataclass(frozen=True)
class Kldpo(Watching):
    """KLDPO: w_i l(beta m_i), w_i = min(e^[(l_i - mean l)/tau], 10) over a batch, held.

    It trusts the pairs of high loss. tau without end is DPO, and so is a single pair. Source: arXiv
    2502.01930, as its code has it.
    """

    name, label, source = "kldpo", "KLDPO", "arXiv 2502.01930"
    needs = frozenset({"reference", "batch"})

    beta: float = setting(0.1, "beta > 0", lambda v: v > 0, "here", kw_only=True)
    tau: float = setting(1.0, "tau > 0", lambda v: v > 0, "code")

    def watched(self, xp, z, pairs):
        losses = xp.softplus(-z)
        return Slots(log_weight=xp.minimum((losses - losses.mean()) / self.tau, LARGEST))
