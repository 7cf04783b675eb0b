"""Linear policies: convex risk, certified fit, perturbation bounds and sandwich covariances."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, log_softmax, logit
from strategies import GENTLE, SEEDS, floats

from madpo_theory import MarginSchedule, log_weight_ratio, pair_risk, weight
from madpo_theory.claims.settings import schedules
from madpo_theory.losses import madpo
from madpo_theory.theory.linear import (
    LinearRisk,
    SeparableDataError,
    estimated_covariance,
    fit_linear,
    gradient_change,
    minimizer_change,
    population_covariance,
    sandwich,
    separating_direction,
    tabular_features,
)

S = MarginSchedule.released()


def design(seed, pairs=10, parameters=3):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(pairs, parameters))
    truth = rng.normal(0, 2, pairs)
    return features, truth, truth + rng.normal(0, 2, pairs), rng


def two_labels(p, q, beta=1.0):
    """One parameter, one pair, masses p and q: the minimizer is log(p/q)/beta."""
    return LinearRisk([[1.0]], [p], [q], beta)


@given(schedules(), SEEDS, floats(0.05, 5.0))
def test_expected_risk_is_the_mean_pair_risk(s, seed, beta):
    features, truth, model, rng = design(seed)
    risk, theta = LinearRisk.expected(features, truth, model, s, beta=beta), rng.normal(size=3)
    own = pair_risk(risk.scaled_margins(theta), truth, model, s).mean()
    assert math.isclose(risk.value(theta), own, rel_tol=1e-14)


@given(SEEDS)
def test_observed_risk_gradient_and_hessian_are_those_of_the_loss_that_trains(seed):
    features, _, model, rng = design(seed)
    start = rng.normal(size=3)
    theta = torch.tensor(start, requires_grad=True)
    zero = torch.zeros(10, dtype=torch.float64)

    def loss(theta):
        margin = torch.as_tensor(model)
        rewards = torch.tensor(features) @ theta
        return madpo(rewards, zero, zero, zero, margin=margin, weighting=S, beta=0.3)[0].mean()

    risk = LinearRisk.observed(features, weight(model, S), beta=0.3)
    (gradient,) = torch.autograd.grad(loss(theta), theta)
    hessian = torch.autograd.functional.hessian(loss, theta)
    # Sums of ten terms in another order.
    assert math.isclose(risk.value(start), loss(theta).item(), rel_tol=1e-14)
    np.testing.assert_allclose(risk.gradient(start), gradient.numpy(), rtol=0, atol=1e-15)
    np.testing.assert_allclose(risk.hessian(start), hessian.numpy(), rtol=0, atol=1e-15)


@given(SEEDS, floats(0.0, 30.0))
def test_modulus_is_below_the_curvature_everywhere_on_its_slab(seed, bound):
    features, truth, model, rng = design(seed)
    risk, theta = LinearRisk.expected(features, truth, model, S, beta=0.5), rng.normal(size=3)
    theta *= bound / np.abs(risk.scaled_margins(theta)).max()
    least = np.linalg.eigvalsh(risk.hessian(theta))[0]
    # The smallest eigenvalue is known to a few ulp of the largest.
    assert risk.modulus(bound) <= least + 1e-15 * np.trace(risk.hessian(theta))


def test_modulus_is_attained_where_every_margin_sits_on_the_boundary():
    risk = two_labels(0.6, 0.3, beta=0.5)
    assert math.isclose(risk.modulus(2.0), risk.hessian([4.0])[0, 0], rel_tol=1e-15)
    assert LinearRisk([[1.0, 1.0]], [1.0], [1.0]).modulus(1.0) == 0.0


@given(floats(1e-6, 1.0), floats(1e-6, 1.0), floats(0.05, 5.0))
@example(1.0, 1e-6, 0.05)
def test_fit_of_one_pair_is_the_logit_of_its_masses(p, q, beta):
    fit = fit_linear(two_labels(p, q, beta))
    assert fit.error <= 1e-9
    # Beyond the certificate: the rounding of the gradient, an ulp of max(p, q), over the
    # curvature p q/(p + q).
    rounding = 1e-15 * (p + q) ** 2 / (p * q)
    assert abs(beta * fit.theta[0] - math.log(p / q)) <= fit.error + rounding


@given(GENTLE, SEEDS)
def test_fit_on_observed_labels_has_no_gradient_left(s, seed):
    features, truth, model, rng = design(seed, pairs=40)
    sign = np.where(rng.uniform(size=40) < expit(truth), 1.0, -1.0)
    risk = LinearRisk.observed(sign[:, None] * features, weight(sign * model, s), beta=0.2)
    fit = fit_linear(risk)
    steepest = 0.2 * (risk.p * np.linalg.norm(features, axis=1)).mean()
    assert np.linalg.norm(risk.gradient(fit.theta)) <= 1e-9 * steepest


def certified(risk, theta):
    """The error that a fit certifies at theta, before its first step."""
    try:
        return fit_linear(risk, start=theta, tolerance=1e300, steps=1).error
    except (RuntimeError, SeparableDataError):
        return math.inf


@given(floats(0.01, 1.0), floats(0.01, 1.0), floats(-1.5, 1.5), floats(0.1, 3.0))
def test_the_certificate_bounds_the_true_distance(p, q, away, beta):
    exact = math.log(p / q)
    bound = certified(two_labels(p, q, beta), [(exact + away) / beta])
    assert abs(away) <= bound * (1 + 1e-9) + 1e-13


def test_the_certificate_is_attained_at_first_order_and_gives_up_far_away():
    risk = two_labels(0.5, 0.5)
    assert math.isclose(certified(risk, [1e-4]), 1e-4, rel_tol=1e-4)
    assert certified(risk, [5.0]) == math.inf


@given(SEEDS)
def test_a_finite_certificate_proves_that_the_data_are_not_separable(seed):
    features, *_, rng = design(seed, pairs=6, parameters=3)
    risk = LinearRisk.observed(features, rng.uniform(0.1, 1, 6))
    if math.isfinite(certified(risk, 3 * rng.normal(size=3))):
        assert separating_direction(risk) is None


@pytest.mark.slow
@given(SEEDS, st.integers(3, 6), st.integers(3, 14))
def test_a_table_has_a_minimizer_iff_fords_condition_holds(seed, responses, labels):
    """Ford (1957): the graph of wins is strongly connected; the weights do not matter."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, responses, labels)
    second = (first + rng.integers(1, responses, labels)) % responses
    graph = np.zeros((responses, responses))
    graph[first, second] = 1
    linked = connected_components(graph, directed=True, connection="weak")[0] == 1
    assume(linked)  # else the features do not span and the minimizer is not unique
    strong = connected_components(graph, directed=True, connection="strong")[0] == 1
    risk = LinearRisk.observed(
        tabular_features(first, second, responses), rng.uniform(0.1, 1.2, labels)
    )
    assert (separating_direction(risk) is None) == strong
    if strong:
        assert fit_linear(risk).error <= 1e-9
    else:
        with pytest.raises(SeparableDataError):
            fit_linear(risk)


