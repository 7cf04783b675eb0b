"""Every formula in every number world against the textbook definition in 400 digits."""

from fractions import Fraction
from types import SimpleNamespace

import mpmath as mp
import numpy as np
import oracle
import pytest
import sympy as sp
import torch
from flint import arb, arb_series, ctx
from formulas import FORMULAS, LIBRARY, OF_MARGINS, SCHEDULES

from madpo_theory import MarginSchedule, coefficient, log_weight, log_weight_ratio, weight
from madpo_theory.ops import numpy_world, torch_world, world_of

DEVICES = ("cpu", *(["cuda"] if torch.cuda.is_available() else []))

# Values that every format down to bfloat16 holds exactly, on either side of 0 and of every tau.
H = (-12.0, -6.875, -2.5, -2.0, -0.125, 0.0, 0.5, 2.0, 3.25, 6.9375, 14.0)
T = (3.0, -1.5, 0.25, 7.0, -0.5, 1.0, -3.0, 5.0, 0.0, -8.0, 2.0)
Z = (1.0, -0.5, 4.0, -2.25, 0.0, 0.75, 9.0, -6.0, 2.0, 3.5, -1.0)

named = pytest.mark.parametrize("name", FORMULAS)
scheduled = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())


def reference(name, schedule):
    return [FORMULAS[name](oracle, *point, schedule) for point in zip(H, T, Z, strict=True)]


def assert_close(values, expected, working_eps, result_eps):
    """Within 16 roundings of the working format, then one rounding to the result's."""
    for value, exact in zip(values, expected, strict=True):
        allowed = (16 * working_eps + result_eps) * (1 + abs(exact))
        assert abs(mp.mpf(float(value)) - exact) <= allowed


@named
@scheduled
def test_floats(name, schedule):
    values = [FORMULAS[name](LIBRARY, *point, schedule) for point in zip(H, T, Z, strict=True)]
    assert {type(value) for value in values} == {float}
    assert_close(values, reference(name, schedule), 2**-52, 0)


@named
@scheduled
@pytest.mark.parametrize("dtype", (np.float64, np.float32, np.float16))
def test_numpy(name, schedule, dtype):
    h, t, z = (np.array(values, dtype) for values in (H, T, Z))
    value = FORMULAS[name](LIBRARY, h, t, z, schedule)
    assert (type(value), value.dtype, value.shape) == (np.ndarray, dtype, h.shape)
    working = min(np.finfo(dtype).eps, 2**-23)
    assert_close(value, reference(name, schedule), working, np.finfo(dtype).eps)


@named
@scheduled
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", (torch.float64, torch.float32, torch.float16, torch.bfloat16))
def test_torch(name, schedule, dtype, device):
    h, t, z = (torch.tensor(values, dtype=dtype, device=device) for values in (H, T, Z))
    value = FORMULAS[name](LIBRARY, h, t, z, schedule)
    assert (value.dtype, value.shape, value.device) == (dtype, h.shape, h.device)
    working = min(torch.finfo(dtype).eps, 2**-23)
    assert_close(value, reference(name, schedule), working, torch.finfo(dtype).eps)


@named
@pytest.mark.parametrize(
    "schedule", (MarginSchedule.released(3, exact=True), MarginSchedule.class_defaults(exact=True))
)
def test_sympy_to_fifty_digits(name, schedule):
    exactly = SimpleNamespace(**vars(LIBRARY) | {"beta": sp.Rational(1, 2)})
    for point in zip(H, T, Z, strict=True):
        value = FORMULAS[name](exactly, *(sp.Rational(Fraction(x)) for x in point), schedule)
        exact = FORMULAS[name](oracle, *point, schedule)
        assert isinstance(value, sp.Expr)
        with mp.workdps(60):
            assert abs(mp.mpf(str(sp.N(value, 60))) - exact) <= 1e-50 * (1 + abs(exact))


