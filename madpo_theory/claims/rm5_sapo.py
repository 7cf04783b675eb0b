"""RM5: SAPO's segments, and whether the data's law is where its training rests."""

import math

import numpy as np
import sympy as sp
from hypothesis import strategies as st

from ..losses import dpo
from ..simulate.making import (
    averaged,
    descended,
    dpo_gradient,
    draw_sequence_law,
    logits,
    replay_law,
    sample_replay,
    segment_pairs,
    segment_starts,
    tempered,
)
from .evidence import foil, must, property_test, simulated, symbolic
from .ledger import Claim
from .regimes import beta, sigma
from .settings import SEEDS, scaled

STAY = sp.Symbol("s", positive=True)
X, REFERENCE = sp.symbols("x x_ref", real=True)
SEGMENT, TEMPERATURE = "256", "0.7"  # of the released code
PART = 8  # of beta, the slope at s = 3/4
STICKY = np.log(np.array([[3, 1], [1, 3]]) / 8)  # the second token is the first with s = 3/4


def _expected(law, policy, reference):
    """Expected DPO loss over {(chosen, rejected): mass} of logs of two policies."""
    return sum(
        mass * dpo(policy[c], policy[r], reference[c], reference[r], beta=beta)[0]
        for (c, r), mass in law.items()
    )


def _two_tokens(x):
    """Log-probabilities of 00, 01, 10, 11: the first even, the second the same with sigma(x)."""
    other = sp.log(sigma(-x) / 2)
    return {"00": x + other, "01": other, "10": other, "11": x + other}


@foil("the loss is 5 % more", dpo=lambda true: lambda *at, **rule: (1.05 * true(*at, **rule)[0],))
@symbolic("two tokens, the second is the first with probability s: a kept suffix moves s, no end")
def rm5_two_tokens():
    data = {y: STAY / 2 if y[0] == y[1] else (1 - STAY) / 2 for y in ("00", "01", "10", "11")}
    first = {(c, b + c[1]): p / 2 for c, p in data.items() for b in "01"}
    last = {(c, c[0] + b): p * 2 * data[c[0] + b] for c, p in data.items() for b in "01"}
    at_data = {X: sp.log(STAY / (1 - STAY))}
    for name, law in (("first", first), ("last", last)):
        yield f"masses of the pairs, {name} token regenerated", sum(law.values()), sp.Integer(1)
        slope = sp.diff(_expected(law, _two_tokens(X), _two_tokens(REFERENCE)), X)
        own = slope.subs(REFERENCE, X).subs(at_data)
        expected = beta / 2 * (sp.Rational(1, 2) - STAY) if name == "first" else sp.Integer(0)
        yield f"slope at policy = reference = data, {name} token regenerated", own, expected
        if name == "first":
            yield f"at s = 3/4: -beta/{PART}", own.subs(STAY, sp.Rational(3, 4)), -beta / PART
    kept = sp.diff(_expected(first, _two_tokens(X), _two_tokens(REFERENCE)), X)
    yield (
        "with a reference that follows, the slope is the same at every x: no rest",
        kept.subs(REFERENCE, X),
        beta / 2 * (sp.Rational(1, 2) - STAY),
    )
    rest = REFERENCE + sp.log(STAY / (1 - STAY)) / beta
    yield (
        "with one that stays, it rests 1/beta of the data's log-odds away",
        kept.subs(X, rest),
        sp.Integer(0),
    )


SHAPES = st.sampled_from(((2, 2), (2, 3), (3, 2), (3, 3)))


