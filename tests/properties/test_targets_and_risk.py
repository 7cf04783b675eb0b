"""Statements T1-T6, L1, R2, B1-B3, over all valid schedules."""

import math
from fractions import Fraction

import torch
from flint import arb, ctx
from hypothesis import assume, example, given
from hypothesis import strategies as st
from strategies import POSITIVE_C_MIN, floats, scheduled_margins, schedules

from madpo_theory import (
    MarginSchedule,
    coefficient,
    dpo_target,
    effective_target,
    influence_bound,
    ipo_target,
    log_weight_ratio,
    pair_risk,
    risk_curvature,
    risk_slope,
    weight,
)
from madpo_theory.losses import beta_dpo_beta, dpo, ipo, madpo
from madpo_theory.schedule import excess

EPS = 2**-52
RELEASED, CLASS_DEFAULTS = MarginSchedule.released(), MarginSchedule.class_defaults()
true_margins = floats(-30.0, 30.0)
logits = floats(-30.0, 30.0)


def sigma(x):
    return 1 / (1 + math.exp(-x))


@given(scheduled_margins(bound=12.0), true_margins, floats(1e-3, 5.0))
@example((RELEASED, -RELEASED.tau), 3.0, 1e-3)
@example((RELEASED, 0.0), 0.0, 1e-3)
@example((MarginSchedule(100.0, 0.0, 20.0, 11.0), -10.9), -30.0, 1e-3)
def test_t1_the_target_is_the_strict_minimizer_of_the_pair_risk(case, h_true, step):
    s, h = case
    with ctx.workprec(4000):  # enough bits to see the curvature e^-(c_max 12) beside 1
        t, h = arb(h_true), arb(max(-12.0, min(h, 12.0)))
        z = effective_target(t, h, s)
        assert risk_slope(z, t, h, s).contains(0)
        assert risk_slope(z - step, t, h, s) < 0 < risk_slope(z + step, t, h, s)
        assert risk_curvature(z, t, h, s) > 0
        minimum = pair_risk(z, t, h, s)
        assert pair_risk(z - step, t, h, s) > minimum
        assert pair_risk(z + step, t, h, s) > minimum


@given(scheduled_margins(bound=20.0, c_min=POSITIVE_C_MIN), floats(-8.0, 8.0), logits)
def test_t1_the_pair_risk_is_the_expected_training_loss(case, h_true, z):
    """What `madpo` averages to over the two labels, swapped responses and margins included."""
    s, h = case
    one = madpo(z / 0.5, 0.0, 0.0, 0.0, margin=h, weighting=s, beta=0.5)[0]
    other = madpo(0.0, z / 0.5, 0.0, 0.0, margin=-h, weighting=s, beta=0.5)[0]
    expected = sigma(h_true) * one + sigma(-h_true) * other
    assert math.isclose(pair_risk(z, h_true, h, s), expected, rel_tol=1e-12)


@given(schedules(), floats(-0.9999, 0.9999))
@example(RELEASED, 0.0)
def test_t2_an_exact_reward_model_inside_tau_amplifies_to_c_h(s, share):
    h = share * s.tau
    z = effective_target(h, h, s)
    assert math.isclose(z, coefficient(h, s) * h, rel_tol=1e-13, abs_tol=1e-300)
    assert abs(z) >= abs(h)


@given(schedules(), floats(1.0, 100.0))
@example(RELEASED, 1.0)
@example(MarginSchedule(2.0, 0.0, 1.0, 2.0), 100.0)
def test_t3_an_exact_reward_model_beyond_tau_dampens_by_less_than_log_2(s, multiple):
    """By -delta(h), not to c h: less than log(1 + e^-(c_min tau))."""
    h = multiple * s.tau
    dampening = -log_weight_ratio(h, s)
    bound = math.log1p(math.exp(-s.c_min * s.tau))
    assert 0 <= dampening <= bound * (1 + 4 * EPS)
    assert bound <= math.log(2)
    assert math.isclose(effective_target(h, h, s), h - dampening, rel_tol=4 * EPS)


