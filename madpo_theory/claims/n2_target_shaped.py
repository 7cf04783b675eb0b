"""N2: a weight for any targets one wants."""

import math

import numpy as np
import sympy as sp
from flint import arb
from hypothesis import strategies as st

from ..certify.enclosure import precision
from ..losses import madpo
from ..ops import sympy_world
from ..simulate import fit_pairs
from ..targets import effective_target
from ..weights import PowerTarget, TargetShapedWeight, log_weight_ratio, weight
from .evidence import must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import u
from .settings import LABELS, margins, target_scores


def trained(weighting, h, seed):
    """z-scores of targets that `madpo` was trained to with an exact reward model."""
    fit = fit_pairs(madpo, h, LABELS, seed, margin=h, weighting=weighting)
    return target_scores(fit, h, effective_target(h, h, weighting), 0.1)


TAU, GAMMA, SMOOTHING = sp.symbols("tau gamma s", positive=True)


@symbolic("N2: PowerTarget keeps tau, rises, and bends down")
def n2_shape():
    t = PowerTarget(TAU, GAMMA, SMOOTHING)(sympy_world, u)
    slope = sp.diff(t, u)
    yield "T(tau) = tau", t.subs(u, TAU), TAU
    grown = sp.exp(GAMMA * sp.log(1 + u / SMOOTHING))
    yield (
        "T' = T'(0) (1 + u/s)^(gamma - 1) > 0",
        slope,
        slope.subs(u, 0) * grown / (1 + u / SMOOTHING),
    )
    yield (
        "T'' = -(1 - gamma) T'/(s + u) < 0",
        sp.diff(slope, u),
        -(1 - GAMMA) * slope / (SMOOTHING + u),
    )


def power_targets():
    """Hypothesis strategy of concave targets."""
    return st.builds(
        PowerTarget,
        tau=st.floats(0.1, 20),
        gamma=st.floats(0.05, 0.95),
        smoothing=st.floats(0.05, 20),
    )


@property_test("T odd, increasing, concave; above the diagonal up to tau and below beyond", "N2")
def n2_numeric(target=power_targets(), h=margins(60.0), step=st.floats(1e-3, 5)):
    w = TargetShapedWeight(target)
    with precision(400):
        x, y, z = (arb(abs(h)) + k * arb(step) for k in range(3))
        tx, ty, tz = (effective_target(v, v, w) for v in (x, y, z))
        must(tx < ty < tz and tz - ty < ty - tx)
        if abs(h) > 1e-9 and abs(abs(h) - target.tau) > 1e-9:
            must((tx > x) == (abs(h) < target.tau))
    must(effective_target(-h, -h, w) == -effective_target(h, h, w))
    must(0 <= weight(h, w) <= 1)


@property_test("|delta'| <= max(T'(0) - 1, 1): L without a search", "N2")
def n2_sensitivity(target=power_targets(), first=margins(60.0), second=margins(60.0)):
    w = TargetShapedWeight(target)
    ratio = target.tau / target.smoothing
    slope = target.gamma * ratio / math.expm1(target.gamma * math.log1p(ratio))
    moved = abs(log_weight_ratio(first, w) - log_weight_ratio(second, w))
    rounding = 1e-14 * (abs(first) + abs(second) + target.tau) * (1 + slope)
    must(moved <= max(slope - 1, 1) * abs(first - second) + rounding)


@simulated("trained with N2", "T(h*), a concave target with slope 2 at 0, 30 pairs")
def n2_trained():
    w = TargetShapedWeight(PowerTarget.with_slope(3.0, 0.5, 2.0))
    return "PowerTarget(tau 3, gamma 1/2, slope 2)", trained(w, np.linspace(-6, 6, 30), 72)


CLAIM = Claim(
    id="N2",
    statement=r"For an odd increasing $T$, $w(h) = \min(1, e^{T(h) - h})$ has the effective "
    r"target $T$. A concave $T$ with $T(\tau) = \tau$ amplifies below $\tau$, dampens above "
    r"it, keeps the order of the margins, and has $L = \max(T'(0) - 1, 1)$ at most.",
    reading="Choose the targets you want and get the weight that produces them; a concave "
    "choice never reverses two pairs.",
    source="derived here",
    assumptions="exact reward model",
    verdict="holds",
    figure="corrected_weights",
    uses=("C1", "T1"),
    evidence=(
        n2_shape,
        n2_numeric,
        n2_sensitivity,
        n2_trained,
        proved("AnyWeight", "N2_any_ratio"),
    ),
)
