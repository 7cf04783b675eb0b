"""How pairs are made: exact laws against enumeration written otherwise, autograd, and sampling."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, minimize
from scipy.special import expit, log_softmax
from scipy.stats import binom
from strategies import SEEDS

from madpo_theory.methods import METHODS
from madpo_theory.simulate import expected_wins, minimize_table
from madpo_theory.simulate.making import (
    PrecomputedBmc,
    averaged,
    bmc_gradient,
    bmc_margins,
    bridged_wins,
    descended,
    dpo_gradient,
    draw_sequence_law,
    draw_wins,
    fit_rewards,
    flat_directions,
    logit_gradient,
    logits,
    merged_law,
    moved,
    published_law,
    replay_law,
    rpo_gradient,
    rpo_risk,
    sample_accepted,
    sample_replay,
    segment_pairs,
    segment_starts,
    successive_law,
    tempered,
    theorem_settings,
    token_logs,
    total_variation,
)
from madpo_theory.theory.value import optimal_policy

FEW = settings(max_examples=25, deadline=None)
SFT, REWARDS, BETA = np.log([0.7, 0.2, 0.07, 0.03]), np.array([0.0, 0.5, 1.0, 1.5]), 0.5
TARGET = np.exp(optimal_policy(REWARDS, SFT, beta=BETA))
STICKY = np.log(np.array([[3, 1], [1, 3]]) / 8)  # the second token is the first with 3/4
EARLY = [(0, 1)]


def generator(*seed):
    return np.random.default_rng(np.random.SeedSequence(seed))


# -- RSO ----------------------------------------------------------------------------------------


def algorithm_1(candidates, rewards, num, beta):
    """{(accepted, in order): probability} of the paper's listing on (key, response) candidates."""
    if not num or not candidates:
        return {(): 1.0}
    best, ends = max(rewards[response] for _, response in candidates), {}

    def through(at, left, taken, probability):
        if at == len(candidates) or len(taken) == num:
            rest = algorithm_1(left, rewards, num - len(taken), beta)
            for later, chance in rest.items():
                key = taken + later
                ends[key] = ends.get(key, 0.0) + probability * chance
            return
        key, response = candidates[at]
        chance = math.exp((rewards[response] - best) / beta)
        without = [c for c in left if c[0] != key]
        through(at + 1, without, (*taken, response), probability * chance)
        if chance < 1:
            through(at + 1, left, taken, probability * (1 - chance))

    through(0, list(candidates), (), 1.0)
    return ends


def enumerated(log_sft, rewards, candidates, num, beta, merged):
    """Expected counts over all sequences of candidates, and how often they run out."""
    counts, short = np.zeros(len(log_sft)), 0.0
    for drawn in itertools.product(range(len(log_sft)), repeat=candidates):
        mass = math.exp(sum(log_sft[response] for response in drawn))
        keyed = [(r, r) for r in dict.fromkeys(drawn)] if merged else list(enumerate(drawn))
        for accepted, chance in algorithm_1(keyed, rewards, num, beta).items():
            short += mass * chance * (len(accepted) < num)
            for response in accepted:
                counts[response] += mass * chance
    return counts, short


@pytest.mark.parametrize("merged", (False, True))
@pytest.mark.parametrize(
    ("arms", "candidates", "num"), ((2, 4, 2), (3, 3, 1), (3, 4, 3), (4, 3, 2))
)
def test_accepted_candidates_are_those_of_the_listing_enumerated(arms, candidates, num, merged):
    rng = generator(1, arms, candidates, num)
    log_sft, rewards = log_softmax(rng.normal(size=arms)), rng.normal(size=arms)
    law = (merged_law if merged else published_law)(
        log_sft, rewards, candidates=candidates, num=num, beta=0.7
    )
    counts, short = enumerated(log_sft, rewards, candidates, num, 0.7, merged)
    np.testing.assert_allclose(law.counts, counts, rtol=1e-12)  # sums of 300 terms
    assert law.short == pytest.approx(short, abs=1e-12)


@pytest.mark.parametrize("merged", (False, True))
def test_responses_of_equal_reward_accept_each_other(merged):
    log_sft, rewards = np.log([0.5, 0.3, 0.2]), np.array([1.0, 0.0, 1.0])
    law = (merged_law if merged else published_law)(log_sft, rewards, candidates=3, num=2)
    counts, _ = enumerated(log_sft, rewards, 3, 2, 0.5, merged)
    np.testing.assert_allclose(law.counts, counts, rtol=1e-12)


