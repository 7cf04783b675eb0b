"""The weight: accuracy to the last digits, gradients, extremes."""

import math

import mpmath as mp
import numpy as np
import oracle
import pytest
import torch
from formulas import SCHEDULES
from hypothesis import example, given
from oracle import relative_error
from strategies import telling_margins

from madpo_theory import MarginSchedule, coefficient, log_weight, log_weight_ratio, weight
from madpo_theory.claims.settings import scheduled_margins

FUNCTIONS = (weight, log_weight, log_weight_ratio)
named = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
scheduled = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())


@named
@scheduled
def test_accurate_to_1e_13(function, schedule):
    exact = getattr(oracle, function.__name__)
    h = telling_margins(schedule)
    errors = [
        relative_error(value, exact(x, schedule))
        for x, value in zip(h.tolist(), function(h, schedule), strict=True)
    ]
    assert max(errors) < 1e-13


@pytest.mark.parametrize("function", (log_weight, log_weight_ratio), ids=lambda f: f.__name__)
@given(case=scheduled_margins(1e4, lam=(0.05, 20)))  # see below for slower ones
@example(case=(MarginSchedule(3.0, 1 / 3, 1.0, math.log(999)), 1732.8362715592368))
@example(case=(MarginSchedule(2.0, 0.5, 1.0, 2.0), 1400.0))
@example(case=(MarginSchedule(2.0, 0.0, 1.0, 2.0), 1e4))
@example(case=(MarginSchedule(2.0, 0.5, 1.0, 2.0), 1e-300))
@example(case=(MarginSchedule(2.0, 0.5, 1.0, 2.0), -math.nextafter(2.0, 0.0)))
def test_accurate_for_every_schedule(function, case):
    schedule, h = case
    exact = getattr(oracle, function.__name__)(h, schedule)
    assert relative_error(function(h, schedule), exact) < 1e-13


def test_a_slow_schedule_loses_only_what_the_rounding_of_c_costs():
    """lam < 0.05 and c h > 500: log w ~ e^-ch inherits c h times the error of c, no more."""
    worst = 0.0
    for lam in (0.01, 0.0168, 0.03):
        schedule = MarginSchedule(1.35, 0.2785195835846189, lam, 94.5)
        for h in np.linspace(1800.0, 2640.0, 300).tolist():
            error = relative_error(log_weight(h, schedule), oracle.log_weight(h, schedule))
            assert error < 3 * coefficient(h, schedule) * h * 2**-52
            worst = max(worst, error)
    assert worst < 2e-13


@scheduled
def test_exactly_zero_and_one_where_the_definition_is(schedule):
    tau = schedule.tau
    for h in (0.0, -0.0, -tau, tau, math.nextafter(-tau, -math.inf), -1e4):
        assert log_weight(h, schedule) == 0 and weight(h, schedule) == 1


@named
@scheduled
@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16, torch.float64))
def test_values_and_gradients_are_finite_at_every_size(function, schedule, dtype):
    edges = [0.0, schedule.tau, 2.0, 1e-30, 87.0, 89.0, 104.0, 746.0, 1e4, 1e30, 3e38]
    h = torch.tensor(edges + [-x for x in edges], dtype=dtype, requires_grad=True)
    value = function(h, schedule)
    (slope,) = torch.autograd.grad(value.sum(), h)
    assert torch.isfinite(value).all() and torch.isfinite(slope).all()


@named
def test_the_most_extreme_valid_schedules_stay_finite(function):
    for schedule in (
        MarginSchedule(1e8, 1 - 2**-53, 1e8, 1e8),
        MarginSchedule(1 + 2**-52, 0.0, 1e-300, 1e-300),
        MarginSchedule(1e8, 0.0, 1e8, 1e-300),
    ):
        x = torch.tensor([0.0, 1e-30, 1.0, -1e8, 1e8, 1e15], requires_grad=True)
        value = function(x, schedule)
        (slope,) = torch.autograd.grad(value.sum(), x)
        assert torch.isfinite(value).all() and torch.isfinite(slope).all()


@pytest.mark.parametrize("function", (weight, log_weight), ids=lambda f: f.__name__)
@pytest.mark.parametrize("h", (-9.0, -1.9, -0.3, 0.0, 0.4, 2.0, 30.0))
def test_gradcheck_where_both_slopes_agree(function, h):
    """Smooth even at 0 and tau; the only kink is -tau."""
    x = torch.tensor([h], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: function(x, MarginSchedule.class_defaults()), x)


@pytest.mark.parametrize("h", (-9.0, -2.1, -0.3, 0.0, 0.4, 1.9, 30.0))
def test_gradcheck_of_the_ratio(h):
    x = torch.tensor([h], dtype=torch.float64, requires_grad=True)
    schedule = MarginSchedule.class_defaults()
    assert torch.autograd.gradcheck(lambda x: log_weight_ratio(x, schedule), x)


@scheduled
def test_slopes_on_either_side_of_the_kink(schedule):
    """S2: at -tau the right slope of w is -sigma(tau) lam tau kappa', the left one 0."""
    c_max, c_min, lam, tau = schedule.c_max, schedule.c_min, schedule.lam, schedule.tau
    steepness = (c_max - 1) * (1 - c_min) / (c_max - c_min)
    expected = -lam * tau * steepness / (1 + math.exp(-tau))
    x = torch.tensor([-tau, math.nextafter(-tau, 0.0)], dtype=torch.float64, requires_grad=True)
    left, right = torch.autograd.grad(weight(x, schedule).sum(), x)[0].tolist()
    assert left == 0
    assert math.isclose(right, expected, rel_tol=1e-12)


def test_the_naive_ratio_of_sigmoids_fails_where_this_one_does_not():
    """The published ratio is 0/0 in float32 below h = -104 (tau = 200); log_weight is not."""
    schedule, h = MarginSchedule(2.0, 0.5, 1.0, 200.0), torch.tensor(-110.0)
    assert torch.isnan(torch.sigmoid(coefficient(h, schedule) * h) / torch.sigmoid(h))
    exact = oracle.log_weight(-110.0, schedule)
    assert abs(mp.mpf(log_weight(h, schedule).item()) - exact) < 1e-6 * abs(exact)


RANGES = (
    (MarginSchedule.released(2), 0.0313, 1.206),
    (MarginSchedule.class_defaults(), 0.7546, 1.103),
    (MarginSchedule(4.0, 0.25, 1.0, 7.0), 7.40e-5, 1.419),
)


@pytest.mark.parametrize(("schedule", "low", "high"), RANGES)
def test_range_of_the_weight_as_stated_in_s3(schedule, low, high):
    w = weight(np.linspace(-20.0, 20.0, 400_001), schedule)
    assert math.isclose(w.min(), low, rel_tol=2e-3)
    assert math.isclose(w.max(), high, rel_tol=5e-4)
