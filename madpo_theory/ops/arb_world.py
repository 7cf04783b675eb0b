"""python-flint Arb balls and power series: rigorous enclosures of the same formulas.

A ball that straddles a branch point gets the hull of both branches. For a power series that
hull is taken coefficient by coefficient: of a continuous, piecewise smooth function the
first-order coefficient then encloses every one-sided derivative on the ball, which is what a
mean-value bound needs; a higher order would enclose nothing and is refused.
"""

import sys
from fractions import Fraction

from flint import arb, arb_series, fmpq

from . import not_finite_error, of_sympy

infinity = arb.pos_inf()
FINEST = 2.0**-20
"""Radius of a ball that is not halved any more."""


def exp(x):
    """e^x."""
    return x.exp()


def log(x):
    """log x."""
    return x.log()


def expm1(x):
    """e^x - 1."""
    return x.expm1() if isinstance(x, arb) else x.exp() - 1


def log1p(x):
    """log(1 + x)."""
    return x.log1p() if isinstance(x, arb) else (1 + x).log()


def _monotone(x, point):
    """Hull of a monotone function over the ball: its values at the two ends."""
    return point(x.lower()).union(point(x.upper())) if not x.is_exact() else point(x)


def sigmoid(x):
    """1 / (1 + e^-x)."""
    if isinstance(x, arb_series):
        return 1 / (1 + (-x).exp())
    return _monotone(x, lambda p: 1 / (1 + (-p).exp()))


def softplus(x):
    """log(1 + e^x)."""
    if isinstance(x, arb_series):
        return (1 + x.exp()).log()
    return _monotone(x, lambda p: p.exp().log1p())


def tanh(x):
    """Hyperbolic tangent."""
    return 2 * sigmoid(2 * x) - 1


def sinh(x):
    """Hyperbolic sine."""
    return (x.exp() - (-x).exp()) / 2 if isinstance(x, arb_series) else x.sinh()


def asinh(x):
    """Inverse hyperbolic sine."""
    if isinstance(x, arb):
        return x.asinh()
    return (x.derivative() / (1 + x * x).sqrt()).integral() + x[0].asinh()


def exp_difference(a, b, x):
    """e^-a - e^-b, with x = b - a given."""
    return -exp(-a) * expm1(-x)


def logistic(a, k):
    """1 / (1 + k e^a)."""
    if isinstance(a, arb_series):
        return 1 / (1 + k * a.exp())
    return _monotone(a, lambda p: 1 / (1 + k * p.exp()))


def mobius_exp(a, k):
    """(1 - e^a) / (1 + k e^a): decreasing in a, so its ends bound it."""
    if isinstance(a, arb_series):
        return (1 - a.exp()) / (1 + k * a.exp())
    return _monotone(a, lambda p: -p.expm1() / (1 + k * p.exp()))


def minimum(x, y):
    """min(x, y)."""
    return where_greater(x, y, y + 0 * x, x)


def _constant(x):
    return x[0] if isinstance(x, arb_series) else arb(x)


def where_greater(x, threshold, above, below):
    """`above` where x > threshold, else `below`; the hull of both where x straddles it.

    A ball that only touches the threshold from above counts as above: every formula here is
    continuous at its branch points, and its one-sided derivative there is the one wanted.
    """
    gap = _constant(x) - _constant(threshold)
    kind = arb_series if arb_series in (type(above), type(below)) else arb
    if gap >= 0:
        return kind(above)
    if gap <= 0:
        return kind(below)
    above, below = kind(above), kind(below)
    if kind is arb:
        return above.union(below)
    order = min(above.prec, below.prec)
    if order > 2:
        raise ValueError(
            f"a power series of order {order} straddles a branch point, where only the first "
            "derivative has an enclosure; split the ball at the branch point or use order 2"
        )
    return _hull(above, below)


def stop_gradient(x):
    """The value, held constant; here just x."""
    return x


def number(value, like):
    """A schedule parameter as a ball around its exact value; SymPy constants are evaluated."""
    if isinstance(value, arb):
        return value
    if isinstance(value, Fraction):
        return arb(fmpq(value.numerator, value.denominator))
    sympy = sys.modules.get("sympy")
    if sympy is not None and isinstance(value, sympy.Expr):
        return of_sympy(value, lambda p, q: arb(fmpq(p, q)), exp, log)
    return arb(value)


def evaluate(formula, values):
    """formula(values); where the balls are too wide for it, the hull over halves of the widest.

    On a ball that straddles a branch each branch is evaluated beyond the margins that it is meant
    for, where it may be no number; on halves that only touch it, it is not. What is not finite on a
    ball of radius FINEST either, as around a weight of 0, is returned as it is.
    """
    result = formula(values)
    halved = _halved(formula, values, result)
    return result if halved is None else halved


def _halved(formula, values, result):
    """The result, or the hull over halves of the ball that is; None where one is not finite."""
    if all(c.is_finite() for part in _parts(result) for c in _coefficients(part)):
        return result
    name = max(values, key=lambda n: _constant(values[n]).rad())
    ball = _constant(values[name])
    if not ball.rad() > FINEST:
        return None
    found = []
    for end in (ball.lower(), ball.upper()):
        half = values | {name: _at(values[name], ball.mid().union(end))}
        found.append(_halved(formula, half, formula(half)))
        if found[-1] is None:
            return None
    hulls = tuple(map(_hull, *map(_parts, found)))
    return hulls if isinstance(result, tuple) else hulls[0]


def _parts(result):
    return result if isinstance(result, tuple) else (result,)


def _coefficients(x):
    return list(x) if isinstance(x, arb_series) else [x]


def _at(x, ball):
    """A value with another ball for its constant term."""
    if isinstance(x, arb):
        return ball
    return arb_series([ball, *list(x)[1:]], prec=x.prec)


def _hull(x, y):
    if isinstance(x, arb):
        return x.union(y)
    order = min(x.prec, y.prec)
    return arb_series([x[i].union(y[i]) for i in range(order)], prec=order)


def lift(values, same_shape):
    """Balls and series with finite coefficients."""
    lifted = {
        name: value if isinstance(value, (arb, arb_series)) else arb(value)
        for name, value in values.items()
    }
    for name, value in lifted.items():
        balls = list(value) if isinstance(value, arb_series) else [value]
        for index, ball in enumerate(balls):
            if not ball.is_finite():
                raise not_finite_error(name, () if value is ball else index, ball)
    return lifted, lambda result: result
