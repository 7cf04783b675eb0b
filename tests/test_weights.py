"""The corrected weights keep the theorems of the published one, and each its own promise."""

import dataclasses
import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import oracle
import pytest
import sympy as sp
import torch
from flint import arb, arb_series, ctx
from formulas import FORMULAS, LIBRARY
from hypothesis import assume, example, given
from hypothesis import strategies as st
from ours import WEIGHTS
from strategies import floats, telling_margins

from madpo_theory import (
    BoundedRatioWeight,
    EfficientWeight,
    MarginSchedule,
    PowerTarget,
    PublishedWeight,
    ScaledWeight,
    TargetShapedWeight,
    Weighting,
    coefficient,
    effective_target,
    log_weight,
    log_weight_ratio,
    pair_risk,
    risk_curvature,
    risk_slope,
    weight,
)
from madpo_theory.certify import supremum
from madpo_theory.certify.quantities import QUANTITIES
from madpo_theory.claims.settings import POSITIVE_C_MIN, margins, schedules
from madpo_theory.losses import distillation, madpo
from madpo_theory.ops import numpy_world, torch_world
from madpo_theory.weights import (
    AmpOnlyWeight,
    ConfidenceWeight,
    RegOnlyWeight,
    RewardMagnitudeWeight,
    RewardProbabilityWeight,
)

EPS = 2**-52
S = MarginSchedule.class_defaults()
TARGET = PowerTarget(3.0, 0.5, 0.75)
WEIGHTINGS = {name: cls.of(S) for name, cls in WEIGHTS.items()} | {
    "bounded ratio, c_min = 0": BoundedRatioWeight(MarginSchedule(3.0, 0.0, 0.5, 4.0)),
    "efficient, bounded ratio": EfficientWeight(BoundedRatioWeight(S)),
    "efficient, target shaped": EfficientWeight(TargetShapedWeight(TARGET)),
    "scaled": ScaledWeight(BoundedRatioWeight(S), -0.75),
    "scaled, efficient": ScaledWeight(EfficientWeight(TargetShapedWeight(TARGET)), 1.25),
}
every = pytest.mark.parametrize("w", WEIGHTINGS.values(), ids=WEIGHTINGS.keys())
EVEN = (ConfidenceWeight(), RewardMagnitudeWeight())
unscheduled = st.sampled_from((RewardProbabilityWeight(), *EVEN))
NAMES = [
    name
    for name in FORMULAS
    if name.endswith(("weight", "ratio", "effective_target", "losses"))
    or name.startswith(("pair", "risk"))
]
NAMES = [name for name in NAMES if not name.startswith(("dpo", "ipo"))]

# Values that every format down to bfloat16 holds exactly, on either side of 0 and of every tau.
H = (-12.0, -6.875, -2.5, -2.0, -0.125, 0.0, 0.5, 2.0, 3.25, 6.9375, 14.0)
T = (3.0, -1.5, 0.25, 7.0, -0.5, 1.0, -3.0, 5.0, 0.0, -8.0, 2.0)
Z = (1.0, -0.5, 4.0, -2.25, 0.0, 0.75, 9.0, -6.0, 2.0, 3.5, -1.0)


def points(w):
    """(h, t, z) of the above that w weighs: of weight 0 a pair has no logarithm, risk or target."""
    return [point for point in zip(H, T, Z, strict=True) if weight(point[0], w) > 0]


def power_targets():
    """Concave targets, from nearly the diagonal to nearly flat."""
    return st.builds(
        PowerTarget,
        tau=floats(0.01, 50.0),
        gamma=floats(0.05, 0.95),
        smoothing=floats(0.05, 50.0),
    )


def capped():
    """Weights whose larger one of the two labels is 1."""
    return st.builds(BoundedRatioWeight, schedules()) | st.builds(
        TargetShapedWeight, power_targets()
    )


def weightings():
    """Every kind of weight, over all valid parameters; efficient and scaled ones of any base."""
    base = st.builds(PublishedWeight, schedules()) | capped()
    base |= st.builds(AmpOnlyWeight, schedules()) | st.builds(RegOnlyWeight, schedules())
    efficient = st.builds(EfficientWeight, base | schedules())
    return base | efficient | st.builds(ScaledWeight, base | efficient, floats(-5.0, 5.0))


# The theorems that hold for every weight


