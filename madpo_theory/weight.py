"""Weights of pairs, in logarithms and without cancellation; the published one among them.

A :class:`Weighting` says what the logarithm of its weight is; the weight itself, the shift of the
targets, the risk, the loss and the theorems follow from that alone. A
:class:`~madpo_theory.MarginSchedule` stands for the published weight of that schedule; the others
are in :mod:`madpo_theory.corrected`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from .ops import elementwise
from .schedule import MarginSchedule, coefficient, excess, magnitude

__all__ = [
    "OneSidedWeight",
    "PublishedWeight",
    "Weighting",
    "log_weight",
    "log_weight_ratio",
    "weight",
]


class Weighting(ABC):
    """A weight w(h) of pairs, by its logarithm; subclasses are immutable and validated.

    Subclasses define :meth:`log_weight` over the primitives of a world; they may define
    :meth:`log_ratio` where the difference of two logarithms loses digits.
    """

    @abstractmethod
    def log_weight(self, xp, h):
        """log w(h) in the world `xp`, h a value of that world; real for every real h."""

    def log_ratio(self, xp, h):
        """delta(h) = log w(h) - log w(-h): the shift of a pair's target; odd."""
        return self.log_weight(xp, h) - self.log_weight(xp, -h)


@dataclass(frozen=True)
class PublishedWeight(Weighting):
    """w(h) = sigma(c h)/sigma(h) for h > -tau, 1 for h <= -tau. Source: arXiv 2510.05342.

    The stable form is derived here and proved equal in the ledger (S2): with u = |h| and
    x = (c - 1) u, sigma(c u)/sigma(u) = 1 + sigma(cu) (e^-u - e^-cu), and the last difference is
    exp_difference(u, cu, x): exact, whichever side of tau u lies on. The two branches of delta are
    the pieces of log w, taken before they are subtracted from each other (T4).
    """

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


def check_schedule(schedule):
    """The schedule, or a TypeError that names what came instead."""
    if not isinstance(schedule, MarginSchedule):
        raise TypeError(
            f"schedule must be a MarginSchedule, got {type(schedule).__qualname__}; make one with "
            "MarginSchedule(c_max=..., c_min=..., lam=..., tau=...) or MarginSchedule.released()"
        )
    return schedule


def weighting_of(weighting):
    """The Weighting that an argument `weighting` stands for; TypeError for anything else."""
    if isinstance(weighting, Weighting):
        return weighting
    if isinstance(weighting, MarginSchedule):
        return PublishedWeight(weighting)
    raise TypeError(
        f"weighting must be a MarginSchedule (the published weight) or a Weighting, got "
        f"{type(weighting).__qualname__}; make one with MarginSchedule.released() or "
        "BoundedRatioWeight(schedule)"
    )


@elementwise("h")
def log_weight(xp, h, weighting):
    """Logarithm of the weight of a pair's loss.

    For a MarginSchedule: ``log w(h) = log sigma(c h) - log sigma(h)`` for h > -tau and 0 for
    h <= -tau, with c = :func:`~madpo_theory.coefficient` (h).

    Parameters
    ----------
    h : margin of the reward model toward the observed label, nats, any shape; finite.
    weighting : MarginSchedule (the published weight) or Weighting; TypeError for anything else.

    Returns log w, of the kind, dtype and shape of h. The published one is zero exactly at h = 0,
    |h| = tau and below -tau; in float64 its relative error is below 1e-13 for |h| <= 1e4 and lam
    >= 0.05; for slower schedules the rounding of c alone costs up to 3 (c h) 2^-52 where
    log w ~ e^-ch is about to underflow (c h > 500). Source: arXiv 2510.05342 (weight).
    """
    return weighting_of(weighting).log_weight(xp, h)


@elementwise("h")
def weight(xp, h, weighting):
    """Weight of a pair's loss, w(h) = e^(log_weight(h)); positive, the published one below 2.

    Parameters, kinds and errors as in :func:`log_weight`. Source: arXiv 2510.05342.
    """
    return xp.exp(log_weight.formula(xp, h, weighting))


@elementwise("h")
def log_weight_ratio(xp, h, weighting):
    """delta(h) = log w(h) - log w(-h): how far a weight moves a pair's target, in nats.

    Odd. The published one is ``(c - 1) h`` for |h| < tau and ``log[sigma(c h)/sigma(h)]`` for
    h >= tau. Parameters, kinds and errors as in :func:`log_weight`. Statements T1, T4; derived
    here.
    """
    return weighting_of(weighting).log_ratio(xp, h)
