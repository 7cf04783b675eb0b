"""Symbols for derivations, one regime of the margin at a time.

u > 0 is the size of a margin. Inside the knee tau = u + d with d > 0; outside it u = tau + d:
so SymPy decides every branch of the formulas by itself. E = e^(lam(u - tau)) and the value C of
the coefficient determine each other, and `in_c` trades the first for the second: what is left
are polynomials in C, which SymPy can compare.
"""

import sympy as sp

from ..schedule import MarginSchedule

c_max, c_min, lam, tau, u, d, C = sp.symbols("c_max c_min lambda tau u d C", positive=True)
h_true, z = sp.symbols("h_* z", real=True)

INSIDE = MarginSchedule(c_max, c_min, lam, u + d)  # |h| = u < tau
OUTSIDE_MARGIN = tau + d  # |h| = tau + d > tau
OUTSIDE = MarginSchedule(c_max, c_min, lam, tau)
KNEE_SLOPE = (c_max - 1) * (1 - c_min) / (c_max - c_min)  # kappa' = -c'(tau)/lam


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
    kappa = (c_max - 1) / (1 - c_min)
    traded = sp.sympify(expression).subs(growth, (c_max - C) / ((C - c_min) * kappa))
    return traded.replace(sp.exp, lambda exponent: sp.exp(sp.expand(sp.cancel(exponent))))


def inside(expression):
    """The branch u < tau of an expression in u and OUTSIDE's free tau."""
    return expression.subs(sp.Lt(tau, u), sp.false)  # SymPy writes u > tau this way round


def sigma(x):
    """The logistic function, as a textbook writes it."""
    return 1 / (1 + sp.exp(-x))