@given(weightings() | unscheduled, floats(-12.0, 12.0), floats(-12.0, 12.0), floats(1e-3, 5.0))
@example(BoundedRatioWeight(S), -2.0, 3.0, 1e-3)
@example(TargetShapedWeight(TARGET), 3.0, 3.0, 1e-3)
@example(EfficientWeight(S), 0.0, 0.0, 1e-3)
def test_t1_the_target_is_the_strict_minimizer_of_the_pair_risk(w, h, h_true, step):
    assume(weight(h, w) > 0)  # a pair of weight 0 has no risk
    with ctx.workprec(4000):  # enough bits to see the curvature e^-(c_max 12) beside 1
        t, h = arb(h_true), arb(h)
        z = effective_target(t, h, w)
        assert risk_slope(z, t, h, w).contains(0)
        assert risk_slope(z - step, t, h, w) < 0 < risk_slope(z + step, t, h, w)
        assert risk_curvature(z, t, h, w) > 0
        assert pair_risk(z - step, t, h, w) > pair_risk(z, t, h, w) < pair_risk(z + step, t, h, w)


@given(weightings() | unscheduled, margins(1e4))
@example(EfficientWeight(S), 0.0)
@example(TargetShapedWeight(TARGET), 3.0)
def test_delta_is_odd_and_the_difference_of_the_logarithms(w, h):
    delta = log_weight_ratio(h, w)
    assert log_weight_ratio(-h, w) == -delta
    up, down = log_weight(h, w), log_weight(-h, w)
    assume(up > -math.inf)
    # Each logarithm is rounded to its own size, and a scale that cancels is the larger part.
    assert abs(delta - (up - down)) <= 4 * EPS * (abs(up) + abs(down)) + 1e-13 * abs(delta)


@given(weightings() | unscheduled, margins(700.0))
def test_w_is_the_exponential_of_its_logarithm(w, h):
    log_w = log_weight(h, w)
    assert math.isfinite(log_w) or (w in EVEN and h == 0)
    assert math.isclose(weight(h, w), math.exp(log_w), rel_tol=4 * EPS)


@given(weightings(), floats(-300.0, 300.0), floats(1e-12, 1.0))
@example(BoundedRatioWeight(S), -2.0, 1e-9)
@example(BoundedRatioWeight(S), 0.0, 1e-9)
@example(TargetShapedWeight(TARGET), 3.0, 1e-9)
def test_w_is_continuous(w, h, step):
    """Lipschitz, by the slopes of T and of sigma, also across 0 and +-tau."""
    after = h + step
    u, steepness = max(abs(h), abs(after)), 1.0
    while isinstance(w, EfficientWeight | ScaledWeight):
        w_inside, steepness = w.base, steepness + 3.0
        w = w_inside if isinstance(w_inside, Weighting) else PublishedWeight(w_inside)
    if isinstance(w, TargetShapedWeight):
        t = w.target
        scale = t.tau / math.expm1(t.gamma * math.log1p(t.tau / t.smoothing))
        slope = scale * t.gamma / t.smoothing + 1
    else:
        s = w.schedule
        slope = s.c_max + s.lam * (s.c_max - s.c_min) / 4 * u + 1
    jump = abs(log_weight(after, w) - log_weight(h, w))
    assert jump <= steepness * slope * (after - h) + 16 * EPS * (u + 1) * slope


@every
def test_an_odd_delta_and_the_same_total_make_either_label_the_same(w):
    """Swapping the responses of a pair, and with them every margin, leaves its risk as it was."""
    for h, t, z in zip(H, T, Z, strict=True):
        assert math.isclose(
            pair_risk(z, t, h, w), pair_risk(-z, -t, -h, w), rel_tol=1e-14, abs_tol=1e-300
        )


@every
def test_the_risk_is_the_expected_training_loss(w):
    for h, t, z in zip(H, T, Z, strict=True):
        one = madpo(2 * z, 0.0, 0.0, 0.0, margin=h, weighting=w, beta=0.5)[0]
        other = madpo(0.0, 2 * z, 0.0, 0.0, margin=-h, weighting=w, beta=0.5)[0]
        p = 1 / (1 + math.exp(-t))
        expected = p * one + (1 - p) * other
        assert math.isclose(pair_risk(z, t, h, w), expected, rel_tol=1e-12)


# The number worlds, against 400 digits


def reference(name, w):
    with mp.workdps(oracle.DIGITS):
        return [FORMULAS[name](oracle, *point, w) for point in points(w)]


def assert_close(values, expected, working_eps, result_eps):
    """Within 16 roundings of the working format, then one rounding to the result's.

    Relative to the larger of the result and 12, the size of the margins that are subtracted.
    """
    for value, exact in zip(values, expected, strict=True):
        allowed = 16 * working_eps * (12 + abs(exact)) + result_eps * abs(exact)
        assert abs(mp.mpf(float(value)) - exact) <= allowed + 1e-7 * (result_eps > 1e-4)


