"""SAPO: a rejected response is the chosen one with a segment regenerated (arXiv 2405.20830).

The chosen response y = (A, B, C) is one of the data's; an average of the policy's past, q, draws B'
after the prefix A, and the rejected one is (A, B', C): the suffix C stays (in the released code, as
long as B' has no end of sequence). On the exact sequences of :mod:`.laws` the law of the pairs is a
table, and so is the expected gradient of DPO's loss.

With reference, q and the policy all equal to the data's law the gradient is
``-(beta/2)(E_data - E_rejected) grad log pi``. It is 0 iff the rejected responses have the data's
law, and that is iff C does not depend on B given A for every segment drawn: always where the
segment reaches the end (as SPIN's whole responses do), never where tokens after it depend on it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from ...ops.checks import check_count, check_positive, finite_array
from .laws import check_log_law, logit_gradient, sequences, token_logs

__all__ = [
    "ReplayLaw",
    "dpo_gradient",
    "replay_law",
    "sample_replay",
    "segment_pairs",
    "segment_starts",
]


def segment_starts(length, most, *, kept=0):
    """(start, stop) of the segments of a response of so many tokens, all as likely.

    A segment has min(most, length) tokens and starts anywhere that leaves `kept` tokens after it,
    at 0 where there is no such place. The released code: most 256, kept 3 (the end of sequence
    among them), so that the suffix is never empty but for responses of at most 256 tokens.
    """
    check_count("length", length, 1)
    check_count("most", most, 1)
    check_count("kept", kept, 0)
    size = min(most, length)
    return tuple((start, start + size) for start in range(max(length - kept - size, 0) + 1))


def segment_pairs(log_data, log_generator, segments):
    """(V^L, V^L) probability of the pair (chosen, rejected), by the numbers of the sequences.

    Parameters
    ----------
    log_data : law (V,)*L of the chosen responses.
    log_generator : law that draws the segment, given what is before it.
    segments : (start, stop) pairs, drawn uniformly; 0 <= start < stop <= L.

    A rejected response may be the chosen one. Raises ValueError or TypeError naming the argument.
    """
    log_data = check_log_law("log_data", log_data)
    log_generator = check_log_law("log_generator", log_generator, like=log_data)
    length, segments = log_data.ndim, tuple(segments)
    if not segments or not all(0 <= start < stop <= length for start, stop in segments):
        raise ValueError(
            f"segments must be pairs 0 <= start < stop <= {length}, one at least, got {segments}; "
            "take segment_starts"
        )
    tokens, logs = sequences(log_data), token_logs(log_generator)
    same = tokens[:, None, :] == tokens[None, :, :]
    total = np.zeros((len(tokens), len(tokens)))
    for start, stop in segments:
        outside = np.r_[0:start, stop:length]
        total += same[..., outside].all(axis=-1) * np.exp(logs[start:stop].sum(axis=0))
    return np.exp(log_data).reshape(-1, 1) * total / len(segments)


def dpo_gradient(log_policy, log_reference, pairs, *, beta=0.1):
    """Gradient of DPO's expected loss by the policy's logits, per nat (:func:`logit_gradient`).

    ``-beta E[sigma(-beta m) (grad log pi(chosen) - grad log pi(rejected))]`` over the masses
    `pairs` (V^L, V^L) of (chosen, rejected).
    """
    log_policy = check_log_law("log_policy", log_policy)
    log_reference = check_log_law("log_reference", log_reference, like=log_policy)
    pairs = finite_array("pairs", pairs, shape=(log_policy.size, log_policy.size))
    check_positive("beta", beta)
    ratio = (log_policy - log_reference).ravel()
    pull = -beta * pairs * expit(-beta * (ratio[:, None] - ratio[None, :]))
    return logit_gradient(log_policy, pull.sum(axis=1) - pull.sum(axis=0))


@dataclass(frozen=True, eq=False)
class ReplayLaw:
    """How often the entries of a buffer have been drawn.

    Attributes
    ----------
    counts : (states, size), each row in falling order.
    probability : (states,), of these counts in any order.
    """

    counts: np.ndarray
    probability: np.ndarray

    @property
    def variance(self):
        """Variance of one entry's count; every entry has the same law."""
        mean = self.counts.mean(axis=1)
        return float(self.probability @ ((self.counts - mean[:, None]) ** 2).mean(axis=1))


def replay_law(size, batches, *, batch=1):
    """Exact law of the counts after some batches from a buffer of `size` entries, none added.

    As released: within a batch entries are drawn independently, with replacement, by weights
    1/(count + 1) of the counts at its start; the first batch finds all counts 0. The weights know
    nothing of what an entry holds, so that any draw is any entry with probability 1/size: replay
    evens out use and changes no expected gradient but through the age of what it holds.

    Returns :class:`ReplayLaw`.
    """
    for name, value in (("size", size), ("batches", batches), ("batch", batch)):
        check_count(name, value, 1)
    states = {(0,) * size: 1.0}
    for _ in range(batches):
        drawn = {}
        for start, probability in states.items():
            weights = 1 / (1 + np.array(start))
            weights /= weights.sum()
            inside = {start: probability}
            for _ in range(batch):
                step = {}
                for counts, mass in inside.items():
                    for entry, weight in enumerate(weights):
                        more = (*counts[:entry], counts[entry] + 1, *counts[entry + 1 :])
                        step[more] = step.get(more, 0.0) + mass * weight
                inside = step
            for counts, mass in inside.items():
                key = tuple(sorted(counts, reverse=True))
                drawn[key] = drawn.get(key, 0.0) + mass
        states = drawn
    return ReplayLaw(np.array(list(states)), np.array(list(states.values())))


def sample_replay(size, batches, rng, *, batch=1, runs=1):
    """Counts (runs, size) of :func:`replay_law`'s buffer, drawn by a numpy Generator."""
    for name, value in (("size", size), ("batches", batches), ("batch", batch), ("runs", runs)):
        check_count(name, value, 1)
    counts = np.zeros((runs, size))
    for _ in range(batches):
        edges = np.cumsum(1 / (1 + counts), axis=1)
        place = rng.random((runs, batch, 1)) * edges[:, None, -1:]
        entry = (place >= edges[:, None, :-1]).sum(axis=-1)
        np.add.at(counts, (np.arange(runs)[:, None], entry), 1)
    return counts