@pytest.mark.parametrize("merged", (False, True))
@pytest.mark.parametrize(("candidates", "num"), ((8, 1), (8, 4), (64, 2)))
def test_drawn_candidates_are_accepted_by_the_exact_law(candidates, num, merged):
    exact = (merged_law if merged else published_law)(
        SFT, REWARDS, candidates=candidates, num=num, beta=BETA
    )
    rng, runs = generator(2, candidates, num, merged), 20_000
    counts = sample_accepted(
        SFT, REWARDS, rng, candidates=candidates, num=num, merged=merged, runs=runs
    )
    error = counts.std(axis=0) / math.sqrt(runs)
    # what happens in fewer than one run of its thousands has no measured error: ten runs
    assert (np.abs(counts.mean(axis=0) - exact.counts) < 5 * error + 10 / runs).all()
    short = (counts.sum(axis=1) < num).mean()
    assert abs(short - exact.short) <= 5 * math.sqrt(exact.short * (1 - exact.short) / runs) + 1e-9


def test_the_numbers_of_four_arms():
    """Enumerated above, drawn above; to the digits in which they are told."""
    assert TARGET.round(3).tolist() == [0.296, 0.230, 0.219, 0.255]
    one = merged_law(SFT, REWARDS, candidates=64, num=1)
    assert one.law.round(3).tolist() == [0.055, 0.122, 0.270, 0.553]
    many = merged_law(SFT, REWARDS, candidates=5000, num=1)
    assert many.law.round(3).tolist() == [0.045, 0.104, 0.224, 0.627]
    biases = {
        (n, k): total_variation(published_law(SFT, REWARDS, candidates=n, num=k).law, TARGET)
        for n, k in ((64, 8), (128, 8), (64, 64))
    }
    assert [round(b, 4) for b in biases.values()] == [0.0407, 0.0006, 0.4038]


def test_all_candidates_accepted_are_the_candidates():
    law = published_law(SFT, REWARDS, candidates=5, num=5).law
    np.testing.assert_allclose(law, np.exp(SFT), rtol=1e-13)


@FEW
@given(SEEDS, st.integers(2, 5), st.integers(1, 30), st.integers(1, 8))
def test_the_bias_of_apart_candidates_is_below_what_the_first_pass_lacks(seed, arms, more, num):
    """Where the best response is drawn and a first pass suffices, it is rejection sampling."""
    rng = generator(seed)
    log_sft, rewards = log_softmax(rng.normal(size=arms)), rng.normal(size=arms)
    candidates, target = num + more, np.exp(optimal_policy(rewards, log_sft, beta=BETA))
    law = published_law(log_sft, rewards, candidates=candidates, num=num).law
    rate = np.exp(log_sft + (rewards - rewards.max()) / BETA).sum()
    lacks = (1 - np.exp(log_sft[rewards.argmax()])) ** candidates
    lacks += binom.cdf(num - 1, candidates, rate)
    assert total_variation(law, target) <= lacks + 1e-12  # rounding of 2^5 terms
    shifted = published_law(log_sft, rewards + 3.0, candidates=candidates, num=num).law
    np.testing.assert_allclose(shifted, law, atol=1e-12)


@pytest.mark.parametrize("num", (1, 2, 3))
def test_successive_draws_are_those_of_all_orders(num):
    expected = np.zeros(4)
    for order in itertools.permutations(range(4), num):
        mass, left = 1.0, 1.0
        for response in order:
            mass, left = mass * TARGET[response] / left, left - TARGET[response]
        expected[list(order)] += mass
    found = successive_law(np.log(TARGET), num=num)
    np.testing.assert_allclose(found.counts, expected, rtol=1e-13)


def test_distinct_responses_cannot_all_have_the_target_law():
    assert total_variation(successive_law(np.log(TARGET), num=1).law, TARGET) < 1e-15
    np.testing.assert_allclose(successive_law(np.log(TARGET), num=4).law, 0.25, rtol=1e-13)


# -- laws of sequences --------------------------------------------------------------------------

SHAPES = ((2, 1), (3, 1), (2, 3), (3, 2))


@pytest.mark.parametrize(("alphabet", "length"), SHAPES)
def test_a_law_is_the_product_of_its_tokens(alphabet, length):
    law = draw_sequence_law(generator(3, alphabet, length), alphabet, length)
    assert np.exp(law).sum() == pytest.approx(1, abs=1e-14)
    logs = token_logs(law).reshape(length, *law.shape)
    np.testing.assert_allclose(logs.sum(axis=0), law, atol=1e-13)
    for t, row in enumerate(logs):  # each row of V sums to 1, whatever comes after
        own = np.exp(row).reshape(alphabet**t, alphabet, -1)
        np.testing.assert_allclose(own.sum(axis=1), 1, rtol=1e-13)


