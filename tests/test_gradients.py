"""Policy gradients on bandits, against autograd, restated loops, brute force and Monte Carlo."""

import itertools
import math

import numpy as np
import pytest
import sympy as sp
import torch
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from madpo_theory.simulate.gradients import (
    Bapo,
    BapoReleased,
    KeepLaw,
    MixingMoments,
    SoftmaxBandit,
    TraceBandit,
    bernoulli,
    best_mixing,
    clipped_surrogate,
    contributions,
    entropy_rule,
    entropy_slope,
    fixed_count,
    flowing,
    flowing_contributions,
    group_advantages,
    grpo_groups,
    hierarchical,
    hierarchical_variance,
    keep_weight,
    mixed_error,
    moments,
    net_share,
    pruned_groups,
    pruning_variance,
    ranked,
    self_normalized,
    share,
)
from madpo_theory.simulate.gradients.bandit import OUTCOMES

SEEDS = st.integers(0, 2**32 - 1)
DRAWS = 50_000
LIMIT = 5.0  # standard errors; of some 40 scores none is expected beyond 4

BANDIT = SoftmaxBandit([0.3, -0.4, 1.1], [1.0, -0.5, 0.2], [0.5, 0.3, 0.2])


def z_scores(draws, exact):
    """Deviation of the mean of draws (n, ...) from `exact`, in standard errors."""
    away = draws.mean(axis=0) - exact
    error = draws.std(axis=0, ddof=1) / math.sqrt(len(draws))
    # What does not vary must be exact, to rounding.
    constant = np.where(np.abs(away) > 1e-14, np.inf, 0.0)
    return np.where(error > 1e-16, away / np.where(error > 1e-16, error, 1), constant)


def of_torch(function, *at):
    """Gradient by autograd of a scalar function of NumPy arrays."""
    tensors = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in at]
    found = torch.autograd.grad(function(*tensors), tensors, materialize_grads=True)
    return [g.numpy() for g in found]


# ----------------------------------------------------------------------------------------- bandit


def test_gradients_are_those_of_autograd():
    rewards = torch.tensor(BANDIT.rewards)
    (gradient,) = of_torch(lambda x: torch.softmax(x, 0) @ rewards, BANDIT.logits)
    (entropy,) = of_torch(
        lambda x: torch.distributions.Categorical(logits=x).entropy(), BANDIT.logits
    )
    np.testing.assert_allclose(BANDIT.gradient, gradient, rtol=0, atol=1e-15)
    np.testing.assert_allclose(BANDIT.entropy_gradient, entropy, rtol=0, atol=1e-15)
    for action, score in enumerate(BANDIT.scores):
        (exact,) = of_torch(lambda x, a=action: torch.log_softmax(x, 0)[a], BANDIT.logits)
        np.testing.assert_allclose(score, exact, rtol=0, atol=1e-15)


def test_a_bandit_on_and_off_policy():
    assert abs(BANDIT.sampler @ BANDIT.advantages) < 1e-15
    assert BANDIT.sampler @ BANDIT.ratio == pytest.approx(1, abs=1e-15)
    on_policy = SoftmaxBandit(BANDIT.logits, BANDIT.rewards)
    assert (on_policy.ratio == 1).all() and (on_policy.sampler == BANDIT.policy).all()
    ascended = on_policy.stepped(on_policy.gradient, 0.1)
    assert ascended.value > on_policy.value
    assert (BANDIT.stepped([1.0, 0, 0], 2.0).logits == BANDIT.logits + [2, 0, 0]).all()


def test_entropy_s_slopes_are_derivatives_of_the_entropy_after_a_step():
    values = BANDIT.advantages
    for rule, direction in (
        (entropy_slope, BANDIT.policy * (values - BANDIT.policy @ values)),
        (entropy_rule, values),
    ):
        (slope,) = of_torch(
            lambda eta, d=direction: torch.distributions.Categorical(
                logits=torch.tensor(BANDIT.logits) + eta * torch.tensor(d)
            ).entropy(),
            0.0,
        )
        assert rule(BANDIT.policy, BANDIT.log_policy, values) == pytest.approx(slope, abs=1e-15)


