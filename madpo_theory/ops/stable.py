"""Functions over the primitives of a world: four for all of them, three with the numerical care.

``exp_difference``, ``logistic`` and ``mobius_exp`` are primitives of the worlds that round. Each
splits its argument into a negative and a positive part, of which one is an exact zero, and only
ever exponentiates a number <= 0: no overflow, no inf * 0, in value or in gradient.
"""

import math

HALF = math.log(0.5)
"""Where e^x and 1 - e^x are alike."""


def magnitude(xp, x):
    """|x|, with slope -1 at 0 to match the branch h <= 0 of every formula of a margin h."""
    return xp.where_greater(x, 0, x, -x)


def maximum(xp, x, y):
    """max(x, y), with the ties and the hulls of the world's minimum."""
    return -xp.minimum(-x, -y)


def log_mass(xp, mass):
    """log of a mass, -inf where it is not positive, and without a gradient there."""
    inside = xp.where_greater(mass, 0, mass, 1)
    return xp.where_greater(mass, 0, xp.log(inside), -xp.infinity)


def log1mexp(xp, x):
    """log(1 - e^x), x <= 0: the log of the other probability, to a few ulp at both ends.

    By log(-expm1(x)) above log 1/2 and log1p(-e^x) below, each held where it is not meant. -inf at
    x = 0, and above, where only rounding can bring a log-probability.
    """
    near = xp.where_greater(x, HALF, x, HALF + 0 * x)
    far = xp.where_greater(x, HALF, HALF + 0 * x, x)
    return xp.where_greater(x, HALF, log_mass(xp, -xp.expm1(near)), xp.log1p(-xp.exp(far)))


def _parts(xp, x):
    return xp.minimum(x, 0), maximum(xp, x, 0)


def exp_difference(xp, a, b, x):
    """e^-a - e^-b for a, b >= 0, without cancellation: x = b - a, known better than by subtracting.

    The larger exponential stands outside the difference: the relative error is the absolute
    error of min(a, b) as it was given, and a sum a + x, less exact than b, is never formed.
    """
    negative, positive = _parts(xp, x)
    return xp.exp(-b) * xp.expm1(negative) - xp.exp(-a) * xp.expm1(-positive)


def logistic(xp, a, k):
    """1 / (1 + k e^a) for k > 0 and every a."""
    negative, positive = _parts(xp, a)
    decay = xp.exp(-positive)
    return decay / (decay + k * xp.exp(negative))


def mobius_exp(xp, a, k):
    """(1 - e^a) / (1 + k e^a) for k > 0 and every a, without cancellation near a = 0."""
    negative, positive = _parts(xp, a)
    return (xp.expm1(-positive) - xp.expm1(negative)) / (xp.exp(-positive) + k * xp.exp(negative))
