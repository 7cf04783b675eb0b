"""RM9: BAPO's clip range and its entropy-clip rule."""

import numpy as np
import sympy as sp
from flint import arb
from hypothesis import strategies as st

from ..certify.enclosure import precision
from ..simulate.gradients import (
    Bapo,
    BapoReleased,
    SoftmaxBandit,
    clipped_surrogate,
    contributions,
    entropy_rule,
    entropy_slope,
    flowing,
    flowing_contributions,
    net_share,
    score_gradient,
    share,
)
from .evidence import enclosed, foil, must, property_test, simulated, symbolic
from .ledger import Claim
from .settings import SEEDS, scaled, to_digits

DRAWS = 100_000
PAPER, PRINTED, RELEASED = Bapo(), Bapo(of=net_share), BapoReleased()
UNLIFTED = BapoReleased(low=(0.6, 0.6))


@foil("the rule predicts 5 % more", entropy_rule=scaled(1.05))
@symbolic("RM9: the entropy's slope along a step in the logits, three answers")
def rm9_slope():
    first, second = sp.symbols("p_1 p_2", positive=True)
    policy = np.array([first, second, 1 - first - second])
    log_policy = np.array([sp.log(p) for p in policy])
    values, steps = (np.array(sp.symbols(f"{name}_1:4", real=True)) for name in "fd")
    eta = sp.Symbol("eta", real=True)

    def moved(direction):
        weights = [p * sp.exp(eta * d) for p, d in zip(policy, direction, strict=True)]
        return np.array([w / sum(weights) for w in weights])

    def slope(quantity):
        return sp.diff(quantity, eta).subs(eta, 0)

    for k, step in enumerate(score_gradient(policy, values), 1):
        along = np.array([int(i == k) for i in (1, 2, 3)])
        yield (
            f"PPO's step in logit {k}, the slope of E f with f = A X held: pi (f - E f)",
            slope((moved(along) * values).sum()),
            step,
        )
    law = moved(steps)
    yield (
        "dH/d eta along any step d: -Cov[log pi, d]; d = f is the natural gradient, and the rule",
        slope(-sum(p * sp.log(p) for p in law)),
        entropy_rule(policy, log_policy, steps),
    )


RULE, SLOPE = 0.032, -0.051
COUNTER = ("1/2", "2/5", "1/10"), ("6/5", "-9/5", "6/5")


def balls(texts):
    return np.array([arb(sp.Rational(t).p) / sp.Rational(t).q for t in texts])


@foil("the slope is 5 % more", entropy_slope=scaled(1.05))
@enclosed(
    "pi = (1/2, 2/5, 1/10), A = (6/5, -9/5, 6/5), on policy: the rule says up, entropy goes down",
    f"rule {RULE:.3f}, slope {SLOPE:.3f}, and H falls for steps from 2^-10 to 1",
)
def rm9_counterexample():
    with precision():
        policy, advantage = map(balls, COUNTER)
        log_policy = np.array([p.log() for p in policy])
        rule = entropy_rule(policy, log_policy, advantage)
        slope = entropy_slope(policy, log_policy, advantage)
        step, falls = score_gradient(policy, advantage), True

        def entropy(eta):
            weights = [p * (eta * d).exp() for p, d in zip(policy, step, strict=True)]
            law = [w / sum(weights) for w in weights]
            return -sum(p * p.log() for p in law)

        for power in range(11):
            falls &= bool(entropy(arb(2) ** -power) < entropy(arb(0)))
        agrees = to_digits(rule, RULE, 3) and to_digits(slope, SLOPE, 3)
        text = f"rule {rule.str(4, radius=False)}, slope {slope.str(4, radius=False)}"
        return f"{text}, H falls: {falls}", agrees and falls


def sign_agrees(logits, values):
    """Whether no ball shows the rule and the slope to be of opposite signs."""
    with precision():
        weights = [arb(x).exp() for x in logits]
        policy = np.array([w / sum(weights) for w in weights])
        log_policy = np.array([p.log() for p in policy])
        values = np.array([arb(f) for f in values])
        rule, slope = (f(policy, log_policy, values) for f in (entropy_rule, entropy_slope))
        return not rule * slope < 0


