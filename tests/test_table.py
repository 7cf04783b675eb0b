"""The exact table optimum: closed forms, its certificate, the real loss's gradient, refusals."""

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.special import expit, logit
from strategies import floats

from madpo_theory import MarginSchedule, effective_target, log_weight_ratio
from madpo_theory.losses import dpo, madpo
from madpo_theory.simulate import (
    expected_wins,
    fit_table,
    minimize_table,
    sampled_wins,
    table_certificate,
    weigh_wins,
)
from madpo_theory.theory.realizability import cycle_residual

RELEASED_4 = MarginSchedule.released(4)
THREE = np.array([0.0, 2.0, 6.0])


def gaps_of(scores):
    return np.subtract.outer(scores, scores)


def sampling(w01, w12, w02):
    return np.array([[0, w01, w02], [w01, 0, w12], [w02, w12, 0]], float)


def symmetric(values, size):
    filled = np.zeros((size, size))
    filled[np.triu_indices(size, 1)] = values
    return filled + filled.T


# Certified in the ledger (L4, Krawczyk); here as golden numbers.
@pytest.mark.parametrize(
    ("weights", "gap"),
    [((1, 1, 1), 17.75444220), ((10, 10, 1), 19.84027775), ((1, 1, 10), 14.90713204)],
)
def test_the_fitted_gap_depends_on_the_sampling(weights, gap):
    fit = fit_table(THREE, RELEASED_4, sampling=sampling(*weights))
    assert fit.gaps[2, 0] == pytest.approx(gap, abs=5e-9)
    assert fit.radius < 1e-10 and fit.curvature > 0
    np.testing.assert_allclose(
        fit_table(THREE, sampling=sampling(*weights)).gaps, gaps_of(THREE), atol=1e-12
    )


@pytest.mark.parametrize("exponent", (0, -1, -5, -20, -100, -300))
def test_two_responses_settle_at_the_log_ratio_within_the_radius(exponent):
    p, q = 3.0, 10.0**exponent
    fit = minimize_table([[0, p], [q, 0]], steps=2000)
    # A gap moves by at most sqrt(2) times the scores; the logarithms round.
    error = abs(fit.gaps[0, 1] - (np.log(p) - np.log(q)))
    assert error <= np.sqrt(2) * fit.radius + 4e-16 * abs(fit.gaps[0, 1])


@given(floats(-6, 6), floats(-6, 6), floats(1.01, 3), floats(0, 0.99), floats(0.1, 5))
def test_two_responses_settle_at_the_effective_target(h, h_model, c_max, c_min, tau):
    s = MarginSchedule(c_max, c_min, 1.0, tau)
    model = np.array([[0, h_model], [-h_model, 0]])
    fit = fit_table([h, 0.0], s, model=model)
    target = effective_target(h, h_model, s)
    assert abs(fit.gaps[0, 1] - target) <= 2 * fit.radius + 1e-14 * (1 + abs(target))


def test_on_a_tree_of_pairs_every_target_is_fitted():
    s = MarginSchedule.class_defaults()
    rewards = np.array([0.0, 1.0, 2.5, -1.0])
    pairs = symmetric([1, 0, 3, 2, 0, 0], 4)  # 01, 03, 12
    fit = fit_table(rewards, s, sampling=pairs)
    gaps = gaps_of(rewards)
    held = pairs > 0
    targets = effective_target(gaps, gaps, s)
    np.testing.assert_allclose(fit.gaps[held], targets[held], atol=1e-11)


@given(
    st.lists(floats(-3, 3), min_size=5, max_size=5),
    st.lists(floats(0.1, 10), min_size=10, max_size=10),
)
def test_additive_targets_are_fitted_whatever_the_sampling(scores, weights):
    scores = np.array(scores)
    fit = fit_table(scores, sampling=symmetric(weights, 5))
    assert np.abs(fit.gaps - gaps_of(scores)).max() <= 2 * fit.radius + 1e-14
    assert abs(fit.scores.sum()) < 1e-13


@given(
    st.lists(floats(-4, 4), min_size=20, max_size=20), st.permutations(range(5)), floats(-200, 200)
)
def test_names_and_the_unit_of_mass_do_not_matter(logs, order, exponent):
    wins = np.zeros((5, 5))
    wins[~np.eye(5, dtype=bool)] = np.exp(logs)
    fit = minimize_table(wins)
    renamed = minimize_table(wins[np.ix_(order, order)] * 10.0**exponent)
    error = fit.radius + renamed.radius
    np.testing.assert_allclose(renamed.scores, fit.scores[list(order)], atol=error, rtol=1e-14)