def autograd(law, loss):
    """Gradient of `loss(token log-probabilities (L, V^L))` by free logits, by torch."""
    length, shape = law.ndim, law.shape
    ends = np.cumsum([math.prod(shape[: t + 1]) for t in range(length)])
    free = torch.tensor(logits(law), requires_grad=True)
    rows = []
    for t, part in enumerate(torch.tensor_split(free, ends[:-1].tolist())):
        own = part.reshape(shape[: t + 1]).log_softmax(-1)
        rows.append(own.reshape(shape[: t + 1] + (1,) * (length - t - 1)).expand(shape).flatten())
    (gradient,) = torch.autograd.grad(loss(torch.stack(rows)), free)
    return gradient.numpy()


@pytest.mark.parametrize(("alphabet", "length"), SHAPES)
def test_gradients_are_of_the_logits(alphabet, length):
    rng = generator(4, alphabet, length)
    law = draw_sequence_law(rng, alphabet, length)
    coefficients = rng.normal(size=(length, law.size))
    expected = autograd(law, lambda rows: (rows * torch.as_tensor(coefficients)).sum())
    np.testing.assert_allclose(logit_gradient(law, coefficients), expected, atol=1e-13)


def test_moved_logits_temper_and_average():
    rng = generator(5)
    law, older = (draw_sequence_law(rng, 3, 2) for _ in range(2))
    np.testing.assert_allclose(tempered(law, 0.7), moved(law, logits(law) * (1 / 0.7 - 1)))
    change = 0.3 * (logits(older) - logits(law))
    np.testing.assert_allclose(averaged(law, older, 0.3), moved(law, change), atol=1e-13)
    np.testing.assert_allclose(tempered(law, 1.0), law, atol=1e-13)
    np.testing.assert_allclose(averaged(law, older, 1.0), older, atol=1e-13)


# -- SAPO ---------------------------------------------------------------------------------------


def test_segments_leave_what_the_released_code_leaves():
    assert segment_starts(256, 256, kept=3) == ((0, 256),)
    assert segment_starts(258, 256, kept=3) == ((0, 256),)
    assert segment_starts(261, 256, kept=3) == ((0, 256), (1, 257), (2, 258))
    assert segment_starts(3, 2) == ((0, 2), (1, 3))


def pairs_by_hand(data, generates, segments):
    """The law of pairs, one sequence and one token after another."""
    tokens = list(itertools.product(range(data.shape[0]), repeat=data.ndim))
    logs, pairs = token_logs(generates), np.zeros((data.size, data.size))
    for (i, chosen), (j, rejected) in itertools.product(enumerate(tokens), repeat=2):
        for start, stop in segments:
            kept = chosen[:start] + chosen[stop:] == rejected[:start] + rejected[stop:]
            chance = math.exp(data[chosen] + sum(logs[t, j] for t in range(start, stop)))
            pairs[i, j] += kept * chance / len(segments)
    return pairs


@pytest.mark.parametrize(("alphabet", "length"), ((2, 3), (3, 2)))
def test_pairs_of_segments_are_those_by_hand(alphabet, length):
    rng = generator(6, alphabet, length)
    data, other = (draw_sequence_law(rng, alphabet, length) for _ in range(2))
    segments = segment_starts(length, 1)
    pairs = segment_pairs(data, other, segments)
    np.testing.assert_allclose(pairs, pairs_by_hand(data, other, segments), atol=1e-15)
    np.testing.assert_allclose(pairs.sum(axis=1), np.exp(data).ravel(), rtol=1e-13)


def test_the_gradient_of_the_pairs_is_that_of_dpos_loss():
    rng = generator(7)
    data, policy, reference = (draw_sequence_law(rng, 2, 3) for _ in range(3))
    pairs = torch.as_tensor(segment_pairs(data, policy, [(1, 2)]))

    def loss(rows):
        ratio = rows.sum(0) - torch.as_tensor(reference.ravel())
        margins = ratio[:, None] - ratio[None, :]
        return -(pairs * torch.nn.functional.logsigmoid(0.3 * margins)).sum()

    found = dpo_gradient(policy, reference, pairs.numpy(), beta=0.3)
    np.testing.assert_allclose(found, autograd(policy, loss), atol=1e-14)