def ball(number):
    """An Arb ball around a high-precision number, a little wider than its own rounding."""
    return arb(f"{mp.nstr(number, 60)} +/- {mp.nstr(abs(number) * mp.mpf(10) ** -58, 5)}")


@pytest.fixture
def precise_balls():
    before, ctx.prec = ctx.prec, 300
    yield
    ctx.prec = before


@named
@scheduled
def test_arb_contains_the_exact_value(name, schedule, precise_balls):
    for point in zip(H, T, Z, strict=True):
        value = FORMULAS[name](LIBRARY, *map(arb, point), schedule)
        exact = ball(FORMULAS[name](oracle, *point, schedule))
        assert isinstance(value, arb)
        assert value.overlaps(exact)
        assert value.rad() < 1e-70


@named
@scheduled
def test_arb_of_a_wide_ball_contains_the_values_inside(name, schedule):
    for h, t, z in zip(H, T, Z, strict=True):
        value = FORMULAS[name](LIBRARY, arb(h, 0.25), arb(t), arb(z), schedule)
        for inside in (h - 0.25, h - 0.1, h, h + 0.2, h + 0.25):
            assert value.overlaps(ball(FORMULAS[name](oracle, inside, t, z, schedule)))


SMOOTH = (-12.0, -2.5, -0.125, 0.5, 6.9375)
FIRST_ARGUMENT = {name: f for name, f in OF_MARGINS.items() if "target" not in name}


@pytest.mark.parametrize("name", FIRST_ARGUMENT)
@pytest.mark.parametrize("h", SMOOTH)
@scheduled
def test_arb_series_and_autograd_give_the_derivative_in_h(name, h, schedule, precise_balls):
    formula, t, z = FORMULAS[name], 0.75, -0.5
    with mp.workdps(oracle.DIGITS):
        exact = mp.diff(lambda x: formula(oracle, x, t, z, schedule), mp.mpf(h))
    series = formula(LIBRARY, arb_series([h, 1], prec=2), arb(t), arb(z), schedule)
    assert isinstance(series, arb_series)
    assert series[1].overlaps(ball(exact))
    assert series[1].rad() < 1e-60

    x = torch.tensor(h, dtype=torch.float64, requires_grad=True)
    value = formula(LIBRARY, x, t, z, schedule)
    assert value.requires_grad
    (slope,) = torch.autograd.grad(value, x)
    assert abs(mp.mpf(slope.item()) - exact) <= 1e-14 * (1 + abs(exact))


@pytest.mark.parametrize("name", ("effective_target", "dpo_target", "ipo_target"))
def test_targets_have_the_derivative_in_the_true_margin(name):
    schedule = SCHEDULES["released 2"]
    exact = {"ipo_target": lambda t: (1 - mp.tanh(t / 2) ** 2) / 2}.get(name, lambda t: 1)
    for t in T:
        series = FORMULAS[name](LIBRARY, arb(1.5), arb_series([t, 1], prec=2), arb(0), schedule)
        assert abs(series[1] - ball(mp.mpf(exact(t)) * mp.mpf(1))) < 1e-12


@pytest.mark.parametrize("name", ("coefficient", "log_weight", "weight", "log_weight_ratio"))
def test_a_series_across_a_branch_point_encloses_both_slopes(name):
    schedule = SCHEDULES["class defaults"]
    for kink in (-2.0, 0.0, 2.0):
        series = FORMULAS[name](LIBRARY, arb_series([arb(kink, 1e-3), 1], prec=2), 0, 0, schedule)
        for side in (-1e-4, 1e-4):
            with mp.workdps(oracle.DIGITS):
                slope = mp.diff(
                    lambda x: FORMULAS[name](oracle, x, 0, 0, schedule), mp.mpf(kink) + side
                )
            assert series[1].contains(ball(slope))


