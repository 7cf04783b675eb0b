"""The weight of least variance for any targets (N4)."""

from dataclasses import dataclass

from ..ops.stable import magnitude
from ..registry import Look
from .base import OF_RATIO, Weighting, weighting_of

__all__ = ["EfficientWeight"]


@dataclass(frozen=True)
class EfficientWeight(Weighting):
    """The targets of `base` at the least variance: w(h) = sigma(h) e^delta(h) + sigma(-h).

    Equal to sigma(-h)/sigma(-T(h)), T = h + delta. Among all weights with the same ratio
    w(h)/w(-h) it alone, up to a constant, reaches the information sigma(h) sigma(-h) of every
    pair when pairs share parameters (N4; exact reward model, realizable targets). With
    D = sup |delta| it lies between min(1/2, e^-D) and e^D. `base` is a MarginSchedule or
    Weighting with T(h) >= 0 for h >= 0, as all here have. Derived here.
    """

    name, label, source = "efficient", "efficient", "derived here"
    look = Look("#cc79a7", "D", (0, (1, 1.4)))

    base: Weighting

    @classmethod
    def of(cls, schedule):
        """With the targets of the published weight."""
        return cls(schedule)

    def __post_init__(self):
        weighting_of(self.base)

    def log_weight(self, xp, h):
        u = magnitude(xp, h)
        delta = self.log_ratio(xp, u)
        # (1 + e^-T)/(1 + e^-u) = 1 + sigma(u) (e^-T - e^-u), for T = u + delta
        g = xp.log1p(xp.sigmoid(u) * xp.exp_difference(u + delta, u, -delta))
        return xp.where_greater(h, 0, delta + g, g)

    def log_ratio(self, xp, h):
        return weighting_of(self.base).log_ratio(xp, h)

    def tail(self, xp, quantity, far):
        """Of what depends on the ratio alone, that of the base."""
        return weighting_of(self.base).tail(xp, quantity, far) if quantity in OF_RATIO else None
