"""A number world of jets: value, slopes in the margin, and gradient in the schedule, in Arb balls.

The formulas of the library, evaluated on jets, yield what a mean-value bound over a box of
schedules needs. A jet holds, as balls over the box: the value f, its derivatives f_h and f_hh in
the margin, and for every parameter p that varies f_p and f_hp.
"""

from flint import arb

from ..ops import arb_world
from ..schedule import MarginSchedule

__all__ = ["Jet", "JetSchedule", "parameter"]

_ZERO, _ONE, _HALF, _QUARTER = arb(0), arb(1), arb(0.5), arb(0.25)


class Jet:
    """f, f_h, f_hh, and {p: (f_p, f_hp)}; `inside` is f at one interior point of the box.

    A branch is chosen where `inside` lies. On a box that no branch point cuts (h = 0 and
    h = +-tau are edges of boxes, never inside), that is the branch of the whole box, and on the
    box's edges it gives the one-sided derivatives.
    """

    __slots__ = ("f", "f_h", "f_hh", "f_p", "inside")

    def __init__(self, f, f_h=_ZERO, f_hh=_ZERO, f_p=None, inside=None):
        self.f, self.f_h, self.f_hh, self.f_p = f, f_h, f_hh, f_p or {}
        self.inside = inside

    def __add__(self, other):
        if not isinstance(other, Jet):
            return Jet(self.f + other, self.f_h, self.f_hh, self.f_p, self.inside + other)
        f_p = dict(self.f_p)
        for p, (y, y_h) in other.f_p.items():
            x, x_h = f_p.get(p, (_ZERO, _ZERO))
            f_p[p] = x + y, x_h + y_h
        return Jet(
            self.f + other.f,
            self.f_h + other.f_h,
            self.f_hh + other.f_hh,
            f_p,
            self.inside + other.inside,
        )

    __radd__ = __add__

    def __neg__(self):
        f_p = {p: (-x, -x_h) for p, (x, x_h) in self.f_p.items()}
        return Jet(-self.f, -self.f_h, -self.f_hh, f_p, -self.inside)

    def __sub__(self, other):
        return self + (-other)

    def __rsub__(self, other):
        return -self + other

    def __mul__(self, other):
        if not isinstance(other, Jet):
            f_p = {p: (x * other, x_h * other) for p, (x, x_h) in self.f_p.items()}
            return Jet(
                self.f * other, self.f_h * other, self.f_hh * other, f_p, self.inside * other
            )
        a, a_h, b, b_h = self.f, self.f_h, other.f, other.f_h
        f_p = {p: (x * b, x_h * b + x * b_h) for p, (x, x_h) in self.f_p.items()}
        for p, (y, y_h) in other.f_p.items():
            x, x_h = f_p.get(p, (_ZERO, _ZERO))
            f_p[p] = x + a * y, x_h + a * y_h + a_h * y
        return Jet(
            _product(a, b),
            a_h * b + a * b_h,
            self.f_hh * b + 2 * a_h * b_h + a * other.f_hh,
            f_p,
            self.inside * other.inside,
        )

    __rmul__ = __mul__

    def __truediv__(self, other):
        if not isinstance(other, Jet):
            return self * (_ONE / other)
        return self * _chain(other, *_reciprocal(other.f), _ONE / other.inside)

    def __rtruediv__(self, other):
        return _chain(self, *_reciprocal(self.f), _ONE / self.inside) * other


def _chain(x, g, g1, g2, inside):
    """The jet of g(x), from the enclosures of g, g' and g'' over the ball of x."""
    bend = g2 * x.f_h
    return Jet(
        g,
        g1 * x.f_h,
        g1 * x.f_hh + bend * x.f_h,
        {p: (g1 * y, g1 * y_h + bend * y) for p, (y, y_h) in x.f_p.items()},
        inside,
    )


def _monotone(f, ball):
    """Hull of a monotone function over a ball; Arb's own is far wider for a wide ball."""
    return f(ball.lower()).union(f(ball.upper()))


def _product(a, b):
    """a b, by the ends where both are positive: the product of balls would reach below zero."""
    if a.is_exact() or b.is_exact() or not (a >= 0 and b >= 0):
        return a * b
    return (a.lower() * b.lower()).union(a.upper() * b.upper())


def _meet(x, y):
    """The intersection of two enclosures of one number, of which one may bound nothing."""
    if not (x.is_finite() and y.is_finite()):
        return x if x.is_finite() else y
    return x.intersection(y)


def _spread(p):
    """p (1 - p), with p written once."""
    distance = p - _HALF  # squared by *: Arb's ** is undefined on a ball around 0
    return _QUARTER - distance * distance