@FEW
@given(SEEDS, st.sampled_from(((2, 2), (2, 3), (3, 3), (2, 4))), st.data())
def test_the_datas_law_is_stationary_iff_the_segment_reaches_the_end(seed, shape, data):
    law = draw_sequence_law(generator(seed), *shape)
    start = data.draw(st.integers(0, shape[1] - 1))
    stop = data.draw(st.integers(start + 1, shape[1]))
    pairs = segment_pairs(law, law, [(start, stop)])
    size = np.abs(dpo_gradient(law, law, pairs, beta=1.0)).max()
    moved_by = np.abs(pairs.sum(axis=0) - np.exp(law).ravel()).max()
    if stop == shape[1]:
        assert size < 1e-15 and moved_by < 1e-15  # of sums of 81 terms below 1
    else:
        assert size > 1e-9 < moved_by


def test_independent_tokens_make_any_segment_stationary():
    rows = log_softmax(generator(8).normal(size=(3, 2)), axis=-1)
    law = rows[0][:, None, None] + rows[1][:, None] + rows[2]
    pairs = segment_pairs(law, law, segment_starts(3, 1))
    assert np.abs(dpo_gradient(law, law, pairs, beta=1.0)).max() < 1e-15


@pytest.mark.parametrize(
    "broken",
    (
        lambda law, other: (law, averaged(law, other, 0.5)),  # generator: an average of the past
        lambda law, other: (law, tempered(law, 0.7)),  # generator: the released temperature
        lambda law, other: (other, law),  # reference
    ),
    ids=("average", "temperature", "reference"),
)
def test_what_else_must_hold_for_the_data_to_be_stationary(broken):
    rng = generator(9)
    law, other = (draw_sequence_law(rng, 2, 3) for _ in range(2))
    reference, generates = broken(law, other)
    pairs = segment_pairs(law, generates, [(1, 3)])
    assert np.abs(dpo_gradient(law, reference, pairs, beta=1.0)).max() > 1e-3


def test_a_kept_suffix_pushes_the_second_token_to_repeat_the_first():
    pairs = segment_pairs(STICKY, STICKY, EARLY)
    expected = np.array([0, 0, 1, -1, -1, 1]) * (1 / 2 - 3 / 4) / 4  # beta/2 (1/2 - s), halved
    np.testing.assert_allclose(dpo_gradient(STICKY, STICKY, pairs, beta=1.0), expected, atol=1e-15)


def test_a_reference_that_follows_never_lets_the_policy_rest():
    def gradient(law):
        return dpo_gradient(law, law, segment_pairs(STICKY, law, EARLY), beta=1.0)

    stays, law = [], STICKY
    for _ in range(4):
        stays.append(2 * np.exp(law[0, 0]))
        law, slope = descended(law, gradient, rate=1.0, steps=20)
        assert slope == pytest.approx(1 / 16, abs=1e-12)
    assert np.diff(stays).min() > 0 and stays[-1] > 0.999


def replayed_by_hand(size, batches, batch):
    """Variance of the first entry's count over all sequences of draws."""
    moments = np.zeros(2)
    for drawn in itertools.product(range(size), repeat=batches * batch):
        counts, mass = [0] * size, 1.0
        for at in range(0, len(drawn), batch):
            weights = [1 / (c + 1) for c in counts]
            for entry in drawn[at : at + batch]:
                mass *= weights[entry] / sum(weights)
            for entry in drawn[at : at + batch]:
                counts[entry] += 1
        moments += mass * np.array([counts[0], counts[0] ** 2])
    return moments[0], moments[1] - moments[0] ** 2


@pytest.mark.parametrize(("size", "batches", "batch"), ((2, 6, 1), (3, 2, 3), (3, 5, 1)))
def test_replayed_counts_are_those_of_all_draws(size, batches, batch):
    law = replay_law(size, batches, batch=batch)
    mean, variance = replayed_by_hand(size, batches, batch)
    assert law.probability.sum() == pytest.approx(1, abs=1e-13)
    assert mean == pytest.approx(batches * batch / size, abs=1e-12)
    assert law.variance == pytest.approx(variance, abs=1e-12)
    # chance alone, p(1 - p) a draw, is what a uniform buffer would have
    assert law.variance < batches * batch / size * (1 - 1 / size)


def test_drawn_replays_have_the_exact_variance():
    runs = 40_000
    counts = sample_replay(4, 5, generator(10), batch=2, runs=runs)
    exact = replay_law(4, 5, batch=2).variance
    squares = (counts[:, 0] - 2.5) ** 2
    assert abs(squares.mean() - exact) < 5 * squares.std() / math.sqrt(runs)