@every
@pytest.mark.parametrize("name", NAMES)
def test_floats_numpy_and_torch_agree_with_the_oracle(name, w):
    exact = reference(name, w)
    values = [FORMULAS[name](LIBRARY, *point, w) for point in points(w)]
    assert {type(value) for value in values} == {float}
    assert_close(values, exact, EPS, 0)
    for dtype in (np.float64, np.float32, np.float16):
        arrays = np.array(points(w), dtype).T
        value = FORMULAS[name](LIBRARY, *arrays, w)
        assert (value.dtype, value.shape) == (dtype, (len(exact),))
        assert_close(value, exact, min(np.finfo(dtype).eps, 2**-23), np.finfo(dtype).eps)
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        value = FORMULAS[name](LIBRARY, *torch.tensor(points(w), dtype=dtype).T, w)
        assert (value.dtype, value.shape) == (dtype, (len(exact),))
        assert_close(value, exact, min(torch.finfo(dtype).eps, 2**-23), torch.finfo(dtype).eps)


def ball(number):
    """An Arb ball around a high-precision number, a little wider than its own rounding."""
    return arb(f"{mp.nstr(number, 60)} +/- {mp.nstr(abs(number) * mp.mpf(10) ** -58, 5)}")


@every
@pytest.mark.parametrize("name", NAMES)
def test_arb_contains_the_exact_value_and_all_values_of_a_wide_ball(name, w):
    with ctx.workprec(300):
        for point, exact in zip(points(w), reference(name, w), strict=True):
            value = FORMULAS[name](LIBRARY, *map(arb, point), w)
            assert value.overlaps(ball(exact)) and value.rad() < 1e-70
    for h, t, z in zip(H[::2], T, Z, strict=False):
        if arb(h, 0.25).contains(0) and weight(0.0, w) == 0:
            continue  # -inf is in no ball
        value = FORMULAS[name](LIBRARY, arb(h, 0.25), arb(t), arb(z), w)
        for inside in (h - 0.25, h, h + 0.25):
            assert value.overlaps(ball(FORMULAS[name](oracle, inside, t, z, w)))


@every
@pytest.mark.parametrize("radius", (1, 10, 1000, 1e6))
def test_a_ball_of_any_width_has_a_finite_enclosure(w, radius):
    """Where the weight is positive at 0; where it is 0, log w has no number there."""
    if math.isinf(log_weight(0.0, w)):
        return
    for center in (0.0, 0.75 * radius):
        ball = arb(center, radius)
        for function in (log_weight, weight, log_weight_ratio):
            enclosure = function(ball, w)
            assert enclosure.is_finite(), function
            for h in np.linspace(center - radius, center + radius, 9):
                assert enclosure.overlaps(function(arb(float(h)), w))


@every
def test_arb_series_and_autograd_give_the_derivative(w):
    for h in (-12.0, -2.5, -0.125, 0.5, 6.9375):
        for name in ("log_weight", "log_weight_ratio", "weight"):
            function = getattr(LIBRARY, name)
            with mp.workdps(oracle.DIGITS):
                exact = mp.diff(lambda x, name=name: getattr(oracle, name)(x, w), mp.mpf(h))
            with ctx.workprec(300):
                series = function(arb_series([h, 1], prec=2), w)
                assert series[1].overlaps(ball(exact)) and series[1].rad() < 1e-60
            x = torch.tensor(h, dtype=torch.float64, requires_grad=True)
            (slope,) = torch.autograd.grad(function(x, w), x)
            assert abs(mp.mpf(slope.item()) - exact) <= 1e-14 * (1 + abs(exact))


EXACT = {
    "published": PublishedWeight(MarginSchedule.class_defaults(exact=True)),
    "bounded ratio": BoundedRatioWeight(MarginSchedule.released(3, exact=True)),
    "target shaped": TargetShapedWeight(
        PowerTarget(sp.Integer(3), sp.Rational(1, 2), Fraction(3, 4))
    ),
    "efficient": EfficientWeight(MarginSchedule.class_defaults(exact=True)),
    "scaled": ScaledWeight(MarginSchedule.class_defaults(exact=True), Fraction(-3, 4)),
    "confidence": ConfidenceWeight(),
    "reward magnitude": RewardMagnitudeWeight(),
    "reward probability": RewardProbabilityWeight(),
}