def test_group_advantages_are_standardized():
    rewards = np.array([[1.0, 0.0, 0.0, 1.0], [0.3, 0.3, 0.3, 0.3], [2.0, 1.0, 0.0, 5.0]])
    found = group_advantages(rewards)
    for row, of_group in zip(rewards, found, strict=True):
        std = np.std(row)
        assert of_group == pytest.approx((row - np.mean(row)) / std if std > 1e-12 else 0 * row)
    # Three rewards of 0.1 have a mean that is not 0.1: no advantage may come of that.
    assert (group_advantages([0.1, 0.1, 0.1]) == 0).all()
    centred = group_advantages(rewards, normalize=False)
    assert centred == pytest.approx(rewards - rewards.mean(axis=1, keepdims=True))


@pytest.mark.parametrize("size", (2, 3, 4))
def test_a_group_that_is_its_own_baseline_shortens_the_gradient(size):
    """E of (1/G) sum (r_i - mean r) grad log pi(a_i) = (1 - 1/G) times the policy gradient."""
    found = grpo_groups(BANDIT, size, normalize=False).moments.mean
    np.testing.assert_allclose(found, (1 - 1 / size) * BANDIT.gradient, rtol=0, atol=1e-14)


def test_groups_are_those_that_are_drawn():
    groups, rng = grpo_groups(BANDIT, 3), np.random.default_rng(1)
    assert groups.probabilities.sum() == pytest.approx(1, abs=1e-14) and len(groups.actions) == 27
    actions = rng.choice(3, size=(DRAWS, 3), p=BANDIT.policy)
    rewards = BANDIT.rewards[actions]
    std = rewards.std(axis=1, keepdims=True)
    advantages = (rewards - rewards.mean(axis=1, keepdims=True)) / np.where(
        std > 1e-12, std, np.inf
    )
    estimates = (advantages[..., None] * (np.eye(3)[actions] - BANDIT.policy)).mean(axis=1)
    exact = groups.moments
    squares = ((estimates - exact.mean) ** 2).sum(axis=1)
    assert np.abs(z_scores(estimates, exact.mean)).max() < LIMIT
    assert abs(z_scores(squares, exact.variance)) < LIMIT


def test_an_error_is_bias_and_variance():
    rng = np.random.default_rng(2)
    law, values, target = rng.dirichlet(np.ones(7)), rng.normal(size=(7, 3)), rng.normal(size=3)
    brute = sum(p * ((v - target) ** 2).sum() for p, v in zip(law, values, strict=True))
    assert moments(law, values).error(target) == pytest.approx(brute, rel=1e-13)


# ---------------------------------------------------------------------------------------- pruning

VALUES = np.array([[1.0, 0.0], [-0.5, 2.0], [0.2, 0.2], [0.0, -1.0]])
PRUNE = np.array([0.5, 0.2, 0.7, 0.0])
LAWS = {
    "bernoulli": (bernoulli(PRUNE), lambda kept: kept / (1 - PRUNE)),
    "self_normalized": (
        self_normalized(PRUNE),
        lambda kept: 4 * (kept / (1 - PRUNE)) / (kept / (1 - PRUNE)).sum(axis=1, keepdims=True),
    ),
}


@pytest.mark.parametrize("name", LAWS)
def test_laws_of_single_masks_are_those_that_are_drawn(name):
    law, weigh = LAWS[name]
    kept = np.random.default_rng(3).random((DRAWS, 4)) >= PRUNE
    estimates = weigh(kept) @ VALUES / 4
    exact = law.moments(VALUES)
    squares = ((estimates - exact.mean) ** 2).sum(axis=1)
    assert np.abs(z_scores(estimates, exact.mean)).max() < LIMIT
    assert abs(z_scores(squares, exact.variance)) < LIMIT
    assert law.kept == pytest.approx((1 - PRUNE).sum(), abs=1e-14)