# -- BMC ----------------------------------------------------------------------------------------


PAPER = METHODS["bmc"]
WEIGHTED = {"paper": PAPER, "released": METHODS["bmc_released"], "precomputed": PrecomputedBmc}


@pytest.mark.parametrize("weighted", WEIGHTED)
def test_weighted_margins_and_their_gradient_are_those_of_a_loop(weighted):
    rng, delta, beta = generator(11), 1.7, 0.4
    policy, reference = (draw_sequence_law(rng, 2, 3) for _ in range(2))
    tokens = list(itertools.product(range(2), repeat=3))
    wins = np.where(np.eye(8, dtype=bool), 0, rng.random((8, 8)))
    of_reference = token_logs(reference)

    def loss(rows):
        total = 0.0
        for i, j in itertools.permutations(range(8), 2):
            margin = 0.0
            for side, sign in ((i, 1), (j, -1)):
                for t in range(3):
                    differs = tokens[i][t] != tokens[j][t]
                    held = float(rows[t, side].detach())
                    own = 1 + differs * min(math.exp(-held), delta)
                    theirs = 1 + differs * min(math.exp(-of_reference[t, side]), delta)
                    theirs = {"paper": own, "released": theirs, "precomputed": 1.0}[weighted]
                    margin += sign * (own * rows[t, side] - theirs * of_reference[t, side])
            margins[i, j] = float(margin.detach())
            total = total - wins[i, j] * torch.nn.functional.logsigmoid(beta * margin)
        return total

    margins = np.zeros((8, 8))
    expected = autograd(policy, loss)
    method = WEIGHTED[weighted](beta=beta, delta=delta)
    np.testing.assert_allclose(bmc_margins(policy, reference, method), margins, atol=1e-12)
    found = bmc_gradient(policy, reference, wins, method)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@FEW
@given(SEEDS, st.sampled_from(((2, 2), (3, 2), (2, 3))))
def test_the_regularized_policy_is_dpos_optimum_and_not_bmcs(seed, shape):
    rng = generator(seed)
    reference, beta = draw_sequence_law(rng, *shape), 0.5
    rewards = rng.normal(size=reference.size)
    wins = expected_wins(rewards)
    best = optimal_policy(rewards, reference.ravel(), beta=beta).reshape(reference.shape)
    # rounding: of 64 terms below 1 each
    assert np.abs(bmc_gradient(best, reference, wins, PAPER(beta=beta, delta=0.0))).max() < 1e-13
    for kind in WEIGHTED.values():
        assert np.abs(bmc_gradient(best, reference, wins, kind(beta=beta))).max() > 1e-3


def test_margins_vanish_at_the_reference_unless_its_tokens_are_weighted_otherwise():
    law = draw_sequence_law(generator(12), 3, 2)
    for name, kind in WEIGHTED.items():
        assert (np.abs(bmc_margins(law, law, kind())).max() < 1e-13) == (name != "precomputed")


def test_unlikely_single_tokens_make_bmc_dpo_at_a_higher_temperature():
    reference = np.log([0.2, 0.3, 0.25, 0.25])
    rewards, beta = np.array([0.3, 0.0, -0.2, 0.1]), 0.5
    best = optimal_policy(rewards, reference, beta=3 * beta)
    assert np.exp(best).max() < 0.5
    found = bmc_gradient(best, reference, expected_wins(rewards), PAPER(beta=beta))
    assert np.abs(found).max() < 1e-15


@pytest.mark.parametrize(("start", "rest"), ((0.001, 0.44929), (0.55, 0.44929), (0.65, 0.81644)))
def test_the_papers_weights_leave_two_places_to_rest(start, rest):
    """p_ref = 0.001, h* = 2, beta = 0.1: they are apart at 0.571; DPO's is 0.999998."""
    reference = np.log([0.001, 0.999])
    wins = np.array([[0, expit(2.0)], [expit(-2.0), 0]])

    def gradient(law):
        return bmc_gradient(law, reference, wins, PAPER(beta=0.1))

    law, slope = descended(np.log([start, 1 - start]), gradient, rate=20.0, steps=200)
    assert slope < 1e-12 and np.exp(law[0]) == pytest.approx(rest, abs=1e-5)