def test_a_higher_derivative_across_a_branch_point_is_refused():
    with pytest.raises(ValueError, match="order 3 straddles a branch point"):
        log_weight(arb_series([arb(0, 1), 1, 0], prec=3), MarginSchedule())


@pytest.mark.parametrize("function", (coefficient, weight, log_weight, log_weight_ratio))
def test_shape_and_kind_are_the_arguments(function):
    s = MarginSchedule()
    assert type(function(3, s)) is float
    assert type(function(np.float32(3), s)) is np.float32
    assert type(function(np.array(3.0), s)) is np.float64
    assert function(np.ones((2, 0, 3)), s).shape == (2, 0, 3)
    assert function(np.arange(4), s).dtype == np.float64
    assert function(torch.ones(2, 3), s).shape == (2, 3)
    assert function(torch.tensor(1.0), s).shape == ()
    assert function(sp.Symbol("h", real=True), s).free_symbols == {sp.Symbol("h", real=True)}


def test_python_numbers_join_any_world():
    h = np.array([0.5, 2.0], np.float32)
    s = MarginSchedule()
    risk = LIBRARY.pair_risk(1.0, 2, h, s)
    assert risk.dtype == np.float32
    expected = [LIBRARY.pair_risk(1.0, 2, float(x), s) for x in h]
    np.testing.assert_allclose(risk, expected, rtol=1e-6)


def test_margins_broadcast():
    s = MarginSchedule()
    z, h = torch.linspace(-3, 3, 5)[:, None], torch.linspace(-9, 9, 7)
    risk = LIBRARY.pair_risk(z, h, h, s)
    assert risk.shape == (5, 7)
    assert risk[1, 2] == LIBRARY.pair_risk(z[1, 0], h[2], h[2], s)


def test_world_of_finds_the_shared_world():
    assert world_of(a=1.0, b=np.ones(2)) is numpy_world
    assert world_of(a=1, b=torch.ones(2)) is torch_world


EDGES = [-np.inf, -1e300, -800.0, -1e-300, 0.0, 1e-300, 800.0, 1e300, np.inf]
A = np.concatenate([np.linspace(-40, 40, 81), EDGES])


def test_softplus_is_exact_in_every_floating_world():
    """torch's own default returns x beyond 20, an error of 1e-10."""
    x = np.linspace(-60.0, 60.0, 121)
    exact = [oracle.ell(oracle.exact(-value)) for value in x.tolist()]
    for values in (numpy_world.softplus(x), torch_world.softplus(torch.from_numpy(x)).numpy()):
        assert max(map(oracle.relative_error, values.tolist(), exact)) < 1e-15


@pytest.mark.parametrize("k", (1e-3, 1.0, 99.0))
def test_stable_primitives_are_exact_and_never_overflow(k):
    with np.errstate(over="raise", invalid="raise", divide="raise"), mp.workdps(oracle.DIGITS):
        for a, got_l, got_m in zip(
            A, numpy_world.logistic(A, k), numpy_world.mobius_exp(A, k), strict=True
        ):
            e = mp.exp(mp.mpf(a)) if a < 1e4 else mp.inf
            logistic = 1 / (1 + k * e)
            mobius = (1 - e) / (1 + k * e) if a < 1e4 else -1 / mp.mpf(k)
            assert abs(got_l - logistic) <= 1e-15 * logistic + 1e-300
            assert abs(got_m - mobius) <= 1e-15 * abs(mobius) + 1e-300


def test_exp_difference_keeps_its_relative_accuracy():
    with mp.workdps(oracle.DIGITS):
        for a in (0.0, 1e-8, 1.0, 300.0):
            for x in (-a, -a / 3, -1e-12 * a, 0.0, 1e-300, 1e-9, 2.0, 1e300):
                exact = mp.exp(-mp.mpf(a)) * -mp.expm1(-mp.mpf(x))
                got = numpy_world.exp_difference(a, a + x, x)
                assert abs(got - exact) <= 1e-13 * abs(exact) + 1e-300
