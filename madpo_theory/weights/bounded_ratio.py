"""The weight that has the target c h on both sides of tau (N1)."""

import math
from dataclasses import dataclass

from ..registry import Look
from ..schedule import MarginSchedule, check_schedule, coefficient, excess, stretch
from .capped import CappedRatio

__all__ = ["BoundedRatioWeight"]


@dataclass(frozen=True)
class BoundedRatioWeight(CappedRatio):
    """w(h) = min(1, e^((c(|h|) - 1) h)): an exact reward model gives z* = c(|h*|) h* everywhere.

    In (0, 1], continuous, Lipschitz. Its shift delta = (c - 1) h is not bounded: dampening that
    grows with the margin cannot be (N3). Statement N1; derived here. TypeError unless `schedule`
    is a MarginSchedule.
    """

    name, label, source = "bounded_ratio", "bounded ratio", "derived here"
    look = Look("#d55e00", "s", (0, (4, 1.6)))

    schedule: MarginSchedule

    def __post_init__(self):
        check_schedule(self.schedule)

    def log_ratio(self, xp, h):
        return excess.formula(xp, h, self.schedule) * h

    def tail(self, xp, quantity, far):
        """Beyond tau, where log w = delta = (c - 1) u falls without bound, and w(-u) = 1.

        |delta'| = |c - 1 + u c'| <= 1 - c_min + stretch, |w'| is at most e^delta(far) times that,
        and T' = c + u c' lies between c_min - stretch and c(far).
        """
        if quantity in ("influence", "dampening", "log_weight_min"):
            return math.inf
        bend = stretch(xp, far, self.schedule)
        if bend is None:
            return None
        _, c_min, *_ = self.schedule.in_world(xp, far)
        slope = 1 - c_min + bend
        return {
            "sensitivity": slope,
            "log_weight_max": 0 * far,
            "target_slope_min": bend - c_min,
            "target_slope_max": coefficient.formula(xp, far, self.schedule),
            "weight_slope": xp.exp(self.log_ratio(xp, far)) * slope,
        }.get(quantity)
