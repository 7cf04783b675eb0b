"""L1: the shape of one pair's risk."""

import sympy as sp
import torch
from scipy.special import expit

from ..risk import pair_risk, risk_curvature, risk_slope
from ..weights import weight
from .evidence import certified, foil, must, property_test, proved, symbolic
from .ledger import Claim
from .regimes import REGIMES, W_DOWN, W_UP, h_true, in_c, sigma, z
from .settings import (
    RELEASED,
    RELEASED_4,
    margins,
    minus_log,
    scaled,
    scheduled_margins,
    to_digit,
)

LEAST, LEAST_4 = 0.031, 9e-5  # share of DPO's curvature: released, and c_max = 4


@foil("the curvature is 5 % larger", risk_curvature=scaled(sp.Rational(21, 20)))
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
        yield f"{name}: R'' = (p + q) sigma(z) sigma(-z)", sp.diff(slope, z), curvature
        yield (
            f"{name}: (p + q)/4 - R'' = (p + q)(sigma(z) - sigma(-z))^2/4",
            (p + q) / 4 - curvature,
            (p + q) * (sigma(z) - sigma(-z)) ** 2 / 4,
        )
        yield (
            f"{name}: R''' = R'' (sigma(-z) - sigma(z)), so |R'''| <= R''",
            sp.diff(curvature, z),
            curvature * (sigma(-z) - sigma(z)),
        )
    rest = 1 - (sigma(-z) - sigma(z)) ** 2
    yield "and 1 - (sigma(-z) - sigma(z))^2 = 4 sigma(z) sigma(-z)", rest, 4 * sigma(z) * sigma(-z)
    yield "which is positive", sp.Gt(4 * sigma(z) * sigma(-z), 0)
    p, q = sigma(h_true) * W_UP, sigma(-h_true) * W_DOWN
    yield "as is R'' for weights that are", sp.Gt((p + q) * sigma(z) * sigma(-z), 0)
    yield (
        "p + q, DPO's 1, lies between w(h) and w(-h): w(-h) + sigma(h*) (w(h) - w(-h))",
        p + q,
        W_DOWN + sigma(h_true) * (W_UP - W_DOWN),
    )
    yield "and tends to w(h) as h* does to oo", sp.limit(p + q, h_true, sp.oo), W_UP


@foil("R'' is 5 % larger", risk_curvature=scaled(1.05))
@foil("R' is 5 % larger", risk_slope=scaled(1.05))
@property_test("|R'| <= max(p, q), 0 < R'' <= (p + q)/4, modulus on |z| <= B", "L1")
def l1_bounds(case=scheduled_margins(100.0), h=margins(30.0), z=margins(30.0)):
    s, h_model = case
    p, q = weight(h_model, s) * expit(h), weight(-h_model, s) * expit(-h)
    at = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    curvature = risk_curvature(at, h, h_model, s)
    (third,) = torch.autograd.grad(curvature, at)
    tolerance = 1 + 1e-14
    must(abs(risk_slope(z, h, h_model, s)) <= max(p, q) * tolerance)
    must(0 < curvature <= (p + q) / 4 * tolerance)
    must(abs(third) <= curvature * tolerance)
    must(curvature >= (p + q) * expit(z) * expit(-z) / tolerance)  # least at |z| = B


CLAIM = Claim(
    id="L1",
    title="one pair's risk has one minimum, but can be flat",
    statement=r"$R$ is strictly convex: $R' = q\,\sigma(z) - p\,\sigma(-z)$, $R'' = (p+q) "
    r"\sigma(z) \sigma(-z) \in (0, (p+q)/4]$, $|R'| \leq \max(p, q)$, $|R'''| \leq R''$.",
    reading="One pair's risk has one minimum and a bounded slope, as DPO's; but its curvature is "
    "p + q times DPO's, and where the reward model disputes labels that are certain that is as "
    f"little as {LEAST:.3f} at the released schedule, {LEAST_4:.5f} at its c_max = 4: so much "
    "slower is descent there.",
    source="arXiv 2510.05342 (A3); derived here",
    assumptions=r"one pair; $p = \sigma(h^*) w(h)$, $q = \sigma(-h^*) w(-h)$",
    figure="pair_risk",
    verdict="holds",
    uses=("S2",),
    evidence=(
        l1_derivatives,
        l1_bounds,
        certified(
            "-log of the least curvature beside DPO's, released",
            "log_weight_min",
            RELEASED,
            **to_digit(LEAST, 1e-3, minus_log),
        ),
        certified(
            "-log of the least curvature beside DPO's, c_max = 4",
            "log_weight_min",
            RELEASED_4,
            **to_digit(LEAST_4, 1e-5, minus_log),
        ),
        proved(
            "Landscape",
            "L1_curvature",
            "L1_curvature_bounds",
            "L1_slope_bound",
            "L1_third_derivative",
            "L1_strong_convexity",
        ),
    ),
)