@pytest.mark.parametrize("w", EXACT.values(), ids=EXACT.keys())
def test_sympy_to_fifty_digits(w):
    for name in ("log_weight", "log_weight_ratio", "weight", "effective_target", "pair_risk"):
        for point in list(zip(H, T, Z, strict=True))[1::3]:
            value = FORMULAS[name](LIBRARY, *(sp.Rational(Fraction(x)) for x in point), w)
            exact = FORMULAS[name](oracle, *point, w)
            with mp.workdps(60):
                assert abs(mp.mpf(str(sp.N(value, 60))) - exact) <= 1e-50 * (1 + abs(exact))


@pytest.mark.parametrize("function", (log_weight, log_weight_ratio), ids=lambda f: f.__name__)
@every
def test_accurate_to_1e_13_near_zero_at_tau_and_far_away(w, function):
    """And where the target itself is subtracted from the margin, to the roundings of the margin."""
    h = telling_margins(S, n=8)
    h = h[weight(h, w) > 0]
    exact = getattr(oracle, function.__name__)
    subtracts = "TargetShapedWeight" in repr(w)
    scaled = isinstance(w, ScaledWeight)
    for x, value in zip(h.tolist(), function(h, w).tolist(), strict=True):
        truth = exact(x, w)
        floor = 8 * EPS * abs(x) * subtracts + EPS * scaled + 1e-300
        assert abs(mp.mpf(value) - truth) <= 1e-13 * abs(truth) + floor


@every
@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16, torch.float64))
def test_values_and_gradients_are_finite_at_every_size(w, dtype):
    edges = [0.0, 3.0, 2.0, 1e-30, 87.0, 89.0, 104.0, 746.0, 1e4, 1e30]
    edges = [x for x in edges if weight(x, w) > 0]
    h = torch.tensor(edges + [-x for x in edges], dtype=dtype, requires_grad=True)
    for function in (weight, log_weight, log_weight_ratio):
        value = function(h, w)
        (slope,) = torch.autograd.grad(value.sum(), h)
        assert torch.isfinite(value).all() and torch.isfinite(slope).all()


# What each promises


@given(st.sampled_from(EVEN), margins(1e4), floats(-20.0, 20.0))
def test_c4_an_even_weight_is_alike_for_both_labels_and_moves_no_target(w, h, h_true):
    assert log_weight(h, w) == log_weight(-h, w)
    assert log_weight_ratio(h, w) == 0 and effective_target(h_true, h, w) == h_true


@pytest.mark.parametrize("w", EVEN, ids=repr)
def test_a_pair_without_confidence_is_left_out_and_no_step_leads_there(w):
    """w(0) = 0 with log w = -inf; next to it w is what it is of h."""
    for zero in (0.0, -0.0, np.zeros(()), torch.zeros((), dtype=torch.float64)):
        assert float(weight(zero, w)) == 0 and float(log_weight(zero, w)) == -math.inf
        assert float(log_weight_ratio(zero, w)) == 0
    assert log_weight(sp.Integer(0), w) == -sp.oo and weight(sp.Integer(0), w) == 0
    assert not log_weight(arb(0), w).is_finite()  # no ball holds it, and none claims to
    slope = 0.5 if isinstance(w, ConfidenceWeight) else 1.0
    for h in (1e-300, -1e-30, 1e-9):
        assert math.isclose(weight(h, w), slope * abs(h), rel_tol=1e-13)


@given(margins(1e4), floats(-20.0, 20.0))
def test_c4_a_label_believed_as_the_model_does_adds_its_margin(h, h_true):
    assert effective_target(h_true, h, RewardProbabilityWeight()) == h_true + h


TAILED = {name: w for name, w in WEIGHTINGS.items() if not name.endswith("c_min = 0")} | {
    "believed, scaled": ScaledWeight(RewardProbabilityWeight(), -2.0),
    "target shaped": TargetShapedWeight(PowerTarget(3.0, 0.1, 0.75)),
}


@pytest.mark.parametrize("w", TAILED.values(), ids=TAILED)
@pytest.mark.parametrize("quantity", QUANTITIES.values(), ids=QUANTITIES)
def test_no_margin_beyond_exceeds_what_a_tail_says(w, quantity):
    """And far out it says hardly more than what is reached."""
    for far in (0.5, 3.0, 20.0, 60.0):
        bound = w.tail(numpy_world, quantity.name, far)
        if bound is None or bound == math.inf:
            continue
        size = torch.linspace(far, far + 40, 400, dtype=torch.float64, requires_grad=True)
        reached = -math.inf
        for h in (size, -size)[: 1 + quantity.two_sided]:
            value = quantity.formula(torch_world, h, w) + 0 * h
            if quantity.derivative:
                (value,) = torch.autograd.grad(value.sum(), h)
            reached = max(reached, *(float((s * value.detach()).max()) for s in quantity.signs))
        assert reached <= bound + 1e-14 * abs(reached)  # some ulps of slopes and logarithms
        if far >= 20:
            assert bound <= reached + 0.97
            assert quantity.name != "weight_slope" or not reached or bound <= 3 * reached


