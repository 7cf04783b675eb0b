"""The KL-regularized value: its optimum, regret and its bounds, the nearest DPO optimum."""

import math

import mpmath as mp
import numpy as np
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from strategies import floats

from madpo_theory import MarginSchedule
from madpo_theory.simulate import fit_table
from madpo_theory.theory.value import (
    kl_divergence,
    nearest_dpo,
    optimal_policy,
    policy_value,
    regret,
    regret_bound,
    reward_and_kl,
    score_error,
)

SEEDS = st.integers(0, 2**32 - 1)
HALF = np.log([0.5, 0.5])
RELEASED = MarginSchedule.released()
CONSTANT = MarginSchedule(2.0, 0.5, 1.0, 1e6)  # c = 2 wherever e^-1e6 is 0


def lists(elements, size):
    return st.lists(elements, min_size=size, max_size=size).map(np.array)


def problem(seed, size=2.0, rows=3, responses=5):
    """(log_policy, rewards, log_reference), each (rows, responses)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, size, (2, rows, responses))
    policy, reference = log_softmax(logits, axis=-1)
    return policy, rng.normal(0, 3, (rows, responses)), reference


def rounding(*arrays):
    """A few ulp of the largest terms that a value is summed from."""
    return 1e-14 * sum(np.abs(a).max() for a in arrays)


@given(SEEDS, floats(0.01, 30.0), floats(0.05, 5.0))
def test_r5_the_value_lost_is_beta_times_the_divergence_from_the_optimum(seed, size, beta):
    policy, rewards, reference = problem(seed, size)
    best = optimal_policy(rewards, reference, beta=beta)
    top, own = (policy_value(p, rewards, reference, beta=beta) for p in (best, policy))
    lost = regret(policy, rewards, reference, beta=beta)
    allowed = rounding(rewards, beta * policy, beta * reference, beta * best)
    np.testing.assert_allclose(top - own, lost, rtol=0, atol=allowed)
    np.testing.assert_allclose(lost, beta * kl_divergence(policy, best), rtol=1e-12, atol=1e-300)
    assert (lost >= 0).all()


@given(SEEDS, floats(0.05, 5.0))
def test_no_policy_is_better_than_the_optimum(seed, beta):
    policy, rewards, reference = problem(seed)
    best = optimal_policy(rewards, reference, beta=beta)
    nearby = log_softmax(best + 1e-3 * policy, axis=-1)
    top = policy_value(best, rewards, reference, beta=beta)
    allowed = rounding(rewards, beta * best, beta * reference)
    for other in (policy, reference, nearby):
        assert (policy_value(other, rewards, reference, beta=beta) <= top + allowed).all()


@given(SEEDS, floats(1e-3, 30.0), floats(0.05, 5.0), st.integers(2, 12))
@example(0, 1e-3, 0.05, 2)
def test_r5_the_regret_stays_below_its_bound(seed, size, beta, responses):
    policy, rewards, reference = problem(seed, size, responses=responses)
    policy = log_softmax(optimal_policy(rewards, reference, beta=beta) + size * policy, axis=-1)
    error = score_error(policy, rewards, reference, beta=beta)
    lost = regret(policy, rewards, reference, beta=beta)
    # Of a small error e the rounding of the log-probabilities leaves a relative 1e-14/e.
    slack = 1 + 1e-9 + 1e-12 * beta * np.abs(reference).max() / error
    assert (lost <= regret_bound(error, beta=beta) * slack).all()


@given(floats(-20.0, 20.0), floats(-20.0, 20.0), floats(-6.0, 6.0), floats(0.05, 5.0))
def test_r5_two_responses(base, target, dz, beta):
    """z = beta m off by dz: score_error is |dz| and the regret at most dz^2/(8 beta)."""
    reference = log_softmax([base, 0.0])
    policy = log_softmax([base + (target + dz) / beta, 0.0])
    rewards = np.array([target, 0.0])
    scale = np.abs(policy).max() + np.abs(reference).max() + abs(target) / beta
    error = float(score_error(policy, rewards, reference, beta=beta))
    assert abs(error - abs(dz)) <= 1e-14 * beta * scale
    lost = float(regret(policy, rewards, reference, beta=beta))
    # The gap dz/beta is rounded to an ulp of the log-probabilities.
    gap = abs(dz) / beta + 1e-14 * scale
    assert lost <= beta * min(gap**2 / 8, gap) * (1 + 1e-12)


def test_the_constant_an_eighth_is_the_best():
    step = 1e-3
    policy, other = (log_softmax([sign * step / 2, 0.0]) for sign in (-1, 1))
    assert math.isclose(kl_divergence(policy, other) / (step**2 / 8), 1.0, rel_tol=1e-6)


def test_the_line_takes_over_at_eight_beta():
    beta = 0.1
    assert regret_bound(0.4, beta=beta) == pytest.approx(0.2, rel=1e-15)
    assert regret_bound(0.8, beta=beta) == pytest.approx(0.8, rel=1e-15)
    assert regret_bound(-3.475, beta=beta) == 3.475
    assert regret_bound(torch.tensor([4.0]), beta=beta).dtype == torch.float32


def test_golden_two_responses():
    best = optimal_policy([1.0, 0.0], HALF, beta=0.5)
    np.testing.assert_allclose(best, log_softmax([2.0, 0.0]), rtol=0, atol=9e-16)  # 2 ulp of 2
    expected = 0.5 * math.log((math.e**2 + 1) / 2)  # beta log Z
    assert math.isclose(policy_value(best, [1.0, 0.0], HALF, beta=0.5), expected, rel_tol=1e-14)
    assert policy_value(HALF, [1.0, 0.0], HALF, beta=0.5) == 0.5
    assert math.isclose(regret(HALF, [1.0, 0.0], HALF, beta=0.5), expected - 0.5, rel_tol=1e-13)


@given(floats(-1e-6, 1e-6))
@example(1e-9)
def test_a_tiny_divergence_keeps_its_digits(step):
    found = kl_divergence(HALF, log_softmax([step, 0.0]))
    with mp.workdps(50):
        exact = mp.log(mp.cosh(mp.mpf(step) / 2))
    # log-probabilities near -log 2 are rounded to 1.1e-16, and t = step/2 with them; t^2/2 is what
    # is left of t - 1 + e^-t, two numbers of size t.
    assert abs(found - exact) <= 1e-15 * abs(step) + 1e-31


def test_extreme_rewards_stay_finite():
    rewards = np.array([1e6, 0.0, -1e6])
    reference = log_softmax([0.0, 300.0, -300.0])
    best = optimal_policy(rewards, reference, beta=1e-2)
    assert np.isfinite(best).all()
    assert regret(reference, rewards, reference, beta=1e-2) == pytest.approx(1e6, rel=1e-3)
    assert kl_divergence(best, best) == 0.0


def test_rows_are_prompts():
    policy, rewards, reference = problem(4)
    whole = regret(policy, rewards, reference)
    rows = [regret(p, r, q) for p, r, q in zip(policy, rewards, reference, strict=True)]
    assert whole.shape == (3,)
    np.testing.assert_array_equal(whole, rows)


@pytest.mark.parametrize("function", (policy_value, regret, score_error))
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"log_policy": [0.5, 0.5]}, ValueError, "log_policy must hold log-probabilities"),
        ({"log_reference": [-1.0, -1.0]}, ValueError, "log_reference .* each row sums to 1"),
        ({"log_policy": [0.0, -math.inf]}, ValueError, "log_policy must be finite, got -inf"),
        ({"rewards": [1.0, math.nan]}, ValueError, "rewards must be finite, got nan"),
        ({"rewards": [1.0, 0.0, 2.0]}, ValueError, r"arguments must have one shape.*\(3,\)"),
        ({"rewards": ["a", "b"]}, TypeError, "rewards must hold real numbers"),
        ({"beta": 0.0}, ValueError, "beta = 0.0 breaks the rule beta > 0"),
        ({"beta": math.nan}, ValueError, "beta must be finite"),
    ],
)
def test_refusals_name_argument_value_and_rule(function, change, error, words):
    good = {"log_policy": HALF, "rewards": [1.0, 0.0], "log_reference": HALF, "beta": 0.1}
    assert np.isfinite(function(**good))
    with pytest.raises(error, match=words):
        function(**good | change)


def test_scalars_are_no_policies():
    with pytest.raises(ValueError, match="log_policy must have a last axis of responses"):
        kl_divergence(0.0, 0.0)
    with pytest.raises(ValueError, match="error must be finite"):
        regret_bound(math.nan)
    with pytest.raises(ValueError, match="beta = -1 breaks"):
        regret_bound(1.0, beta=-1)


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
    ("call", "rule"),
    [
        (lambda: reward_and_kl([0, 1], [0, 1], 0.0), "beta > 0"),
        (lambda: reward_and_kl([0, 1], [0, 1, 2], 1.0), "one entry a response"),
        (lambda: reward_and_kl([0, 1], [0, 1], 1.0, [0.5, 0.6]), "sum to 1"),
        (lambda: reward_and_kl([0, 1], [0, 1], 1.0, [1.0, 0.0]), "must be positive"),
        (lambda: reward_and_kl([0, 1e300], [0, 1], 1e-10), "overflows float64"),
        (lambda: nearest_dpo([1, 0], [0, 1], 1.0), "no more than the reference"),
        (lambda: nearest_dpo([1, 0], [1, 1], 1.0), "no more than the reference"),
    ],
)
def test_invalid_tables_are_named(call, rule):
    with pytest.raises(ValueError, match=rule):
        call()