@given(SEEDS)
def test_a_table_has_the_margins_of_its_softmax(seed):
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 5, 8)
    second = (first + rng.integers(1, 5, 8)) % 5
    logits, reference = rng.normal(0, 3, (2, 5))
    ratio = log_softmax(logits) - log_softmax(reference)
    shift = logits - reference
    linear = tabular_features(first, second, 5) @ (shift - shift[-1])[:-1]
    np.testing.assert_allclose(linear, ratio[first] - ratio[second], rtol=0, atol=1e-13)


def test_madpo_on_a_table_of_two_shifts_the_logit():
    wins, h = np.array([30.0]), np.array([1.2])
    risk = LinearRisk([[1.0]], wins * weight(h, S), (50 - wins) * weight(-h, S), 0.1)
    exact = logit(0.6) + log_weight_ratio(1.2, S)
    assert math.isclose(0.1 * fit_linear(risk).theta[0], exact, abs_tol=2e-9)


@given(GENTLE, SEEDS, floats(1e-3, 10.0))
def test_r4_both_bounds_hold(s, seed, error):
    features, truth, model, rng = design(seed, pairs=30)
    sign = np.where(rng.uniform(size=30) < expit(truth), 1.0, -1.0)
    features = sign[:, None] * features
    first, second = (
        LinearRisk.observed(features, weight(sign * h, s), beta=0.5)
        for h in (truth, truth + error * (model - truth))
    )
    assume(separating_direction(first) is None)
    here, there = (fit_linear(risk, tolerance=1e-10) for risk in (first, second))
    distance = np.linalg.norm(here.theta - there.theta)
    change = gradient_change(first, second)
    widest = max(np.abs(first.scaled_margins(f.theta)).max() for f in (here, there))
    # The fits' certified errors, 1e-10 nats of each z, move theta by far less than 1e-7 here.
    assert distance <= change / first.modulus(widest) * (1 + 1e-6) + 1e-7
    assert distance <= minimizer_change(first, here.theta, change) * (1 + 1e-6) + 1e-7