@foil(
    "segments reach the end",
    segment_pairs=lambda true: (
        lambda data, law, of: true(data, law, [(a, data.ndim) for a, _ in of])
    ),
)
@property_test(
    "at policy = reference = generator = data the gradient is 0 iff no segment leaves a suffix, or "
    "the suffix is independent of it",
    "RM5, 2 or 3 tokens of 2 or 3, random laws, one segment",
    examples=40,
)
def rm5_stationary(seed=SEEDS, shape=SHAPES, at=st.floats(0, 1), share=st.floats(0, 1)):
    law = draw_sequence_law(np.random.default_rng(seed), *shape)
    start = int(at * (shape[1] - 0.5))
    stop = start + 1 + int(share * (shape[1] - start - 0.5))
    pairs = segment_pairs(law, law, [(start, stop)])
    size = np.abs(dpo_gradient(law, law, pairs, beta=1.0)).max()
    must((size <= 1e-15) == (stop == shape[1]))  # ulps of sums of 27 terms below 1
    independent = np.zeros(law.shape)
    for axis in range(shape[1]):
        others = tuple(k for k in range(shape[1]) if k != axis)
        own = np.log(np.exp(law).sum(axis=others))
        independent = independent + own.reshape([-1 if k == axis else 1 for k in range(shape[1])])
    pairs = segment_pairs(independent, independent, [(start, stop)])
    must(np.abs(dpo_gradient(independent, independent, pairs, beta=1.0)).max() <= 1e-15)


@foil("the gradient is 5 % more", dpo_gradient=scaled(1.05))
@property_test(
    "a suffix of one token: along the logits themselves (a lower temperature) the loss falls by "
    "beta/2 [I(suffix; segment | prefix) + the same with the laws exchanged]",
    "RM5, 2 or 3 tokens of 2 or 3, random laws",
    examples=40,
)
def rm5_sharpens(seed=SEEDS, shape=SHAPES, at=st.floats(0, 1)):
    law = draw_sequence_law(np.random.default_rng(seed), *shape)
    size, length = shape
    start = int(at * (length - 1.5))
    pairs = segment_pairs(law, law, [(start, length - 1)])
    along = dpo_gradient(law, law, pairs, beta=1.0) @ logits(law)
    joint = np.exp(law).reshape(size**start, -1, size)  # prefix, segment, suffix
    given = joint / joint.sum(axis=2, keepdims=True)
    prefix = joint.sum(axis=1, keepdims=True)
    alone = np.broadcast_to(prefix / prefix.sum(axis=2, keepdims=True), given.shape)
    mass = joint.sum(axis=2, keepdims=True)
    jeffreys = (mass * (given - alone) * np.log(given / alone)).sum()
    must(abs(along + jeffreys / 2) <= 1e-14)  # ulps of sums of 27 terms of a few nats


@foil("a temperature changes nothing", tempered=lambda _: lambda law, temperature: law)
@property_test(
    "with segments that reach the end the gradient at the data is not 0 where the generator is an "
    "average of another policy or is sampled at 0.7, or the reference is another policy",
    "RM5, 3 tokens of 2, random laws",
    examples=20,
)
def rm5_conditions(seed=SEEDS, start=st.integers(0, 2)):
    rng = np.random.default_rng(seed)
    law, other = (draw_sequence_law(rng, 2, 3) for _ in range(2))
    broken = (
        (law, averaged(law, other, 0.5)),
        (law, tempered(law, float(TEMPERATURE))),
        (other, law),
    )
    for reference, generator in broken:
        pairs = segment_pairs(law, generator, [(start, 3)])
        found = np.abs(dpo_gradient(law, reference, pairs, beta=1.0)).max()
        must(found > 1e-12, "a gradient that vanishes to rounding")