@given(seed=SEEDS, count=st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_a_drawn_mask_is_unbiased_at_the_stated_price(seed, count):
    rng = np.random.default_rng(seed)
    values, prune = rng.normal(size=(count, 2)), rng.uniform(0, 0.9, count)
    found = bernoulli(prune).moments(values)
    price = (prune / (1 - prune) * (values**2).sum(axis=1)).sum() / count**2
    # At most 64 outcomes, weighed at most 10 times: rounding of float64 sums.
    np.testing.assert_allclose(found.mean, values.mean(axis=0), rtol=0, atol=1e-13)
    assert found.variance == pytest.approx(price, abs=1e-12)


def test_alike_pruned_and_normalized_again_only_nothing_kept_is_biased():
    found = self_normalized(np.full(4, 0.3)).moments(VALUES).mean
    np.testing.assert_allclose(found, (1 - 0.3**4) * VALUES.mean(axis=0), rtol=0, atol=1e-15)
    assert np.linalg.norm(self_normalized(PRUNE).moments(VALUES).bias(VALUES.mean(axis=0))) > 0.07


@pytest.mark.parametrize("prune", (0.0, 0.25, 0.4, 0.5, 0.75))
def test_fixed_counts_are_averages_over_subsets(prune):
    cut = int(4 * prune)
    subsets = list(itertools.combinations(range(4), 4 - cut))
    brute = sum(VALUES[list(s)].sum(axis=0) / (1 - prune) / 4 for s in subsets) / len(subsets)
    law = fixed_count(4, prune)
    assert law.kept == pytest.approx(4 - cut, abs=1e-14)
    np.testing.assert_allclose(law.moments(VALUES).mean, brute, rtol=0, atol=1e-14)
    unbiased = np.allclose(brute, VALUES.mean(axis=0), rtol=0, atol=1e-14)
    assert unbiased == (prune != 0.4)


def test_a_share_of_k_in_n_cuts_k():
    for count in range(1, 13):
        for cut in range(count):
            assert fixed_count(count, cut / count).kept == pytest.approx(count - cut, abs=1e-12)


def test_ranked_cuts_the_lowest_scores():
    found = ranked(np.array([3.0, 1.0, 2.0, 1.0]), 0.5)
    assert found.weights.tolist() == [[2.0, 0.0, 2.0, 0.0]]
    first_of_equals = ranked(np.array([1.0, 1.0, 1.0, 1.0]), 0.25)
    assert (first_of_equals.weights[0] > 0).tolist() == [False, True, True, True]
    bias = found.moments(VALUES).bias(VALUES.mean(axis=0))
    assert bias == pytest.approx(0.5 * (VALUES[[0, 2]].mean(axis=0) - VALUES[[1, 3]].mean(axis=0)))


def test_prompts_then_completions():
    prompts, completions = np.array([0.4, 0.1]), np.array([[0.5, 0.0, 0.3], [0.2, 0.6, 0.1]])
    values = np.random.default_rng(4).normal(size=(2, 3, 2))
    flat, law, rng = (
        values.reshape(6, 2),
        hierarchical(prompts, completions),
        np.random.default_rng(5),
    )
    exact = law.moments(flat)
    kept = (rng.random((DRAWS, 2, 1)) >= prompts[:, None]) & (
        rng.random((DRAWS, 2, 3)) >= completions
    )
    weights = kept / ((1 - prompts[:, None]) * (1 - completions))
    estimates = np.einsum("nqo,qod->nd", weights, values) / 6
    squares = ((estimates - flat.mean(axis=0)) ** 2).sum(axis=1)
    assert np.abs(z_scores(estimates, flat.mean(axis=0))).max() < LIMIT
    assert abs(z_scores(squares, hierarchical_variance(prompts, completions, values))) < LIMIT
    np.testing.assert_allclose(exact.mean, flat.mean(axis=0), rtol=0, atol=1e-14)
    assert exact.variance == pytest.approx(
        hierarchical_variance(prompts, completions, values), rel=1e-12
    )
    # Masks of their own at the same chances of being kept would cost another sum.
    alone = bernoulli(1 - ((1 - prompts[:, None]) * (1 - completions)).ravel()).moments(flat)
    assert abs(alone.variance - exact.variance) > 0.01


def test_draws_follow_the_generator_that_is_passed_in():
    law = bernoulli(PRUNE)
    first, again = (law.draw(VALUES, 1000, np.random.default_rng(7)) for _ in range(2))
    assert (first == again).all()
    drawn = law.draw(VALUES, DRAWS, np.random.default_rng(8))
    assert np.abs(z_scores(drawn, VALUES.mean(axis=0))).max() < LIMIT


def test_advantages_of_what_is_kept_are_not_those_of_the_group():
    """Standardizing anew among the kept, instead of before pruning, is biased: exactly."""
    groups = grpo_groups(BANDIT, 3)
    full, found = groups.moments.mean, np.zeros(3)
    masks = np.array(list(itertools.product((False, True), repeat=3)))
    for actions, chance in zip(groups.actions, groups.probabilities, strict=True):
        for kept in masks[masks.any(axis=1)]:
            advantages = group_advantages(BANDIT.rewards[actions[kept]])
            estimate = (2 * advantages[:, None] * BANDIT.scores[actions[kept]]).sum(axis=0) / 3
            found += chance / 8 * estimate
    unbiased = pruned_groups(groups, lambda a: bernoulli(np.full(3, 0.5)))
    np.testing.assert_allclose(unbiased.mean, full, rtol=0, atol=1e-14)
    assert np.linalg.norm(found - full) > 0.05 * np.linalg.norm(full)


def test_weights_and_prices_in_every_world():
    prune, norm = np.array([0.0, 0.25, 0.9]), np.array([1.0, 2.0, 3.0])
    exact = pruning_variance(prune, norm)
    np.testing.assert_allclose(exact, [0, 2 / 3, 27], rtol=1e-14)
    of = pruning_variance(torch.tensor(prune), torch.tensor(norm))
    np.testing.assert_allclose(of.numpy(), exact, rtol=1e-15)
    assert keep_weight(sp.Rational(1, 4)) == sp.Rational(4, 3)
    assert keep_weight(arb("0.75")).overlaps(arb(4))


# --------------------------------------------------------------------------------------- clipping


def sampled(seed, size=20):
    rng = np.random.default_rng(seed)
    advantage = rng.normal(rng.uniform(-1, 1), 1, size)
    return np.exp(rng.normal(0, 0.7, size)), advantage, rng.exponential(1, size)


@pytest.mark.parametrize("clips", ((0.8, 1.2), (0.6, 3.0), (0.95, 1.05)))
def test_the_surrogate_is_ppo_s_in_value_and_gradient(clips):
    ratio, advantage, _ = sampled(10, 200)
    r, a = (torch.tensor(x, requires_grad=True) for x in (ratio, advantage))
    ppo = torch.min(r * a, torch.clamp(r, *clips) * a)
    np.testing.assert_allclose(
        clipped_surrogate(ratio, advantage, *clips), ppo.detach().numpy(), rtol=1e-15
    )
    (gradient,) = torch.autograd.grad(ppo.sum(), r)
    x = flowing(ratio, advantage, *clips)
    np.testing.assert_allclose(x * advantage, gradient.numpy(), rtol=1e-15)
    assert 0 < x.mean() < 1 and set(x) == {0.0, 1.0}
    ours = clipped_surrogate(r, a, *clips)
    assert torch.equal(torch.autograd.grad(ours.sum(), r)[0], gradient)


def test_an_advantage_of_zero_contributes_nothing():
    ratio, advantage = np.array([0.5, 2.0]), np.zeros(2)
    assert (clipped_surrogate(ratio, advantage, 0.8, 1.2) == 0).all()
    assert (flowing(ratio, advantage, 0.8, 1.2) == 0).all()
    assert contributions(ratio, advantage, np.ones(2), 0.8, 1.2) == (0, 0)
    assert share(0.0, 0.0) == net_share(0.0, 0.0) == 0 and net_share(1.0, 1.0) == math.inf
    assert share(1.0, 3.0) == 0.25 and net_share(1.0, 3.0) == 0.5


def algorithm_1(ratio, advantage, masses, rho=0.4):
    """The paper's lines 9 to 17, the share in absolute parts; clips in hundredths."""

    def rho_of(low, high):
        surrogate = masses * np.minimum(
            ratio * advantage, np.clip(ratio, low / 100, high / 100) * advantage
        )
        return surrogate[advantage > 0].sum() / np.abs(surrogate).sum()

    low, high = 60, 120
    while rho_of(low, high) < rho and low + 2 <= 90:
        if high + 5 <= 300:
            high += 5
        else:
            low += 2
    return low / 100, high / 100


def released(ratio, advantages, mask, target=1.0):
    """The released code's two loops, restated; clips in hundredths."""

    def quotient(low, high):
        effective = np.where(
            advantages >= 0, np.minimum(ratio, high / 100), np.maximum(ratio, low / 100)
        )
        effective = effective * advantages * mask
        positive, negative = np.clip(effective, 0, None).sum(), -np.clip(effective, None, 0).sum()
        return math.inf if negative <= 0 else positive / (negative + 1e-8)

    low, high = 60, 120
    while quotient(low, high) < target and low < 90:
        low = min(low + 5, 90)
    while quotient(low, high) < target and high < 300:
        high = min(high + 5, 300)
    return low / 100, high / 100


@pytest.mark.parametrize(
    ("search", "loops"), ((Bapo(), algorithm_1), (BapoReleased(), released)), ids=("paper", "code")
)
def test_searches_end_where_the_loops_do(search, loops):
    met = set()
    for seed in range(120):
        samples = sampled(seed)
        found = search.search(*samples)
        assert (found.c_low, found.c_high) == loops(*samples)
        met.add((found.reached, found.raised[1] > 0))
    assert met == {(True, False), (True, True), (False, True)}  # at once, on the way, nowhere


def test_only_what_has_a_gradient_is_won_by_the_lower_bound():
    ratio, advantage = np.array([1.0, 0.7, 0.8]), np.array([1.0, -1.0, -1.0])
    flows = Bapo(rho=0.5, part=flowing_contributions).search(ratio, advantage, np.ones(3))
    assert flows.reached and (flows.c_low, flows.c_high) == (0.7, 3.0)
    values = Bapo(rho=0.5).search(ratio, advantage, np.ones(3))
    assert not values.reached and (values.c_low, values.c_high) == (0.9, 3.0)


@given(seed=SEEDS, rho=st.floats(0.01, 0.99))
@settings(max_examples=100, deadline=None)
def test_the_printed_share_asks_for_less(seed, rho):
    positive, negative = contributions(*sampled(seed), 0.6, 1.2)
    reached, needed = share(positive, negative), rho / (1 + 2 * rho)
    if abs(reached - needed) > 1e-12:
        assert (net_share(positive, negative) >= rho) == (reached >= needed)


@given(seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_unclipped_the_share_passes_half_iff_the_policy_has_improved(seed):
    """Advantages centred under the behaviour: positive - negative is E_pi R - E_behaviour R."""
    rng = np.random.default_rng(seed)
    bandit = SoftmaxBandit(
        rng.normal(size=5), rng.normal(size=5), rng.dirichlet(np.ones(5)) + 1e-300
    )
    far = 1e-300, 1e300
    positive, negative = contributions(bandit.ratio, bandit.advantages, bandit.sampler, *far)
    gained = bandit.value - bandit.sampler @ bandit.rewards
    assert positive - negative == pytest.approx(gained, abs=1e-12)


# ----------------------------------------------------------------------------------------- mixing


def drawn_world(seed, traces=3, answers=2, beta=0.7, moved=1.0):
    rng = np.random.default_rng(seed)
    pairs = rng.random((answers, answers)) * (1 - np.eye(answers))
    t, a = rng.normal(size=traces), rng.normal(size=(traces, answers))
    return TraceBandit(
        t + moved * rng.normal(size=traces),
        a + moved * rng.normal(size=(traces, answers)),
        t,
        a,
        pairs / pairs.sum(),
        beta,
    )


def by_autograd(world, loss):
    """Gradient in all logits of a loss of (log joint, its reference, log-ratios of no trace)."""
    reference = torch.log_softmax(torch.tensor(world.reference_trace_logits), 0)[:, None]
    of_reference = torch.log_softmax(torch.tensor(world.reference_answer_logits), 1)

    def of(traces, answers):
        of_answers = torch.log_softmax(answers, 1)
        joint = torch.log_softmax(traces, 0)[:, None] + of_answers
        return loss(joint, reference + of_reference, of_answers[0] - of_reference[0])

    found = of_torch(of, world.trace_logits, world.answer_logits)
    return np.concatenate([g.ravel() for g in found])


def test_all_three_gradients_are_those_of_autograd():
    world = drawn_world(20, answers=3)

    def dpo(chosen, rejected):
        return -torch.nn.functional.logsigmoid(world.beta * (chosen - rejected))

    total = np.zeros_like(world.gradient)
    for w, v in itertools.permutations(range(3), 2):
        exact = by_autograd(
            world,
            lambda joint, ref, _, w=w, v=v: dpo(
                *(joint[:, y].logsumexp(0) - ref[:, y].logsumexp(0) for y in (w, v))
            ),
        )
        np.testing.assert_allclose(world.marginal_gradients[w, v], exact, rtol=0, atol=1e-14)
        total += world.pairs[w, v] * exact
        exact = by_autograd(world, lambda *x, w=w, v=v: dpo(x[2][w], x[2][v]))
        np.testing.assert_allclose(world.empty_gradients[w, v], exact, rtol=0, atol=1e-14)
        for a, b in itertools.product(range(3), repeat=2):
            exact = by_autograd(
                world,
                lambda joint, ref, _, at=((a, w), (b, v)): dpo(*(joint[i] - ref[i] for i in at)),
            )
            np.testing.assert_allclose(world.trace_gradients[a, w, b, v], exact, rtol=0, atol=1e-14)
    np.testing.assert_allclose(world.gradient, total, rtol=0, atol=1e-14)


def test_moments_are_sums_over_pairs_and_traces():
    world = drawn_world(21)
    joint = np.exp(world.reference_answer_logits)
    joint /= joint.sum(axis=1, keepdims=True)
    law = np.exp(world.reference_trace_logits)
    joint *= (law / law.sum())[:, None]
    posterior = joint / joint.sum(axis=0)
    errors = {"trace": 0.0, "empty": 0.0, "cross": 0.0}
    for w, v, a, b in itertools.product(range(2), range(2), range(3), range(3)):
        chance = world.pairs[w, v] * posterior[a, w] * posterior[b, v]
        t = world.trace_gradients[a, w, b, v] - world.gradient
        e = world.empty_gradients[w, v] - world.gradient
        for name, product in (("trace", t @ t), ("empty", e @ e), ("cross", t @ e)):
            errors[name] += chance * product
    found = world.mixing()
    for name, value in errors.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-12), name
    apart = world.mixing(shared=False)
    assert (apart.trace, apart.empty) == (found.trace, found.empty)
    assert apart.cross == pytest.approx(found.trace_bias @ found.empty_bias, rel=1e-12)


@pytest.mark.parametrize("shared", (True, False))
def test_draws_have_the_exact_moments(shared):
    world, rng = drawn_world(22), np.random.default_rng(23)
    of_trace, of_empty = world.draw(DRAWS, rng, shared=shared)
    exact, target = world.mixing(shared=shared), world.gradient
    for draws, bias in ((of_trace, exact.trace_bias), (of_empty, exact.empty_bias)):
        assert np.abs(z_scores(draws, target + bias)).max() < LIMIT
    for first, second, value in (
        (of_trace, of_trace, exact.trace),
        (of_empty, of_empty, exact.empty),
        (of_trace, of_empty, exact.cross),
    ):
        products = ((first - target) * (second - target)).sum(axis=1)
        assert abs(z_scores(products, value)) < LIMIT


def test_batches_of_two_are_pairs_of_pairs():
    world = drawn_world(24)
    one, target = world.mixing(), world.gradient
    of_trace, of_empty = world.draw(2 * DRAWS, np.random.default_rng(25))
    means = [g.reshape(DRAWS, 2, -1).mean(axis=1) for g in (of_trace, of_empty)]
    for alpha in (0.3, 0.7):
        squares = ((alpha * means[0] + (1 - alpha) * means[1] - target) ** 2).sum(axis=1)
        assert abs(z_scores(squares, one.of_batch(2).error(alpha))) < LIMIT


@given(seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_the_best_weight_is_the_minimizer_s(seed):
    rng = np.random.default_rng(seed)
    pairs = rng.normal(size=(2, 4)) + rng.normal(size=(2, 1))  # some clipped at an end
    trace, empty, cross = (pairs[i] @ pairs[k] for i, k in ((0, 0), (1, 1), (0, 1)))
    found = minimize_scalar(
        lambda a: mixed_error(a, trace, empty, cross), bounds=(0, 1), options={"xatol": 1e-10}
    )
    best = best_mixing(trace, empty, cross)
    # The minimizer stops within the root of float64's rounding, and short of the ends.
    assert best == pytest.approx(found.x, abs=1e-5)
    assert mixed_error(best, trace, empty, cross) <= min(trace, empty) * (1 + 1e-14)


def test_mixtures_in_every_world():
    assert best_mixing(2.0, 1.0, 0.25) == pytest.approx(0.3, abs=1e-15)
    assert best_mixing(sp.Integer(1), sp.Integer(2), sp.Rational(5, 4)) == 1
    assert best_mixing(arb(2), arb(1), arb("1.25")).overlaps(arb(0))
    of_torch_world = best_mixing(*(torch.tensor(x, dtype=torch.float64) for x in (2.0, 1.0, 0.25)))
    assert float(of_torch_world) == pytest.approx(0.3, abs=1e-15)
    ends = MixingMoments(np.array([1.0]), np.array([0.0, 2.0])[1:], 3.0, 5.0, 1.0)
    assert (ends.error(1.0), ends.error(0.0)) == (ends.trace, ends.empty) == (4.0, 9.0)


# -------------------------------------------------------------------------------------- bad input

TWO = np.zeros(2)
PAIRS = [[0.0, 1.0], [0.0, 0.0]]
BAD = {
    r"logits has 1 actions, .* K >= 2": lambda: SoftmaxBandit([0.0], [1.0]),
    r"logits must be finite, got nan": lambda: SoftmaxBandit([0.0, math.nan], TWO),
    r"rewards must have shape \(2,\)": lambda: SoftmaxBandit(TWO, [1.0]),
    r"behaviour breaks the rule of a law.*sum 1\.5": lambda: SoftmaxBandit(TWO, TWO, [0.5, 1.0]),
    r"behaviour > 0: an action": lambda: SoftmaxBandit(TWO, TWO, [1.0, 0.0]),
    r"direction must have shape": lambda: SoftmaxBandit(TWO, TWO).stepped([1.0], 1.0),
    r"step must be finite": lambda: SoftmaxBandit(TWO, TWO).stepped(TWO, math.inf),
    r"size = 1 breaks the rule size >= 2": lambda: grpo_groups(BANDIT, 1),
    rf"groups have .* <= {OUTCOMES}": lambda: grpo_groups(BANDIT, 20),
    r"prune = 1\.0 at index \(1,\).*0 <= prune < 1": lambda: bernoulli([0.5, 1.0]),
    r"prune = -0\.1.*0 <= prune < 1": lambda: keep_weight(-0.1),
    r"prune must be finite": lambda: pruning_variance(math.nan, 1.0),
    r"prune = 1 breaks the rule 0 <= prune < 1": lambda: fixed_count(4, 1),
    r"count = 0 breaks the rule count >= 1": lambda: fixed_count(0, 0.5),
    r"keep masks have": lambda: bernoulli(np.full(25, 0.5)),
    r"scores must be finite": lambda: ranked([1.0, math.inf], 0.5),
    r"completion_prune must have 2 rows": lambda: hierarchical([0.1, 0.1], [[0.1]]),
    r"values has 3 items, the law has 4": lambda: bernoulli(PRUNE).moments(VALUES[:3]),
    r"values must have 2 axes": lambda: bernoulli(PRUNE).moments(VALUES[0]),
    r"count = 0": lambda: bernoulli(PRUNE).draw(VALUES, 0, np.random.default_rng(0)),
    r"rho = 1\.5 breaks the rule 0 < rho < 1": lambda: Bapo(rho=1.5),
    r"low_step = 0.* low_step > 0": lambda: Bapo(low_step=0.0),
    r"high = \(3\.0, 1\.2\) breaks the rule start <= end": lambda: Bapo(high=(3.0, 1.2)),
    r"target = -1": lambda: BapoReleased(target=-1),
    r"ratio > 0 and masses >= 0": lambda: Bapo().search([0.0, 1.0], TWO, TWO),
    r"advantage must have shape": lambda: Bapo().search([1.0, 1.0], [1.0], TWO),
    r"arguments must have one shape": lambda: clipped_surrogate(np.ones(2), np.ones(3), 0.8, 1.2),
    r"trace \+ empty - 2 cross = 0": lambda: best_mixing(1.0, 1.0, 1.0),
    r"alpha = 2 breaks the rule 0 <= alpha <= 1": lambda: drawn_world(0).mixing().error(2),
    r"pairs = 0 breaks the rule pairs >= 1": lambda: drawn_world(0).mixing().of_batch(0),
    r"answer_logits has shape \(1, 2\).*R >= 2": lambda: TraceBandit(
        [0.0], [TWO], [0.0], [TWO], PAIRS
    ),
    r"reference_trace_logits must have shape \(2,\)": lambda: TraceBandit(
        TWO, np.eye(2), [0.0], np.eye(2), PAIRS
    ),
    r"pairs\[y, y\] = 0": lambda: TraceBandit(TWO, np.eye(2), TWO, np.eye(2), np.eye(2) / 2),
    r"beta = 0 breaks the rule beta > 0": lambda: TraceBandit(
        TWO, np.eye(2), TWO, np.eye(2), PAIRS, 0
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_refused(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()


def test_a_law_may_be_one_s_own():
    """Systematic sampling: every second item, from a drawn start; unbiased, at no cost here."""
    law = KeepLaw(np.array([0.5, 0.5]), np.array([[2.0, 0, 2, 0], [0, 2.0, 0, 2]]))
    np.testing.assert_allclose(law.moments(VALUES).mean, VALUES.mean(axis=0), rtol=0, atol=1e-15)