@given(st.lists(floats(-4, 4), min_size=12, max_size=12))
def test_the_gradient_vanishes_and_the_loss_rises_around(logs):
    wins = np.zeros((4, 4))
    wins[~np.eye(4, dtype=bool)] = np.exp(logs)
    fit = minimize_table(wins)

    def loss(scores):
        return (wins * np.logaddexp(0, -gaps_of(scores))).sum()

    flow = wins.T * expit(fit.gaps) - wins * expit(-fit.gaps)
    assert np.abs(flow.sum(axis=1)).max() <= fit.slope * wins.max() + 1e-13 * wins.sum()
    for k in range(4):
        for step in (-1e-3, 1e-3):
            moved = fit.scores + step * (np.arange(4) == k)
            # On mean-0 scores the step has length sqrt(3)/2; the curvature falls by e^-step at most
            floor = fit.curvature * wins.max() * np.exp(-2e-3) * 0.75 * step**2 / 2
            assert loss(moved) - loss(fit.scores) >= floor - 1e-14 * loss(fit.scores)


@given(
    st.lists(floats(-4, 4), min_size=6, max_size=6),
    st.lists(floats(-0.7, 0.7), min_size=3, max_size=3),
)
@example([0, 0, -12, 0, -12, 0], [0.2, -0.2, 0])
def test_the_certificate_reaches_the_minimizer_from_anywhere(logs, away):
    wins = np.zeros((3, 3))
    wins[~np.eye(3, dtype=bool)] = np.exp(logs)
    fit = minimize_table(wins)
    away = np.array(away) - np.mean(away)
    slope, curvature, radius = table_certificate(wins, fit.scores + away)
    assert np.linalg.norm(away) <= radius + fit.radius
    assert (radius == np.inf) == (np.sqrt(2) * slope >= curvature)


def test_the_certificate_is_tight_where_the_loss_is_exponential():
    """Near z = 20 the loss is q e^z but for 2e-9: the slope falls as the inequality allows."""
    wins = np.array([[0, 1.0], [np.exp(-20.0), 0]])
    fit = minimize_table(wins)
    away = np.array([-0.25, 0.25])
    *_, radius = table_certificate(wins, fit.scores + away)
    assert radius == pytest.approx(np.linalg.norm(away), rel=1e-7)


def test_no_comparisons_prove_nothing():
    assert table_certificate(np.zeros((2, 2)), np.zeros(2)) == (0, 0, np.inf)


def test_a_table_on_which_uncut_newton_steps_diverge():
    logs = np.array(
        [
            [-np.inf, -17.1, -np.inf, -15.5, -22.0],
            [-np.inf, -np.inf, -16.4, -15.7, -np.inf],
            [-0.3, -9.5, -np.inf, -18.0, -np.inf],
            [-14.8, 0.1, -np.inf, -np.inf, -np.inf],
            [-np.inf, -10.2, -3.4, -18.3, -np.inf],
        ]
    )
    assert minimize_table(np.exp(logs)).radius < 1e-9


@pytest.mark.parametrize("weighting", [None, MarginSchedule.released()])
def test_the_training_loss_is_stationary_at_the_fit(weighting):
    """The loss that trains, on a table policy's log-probabilities, differentiated by torch."""
    rewards, beta = np.array([0.0, 1.0, -0.7, 2.2, 0.4]), 0.1
    wins = sampled_wins(rewards, 50, 3)
    model = rewards + np.random.default_rng(4).normal(0, 1, 5)
    weighted = wins if weighting is None else weigh_wins(wins, model, weighting)
    fit = minimize_table(weighted)
    winner, loser = np.nonzero(wins)
    scores = torch.tensor(fit.scores / beta, requires_grad=True)
    policy, reference = torch.log_softmax(scores, 0), torch.full((5,), -np.log(5.0)).double()
    logps = [side[index] for side in (policy, reference) for index in (winner, loser)]
    if weighting is None:
        losses = dpo(*logps, beta=beta)[0]
    else:
        margin = torch.tensor(model[winner] - model[loser])
        losses = madpo(*logps, margin=margin, weighting=weighting, beta=beta)[0]
    total = (torch.tensor(wins[winner, loser]) * losses).sum()
    (slope,) = torch.autograd.grad(total, scores)
    # Per label; float64 rounds sums of 500 labels of slope beta at most.
    assert slope.abs().max() < 1e-13 * wins.sum()


def test_the_fitted_gaps_lie_between_targets_and_their_additive_part_does_not_fit():
    gaps = gaps_of(THREE)
    first, second = np.triu_indices(len(THREE), 1)
    targets = effective_target(gaps, gaps, RELEASED_4)[first, second]
    split = cycle_residual(np.stack([first, second], axis=1), targets)
    assert split.relative == pytest.approx(0.34422, abs=5e-6)
    fit = fit_table(THREE, RELEASED_4)
    assert -targets[1] < fit.gaps[2, 0] < -targets[0] - targets[2]
    assert split.scores[2] - split.scores[0] == pytest.approx(13.76661, abs=5e-6)


