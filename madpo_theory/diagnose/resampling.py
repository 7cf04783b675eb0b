"""Rows drawn with probability proportional to their weights, for trainers that read no weights."""

import math

import numpy as np

from ..ops import check_number

__all__ = ["Systematic", "check_resample", "sum_in_order"]


def check_resample(number, seed):
    """ValueError unless so many rows can be drawn with that seed."""
    check_number("resample", number, "resample >= 1", lambda n: n >= 1)
    check_number("seed", seed, "seed >= 0", lambda s: s >= 0)


def sum_in_order(batches):
    """The sum of all weights, added one by one, whatever the batches."""
    total = 0.0
    for weights in batches:
        with np.errstate(over="ignore"):  # an infinite sum is refused
            total = np.cumsum(np.concatenate([[total], weights]))[-1]
    return float(total)


class Systematic:
    """Systematic resampling (arXiv cs/0507025): N evenly spaced points, thrown by one number.

    A row of weight w is drawn N w / sum(w) times on average over seeds, and always that rounded
    down or up: no resampling without bias varies less in the number of a row's copies.

    Parameters
    ----------
    total : what :func:`sum_in_order` has. number : N. seed : of the one
        random number.
    """

    def __init__(self, total, number, seed):
        if not 0 < total < math.inf:
            raise ValueError(
                f"resample = {number}: the weights sum to {total:g}, so that no row can be drawn "
                "in proportion to its own; lower scale (--scale), or choose another weight"
            )
        self.total, self.number = total, number
        self.start = np.random.default_rng(np.random.SeedSequence(seed)).random()
        self.reached, self.drawn = 0.0, 0

    def copies(self, weights):
        """How often each of the next rows is drawn, (n,)."""
        sums = np.cumsum(np.concatenate([[self.reached], weights]))  # whatever the batches
        points = np.ceil(sums[1:] / self.total * self.number - self.start).astype(np.int64)
        found = np.diff(np.clip(points, 0, self.number), prepend=self.drawn)
        self.reached = sums[-1]
        self.drawn += int(found.sum())
        return found
