"""The reward model's confidence."""

import math
from dataclasses import dataclass

from ..ops.stable import log1mexp, magnitude
from .even import EvenWeight

__all__ = ["ConfidenceWeight"]


@dataclass(frozen=True)
class ConfidenceWeight(EvenWeight):
    """w(h) = 2 sigma(|h|) - 1 = tanh(|h|/2): CW-PO's, of labels as they were observed.

    Even, below 1, and 0 at h = 0, which leaves a pair out: log w is -inf there. Source: arXiv
    2603.04968 (:class:`~madpo_theory.methods.cw_po.CwPo`, whose labels are the model's own); the
    even form is derived here.
    """

    name, label, source = "confidence", "confidence", "arXiv 2603.04968"

    def log_weight(self, xp, h):
        u = magnitude(xp, h)
        return log1mexp(xp, -u) - xp.softplus(-u)

    def tail(self, xp, quantity, far):
        """w rises to 1 at a rate 2 sigma(u) sigma(-u), which falls; log w is unbounded at 0."""
        return {
            "log_weight_max": 0,
            "log_weight_min": math.inf,
            "weight_slope": 2 * xp.sigmoid(far) * xp.sigmoid(-far),
        }.get(quantity, super().tail(xp, quantity, far))
