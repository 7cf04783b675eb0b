"""The published weight, one half of it at a time."""

from dataclasses import dataclass

from ..registry import Look
from ..schedule import MarginSchedule, check_schedule
from .base import Weighting
from .published import PublishedWeight

__all__ = ["AmpOnlyWeight", "OneSidedWeight", "RegOnlyWeight"]


@dataclass(frozen=True)
class OneSidedWeight(Weighting):
    """The published weight with one of its two halves switched off: the ablation of the paper.

    ``amplify`` keeps what it does to hard pairs, c = max(c, 1) ("Amp-Only"); ``dampen`` what it
    does to easy ones, c = min(c, 1) ("Reg-Only"). As c(tau) = 1, either is the published weight at
    a margin held at tau. Source: arXiv 2510.05342 (ablation); the form is derived here.
    """

    schedule: MarginSchedule
    side: str

    def __post_init__(self):
        check_schedule(self.schedule)
        if self.side not in ("amplify", "dampen"):
            raise ValueError(f"side must be amplify or dampen, got {self.side!r}")

    def log_weight(self, xp, h):
        tau = xp.number(self.schedule.tau, h)
        over, under = (tau, h) if self.side == "amplify" else (h, tau)
        held = xp.where_greater(h, tau, over, under)
        return PublishedWeight(self.schedule).log_weight(xp, held)

    def log_ratio(self, xp, h):
        """One branch of the published weight's, 0 in the place of the other: w(tau) = w(-tau)."""
        u, x, g = PublishedWeight(self.schedule)._pieces(xp, h)
        over, under = (0, x) if self.side == "amplify" else (g, 0)
        delta = xp.where_greater(u, xp.number(self.schedule.tau, h), over, under)
        return xp.where_greater(h, 0, delta, -delta)

    def tail(self, xp, quantity, far):
        """The published weight's: beyond tau it is that, or 1, of which those bounds hold too."""
        return PublishedWeight(self.schedule).tail(xp, quantity, far)


@dataclass(frozen=True)
class AmpOnlyWeight(OneSidedWeight):
    """What the published weight does to hard pairs alone, "Amp-Only" in the paper's ablation."""

    name, label, source = "amp_only", "Amp-Only", "arXiv 2510.05342"
    look = Look("#0072b2", "^", (0, (4, 1.6)))

    side: str = "amplify"


@dataclass(frozen=True)
class RegOnlyWeight(OneSidedWeight):
    """What the published weight does to easy pairs alone, "Reg-Only" in the paper's ablation."""

    name, label, source = "reg_only", "Reg-Only", "arXiv 2510.05342"
    look = Look("#0072b2", "v", (0, (1, 1.4)))

    side: str = "dampen"
