"""The coefficient: accuracy, gradients, and the schedule object."""

import dataclasses
import math
from fractions import Fraction

import numpy as np
import oracle
import pytest
import sympy as sp
import torch
from formulas import SCHEDULES
from hypothesis import example, given
from hypothesis import strategies as st
from oracle import relative_error
from strategies import telling_margins

from madpo_theory import BoundedRatioWeight, MarginSchedule, coefficient
from madpo_theory.claims.settings import POSITIVE_C_MIN, scheduled_margins
from madpo_theory.ops import numpy_world
from madpo_theory.schedule import excess, stretch


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
def test_coefficient_is_accurate_to_1e_13(schedule):
    h = telling_margins(schedule)
    errors = [
        relative_error(c, oracle.coefficient(x, schedule))
        for x, c in zip(h.tolist(), coefficient(h, schedule), strict=True)
    ]
    assert max(errors) < 1e-13


@given(scheduled_margins(1e4, c_min=POSITIVE_C_MIN))
@example((MarginSchedule(1.001, 0.999, 20.0, 0.01), 0.01))
@example((MarginSchedule(100.0, 1e-3, 0.05, 100.0), -1e4))
def test_coefficient_is_accurate_for_every_schedule(case):
    schedule, h = case
    assert relative_error(coefficient(h, schedule), oracle.coefficient(h, schedule)) < 1e-13


@given(scheduled_margins(1e4))
@example((MarginSchedule(2.0, 0.0, 1.0, 2.0), 1e4))
def test_excess_is_accurate_where_coefficient_minus_one_cancels(case):
    schedule, h = case
    assert relative_error(excess(h, schedule), oracle.excess(h, schedule)) < 1e-13


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16, torch.float64))
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
def test_values_and_gradients_are_finite_at_every_size(schedule, dtype):
    edges = [0.0, schedule.tau, 2.0, 1e-30, 88.0, 104.0, 746.0, 1e4, 1e30]
    h = torch.tensor(edges + [-x for x in edges], dtype=dtype, requires_grad=True)
    value = coefficient(h, schedule)
    (slope,) = torch.autograd.grad(value.sum(), h)
    assert torch.isfinite(value).all() and torch.isfinite(slope).all()
    assert (value >= schedule.c_min).all() and (value <= schedule.c_max).all()


@pytest.mark.parametrize("h", (-9.0, -2.0, -0.3, 0.4, 2.0, 30.0))
def test_gradcheck(h):
    x = torch.tensor([h], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: coefficient(x, MarginSchedule.class_defaults()), x)


def test_numpy_warns_of_nothing_it_can_represent():
    """Overflow or an invalid operation would be a defect; underflow to zero is the limit itself."""
    h = np.array([0.0, 2.0, 1e4, 1e30], np.float32)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        values = coefficient(np.concatenate([h, -h]), MarginSchedule(1e8, 0.0, 1e8, 1e8))
    assert np.isfinite(values).all()


def test_the_most_extreme_valid_schedules_stay_finite():
    extremes = [
        MarginSchedule(1e8, 1 - 2**-53, 1e8, 1e8),
        MarginSchedule(1 + 2**-52, 0.0, 1e-300, 1e-300),
        MarginSchedule(1e8, 0.0, 1e8, 1e-300),
    ]
    for schedule in extremes:
        x = torch.tensor([0.0, 1e-30, 1.0, -1e8, 1e8, 1e15], requires_grad=True)
        value = coefficient(x, schedule)
        (slope,) = torch.autograd.grad(value.sum(), x)
        assert torch.isfinite(value).all() and torch.isfinite(slope).all()


def test_released_settings():
    assert (
        MarginSchedule.released()
        == MarginSchedule()
        == MarginSchedule(c_max=2.0, c_min=0.5, lam=1.0, tau=math.log(999))
    )
    assert MarginSchedule.released(4).c_min == 0.25
    assert MarginSchedule.class_defaults() == MarginSchedule(2.0, 0.5, 1.0, 2.0)


def test_exactness_is_asked_for_by_name():
    for made in (
        lambda: MarginSchedule.released(2, True),
        lambda: MarginSchedule.class_defaults(1),
    ):
        with pytest.raises(TypeError, match="positional"):
            made()
    assert MarginSchedule.released(c_max=4).c_max == 4


def test_exact_settings_are_the_released_ones_unrounded():
    exact = MarginSchedule.released(3, exact=True)
    assert (exact.c_min, exact.tau) == (Fraction(1, 3), sp.log(999))
    assert MarginSchedule.class_defaults(exact=True).c_min == Fraction(1, 2)
    assert math.isclose(coefficient(1.5, exact), coefficient(1.5, MarginSchedule.released(3)))


def test_a_schedule_is_immutable_and_hashable():
    schedule = MarginSchedule()
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.tau = 3.0
    assert {schedule, MarginSchedule()} == {schedule}


def test_symbolic_parameters_are_accepted_undecided():
    c_max, tau = sp.symbols("c_max tau", positive=True)
    h = sp.Symbol("h", positive=True)
    c = coefficient(h, MarginSchedule(c_max, sp.Rational(1, 2), 1, tau))
    assert sp.simplify(c.subs(h, tau)) == 1


@pytest.mark.parametrize("function", (coefficient, excess), ids=lambda f: f.__name__)
def test_a_coefficient_is_of_a_schedule(function):
    with pytest.raises(
        TypeError, match="schedule must be a MarginSchedule, got BoundedRatioWeight"
    ):
        function(1.0, BoundedRatioWeight(MarginSchedule()))


@given(
    c_max=st.floats(1.01, 20), c_min=st.floats(0, 0.95), lam=st.floats(0.05, 10),
    tau=st.floats(0.05, 20), far=st.floats(0.01, 60), beyond=st.floats(0, 60),
)  # fmt: skip
@example(c_max=2.0, c_min=0.5, lam=1.0, tau=2.0, far=2.5, beyond=0.0)
def test_stretch_bounds_the_slope_of_the_coefficient(c_max, c_min, lam, tau, far, beyond):
    schedule = MarginSchedule(c_max, c_min, lam, tau)
    bound = stretch(numpy_world, far, schedule)
    assert (bound is None) == (far <= tau or lam * far < 1)
    if bound is not None:
        u = torch.tensor(far + beyond, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(coefficient(u, schedule), u)
        # The slope of c is rounded as c is, relative to c_max - c_min.
        assert u.item() * abs(slope.item()) <= bound * (1 + 1e-9) + 1e-12