def test_suprema_of_the_reward_models_probability():
    w = RewardProbabilityWeight()
    for name, exact in (("sensitivity", 1), ("target_slope_max", 2), ("weight_slope", 0.25)):
        found = supremum(QUANTITIES[name], w)
        assert found.tail and found.lower <= exact <= found.upper <= exact + 1e-6


@given(schedules(), margins(1e4))
@example(S, 2.0)
@example(MarginSchedule(2.0, 0.0, 1.0, 2.0), 1e4)
def test_n1_an_exact_reward_model_gives_c_h_everywhere(s, h):
    """Also beyond tau, where the published weight does not."""
    w = BoundedRatioWeight(s)
    target = coefficient(h, s) * h
    # The sum h + (c - 1) h is rounded to the size of h, which may be far above c h.
    assert abs(effective_target(h, h, w) - target) <= 8 * EPS * (abs(h) + abs(target))
    assert abs(target) <= abs(h) if abs(h) > s.tau * (1 + 4 * EPS) else True


@given(capped(), margins(1e4))
def test_n1_n2_the_larger_weight_of_the_two_labels_is_one(w, h):
    log_w = log_weight(h, w), log_weight(-h, w)
    assert max(log_w) == 0
    assert min(log_w) == -abs(log_weight_ratio(h, w))


@given(schedules(c_min=POSITIVE_C_MIN), floats(1.0, 100.0))
def test_n1_the_shift_is_not_bounded(s, multiple):
    """-delta = (1 - c) h grows with the margin at the rate 1 - c, in (0, 1 - c_min)."""
    h = s.tau * (1 + multiple)
    w = BoundedRatioWeight(s)
    fall = log_weight_ratio(h, w) - log_weight_ratio(2 * h, w)
    assert fall >= (1 - coefficient(h, s)) * h - 8 * EPS * h


def target_of(target, u):
    """A PowerTarget on floats; what the weights call it with is the world and a value of it."""
    from madpo_theory.ops import numpy_world

    return float(target(numpy_world, np.float64(u)))


@given(power_targets(), margins(1e3))
@example(TARGET, 3.0)
@example(TARGET, 0.0)
def test_n2_an_exact_reward_model_gives_the_target_odd_in_the_margin(target, h):
    w = TargetShapedWeight(target)
    expected = math.copysign(target_of(target, abs(h)), h)
    assert abs(effective_target(h, h, w) - expected) <= 4 * EPS * (abs(h) + abs(expected))
    assert effective_target(-h, -h, w) == -effective_target(h, h, w)


@given(power_targets(), floats(0.0, 1e3))
@example(TARGET, 0.0)
@example(TARGET, 3.0)
def test_n2_the_power_target_is_its_formula(target, u):
    exact = oracle.power_target(u, target)
    assert abs(mp.mpf(target_of(target, u)) - exact) <= 1e-13 * abs(exact)


@given(power_targets(), floats(1e-3, 0.999), floats(1.001, 100.0))
def test_n2_the_target_keeps_zero_and_tau_and_amplifies_left_of_tau_alone(target, inside, outside):
    assert target_of(target, 0.0) == 0
    assert math.isclose(target_of(target, target.tau), target.tau, rel_tol=4 * EPS)
    left, right = inside * target.tau, outside * target.tau
    assert target_of(target, left) >= left * (1 - 8 * EPS)
    assert target_of(target, right) <= right * (1 + 8 * EPS)
    with ctx.workprec(200):
        t = TargetShapedWeight(target)
        assert effective_target(arb(left), arb(left), t) > left
        assert effective_target(arb(right), arb(right), t) < right


@given(power_targets(), floats(0.0, 100.0), floats(1e-3, 10.0))
def test_n2_the_target_increases_and_bends_down(target, u, step):
    w = TargetShapedWeight(target)
    with ctx.workprec(200):
        low, middle, high = (
            effective_target(x, x, w) for x in (arb(u), arb(u) + arb(step), arb(u) + 2 * arb(step))
        )
        assert low < middle < high
        assert high - middle < middle - low


