"""S2: the weight is positive, bounded and continuous, with a corner at -tau."""

import math
import sys

import sympy as sp
from hypothesis import strategies as st

from ..schedule import coefficient
from ..weights import log_weight, weight
from .evidence import foil, must, property_test, proved, symbolic
from .ledger import Claim
from .regimes import (
    INSIDE,
    KNEE_SLOPE,
    OUTSIDE,
    OUTSIDE_MARGIN,
    C,
    in_c,
    knee_slope,
    lam,
    sigma,
    tau,
    u,
)
from .settings import scaled, scheduled_margins

UNDERFLOW = math.log(sys.float_info.min)  # of e^x, which may be rounded to 0 below


@foil("the kink is 5 % steeper", KNEE_SLOPE=scaled(sp.Rational(21, 20)))
@foil("the weight is that of 1.05 c", C=scaled(sp.Rational(21, 20)))
@symbolic("stable weight = ratio of sigmoids, branch by branch; kink at -tau")
def s2_forms():
    c = C
    ratio = sigma(c * u) / sigma(u)
    yield "0 < h < tau: w = sigma(ch)/sigma(h)", in_c(weight(u, INSIDE), INSIDE), ratio
    yield (
        "-tau < h < 0: w = sigma(ch)/sigma(h)",
        in_c(weight(-u, INSIDE), INSIDE),
        sigma(-c * u) / sigma(-u),
    )
    far = OUTSIDE_MARGIN
    yield (
        "h > tau: w = sigma(ch)/sigma(h)",
        in_c(weight(far, OUTSIDE), OUTSIDE),
        sigma(c * far) / sigma(far),
    )
    yield "h < -tau: w = 1", weight(-far, OUTSIDE), sp.Integer(1)
    yield "w(0) = 1", weight(sp.Integer(0), OUTSIDE), sp.Integer(1)
    inner = sp.log(sigma(-coefficient(u, OUTSIDE) * u) / sigma(-u))  # log w(-u), u < tau
    yield "continuity: log w(-tau+) = 0", inner.subs(u, tau), sp.Integer(0)
    yield (
        "right slope at -tau = -sigma(tau) lam tau kappa'",
        -sp.diff(inner, u).subs(u, tau),
        -sigma(tau) * lam * tau * KNEE_SLOPE,
    )


def with_a_jump(true):
    """log w, and a millionth less for |h| < tau."""
    return lambda h, s: true(h, s) - 1e-6 * (abs(h) < s.tau)


@foil("the weight is 1.05 at 0", weight=scaled(1.05))
@foil("the weight jumps by a millionth at -tau and tau", log_weight=with_a_jump)
@property_test("w is positive, finite, continuous at -tau, 1 at 0", "S2")
def s2_positive(case=scheduled_margins(1e4), step=st.floats(1e-12, 1)):
    s, h = case
    w, log_w = weight(h, s), log_weight(h, s)
    must(math.isfinite(log_w))  # w = e^(log w) is positive, whatever float64 makes of it
    must(w < 2 and (w > 0 or log_w < UNDERFLOW), (w, log_w))
    must(all(weight(at, s) == 1.0 for at in (0.0, s.tau, -s.tau, -s.tau - 1, -1e4)))
    slope = s.lam * s.tau * knee_slope(s)
    gap = 1e-7 * s.tau
    must(abs(log_weight(-s.tau + gap, s)) <= 2 * slope * gap + 1e-12)
    # Everywhere, also across 0 and +-tau: |(log w)'| <= c_max + |c'| |h| + 1, S1's slope of c.
    after = h + step
    size = max(abs(h), abs(after))
    steepest = s.c_max + s.lam * (s.c_max - s.c_min) / 4 * size + 1
    rounding = 16 * sys.float_info.epsilon * (size + 1) * steepest
    must(abs(log_weight(after, s) - log_w) <= steepest * (after - h) + rounding)


CLAIM = Claim(
    id="S2",
    title="the weight is positive and continuous, with one corner",
    statement=r"In real numbers the weight $w$ is positive, bounded and continuous, $w(0) = 1$, "
    r"with a kink "
    r"at $h = -\tau$: right slope $-\sigma(\tau) \lambda \tau \kappa'$, left slope $0$.",
    reading="No pair is thrown away, and the weight has no jump; but it has a corner, and a weight "
    "too small for the floating point that trains is 0 there, of which madpo diagnose warns.",
    source="arXiv 2510.05342 (A1); slope derived here",
    assumptions="any valid schedule",
    figure="weight_and_coefficient",
    verdict="holds",
    uses=("S1",),
    evidence=(
        s2_forms,
        s2_positive,
        proved(
            "Weight",
            "S2_published",
            "S2_disputed",
            "S2_positive",
            "S2_zero",
            "S2_continuous",
            "S2_corner",
        ),
        proved("Stable", "S2_stable_difference"),
    ),
)
