"""T1: where the population loss sends a pair."""

import math

import numpy as np
import sympy as sp
from flint import arb
from hypothesis import strategies as st

from ..certify.enclosure import precision
from ..losses import madpo
from ..ops.arb_world import sigmoid
from ..risk import pair_risk, risk_curvature, risk_slope
from ..schedule import MarginSchedule, coefficient
from ..simulate import fit_pairs
from ..targets import effective_target
from ..weights import log_weight
from .evidence import foil, must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import REGIMES, both_weights, h_true, in_c, sigma, z
from .settings import (
    LABELS,
    margins,
    scaled,
    scheduled_margins,
    shifted_more,
    target_scores,
)


@foil("delta is 5 % larger", log_weight=scaled(sp.Rational(21, 20)))
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


@foil("the shift is 5 % larger", effective_target=shifted_more)
@property_test("the risk is lowest at the target, from either side", "T1")
def t1_lowest(case=scheduled_margins(30.0), h=margins(30.0), step=st.floats(1e-3, 5)):
    s, h_model = case
    # The curvature is e^-(|h*| + (c + 1) |h|) at least: enough bits to see it beside 1.
    size = (coefficient(h_model, s) + 1) * abs(h_model)
    with precision(400 + 2 * math.ceil(size)):
        h, h_model = arb(h), arb(h_model)
        target = effective_target(h, h_model, s)
        at = target - step, target, target + step
        low, stationary, high = (risk_slope(z, h, h_model, s) for z in at)
        must(low < 0 < high and stationary.contains(0))
        must(risk_curvature(target, h, h_model, s) > 0)
        left, least, right = (pair_risk(z, h, h_model, s) for z in at)
        must(left > least < right)
        # The risk is the training loss's expectation over either label, at every z.
        for z, risk in zip(at, (left, least, right), strict=True):
            trained = {"weighting": s, "beta": 1}
            won = madpo(z, arb(0), arb(0), arb(0), margin=h_model, **trained)[0]
            lost = madpo(arb(0), z, arb(0), arb(0), margin=-h_model, **trained)[0]
            must(risk.overlaps(sigmoid(h) * won + sigmoid(-h) * lost))


@foil("the shift is 5 % larger", effective_target=shifted_more)
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
    title="a target moves by the log-ratio of two weights",
    statement=r"The pair risk has the unique minimizer $z^* = h^* + \delta(h)$, with "
    r"$\delta(h) = \log w(h) - \log w(-h)$.",
    reading="What a schedule does to a pair's target is the log-ratio of two weights.",
    source="derived here",
    assumptions="any true margin and any reward-model margin; any valid schedule",
    figure="pair_risk",
    verdict="holds",
    uses=("S2", "C1"),
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