@given(power_targets())
def test_n2_the_slope_at_zero_is_finite_and_above_one(target):
    x = torch.tensor([0.0, 1e-300, -1e-300], dtype=torch.float64, requires_grad=True)
    (slopes,) = torch.autograd.grad(effective_target(x, x, TargetShapedWeight(target)).sum(), x)
    tau, gamma, smoothing = target.tau, target.gamma, target.smoothing
    k = tau / math.expm1(gamma * math.log1p(tau / smoothing))
    for slope in slopes.tolist():
        assert math.isclose(slope, k * gamma / smoothing, rel_tol=1e-12)
        assert slope > 1


def test_n2_without_smoothing_it_tends_to_the_power():
    target = PowerTarget(3.0, 0.5, 1e-12)
    for u in (0.01, 1.0, 3.0, 40.0):
        assert math.isclose(target_of(target, u), 3 * math.sqrt(u / 3), rel_tol=1e-4)


@given(floats(0.01, 50.0), floats(0.05, 0.9), floats(1e-6, 3.0))
@example(2.0, 0.5, 1e-9)
@example(2.0, 0.5, 2e-12)
@example(2.0, 0.1, 1e4)
@example(2.0, 0.5, 1e6)
@example(2.0, 0.99, 53.0)  # near what the exponent can reach before tau/smoothing overflows
@example(2.0, 0.999, 0.6)
def test_n2_with_slope_has_that_slope(tau, gamma, extra):
    """Up to the cancellation in the slope itself, which near 1 is all of it."""
    target = PowerTarget.with_slope(tau, gamma, 1 + extra)
    assert (target.tau, target.gamma) == (tau, gamma)
    with mp.workdps(50):
        t, g, s = map(mp.mpf, (target.tau, target.gamma, target.smoothing))
        slope = t * g / s / ((1 + t / s) ** g - 1)
        assert abs(slope - (1 + mp.mpf(extra))) <= 1e-12 * (1 + extra)


def test_n2_a_slope_that_no_target_has_is_refused():
    for flat in (1.0, 0.5, -2.0):
        with pytest.raises(ValueError, match=rf"slope = {flat} breaks the rule slope > 1"):
            PowerTarget.with_slope(2.0, 0.5, flat)
    with pytest.raises(ValueError, match=r"slope = 3.0 is out of reach at gamma = 0.999; lower"):
        PowerTarget.with_slope(2.0, 0.999, 3.0)
    with pytest.raises(ValueError, match=r"too close to 1; choose it above 1 \+ 1e-12"):
        PowerTarget.with_slope(2.0, 0.5, 1 + 2**-52)
    with pytest.raises(ValueError, match=r"gamma = 1.0 breaks the rule 0 < gamma < 1"):
        PowerTarget.with_slope(2.0, 1.0, 2.0)
    with pytest.raises(ValueError, match=r"tau = 0.0 breaks the rule tau > 0"):
        PowerTarget.with_slope(0.0, 0.5, 2.0)


def test_n2_any_odd_target_map_will_do():
    """A target with one slope everywhere: half the margin."""

    def half(xp, u):
        return u / 2

    for h in (-7.0, -0.5, 0.0, 2.0):
        assert effective_target(h, h, TargetShapedWeight(half)) == h / 2


bases = st.builds(PublishedWeight, schedules()) | capped()


@given(bases, margins(1e4), floats(-30.0, 30.0), floats(-5.0, 5.0))
def test_efficient_and_scaled_weights_keep_the_targets_of_their_base(base, h, h_true, scale):
    target = effective_target(h_true, h, base)
    assert effective_target(h_true, h, EfficientWeight(base)) == target
    assert effective_target(h_true, h, ScaledWeight(base, scale)) == target


@given(bases, floats(-30.0, 30.0))
@example(PublishedWeight(S), 2.0)
@example(BoundedRatioWeight(S), -5.0)
def test_n4_the_efficient_weight_is_its_two_formulas_within_its_bounds(base, h):
    """sigma(h) e^delta + sigma(-h), which is sigma(-h)/sigma(-T), within min(1/2, e^-D), e^D."""
    w = EfficientWeight(base)
    with ctx.workprec(2000):
        h = arb(h)
        delta, got = log_weight_ratio(h, base), weight(h, w)
        p, q = 1 / (1 + (-h).exp()), 1 / (1 + h.exp())
        assert got.overlaps(p * delta.exp() + q)
        assert got.overlaps(q * (1 + (h + delta).exp()))
        assert got.rad() < got * 1e-100
        size = abs(delta)
        assert (got - (-size).exp()).upper() >= 0 and (size.exp() - got).upper() >= 0


