"""The published weight."""

from dataclasses import dataclass

from ..ops.stable import magnitude
from ..registry import Look
from ..schedule import MarginSchedule, check_schedule, coefficient, excess
from .base import Weighting

__all__ = ["PublishedWeight"]


@dataclass(frozen=True)
class PublishedWeight(Weighting):
    """w(h) = sigma(c h)/sigma(h) for h > -tau, 1 for h <= -tau. Source: arXiv 2510.05342.

    The stable form is derived here and proved equal in the ledger (S2): with u = |h| and
    x = (c - 1) u, sigma(c u)/sigma(u) = 1 + sigma(cu) (e^-u - e^-cu), and the last difference is
    exp_difference(u, cu, x): exact, whichever side of tau u lies on. The two branches of delta are
    the pieces of log w, taken before they are subtracted from each other (T4).
    """

    name, label, source = "published", "published", "arXiv 2510.05342"
    look = Look("#0072b2", "o")

    schedule: MarginSchedule

    def __post_init__(self):
        check_schedule(self.schedule)

    def _pieces(self, xp, h):
        """|h|, (c - 1)|h| and log w(|h|)."""
        u = magnitude(xp, h)
        x = excess.formula(xp, h, self.schedule) * u
        cu = coefficient.formula(xp, h, self.schedule) * u
        return u, x, xp.log1p(xp.sigmoid(cu) * xp.exp_difference(u, cu, x))

    def log_weight(self, xp, h):
        _, x, g = self._pieces(xp, h)
        tau = xp.number(self.schedule.tau, h)
        return xp.where_greater(h, 0, g, xp.where_greater(h, -tau, g - x, 0))

    def log_ratio(self, xp, h):
        u, x, g = self._pieces(xp, h)
        delta = xp.where_greater(u, xp.number(self.schedule.tau, h), g, x)
        return xp.where_greater(h, 0, delta, -delta)
