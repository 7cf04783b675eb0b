"""Information per pair, the efficient weight, and when the effective sample size is right."""

import math

import mpmath as mp
import numpy as np
import pytest
import torch
from flint import arb
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import expit
from strategies import GENTLE, SEEDS, floats

from madpo_theory import MarginSchedule, effective_target, log_weight_ratio, weight
from madpo_theory.claims.settings import margins, schedules
from madpo_theory.risk import risk_curvature
from madpo_theory.theory.efficiency import (
    effective_sample_size,
    efficient_covariance,
    pair_information,
    target_covariance,
)
from madpo_theory.theory.linear import LinearRisk, fit_linear, population_covariance, sandwich

S = MarginSchedule.released()
BETA = 0.3


def scaled_pair(h, delta, scale):
    """(a, b) at an exact reward model of the weight scale * e^(+-delta/2), by definition."""
    up, down = scale * np.exp(delta / 2), scale * np.exp(-delta / 2)
    p, q = expit(h) * up, expit(-h) * down
    z = h + delta
    mean_square = expit(h) * (up * expit(-z)) ** 2 + expit(-h) * (down * expit(z)) ** 2
    return p * q / (p + q), mean_square


@given(schedules(), margins(30.0), margins(30.0))
def test_curvature_and_variance_are_those_of_the_loss_at_the_target(s, h, h_model):
    a, b = pair_information(h, h_model, s)
    z = effective_target(h, h_model, s)
    up, down = weight(h_model, s), weight(-h_model, s)
    assume(min(a, b) > 1e-290)  # below, they have fewer digits or none
    # Rounding of z, h and the log weights, up to 700 nats and so 1.1e-13 each, is exponentiated.
    tolerance = 1e-12
    assert math.isclose(a, risk_curvature(z, h, h_model, s), rel_tol=tolerance)
    square = expit(h) * (up * expit(-z)) ** 2 + expit(-h) * (down * expit(z)) ** 2
    assert math.isclose(b, square, rel_tol=tolerance)


@given(schedules(), margins(100.0), margins(100.0))
def test_information_does_not_depend_on_the_weight_or_the_reward_model(s, h, h_model):
    a, b = pair_information(h, h_model, s)
    exact = float(mp.exp(-mp.mpf(h)) / (1 + mp.exp(-mp.mpf(h))) ** 2)
    assume(min(a, b) > 1e-290)  # below, they have fewer digits or none
    # Logarithms of up to 700 nats are rounded to 1.1e-13 each before they are exponentiated.
    assert math.isclose(a * (a / b), exact, rel_tol=1e-12)


def test_golden_values():
    a, b = pair_information(1.5, 1.5, MarginSchedule(2.0, 0.5, 1.0, 1e6))  # c = 2 throughout
    assert math.isclose(a, 0.04517665973091213, rel_tol=1e-14)  # sigma(3) sigma(-3), as A = 1
    assert math.isclose(a**2 / b, 0.14914645207033286, rel_tol=1e-14)  # sigma(1.5) sigma(-1.5)
    assert pair_information(0.0, 0.0, S) == (0.25, 0.25)


def test_every_world_and_dtype():
    exact = pair_information(0.7, -1.9, S)
    ball = pair_information(arb(0.7), arb(-1.9), MarginSchedule.released(exact=True))
    tensors = pair_information(torch.tensor([0.7]), torch.tensor([-1.9]), S)
    for value, enclosure, tensor in zip(exact, ball, tensors, strict=True):
        assert isinstance(value, float) and tensor.dtype == torch.float32
        assert math.isclose(float(enclosure), value, rel_tol=1e-14)
        assert math.isclose(tensor.item(), value, rel_tol=1e-6)


@pytest.mark.parametrize("h", (-1e4, 1e4))
@pytest.mark.parametrize("h_model", (-1e4, 1e4))
def test_huge_margins_underflow_to_zero_and_never_to_nan(h, h_model):
    assert pair_information(h, h_model, S) == (0.0, 0.0)


@given(GENTLE, SEEDS)
def test_no_weight_beats_the_efficient_covariance(s, seed):
    rng = np.random.default_rng(seed)
    features, truth = rng.normal(size=(10, 3)), rng.normal(0, 2, 10)
    worse = target_covariance(features, truth, truth + rng.normal(0, 2, 10), s, beta=BETA)
    best = efficient_covariance(features, truth, beta=BETA)
    factor = np.linalg.inv(np.linalg.cholesky(worse))
    # Rounding of 3 x 3 solves with condition numbers up to 1e4.
    assert np.linalg.eigvalsh(factor @ best @ factor.T)[-1] <= 1 + 1e-9


@given(SEEDS)
def test_any_positive_scale_per_pair_does_no_better(seed):
    rng = np.random.default_rng(seed)
    features, h = rng.normal(size=(9, 2)), rng.normal(0, 2, 9)
    a, b = scaled_pair(h, log_weight_ratio(h, S), rng.lognormal(0, 1, 9))
    worse, best = sandwich(features, a, b), efficient_covariance(features, h)
    factor = np.linalg.inv(np.linalg.cholesky(worse))
    values = np.linalg.eigvalsh(factor @ best @ factor.T)
    assert values[-1] <= 1 + 1e-9
    assert values[0] < 0.999  # random scales on a design that does not split lose something


