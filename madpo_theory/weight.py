"""The published weight w(h) = sigma(c h) / sigma(h), in logarithms and without cancellation."""

from .ops import elementwise
from .schedule import coefficient, excess, magnitude

__all__ = ["log_weight", "log_weight_ratio", "weight"]


def _pieces(xp, h, schedule):
    """u = |h|, x = (c - 1) u, and g = log w(u): what every branch is built from.

    sigma(c u)/sigma(u) = (1 + e^-u)/(1 + e^-cu) = 1 + sigma(cu) (e^-u - e^-cu), and the last
    difference is exp_difference(u, cu, x): exact, whichever side of tau u lies on.
    """
    u = magnitude(xp, h)
    x = excess.formula(xp, h, schedule) * u
    cu = coefficient.formula(xp, h, schedule) * u
    return u, x, xp.log1p(xp.sigmoid(cu) * xp.exp_difference(u, cu, x))


@elementwise("h")
def log_weight(xp, h, schedule):
    """Logarithm of the weight of a pair's loss.

    ``log w(h) = log sigma(c h) - log sigma(h)`` for h > -tau and 0 for h <= -tau, with
    c = :func:`~madpo_theory.coefficient` (h).

    Parameters
    ----------
    h : margin of the reward model toward the observed label, nats, any shape; finite.
    schedule : MarginSchedule.

    Returns log w, of the kind, dtype and shape of h; zero exactly at h = 0, |h| = tau and
    below -tau. In float64 the relative error is below 1e-13 for |h| <= 1e4 and lam >= 0.05; for
    slower schedules the rounding of c alone costs up to 3 (c h) 2^-52 where log w ~ e^-ch is
    about to underflow (c h > 500). Source: arXiv 2510.05342 (weight); the stable form is derived
    here and proved equal in the ledger (S2).
    """
    _, x, g = _pieces(xp, h, schedule)
    tau = xp.number(schedule.tau, h)
    return xp.where_greater(h, 0, g, xp.where_greater(h, -tau, g - x, 0))


@elementwise("h")
def weight(xp, h, schedule):
    """Weight of a pair's loss, w(h) = e^(log_weight(h)); positive, below 2.

    Parameters, kinds and errors as in :func:`log_weight`. Source: arXiv 2510.05342.
    """
    return xp.exp(log_weight.formula(xp, h, schedule))


@elementwise("h")
def log_weight_ratio(xp, h, schedule):
    """delta(h) = log w(h) - log w(-h): how far the schedule moves a pair's target, in nats.

    Odd. ``(c - 1) h`` for |h| < tau; ``log[sigma(c h)/sigma(h)]`` for h >= tau. The two pieces
    are the ones of :func:`log_weight`, taken before they are subtracted from each other; the
    ledger proves the identity (T4). Derived here.
    """
    u, x, g = _pieces(xp, h, schedule)
    delta = xp.where_greater(u, xp.number(schedule.tau, h), g, x)
    return xp.where_greater(h, 0, delta, -delta)
