"""Pairs that were judged more than once: one judgement's margin against the next one's verdict.

Labels made from ratings always agree with them, and so say nothing of the ratings' scale. Where the
same two responses to the same prompt stand in several rows, each row's margin predicts the choice
of the next one, of another judge or of another day, which it did not make:
``P(next chooses the same) = eps + (1 - 2 eps) sigma(a h)``, as in :mod:`.fits`.
"""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from .fits import Fits, fits, fitted_scale
from .rows import text_columns, words_of

__all__ = ["Repeated", "repeated"]


@dataclass(frozen=True)
class Repeated:
    """What repeated judgements say of the margins.

    Attributes
    ----------
    pairs : pairs of responses with more than one judgement. verdicts : how many were predicted, a
        tie being none. agreed : share of them that chose as the judgement before.
    fits : :class:`~.fits.Fits` of scale and flip rate to them.
    """

    pairs: int
    verdicts: int
    agreed: float
    fits: Fits


def repeated(pairs):
    """:class:`Repeated` of :class:`~.reading.Pairs`; None if no pair is judged twice.

    Prompt and responses are compared word by word. Keys, sides and margins are held in memory, 17
    bytes a row. None too where no column says what the responses are.
    """
    names = text_columns(pairs)
    if not names:
        return None
    keys, sides, margins, cells = [], [], [], pairs.format.cells(names)
    for h, kept, _ in pairs.batches():
        mine = [_key(next(cells)) for _ in range(len(h))]
        key, side = (np.array(column) for column in zip(*mine, strict=True))
        kept = slice(None) if kept is None else kept
        keys.append(key[kept])
        sides.append(side[kept])
        margins.append(h[kept])
    keys, sides, margins = (np.concatenate(parts) for parts in (keys, sides, margins))
    order = np.argsort(keys, kind="stable")  # judgements of a pair stay in the order of their rows
    keys, sides, margins = keys[order], sides[order], margins[order]
    again = np.flatnonzero(keys[1:] == keys[:-1])
    # A negative margin prefers the other response than the row's label names; so does its verdict.
    verdict = margins[again + 1] * np.where(sides[again + 1] == sides[again], 1.0, -1.0)
    judged = verdict != 0
    again, verdict = again[judged], verdict[judged]
    if not len(again):
        return None
    h = margins[again] * np.sign(verdict)
    values, counts = np.unique(h, return_counts=True)
    found = fits(values, counts.astype(float), fitted_scale(values, counts.astype(float)))
    agreed = float(((h > 0) + (h == 0) / 2).mean())
    return Repeated(len(np.unique(keys[again])), len(h), agreed, found)


def _key(cells):
    """(64 bits of prompt and responses in either order, whether the chosen one is the first)."""
    chosen, rejected, *prompt = (" ".join(words_of(cell)) for cell in cells)
    first, second = sorted((chosen, rejected))
    text = "\0".join((*prompt, first, second)).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little"), chosen == first
