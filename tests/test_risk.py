"""The pair risk: value, slope and curvature agree with each other and stay finite."""

import mpmath as mp
import oracle
import pytest
import torch
from formulas import SCHEDULES

from madpo_theory import pair_risk, risk_curvature, risk_slope

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
