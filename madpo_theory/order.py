"""Where the effective target increases with the margin (T5): closed forms.

With t = lam (u - tau) the coefficient is a function of t alone, and e + c + u c' >= 0 iff lam tau
<= ``(e + c_min)/(c - c_min) + (e + c_max)/(c_max - c) + log(kappa (c - c_min)/(c_max - c))``, which
is least at c = 2 (e + c_min)(e + c_max)/(2 e + c_min + c_max) - e. Left of tau T' = c + u c', so e
is 0. Right of it T'/sigma(-c u) = c + u c' + (1 + e^(c u)) sigma(u), whose last term is above 1 and
tends to 1 as lam grows and lam tau stays: e = 1 is enough at every lam, and nothing less is.
Derivations in the ledger, proofs in ``proofs/Region.v``.
"""

import math

import numpy as np

from .ops import elementwise
from .ops.checks import check_elements
from .schedule import LARGEST, MarginSchedule, coefficient, kappa

__all__ = [
    "amplified_limit",
    "beyond_limit",
    "falling_stretches",
    "monotone_limit",
    "safe_lam",
    "safe_tau",
    "scaled_slope",
]


@elementwise("c_max", "c_min")
def amplified_limit(xp, c_max, c_min):
    """The largest lam tau for which c(u) u, the target of N1, increases on all of [0, inf).

    ``2 (c_max + c_min)/(c_max - c_min) + log(kappa c_min/c_max)``, kappa = (c_max - 1)/(1 - c_min),
    for c_min > 0; where it is negative no schedule's does, nor at c_min = 0, where c(u) u falls
    back to 0. Arguments, result and errors as in :func:`monotone_limit`. N1; derived here.
    """
    return _least(xp, *_checked(c_max, c_min), 0)


def _least(xp, c_max, c_min, e):
    ends = kappa(c_max, c_min) * (e + c_min) / (e + c_max)
    return 2 * (2 * e + c_max + c_min) / (c_max - c_min) + xp.log(ends)


def _knee(c_max, c_min):
    return (c_max - c_min) / ((1 - c_min) * (c_max - 1))


def _checked(c_max, c_min):
    return (
        check_elements("c_max", c_max, "c_max > 1", lambda v: v > 1),
        check_elements("c_min", c_min, "0 <= c_min < 1", lambda v: (v >= 0) & (v < 1)),
    )


@elementwise("c_max", "c_min")
def monotone_limit(xp, c_max, c_min):
    """The largest lam tau for which the target increases on all of [0, tau].

    ``(c_max - c_min)/((1 - c_min)(c_max - 1))`` where 2 c_min c_max <= c_min + c_max, as at
    c_min = 1/c_max: the slope at tau decides. Else :func:`amplified_limit`, which is less: the
    target turns before tau although its slope there is positive.

    Parameters
    ----------
    c_max, c_min : as in MarginSchedule, c_max > 1 and 0 <= c_min < 1; broadcast.

    Returns lam tau (no unit), of the kind of the arguments. ValueError for parameters of no
    schedule, with the first such element. Statement T5; derived here.
    """
    c_max, c_min = _checked(c_max, c_min)
    early = 2 * c_min * c_max - (c_min + c_max)  # > 0: the harmonic mean lies in (1, c_max)
    positive = xp.where_greater(early, 0, c_min, 1 / c_max)  # keeps the unused branch finite
    return xp.where_greater(early, 0, _least(xp, c_max, positive, 0), _knee(c_max, c_min))


@elementwise("c_max", "c_min")
def beyond_limit(xp, c_max, c_min):
    """The largest lam tau for which the target increases on all of [tau, inf) at every lam.

    ``2 (2 + c_max + c_min)/(c_max - c_min) + log(kappa (1 + c_min)/(1 + c_max))`` where c_min c_max
    is below 1, which may be negative; else ``2 (c_max - c_min)/((1 - c_min)(c_max - 1))``, more
    than :func:`monotone_limit`. Arguments, result and errors as there. Statement T5; derived here.
    """
    c_max, c_min = _checked(c_max, c_min)
    late = 1 - c_min * c_max  # > 0: the turn lies in (c_min, 1)
    return xp.where_greater(late, 0, _least(xp, c_max, c_min, 1), 2 * _knee(c_max, c_min))