@given(bases, floats(-30.0, 30.0))
def test_n4_every_pair_has_the_curvature_of_its_variance(base, h):
    """a = b at an exact reward model: w w' sigma(T) sigma(-T) = p q/(p + q)."""
    w = EfficientWeight(base)
    with ctx.workprec(2000):
        h = arb(h)
        t, up, down = effective_target(h, h, w), weight(h, w), weight(-h, w)
        p, q = up / (1 + (-h).exp()), down / (1 + h.exp())
        variance = up * down / (1 + t.exp()) / (1 + (-t).exp())
        assert variance.overlaps(p * q / (p + q))
        assert variance.rad() < variance * 1e-100


@given(bases, margins(1e4), floats(-5.0, 5.0))
def test_a_scaled_weight_is_a_constant_times_its_base(base, h, scale):
    assert log_weight(h, ScaledWeight(base, scale)) == log_weight(h, base) + scale


@every
def test_mean_one_is_one_constant_that_makes_the_mean_of_the_data_one(w):
    data = [-7.5, -2.0, 0.0, 0.3, 4.0, 90.0]
    scaled = ScaledWeight.mean_one(w, data)
    assert scaled.base is w
    weights = weight(np.array(data), scaled)
    assert math.isclose(weights.mean(), 1.0, rel_tol=1e-14)
    alone = weight(np.array(data), w)
    np.testing.assert_allclose(weights, alone / alone.mean(), rtol=1e-13)
    assert ScaledWeight.mean_one(w, np.float32([4.0])).log_scale == -log_weight(4.0, w)


def test_mean_one_of_counted_margins_is_that_of_repeated_ones():
    margins, counts = np.array([-2.0, 0.5, 8.0]), [3, 1, 2]
    scaled = ScaledWeight.mean_one(S, margins, counts)
    repeated = ScaledWeight.mean_one(S, np.repeat(margins, counts))
    assert math.isclose(scaled.log_scale, repeated.log_scale, rel_tol=1e-13)
    for bad in ([1, 1], [1, 0, 1]):
        with pytest.raises(ValueError, match="counts must be > 0 and one for each of the 3"):
            ScaledWeight.mean_one(S, margins, bad)


def test_mean_one_does_not_underflow():
    """The weight e^-5000 of one disputed pair has a logarithm still."""
    scaled = ScaledWeight.mean_one(BoundedRatioWeight(MarginSchedule(2.0, 0.5, 1.0, 1e4)), [-5e3])
    assert math.isclose(scaled.log_scale, 5e3, rel_tol=1e-14)


# Distillation: the control that ignores the labels


@every
def test_n3_distillation_is_minimal_at_the_reward_models_target(w):
    for h in H:
        z = torch.tensor(effective_target(h, h, w) / 0.5, dtype=torch.float64, requires_grad=True)
        zero = torch.zeros((), dtype=torch.float64)
        h = torch.tensor(h, dtype=torch.float64)

        def loss(m, h=h, zero=zero):
            return distillation(m, zero, zero, zero, margin=h, weighting=w, beta=0.5)[0]

        (slope,) = torch.autograd.grad(loss(z), z)
        assert abs(slope) <= 4 * EPS
        assert loss(z.detach() - 0.1) > loss(z.detach()) < loss(z.detach() + 0.1)


@every
def test_n3_the_label_counts_for_nothing(w):
    for h, a, b in zip(H, T, Z, strict=True):
        loss, chosen, rejected = distillation(a, b, 0.5, 0.25, margin=h, weighting=w)
        swapped = distillation(b, a, 0.25, 0.5, margin=-h, weighting=w)
        assert math.isclose(loss, swapped[0], rel_tol=4 * EPS)
        assert (chosen, rejected) == (swapped[2], swapped[1])


