"""L1: the shape of one pair's risk."""

import sympy as sp
import torch
from scipy.special import expit

from ..risk import pair_risk, risk_curvature, risk_slope
from ..weights import weight
from .evidence import must, property_test, proved, symbolic
from .ledger import Claim
from .regimes import REGIMES, h_true, in_c, sigma, z
from .settings import margins, scheduled_margins


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
    statement=r"$R$ is strictly convex: $R' = q\,\sigma(z) - p\,\sigma(-z)$, $R'' = (p+q) "
    r"\sigma(z) \sigma(-z) \in (0, (p+q)/4]$, $|R'| \leq \max(p, q)$, $|R'''| \leq R''$.",
    reading="One pair's landscape is as well behaved as DPO's: one minimum, bounded slope.",
    source="arXiv 2510.05342 (A3); derived here",
    assumptions=r"one pair; $p = \sigma(h^*) w(h)$, $q = \sigma(-h^*) w(-h)$",
    figure="pair_risk",
    verdict="holds",
    uses=("S2",),
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
)