def test_expected_and_sampled_wins_agree():
    wins = sampled_wins(THREE, 1_000_000, 0)
    assert (wins + wins.T == 1_000_000 * (1 - np.eye(3))).all()
    p = expit(gaps_of(THREE))
    np.testing.assert_allclose(expected_wins(THREE), p * (1 - np.eye(3)))
    error = np.sqrt(p * (1 - p) / 1_000_000)
    assert (np.abs(wins / 1e6 - expected_wins(THREE)) <= 5 * error).all()
    assert (sampled_wins(THREE, 10, 1) == sampled_wins(THREE, 10, 1)).all()
    assert (sampled_wins(THREE, 1000, 1) != sampled_wins(THREE, 1000, 2)).any()
    uneven = np.array([[0, 5, 0], [5, 0, 7], [0, 7, 0]])
    counted = sampled_wins(THREE, uneven, 0)
    assert (counted + counted.T == uneven).all()


def test_a_tree_of_sampled_labels_fits_the_shifted_logits():
    s, h = MarginSchedule.class_defaults(), np.array([1.5, 0.0])
    wins = sampled_wins(h, 1000, 5)
    fit = minimize_table(weigh_wins(wins, h, s))
    expected = logit(wins[0, 1] / 1000) + log_weight_ratio(1.5, s)
    assert fit.gaps[0, 1] == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.integers(0, 1), min_size=12, max_size=12))
def test_without_fords_condition_the_responses_at_fault_are_named(entries):
    wins = np.zeros((4, 4))
    wins[~np.eye(4, dtype=bool)] = entries
    reach = np.linalg.matrix_power(np.eye(4) + wins, 4) > 0
    assume(not reach.all())
    with pytest.raises(ValueError, match=r"no unique minimizer exists: .*responses \[\d"):
        minimize_table(wins)


def test_what_float64_cannot_locate_is_refused():
    s = MarginSchedule(20.0, 0.5, 20.0, 40.0)
    with pytest.raises(RuntimeError, match=r"locates the minimizer to .* nats only"):
        fit_table([0.0, 1.0, 3.0], s)
    with pytest.raises(RuntimeError, match=r"has not converged in 2 steps"):
        minimize_table([[0, 1, 2], [3, 0, 1], [1, 1, 0]], steps=2)
    with pytest.raises(ValueError, match=r"rewards: the mass of response 0 beating 1 underflows"):
        fit_table([0.0, 800.0])
    with pytest.raises(ValueError, match=r"model: the mass of response 0 beating 1 underflows"):
        weigh_wins([[0, 1], [1, 0]], [0.0, 40.0], MarginSchedule(20.0, 0.5, 20.0, 50.0))


@pytest.mark.parametrize(
    ("call", "error", "rule"),
    [
        (lambda: minimize_table([[0, -1], [1, 0]]), ValueError, r"wins\[0, 1\] = -1"),
        (lambda: minimize_table([[0, 1], [1, 0]], tolerance=0.0), ValueError, "tolerance > 0"),
        (lambda: minimize_table([[0, 1], [1, 0]], steps=0), ValueError, "steps >= 1"),
        (lambda: table_certificate([[0, 1], [1, 0]], [0.0]), ValueError, "scores must have 2"),
        (lambda: fit_table([[0.0, 1.0]]), ValueError, "rewards must have 1 axes"),
        (lambda: fit_table([0.0]), ValueError, r"rewards must be \(K, K\) with K >= 2"),
        (lambda: fit_table([0.0, np.nan]), ValueError, "rewards must be finite, got nan"),
        (lambda: fit_table([0, 1], model=[0, 1]), ValueError, "weighting is None"),
        (
            lambda: fit_table([0, 1], RELEASED_4, model=[[0, 1], [1, 0]]),
            ValueError,
            r"model must be antisymmetric: swapping two .* model\[0, 1\] = 1 and",
        ),
        (
            lambda: fit_table([0, 1], RELEASED_4, model=[0, 1, 2]),
            ValueError,
            "model must have 2 responses like wins, got 3",
        ),
        (
            lambda: fit_table([0, 1], sampling=[[0, 1], [2, 0]]),
            ValueError,
            "sampling must be symmetric",
        ),
        (
            lambda: fit_table([0, 1, 2], sampling=[[0, 1], [1, 0]]),
            ValueError,
            r"sampling must be \(3, 3\) like the rewards",
        ),
        (
            lambda: fit_table([0, 1, 2], sampling=sampling(1, 0, 0)),
            ValueError,
            r"no comparison connects the responses \[0, 1\]",
        ),
        (lambda: sampled_wins([0, 1], 1.5, 0), TypeError, "labels must be integers"),
        (lambda: sampled_wins([0, 1], -1, 0), ValueError, r"labels\[0, 1\] = -1"),
    ],
)
def test_invalid_input_is_named(call, error, rule):
    with pytest.raises(error, match=rule):
        call()
