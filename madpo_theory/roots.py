"""Roots and minima of one number; SciPy's take half a second to import, in every command."""

import math
import sys

__all__ = ["least", "root"]

GOLDEN = (math.sqrt(5) - 1) / 2


def root(f, low, high):
    """Where f changes its sign between low and high, to float64's last bits.

    By bisection, and inverse quadratic interpolation where that is safe (Chandrupatla 1997). f may
    be infinite, never nan. ValueError if f has one sign at both ends.
    """
    a, b = float(low), float(high)
    of_a, of_b = float(f(a)), float(f(b))
    if of_a == 0 or of_b == 0:
        return a if of_a == 0 else b
    if not min(of_a, of_b) < 0 < max(of_a, of_b):
        raise ValueError(
            f"f({a}) = {of_a} and f({b}) = {of_b} break the rule of opposite signs; "
            "widen the bracket"
        )
    share = 0.5
    while True:
        x = a + share * (b - a)
        of_x = float(f(x))
        if (of_x > 0) == (of_a > 0):
            c, of_c = a, of_a
        else:
            b, c, of_b, of_c = a, b, of_a, of_b
        a, of_a = x, of_x
        best, of_best = (a, of_a) if abs(of_a) < abs(of_b) else (b, of_b)
        least_share = (2 * sys.float_info.epsilon * abs(best) + 5e-324) / abs(b - a)
        if of_best == 0 or least_share > 0.5:
            return best
        place, rise = (a - b) / (c - b), (of_a - of_b) / (of_c - of_b)
        share = 0.5
        if rise**2 < place and (1 - rise) ** 2 < 1 - place:
            share = of_a / (of_b - of_a) * of_c / (of_b - of_c)
            share += (c - a) / (b - a) * of_a / (of_c - of_a) * of_b / (of_c - of_b)
            share = min(1 - least_share, max(least_share, share))


def least(f, low, high, within):
    """(x, f(x)) of a least value of f between low and high, known `within` so much, > 0.

    By golden section: exact where f falls, then rises; else one of its local minima.
    """
    low, high = float(low), float(high)
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    of_left, of_right = f(left), f(right)
    while high - low > within and low < left < right < high:
        if of_left <= of_right:
            high, right, of_right = right, left, of_left
            left = high - GOLDEN * (high - low)
            of_left = f(left)
        else:
            low, left, of_left = left, right, of_right
            right = low + GOLDEN * (high - low)
            of_right = f(right)
    return (left, of_left) if of_left <= of_right else (right, of_right)
