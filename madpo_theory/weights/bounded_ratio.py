"""The weight that has the target c h on both sides of tau (N1)."""

from dataclasses import dataclass

from ..registry import Look
from ..schedule import MarginSchedule, check_schedule, excess
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
