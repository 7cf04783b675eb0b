"""MADPO against a change of temperature: least squares of targets, and policies in KL."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from strategies import floats, schedules

from madpo_theory import BoundedRatioWeight, MarginSchedule, effective_target
from madpo_theory.simulate import fit_table
from madpo_theory.theory.temperature import (
    gaussian_temperature,
    match_temperature,
    matched_temperature,
    nearest_dpo,
    reward_and_kl,
    temperature_distance,
)

RELEASED = MarginSchedule.released()
CONSTANT = MarginSchedule(2.0, 0.5, 1.0, 1e6)  # c = 2 wherever e^-1e6 is 0


def lists(elements, size):
    return st.lists(elements, min_size=size, max_size=size).map(np.array)


@given(schedules(), lists(floats(-30, 30), 6), lists(floats(0, 5), 6), floats(-0.5, 0.5))
def test_rho_is_the_least_squares_slope(s, h, weights, away):
    assume((weights * np.abs(h)).max() > 1e-3)
    match = match_temperature(h, s, weights)
    target = effective_target(h, h, s)

    def squares(rho):
        return (weights * (target - rho * h) ** 2).sum()

    total = squares(0)
    assert squares(match.rho) <= squares(match.rho + away) + 1e-14 * total
    np.testing.assert_allclose(match.distance**2 * total, squares(match.rho), atol=1e-13 * total)
    cosine = (weights * h * target).sum() ** 2 / ((weights * h * h).sum() * total)
    np.testing.assert_allclose(match.distance, np.sqrt(max(1 - cosine, 0)), atol=1e-7)
    assert matched_temperature(h, s, weights) == match.rho
    assert temperature_distance(h, s, weights) == match.distance


@given(lists(floats(-30, 30), 5))
def test_a_constant_coefficient_is_a_change_of_temperature(h):
    assume(np.abs(h).max() > 1e-3)
    match = match_temperature(h, CONSTANT)
    assert match.rho == pytest.approx(2, rel=1e-15) and match.distance < 1e-15


@given(schedules(), floats(0.01, 40), lists(st.sampled_from((-1.0, 1.0)), 7))
def test_margins_of_one_size_have_one_temperature(s, size, signs):
    match = match_temperature(size * signs, s)
    assert match.rho == pytest.approx(effective_target(size, size, s) / size, rel=1e-14)
    assert match.distance < 1e-15


def test_a_weight_counts_like_a_repetition():
    h = np.array([0.5, -3.0, 7.0])
    weighted = match_temperature(h, RELEASED, [1, 2, 3])
    repeated = match_temperature(np.repeat(h, [1, 2, 3]), RELEASED)
    assert weighted.rho == pytest.approx(repeated.rho, rel=1e-15)
    assert weighted.distance == pytest.approx(repeated.distance, rel=1e-13)


@pytest.mark.parametrize("scale", (0.3, 1.0, 4.0, 30.0))
@pytest.mark.parametrize("s", (RELEASED, MarginSchedule.released(4), MarginSchedule(2, 0.5, 1, 2)))
def test_gaussian_margins_against_adaptive_quadrature(scale, s):
    def moment(f):
        ends = (0, min(s.tau, 12 * scale), 12 * scale)
        return sum(
            quad(
                lambda h: f(h) * np.exp(-((h / scale) ** 2) / 2),
                a,
                b,
                epsabs=0,
                epsrel=1e-11,
                limit=400,
            )[0]
            for a, b in itertools.pairwise(ends)
            if b > a
        )

    def target(h):
        return effective_target(h, h, s)

    hh, ht = moment(lambda h: h * h), moment(lambda h: h * target(h))
    rest = moment(lambda h: (target(h) - ht / hh * h) ** 2)
    found = gaussian_temperature(scale, s)
    assert found.rho == pytest.approx(ht / hh, abs=1e-7)
    distance = np.sqrt(rest / moment(lambda h: target(h) ** 2))
    assert found.distance == pytest.approx(distance, abs=1e-7)


@pytest.mark.parametrize(
    ("scale", "rho", "distance"),
    [(1, 1.981366, 0.008166), (2, 1.867676, 0.095634), (4, 1.381196, 0.268999)],
)
def test_released_schedule_by_scale(scale, rho, distance):
    found = gaussian_temperature(scale, RELEASED)
    assert found.rho == pytest.approx(rho, abs=1e-6)
    assert found.distance == pytest.approx(distance, abs=1e-6)


def test_the_bounded_ratio_weight_keeps_dampening_where_the_published_one_stops():
    bounded = gaussian_temperature(10.0, BoundedRatioWeight(RELEASED))
    published = gaussian_temperature(10.0, RELEASED)
    assert bounded.rho < 1 < published.rho
    assert bounded.distance > published.distance


@given(lists(floats(-5, 5), 4), lists(floats(-5, 5), 4), lists(floats(0.05, 1), 4), floats(0.1, 3))
def test_reward_and_kl_against_the_softmax(scores, rewards, reference, beta):
    reference = reference / reference.sum()
    policy = softmax(scores / beta + np.log(reference))
    found = reward_and_kl(scores, rewards, beta, reference)
    assert found.reward == pytest.approx(policy @ rewards, abs=1e-13)
    held = policy > 0
    kl = policy[held] @ np.log(policy[held] / reference[held])
    assert found.kl == pytest.approx(kl, abs=1e-13) and found.kl >= 0
    shifted = reward_and_kl(scores + 7, rewards, beta, reference)
    assert shifted.reward == pytest.approx(found.reward, abs=1e-12)


def test_equal_scores_are_the_reference():
    value = reward_and_kl(np.zeros(4), np.arange(4.0), 0.5)
    assert value.reward == pytest.approx(1.5) and value.kl == pytest.approx(0, abs=1e-16)


@given(lists(floats(-3, 3), 5), floats(0.3, 3), floats(0.2, 5))
def test_dpo_is_its_own_nearest(rewards, beta, factor):
    assume(np.ptp(rewards) > 0.1)
    near = nearest_dpo(factor * rewards, rewards, beta)
    # The root's conditioning: a relative ulp of regrets whose logarithm moves with the gap.
    assert near.beta == pytest.approx(beta / factor, rel=1e-10)
    assert near.divergence < 1e-18


@given(lists(floats(-3, 3), 6), lists(floats(-1, 1), 6), lists(floats(0.05, 1), 6), floats(0.3, 3))
@example(np.arange(6.0), np.zeros(6), np.ones(6), 0.01)
def test_the_divergence_is_the_excess_kl_at_equal_reward(rewards, noise, reference, beta):
    assume(np.ptp(rewards) > 0.1)
    reference = reference / reference.sum()
    scores = 2 * rewards + noise
    gain = reward_and_kl(scores, rewards, beta, reference).reward - reference @ rewards
    assume(gain > 1e-3)
    near = nearest_dpo(scores, rewards, beta, reference)
    assert near.dpo.reward == pytest.approx(near.policy.reward, abs=1e-12)
    # (1/beta') times the equality of rewards: rounding grows with 1/beta' * |r|.
    assert near.policy.kl - near.dpo.kl == pytest.approx(near.divergence, abs=1e-11)


def test_no_other_temperature_is_nearer():
    rewards = np.array([0.0, 1.0, 2.5, -1.0, 5.5])
    scores = fit_table(rewards, RELEASED).scores
    near = nearest_dpo(scores, rewards, 1.0)

    def divergence(log_beta):
        p, q = softmax(scores), softmax(rewards / np.exp(log_beta))
        return p @ np.log(p / q)

    best = minimize_scalar(divergence, bounds=(-3, 1), method="bounded", options={"xatol": 1e-9})
    # A minimum is found to the root of an ulp only.
    assert near.beta == pytest.approx(np.exp(best.x), rel=1e-6)
    assert near.divergence == pytest.approx(best.fun, abs=1e-14)


def test_madpo_with_a_constant_coefficient_is_dpo_at_beta_over_c():
    rewards = np.array([0.0, 1.0, 2.5, -1.0, 3.5])
    near = nearest_dpo(fit_table(rewards, CONSTANT).scores, rewards, 0.5)
    assert near.beta == pytest.approx(0.25, rel=1e-9) and near.divergence < 1e-18


def test_mixed_margins_are_not_dpo_at_any_temperature():
    rewards = np.random.default_rng(np.random.SeedSequence(1)).normal(0, 2, 16)
    near = nearest_dpo(fit_table(rewards, MarginSchedule(2, 0.5, 1, 7)).scores, rewards, 0.5)
    assert 0.25 < near.beta < 0.27
    assert 1e-9 < near.divergence < 1e-4 * near.policy.kl


@pytest.mark.parametrize(
    ("call", "error", "rule"),
    [
        (lambda: matched_temperature([np.nan], RELEASED), ValueError, "margins must be finite"),
        (lambda: matched_temperature([0.0, 0.0], RELEASED), ValueError, "one that is not 0"),
        (lambda: matched_temperature([], RELEASED), ValueError, "one that is not 0"),
        (lambda: matched_temperature([1.0, 2.0], RELEASED, [0, 0]), ValueError, "has weight"),
        (lambda: matched_temperature([1.0], RELEASED, [-1.0]), ValueError, "weights >= 0"),
        (lambda: matched_temperature([1.0], RELEASED, [1, 1]), ValueError, r"weights .*\(1,\)"),
        (lambda: matched_temperature([[1.0]], RELEASED), ValueError, "margins must have 1 axes"),
        (lambda: matched_temperature(["a"], RELEASED), TypeError, "margins must hold real"),
        (lambda: gaussian_temperature(0.0, RELEASED), ValueError, "scale > 0"),
        (lambda: reward_and_kl([0, 1], [0, 1], 0.0), ValueError, "beta > 0"),
        (lambda: reward_and_kl([0, 1], [0, 1, 2], 1.0), ValueError, "one entry a response"),
        (lambda: reward_and_kl([0, 1], [0, 1], 1.0, [0.5, 0.6]), ValueError, "sum to 1"),
        (lambda: reward_and_kl([0, 1], [0, 1], 1.0, [1.0, 0.0]), ValueError, "must be positive"),
        (lambda: reward_and_kl([0, 1e300], [0, 1], 1e-10), ValueError, "overflows float64"),
        (lambda: nearest_dpo([1, 0], [0, 1], 1.0), ValueError, "no more than the reference"),
        (lambda: nearest_dpo([1, 0], [1, 1], 1.0), ValueError, "no more than the reference"),
    ],
)
def test_invalid_input_is_named(call, error, rule):
    with pytest.raises(error, match=rule):
        call()
