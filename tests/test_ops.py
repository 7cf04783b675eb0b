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
from madpo_theory.ops import arb_world, numpy_world, sympy_world, torch_world, world_of
from madpo_theory.schedule import excess

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
@pytest.mark.parametrize("dtype", (torch.float64, torch.float32, torch.float16, torch.bfloat16))
def test_torch(name, schedule, dtype):
    agrees_in_torch(name, schedule, dtype, "cpu")


@named
def test_torch_on_a_card(name, card):
    agrees_in_torch(name, SCHEDULES["released 2"], torch.float32, card)


def agrees_in_torch(name, schedule, dtype, device):
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


@pytest.mark.filterwarnings("ignore:overflow encountered")  # of an e^a whose inverse is meant
@pytest.mark.parametrize(
    "schedule",
    (
        MarginSchedule.released(2, exact=True),
        MarginSchedule(sp.Integer(4), sp.Rational(1, 4), sp.Integer(1), sp.Integer(900)),
        MarginSchedule(sp.Integer(4), sp.Integer(0), sp.Integer(300), sp.Integer(3)),
    ),
)
def test_a_compiled_expression_is_the_formula_at_every_margin(schedule):
    """SymPy's expression, compiled for NumPy, where e^|h| or e^(lam tau) leave float64."""
    h = np.array([-1e8, -1e4, -800, -709.9, -3, 0, 1e-300, 1, 6.9, 30, 709.9, 800, 1e4, 1e8])
    symbol = sp.Symbol("h", real=True)
    for function in (coefficient, excess, log_weight, log_weight_ratio, weight):
        compiled = sp.lambdify(symbol, function(symbol, schedule), "numpy")
        # The textbook's form cancels: c u is known to 1e-16 of itself, and so is a target.
        near = pytest.approx(function(h, schedule), rel=1e-13, abs=1e-15 * 900)
        assert compiled(h) == near, function


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


@pytest.mark.parametrize("name", ("coefficient", "log_weight", "ipo_target", "dpo", "madpo"))
def test_a_public_function_has_the_name_and_the_words_of_its_formula(name):
    """And its arguments, without the world: what help() shows is what one calls."""
    function = getattr(LIBRARY, name)
    assert function.__name__ == name
    assert function.__doc__ and function.__doc__ == function.formula.__doc__
    taken = [*function.formula.__signature__.parameters] if name in ("dpo", "madpo") else None
    parameters = [*function.__signature__.parameters]
    assert "xp" not in parameters and (taken is None or ["xp", *parameters] == taken)


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


# The primitives, one by one: their textbook values in 400 digits, and points to try them at. The
# last point of those with branches lies on the branch.
PRIMITIVES = {
    "exp": (mp.exp, [(-3.5,), (0.0,), (1.25,)]),
    "expm1": (mp.expm1, [(-3.5,), (2.0**-40,), (1.25,)]),
    "log": (mp.log, [(0.25,), (1.0,), (7.5,)]),
    "log1p": (lambda x: mp.log(1 + x), [(-0.75,), (2.0**-40,), (7.5,)]),
    "tanh": (mp.tanh, [(-2.5,), (0.5,), (3.0,)]),
    "sigmoid": (oracle.sigma, [(-30.0,), (0.5,), (3.0,)]),
    "softplus": (lambda x: oracle.ell(-x), [(-30.0,), (0.5,), (25.0,)]),
    "minimum": (min, [(1.0, 2.0), (2.0, -1.0), (3.0, 3.0)]),
    "exp_difference": (
        lambda a, b, x: mp.exp(-a) - mp.exp(-b),
        [(1.0, 3.0, 2.0), (3.0, 1.0, -2.0), (0.0, 0.5, 0.5), (2.0, 2.0, 0.0)],
    ),
    "logistic": (lambda a, k: 1 / (1 + k * mp.exp(a)), [(-2.0, 3.0), (0.0, 0.5), (4.0, 0.25)]),
    "mobius_exp": (
        lambda a, k: (1 - mp.exp(a)) / (1 + k * mp.exp(a)),
        [(-2.0, 3.0), (0.0, 0.5), (4.0, 0.25)],
    ),
    "stop_gradient": (lambda x: x, [(2.5,)]),
    "where_greater": (
        lambda x, threshold, above, below: above if x > threshold else below,
        [(2.0, 1.0, 5.0, 7.0), (0.0, 1.0, 5.0, 7.0), (-2.0, -2.0, 7.0, 7.0)],
    ),
}
WORLDS = {
    "numpy": (numpy_world, np.float64),
    "torch": (torch_world, lambda x: torch.tensor(x, dtype=torch.float64)),
    "sympy": (sympy_world, lambda x: sp.Rational(Fraction(x))),
    "arb": (arb_world, arb),
    "arb series": (arb_world, lambda x: arb_series([x], prec=2)),
}


