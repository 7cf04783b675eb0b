"""RM8: DPPO's pruned gradients."""

import itertools

import numpy as np
import sympy as sp
from hypothesis import strategies as st

from ..simulate.gradients import (
    SoftmaxBandit,
    bernoulli,
    fixed_count,
    grpo_groups,
    hierarchical,
    hierarchical_variance,
    keep_weight,
    moments,
    pruned_groups,
    pruning_variance,
    ranked,
    self_normalized,
)
from .evidence import foil, must, property_test, simulated, symbolic
from .ledger import Claim
from .settings import SEEDS, scaled

P, Q = sp.symbols("P Q", positive=True)
V = sp.symbols("v_1 v_2", real=True)
MEAN = sum(V) / 2
DRAWS = 100_000


def two_items(prune, weigh):
    """(mean, variance) of the estimate from items v_1, v_2 over the four sets of kept ones."""
    outcomes = []
    for kept in itertools.product((0, 1), repeat=2):
        chance = sp.prod(1 - p if k else p for p, k in zip(prune, kept, strict=True))
        weights = weigh([k * keep_weight(p) for p, k in zip(prune, kept, strict=True)])
        outcomes.append((chance, sum(w * v for w, v in zip(weights, V, strict=True)) / 2))
    mean = sum(chance * value for chance, value in outcomes)
    return mean, sum(chance * value**2 for chance, value in outcomes) - mean**2


def normalized(weights):
    total = sum(weights)
    return weights if total == 0 else [2 * w / total for w in weights]


@foil("the weight is 5 % more", keep_weight=scaled(1.05))
@symbolic("RM8: two items, every set of kept ones")
def rm8_two_items():
    mean, variance = two_items((P, Q), list)
    yield "drawn one by one, weights 1/(1 - P): the mean", mean, MEAN
    yield (
        "its variance: sum P/(1 - P) v^2/n^2",
        variance,
        (pruning_variance(P, V[0] ** 2) + pruning_variance(Q, V[1] ** 2)) / 4,
    )
    mean, _ = two_items((P, sp.S(0)), normalized)
    yield (
        "normalized again, only item 1 ever pruned: bias P (v_2 - v_1)/(2 (2 - P))",
        mean - MEAN,
        P * (V[1] - V[0]) / (2 * (2 - P)),
    )
    mean, _ = two_items((P, P), normalized)
    yield "normalized again, P alike: short by P^2", mean, (1 - P**2) * MEAN
    kept = keep_weight(sp.Rational(1, 2)) * V[1] / 2
    yield "item 1 of 2 cut, nothing drawn: bias (v_2 - v_1)/2", kept - MEAN, (V[1] - V[0]) / 2
    second, first, n = sp.symbols("m_2 m_1 n", positive=True)
    pruned = (second - first**2 + pruning_variance(P, second)) / n
    fewer = (second - first**2) / ((1 - P) * n)
    yield (
        "P alike for n fresh samples, against (1 - P) n of them: worse by P/(1 - P) |E v|^2/n",
        pruned - fewer,
        pruning_variance(P, first**2) / n,
    )


SHARES = st.floats(0, 0.95)


@foil("the price is 5 % more", pruning_variance=scaled(1.05))
@property_test(
    "masks drawn one by one and prompts before completions: the full batch's mean, the variances "
    "in closed form",
    "RM8, 1 to 3 prompts of 1 to 3 completions, P up to 0.95",
    examples=100,
)
def rm8_unbiased(
    prompts=st.integers(1, 3), completions=st.integers(1, 3), share=SHARES, seed=SEEDS
):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(prompts, completions, 2))
    of_prompts = rng.uniform(0, share, prompts)
    of_items = rng.uniform(0, share, (prompts, completions))
    flat, n = values.reshape(-1, 2), prompts * completions
    # Sums of at most 2^12 terms, weighed up to 400 times, of float64.
    rounding = 1e-10 * (1 + (flat**2).sum())
    for law, variance in (
        (
            bernoulli(of_items.ravel()),
            pruning_variance(of_items.ravel(), (flat**2).sum(axis=1)).sum() / n**2,
        ),
        (
            hierarchical(of_prompts, of_items),
            hierarchical_variance(of_prompts, of_items, values),
        ),
    ):
        found = law.moments(flat)
        must(np.abs(found.bias(flat.mean(axis=0))).max() <= rounding)
        must(abs(found.variance - variance) <= rounding)


@foil("the highest are cut", ranked=lambda true: lambda scores, share: true(-scores, share))
@property_test(
    "the lowest share P cut: bias P (mean of the kept - mean of the cut); a drawn number of items: "
    "none if P n is whole, else too long by (1 - floor(P n)/n)/(1 - P)",
    "RM8, 2 to 8 items",
)
def rm8_cut(n=st.integers(2, 8), share=SHARES, seed=SEEDS):
    rng = np.random.default_rng(seed)
    values, scores = rng.normal(size=(n, 2)), rng.normal(size=n)
    mean, cut = values.mean(axis=0), int(share * n)
    order = np.argsort(scores)
    whole = cut / n
    if cut:
        apart = values[order[cut:]].mean(axis=0) - values[order[:cut]].mean(axis=0)
        bias = ranked(scores, whole).moments(values).bias(mean)
        must(np.abs(bias - whole * apart).max() <= 1e-12 * n)  # one division and n sums
    for prune in (whole, share):
        found = fixed_count(n, prune).moments(values).mean
        must(np.abs(found - mean * (1 - whole) / (1 - prune)).max() <= 1e-12 * n / (1 - prune))


BANDIT = SoftmaxBandit([0.0, 0.5, 1.0], [1.0, 0.0, 0.3])
SIZE = 4