@elementwise("u")
def scaled_slope(xp, u, schedule):
    """T'(u)/sigma(-c u) for u >= tau: of the sign of T', without its underflow.

    ``c + u c' + (1 + e^(c u)) sigma(u)``, c' = -lam (c - c_min)(c_max - c)/(c_max - c_min). The
    ledger proves that it is the derivative of the target. Statement T5; derived here.
    """
    c_max, c_min, lam, _, _ = schedule.in_world(xp, u)
    c = coefficient.formula(xp, u, schedule)
    slope = -lam * (c - c_min) * (c_max - c) / (c_max - c_min)
    return c + u * slope + (1 + xp.exp(c * u)) * xp.sigmoid(u)


def safe_lam(c_max, c_min, tau):
    """The steepness up to which targets keep the order of the margins.

    The target is increasing on [0, inf) for every lam up to ``min(monotone_limit, max(beyond_limit,
    tau sigma(tau)))/tau``; for none above it where monotone_limit is the least of them.

    Parameters
    ----------
    c_max, c_min, tau : as in MarginSchedule.

    Returns lam per nat; at most 1e8, the largest lam of a schedule. ValueError for parameters of no
    schedule. Statement T5; derived here.
    """
    c_max, c_min, _, tau = _floats(MarginSchedule(c_max, c_min, 1.0, tau))
    beyond = max(beyond_limit(c_max, c_min) / tau, 1 / (1 + math.exp(-tau)))
    return min(monotone_limit(c_max, c_min) / tau, beyond, LARGEST)


def safe_tau(c_max, c_min, lam):
    """The margin up to which tau may be placed so that targets keep the order of the margins.

    The target is increasing on [0, inf) for every tau up to ``monotone_limit/lam`` if lam <= 1/2,
    else ``min(monotone_limit, beyond_limit)/lam``, 0.0 if that is negative; for none above it where
    monotone_limit is the lesser.

    Parameters
    ----------
    c_max, c_min, lam : as in MarginSchedule.

    Returns tau in nats; at most 1e8, the largest tau of a schedule. ValueError for parameters of no
    schedule. Statement T5; derived here.
    """
    c_max, c_min, lam, _ = _floats(MarginSchedule(c_max, c_min, lam, 1.0))
    limit = monotone_limit(c_max, c_min)
    if lam > 1 / 2:  # else lam <= sigma(tau) at every tau, as in safe_lam
        limit = min(limit, max(beyond_limit(c_max, c_min), 0.0))
    return min(limit / lam, LARGEST)


def falling_stretches(target, sizes):
    """Sizes of margins on which a target falls: (n, 2), from and to, nats.

    Found on a grid: a stretch between two of its points is not seen; the ends of the others are
    searched to 1e-10 of their size, but for an end of the grid and a corner, as at tau, which the
    grid should hold.

    Parameters
    ----------
    target : sizes of margins, a number or an array -> targets under an exact reward model, nats.
    sizes : the grid (points,), >= 0, nats, ascending.

    Statement T5; derived here.
    """

    def turn(k, sign):
        """Where sign * target is least next to a point of the grid, by ever finer grids."""
        low, high = sizes[max(k - 1, 0)], sizes[min(k + 1, len(sizes) - 1)]
        at, least = sizes[k], sign * values[k]  # it meets a corner, which others only approach
        while high - low > 1e-10 * (1 + high):
            finer = np.linspace(low, high, 65)
            fine = sign * target(finer)
            best = int(np.argmin(fine))
            if fine[best] < least:
                at, least = finer[best], fine[best]
            low, high = finer[max(best - 1, 0)], finer[min(best + 1, 64)]
        return float(at)

    values = target(sizes)
    falls = values[1:] < values[:-1]  # where both are infinite there is none
    edges = np.flatnonzero(np.diff(np.concatenate([[False], falls, [False]]))).reshape(-1, 2)
    return np.array([(turn(begin, -1), turn(end, 1)) for begin, end in edges]).reshape(-1, 2)


def _floats(schedule):
    return (float(v) for v in (schedule.c_max, schedule.c_min, schedule.lam, schedule.tau))