def _reciprocal(x):
    inverse = _ONE / x
    square = inverse * inverse
    return inverse, -square, 2 * square * inverse


def parameter(name, ball, inside, *, varies):
    """The jet of a schedule parameter; one that does not vary has no gradient."""
    return Jet(ball, f_p={name: (_ONE, _ZERO)} if varies else None, inside=inside)


class JetSchedule(MarginSchedule):
    """A MarginSchedule whose parameters are jets; the balls are validated before they become so."""

    def __post_init__(self):
        for name in ("c_max", "c_min", "lam", "tau"):
            if not isinstance(getattr(self, name), Jet):
                raise TypeError(f"{name} must be a Jet, got {type(getattr(self, name)).__name__}")


def exp(x):
    """e^x."""
    g = _monotone(arb.exp, x.f)
    return _chain(x, g, g, g, x.inside.exp())


def expm1(x):
    """e^x - 1."""
    g = _monotone(arb.exp, x.f)
    return _chain(x, _monotone(arb.expm1, x.f), g, g, x.inside.expm1())


def log(x):
    """log x."""
    inverse = _ONE / x.f
    return _chain(x, _monotone(arb.log, x.f), inverse, -inverse * inverse, x.inside.log())


def log1p(x):
    """log(1 + x)."""
    inverse = _ONE / (1 + x.f)
    return _chain(x, _monotone(arb.log1p, x.f), inverse, -inverse * inverse, x.inside.log1p())


def sigmoid(x):
    """1 / (1 + e^-x)."""
    g = arb_world.sigmoid(x.f)
    slope = _spread(g)
    return _chain(x, g, slope, slope * (1 - 2 * g), arb_world.sigmoid(x.inside))


def softplus(x):
    """log(1 + e^x)."""
    g = arb_world.sigmoid(x.f)
    slope = _spread(g)
    return _chain(x, arb_world.softplus(x.f), g, slope, arb_world.softplus(x.inside))


def tanh(x):
    """Hyperbolic tangent."""
    return 2 * sigmoid(2 * x) - 1


def exp_difference(a, b, x):
    """e^-a - e^-b, with x = b - a given: the better of two values, slopes in a and b alone."""
    left, right = exp(-a), exp(-b)
    result = left - right
    result.f = _meet(result.f, -left.f * _monotone(arb.expm1, -x.f))
    return result


def logistic(a, k):
    """1 / (1 + k e^a), for k > 0."""
    return sigmoid(-(a + log(k)))


def mobius_exp(a, k):
    """(1 - e^a) / (1 + k e^a), for k > 0 that does not depend on the margin.

    With L = 1/(1 + k e^a): decreasing in a, slope -(1 + k) L (1 - L)/k; monotone in k, slope
    -mobius_exp (1 - L)/k; so the four corners bound the value.
    """
    share = arb_world.sigmoid(-(a.f + _monotone(arb.log, k.f)))
    q = _spread(share)
    tilt = (1 + k.f) / k.f
    corners = [
        -x.expm1() / (1 + y * x.exp())
        for x in (a.f.lower(), a.f.upper())
        for y in ((k.f,) if k.f.is_exact() else (k.f.lower(), k.f.upper()))
    ]
    g = corners[0]
    for corner in corners[1:]:
        g = g.union(corner)
    inside = -a.inside.expm1() / (1 + k.inside * a.inside.exp())
    result = _chain(a, g, -tilt * q, tilt * q * (1 - 2 * share), inside)
    g_k = -g * (1 - share) / k.f
    g_ak = q / (k.f * k.f) * (1 + (1 + k.f) * (1 - 2 * share))
    for p, (y, _) in k.f_p.items():
        x, x_h = result.f_p.get(p, (_ZERO, _ZERO))
        result.f_p[p] = x + g_k * y, x_h + g_ak * a.f_h * y
    return result


def where_greater(x, threshold, above, below):
    """The branch in which the box lies."""
    gap = x - threshold
    return _jet(above if gap.inside > 0 else below)


def minimum(x, y):
    """min(x, y)."""
    x, y = _jet(x), _jet(y)
    result = where_greater(x, y, y, x)
    return Jet(_meet(result.f, x.f.min(y.f)), result.f_h, result.f_hh, result.f_p, result.inside)


def stop_gradient(x):
    """The value, held constant; here just x."""
    return x


def number(value, like):
    """A schedule parameter as a jet; numbers become constant jets."""
    return _jet(value)


def _jet(value):
    if isinstance(value, Jet):
        return value
    ball = arb_world.number(value, None)
    return Jet(ball, inside=ball)