@foil("the rule has the other sign", entropy_rule=scaled(-1))
@property_test(
    "the rule has the slope's sign for two answers, and for any number where A X rises (or falls) "
    "with the probability",
    "RM9, 2 to 8 answers, logits and A X up to 10",
)
def rm9_where_it_holds(
    logits=st.lists(st.floats(-10, 10), min_size=2, max_size=8),
    values=st.lists(st.floats(-10, 10), min_size=8, max_size=8),
    falling=st.booleans(),
):
    must(sign_agrees(logits[:2], values[:2]))
    ordered = sorted(values[: len(logits)], reverse=falling)
    must(sign_agrees(sorted(logits), ordered))


def batch(seed, size=12):
    """(ratio, advantage, masses) of samples, few of them positive and long, as in the paper."""
    rng = np.random.default_rng(seed)
    advantage = rng.normal(rng.normal(-0.5), 1, size)
    return np.exp(rng.normal(0, 0.8, size)), advantage, rng.exponential(1, size)


BOUNDS = st.tuples(st.floats(0.05, 0.99), st.floats(0.05, 0.99)).map(sorted)


@foil(
    "the share is that of the negative samples",
    share=lambda true: lambda positive, negative: true(negative, positive),
)
@property_test(
    "raising c_low never raises the share of equation 8, printed or in absolute parts, nor the "
    "code's ratio; raising c_high does not lower the share; of what has a gradient both raise it",
    "RM9, 12 samples, c_low below 1, c_high from 1 to 5",
)
def rm9_monotone(
    seed=SEEDS, lows=BOUNDS, highs=st.tuples(st.floats(1, 5), st.floats(1, 5)).map(sorted)
):
    samples = batch(seed)
    rounding = 1e-13  # two sums of twelve terms and their quotient
    (low, lifted), (high, widened) = lows, highs
    base, raised, wide = (
        contributions(*samples, *clips) for clips in ((low, high), (lifted, high), (low, widened))
    )
    must(base[0] == raised[0] and base[1] <= raised[1] and base[1] == wide[1])
    must(share(*raised) <= share(*base) + rounding and share(*wide) >= share(*base) - rounding)
    if base[0] < base[1]:
        must(net_share(*raised) <= net_share(*base) * (1 + rounding))
    flow = share(*flowing_contributions(*samples, low, high))
    must(share(*flowing_contributions(*samples, lifted, high)) >= flow - rounding)
    must(share(*flowing_contributions(*samples, low, widened)) >= flow - rounding)


@foil("the printed share is the paper's", PAPER=lambda _: PRINTED)
@property_test(
    "algorithm 1 reaches its share with c_low = 0.6, or not at all and ends at (0.9, 3); the "
    "released search, c_low first, enlarges the negative part before it begins to help; at "
    "ratio 1 no bound changes the share; the printed share of 0.4 is one of 2/9",
    "RM9, 12 samples; two of ratio 1",
    examples=40,
)
def rm9_search(seed=SEEDS, part=st.floats(0.38, 0.42) | st.floats(0.215, 0.23)):
    samples = batch(seed)
    found, net = PAPER.search(*samples), PRINTED.search(*samples)
    must(found.c_low == 0.6 if found.reached else (found.c_low, found.c_high) == (0.9, 3.0))
    widest = share(*contributions(*samples, 0.6, 3.0))
    fresh = np.ones(2), np.array([1.0, -1.0]), np.array([part, 1 - part])
    for largest, of_paper, printed in (
        (widest, found, net),
        (part, PAPER.search(*fresh), PRINTED.search(*fresh)),
    ):  # a share within rounding of its target may fall to either side
        must(of_paper.reached == (largest >= 0.4) or abs(largest - 0.4) < 1e-12)
        must(printed.reached == (largest >= 2 / 9) or abs(largest - 2 / 9) < 1e-12)
    must(of_paper.raised == ((0, 0) if of_paper.reached else (15, 36)))  # at ratio 1
    released = RELEASED.search(*samples)
    if released.raised[0]:
        must(released.c_low == 0.9 and (released.raised[1] or not released.reached))
        unlifted = UNLIFTED.search(*samples)
        must(unlifted.raised[1] <= released.raised[1])
        must(unlifted.reached or not released.reached)


ENDED = (0.6, 2.05)
STALE = SoftmaxBandit(
    np.log([0.20, 0.14, 0.45, 0.21]), [1.0, 0.55, 0.0, 0.2], [0.05, 0.35, 0.3, 0.3]
)


