"""S1: the coefficient c falls from c_max to c_min and is 1 at tau."""

import math

import sympy as sp
from flint import arb
from hypothesis import strategies as st

from ..certify.enclosure import precision
from ..schedule import coefficient, excess
from .evidence import foil, must, property_test, proved, symbolic
from .ledger import Claim
from .regimes import KAPPA, OUTSIDE, c_max, c_min, lam, tau, u
from .settings import scaled, scheduled_margins


@foil("kappa is 5 % larger", KAPPA=scaled(sp.Rational(21, 20)))
@symbolic("slope, value at tau, ends")
def s1_slope():
    c = coefficient(u, OUTSIDE)
    yield (
        "c' = -lam (c - c_min)(c_max - c)/(c_max - c_min)",
        sp.diff(c, u),
        -lam * (c - c_min) * (c_max - c) / (c_max - c_min),
    )
    yield "c(tau) = 1", coefficient(tau, OUTSIDE), sp.Integer(1)
    yield (
        "c - c_min = (c_max - c_min)/(1 + kappa E), positive by Coq's S1_range",
        c - c_min,
        (c_max - c_min) / (1 + KAPPA * sp.exp(lam * (u - tau))),
    )
    yield "stable form of c - 1", excess(u, OUTSIDE), c - 1


@foil("c(tau) is 1.05", coefficient=scaled(1.05))
@foil("c rises", coefficient=lambda true: lambda h, s: 2 - true(h, s))
@property_test("c falls strictly from below c_max to c_min and is 1 at tau", "S1")
def s1_falls(case=scheduled_margins(200.0), step=st.floats(1e-9, 100)):
    s, h = case
    c = coefficient(h, s)
    must(coefficient(-h, s) == c >= coefficient(abs(h) + step, s))  # rounding reverses nothing
    with precision(10_000):  # enough to see e^-(20 * 300) beside 1
        near, far = (coefficient(arb(abs(h)) + x, s) for x in (arb(0), arb(step)))
        must(arb(s.c_max) > near > far > arb(s.c_min))
    must(math.isclose(coefficient(s.tau, s), 1.0, rel_tol=1e-15))
    must(excess(s.tau, s) == 0)


CLAIM = Claim(
    id="S1",
    title="small margins get a coefficient above 1, large ones one below",
    statement=r"The coefficient $c$ decreases strictly from $c(0) < c_{max}$ to $c_{min}$, "
    r"with $c(\tau) = 1$ and $c' = -\lambda (c - c_{min})(c_{max} - c)/(c_{max} - c_{min})$.",
    reading="Small margins get a coefficient above 1, margins above tau one below 1.",
    source="arXiv 2510.05342 (definition); derived here",
    assumptions=r"any valid schedule",
    figure="weight_and_coefficient",
    verdict="holds",
    evidence=(
        s1_slope,
        s1_falls,
        proved(
            "Schedule",
            "S1_formula",
            "S1_at_tau",
            "S1_range",
            "S1_decreasing",
            "S1_slope",
            "S1_limit",
            "S1_excess",
        ),
        proved("Stable", "S1_stable_logistic", "S1_stable_mobius"),
    ),
)
