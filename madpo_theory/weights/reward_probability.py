"""The reward model's probability of the label."""

import math
from dataclasses import dataclass

from .base import Weighting

__all__ = ["RewardProbabilityWeight"]


@dataclass(frozen=True)
class RewardProbabilityWeight(Weighting):
    """w(h) = sigma(h): believe a label as far as the reward model does.

    delta = h: an exact reward model gives the target 2 h*, DPO at beta/2, and a wrong one adds one
    helping of its errors (C4). Derived here.
    """

    name, label, source = "reward_probability", "reward probability", "derived here"

    def log_weight(self, xp, h):
        return -xp.softplus(-h)

    def log_ratio(self, xp, h):
        return h

    def tail(self, xp, quantity, far):
        """delta = h and T = 2 h; w lies in (0, 1), at a slope sigma(u) sigma(-u) that falls."""
        return {
            "sensitivity": 1,
            "influence": math.inf,
            "dampening": 0,
            "log_weight_max": 0,
            "log_weight_min": math.inf,
            "target_slope_min": -2,
            "target_slope_max": 2,
            "weight_slope": xp.sigmoid(far) * xp.sigmoid(-far),
        }.get(quantity)
