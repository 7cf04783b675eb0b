"""L1, R1, R2: the shape of a pair's risk, and what a wrong reward model can do to its minimum."""

import functools
import math

import numpy as np
import sympy as sp
from scipy.special import expit

from ..certify import supremum
from ..certify.quantities import QUANTITIES
from ..losses import madpo
from ..risk import pair_risk, risk_curvature, risk_slope
from ..schedule import MarginSchedule, coefficient
from ..simulate import fit_pairs
from ..targets import effective_target, influence_bound
from ..weights import log_weight_ratio, weight
from .kinds import (
    certified,
    certified_box,
    margins,
    property_test,
    proved,
    schedules,
    simulated,
    symbolic,
)
from .ledger import Claim
from .regimes import (
    INSIDE,
    OUTSIDE,
    OUTSIDE_MARGIN,
    REGIMES,
    C,
    c_max,
    d,
    h_true,
    in_c,
    inside,
    sigma,
    u,
    z,
)
from .targets import LABELS, target_scores
from .weights import CLASS, CLASS_BOX, RELEASED, RELEASED_4, RELEASED_BOX, WIDE_BOX


@symbolic("slope, curvature, and third derivative of the risk")
def l1_derivatives():
    for name, h, s in REGIMES:
        risk, slope, curvature = (
            in_c(f(z, h_true, h, s), s) for f in (pair_risk, risk_slope, risk_curvature)
        )
        p = sigma(h_true) * in_c(weight(h, s), s)
        q = sigma(-h_true) * in_c(weight(-h, s), s)
        yield (
            f"{name}: R' = q sigma(z) - p sigma(-z)",
            sp.diff(risk, z),
            q * sigma(z) - p * sigma(-z),
        )
        yield f"{name}: risk_slope is R'", slope, q * sigma(z) - p * sigma(-z)
        yield f"{name}: R'' = (p + q) sigma(z) sigma(-z) > 0", sp.diff(slope, z), curvature
        yield (
            f"{name}: (p + q)/4 - R'' = (p + q)(sigma(z) - sigma(-z))^2/4 >= 0",
            (p + q) / 4 - curvature,
            (p + q) * (sigma(z) - sigma(-z)) ** 2 / 4,
        )
        yield (
            f"{name}: R''' = R'' (sigma(-z) - sigma(z)), so |R'''| <= R''",
            sp.diff(curvature, z),
            curvature * (sigma(-z) - sigma(z)),
        )


@property_test("|R'| <= max(p, q), 0 < R'' <= (p + q)/4, modulus on |z| <= B", "L1")
def l1_bounds(s=schedules(), h=margins(30.0), h_model=margins(30.0), at=margins(30.0)):
    p, q = weight(h_model, s) * expit(h), weight(-h_model, s) * expit(-h)
    slope, curvature = risk_slope(at, h, h_model, s), risk_curvature(at, h, h_model, s)
    tolerance = 1 + 1e-14
    assert abs(slope) <= max(p, q) * tolerance
    assert 0 < curvature <= (p + q) / 4 * tolerance
    bound = abs(at) + 1.0
    assert curvature >= (p + q) * expit(bound) * expit(-bound) / tolerance


@symbolic("delta' = c - 1 + u c' inside the knee")
def r1_slope():
    c = coefficient(u, OUTSIDE)
    yield "delta = (c - 1) u", in_c(log_weight_ratio(u, INSIDE), INSIDE), (C - 1) * u
    slope = sp.diff(inside(log_weight_ratio(u, OUTSIDE)), u)
    yield "delta' = c - 1 + u c'", slope, c - 1 + u * sp.diff(c, u)


@functools.cache
def released_sensitivity():
    """Certified upper end of L at the released schedule."""
    return supremum(QUANTITIES["sensitivity"], RELEASED).upper


@property_test("|z*(h) - z*(h')| <= L |h - h'|, released", "R1, with the certified L")
def r1_lipschitz(h=margins(20.0), first=margins(20.0), second=margins(20.0)):
    s = MarginSchedule.released()
    moved = abs(effective_target(h, first, s) - effective_target(h, second, s))
    assert moved <= released_sensitivity() * abs(first - second) + 1e-13


@simulated("trained targets under a wrong reward model", "h* + delta(h + error), 30 pairs")
def r1_trained():
    rng = np.random.default_rng(np.random.SeedSequence(6))
    h = rng.uniform(-4, 4, 30)
    wrong = h + rng.uniform(-6, 6, 30)
    s = MarginSchedule.released()
    fit = fit_pairs(madpo, h, LABELS, 7, margin=wrong, weighting=s)
    scores = target_scores(fit, h, effective_target(h, wrong, s), 0.1)
    moved = np.abs(0.1 * fit.m - effective_target(h, h, s)) / np.abs(wrong - h)
    if not moved.max() <= released_sensitivity():
        raise RuntimeError(f"a target moved {moved.max()} nats per nat of error, beyond L")
    return f"largest shift per nat of error {moved.max():.3f}, below the certified L", scores


