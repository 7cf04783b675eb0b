"""S1: the coefficient c falls from c_max to c_min and is 1 at tau."""

import math

import sympy as sp

from ..schedule import coefficient, excess
from .evidence import property_test, proved, symbolic
from .ledger import Claim
from .regimes import KAPPA, OUTSIDE, c_max, c_min, lam, tau, u
from .settings import margins, schedules


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
        "c - c_min = (c_max - c_min)/(1 + kappa E), positive",
        c - c_min,
        (c_max - c_min) / (1 + KAPPA * sp.exp(lam * (u - tau))),
    )
    yield "stable form of c - 1", excess(u, OUTSIDE), c - 1


@property_test("c falls strictly from below c_max to c_min and is 1 at tau", "S1")
def s1_falls(s=schedules(), h=margins(), step=margins(5.0)):
    u, v = sorted((abs(h), abs(h) + abs(step)))
    cu, cv = coefficient(u, s), coefficient(v, s)
    assert s.c_min <= cv <= cu <= s.c_max, (cu, cv)
    visible = abs(coefficient((u + v) / 2, s) - 1) < 0.99 * min(1 - s.c_min, s.c_max - 1)
    if visible and s.lam * (v - u) > 1e-9:
        assert cv < cu, (cu, cv)
    assert math.isclose(coefficient(s.tau, s), 1.0, rel_tol=1e-15)


CLAIM = Claim(
    id="S1",
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
    ),
)
