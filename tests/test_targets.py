"""Effective targets and how far a reward model moves them: numbers, gradients, extremes."""

import math

import numpy as np
import oracle
import pytest
import sympy as sp
import torch
from flint import arb
from formulas import SCHEDULES
from scipy.optimize import brentq

from madpo_theory import (
    BoundedRatioWeight,
    MarginSchedule,
    dpo_target,
    effective_target,
    influence_bound,
    ipo_target,
    log_weight_ratio,
    risk_slope,
)

RELEASED = MarginSchedule.released()
scheduled = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())


def exact_model_target(h, schedule):
    return effective_target(h, h, schedule)


@pytest.mark.parametrize("h_true", (-4.0, 0.0, 0.7, 3.0))
@pytest.mark.parametrize("h_model", (-5.0, -1.0, 0.0, 2.0, 6.9, 7.5))
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
def test_a_root_finder_on_the_risk_slope_finds_the_target(schedule, h_true, h_model):
    found = brentq(lambda z: risk_slope(z, h_true, h_model, schedule), -60, 60, xtol=1e-12)
    assert math.isclose(found, effective_target(h_true, h_model, schedule), abs_tol=1e-8)


def test_t3_dampening_at_the_released_defaults_never_exceeds_0_0052_nats():
    h = np.linspace(RELEASED.tau, 60.0, 200_001)
    dampening = h - exact_model_target(h, RELEASED)
    assert (dampening >= 0).all()
    assert 0.0051 < dampening.max() < 0.0052


def test_t5_released_target_rises_to_8_33_and_falls_back_before_tau():
    h = np.linspace(0.0, RELEASED.tau, 100_001)
    target = exact_model_target(h, RELEASED)
    assert math.isclose(target.max(), 8.33, abs_tol=5e-3)
    assert math.isclose(h[target.argmax()], 5.26, abs_tol=5e-3)
    assert math.isclose(target[-1], RELEASED.tau, rel_tol=1e-12)


def test_t5_the_condition_at_tau_is_not_sufficient():
    c_max, c_min, lam, tau = 7.1637, 0.9666, 1.28006, 6.49202
    schedule = MarginSchedule(c_max, c_min, lam, tau)
    assert lam * tau * (c_max - 1) * (1 - c_min) / (c_max - c_min) <= 1
    h = torch.linspace(1e-3, tau - 1e-3, 40_001, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(exact_model_target(h, schedule).sum(), h)
    assert math.isclose(slope.min().item(), -2.36, abs_tol=5e-3)


def test_dpo_target_is_the_true_margin():
    h = np.array([-3.0, 0.0, 1e30], np.float32)
    np.testing.assert_array_equal(dpo_target(h), h)


def test_ipo_target_minimizes_the_population_loss():
    """B2: sigma(h)(m - 1/2b)^2 + sigma(-h)(m + 1/2b)^2 has its minimum at tanh(h/2)/(2b)."""
    for h, beta in ((0.3, 0.1), (-2.0, 0.5), (40.0, 1.0)):
        p, a = float(oracle.sigma(h)), 1 / (2 * beta)
        assert math.isclose(ipo_target(h, beta), p * a - (1 - p) * a, abs_tol=1e-12)


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16))
def test_targets_are_finite_with_finite_gradients_at_every_size(dtype):
    h = torch.tensor([0.0, 2.0, -2.0, 1e4, -1e4, 1e30, -1e30], dtype=dtype, requires_grad=True)
    s = MarginSchedule.class_defaults()
    for value in (effective_target(h, -h, s), dpo_target(h), ipo_target(h, 0.1)):
        (slope,) = torch.autograd.grad(value.sum(), h)
        assert torch.isfinite(value).all() and torch.isfinite(slope).all()


def test_gradcheck():
    t, h = torch.randn(2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t.requires_grad_(), h.requires_grad_()
    assert torch.autograd.gradcheck(lambda t, h: effective_target(t, h, RELEASED), (t, h))
    assert torch.autograd.gradcheck(lambda t: ipo_target(t, 0.3), t)
    assert torch.autograd.gradcheck(dpo_target, t)


# --- the influence bound, in every world of its parameters, against a search ---


@scheduled
def test_influence_bound_is_the_textbook_value(schedule):
    amplified = (schedule.c_max - 1) * schedule.tau
    dampened = math.log(1 + math.exp(-schedule.c_min * schedule.tau))
    bound = influence_bound(schedule)
    assert isinstance(bound, float)
    assert math.isclose(bound, max(amplified, dampened), rel_tol=1e-15)


def test_influence_bound_is_dampening_where_amplification_is_slight():
    assert math.isclose(
        influence_bound(MarginSchedule(1.001, 0.5, 1.0, 0.1)), math.log1p(math.exp(-0.05))
    )


def test_the_influence_bound_lives_in_the_world_of_the_parameters():
    exact = influence_bound(MarginSchedule.released(exact=True))
    assert math.isclose(float(exact), influence_bound(MarginSchedule.released()), rel_tol=1e-15)
    digits = influence_bound(MarginSchedule(*map(sp.Float, ("2", "0.5", "1", "2"), (40,) * 4)))
    assert isinstance(digits, sp.Expr) and abs(digits - 2) < 1e-35
    ball = influence_bound(MarginSchedule(arb(2), arb("0.5"), arb(1), arb(2)))
    assert isinstance(ball, arb) and ball.overlaps(arb(2))


def test_r2_supremum_at_the_defaults_is_3_475():
    delta = np.abs(log_weight_ratio(np.linspace(-60.0, 60.0, 1_200_001), MarginSchedule.released()))
    assert math.isclose(delta.max(), 3.475, abs_tol=5e-4)


def test_r1_steepest_slope_at_the_defaults_is_2_30677():
    h = torch.linspace(-30, 30, 120_001, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(log_weight_ratio(h, MarginSchedule.released()).sum(), h)
    assert math.isclose(slope.abs().max().item(), 2.306766, abs_tol=1e-6 + 1e-6)


def test_the_influence_bound_is_of_a_schedule():
    with pytest.raises(
        TypeError, match="schedule must be a MarginSchedule, got BoundedRatioWeight"
    ):
        influence_bound(BoundedRatioWeight(RELEASED))