def below_mean(advantages):
    """P = 1/2 where |A| is below the group's mean: who is pruned depends on the batch."""
    return np.where(np.abs(advantages) < np.abs(advantages).mean(), 0.5, 0.0)


WAYS = {
    "drawn": lambda a: bernoulli(below_mean(a)),
    "normalized again": lambda a: self_normalized(below_mean(a)),
    "half cut": lambda a: ranked(np.abs(a), 0.5),
    "1 of 4 for P = 0.4": lambda a: fixed_count(len(a), 0.4),
}
BIASED = {"drawn": 0.0, "normalized again": 0.1436, "half cut": 0.5486, "1 of 4 for P = 0.4": 0.25}


@foil("each bias is 5 % more", BIASED=lambda true: {way: 1.05 * bias for way, bias in true.items()})
@simulated(
    "GRPO groups of four of a softmax bandit, drawn, pruned by |A| and drawn again",
    "the exact means; biases of 0, 14 %, 55 % and 25 % of GRPO's own gradient",
    of="100 000 groups and masks a way; biases to 4 digits, else no agreement",
)
def rm8_grpo():
    groups = grpo_groups(BANDIT, SIZE)
    full, rng, scores, text = groups.moments, np.random.default_rng(180), [], []
    length = np.linalg.norm(full.mean)
    for name, law_of in WAYS.items():
        exact = pruned_groups(groups, law_of)
        bias = np.linalg.norm(exact.bias(full.mean)) / length
        # to the four digits that are told
        must(abs(bias - BIASED[name]) <= 5e-5, f"{name}: bias {bias:.4f}, not {BIASED[name]:.4f}")
        drawn = rng.multinomial(DRAWS, groups.probabilities)
        estimates = np.concatenate(
            [
                law_of(groups.advantages[k]).draw(groups.gradients[k], count, rng)
                for k, count in enumerate(drawn)
                if count
            ]
        )
        error = estimates.std(axis=0, ddof=1) / np.sqrt(DRAWS)
        scores.append((estimates.mean(axis=0) - exact.mean) / error)
        kept = groups.probabilities @ [law_of(a).kept / SIZE for a in groups.advantages]
        text.append(
            f"{name}: {100 * kept:.0f} % kept, bias {100 * bias:.1f} %, variance "
            f"{exact.variance / full.variance:.2f}"
        )
    return "; ".join(text) + " of the full group's", np.concatenate(scores)


@foil("the weight is 5 % more", keep_weight=scaled(1.05))
@simulated(
    "the price of drawing: batches of 4 samples pruned at P = 1/2, against fresh batches of 2",
    "exact variances; the pruned batch is worse by P/(1 - P) |E v|^2/n",
    of="all 81 batches and 16 masks; 100 000 drawn",
)
def rm8_price():
    values = BANDIT.rewards[:, None] * BANDIT.scores  # REINFORCE: R grad log pi
    actions = np.array(list(itertools.product(range(3), repeat=SIZE)))
    chances = BANDIT.policy[actions].prod(axis=1)
    law, batches = bernoulli(np.full(SIZE, 0.5)), values[actions]
    each = [law.moments(batch) for batch in batches]
    between = moments(chances, np.array([m.mean for m in each]))
    pruned = between.variance + chances @ [m.variance for m in each]
    one = moments(BANDIT.policy, values)
    worse = pruned - one.variance / 2
    expected = one.mean @ one.mean / SIZE
    must(abs(worse - expected) <= 1e-14, f"worse by {worse}, not by {expected}")  # ulps of sums
    rng = np.random.default_rng(181)
    sampled = values[rng.choice(3, size=(DRAWS, SIZE), p=BANDIT.policy)]
    kept = rng.random((DRAWS, SIZE)) < 0.5
    estimates = (sampled * keep_weight(0.5) * kept[..., None]).mean(axis=1)
    squares = ((estimates - one.mean) ** 2).sum(axis=1)
    score = (squares.mean() - pruned) / (squares.std(ddof=1) / np.sqrt(DRAWS))
    return f"{pruned:.4f} pruned, {one.variance / 2:.4f} fresh", np.array([score])


CLAIM = Claim(
    id="RM8",
    title="DPPO's pruning is unbiased mask by mask, and dear when it prunes all alike",
    statement=r"DPPO: the gradient of a pruned GRPO batch, what is kept weighed $1/(1 - P)$, is "
    r"unbiased for the full batch's. The price given the batch is $\sum \frac{P_i}{1 - P_i} "
    r"|v_i|^2/n^2$ (for prompts and completions $\sum_q \frac{P_q}{1 - P_q} |V_q|^2 + \sum_{q,o} "
    r"\frac{P_{qo}}{(1 - P_q)(1 - P_{qo})} |v_{qo}|^2$ over $n^2$), nothing where $v_i = 0$.",
    reading="Draw the masks one by one and divide by the full count, or the estimate is biased; at "
    "equal cost, pruning all items alike is worse than a smaller batch, so P must follow the size "
    "of the gradient. Use it instead of MADPO when rewards can be sampled and asked for on "
    "policy and the backward pass is what costs: it makes no use of logged pairs.",
    source="arXiv 2603.04135, abstract; the factor from a secondary source; prices derived here",
    assumptions="item gradients fixed given the batch, advantages of the full group",
    verdict="conditional",
    condition=r"every item's mask is drawn so that it is kept with probability $1 - P > 0$, "
    "and the sum is divided by the full count",
    counterexample="two items, only the first ever pruned: weights normalized again are off by "
    "P (v_2 - v_1)/(2 (2 - P)); the lower half cut without a draw by (v_2 - v_1)/2",
    evidence=(rm8_two_items, rm8_unbiased, rm8_cut, rm8_grpo, rm8_price),
)
