"""Where the effective target increases with the margin, exactly (T5).

Left of tau, with t = lam (u - tau) <= 0, the target T = c u has slope c + (t + lam tau) c'(t): it
increases on [0, tau] iff lam tau <= -t - c/c'(t) for every t <= 0. In c that bound is
``c_min/(c - c_min) + c_max/(c_max - c) + log(kappa (c - c_min)/(c_max - c))``, whose derivative
has the one zero c = 2 c_min c_max/(c_min + c_max), the harmonic mean, a minimum. Right of tau
the slope of T is that of h + log sigma(c h) - log sigma(h), and depends on lam and tau apart.
The derivations are in the ledger.
"""

import functools

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from .ops import elementwise
from .ops.checks import check_elements
from .schedule import LARGEST, MarginSchedule, coefficient, kappa

__all__ = [
    "amplified_limit",
    "falling_stretches",
    "limit_decides",
    "monotone_limit",
    "safe_lam",
    "safe_tau",
    "scaled_slope",
]

_POINTS = 2049  # of the grid that a bounded search refines
_STEPS = 257


@elementwise("c_max", "c_min")
def amplified_limit(xp, c_max, c_min):
    """The largest lam tau for which c(u) u, the target of N1, increases on all of [0, inf).

    ``2 (c_max + c_min)/(c_max - c_min) + log(kappa c_min/c_max)``, kappa = (c_max - 1)/(1 - c_min),
    for c_min > 0; where it is negative no schedule's does, nor at c_min = 0, where c(u) u falls
    back to 0. Arguments, result and errors as in :func:`monotone_limit`. N1; derived here.
    """
    return _turned(xp, *_checked(c_max, c_min))


def _turned(xp, c_max, c_min):
    return 2 * (c_max + c_min) / (c_max - c_min) + xp.log(kappa(c_max, c_min) * c_min / c_max)


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
    knee = (c_max - c_min) / ((1 - c_min) * (c_max - 1))
    early = 2 * c_min * c_max - (c_min + c_max)  # > 0: the harmonic mean lies in (1, c_max)
    positive = xp.where_greater(early, 0, c_min, 1 / c_max)  # keeps the unused branch finite
    return xp.where_greater(early, 0, _turned(xp, c_max, positive), knee)


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

    The target is increasing on [0, inf) for every lam <= safe_lam, and for none above it: at
    fixed tau the slope falls with lam at every lam (u - tau).

    Parameters
    ----------
    c_max, c_min, tau : as in MarginSchedule.

    Returns lam per nat, to 1e-9 relative; at most 1e8, the largest lam of a schedule. ValueError
    for parameters of no schedule. Statement T5; derived here.
    """
    c_max, c_min, _, tau = _floats(MarginSchedule(c_max, c_min, 1.0, tau))
    left = min(monotone_limit(c_max, c_min) / tau, LARGEST)
    if _lowest_right(c_max, c_min, left, tau) >= 0:
        return left
    low = left
    while _lowest_right(c_max, c_min, low, tau) < 0:
        low /= 2
    return brentq(lambda lam: _lowest_right(c_max, c_min, lam, tau), low, 2 * low, rtol=1e-12)


def safe_tau(c_max, c_min, lam):
    """The margin up to which tau may be placed so that targets keep the order of the margins.

    The largest tau0 such that the target is increasing on [0, inf) for every tau <= tau0. It is
    ``monotone_limit/lam`` unless the target already falls right of a smaller tau, which takes a
    large lam with c_max near 1 or c_min near 0; 0.0 if it does so however small tau is.

    Parameters
    ----------
    c_max, c_min, lam : as in MarginSchedule.

    Returns tau0 in nats, to 1e-6 or better. ValueError for parameters of no schedule. Statement
    T5; derived here.
    """
    c_max, c_min, lam, _ = _floats(MarginSchedule(c_max, c_min, lam, 1.0))
    return _safe_tau(c_max, c_min, lam)


@functools.lru_cache(maxsize=256)  # of one schedule it is asked for again and again
def _safe_tau(c_max, c_min, lam):
    left = min(monotone_limit(c_max, c_min) / lam, LARGEST)
    taus = left * np.linspace(0, 1, _STEPS) ** 2
    taus[0] = 1e-9 * left

    def lowest(tau):
        return _lowest_right(c_max, c_min, lam, tau)

    values = np.array([lowest(tau) for tau in taus])
    if values[0] < 0:
        return 0.0
    for k in range(1, _STEPS):
        before = taus[k - 1]
        if k + 1 < _STEPS and values[k] < min(values[k - 1], values[k + 1]):
            dip = minimize_scalar(lowest, bounds=(before, taus[k + 1]), method="bounded")
            if dip.fun < 0:
                return brentq(lowest, before, dip.x, xtol=1e-12)
        if values[k] < 0:
            return brentq(lowest, before, taus[k], xtol=1e-12)
    return left


def limit_decides(c_max, c_min):
    """Whether lam tau <= monotone_limit keeps the order of the margins beyond tau too, at any lam.

    True for c_min = 1/c_max as far as was searched. Where it is False, a large lam, at which the
    fall right of tau is steepest, can reverse pairs beyond tau although none are below it.
    Arguments as in MarginSchedule. Statement T5; derived here.
    """
    c_max, c_min, *_ = _floats(MarginSchedule(c_max, c_min))
    # in the limit of large lam the slope falls with lam tau: the limit is the worst
    tau = monotone_limit(c_max, c_min) / LARGEST
    return _lowest_right(c_max, c_min, LARGEST, tau) >= 0


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
        low, high = sizes[max(k - 1, 0)], sizes[min(k + 1, len(sizes) - 1)]
        found = minimize_scalar(
            lambda u: sign * target(float(u)),
            bounds=(low, high),
            method="bounded",
            options={"xatol": 1e-10 * (1 + high)},
        )
        # The grid meets a corner, which the search only approaches.
        return float(found.x) if found.fun < sign * values[k] else float(sizes[k])

    values = target(sizes)
    falls = values[1:] < values[:-1]  # where both are infinite there is none
    edges = np.flatnonzero(np.diff(np.concatenate([[False], falls, [False]]))).reshape(-1, 2)
    return np.array([(turn(begin, -1), turn(end, 1)) for begin, end in edges]).reshape(-1, 2)


def _floats(schedule):
    return (float(v) for v in (schedule.c_max, schedule.c_min, schedule.lam, schedule.tau))


def _lowest_right(c_max, c_min, lam, tau):
    """min over u >= tau of :func:`scaled_slope`, or a positive number if nothing can be negative.

    The slope can be negative only where -u c' > 1, and -c' <= lam (c_max - c_min) e^-t/kappa at
    t = lam (u - tau) >= 0: beyond some t it no longer can.
    """
    schedule = MarginSchedule(c_max, c_min, lam, tau)
    far = 1.0
    while (far + lam * tau) * (c_max - c_min) * np.exp(-far) > kappa(c_max, c_min):
        far += 1.0
    t = np.linspace(0.0, far, _POINTS)

    def slope(t):
        with np.errstate(over="ignore"):  # e^(c u) = inf: as positive as a slope can be
            return scaled_slope(tau + t / lam, schedule)

    values = slope(t)
    best = int(np.argmin(values))
    if best in (0, len(t) - 1):
        return float(values[best])
    found = minimize_scalar(
        lambda x: float(slope(np.float64(x))),
        bounds=(t[best - 1], t[best + 1]),
        method="bounded",
        options={"xatol": 1e-12 * far},
    )
    return min(float(found.fun), float(values[best]))
