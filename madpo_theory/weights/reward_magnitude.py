"""The size of the reward model's margin."""

import math
from dataclasses import dataclass

from ..ops.stable import log_mass, magnitude
from .even import EvenWeight

__all__ = ["RewardMagnitudeWeight"]


@dataclass(frozen=True)
class RewardMagnitudeWeight(EvenWeight):
    """w(h) = |h|: the scaled loss of reward-aware preference optimization (NeMo's "scale").

    Even and unbounded, and 0 at h = 0, which leaves a pair out: log w is -inf there. Source: arXiv
    2502.00203 (code).
    """

    name, label, source = "reward_magnitude", "reward magnitude", "arXiv 2502.00203"

    def log_weight(self, xp, h):
        return log_mass(xp, magnitude(xp, h))

    def tail(self, xp, quantity, far):
        """Its slope is 1; log w is bounded neither at 0 nor far out."""
        return {
            "log_weight_max": math.inf,
            "log_weight_min": math.inf,
            "weight_slope": 1,
        }.get(quantity, super().tail(xp, quantity, far))
