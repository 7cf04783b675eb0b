"""Rigorous enclosures of a function's derivatives over dyadic boxes, in Arb ball arithmetic."""

import math
from contextlib import contextmanager
from dataclasses import dataclass

from flint import arb, arb_series, ctx, fmpq

__all__ = ["Box", "above", "at_middle", "below", "enclose", "precision"]


@contextmanager
def precision(bits=128):
    """Work at `bits` bits inside the block."""
    with ctx.workprec(bits):
        yield


@dataclass(frozen=True)
class Box:
    """The interval [index, index + 1] / 2^level: endpoints are exact numbers."""

    level: int
    index: int

    @property
    def ball(self):
        """A ball around the interval that stays on the interval's side of zero.

        Ball radii are rounded up, so the ball is a hair wider than the interval; the part of it
        across zero, where |h| has its kink, is cut off.
        """
        lo, hi = _dyadic(self.index, self.level), _dyadic(self.index + 1, self.level)
        ball = lo.union(hi)
        return ball.nonnegative_part() if self.index >= 0 else -(-ball).nonnegative_part()

    @property
    def middle(self):
        return _dyadic(2 * self.index + 1, self.level + 1)

    def halves(self):
        return Box(self.level + 1, 2 * self.index), Box(self.level + 1, 2 * self.index + 1)


def _dyadic(numerator, level):
    return arb(fmpq(numerator, 2**level))


def _taylor(f, ball, order):
    """Derivatives 0..order of f at every point of the ball."""
    cap = ctx.cap
    ctx.cap = order + 1
    try:
        series = f(arb_series([ball, 1], prec=order + 1))
    except ValueError:  # a branch point inside, or a denominator that the wide ball lets vanish
        return [arb.nan()] * (order + 1)
    finally:
        ctx.cap = cap
    if not isinstance(series, arb_series):  # a constant
        series = arb_series([series], prec=order + 1)
    factorial, derivatives = 1, []
    for k in range(order + 1):
        factorial *= max(k, 1)
        derivatives.append(series[k] * factorial)
    return derivatives


def at_middle(f, box, derivative):
    """Ball that holds the given derivative (0 or 1) of f at the box's middle."""
    return _taylor(f, box.middle, derivative)[derivative]


def enclose(f, box, derivative):
    """Ball that holds the given derivative (0 or 1) of f at every point of the box.

    The mean-value form, intersected with the plain one; over a branch point, where the next
    derivative does not exist, the plain one alone. NaN where neither bounds anything.
    """
    plain = _taylor(f, box.ball, derivative)[derivative]
    slope = _taylor(f, box.ball, derivative + 1)[derivative + 1]
    mean_value = at_middle(f, box, derivative) + slope * (box.ball - box.middle)
    if not (plain.is_finite() and mean_value.is_finite()):
        return plain if plain.is_finite() else mean_value
    return plain.intersection(mean_value)


def above(ball):
    """The least float, or the next, that no point of the ball exceeds; inf if not finite."""
    if not ball.is_finite():
        return math.inf
    end = float(ball.upper())
    return end if arb(end) >= ball else math.nextafter(end, math.inf)


def below(ball):
    """The largest float, or the next, that exceeds no point of the ball; -inf if not finite."""
    return -above(-ball)
