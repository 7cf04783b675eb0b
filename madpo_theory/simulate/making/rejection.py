"""RSO: which candidates rejection sampling accepts, exactly (arXiv 2309.06657).

N candidates are drawn from pi_sft; wanted are `num` from pi* ~ pi_sft e^(r/beta)
(:func:`~madpo_theory.theory.value.optimal_policy`). Rejection sampling accepts a candidate with
probability e^((r - max r)/beta), the maximum over all responses, and its accepted ones are draws of
pi*. The paper's Algorithm 1 goes over the candidates again and again until it has num, with the
maximum over those of this sample that are not yet accepted, and takes out what it accepts. As
printed it keeps candidates in a dict by their text, so that equal ones are one; where they are kept
by their place, as in many copies, they stay apart.

Its law on a table of K responses is a recursion. Equal candidates apart: those that a pass with the
maximum r_t rejects are again independent draws, of a law ~ v (1 - e^((r - r_t)/beta)), so that a
state is (the maxima so far, how many are wanted). Merged: a state is (the responses left, in the
order of their first appearance, how many are wanted).
"""

from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np
from scipy.special import softmax
from scipy.stats import binom

from ...ops.checks import check_count, check_positive, finite_array
from .laws import check_log_law

__all__ = [
    "Accepted",
    "merged_law",
    "published_law",
    "sample_accepted",
    "successive_law",
]

MOST = 7  # responses whose orders are enumerated: 13 700 of them


@dataclass(frozen=True, eq=False)
class Accepted:
    """What is accepted.

    Attributes
    ----------
    counts : (K,), expected number of each response among the accepted ones.
    short : probability that the candidates run out before `num` are accepted (there the printed
        algorithm raises an error; here it ends).
    """

    counts: np.ndarray
    short: float = 0.0

    @property
    def law(self):
        """(K,) share of each response among the accepted ones."""
        return self.counts / self.counts.sum()


def published_law(log_sft, rewards, *, candidates, num, beta=0.5):
    """Algorithm 1 with every candidate by itself, whether or not another one reads the same.

    Parameters
    ----------
    log_sft : log-probabilities (K,) that candidates are drawn from.
    rewards : (K,), nats.
    candidates : N, how many are drawn, >= num.
    num : how many are wanted, >= 1.
    beta : > 0, nats of reward to a nat of log-probability.

    Returns :class:`Accepted`, exact but for rounding (probabilities of alternating sign, of at most
    2^K terms). Raises ValueError or TypeError with the argument, its value and the rule. Derived
    here.
    """
    sft, rewards = _table(log_sft, rewards, candidates, num, beta)
    if candidates < num:
        raise ValueError(
            f"candidates = {candidates} breaks the rule candidates >= num = {num}; draw more"
        )
    order = np.argsort(-rewards, kind="stable")  # arms of equal reward accept each other surely
    chance = np.exp(-np.abs(rewards[order][:, None] - rewards[order][None, :]) / beta)

    @cache
    def passes(tops, wanted):
        """Expected counts (K,) of those to come after passes whose maxima were `tops`."""
        law, found = sft[order], np.zeros(len(sft))
        for top in tops:
            law = np.where(np.arange(len(law)) > top, law * (1 - chance[top]), 0.0)
        if not wanted or not law.any():
            return found
        law = law / law.sum()
        left = candidates - num + wanted
        accepted = np.arange(left + 1)
        for top in np.flatnonzero(law):
            # Probability that `top` is the maximum: none above it, less none above or at it.
            for sign, first in ((1, top), (-1, top + 1)):
                inside = np.where(np.arange(len(law)) >= first, law, 0.0)
                mass = inside.sum()
                if not mass:
                    continue
                taken = inside * chance[top] / mass
                # a law that sums to 1 may do so within an ulp
                share = min(taken.sum(), 1.0)
                sizes = sign * mass**left * binom.pmf(accepted, left, share)
                if share:
                    found += (sizes * np.minimum(accepted, wanted)).sum() * taken / taken.sum()
                for size in np.flatnonzero(sizes[:wanted]):
                    found += sizes[size] * passes((*tops, top), wanted - int(size))
        return found

    counts = np.empty(len(sft))
    counts[order] = passes((), num)
    return Accepted(counts)