def test_bridged_pairs_are_those_by_hand():
    rng, law = generator(13), draw_sequence_law(generator(13), 2, 2)
    wins = np.where(np.eye(4, dtype=bool), 0, rng.random((4, 4)))
    tokens = list(itertools.product(range(2), repeat=2))
    expected = np.zeros((4, 4))
    for (i, chosen), (j, rejected) in itertools.permutations(enumerate(tokens), 2):
        places = [t for t in range(2) if chosen[t] != rejected[t]]
        for size in range(1, len(places) + 1):
            for taken in itertools.combinations(places, size):
                edited = tuple(chosen[t] if t in taken else rejected[t] for t in range(2))
                chance = 0.3**size * 0.7 ** (len(places) - size)
                expected[tokens.index(edited), j] += wins[i, j] * chance
    np.testing.assert_allclose(bridged_wins(wins, law, 0.3), expected, atol=1e-15)
    np.testing.assert_allclose(bridged_wins(wins, law, 1.0), wins)
    assert not bridged_wins(wins, law, 0.0).any()


def test_bridging_shrinks_the_scores_of_a_table():
    rewards, law = np.array([0.0, 1.0, 0.5, 1.5]), draw_sequence_law(generator(14), 2, 2)
    fits = [minimize_table(bridged_wins(expected_wins(rewards), law, s)) for s in (1.0, 0.5)]
    np.testing.assert_allclose(fits[0].scores - fits[0].scores[0], rewards, atol=1e-9)
    assert (fits[1].scores - fits[1].scores[0]).round(3).tolist() == [0.0, 0.915, 0.407, 1.47]


# -- RPO ----------------------------------------------------------------------------------------

Rpo = METHODS["rpo"]
ARMS = np.log([0.25, 0.25, 0.5])
ONE_PAIR = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 0]])


def test_flat_directions_are_the_parts_of_the_comparison_graph():
    assert flat_directions(ONE_PAIR).tolist() == [[0, 0, 1]]
    two = np.zeros((5, 5))
    two[0, 1] = two[2, 3] = 1
    assert sorted(flat_directions(two).tolist()) == [[0, 0, 0, 0, 1], [0, 0, 1, 1, 0]]
    assert flat_directions(expected_wins(np.arange(3.0))).size == 0
    with pytest.raises(ValueError, match="no unique minimizer"):
        minimize_table(draw_wins(np.arange(3.0), ONE_PAIR, 50, generator(15))[0])


@FEW
@given(SEEDS, st.integers(2, 4), st.floats(-3, 3))
def test_dpo_does_not_see_an_arm_in_no_pair_and_rpo_does(seed, covered, raised):
    rng = generator(seed)
    wins = np.zeros((covered + 1, covered + 1))
    wins[:covered, :covered] = np.where(np.eye(covered, dtype=bool), 0, rng.random((covered,) * 2))
    wins /= wins.sum()
    log_reference = log_softmax(rng.normal(size=covered + 1))
    rewards, (unseen,) = rng.normal(size=covered + 1), flat_directions(wins)
    risks = [
        rpo_risk(rewards + step * unseen, wins, log_reference, Rpo(eta=eta, beta=0.3))
        for eta in (0.0, 0.2)
        for step in (0.0, raised)
    ]
    assert risks[0] == risks[1]
    assert (risks[3] - risks[2]) * raised >= 0
    slope = rpo_gradient(rewards, wins, log_reference, Rpo(eta=0.2, beta=0.3))[-1]
    policy = np.exp(log_softmax(log_reference + rewards / 0.3))
    assert slope == pytest.approx(0.2 * policy[-1], rel=1e-12)


def test_the_risk_is_rpos_loss_by_hand():
    wins, method = np.array([[0, 0.3, 0], [0.5, 0, 0.2], [0, 0, 0]]), Rpo(eta=0.4, beta=0.2)
    rewards = np.array([0.7, -0.1, 0.4])
    policy = np.exp(ARMS + rewards / 0.2) / np.exp(ARMS + rewards / 0.2).sum()
    expected = sum(
        wins[i, j] * (math.log1p(math.exp(rewards[j] - rewards[i])) - 0.08 * math.log(policy[i]))
        for i, j in itertools.permutations(range(3), 2)
    )
    assert rpo_risk(rewards, wins, ARMS, method) == pytest.approx(expected, rel=1e-13)


def test_the_gradient_is_that_of_the_risk():
    rng = generator(16)
    wins = np.where(np.eye(3, dtype=bool), 0, rng.random((3, 3)))
    rewards, of = rng.normal(size=3), (wins, ARMS, Rpo(eta=0.4, beta=0.2))
    found = rpo_gradient(rewards, *of)
    slope = approx_fprime(rewards, rpo_risk, 1e-6, *of)
    np.testing.assert_allclose(found, slope, atol=1e-5)  # forward differences: half a step


