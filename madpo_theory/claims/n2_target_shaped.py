"""N2: a weight for any targets one wants."""

import math
from dataclasses import dataclass

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
from .evidence import foil, must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import u
from .settings import LABELS, margins, scaled, target_scores


def trained(weighting, h, seed):
    """z-scores of targets that `madpo` was trained to with an exact reward model."""
    fit = fit_pairs(madpo, h, LABELS, seed, margin=h, weighting=weighting)
    return target_scores(fit, h, effective_target(h, h, weighting), 0.1)


@dataclass(frozen=True)
class Hump:
    """T(u) = 2 u - u^2/(2 turn): concave, but not increasing beyond 2 turn, and 0 at 4 turn."""

    turn: float

    def __call__(self, xp, u):
        return 2 * u - u * u / (2 * xp.number(self.turn, u))


@dataclass(frozen=True)
class Polygon:
    """T(u) = a sum of min(u, knee), all positive, T(tau) = tau: any increasing concave polygon."""

    tau: float
    knees: tuple
    shares: tuple

    @property
    def slope(self):
        """T'(0)."""
        at_tau = sum(s * min(self.tau, k) for s, k in zip(self.shares, self.knees, strict=True))
        return self.tau * sum(self.shares) / at_tau

    def __call__(self, xp, u):
        tau, *knees = (xp.number(v, u) for v in (self.tau, *self.knees))

        def whole(x):
            pairs = zip(self.shares, knees, strict=True)
            return sum(s * xp.minimum(x, k) for s, k in pairs)

        return tau * whole(u) / whole(tau + 0 * u)


TAU, GAMMA, SMOOTHING = sp.symbols("tau gamma s", positive=True)


def larger(true):
    """For a foil: PowerTargets 5 % larger."""
    return lambda *of: scaled(1.05)(true(*of))


@foil("T is 5 % larger", PowerTarget=larger)
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


def hump(true):
    """For a foil: the weight of a target that is concave and not increasing."""
    return lambda target: true(Hump(target.tau))


@foil("any concave T keeps the order", TargetShapedWeight=hump)
@foil("T is 5 % larger", effective_target=scaled(1.05))
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


def polygons():
    """Hypothesis strategy of increasing concave polygons."""
    size = st.floats(0.05, 20)
    some = st.lists(st.tuples(size, size), min_size=1, max_size=4)
    made = st.tuples(size, some).map(lambda drawn: Polygon(drawn[0], *zip(*drawn[1], strict=True)))
    return made.filter(lambda t: min(t.knees) < t.tau)  # else T(u) = u up to tau


def largest_slope(start):
    """L of an increasing concave T of that slope at 0."""
    return max(start - 1, 1)


@foil("any T does", TargetShapedWeight=lambda true: lambda t: true(Hump(t.tau)))
@foil("L is 5 % less", largest_slope=scaled(0.95))
@property_test(
    "any increasing concave T with T(tau) = tau: above the diagonal up to tau, below it beyond; T "
    "keeps the order; |delta'| <= max(T'(0) - 1, 1)",
    "N2, polygons of up to 4 knees",
)
def n2_any(target=polygons(), h=margins(60.0), step=st.floats(1e-3, 5)):
    w, bound = TargetShapedWeight(target), largest_slope(target.slope)
    rounding = 1e-13 * (abs(h) + step + target.tau) * (1 + target.slope)
    near = 1e-3 * min(target.knees)
    for low, high in ((abs(h), abs(h) + step), (0.0, near), (40.0, 41.0)):
        first, second = (effective_target(x, x, w) for x in (low, high))
        must(first <= second + rounding)
        must((low - first) * (low - target.tau) >= -rounding * (1 + low))
        must(abs((second - high) - (first - low)) <= bound * (high - low) + rounding)


@foil("L is 5 % less", largest_slope=scaled(0.95))
@property_test("|delta'| <= max(T'(0) - 1, 1): L without a search", "N2")
def n2_sensitivity(target=power_targets(), first=margins(60.0), second=margins(60.0)):
    w = TargetShapedWeight(target)
    ratio = target.tau / target.smoothing
    slope = target.gamma * ratio / math.expm1(target.gamma * math.log1p(ratio))
    for x, y in ((first, second), (0.0, 1e-3 * target.smoothing)):  # steepest at 0
        moved = abs(log_weight_ratio(x, w) - log_weight_ratio(y, w))
        rounding = 1e-14 * (abs(x) + abs(y) + target.tau) * (1 + slope)
        must(moved <= largest_slope(slope) * abs(x - y) + rounding)


@foil("T is 1 % larger", effective_target=scaled(1.01))
@simulated("trained with N2", "T(h*), a concave target with slope 2 at 0, 30 pairs")
def n2_trained():
    w = TargetShapedWeight(PowerTarget.with_slope(3.0, 0.5, 2.0))
    return "PowerTarget(tau 3, gamma 1/2, slope 2)", trained(w, np.linspace(-6, 6, 30), 72)


CLAIM = Claim(
    id="N2",
    title="choose the targets, and get the weight that has them",
    statement=r"For any odd $T$, $w(h) = \min(1, e^{T(h) - h})$ has the effective target $T$. A "
    r"$T$ that increases and is concave on $[0, \infty)$, with $T(\tau) = \tau$, amplifies below "
    r"$\tau$, dampens above it, keeps the order of the margins, and has $L = \max(T'(0) - 1, 1)$ "
    r"at most. A concave $T$ that does not increase, such as $2 h - h^2/4$, reverses pairs.",
    reading="Choose the targets you want and get the weight that produces them; an increasing "
    "choice never reverses two pairs, and one that is concave besides amplifies hard pairs and "
    "dampens easy ones.",
    source="derived here",
    assumptions="exact reward model",
    verdict="holds",
    figure="corrected_weights",
    uses=("C1", "T1"),
    evidence=(
        n2_shape,
        n2_numeric,
        n2_any,
        n2_sensitivity,
        n2_trained,
        proved("AnyWeight", "N2_any_ratio"),
    ),
)
