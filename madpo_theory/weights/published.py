"""The published weight."""

from dataclasses import dataclass

from ..ops.stable import magnitude
from ..registry import Look
from ..schedule import MarginSchedule, check_schedule, coefficient, excess, stretch
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

    def tail(self, xp, quantity, far):
        """Beyond tau, where log w = log[(1 + e^-cu)/(1 + e^-u)] is in [-log 2, 0], and w(-u) = 1.

        |log w| <= log(1 + e^(-c_min far)), and |(log w)'| = |(c + u c') sigma(-cu) - sigma(-u)|
        <= (c(far) + stretch) sigma(-c_min far) + sigma(-far), which bounds |w'| too, as w <= 1.
        T' = 1 + (log w)'.
        """
        bend = stretch(xp, far, self.schedule)
        if bend is None:
            return None
        _, c_min, *_ = self.schedule.in_world(xp, far)
        value = xp.softplus(-c_min * far)
        level = coefficient.formula(xp, far, self.schedule) + bend
        slope = level * xp.sigmoid(-c_min * far) + xp.sigmoid(-far)
        return {
            "sensitivity": slope,
            "influence": value,
            "dampening": value,
            "log_weight_max": 0 * far,
            "log_weight_min": value,
            "target_slope_min": slope - 1,
            "target_slope_max": slope + 1,
            "weight_slope": slope,
        }.get(quantity)