@foil("the slope is 5 % more", entropy_slope=scaled(1.05))
@simulated(
    "PPO's gradient from drawn answers of a stale behaviour policy, ratios (4, 0.4, 1.5, 0.7)",
    "the exact slope of the entropy and positive part; BAPO's search ends at (0.6, 2.05), where "
    "the gradient is that of (0.6, 1.2): the answer that it counted more is cut at both",
    of="100 000 answers a range; the rule must be 20 standard errors away from each",
)
def rm9_sampled():
    samples, rng, scores, text = (STALE.ratio, STALE.advantages), np.random.default_rng(190), [], []
    found = PAPER.search(*samples, STALE.sampler)
    ended = found.c_low, found.c_high
    must(found.reached and ended == ENDED, f"the search ended at {ended}")
    begun = flowing(*samples, 0.6, 1.2)
    must((flowing(*samples, *ended) == begun).all(), "the search changed the gradient")
    for clips in ((0.8, 1.2), ended, (0.6, 5.0)):
        values = STALE.advantages * flowing(*samples, *clips)
        slope, rule = (
            f(STALE.policy, STALE.log_policy, values) for f in (entropy_slope, entropy_rule)
        )
        drawn = rng.choice(len(STALE), size=DRAWS, p=STALE.sampler)
        steps = (STALE.ratio * values)[drawn, None] * STALE.scores[drawn]
        moved = steps @ STALE.entropy_gradient
        error = moved.std(ddof=1) / np.sqrt(DRAWS)
        apart = abs(moved.mean() - rule)
        must(apart >= 20 * error, f"the rule {rule:.4f} is not told from {moved.mean():.4f}")
        positive, negative = contributions(*samples, STALE.sampler, *clips)
        part = np.maximum(clipped_surrogate(*samples, *clips)[drawn], 0)
        scores += [
            (moved.mean() - slope) / error,
            (part.mean() - positive) / (part.std(ddof=1) / np.sqrt(DRAWS)),
        ]
        text.append(
            f"({clips[0]:g}, {clips[1]:g}): share {share(positive, negative):.3f}, slope "
            f"{slope:.4f}, rule {rule:.4f}"
        )
    return "; ".join(text), np.array(scores)


def listed(values):
    return ", ".join(f"{value:.3g}" for value in values)


CLAIM = Claim(
    id="RM9",
    title="BAPO's bounds can run into their limits",
    statement=r"BAPO: raising $c_{high}$ and then $c_{low}$ brings the positive samples' share of "
    r"the surrogate (equation 8) to $\rho_0$; and entropy follows the entropy-clip rule $\Delta H "
    r"\approx -\eta\, \mathrm{Cov}_\pi[\log \pi, A X + C]$.",
    reading="Only c_high raises the share that is watched, and it may do so by counting samples "
    "that stay clipped; c_low acts against it, so a target that c_high cannot reach sends both "
    "bounds to their limits, and fresh data (ratio 1) cannot be moved at all. The entropy-clip "
    "rule is the natural gradient's; PPO's step has a further factor pi, which can turn its sign. "
    "Use it instead of MADPO when answers are sampled and scored as training goes, and go stale; "
    "it has no use for logged pairs.",
    source="arXiv 2510.18927, equations 5-8, algorithm 1, appendix B; the authors' released code",
    assumptions="tabular softmax, exact expectations; masses, ratios and advantages as they come",
    verdict="fails",
    counterexample=f"pi = ({', '.join(COUNTER[0])}), A = ({', '.join(COUNTER[1])}), on policy: the "
    f"rule predicts dH/d eta = {RULE:+.3f}, it is {SLOPE:.3f} (appendix B loses the factor pi "
    f"between its propositions 1 "
    "and 2); the sign is right for two answers, and where A X is monotone in pi. Two answers of "
    "ratio 1, A = 1 and -1, the latter twice as long: share 1/3, whatever the bounds. Ratios "
    f"({listed(STALE.ratio)}) drawn from ({listed(STALE.sampler)}), rewards "
    f"({listed(STALE.rewards)}): the search ends at ({ENDED[0]:.1f}, {ENDED[1]:.2f}) with the "
    f"gradient that it began with",
    evidence=(
        rm9_slope,
        rm9_counterexample,
        rm9_where_it_holds,
        rm9_monotone,
        rm9_search,
        rm9_sampled,
    ),
)
