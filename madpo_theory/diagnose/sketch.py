"""Margins of any number of pairs in a few megabytes: exact counts on a fixed fine grid."""

from dataclasses import dataclass

import numpy as np

from ..schedule import LARGEST

__all__ = ["WIDTH", "MarginSketch", "sketch"]

# A float64 x = |h| + 16 has an exponent and 52 binary digits. The exponent and the first 14 of
# them number its cell, the next 26 say where in the cell it lies, in whole units: sums of these
# are exact, so that nothing depends on how the pairs were batched or ordered.
_SHIFT, _DIGITS, _PLACE = 16.0, 14, 26
_ORIGIN = int(np.float64(_SHIFT).view(np.int64)) >> (52 - _DIGITS)
WIDTH = _SHIFT / 2**_DIGITS
"""Width of a cell, nats: 2^-10 up to |h| = 16, and beyond at most 2^-14 (|h| + 16)."""

RESOLUTION = WIDTH / 2**_PLACE
"""Finest size that a cell tells, 1.5e-11 nats: below it a margin is rounding noise, and a tie."""


@dataclass(frozen=True)
class MarginSketch:
    """What is kept of the margins of many pairs.

    The mean over the pairs of a smooth function f of the margin, taken over the cells instead, is
    wrong by at most sup |f''| WIDTH^2/8, 1.2e-7 sup |f''|; of one with a bend, by WIDTH times the
    bend times the share of its cell.

    Attributes
    ----------
    margins : (cells,) mean margin of each occupied cell, ascending, nats, to 1e-11. No cell holds
        margins of both signs.
    counts : (cells,) numbers of pairs, exact.
    lowest, highest : extreme margins, exact.
    ties : number of margins that are 0, or smaller in size than :data:`RESOLUTION`.
    breaks : ascending margins, and `below` the exact number of pairs below each.
    """

    margins: np.ndarray
    counts: np.ndarray
    lowest: float
    highest: float
    ties: int
    breaks: np.ndarray
    below: np.ndarray

    @property
    def pairs(self):
        return int(self.counts.sum())

    def mean(self, values):
        """Mean over the pairs of `values`, (cells,).

        A sum, and no product of matrices, whose digits and time depend on the number of threads.
        """
        return float((self.counts * values).sum() / self.pairs)

    def count_below(self, margin):
        """Number of pairs with a margin below `margin`: exact at 0 and at the breaks.

        Elsewhere a cell counts whole or not at all, as its mean says.
        """
        place = np.searchsorted(self.breaks, margin)
        if place < len(self.breaks) and self.breaks[place] == margin:
            return int(self.below[place])
        return int(self.counts[: np.searchsorted(self.margins, margin)].sum())

    def share(self, low, high):
        """Share of the pairs with low <= h < high, as exact as :meth:`count_below`."""
        return (self.count_below(high) - self.count_below(low)) / self.pairs

    def share_of_sizes(self, low, high):
        """Share of the pairs with low < |h| < high, both >= 0."""
        negative = self.share(np.nextafter(-high, 0.0), -low)
        return negative + self.share(np.nextafter(low, np.inf), high)

    def quantile(self, share):
        """Smallest margin that at least this share of the pairs do not exceed, within a cell."""
        cumulative = np.cumsum(self.counts)
        place = np.searchsorted(cumulative, share * cumulative[-1])
        found = self.margins[min(place, len(self.margins) - 1)]
        return float(np.clip(found, self.lowest, self.highest))


def size_breaks(sizes):
    """The breaks at which shares of sizes between any two of `sizes` are exact."""
    return [
        at for size in sizes for at in (size, np.nextafter(size, np.inf), -size,
                                        np.nextafter(-size, 0.0)) if np.isfinite(at)
    ]  # fmt: skip


def sketch(batches, breaks=()):
    """The :class:`MarginSketch` of all margins of the batches.

    Parameters
    ----------
    batches : iterable of float64 arrays of margins, finite, at most 1e8 in size.
    breaks : margins below which pairs are to be counted exactly.

    The result is the same bit for bit however the margins are batched and ordered. ValueError if
    there are none.
    """
    breaks = np.unique(np.asarray(list(breaks), dtype=np.float64))
    below = np.zeros(len(breaks), dtype=np.int64)
    counts, places = np.zeros(0, dtype=np.int64), np.zeros(0)
    lowest, highest, ties = np.inf, -np.inf, 0
    for batch in batches:
        if not len(batch):
            continue
        batch = np.where(np.abs(batch) < RESOLUTION, 0.0, batch)
        bits = (np.abs(batch) + _SHIFT).view(np.int64)
        cell = 2 * ((bits >> (52 - _DIGITS)) - _ORIGIN) + (batch < 0)
        place = (bits >> (52 - _DIGITS - _PLACE)) & ((1 << _PLACE) - 1)
        size = max(len(counts), int(cell.max()) + 1)
        counts = np.pad(counts, (0, size - len(counts)))
        places = np.pad(places, (0, size - len(places)))
        counts += np.bincount(cell, minlength=size)
        places += np.bincount(cell, weights=place, minlength=size)
        for k, at in enumerate(breaks):
            below[k] += np.count_nonzero(batch < at)
        lowest, highest = min(lowest, float(batch.min())), max(highest, float(batch.max()))
        ties += int(len(batch) - np.count_nonzero(batch))
    occupied = np.flatnonzero(counts)
    if not len(occupied):
        raise ValueError("margins: there are none; give at least one pair with a usable margin")
    if max(-lowest, highest) > LARGEST:
        raise ValueError(f"margins must be at most {LARGEST:g} in size; lower scale")
    number = counts[occupied]
    # Where a cell begins, and where the next: floats are numbered in the order of their size.
    start, end = ((occupied // 2 + _ORIGIN + step << 52 - _DIGITS).view(np.float64) - _SHIFT
                  for step in (0, 1))  # fmt: skip
    means = start + (end - start) * (places[occupied] / number / 2**_PLACE)
    signed = np.where(occupied % 2, -np.maximum(means, RESOLUTION), means)
    order = np.argsort(signed)
    return MarginSketch(
        np.clip(signed, lowest, highest)[order], number[order], lowest, highest, ties, breaks, below
    )