@foil(
    "segments are half as long",
    segment_starts=lambda true: lambda length, size, kept: true(length, size // 2, kept=kept),
)
@property_test(
    "the released starts always leave a suffix of a response longer than 256 tokens",
    "RM5, up to 2000 tokens",
)
def rm5_released(length=st.integers(1, 2000)):
    suffixes = {length - stop for _, stop in segment_starts(length, int(SEGMENT), kept=3)}
    must((0 in suffixes) == (length <= int(SEGMENT)))


@foil("the gradient is 5 % more", dpo_gradient=scaled(1.05))
@property_test(
    "two tokens, the first regenerated, a reference that follows: every step moves the log-odds of "
    "agreement by rate beta/2 (s - 1/2), without end",
    "RM5, s from 0.55 to 0.95",
    examples=8,
)
def rm5_never_rests(s=st.floats(0.55, 0.95), b=st.floats(0.05, 1)):
    data = np.log(np.array([[s, 1 - s], [1 - s, s]]) / 2)

    def following(law):
        return dpo_gradient(law, law, segment_pairs(data, law, [(0, 1)]), beta=b)

    odds = data[0, 0] - data[0, 1]
    for steps in (4, 12):
        law, _ = descended(data, following, rate=1.0, steps=steps)
        reached = odds + steps * b / 2 * (s - 0.5)
        must(abs(law[0, 0] - law[0, 1] - reached) <= 1e-12)  # ulps of log-odds, added up


@foil("the gradient is 5 % more", dpo_gradient=scaled(1.05))
@simulated(
    "400 000 pairs of the sticky chain, and 20 000 buffers of 4 replayed 12 times",
    "slope beta/2 (1/2 - s) of the log-odds of agreement, s = 3/4; the counts' exact variance",
)
def rm5_drawn():
    rng, draws = np.random.default_rng(np.random.SeedSequence(1805)), 400_000
    scores, shown = [], []
    for segment in ((0, 1), (1, 2)):
        exact = segment_pairs(STICKY, STICKY, [segment])
        gradient = dpo_gradient(STICKY, STICKY, exact, beta=1.0)
        # By hand, not by the table of pairs: a data sequence, then one token of it anew.
        chosen = rng.choice(4, size=draws, p=np.exp(STICKY).ravel())
        first, second = chosen // 2, chosen % 2
        if segment == (0, 1):
            redrawn = rng.integers(2, size=draws), second
        else:
            redrawn = first, np.where(rng.random(draws) < 0.75, first, 1 - first)
        stays = (first == second) * 1.0 - (redrawn[0] == redrawn[1])
        # d log pi/d x is [stays] - s; the gradient by the two rows' logits adds up to that of x
        slope, theory = -stays / 2, gradient[2] - gradient[4]
        scores.append((slope.mean() - theory) / (slope.std() / math.sqrt(draws)))
        shown.append(f"slope {slope.mean():+.4f} by {theory:+.4f}")
    counts = sample_replay(4, 12, rng, runs=20_000)
    exact, squares = replay_law(4, 12).variance, (counts[:, 0] - 3) ** 2
    scores.append((squares.mean() - exact) / (squares.std() / math.sqrt(len(squares))))
    shown.append(f"variance of a count {squares.mean():.3f} by {exact:.3f} (uniform: 2.25)")
    return "; ".join(shown), np.array(scores)


CLAIM = Claim(
    id="RM5",
    title="SAPO goes on past its data",
    statement=r"SAPO's self-play rests at the data: at $\pi = \pi_{data}$ the expected gradient of "
    r"the DPO loss is 0. It is so with policy, reference and generator equal iff no token after a "
    r"regenerated segment depends on it, given what is before: always where the segment reaches "
    r"the end (SPIN). Else descent sharpens the suffix, by $\frac{\beta}{2} [I + L]$ along the "
    r"logits, I and L the mutual and the lautum information of a one-token suffix and its segment; "
    r"and with a reference that follows the policy it never rests.",
    reading=f"The suffix that SAPO keeps (of every response of more than {SEGMENT} tokens; of "
    "others all is regenerated) fits its own segment in the chosen response and not in the "
    "rejected one, "
    "so that training goes on past the data: two tokens that agree with probability 3/4 agree "
    f"ever more. Its sampling temperature of {TEMPERATURE} and an average that lags move the "
    f"policy off the "
    "data too. "
    "Use it instead of MADPO when there are good responses and neither pairs nor a reward model, "
    "with whole responses or segments to the end.",
    source="arXiv 2405.20830 and its released code; the statement after SPIN's theorem (arXiv "
    "2401.01335), derived here",
    assumptions="exact expectations; free logits for each prefix; segments drawn by place alone, "
    "with no end of sequence inside",
    verdict="conditional",
    condition="segments reach the end or what follows is independent of them; generator = policy "
    "(no lag, temperature 1, no truncation); reference = policy",
    counterexample="two tokens, the second the first with probability 3/4, the first regenerated: "
    f"slope -beta/{PART} in the log-odds of agreement",
    evidence=(
        rm5_two_tokens,
        rm5_stationary,
        rm5_sharpens,
        rm5_conditions,
        rm5_released,
        rm5_never_rests,
        rm5_drawn,
    ),
)