@given(GENTLE, SEEDS)
def test_the_efficient_weight_attains_it(s, seed):
    rng = np.random.default_rng(seed)
    features, h = rng.normal(size=(9, 2)), rng.normal(0, 2, 9)
    delta = log_weight_ratio(h, s)
    efficient = expit(h) * np.exp(delta) + expit(-h)
    np.testing.assert_allclose(efficient, expit(-h) / expit(-(h + delta)), rtol=1e-12)
    a, b = scaled_pair(h, delta, efficient * np.exp(-delta / 2))
    np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_allclose(sandwich(features, a, b), efficient_covariance(features, h), 1e-10)


@given(SEEDS)
def test_a_design_that_splits_is_efficient_at_any_scale_of_its_parts(seed):
    """b proportional to a is not necessary: one parameter a pair, and every weight is efficient."""
    rng = np.random.default_rng(seed)
    h = rng.normal(0, 2, 4)
    a, b = scaled_pair(h, log_weight_ratio(h, S), rng.lognormal(0, 1, 4))
    np.testing.assert_allclose(
        sandwich(np.eye(4), a, b), efficient_covariance(np.eye(4), h), rtol=1e-12, atol=1e-300
    )


@pytest.mark.parametrize("design", ("fixed", "random"))
def test_target_covariance_is_the_populations_where_the_targets_are_met(design):
    rng = np.random.default_rng(3)
    features, theta = rng.normal(size=(8, 2)), np.array([4.0, -3.0])
    model = rng.normal(0, 2, 8)
    h = BETA * features @ theta - log_weight_ratio(model, S)  # margins whose targets are met
    fit = fit_linear(LinearRisk.expected(features, h, model, S, beta=BETA))
    np.testing.assert_allclose(fit.theta, theta, rtol=1e-8)  # known to 1e-9 nats of each z
    np.testing.assert_allclose(
        population_covariance(features, h, model, S, theta, beta=BETA, design=design),
        target_covariance(features, h, model, S, beta=BETA),
        rtol=1e-12,
    )


def test_effective_sample_size():
    assert effective_sample_size([1.0, 1.0, 1.0, 1.0]) == 4.0
    assert effective_sample_size([1.0, 0.0, 0.0]) == 1.0
    assert math.isclose(effective_sample_size([1, 2, 3]), 36 / 14, rel_tol=1e-15)
    assert effective_sample_size(np.full(5, 1e-200)) == 5.0


def test_counted_weights_are_repeated_weights():
    weights, counts = [0.5, 2.0, 3.0], [3, 0, 2]
    repeated = effective_sample_size(np.repeat(weights, counts))
    assert math.isclose(effective_sample_size(weights, counts), repeated, rel_tol=1e-15)
    with pytest.raises(ValueError, match="counts must be >= 0, got -1"):
        effective_sample_size(weights, [1, 1, -1])
    with pytest.raises(ValueError, match=r"counts must have shape \(3,\)"):
        effective_sample_size(weights, [1])
    with pytest.raises(ValueError, match="weights must hold a positive one"):
        effective_sample_size([0.0, 1.0], [1, 0])


@given(st.lists(floats(1e-3, 1e3), min_size=1, max_size=30), floats(1e-3, 1e3))
def test_effective_sample_size_lies_between_one_and_n_and_ignores_scale(weights, scale):
    weights = np.array(weights)
    size = effective_sample_size(weights)
    assert 1 - 1e-12 <= size <= len(weights) * (1 + 1e-12)
    assert math.isclose(size, effective_sample_size(scale * weights), rel_tol=1e-12)


@given(SEEDS, st.integers(1, 9))
def test_it_is_right_for_weights_that_ignore_the_pairs(seed, size):
    rng = np.random.default_rng(seed)
    features, h, scales = rng.normal(size=(6, 2)), rng.normal(0, 2, 6), rng.lognormal(size=size)
    rows, a = np.repeat(features, size, axis=0), np.repeat(expit(h) * expit(-h), size)
    weights = np.tile(scales, 6)  # every pair with every weight
    share = effective_sample_size(weights) / len(weights)
    found, plain = sandwich(rows, weights * a, weights**2 * a), sandwich(rows, a, a)
    np.testing.assert_allclose(found * share, plain, rtol=1e-10)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: effective_sample_size([]), ValueError, "weights must hold a positive one"),
        (lambda: effective_sample_size([0.0, 0.0]), ValueError, "weights must hold a positive one"),
        (lambda: effective_sample_size([1.0, -2.0]), ValueError, "weights must be >= 0, got -2.0"),
        (lambda: effective_sample_size([[1.0]]), ValueError, "weights must have 1 axes"),
        (lambda: effective_sample_size([1.0, math.nan]), ValueError, "weights must be finite"),
        (lambda: effective_sample_size(["1"]), TypeError, "weights must hold real numbers"),
        (lambda: pair_information(math.nan, 1.0, S), ValueError, "h_true must be finite"),
        (lambda: pair_information(1.0, math.inf, S), ValueError, "h_model must be finite"),
        (lambda: efficient_covariance([[1.0]], [math.nan]), ValueError, "h_true must be finite"),
        (lambda: efficient_covariance([[1.0]], [0.0], beta=-1), ValueError, "beta = -1 breaks"),
        (
            lambda: target_covariance([[1.0]], [0.0, 1.0], [0.0, 1.0], S),
            ValueError,
            r"curvature must have shape \(1,\)",
        ),
    ],
)
def test_refusals_name_argument_value_and_rule(call, error, words):
    with pytest.raises(error, match=words):
        call()