def test_n3_no_gradient_flows_through_the_margin():
    logp = torch.ones(3, dtype=torch.float64, requires_grad=True)
    margin = torch.tensor([-3.0, 0.5, 4.0], dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(3, dtype=torch.float64)
    loss = distillation(logp, zero, zero, zero, margin=margin, weighting=S)[0].sum()
    in_logp, in_margin = torch.autograd.grad(loss, (logp, margin), allow_unused=True)
    assert in_margin is None and in_logp.abs().min() > 0


# The protocol


class Quadratic(Weighting):
    """A weight that defines its logarithm and nothing else."""

    def log_weight(self, xp, h):
        return h / 2 - h * h / 100


def test_a_weighting_needs_its_logarithm_alone():
    w = Quadratic()
    h = np.array([-3.0, 0.0, 0.5, 4.0])
    np.testing.assert_array_equal(log_weight(h, w), h / 2 - h * h / 100)
    np.testing.assert_allclose(log_weight_ratio(h, w), h, rtol=1e-15)
    np.testing.assert_allclose(weight(h, w), np.exp(h / 2 - h * h / 100), rtol=1e-15)
    np.testing.assert_allclose(effective_target(h, h, w), 2 * h, rtol=1e-15)
    with pytest.raises(TypeError, match="abstract"):
        Weighting()


@given(schedules(), margins(1e4))
def test_a_schedule_stands_for_its_published_weight(s, h):
    w = PublishedWeight(s)
    for function in (weight, log_weight, log_weight_ratio):
        assert function(h, w) == function(h, s)
    assert log_weight(h, EfficientWeight(s)) == log_weight(h, EfficientWeight(w))
    assert log_weight(h, ScaledWeight(s, 1.0)) == log_weight(h, ScaledWeight(w, 1.0))


@pytest.mark.parametrize("w", [*WEIGHTINGS.values(), TARGET], ids=[*WEIGHTINGS, "power target"])
def test_weights_are_immutable_comparable_and_hashable(w):
    name = next((field.name for field in dataclasses.fields(w)), "anything")
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(w, name, 1.0)
    same = dataclasses.replace(w)
    assert same is not w and same == w and {same, w} == {w}


@pytest.mark.parametrize("made", (BoundedRatioWeight, PublishedWeight))
@pytest.mark.parametrize("bad", (2.0, None, "schedule", TARGET, BoundedRatioWeight(S)), ids=str)
def test_a_weight_of_a_schedule_refuses_anything_else(made, bad):
    rule = rf"schedule must be a MarginSchedule, got {type(bad).__name__}; make one with"
    with pytest.raises(TypeError, match=rule):
        made(bad)


@pytest.mark.parametrize("bad", (2.0, None, "weight", TARGET, MarginSchedule), ids=str)
def test_what_is_no_weighting_is_refused(bad):
    rule = r"weighting must be a MarginSchedule .* or a Weighting, got .*; make one with"
    one = torch.ones(1)
    calls = (
        lambda: weight(1.0, bad),
        lambda: log_weight(1.0, bad),
        lambda: log_weight_ratio(1.0, bad),
        lambda: effective_target(1.0, 1.0, bad),
        lambda: pair_risk(1.0, 1.0, 1.0, bad),
        lambda: madpo(one, one, one, one, margin=one, weighting=bad),
        lambda: distillation(one, one, one, one, margin=one, weighting=bad),
        lambda: EfficientWeight(bad),
        lambda: ScaledWeight(bad, 1.0),
        lambda: ScaledWeight.mean_one(bad, [1.0]),
    )
    for call in calls:
        with pytest.raises(TypeError, match=rule):
            call()


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    (
        ("tau", 0.0, "tau > 0"),
        ("tau", -1.0, "tau > 0"),
        ("gamma", 0.0, "0 < gamma < 1"),
        ("gamma", 1.0, "0 < gamma < 1"),
        ("gamma", 1.5, "0 < gamma < 1"),
        ("gamma", -0.5, "0 < gamma < 1"),
        ("smoothing", 0.0, "smoothing > 0"),
        ("smoothing", -2, "smoothing > 0"),
    ),
)
def test_power_target_rules(name, value, rule):
    with pytest.raises(ValueError, match=rf"{name} = {value} breaks the rule {rule}"):
        PowerTarget(**{"tau": 3.0, "gamma": 0.5, "smoothing": 1.0, name: value})


@pytest.mark.parametrize("name", ("tau", "gamma", "smoothing"))
@pytest.mark.parametrize("value", (math.nan, math.inf))
def test_power_target_parameters_are_finite(name, value):
    with pytest.raises(ValueError, match=rf"{name} must be finite and real"):
        PowerTarget(**{"tau": 3.0, "gamma": 0.5, "smoothing": 1.0, name: value})


def test_other_bad_parameters_are_refused():
    with pytest.raises(TypeError, match=r"target must be a TargetMap .*got float"):
        TargetShapedWeight(3.0)
    with pytest.raises(ValueError, match=r"log_scale must be finite and real, got nan"):
        ScaledWeight(S, math.nan)
    for bad in ([], [[1.0]], 1.0):
        with pytest.raises(ValueError, match=r"margins must be 1-D with at least one entry, got"):
            ScaledWeight.mean_one(S, bad)
    with pytest.raises(ValueError, match=r"must be finite, got nan at index \(1,\)"):
        ScaledWeight.mean_one(S, [1.0, math.nan])
