"""Measurements: golden small cases, the theory's bounds, reward at equal KL, refusals."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import expit, log_softmax
from strategies import floats

from madpo_theory import MarginSchedule, effective_target, influence_bound, weight
from madpo_theory.certify import supremum
from madpo_theory.certify.quantities import QUANTITIES
from madpo_theory.simulate import fit_table
from madpo_theory.simulate.measure import (
    frontier,
    measure,
    pair_accuracy,
    policy_of,
    reward_at_kl,
    weight_statistics,
)
from madpo_theory.simulate.reward_models import draw_margins, reward_model
from madpo_theory.simulate.worlds import (
    AllPairs,
    ExactLabels,
    ReferenceSampled,
    SoftmaxReference,
    Worlds,
    WorldsConfig,
    draw_labels,
    draw_worlds,
    pair_sampling,
    to_problems,
)
from madpo_theory.theory.efficiency import effective_sample_size
from madpo_theory.theory.value import regret_bound, score_error

RELEASED = MarginSchedule.released()
CONFIG = WorldsConfig(3, 4, reference=SoftmaxReference())
SENSITIVITY = 2.306768  # above the certified supremum at the released schedule


def setting(seed=0, count=2, noise=1.0):
    worlds = draw_worlds(CONFIG, seed, count)
    sampling = pair_sampling(ReferenceSampled(), worlds)
    labels = draw_labels(ExactLabels(), worlds, sampling)
    return worlds, draw_margins(reward_model("gaussian", noise), worlds), sampling, labels


def test_the_optimal_policy_of_the_true_rewards_is_measured_as_such():
    worlds, margins, sampling, labels = setting()
    found = measure(worlds, margins, sampling, labels.masses, worlds.rewards / 0.1, beta=0.1)
    # Rewards of some nats divided and multiplied by 0.1: ulps.
    for column in ("target_error", "own_target_error", "score_error", "regret", "regret_bound"):
        assert (np.abs(getattr(found, column)) < 1e-13).all(), column
    assert (found.accuracy == 1).all()
    np.testing.assert_allclose(found.weight_mean, 1, rtol=1e-14)
    np.testing.assert_allclose(found.effective_share, 1, rtol=1e-14)
    best = np.log(np.exp(worlds.log_reference + worlds.rewards / 0.1).sum(-1)) * 0.1
    np.testing.assert_allclose(found.value, best.mean(-1), rtol=1e-12)
    right = np.where(worlds.margins > 0, labels.masses, 0).sum((1, 2, 3)) / 3
    np.testing.assert_allclose(found.label_accuracy, right)
    batch = to_problems(worlds.rewards / 0.1)
    again = measure(worlds, margins, sampling, labels.masses, batch, beta=0.1)
    for name, column in found.columns().items():  # NaN where no L and D were passed
        np.testing.assert_array_equal(again.columns()[name], column, err_msg=name)


def test_two_responses_at_their_target():
    """One pair, so that the fitted z is the target: every number by hand."""
    h, h_model, beta = 1.5, -2.0, 0.5
    worlds = Worlds(np.array([[[h, 0.0]]]))
    margins = np.array([[[[0, h_model], [-h_model, 0]]]])
    sampling = pair_sampling(AllPairs(), worlds)
    masses = draw_labels(ExactLabels(), worlds, sampling).masses
    fit = fit_table([h, 0.0], RELEASED, model=margins[0, 0])
    found = measure(
        worlds,
        margins,
        sampling,
        masses,
        fit.scores[None, None] / beta,
        beta=beta,
        weighting=RELEASED,
        lipschitz=SENSITIVITY,
        limit=influence_bound(RELEASED),
        threshold=0.5,
    )
    target = float(effective_target(h, h_model, RELEASED))
    up, down = (float(weight(s * h_model, RELEASED)) for s in (1, -1))
    p = float(expit(h))
    moved = p * up, (1 - p) * down
    policy = float(expit(target / beta))
    kl = policy * math.log(2 * policy) + (1 - policy) * math.log(2 * (1 - policy))
    expected = {
        "model_error": 3.5,
        "target_error": abs(target - h),
        "own_target_error": 0.0,
        "influence": abs(target - h),
        "target_shift_bound": SENSITIVITY * 3.5,
        "score_error": abs(target - h),
        "reward": policy * h,
        "kl": kl,
        "value": policy * h - beta * kl,
        "accuracy": float(target > 0),
        "label_accuracy": p if target > 0 else 1 - p,
        "model_label_accuracy": 1 - p,
        "weight_mean": sum(moved),
        "effective_share": sum(moved) ** 2 / (p * up**2 + (1 - p) * down**2),
        "suppressed": p * (up < 0.5) + (1 - p) * (down < 0.5),
    }
    for name, value in expected.items():
        # The fit is good to 1e-10 nats, and the numbers are of the order of 1.
        assert getattr(found, name)[0] == pytest.approx(value, abs=1e-9), name


def test_l_is_above_the_certified_supremum():
    found = supremum(QUANTITIES["sensitivity"], MarginSchedule.released(exact=True))
    assert float(found.upper) < SENSITIVITY < float(found.upper) + 1e-5


@given(st.integers(0, 1000), floats(0.05, 2), floats(0.01, 3))
def test_regret_is_within_its_prediction(seed, beta, noise):
    worlds, margins, sampling, labels = setting(seed, 1)
    m = (worlds.rewards + noise * margins.mean(-1)) / beta
    found = measure(worlds, margins, sampling, labels.masses, m, beta=beta)
    error = score_error(policy_of(worlds, m), worlds.rewards, worlds.log_reference, beta=beta)
    bound = regret_bound(error, beta=beta)
    assert bound.shape == worlds.shape[:2]
    np.testing.assert_allclose(found.regret_bound, bound.mean(-1), rtol=1e-12)
    assert (0 <= found.regret).all() and (found.regret <= found.regret_bound).all()
    best = measure(worlds, margins, sampling, labels.masses, worlds.rewards / beta, beta=beta)
    # Values are sums of terms of some nats.
    np.testing.assert_allclose(best.value - found.value, found.regret, atol=1e-12)


def test_bounds_stand_beside_the_measurements():
    worlds, margins, sampling, labels = setting(3, 5, 2.0)
    found = measure(
        worlds,
        margins,
        sampling,
        labels.masses,
        worlds.rewards,
        beta=1.0,
        weighting=RELEASED,
        lipschitz=SENSITIVITY,
        limit=influence_bound(RELEASED),
    )
    assert (found.target_shift <= found.target_shift_bound).all()
    assert (found.influence <= found.influence_limit).all() and (found.target_shift > 0).all()
    plain = measure(worlds, margins, sampling, labels.masses, worlds.rewards, beta=1.0)
    assert np.isnan(plain.target_shift_bound).all() and not plain.influence.any()
    assert all(len(column) == 5 for column in plain.columns().values())
    own = measure(
        worlds, margins, sampling, labels.masses, worlds.rewards, beta=1.0, target=margins
    )
    np.testing.assert_allclose(own.own_target_error, own.model_error, rtol=1e-12)


def test_accuracy_counts_undecided_pairs_by_halves():
    right = np.array([[[[0, 1.0, 0], [-1, 0, 2], [0, -2, 0]]]])
    shares = (1 - np.eye(3))[None, None] / 6
    assert pair_accuracy(right, shares, right) == 1
    assert pair_accuracy(-right, shares, right) == 0
    assert pair_accuracy(0 * right, shares, right) == 0.5
    assert np.isnan(pair_accuracy(right, shares, 0 * right))


@given(st.lists(floats(-12, 12), min_size=3, max_size=3), st.lists(st.integers(0, 9), min_size=6))
def test_weight_statistics_are_those_of_the_labels_one_by_one(h, counts):
    off = ~np.eye(3, dtype=bool)
    margins, masses = np.zeros((3, 3)), np.zeros((3, 3))
    margins[np.triu_indices(3, 1)] = h
    margins = margins - margins.T
    masses[off] = np.array(counts[:6]) + (sum(counts[:6]) == 0)
    labels = np.repeat(weight(margins[off], RELEASED), masses[off].astype(int))
    found = weight_statistics(margins[None, None], masses[None, None], RELEASED, threshold=0.3)
    assert found.mean[0] == pytest.approx(labels.mean(), rel=1e-13)
    share = effective_sample_size(labels) / len(labels)
    assert found.effective[0] == pytest.approx(share, rel=1e-13)
    assert found.suppressed[0] == pytest.approx((labels < 0.3).mean(), rel=1e-13)


@given(
    st.lists(floats(-5, 5), min_size=4, max_size=4, unique=True),
    st.lists(floats(-3, 3), min_size=4, max_size=4),
    floats(1e-6, 0.999),
    floats(0.01, 100),
)
def test_equal_kl_is_met_and_the_unit_of_the_scores_does_not_matter(scores, logits, share, unit):
    scores, reference = np.array(scores), log_softmax(np.array(logits))
    target = share * -reference[scores.argmax()]
    found = reward_at_kl(scores, scores**2, reference, [target])
    # Bisection ends between two floats; the sum of four nonnegative terms rounds to a few ulp.
    assert found.kl[0] == pytest.approx(target, rel=1e-9)
    log_policy = log_softmax(reference + found.sharpness[0] * scores)
    policy = np.exp(log_policy)
    assert policy @ (log_policy - reference) == pytest.approx(target, abs=1e-11, rel=1e-9)
    assert found.reward[0] == pytest.approx(policy @ scores**2, rel=1e-9)
    again = reward_at_kl(unit * scores, scores**2, reference, [target])
    assert again.reward[0] == pytest.approx(found.reward[0], rel=1e-6)


def test_two_responses_at_equal_kl_by_another_root_finder():
    found = reward_at_kl([0.0, 3.0], [0.0, 1.0], np.log([0.5, 0.5]), [0.1, 0.5, 0.69])
    for kl, reward in zip([0.1, 0.5, 0.69], found.reward, strict=True):
        root = brentq(
            lambda p, kl=kl: p * math.log(2 * p) + (1 - p) * math.log(2 - 2 * p) - kl,
            0.5,
            1 - 1e-12,
            xtol=1e-14,
        )
        assert reward == pytest.approx(root, abs=1e-11)


def test_out_of_reach_the_limit_policy_stands():
    scores, reference = np.array([0.0, 2.0, 2.0]), np.log([0.5, 0.2, 0.3])
    found = reward_at_kl(scores, [0.0, 1.0, 6.0], reference, [0.1, math.log(2), 5.0])
    assert np.isfinite(found.sharpness[0]) and np.isinf(found.sharpness[1:]).all()
    np.testing.assert_allclose(found.reward[1:], 4.0, rtol=1e-14)
    np.testing.assert_allclose(found.kl, [0.1, math.log(2), math.log(2)], rtol=1e-12)
    flat = reward_at_kl([1.0, 1.0], [0.0, 2.0], np.log([0.5, 0.5]), [0.1])
    assert flat.reward[0] == 1 and flat.kl[0] == 0


def test_the_true_rewards_have_the_best_frontier_and_any_temperature_lies_on_its_own():
    worlds, margins, *_ = setting(1, 4, 2.0)
    scores = margins.mean(-1)
    kl = [0.02, 0.2, 0.6]
    best, other = (frontier(worlds, s, kl) for s in (worlds.rewards, scores))
    np.testing.assert_allclose(best.kl, np.broadcast_to(kl, (4, 3)), rtol=1e-9)
    np.testing.assert_allclose(other.kl, best.kl, rtol=1e-9)
    assert (best.reward > other.reward).all() and (np.diff(best.reward) > 0).all()
    m = 0.8 * scores
    log_policy = policy_of(worlds, torch.as_tensor(m).reshape(-1, 4))
    divergence = (np.exp(log_policy) * (log_policy - worlds.log_reference)).sum(-1).mean(-1)
    reward = (np.exp(log_policy) * worlds.rewards).sum(-1).mean(-1)
    for world in range(4):
        found = frontier(worlds, scores, divergence[[world]])
        assert found.reward[world, 0] == pytest.approx(reward[world], abs=1e-9)
        assert found.sharpness[world, 0] == pytest.approx(0.8, rel=1e-9)
    each = reward_at_kl(scores, worlds.rewards, worlds.log_reference, [0.05])
    np.testing.assert_allclose(each.kl, 0.05, rtol=1e-9)


WORLDS, MARGINS, SAMPLING, LABELS = setting()


def call(**changes):
    arguments = {
        "worlds": WORLDS,
        "margins": MARGINS,
        "sampling": SAMPLING,
        "labels": LABELS.masses,
        "m": WORLDS.rewards,
        "beta": 0.1,
    }
    return measure(**(arguments | changes))


@pytest.mark.parametrize(
    ("changes", "error", "rule"),
    [
        ({"worlds": 1}, TypeError, "worlds must be one of Worlds"),
        ({"beta": 0.0}, ValueError, "beta > 0"),
        ({"m": WORLDS.rewards[:1]}, ValueError, "starts with 6 problems"),
        ({"m": np.nan * WORLDS.rewards}, ValueError, "m must be finite"),
        ({"margins": MARGINS + 1}, ValueError, "margins must be antisymmetric"),
        ({"target": MARGINS + 1}, ValueError, "target must be antisymmetric"),
        ({"sampling": 2 * SAMPLING}, ValueError, "sum to 1 a prompt"),
        ({"labels": -LABELS.masses}, ValueError, "labels must be >= 0"),
        ({"labels": 0 * LABELS.masses}, ValueError, "labels must have mass in every world"),
        ({"weighting": 2.0}, TypeError, "weighting must be a MarginSchedule"),
        ({"threshold": 0.0}, ValueError, "threshold > 0"),
        ({"lipschitz": -1.0}, ValueError, "lipschitz = -1.0"),
        ({"limit": -1.0}, ValueError, "limit = -1.0"),
    ],
)
def test_invalid_input_is_named(changes, error, rule):
    with pytest.raises(error, match=rule):
        call(**changes)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (([0.0, 1.0], [0.0, 1.0], [-1.0, -1.0], [0.0]), "kl > 0"),
        (([0.0, 1.0], [0.0], [-1.0, -1.0], [0.1]), "rewards must have shape"),
        (([0.0, 1.0], [0.0, 1.0], [-1.0, -1.0], 0.1), "kl must have 1 axes"),
    ],
)
def test_a_frontier_names_what_is_wrong(arguments, rule):
    with pytest.raises(ValueError, match=rule):
        reward_at_kl(*arguments)
