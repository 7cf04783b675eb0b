"""Symbols for derivations, one regime of the margin at a time.

u > 0 is the size of a margin. Inside the knee tau = u + d with d > 0; outside it u = tau + d:
so SymPy decides every branch of the formulas by itself. E = e^(lam(u - tau)) and the value C of
the coefficient determine each other, and `in_c` trades the first for the second: what is left
are polynomials in C, which SymPy can compare.
"""

import sympy as sp

from ..schedule import MarginSchedule
from ..theory.efficiency import pair_information
from ..weights import weight
from .evidence import symbolic


def kappa(schedule):
    """(c_max - 1)/(1 - c_min) of a schedule of numbers or symbols."""
    return (schedule.c_max - 1) / (1 - schedule.c_min)


def knee_slope(schedule):
    """kappa' = -c'(tau)/lam = (c_max - 1)(1 - c_min)/(c_max - c_min)."""
    return (schedule.c_max - 1) * (1 - schedule.c_min) / (schedule.c_max - schedule.c_min)


def turning_point(schedule):
    """The harmonic mean of c_max and c_min: the c at which c + u c' is lowest (T5)."""
    return 2 * schedule.c_min * schedule.c_max / (schedule.c_min + schedule.c_max)


c_max, c_min, lam, tau, u, d, C = sp.symbols("c_max c_min lambda tau u d C", positive=True)
beta = sp.Symbol("beta", positive=True)
h_true, z, m = sp.symbols("h_* z m", real=True)

INSIDE = MarginSchedule(c_max, c_min, lam, u + d)  # |h| = u < tau
OUTSIDE_MARGIN = tau + d  # |h| = tau + d > tau
OUTSIDE = MarginSchedule(c_max, c_min, lam, tau)
KAPPA, KNEE_SLOPE = kappa(OUTSIDE), knee_slope(OUTSIDE)


# Every margin lies in one of these regimes, or on the border between two of them.
REGIMES = (
    ("0 < h < tau", u, INSIDE),
    ("-tau < h < 0", -u, INSIDE),
    ("h > tau", OUTSIDE_MARGIN, OUTSIDE),
    ("h < -tau", -OUTSIDE_MARGIN, OUTSIDE),
)


def in_c(expression, schedule):
    """The expression with E eliminated in favour of C = c(u)."""
    growth = sp.exp(-d * lam) if schedule is INSIDE else sp.exp(d * lam)
    traded = sp.sympify(expression).subs(growth, (c_max - C) / ((C - c_min) * KAPPA))
    return traded.replace(sp.exp, lambda exponent: sp.exp(sp.expand(sp.cancel(exponent))))


def inside(expression):
    """The branch u < tau of an expression in u and OUTSIDE's free tau."""
    return expression.subs(sp.Lt(tau, u), sp.false)  # SymPy writes u > tau this way round


def sigma(x):
    """The logistic function, as a textbook writes it."""
    return 1 / (1 + sp.exp(-x))


def both_weights(h, schedule):
    """(w(h), w(-h)) in C."""
    return tuple(in_c(weight(sign * h, schedule), schedule) for sign in (1, -1))


def expected_loss(loss):
    """Expected loss of a pair with implicit margin m over its Bradley-Terry label."""
    first, second = loss(m, 0, 0, 0, beta=beta)[0], loss(0, m, 0, 0, beta=beta)[0]
    return sigma(h_true) * first + sigma(-h_true) * second


@symbolic("information per pair: a^2/b = sigma(h*) sigma(-h*), whatever the weight")
def information_identity():
    for name, h, s in REGIMES:
        a, b = (in_c(value, s) for value in pair_information(h_true, h, s))
        up, down = both_weights(h, s)
        p, q = sigma(h_true) * up, sigma(-h_true) * down
        yield f"{name}: a = p q/(p + q)", a, p * q / (p + q)
        yield f"{name}: b = p q w(h) w(-h)/(p + q)^2", b, p * q * up * down / (p + q) ** 2
        yield f"{name}: a^2/b = sigma(h*) sigma(-h*)", a**2 / b, sigma(h_true) * sigma(-h_true)
