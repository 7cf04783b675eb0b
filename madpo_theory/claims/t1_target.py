"""T1: where the population loss sends a pair."""

import numpy as np
import sympy as sp
from scipy.special import expit

from ..losses import madpo
from ..risk import pair_risk, risk_curvature, risk_slope
from ..schedule import MarginSchedule
from ..simulate import fit_pairs
from ..targets import effective_target
from ..weights import log_weight, weight
from .evidence import property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import REGIMES, both_weights, h_true, in_c, sigma, z
from .settings import LABELS, margins, schedules, target_scores


@symbolic("the slope of the risk vanishes exactly at z = h* + delta")
def t1_minimizer():
    for name, h, s in REGIMES:
        risk = in_c(pair_risk(z, h_true, h, s), s)
        target = h_true + in_c(log_weight(h, s) - log_weight(-h, s), s)
        # In Z = e^z the slope is a quotient whose one root is Z = e^target.
        slope = sp.diff(risk, z)
        up, down = both_weights(h, s)
        factored = (
            sigma(-h_true) * down * (sp.exp(z) - sp.exp(h_true) * up / down) / (1 + sp.exp(z))
        )
        yield f"{name}: R'(z) = q (e^z - e^z*)/(1 + e^z), e^z* = e^h* w(h)/w(-h)", slope, factored
        yield f"{name}: e^target = e^h* w(h)/w(-h)", sp.exp(target), sp.exp(h_true) * up / down


@property_test("the risk is lowest at the target, from either side", "T1")
def t1_lowest(s=schedules(), h=margins(30.0), h_model=margins(30.0), step=margins(3.0)):
    target = effective_target(h, h_model, s)
    slope, curvature = risk_slope(target, h, h_model, s), risk_curvature(target, h, h_model, s)
    # Absolute rounding of sigma near 1 limits the slope's zero to a few ulp of the larger mass.
    mass = max(weight(h_model, s) * expit(h), weight(-h_model, s) * expit(-h))
    assert abs(slope) <= 1e-12 * mass, (slope, mass)
    assert curvature >= 0
    risk = pair_risk(target, h, h_model, s)
    assert pair_risk(target + step, h, h_model, s) >= risk * (1 - 1e-13)


@simulated("the trained loss settles at the target", "z* = h* + delta(h), 40 pairs")
def t1_trained():
    rng = np.random.default_rng(np.random.SeedSequence(1))
    h = rng.uniform(-5, 5, 40)
    h_model = h + rng.normal(0, 2, 40)
    s = MarginSchedule.released()
    fit = fit_pairs(madpo, h, LABELS, 2, margin=h_model, weighting=s)
    scores = target_scores(fit, h, effective_target(h, h_model, s), 0.1)
    return f"madpo trained on {LABELS:,} labels a pair, noisy reward model", scores


CLAIM = Claim(
    id="T1",
    statement=r"The pair risk has the unique minimizer $z^* = h^* + \delta(h)$, with "
    r"$\delta(h) = \log w(h) - \log w(-h)$.",
    reading="What a schedule does to a pair's target is the log-ratio of two weights.",
    source="derived here",
    assumptions="any true margin and any reward-model margin; any valid schedule",
    figure="pair_risk",
    verdict="holds",
    uses=("S2",),
    evidence=(
        t1_minimizer,
        t1_lowest,
        t1_trained,
        proved("Sigmoid", "sigmoid_odds"),
        proved(
            "Risk",
            "T1_risk",
            "T1_slope",
            "T1_stationary",
            "T1_strictly_convex",
            "T1_unique_minimizer",
        ),
        proved("Target", "T1_ratio", "T1_odd", "T1_unique_target"),
        proved("Baselines", "T1_is_the_loss", "T1_loss_minimizer"),
    ),
)