def merged_law(log_sft, rewards, *, candidates, num, beta=0.5):
    """Algorithm 1 as printed: equal candidates are one, in the order of their first appearance.

    Arguments and errors as in :func:`published_law`, but K <= 7, and candidates may be fewer than
    num. Returns :class:`Accepted`. Derived here.
    """
    sft, rewards = _table(log_sft, rewards, candidates, num, beta)
    if len(sft) > MOST:
        raise ValueError(
            f"log_sft has {len(sft)} responses; the rule is K <= {MOST}, as every order of them is "
            "enumerated: merge some"
        )

    @cache
    def passes(left, wanted):
        """Expected counts (K,) accepted from the responses `left`, in this order."""
        if not left or not wanted:
            return np.zeros(len(sft))
        chance = np.exp((rewards[list(left)] - rewards[list(left)].max()) / beta)
        found, states = np.zeros(len(sft)), {(): 1.0}  # of a pass: those taken so far
        for response, accept in zip(left, chance, strict=True):
            reached = {}
            for taken, probability in states.items():
                if len(taken) == wanted:  # the pass has ended
                    reached[taken] = reached.get(taken, 0.0) + probability
                    continue
                found[response] += probability * accept
                reached[(*taken, response)] = probability * accept
                if accept < 1:
                    reached[taken] = reached.get(taken, 0.0) + probability * (1 - accept)
            states = reached
        for taken, probability in states.items():
            rest = tuple(response for response in left if response not in taken)
            found += probability * passes(rest, wanted - len(taken))
        return found

    counts, short = np.zeros(len(sft)), 0.0
    for seen, probability in _first_appearances(sft, candidates):
        counts += probability * passes(seen, num)
        short += probability * (len(seen) < num)
    return Accepted(counts, float(short))


def _first_appearances(law, candidates):
    """(order of the responses by first appearance, its probability) in so many draws."""
    orders = [
        order
        for size in range(1, min(len(law), candidates) + 1)
        for order in permutations(range(len(law)), size)
    ]
    place = {order: k for k, order in enumerate(orders)}
    seen = np.array([law[list(order)].sum() for order in orders])
    newest = np.array([law[order[-1]] for order in orders])
    shorter = np.array([place.get(order[:-1], -1) for order in orders])
    longer = shorter >= 0
    probability = np.where(longer, 0.0, newest)  # after the first draw
    for _ in range(candidates - 1):  # seen before, or the newest one now
        probability = probability * seen + np.where(longer, probability[shorter] * newest, 0.0)
    return zip(orders, probability, strict=True)


def successive_law(log_target, *, num):
    """What section 3.2 of the paper describes in words: pi* without replacement.

    Each next one is a draw of pi* given that it is none of those before: distinct, and the first of
    them exactly pi*. As num rises to K the shares go to 1/K. `log_target` are log-probabilities
    (K,), num <= K. Returns :class:`Accepted`.
    """
    target = np.exp(check_log_law("log_target", log_target))
    check_count("num", num, 1)
    if num > len(target):
        raise ValueError(
            f"num = {num} breaks the rule num <= {len(target)} distinct ones; lower it"
        )
    states, counts = {frozenset(): 1.0}, np.zeros(len(target))
    for _ in range(num):
        reached = {}
        for taken, probability in states.items():
            left = target.copy()
            left[list(taken)] = 0
            drawn = probability * left / left.sum()
            counts += drawn
            for response in np.flatnonzero(left):
                key = taken | {int(response)}
                reached[key] = reached.get(key, 0.0) + drawn[response]
        states = reached
    return Accepted(counts)


def sample_accepted(log_sft, rewards, rng, *, candidates, num, beta=0.5, merged=False, runs=1):
    """Algorithm 1 run so many times: counts (runs, K) of what it accepts.

    `rng` is a numpy Generator; the other arguments as in :func:`published_law`. Runs whose
    candidates end before num are accepted end there.
    """
    sft, rewards = _table(log_sft, rewards, candidates, num, beta)
    check_count("runs", runs, 1)
    drawn = rng.choice(len(sft), size=(runs, candidates), p=sft)
    alive = np.ones(drawn.shape, dtype=bool)
    if merged:  # the first of equal ones stands for all
        alive = ~(np.tril(drawn[:, :, None] == drawn[:, None, :], -1).any(axis=-1))
    counts, scaled = np.zeros((runs, len(sft))), rewards[drawn] / beta
    running = np.arange(runs)
    while len(running):
        left, score = alive[running], scaled[running]
        wanted = num - counts[running].sum(axis=1, keepdims=True)
        above = score - np.where(left, score, -np.inf).max(axis=1, keepdims=True)
        accepted = left & (rng.random(left.shape) < np.exp(np.minimum(above, 0.0)))
        accepted &= accepted.cumsum(axis=1) <= wanted
        run, place = np.nonzero(accepted)
        alive[running[run], place] = False
        np.add.at(counts, (running[run], drawn[running[run], place]), 1)
        running = running[(counts[running].sum(axis=1) < num) & alive[running].any(axis=1)]
    return counts


def _table(log_sft, rewards, candidates, num, beta):
    """(probabilities (K,), rewards (K,)) of checked arguments."""
    log_sft = check_log_law("log_sft", log_sft)
    rewards = finite_array("rewards", rewards, shape=log_sft.shape)
    check_count("candidates", candidates, 1)
    check_count("num", num, 1)
    check_positive("beta", beta)
    return softmax(log_sft), rewards
