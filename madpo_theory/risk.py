"""The risk of one pair as a function of its implicit margin: value, slope and curvature.

The three formulas over masses and offsets are the one logistic core of the library: every solver,
simulator and theorem takes a pair's risk, slope and curvature from here. (The compiled loop of
:mod:`~madpo_theory.simulate.solve.kernel` and the in-place torch of its neighbour restate them,
and tests hold the three together.)

:func:`damping` and :func:`distance` are what |l'''| <= l'' gives every Newton method here: along a
way on which no z moves by more than t the curvature changes by a factor e^t at most. Statement L1;
derived here.
"""

import math
import sys

from .ops import elementwise
from .weights import weight

__all__ = [
    "SPREAD",
    "damping",
    "distance",
    "logistic_curvature",
    "logistic_risk",
    "logistic_slope",
    "pair_risk",
    "risk_curvature",
    "risk_slope",
]


SPREAD = math.sqrt(2)
"""Two entries of a vector differ by at most sqrt(2) times its length."""


def _arguments(z, offsets):
    """z - up and z + down: where the loss of either label is taken, but for the sign."""
    if offsets is None:
        return z, z
    up, down = offsets
    return z - up, z + down


def logistic_risk(xp, z, p, q, offsets=None):
    """Loss of a pair whose labels have the masses p and q: ``p l(z - up) + q l(-z - down)``.

    l(z) = log(1 + e^-z); z, nats, is beta times the implicit margin of the first response over the
    second; p is the mass of the labels that the first wins, q of the others; `offsets` is (up,
    down), nats, how far each label's loss is moved, None for none. All are values of the world
    `xp` and broadcast. Convex in z for p, q >= 0.
    """
    first, second = _arguments(z, offsets)
    return p * xp.softplus(-first) + q * xp.softplus(second)


def logistic_slope(xp, z, p, q, offsets=None):
    """d/dz of :func:`logistic_risk`: ``q sigma(z + down) - p sigma(up - z)``."""
    first, second = _arguments(z, offsets)
    return q * xp.sigmoid(second) - p * xp.sigmoid(-first)


def logistic_curvature(xp, z, p, q, offsets=None):
    """d2/dz2 of :func:`logistic_risk`: ``p sigma'(z - up) + q sigma'(z + down)``.

    sigma'(x) = sigma(x) sigma(-x). The third derivative is nowhere larger (p, q >= 0): |l'''| <=
    l'', on which every step length and certificate of the solvers rests.
    """
    if offsets is None:  # both labels bend alike
        return (p + q) * xp.sigmoid(z) * xp.sigmoid(-z)
    first, second = _arguments(z, offsets)
    return p * xp.sigmoid(first) * xp.sigmoid(-first) + q * xp.sigmoid(second) * xp.sigmoid(-second)


def damping(xp, reach):
    """The share of a Newton step to take: all of it for r <= 1, else ``log(1 + r)/r``.

    r >= 0 is the largest change of a z along the whole step. The loss falls for sure, whatever the
    point and the data: all along the stretch log(1 + r)/r, and at full length for r <= 1, there by
    at least 1 - (e^r - 1 - r)/r^2 > 0 of the squared decrement.
    """
    large = -xp.minimum(-reach, -1.0)
    return xp.where_greater(reach, 1.0, xp.log1p(large) / large, 1.0)


def distance(xp, slope, curvature, speed):
    """How far the minimizer can be, by one look: ``-log(1 - r)/c`` with r = c g/k < 1, else inf.

    g >= 0 is the length of the slope here, k the least curvature, c > 0 how fast any z moves at
    most along a direction of length 1: the slope along every direction reaches 0 within that
    distance. For r >= 1, or k <= 0, nothing is proved.
    """
    held = xp.where_greater(curvature, 0.0, curvature, 1.0)
    ratio = xp.where_greater(curvature, 0.0, speed * slope / held, math.inf)
    most = 1 - sys.float_info.epsilon
    proved = -xp.log1p(-xp.minimum(ratio, most)) / speed
    return xp.where_greater(ratio, most, math.inf, proved)


def label_masses(xp, h_true, h_model, weighting):
    """p = sigma(h*) w(h), q = sigma(-h*) w(-h): weighted probability of either label."""
    return (
        xp.sigmoid(h_true) * weight.formula(xp, h_model, weighting),
        xp.sigmoid(-h_true) * weight.formula(xp, -h_model, weighting),
    )


@elementwise("z", "h_true", "h_model")
def pair_risk(xp, z, h_true, h_model, weighting):
    """Expected MADPO loss of one pair over the two labels that Bradley-Terry may give it.

    ``R(z) = sigma(h*) w(h) l(z) + sigma(-h*) w(-h) l(-z)``, l(z) = log(1 + e^-z).

    Parameters
    ----------
    z : beta times the implicit margin, nats.
    h_true : true margin h*, nats.
    h_model : margin h of the reward model, nats.
    weighting : MarginSchedule (the published weight) or Weighting.

    The three margins broadcast; the result, in nats, has their kind and dtype. Strictly convex
    in z, minimal at :func:`~madpo_theory.effective_target`. Statements T1 and L1; derived here.
    """
    return logistic_risk(xp, z, *label_masses(xp, h_true, h_model, weighting))


@elementwise("z", "h_true", "h_model")
def risk_slope(xp, z, h_true, h_model, weighting):
    """dR/dz = q sigma(z) - p sigma(-z) of :func:`pair_risk`; |dR/dz| <= max(p, q). L1."""
    return logistic_slope(xp, z, *label_masses(xp, h_true, h_model, weighting))


@elementwise("z", "h_true", "h_model")
def risk_curvature(xp, z, h_true, h_model, weighting):
    """d2R/dz2 = (p + q) sigma(z) sigma(-z) of :func:`pair_risk`, in (0, (p + q)/4]. L1."""
    return logistic_curvature(xp, z, *label_masses(xp, h_true, h_model, weighting))