@pytest.mark.parametrize(("eta", "beta"), ((0.2, 0.5), (0.01, 0.05), (1.0, 0.02)))
def test_fits_are_as_low_as_another_minimizers(eta, beta):
    rewards, bound = np.array([1.5, 0.2, 1.0, 0.7]), 2.0
    sampling = np.ones((4, 4)) - np.eye(4)
    sampling[3, :] = sampling[:, 3] = 0
    log_reference = np.log([0.1, 0.3, 0.2, 0.4])
    wins = draw_wins(rewards, sampling, 60, generator(17), runs=4)
    method = Rpo(eta=eta, beta=beta)
    fit = fit_rewards(wins, log_reference, method, bound=bound)
    assert (fit.rewards >= 0).all() and (fit.rewards <= bound).all()
    assert (fit.rewards[:, 3] == 0).all() and fit.residual.max() <= 1e-10
    np.testing.assert_allclose(np.exp(fit.log_policy).sum(axis=1), 1, rtol=1e-13)
    for table, found in zip(wins / 60, fit.rewards, strict=True):
        of = table, log_reference, method
        other = minimize(
            rpo_risk,
            np.full(4, 1.0),
            of,
            jac=rpo_gradient,
            bounds=[(0, bound)] * 4,
            method="L-BFGS-B",
            options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 5000},
        )
        assert rpo_risk(found, *of) <= other.fun + 1e-14  # ulps of a risk near 1


def gaps(sizes, rewards_of, runs, seed, bound=2.0):
    """(mean gap to the best covered arm, its standard error) of RPO's policy at each N."""
    found = []
    for size in sizes:
        settings, rewards = theorem_settings(size, 3, bound=bound), rewards_of(size)
        wins = draw_wins(rewards, ONE_PAIR, size, generator(seed, size), runs=runs)
        fit = fit_rewards(wins, ARMS, settings.method, bound=bound)
        gap = rewards[:2].max() - np.exp(fit.log_policy) @ rewards
        assert gap.max() <= settings.gap(1.0, math.log(4))
        found.append((gap.mean(), gap.std() / math.sqrt(runs)))
    return np.array(found).T


def test_the_gap_falls_as_one_over_the_root_of_the_data():
    """Where the better arm is better by 2/sqrt(N); and much faster where it is so by 1/2."""
    sizes = np.array([256, 4096, 65536])
    mean, error = gaps(sizes, lambda n: np.array([1 + 2 / math.sqrt(n), 1.0, 0.5]), 2000, 18)
    scaled, error = mean * np.sqrt(sizes), error * np.sqrt(sizes)
    assert (np.abs(scaled - scaled.mean()) < 5 * error).all() and 0.4 < scaled.mean() < 0.6
    fixed, _ = gaps((64, 1024), lambda n: np.array([1.5, 1.0, 0.5]), 400, 19)
    assert fixed[0] > 0.03 and fixed[1] < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("bound", (1.0, 2.0, 3.0))
@pytest.mark.parametrize("times", (1.0, 2.0, 4.0))
def test_the_rate_lies_between_one_over_the_root_and_its_logarithm(bound, times):
    """Over five powers of ten: the theorem's eta sqrt(N) grows as iota does, which R = 1 shows."""
    sizes = 4 ** np.arange(4, 12)

    def rewards_of(size):
        return np.array([bound / 3 + times / math.sqrt(size), bound / 3, 0.1])

    mean, error = gaps(sizes, rewards_of, 4000, 20, bound)
    iota = np.array([theorem_settings(int(n), 3, bound=bound).iota for n in sizes])
    for scale, side in ((np.sqrt(sizes), 1), (np.sqrt(sizes) / iota, -1)):
        fit = np.polyfit(np.log(sizes), np.log(mean * scale), 1, w=mean / error, cov="unscaled")
        assert side * fit[0][0] > -5 * math.sqrt(fit[1][0, 0])


def test_theorem_settings_are_the_formula():
    found = theorem_settings(100, 3, bound=2.0, delta=0.1)
    cubes = math.ceil(2.0 / (2 / (6 * (1 + math.exp(2)) * 100))) ** 3
    assert found.iota == pytest.approx(math.sqrt(math.log(cubes / 0.1)), rel=1e-14)
    assert found.eta == pytest.approx(math.sqrt(0.24 * found.iota**2) / (1 + math.exp(2)) ** 2)
    assert found.beta == 0.1
    promised = (math.sqrt(6) * (1 + math.exp(2)) ** 2 * 5 * found.iota + 4 * 0.7) / 40
    assert found.gap(2.0, 0.7) == pytest.approx(promised, rel=1e-14)
    later = theorem_settings(10_000, 3, bound=2.0, delta=0.1)
    assert found.gap(2.0, 0.7) > later.gap(2.0, 0.7)