def digits_of(value):
    """A value of any world as a high-precision number."""
    value = value[0] if isinstance(value, arb_series) else value
    if isinstance(value, arb):
        return mp.mpf(value.str(60, radius=False))
    return mp.mpf(str(sp.N(value, 60))) if isinstance(value, sp.Basic) else mp.mpf(float(value))


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_primitive_is_its_definition_in_every_world(name, world, precise_balls):
    xp, lift = WORLDS[world]
    definition, points = PRIMITIVES[name]
    for point in points:
        value = getattr(xp, name)(*map(lift, point))
        with mp.workdps(oracle.DIGITS):
            value = digits_of(value)
            exact = mp.mpf(definition(*map(mp.mpf, point)))
            rounding = 1e-15 if world in ("numpy", "torch") else 1e-50
            assert abs(value - exact) <= rounding * abs(exact)


@pytest.mark.parametrize("world", ("numpy", "torch", "sympy"))
def test_on_the_threshold_itself_the_lower_branch_is_taken(world):
    xp, lift = WORLDS[world]
    assert xp.where_greater(*map(lift, (1.0, 1.0, 5.0, 7.0))) == 7


def test_a_ball_that_touches_the_threshold_from_above_counts_as_above():
    """Its one-sided slope is the one wanted there; the formulas are continuous."""
    five, seven = arb(5), arb(7)
    for x, result in ((arb(2), five), (arb(1), five), (arb(0), seven)):
        assert arb_world.where_greater(x, 1, five, seven) == result
        series = arb_series([x, 1], prec=2)
        assert arb_world.where_greater(series, 1, five, seven) == result
        assert arb_world.where_greater(series, arb_series([1], prec=2), five, seven) == result


def test_a_ball_across_the_threshold_gets_the_hull_of_both_branches():
    hull = arb_world.where_greater(arb(1, 0.5), 1, arb(5), arb(7))
    assert hull.contains(arb(5)) and hull.contains(arb(7)) and hull.rad() < 1.01
    series = arb_world.where_greater(
        arb_series([arb(1, 0.5), 1], prec=2),
        1,
        arb_series([5, 2], prec=2),
        arb_series([7, -2], prec=2),
    )
    assert series.prec == 2
    for value, (low, high) in zip(series, ((5, 7), (-2, 2)), strict=True):
        assert value.contains(low) and value.contains(high)
        assert value.rad() <= (high - low) / 2 * 1.01


def test_a_series_without_a_derivative_may_straddle_a_branch_point():
    x = arb_series([arb(1, 0.5)], prec=1)
    value = arb_world.where_greater(x, 1, arb_series([5], prec=1), arb_series([7], prec=1))
    assert value.prec == 1 and value[0].contains(5) and value[0].contains(7)


def test_a_bad_ball_has_no_index_and_a_bad_coefficient_has():
    with pytest.raises(ValueError, match=r"h must be finite, got nan; drop"):
        log_weight(arb("nan"), MarginSchedule())
    with pytest.raises(ValueError, match=r"h must be finite, got nan at index 1; drop"):
        log_weight(arb_series([1, arb("nan")], prec=2), MarginSchedule())


def test_a_series_beside_a_constant_branch_stays_a_series():
    x = arb_series([arb(1, 0.5), 1], prec=2)
    value = arb_world.where_greater(x, 1, x, arb(1))
    assert isinstance(value, arb_series)
    assert value[0].contains(arb(1.5)) and value[1].contains(0) and value[1].contains(1)
    assert isinstance(arb_world.minimum(x, 1), arb_series)


MONOTONE = {
    "sigmoid": (arb_world.sigmoid, oracle.sigma),
    "softplus": (arb_world.softplus, lambda x: oracle.ell(-x)),
    "logistic": (lambda x: arb_world.logistic(x, 3), lambda x: 1 / (1 + 3 * mp.exp(x))),
    "mobius_exp": (
        lambda x: arb_world.mobius_exp(x, 3),
        lambda x: (1 - mp.exp(x)) / (1 + 3 * mp.exp(x)),
    ),
}


@pytest.mark.parametrize("name", MONOTONE)
def test_a_monotone_primitive_of_a_wide_ball_is_the_hull_of_its_ends(name, precise_balls):
    """Neither narrower than the values inside nor wider than those at the ends."""
    function, definition = MONOTONE[name]
    for middle, radius in ((0, 1), (3, 2.5), (-20, 15), (700, 650)):
        value = function(arb(middle, radius))
        with mp.workdps(oracle.DIGITS):
            low, high = sorted(definition(mp.mpf(middle) + side * radius) for side in (-1, 1))
        assert value.overlaps(ball(low)) and value.overlaps(ball(high))
        assert value.contains(function(arb(middle)))
        assert float(value.rad()) <= float((high - low) / 2) * (1 + 1e-6) + 1e-300


SERIES = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "softplus")


