"""The influence bound, in every world of its parameters, against a search."""

import math

import numpy as np
import pytest
import sympy as sp
import torch
from flint import arb
from formulas import SCHEDULES

from madpo_theory import MarginSchedule, influence_bound, log_weight_ratio

scheduled = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())


@scheduled
def test_textbook_value(schedule):
    amplified = (schedule.c_max - 1) * schedule.tau
    dampened = math.log(1 + math.exp(-schedule.c_min * schedule.tau))
    bound = influence_bound(schedule)
    assert isinstance(bound, float)
    assert math.isclose(bound, max(amplified, dampened), rel_tol=1e-15)


def test_dampening_dominates_where_amplification_is_slight():
    assert math.isclose(
        influence_bound(MarginSchedule(1.001, 0.5, 1.0, 0.1)), math.log1p(math.exp(-0.05))
    )


def test_the_bound_lives_in_the_world_of_the_parameters():
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