def test_r4_the_modulus_at_one_minimizer_alone_is_not_enough():
    first, second = two_labels(0.5, 0.13), two_labels(0.5, 0.03)
    here, there = fit_linear(first).theta, fit_linear(second).theta
    change = gradient_change(first, second)
    assert math.isclose(change, 0.1, rel_tol=1e-15)
    assert change / first.hessian(here)[0, 0] < 0.97 * abs(there - here)[0]
    assert minimizer_change(first, here, change) >= abs(there - here)[0]


@given(SEEDS)
def test_gradients_change_by_no_more_than_the_bound(seed):
    features, truth, model, rng = design(seed)
    first, second = (LinearRisk.expected(features, truth, h, S) for h in (truth, model))
    theta = rng.normal(0, 30, 3)
    moved = np.linalg.norm(first.gradient(theta) - second.gradient(theta))
    assert moved <= gradient_change(first, second) * (1 + 1e-12)


def test_no_change_moves_nothing_and_a_large_one_has_no_bound():
    risk = two_labels(0.5, 0.5)
    assert minimizer_change(risk, [0.0], 0.0) == 0.0
    assert minimizer_change(risk, [0.0], 1.0) == math.inf


def test_sandwich_of_one_parameter():
    a, b = np.array([0.2, 0.1]), np.array([0.3, 0.4])
    found = sandwich([[1.0], [2.0]], a, b, beta=0.5)
    assert math.isclose(found[0, 0], (0.3 + 4 * 0.4) / (0.2 + 4 * 0.1) ** 2 / 0.25, rel_tol=1e-15)


def test_population_covariance_of_one_pair_is_that_of_the_logit():
    h, model = np.array([0.7]), np.array([-1.9])
    theta = fit_linear(LinearRisk.expected([[1.0]], h, model, S, beta=0.4)).theta
    for design_ in ("fixed", "random"):
        found = population_covariance([[1.0]], h, model, S, theta, beta=0.4, design=design_)
        exact = 1 / (0.4**2 * expit(0.7) * expit(-0.7))
        assert math.isclose(found[0, 0], exact, rel_tol=1e-8)  # theta is known to 1e-9 nats


@given(GENTLE, SEEDS)
def test_drawing_the_pairs_too_never_lowers_the_covariance(s, seed):
    features, truth, model, _ = design(seed)
    theta = fit_linear(LinearRisk.expected(features, truth, model, s)).theta
    fixed, random = (
        population_covariance(features, truth, model, s, theta, design=name)
        for name in ("fixed", "random")
    )
    factor = np.linalg.inv(np.linalg.cholesky(random))
    assert np.linalg.eigvalsh(factor @ fixed @ factor.T)[-1] <= 1 + 1e-9


def test_estimated_covariance_averages_to_the_population_one():
    """Over every label of every pair, each with its probability, the two sums are the same."""
    features, truth, model, _ = design(5)
    theta = fit_linear(LinearRisk.expected(features, truth, model, S)).theta
    copies = 100_000
    wins = np.round(copies * expit(truth)).astype(int)
    sign = np.concatenate([np.repeat([1.0, -1.0], [k, copies - k]) for k in wins[:3]])
    index = np.repeat(np.arange(3), copies)
    rows = sign[:, None] * features[index, :2]
    risk = LinearRisk.observed(rows, weight(sign * model[index], S))
    estimated = estimated_covariance(risk, theta[:2]) * copies
    truth3 = logit(wins[:3] / copies)  # the margins that the counts have exactly
    exact = population_covariance(
        features[:3, :2], truth3, model[:3], S, theta[:2], design="random"
    )
    np.testing.assert_allclose(estimated, exact, rtol=1e-9)


X = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 1.0]])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: LinearRisk.observed([1.0], [1.0]), ValueError, "features must have 2 axes"),
        (lambda: LinearRisk.observed([[math.nan]], [1.0]), ValueError, r"features must be finite"),
        (lambda: LinearRisk.observed(X, [1.0, 1.0]), ValueError, r"weights must have shape \(3,\)"),
        (lambda: LinearRisk.observed(X, [1.0, -1.0, 1.0]), ValueError, "p must be >= 0, got -1"),
        (lambda: LinearRisk.observed(X, ["a"] * 3), TypeError, "weights must hold real numbers"),
        (lambda: LinearRisk(X, [1] * 3, [math.inf, 0, 0]), ValueError, "q must be finite, got inf"),
        (lambda: LinearRisk(X, [1] * 3, [1] * 3, 0.0), ValueError, "beta = 0.0 breaks the rule"),
        (lambda: LinearRisk(np.ones((0, 2)), [], []), ValueError, r"features must hold .*\(0, 2\)"),
        (
            lambda: LinearRisk.expected(X, [1.0] * 3, [1.0, math.nan, 1.0], S),
            ValueError,
            "h_model must be finite, got nan at index",
        ),
        (lambda: LinearRisk.observed(X, [1] * 3).value([0.0]), ValueError, "theta must have shape"),
        (
            lambda: LinearRisk.observed(X, [1] * 3).gradient([0.0, math.nan]),
            ValueError,
            "theta must be finite",
        ),
        (lambda: LinearRisk.observed(X, [1] * 3).modulus(-1.0), ValueError, "bound = -1.0 breaks"),
        (lambda: fit_linear(LinearRisk.observed(X, [1] * 3)), SeparableDataError, "the direction"),
        (lambda: fit_linear(two_labels(1.0, 1.0), tolerance=0), ValueError, "tolerance = 0 breaks"),
        (lambda: fit_linear(two_labels(1.0, 0.1), steps=1), RuntimeError, "steps = 1 Newton steps"),
        (
            lambda: fit_linear(two_labels(1.0, 0.1), start=[math.nan]),
            ValueError,
            "start must be finite",
        ),
        (
            lambda: fit_linear(LinearRisk([[1.0, 1.0]], [1.0], [1.0])),
            ValueError,
            "features have rank 1 .* 2 parameters",
        ),
        (
            lambda: gradient_change(two_labels(1, 1), two_labels(1, 1, 2.0)),
            ValueError,
            "other must have the features and beta",
        ),
        (lambda: minimizer_change(two_labels(1, 1), [0.0], -1), ValueError, "change = -1 breaks"),
        (
            lambda: estimated_covariance(two_labels(1, 1), [0.0]),
            ValueError,
            "q must be 0 for every pair",
        ),
        (
            lambda: population_covariance(X, [1] * 3, [1] * 3, S, [0, 0], design="free"),
            ValueError,
            "design must be 'fixed' or 'random', got 'free'",
        ),
        (lambda: sandwich(X, [0] * 3, [1] * 3), ValueError, "do not span the 2 parameters"),
        (lambda: sandwich(X, [1] * 3, [-1] * 3), ValueError, "score_variance must be >= 0"),
        (lambda: tabular_features([0], [3], 3), ValueError, r"second must lie in 0 ... 2"),
        (lambda: tabular_features([1], [1], 3), ValueError, "compares a response with itself"),
        (lambda: tabular_features([0, 1], [1], 3), ValueError, "arguments must have one shape"),
        (lambda: tabular_features([0.5], [1], 3), TypeError, "first must be 1-D integers"),
    ],
)
def test_refusals_name_argument_value_and_rule(call, error, words):
    with pytest.raises(error, match=words):
        call()
