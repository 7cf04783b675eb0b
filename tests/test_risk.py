"""The pair risk: value, slope and curvature agree with each other and stay finite."""

import math

import mpmath as mp
import numpy as np
import oracle
import pytest
import torch
from formulas import SCHEDULES
from hypothesis import given
from strategies import floats

from madpo_theory import pair_risk, risk_curvature, risk_slope
from madpo_theory.ops import numpy_world, torch_world
from madpo_theory.risk import (
    damping,
    distance,
    logistic_curvature,
    logistic_risk,
    logistic_slope,
)
from madpo_theory.simulate.solve.kernel import _pair
from madpo_theory.simulate.solve.newton import _slopes

scheduled = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
FUNCTIONS = (pair_risk, risk_slope, risk_curvature)


def grid():
    """(z, h_true, h_model) in float64, none of them at a kink."""
    z, t = torch.linspace(-8, 8, 9, dtype=torch.float64), torch.linspace(-5, 5, 5).double()
    h = torch.tensor([-7.5, -2.3, -0.4, 0.6, 2.2, 9.0], dtype=torch.float64)
    z, t, h = (x.flatten() for x in torch.meshgrid(z, t, h, indexing="ij"))
    return z, t, h


@scheduled
def test_slope_and_curvature_are_the_derivatives_of_the_risk(schedule):
    z, t, h = grid()
    z.requires_grad_()
    (slope,) = torch.autograd.grad(pair_risk(z, t, h, schedule).sum(), z, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), z)
    torch.testing.assert_close(slope, risk_slope(z, t, h, schedule), rtol=0, atol=1e-15)
    torch.testing.assert_close(curvature, risk_curvature(z, t, h, schedule), rtol=0, atol=1e-15)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_gradcheck(function):
    values = [x[::7].clone().requires_grad_() for x in grid()]
    schedule = SCHEDULES["class defaults"]
    assert torch.autograd.gradcheck(lambda z, t, h: function(z, t, h, schedule), values)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16))
def test_finite_with_finite_gradients_at_every_size(function, dtype):
    edges = torch.tensor([0.0, 2.0, -2.0, 90.0, -90.0, 1e4, -1e4, 1e30, -1e30], dtype=dtype)
    z, t, h = (
        x.flatten().requires_grad_() for x in torch.meshgrid(edges, edges, edges, indexing="ij")
    )
    value = function(z, t, h, SCHEDULES["class defaults"])
    slopes = torch.autograd.grad(value.sum(), (z, t, h))
    assert all(torch.isfinite(x).all() for x in (value, *slopes))


@pytest.mark.parametrize("z", (-700.0, -1e4, 700.0, 1e4))
def test_risk_is_exact_far_from_the_minimum(z):
    schedule = SCHEDULES["released 2"]
    exact = oracle.pair_risk(z, 1.0, 2.0, schedule)
    assert abs(mp.mpf(pair_risk(z, 1.0, 2.0, schedule)) - exact) < 1e-14 * exact


# ---------------------------------------------------------------------------- the logistic core

OFFSETS = [None, (0.7, -0.7), (1.3, 1.3), (-2.0, 5.0)]


@pytest.mark.parametrize("offsets", OFFSETS, ids=str)
def test_slope_and_curvature_of_the_core_are_its_derivatives(offsets):
    z = torch.linspace(-30, 30, 121, dtype=torch.float64, requires_grad=True)
    value = logistic_risk(torch_world, z, 0.3, 1.7, offsets)
    (slope,) = torch.autograd.grad(value.sum(), z, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), z, create_graph=True)
    (third,) = torch.autograd.grad(curvature.sum(), z)
    close = {"rtol": 1e-13, "atol": 1e-15}
    torch.testing.assert_close(slope, logistic_slope(torch_world, z, 0.3, 1.7, offsets), **close)
    bend = logistic_curvature(torch_world, z, 0.3, 1.7, offsets)
    torch.testing.assert_close(curvature, bend, **close)
    assert (third.abs() <= curvature * (1 + 1e-14)).all()


@pytest.mark.parametrize("offsets", OFFSETS, ids=str)
def test_the_solvers_restate_the_core(offsets):
    """Compiled, in place in torch, and here: to a few ulp of either term."""
    rng = np.random.default_rng(3)
    z, p, q = 40 * rng.normal(size=500), *np.exp(3 * rng.normal(size=(2, 500)))
    up, down = offsets or (0.0, 0.0)
    powers = math.exp(up), math.exp(-down)
    compiled = np.array(
        [_pair(*of_pair, *powers) for of_pair in zip(np.exp(-z), p, q, strict=True)]
    ).T
    rows = [torch.tensor(values)[:, None] for values in (z, p, q, p + q)]
    moved = (
        None
        if offsets is None
        else tuple(torch.full((500, 1), x, dtype=torch.float64) for x in offsets)
    )
    in_torch = [found.numpy()[:, 0] for found in _slopes(*rows, moved)]
    first = -logistic_slope(numpy_world, z, p, 0.0, offsets)
    second = logistic_slope(numpy_world, z, 0.0, q, offsets)
    bend = logistic_curvature(numpy_world, z, p, q, offsets)
    for found in (compiled, in_torch):
        for ours, theirs in zip(found, (second, first, bend), strict=True):
            # and to what the sums z - up and z + down round
            assert (np.abs(ours - theirs) <= (2e-15 + 1.2e-16 * np.abs(z)) * np.abs(theirs)).all()


@pytest.mark.parametrize("xp", [numpy_world, torch_world], ids=lambda xp: xp.__name__)
def test_damping_and_distance(xp):
    lift = np.asarray if xp is numpy_world else lambda x: torch.tensor(x, dtype=torch.float64)
    shares = damping(xp, lift([0.0, 0.5, 1.0, math.e**3 - 1]))
    np.testing.assert_allclose(shares, [1, 1, 1, 3 / (math.e**3 - 1)], rtol=1e-15)
    slopes, curvatures = lift([0.0, 0.1, 0.5, 2.0, 0.1, 0.0]), lift([1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
    found = distance(xp, slopes, curvatures, 2.0)
    expected = [0, -math.log(0.8) / 2, math.inf, math.inf, math.inf, math.inf]
    np.testing.assert_allclose(found, expected, rtol=1e-15)


@given(floats(-6, 6), floats(-6, 6), floats(-8, 8))
def test_the_distance_reaches_the_minimizer_and_the_damped_step_lowers_the_loss(up, down, z):
    p, q, offsets = 0.7, 0.2, (up, down)
    slope = logistic_slope(numpy_world, z, p, q, offsets)
    bend = logistic_curvature(numpy_world, z, p, q, offsets)
    step = -slope / bend
    moved = z + float(damping(numpy_world, abs(step))) * step
    before, after = (logistic_risk(numpy_world, x, p, q, offsets) for x in (z, moved))
    assert after <= before * (1 + 1e-15)
    radius = float(distance(numpy_world, abs(slope), bend, 1.0))
    if math.isfinite(radius):  # the slope changes sign within it
        edge = logistic_slope(numpy_world, z + math.copysign(radius, step), p, q, offsets)
        assert edge * slope <= 1e-12