@symbolic("both pieces of the bound")
def r2_outside():
    far = OUTSIDE_MARGIN
    delta = in_c(log_weight_ratio(far, OUTSIDE), OUTSIDE)
    yield "e^-delta", sp.exp(-delta), (1 + sp.exp(-C * far)) / (1 + sp.exp(-far))
    knee = u + d
    yield (
        "inside: (c_max - 1) tau - delta = (c_max - c) tau + (c - 1)(tau - u) > 0",
        (c_max - 1) * knee - in_c(log_weight_ratio(u, INSIDE), INSIDE),
        (c_max - C) * knee + (C - 1) * d,
    )


@property_test("|delta(h)| <= max((c_max - 1) tau, log(1 + e^(-c_min tau)))", "R2")
def r2_bound(s=schedules(), h=margins(1e4)):
    assert abs(log_weight_ratio(h, s)) <= influence_bound(s) * (1 + 1e-14)


@property_test("the target keeps the true sign if h* > D", "R2, consequence")
def r2_sign(s=schedules(), beyond=margins(10.0), h_model=margins(1e3)):
    h = influence_bound(s) + abs(beyond) + 1e-9
    assert effective_target(h, h_model, s) > 0
    assert math.isfinite(effective_target(h, h_model, s))


CLAIMS = (
    Claim(
        id="L1",
        statement=r"$R$ is strictly convex: $R' = q\,\sigma(z) - p\,\sigma(-z)$, $R'' = (p+q) "
        r"\sigma(z) \sigma(-z) \in (0, (p+q)/4]$, $|R'| \leq \max(p, q)$, $|R'''| \leq R''$.",
        reading="One pair's landscape is as well behaved as DPO's: one minimum, bounded slope.",
        source="arXiv 2510.05342 (A3); derived here",
        assumptions=r"one pair; $p = \sigma(h^*) w(h)$, $q = \sigma(-h^*) w(-h)$",
        figure="pair_risk",
        verdict="holds",
        evidence=(
            l1_derivatives,
            l1_bounds,
            proved(
                "Landscape",
                "L1_curvature",
                "L1_curvature_bounds",
                "L1_slope_bound",
                "L1_third_derivative",
                "L1_strong_convexity",
            ),
        ),
    ),
    Claim(
        id="R1",
        statement=r"A reward-model error moves the target by at most $L$ times itself, $L = "
        r"\sup |\delta'| = 2.30677$ at the released schedule (DPO: $0$).",
        reading="A nat of reward-model error can cost up to 2.31 nats of target; DPO pays none.",
        source="arXiv 2510.05342 (A4); derived here",
        assumptions="any true margin; c_max = 2, c_min = 1/2, lam = 1, tau = log 999; "
        "class defaults, c_max = 4, and every schedule of three boxes, each with its own L",
        figure="target_shift",
        verdict="holds",
        evidence=(
            r1_slope,
            certified("L, released", "sensitivity", RELEASED, above=2.306765, below=2.306767),
            certified("L, class defaults", "sensitivity", CLASS, above=0.680478, below=0.680480),
            certified("L, c_max = 4", "sensitivity", RELEASED_4, above=4.67869, below=4.678692),
            certified_box(
                "L, box around the class defaults",
                "sensitivity",
                CLASS_BOX,
                above=0.915,
                below=0.917,
                tolerance=0.001,
            ),
            certified_box(
                "L, box around the released schedule",
                "sensitivity",
                RELEASED_BOX,
                above=2.615,
                below=2.617,
                tolerance=0.001,
            ),
            certified_box(
                "L, wide box",
                "sensitivity",
                WIDE_BOX,
                above=4.7,
                below=4.9,
                tolerance=0.1,
            ),
            r1_lipschitz,
            r1_trained,
            proved("Released", "R1_released", "R1_released_tight"),
        ),
    ),
    Claim(
        id="R2",
        statement=r"However wrong the reward model, $|z^* - h^*| \leq D = \sup |\delta| \leq "
        r"\max((c_{max} - 1) \tau, \log(1 + e^{-c_{min} \tau}))$; $D = 3.475$ at the released "
        r"schedule.",
        reading="However wrong the reward model, it shifts a target by at most 3.5 nats at the "
        "released schedule; DPO's targets do not depend on one.",
        source="arXiv 2510.05342 (A4); derived here",
        assumptions="any reward model; any valid schedule for the bound; D for three schedules and "
        "over three boxes of schedules",
        figure="target_shift",
        verdict="holds",
        evidence=(
            r2_outside,
            certified("D, released", "influence", RELEASED, above=3.47468, below=3.47469),
            certified("D, class defaults", "influence", CLASS, above=0.36417, below=0.36418),
            certified("D, c_max = 4", "influence", RELEASED_4, above=9.31188, below=9.31189),
            certified_box(
                "D, box around the class defaults",
                "influence",
                CLASS_BOX,
                above=0.561,
                below=0.563,
                tolerance=0.001,
            ),
            certified_box(
                "D, box around the released schedule",
                "influence",
                RELEASED_BOX,
                above=3.981,
                below=3.983,
                tolerance=0.001,
            ),
            certified_box(
                "D, wide box",
                "influence",
                WIDE_BOX,
                above=9.5,
                below=9.6,
                tolerance=0.05,
            ),
            r2_bound,
            r2_sign,
            proved("Robustness", "R2_closed_form", "R2_influence", "R2_shift", "R2_sign"),
            proved("Released", "R2_released_upper", "R2_released_lower"),
        ),
    ),
)
