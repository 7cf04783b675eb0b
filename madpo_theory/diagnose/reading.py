"""Pairs from files, batch by batch: the reward model's margin toward the observed label.

A file gives the margin in one column, or as the difference of two reward columns; either points to
the chosen response, or to the first of two, with a label that says whether the first was chosen.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..ops import check_number
from .columns import Columns, columns_of, margins_of
from .formats import FORMATS, ROWS, ArrowFolder, Memory

__all__ = ["Pairs", "Reading"]


@dataclass(frozen=True)
class Reading:
    """How margins are read from a file of pairs."""

    margin: str | None = None
    """Column with the margin: chosen less rejected or, with a label, first less second; nats."""
    rewards: tuple[str, str] | None = None
    """Two reward columns instead: chosen and rejected or, with a label, first and second."""
    label: str | None = None
    """Column that says whether the first response was chosen: true or false, or 1 or 0."""
    scale: float = 1.0
    """What margins are multiplied with, > 0: one over the temperature, if they are not log-odds."""
    drop_invalid: bool = False
    """Leave out, and count, rows without a usable margin, instead of refusing the file."""
    keep_ties: bool = False
    """Keep margins of exactly 0: at the weight of that, and as half an agreement with the label."""

    def __post_init__(self):
        check_number("scale", self.scale, "scale > 0", lambda v: v > 0)
        if self.margin is not None and self.rewards is not None:
            raise ValueError(
                f"margin = {self.margin!r} and rewards = {self.rewards!r} are both given; one of "
                "them says what the margin is, drop the other"
            )


class Pairs:
    """Pairs of a file, or an array of margins: iterate :meth:`margins` or :meth:`rows`.

    Parameters
    ----------
    source : Parquet, JSONL or CSV, by the suffix of its name, or a folder of Arrow files; or an
        array (n,) of margins.
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
        if not isinstance(source, (str, Path)):
            self.format, self.name, self.columns = Memory(source), "margins", Columns(("margins",))
            self.where = lambda row, column: f"{column}, index {row}"
            return
        path = Path(source)
        self.name, suffix = str(path), path.suffix.lower()
        self.where = lambda row, column: f"{path}, row {row + 1}, column {column}"
        if path.is_dir():
            self.format = ArrowFolder(path)
        elif not path.exists():
            raise ValueError(f"pairs = {path}: there is no such file or folder; correct it")
        elif suffix in FORMATS:
            self.format = FORMATS[suffix](path)
        else:
            raise ValueError(
                f"pairs = {path} must end in {', '.join(FORMATS)}, or be a folder that datasets' "
                "save_to_disk wrote; convert it"
            )
        names = self.format.names
        if not names:
            raise ValueError(f"{path}: holds no rows; give one row for each pair")
        self.columns = columns_of(names, reading, path)
        for name in self.columns.names:
            if names.count(name) > 1:
                raise ValueError(f"{path}: has the column {name!r} twice; rename one of them")
            self.format.check(name)

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

    def rows(self, rows=None):
        """(margins, kept, payload): margins, which rows are kept (None: all), and the whole rows.

        The payload is a record batch, or a list of texts; of a row that is not kept the margin
        means nothing.
        """
        yield from self._read(whole=True, rows=rows)

    def _read(self, *, whole, rows):
        self.dropped.clear()
        first = 0
        for values, payload in self.format.parts(self.columns, whole=whole, rows=rows):
            margins, kept = margins_of(
                values, self.columns, self.reading,
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
