"""Symbols for derivations, one regime of the margin at a time.

u > 0 is the size of a margin. Inside the knee tau = u + d with d > 0; outside it u = tau + d:
so SymPy decides every branch of the formulas by itself. E = e^(lam(u - tau)) and the value C of
the coefficient determine each other, and `in_c` trades the first for the second: what is left
are polynomials in C, which SymPy can compare.
"""

import sympy as sp

from ..methods import Slots, slot_loss
from ..ops import sympy_world
from ..schedule import MarginSchedule
from ..theory.efficiency import pair_information
from ..weights import weight
from .evidence import foil, symbolic


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


def five_percent_more(true):
    """For a foil: (a, b), a 5 % larger."""

    def changed(*pair):
        a, b = true(*pair)
        return sp.Rational(21, 20) * a, b

    return changed


@foil("a is 5 % larger", pair_information=five_percent_more)
@symbolic("information per pair: a^2/b = sigma(h*) sigma(-h*), whatever the weight")
def information_identity():
    for name, h, s in REGIMES:
        a, b = (in_c(value, s) for value in pair_information(h_true, h, s))
        up, down = both_weights(h, s)
        p, q = sigma(h_true) * up, sigma(-h_true) * down
        yield f"{name}: a = p q/(p + q)", a, p * q / (p + q)
        yield f"{name}: b = p q w(h) w(-h)/(p + q)^2", b, p * q * up * down / (p + q) ** 2
        yield f"{name}: a^2/b = sigma(h*) sigma(-h*)", a**2 / b, sigma(h_true) * sigma(-h_true)


# -- slots: any functions of the margin are symbols for their values at h and at -h ---------------

W_UP, W_DOWN, B = sp.symbols("w_+ w_- b", positive=True)
MASSES = sp.symbols("k_+ n_+ k_- n_-", positive=True)  # q = k/(k + n) at h and at -h
ODD, EVEN = sp.symbols("g_o g_e", real=True)


def slot_symbols(*, soft, even=EVEN):
    """(Slots at h, Slots at -h) with every slot a symbol; hard labels unless `soft`."""
    labels = MASSES[:2], MASSES[2:]
    return tuple(
        Slots(
            sp.log(w),
            label if soft else None,
            offset,
            B,
            total=sum(label) if soft else None,
        )
        for w, label, offset in zip((W_UP, W_DOWN), labels, (ODD + even, even - ODD), strict=True)
    )


def symbolic_risk(chosen, rejected):
    """A pair's expected loss over the training loss of either label, a function of `z`."""
    won, lost = slot_loss(sympy_world, z, chosen), slot_loss(sympy_world, -z, rejected)
    return sigma(h_true) * won + sigma(-h_true) * lost


def slot_masses(chosen, rejected):
    """(A1, A2, B1, B2): weighted probability of the labels' two parts, at h and at -h."""
    sides = ((sigma(h_true), W_UP, chosen), (sigma(-h_true), W_DOWN, rejected))
    shares = ((1, 0) if s.label is None else [q / s.total for q in s.label] for _, _, s in sides)
    return tuple(p * w * q for (p, w, _), both in zip(sides, shares, strict=True) for q in both)


def quadratic(form, chosen, rejected, even=EVEN):
    """Steps: the slope of the risk is a positive factor times a quadratic in X = e^(b z - g_o),
    and e^(b z* - g_o), z* the closed form `form`, is the one positive root of that."""
    a1, a2, b1, b2 = slot_masses(chosen, rejected)
    up, down, grown = a1 + b2, a2 + b1, sp.exp(even)
    middle = (b1 - a1) * grown + (a2 - b2) / grown
    x = sp.exp(B * z - ODD)
    factor = B * grown / ((grown + x) * (1 + grown * x))
    slope = sp.diff(symbolic_risk(chosen, rejected), z)
    yield (
        "R'(z) = b G [Q X^2 + M X - P]/((G + X)(1 + G X)), G = e^g_e",
        slope,
        factor * (down * x**2 + middle * x - up),
    )
    yield "the factor is positive", sp.Gt(factor, 0)
    yield "so are P and Q: X (Q X + M) = P once for X > 0, R' from - to +", sp.Gt(up * down, 0)
    y = sp.expand(B * form(sympy_world, h_true, chosen, rejected) - ODD)
    (inside,) = (a.args[0] for a in y.atoms(sp.asinh))
    scale = sp.exp(y.replace(sp.asinh, lambda _: sp.S(0)))
    yield "y* = log r + asinh v with r^2 = P/Q", scale**2, up / down
    halves = inside.rewrite(sp.exp) * scale
    yield "and v = -M/(2 Q r)", halves, -middle / (2 * down)
    r, v = sp.Symbol("r", positive=True), sp.Symbol("v", real=True)
    x = r * (v + sp.sqrt(v**2 + 1))  # e^asinh v = v + sqrt(v^2 + 1)
    yield (
        "so X = r (v + sqrt(v^2 + 1)) > 0 solves it: P = Q r^2, M = -2 Q r v",
        sp.expand(x**2 - 2 * r * v * x - r**2),
        sp.S(0),
    )