@pytest.mark.parametrize("name", (*SERIES, "logistic", "mobius_exp", "exp_difference"))
def test_a_power_series_carries_the_derivative(name, precise_balls):
    definition, points = PRIMITIVES[name]
    for point in points:
        x, rest = point[0], point[1:]
        value = getattr(arb_world, name)(arb_series([x, 1], prec=3), *map(arb, rest))
        with mp.workdps(oracle.DIGITS):
            exact = mp.diff(lambda t, rest=rest: definition(t, *rest), mp.mpf(x))
        if name != "exp_difference":  # there b and x are given besides, and a moves alone
            assert value[1].overlaps(ball(exact)) and value[1].rad() < 1e-50


@pytest.mark.parametrize(
    ("parameter", "exact"),
    (
        (arb(3), 3),
        (Fraction(-2, 7), mp.mpf(-2) / 7),
        (sp.Rational(3, 7), mp.mpf(3) / 7),
        (sp.Integer(2) + sp.log(5), None),
        (3 * sp.log(5) * sp.log(7), None),
        (sp.sqrt(2), None),
        (sp.Integer(2) ** sp.log(3), None),
        (sp.exp(sp.Rational(1, 3)) - sp.log(2) / 3, None),
        (0.375, mp.mpf(3) / 8),
        (2, 2),
    ),
    ids=str,
)
def test_a_parameter_becomes_a_ball_around_its_exact_value(parameter, exact, precise_balls):
    with mp.workdps(80):
        exact = mp.mpf(str(sp.N(parameter, 80))) if exact is None else mp.mpf(exact)
        if isinstance(parameter, Fraction | sp.Rational):
            exact = mp.mpf(int(parameter.numerator)) / int(parameter.denominator)
        value = arb_world.number(parameter, arb(0))
        assert isinstance(value, arb)
        assert value.overlaps(ball(exact)) and value.rad() < 1e-80


def test_values_of_three_worlds_are_refused_by_two_of_their_names():
    with pytest.raises(TypeError, match=r"b lives in numpy and c in torch; convert one"):
        world_of(a=1.0, b=np.ones(2), c=torch.ones(2), d=arb(1))


def test_losses_of_arrays_refuse_shapes_that_would_broadcast():
    one = np.ones(3)
    for bad in (np.ones((3, 1)), np.ones(2), 1.0):
        with pytest.raises(ValueError, match=r"one shape, got policy_chosen_logps: \(3,\)"):
            LIBRARY.dpo(one, bad, one, one)
    assert LIBRARY.dpo(one, one, one, one)[0].shape == (3,)


@pytest.mark.parametrize("lift", (np.array, torch.tensor))
def test_the_first_of_several_bad_entries_is_named(lift):
    h = lift([[0.0, np.nan], [np.inf, np.nan]])
    with pytest.raises(ValueError, match=r"h must be finite, got nan at index \(0, 1\)"):
        log_weight(h, MarginSchedule())


def test_expressions_are_refused_only_where_sympy_knows_them_not_to_be_finite_and_real():
    s = MarginSchedule.class_defaults(exact=True)
    x = sp.Symbol("x")  # SymPy knows nothing of it
    assert sp.Symbol("x") in coefficient(x, s).free_symbols
    symbols = (sp.Symbol("i", imaginary=True), sp.Symbol("n", infinite=True))
    for bad in (sp.I, sp.sqrt(-2), sp.nan, sp.oo, -sp.oo, sp.zoo, *symbols):
        with pytest.raises(ValueError, match=r"h must be a finite real expression, got .*real=Tr"):
            coefficient(bad, s)


def test_a_decided_branch_of_an_expression_is_taken_and_an_undecided_one_kept():
    x = sp.Symbol("x", real=True)
    kept = sympy_world.where_greater(x, 1, sp.Integer(5), sp.Integer(7))
    assert isinstance(kept, sp.Piecewise)
    assert [kept.subs(x, value) for value in (2, 1, 0)] == [5, 7, 7]


def test_integers_count_as_float64():
    s = MarginSchedule()
    assert log_weight(np.array([1, 2]), s).dtype == np.float64
    assert LIBRARY.pair_risk(np.array([1, 2]), np.array([0.5, 1.0]), 0, s).dtype == np.float64
    assert LIBRARY.pair_risk(np.arange(2, dtype=np.uint8), 0.5, 0, s).dtype == np.float64


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


@pytest.mark.parametrize("at", (-3.0, -1e-3, 0.0, 0.5, 20.0))
def test_hyperbolic_functions_of_a_series_have_their_derivatives(at, precise_balls):
    x, exact = arb_series([at, 1], prec=3), mp.mpf(at)
    sinh, asinh, tanh = (getattr(arb_world, name)(x) for name in ("sinh", "asinh", "tanh"))
    for found, terms in (
        (sinh, (mp.sinh(exact), mp.cosh(exact), mp.sinh(exact) / 2)),
        (asinh, (mp.asinh(exact), (1 + exact**2) ** -0.5, -exact * (1 + exact**2) ** -1.5 / 2)),
        (tanh, (mp.tanh(exact), mp.sech(exact) ** 2, -mp.tanh(exact) * mp.sech(exact) ** 2)),
    ):
        for k, term in enumerate(terms):
            assert abs(found[k] - ball(term)) < 1e-12 * (1 + abs(float(term)))