@given(schedules(c_min=POSITIVE_C_MIN), floats(1.0, 1e4))
def test_t3_dampening_vanishes_with_the_margin_where_c_min_is_positive(s, h):
    assert -log_weight_ratio(s.tau + h, s) <= math.exp(-s.c_min * (s.tau + h)) * (1 + 1e-12)


def test_t3_with_c_min_zero_dampening_tends_to_log_2_instead():
    """c u -> 0: sigma(c h) returns to 1/2. The vanishing needs c_min > 0."""
    s = MarginSchedule(2.0, 0.0, 1.0, 2.0)
    assert math.isclose(-log_weight_ratio(60.0, s), math.log(2), rel_tol=1e-12)


@given(schedules(), floats(-0.9999, 0.9999), true_margins)
def test_t4_inside_tau_the_reward_model_enters_as_c_minus_one_times_its_margin(s, share, h_true):
    h = share * s.tau
    expected = h_true + excess(h, s) * h
    scale = abs(h_true) + s.c_max * s.tau
    assert abs(effective_target(h_true, h, s) - expected) <= 8 * EPS * scale


@given(schedules(), floats(1e-3, 0.9999))
@example(RELEASED, 0.9999)
def test_t5_slope_of_the_target_inside_tau(s, share):
    """T' = c + u c'; at tau it is 1 - lam tau kappa'."""
    u = share * s.tau
    x = torch.tensor([u, math.nextafter(s.tau, 0)], dtype=torch.float64, requires_grad=True)
    slope, at_tau = torch.autograd.grad(effective_target(x, x, s).sum(), x)[0].tolist()
    c = coefficient(u, s)
    fall = s.lam * (c - s.c_min) * (s.c_max - c) / (s.c_max - s.c_min)
    scale = s.c_max * (1 + s.lam * s.tau)
    assert abs(slope - (c - u * fall)) <= 1e-13 * scale
    steepness = (s.c_max - 1) * (1 - s.c_min) / (s.c_max - s.c_min)
    assert abs(at_tau - (1 - s.lam * s.tau * steepness)) <= 1e-12 * scale


@given(schedules(), floats(-0.9999, 0.9999))
def test_t6_the_first_step_signal_is_that_of_the_tempered_label(s, share):
    h = share * s.tau
    c = coefficient(h, s)
    first = risk_slope(0.0, h, h, s)
    assert abs(first + math.tanh(c * h / 2) / 2) <= 16 * EPS
    assert abs(first) >= abs(math.tanh(h / 2)) / 2 - 16 * EPS
    assert abs(first) <= c * abs(math.tanh(h / 2)) / 2 + 16 * EPS * c


@given(scheduled_margins(bound=100.0), true_margins, logits)
@example((RELEASED, -RELEASED.tau), 0.0, 0.0)
def test_swapping_the_labels_leaves_the_pair_risk_unchanged(case, h_true, z):
    s, h = case
    assert math.isclose(
        pair_risk(z, h_true, h, s), pair_risk(-z, -h_true, -h, s), rel_tol=1e-14, abs_tol=1e-300
    )


@given(scheduled_margins(bound=100.0), true_margins, logits)
@example((RELEASED, 2.0), 1.0, 0.0)
@example((RELEASED, RELEASED.tau), -30.0, 30.0)
def test_l1_slope_curvature_and_third_derivative(case, h_true, z):
    """|R'| <= max(p, q), 0 < R'' <= (p + q)/4, |R'''| <= R''."""
    s, h = case
    p, q = sigma(h_true) * weight(h, s), sigma(-h_true) * weight(-h, s)
    x = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(pair_risk(x, h_true, h, s), x, create_graph=True)
    curvature = risk_curvature(x, h_true, h, s)
    (third,) = torch.autograd.grad(curvature, x)
    slack = 1 + 16 * EPS
    assert abs(first.item()) <= max(p, q) * slack
    assert 0 < curvature.item() <= (p + q) / 4 * slack
    assert abs(third.item()) <= curvature.item() * slack


