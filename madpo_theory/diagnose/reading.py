"""Pairs from files, batch by batch: the reward model's margin toward the observed label.

A file gives the margin in one column, or as the difference of two reward columns; either points to
the chosen response, or to the first of two, with a label that says whether the first was chosen.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ..formats import ROWS, Table, named, opened, short, tabular
from ..ops import check_number
from .columns import Columns, columns_of, margins_of

__all__ = ["Pairs", "Reading"]


@dataclass(frozen=True)
class Reading:
    """How margins are read from a file of pairs."""

    margin: str | None = None
    """Column with the margin: chosen less rejected or, with a label, first less second; nats. Or a
    place in one, as meta.margin; scores[] of a list of two is its first less its second."""
    rewards: tuple[str, str] | None = None
    """Two reward columns instead: chosen and rejected or, with a label, first and second. Or places
    in them, as chosen.score, or completions[0].reward of lists."""
    label: str | None = None
    """Column that says whether the first response was chosen: true or false, or 1 or 0."""
    scale: float = 1.0
    """What margins are multiplied with, > 0: one over the temperature, if they are not log-odds."""
    drop_invalid: bool = False
    """Leave out, and count, rows without a usable margin, instead of refusing the file."""
    keep_ties: bool = True
    """Keep margins of exactly 0, at the weight of that and as half an agreement with the label; if
    not, leave such rows out, and count them."""
    split: str | None = None
    """Of a dataset with several splits, the one that is read."""
    format: str | None = None
    """Format of what is not named after one, such as standard input (-): jsonl, csv, json.gz."""

    def __post_init__(self):
        check_number("scale", self.scale, "scale > 0", lambda v: v > 0)
        if self.margin is not None and self.rewards is not None:
            raise ValueError(
                f"margin = {self.margin!r} and rewards = {self.rewards!r} are both given; one of "
                "them says what the margin is, drop the other"
            )


class Memory(Table):
    """An array of margins, as a table with one column."""

    def __init__(self, margins):
        margins = np.asarray(margins)
        if margins.dtype.kind not in "fiu" or margins.ndim != 1:
            raise TypeError(
                f"margins must be real numbers in one dimension, got {margins.dtype} of shape "
                f"{margins.shape}; pass one margin for each pair, or the path of a file"
            )
        self.names, self.margins = ["margins"], margins.astype(np.float64)

    def parts(self, names, label, *, whole, rows):
        for start in range(0, len(self.margins), rows or ROWS):
            yield {"margins": self.margins[start : start + (rows or ROWS)]}, None


class Pairs:
    """Pairs of a file, or an array of margins: iterate :meth:`margins` or :meth:`rows`.

    Parameters
    ----------
    source : what :func:`~madpo_theory.formats.opened` takes: a file, a pattern of files, a folder,
        "-" for standard input, a name of `datasets`, a frame of pandas or polars, a Dataset, a list
        of dicts; or an array (n,) of margins.
    reading : how margins are read.

    Attributes
    ----------
    name : of the source. columns : the :class:`Columns` that the margin is made of.
    dropped : numbers of the rows left out, by reason; complete once an iteration has ended.

    Raises ValueError naming the file and, where there is one, the row, counted from 1 below a
    header, and the column.
    """

    def __init__(self, source, reading):
        self.reading, self.dropped = reading, Counter()
        if not tabular(source):
            self.format, self.name, self.columns = Memory(source), "margins", Columns(("margins",))
            self.where = lambda row, column: f"{column}, index {row}"
            return
        self.format = opened(source, "pairs", split=reading.split, kind=reading.format)
        self.name = str(self.format.path)
        self.where = lambda row, column: f"{self.name}, row {row + 1}, column {named(column)}"
        self.columns = columns_of(self.format.names, reading, self.name, self.format.inner)
        for name in self.columns.names:
            self.format.require_numbers(name, label=name == self.columns.label)

    def _same_columns(self):
        """ValueError if columns that only later rows have make what the margin is doubtful."""
        late = self.format.late
        if not late or not self.columns.guessed:
            return
        try:
            found = columns_of(
                [*self.format.names, *late], self.reading, self.name, self.format.inner
            )
        except ValueError:
            found = None
        if found != self.columns:
            name, row = min(late.items(), key=lambda item: item[1])
            raise ValueError(
                f"{self.name}, row {row}: has a column {short(name)}, which the first rows lack, "
                "and with it the margin is another, or unclear; name it with margin (--margin "
                "NAME) or rewards (--rewards CHOSEN REJECTED)"
            )

    def margins(self, rows=None):
        """Arrays of margins toward the observed labels, nats, in batches of about `rows`."""
        waiting, size = [], 0
        for margins, kept, _ in self._read(whole=False, rows=rows):
            waiting.append(margins if kept is None else margins[kept])
            size += len(waiting[-1])
            if size >= (rows or ROWS):
                yield np.concatenate(waiting)
                waiting, size = [], 0
        if size:
            yield np.concatenate(waiting)

    def batches(self, rows=None):
        """(margins, kept, None), as :meth:`rows` has them, without the rows."""
        yield from self._read(whole=False, rows=rows)

    def rows(self, rows=None):
        """(margins, kept, payload): margins, which rows are kept (None: all), and the whole rows.

        The payload is what the table's format takes; of a row that is not kept the margin
        means nothing.
        """
        yield from self._read(whole=True, rows=rows)

    def _read(self, *, whole, rows):
        self.dropped.clear()
        first, columns = 0, self.columns
        for values, payload in self.format.parts(
            columns.names, columns.label, whole=whole, rows=rows
        ):
            self._same_columns()
            margins, kept = margins_of(
                values, columns, self.reading,
                lambda row, column, first=first: self.where(first + row, column),
            )  # fmt: skip
            if kept is not None:
                for reason, bad in kept.items():
                    self.dropped[reason] += int(bad.sum())
                kept = ~np.logical_or.reduce(list(kept.values()))
            first += len(margins)
            yield margins, kept, payload
        if first == 0:
            raise ValueError(f"{self.name}: holds no rows; give one row for each pair")