def test_labels_are_drawn_for_the_pairs_that_are_compared():
    rewards, runs = np.array([1.0, 0.0, 5.0]), 4000
    wins = draw_wins(rewards, ONE_PAIR, 20, generator(21), runs=runs)
    assert (wins.sum(axis=(1, 2)) == 20).all() and not wins[:, 2].any() and not wins[:, :, 2].any()
    share, p = wins[:, 0, 1].mean() / 20, expit(1.0)
    assert abs(share - p) < 5 * math.sqrt(p * (1 - p) / (20 * runs))


# -- what is refused ----------------------------------------------------------------------------

HALF = np.log([0.5, 0.5])
WINS = np.array([[[0.0, 1.0], [1.0, 0.0]]])
FIT = {"method": Rpo(eta=0.1, beta=0.1), "bound": 1.0}
REFUSED = {
    "a law that sums to 2": (lambda: published_law([0.0, 0.0], [0, 1], candidates=2, num=1), "sum"),
    "rewards of another length": (
        lambda: published_law(HALF, [0, 1, 2], candidates=2, num=1),
        "rewards must have shape",
    ),
    "a reward that is no number": (
        lambda: published_law(HALF, [0, math.nan], candidates=2, num=1),
        "rewards",
    ),
    "fewer candidates than wanted": (
        lambda: published_law(HALF, [0, 1], candidates=2, num=3),
        "candidates = 2 breaks the rule candidates >= num = 3",
    ),
    "no candidate": (lambda: merged_law(HALF, [0, 1], candidates=0, num=1), "candidates = 0"),
    "a beta of 0": (
        lambda: merged_law(HALF, [0, 1], candidates=2, num=1, beta=0.0),
        "beta > 0",
    ),
    "too many responses to order": (
        lambda: merged_law(np.full(8, -math.log(8)), np.zeros(8), candidates=2, num=1),
        "K <= 7",
    ),
    "more distinct ones than there are": (lambda: successive_law(HALF, num=3), "num = 3"),
    "axes of two sizes": (lambda: tempered(np.full((2, 3), -math.log(6)), 1.0), "one axis"),
    "a temperature of 0": (lambda: tempered(HALF, 0.0), "temperature > 0"),
    "an average beyond 1": (lambda: averaged(HALF, HALF, 1.5), "0 <= alpha <= 1"),
    "laws of two shapes": (lambda: segment_pairs(STICKY, HALF, EARLY), "log_generator must have"),
    "a segment beyond the end": (lambda: segment_pairs(STICKY, STICKY, [(1, 3)]), "0 <= start"),
    "no segment": (lambda: segment_pairs(STICKY, STICKY, []), "one at least"),
    "pairs of another shape": (lambda: dpo_gradient(STICKY, STICKY, np.ones((2, 2))), "pairs must"),
    "an empty buffer": (lambda: replay_law(0, 1), "size = 0"),
    "a win over oneself": (lambda: bmc_gradient(HALF, HALF, np.ones((2, 2)), PAPER()), "wins"),
    "a share beyond 1": (lambda: bridged_wins(WINS[0], HALF, 1.5), "share = 1.5"),
    "no wins": (lambda: fit_rewards(0 * WINS, HALF, **FIT), "wins must hold"),
    "an eta of 0": (lambda: fit_rewards(WINS, HALF, Rpo(eta=0.0), bound=1.0), "eta > 0"),
    "arms of another number": (lambda: fit_rewards(WINS, ARMS, **FIT), "must have 3 arms"),
    "arms in two axes": (lambda: fit_rewards(WINS, STICKY, **FIT), "one entry an arm"),
    "a probability of 0": (lambda: theorem_settings(10, 3, bound=1.0, delta=0.0), "0 < delta < 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_by_name(case):
    call, words = REFUSED[case]
    with pytest.raises(ValueError, match=words):
        call()


def test_margins_are_of_a_bmc():
    with pytest.raises(TypeError, match="method must be one of Bmc, got Dpo"):
        bmc_margins(HALF, HALF, METHODS["dpo"]())


def test_a_fit_that_has_not_arrived_says_so():
    with pytest.raises(RuntimeError, match="not at their minimum after 1 steps"):
        fit_rewards(np.array([[[0.0, 3.0], [1.0, 0.0]]]), HALF, **FIT, steps=1)