@given(scheduled_margins(bound=100.0), true_margins, floats(0.01, 30.0), floats(-1.0, 1.0))
def test_l1_strong_convexity_on_a_bounded_interval(case, h_true, bound, share):
    s, h = case
    p, q = sigma(h_true) * weight(h, s), sigma(-h_true) * weight(-h, s)
    modulus = (p + q) * sigma(bound) * sigma(-bound)
    assert risk_curvature(share * bound, h_true, h, s) >= modulus * (1 - 16 * EPS)


@given(scheduled_margins(), true_margins)
@example((RELEASED, 4.7), 0.0)
@example((MarginSchedule(1.001, 0.0, 1.0, 0.01), 1e4), 0.0)
def test_r2_no_reward_model_moves_a_target_by_more_than_the_influence_bound(case, h_true):
    s, h = case
    bound = influence_bound(s) * (1 + 8 * EPS)
    assert abs(log_weight_ratio(h, s)) <= bound
    moved = abs(effective_target(h_true, h, s) - h_true)
    assert moved <= bound + 4 * EPS * (abs(h_true) + bound)


@given(true_margins, floats(1e-3, 5.0))
@example(0.0, 1e-3)
def test_b1_dpo_sends_a_pair_to_its_true_margin(h_true, step):
    """Strictly lower expected DPO loss at z = h* than at either side."""
    t = arb(h_true)

    def risk(z):
        one, other = dpo(z, arb(0), arb(0), arb(0), beta=1), dpo(arb(0), z, arb(0), arb(0), beta=1)
        return one[0] / (1 + (-t).exp()) + other[0] / (1 + t.exp())

    with ctx.workprec(300):
        z = dpo_target(t)
        assert risk(z - step) > risk(z) and risk(z + step) > risk(z)


@given(floats(-1e4, 1e4), floats(0.01, 10.0))
@example(0.0, 0.1)
@example(1e4, 0.1)
def test_b2_ipo_has_a_bounded_target_however_large_the_margin(h_true, beta):
    assert abs(ipo_target(h_true, beta)) <= 1 / (2 * beta)
    m = torch.tensor(ipo_target(h_true, beta), dtype=torch.float64, requires_grad=True)
    zero = torch.zeros((), dtype=torch.float64)
    p = 1 / (1 + math.exp(-max(h_true, -700.0)))
    risk = (
        p * ipo(m, zero, zero, zero, beta=beta)[0]
        + (1 - p) * (ipo(zero, m, zero, zero, beta=beta)[0])
    )
    (slope,) = torch.autograd.grad(risk, m)
    assert abs(slope.item()) <= 16 * EPS / beta


@given(floats(-50.0, 50.0), floats(-5.0, 5.0), floats(0.05, 3.0), floats(0.01, 2.0))
@example(-2.0, 0.0, 0.6, 0.1)
def test_b3_the_temperature_is_negative_iff_the_mean_is_below_m0_minus_1_over_alpha(
    mean, running, alpha, beta
):
    gap = 1 + Fraction(alpha) * (Fraction(mean) - Fraction(running))
    assume(abs(gap) > 1e-12)
    values = {"beta": beta, "alpha": alpha, "running_mean": running}
    assert (beta_dpo_beta(mean, variant="madpo", **values) < 0) == (gap < 0)
    assert beta_dpo_beta(mean, variant="authors", **values) >= 1e-3


@given(st.lists(floats(0.1, 8.0), min_size=2, max_size=6), floats(0.05, 4.0))
def test_b4_one_temperature_scales_all_targets_of_a_batch_alike(h, beta):
    """At batch temperature beta every pair is stationary at m = h/beta: the ratios never move."""
    t = torch.tensor(h, dtype=torch.float64)
    m = (t / beta).requires_grad_()
    zero = torch.zeros_like(t)
    risk = (
        torch.sigmoid(t) * dpo(m, zero, zero, zero, beta=beta)[0]
        + torch.sigmoid(-t) * (dpo(zero, m, zero, zero, beta=beta)[0])
    )
    (slope,) = torch.autograd.grad(risk.sum(), m)
    assert slope.abs().max() <= 16 * EPS * beta
