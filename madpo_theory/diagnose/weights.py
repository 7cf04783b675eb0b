"""A file of pairs with the weight of each pair's loss, or the offset that does its work, beside."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import __version__
from ..formats import format_of, tabular
from ..formats.jsonl import JsonText
from ..formats.writing import Extended
from ..methods import OffsetMadpo
from ..ops import numpy_world
from ..schedule import MarginSchedule, check_schedule
from ..weights import ScaledWeight
from ..weights import weight as weight_of
from .columns import margin_line
from .effects import asked_weighting
from .layouts import Laid, layout_named
from .reading import Pairs, Reading
from .resampling import Systematic, check_resample, sum_in_order
from .sketch import sketch

__all__ = ["METADATA", "WeightedPairs", "write_weights"]

METADATA = b"madpo_theory"
"""Key of the schedule in a Parquet file's metadata; its value is JSON."""


@dataclass(frozen=True)
class WeightedPairs:
    """What :func:`write_weights` has written.

    Attributes
    ----------
    path : the file. sidecar : the file with the schedule; None where it is in `path` itself.
    pairs : rows of the source that have a weight. drawn : rows written, of those that were drawn
        by their weights; None where none were drawn.
    dropped : (reason, number) of the rows left out.
    label, margin : of the weight, and what the margin is made of, for people.
    column, offset : names of the new columns; None: no such.
    mean, smallest, largest, ess : of the weights, the last the effective share of the
        pairs, (sum w)^2/(n sum w^2); None if there are none, or all are 0.
    record : the schedule and all that makes the weights again.
    """

    path: Path
    sidecar: Path | None
    pairs: int
    dropped: tuple
    label: str
    margin: str
    column: str
    offset: str | None
    mean: float | None
    smallest: float | None
    largest: float | None
    ess: float | None
    record: dict
    drawn: int | None = None


def write_weights(
    source,
    out,
    schedule=None,
    *,
    weight="published",
    reading=None,
    gamma=None,
    mean_one=False,
    column="weight",
    offset=None,
    clip=None,
    resample=None,
    seed=0,
    layout=None,
    force=False,
    rows=None,
):
    """Write the pairs of a file with the weight of each, w(h): every other column, the same order.

    And, if asked, with the offset delta(h), which has the same targets with weights of 1 (N5).

    Parameters
    ----------
    source : pairs in columns, see :class:`~.reading.Pairs`.
    out : a file of any of :data:`~madpo_theory.formats.FORMATS`, by the end of its name; where it
        is a symbolic link, the file that it points to. Rows of its own format stay byte for byte.
        The schedule is recorded in the metadata of Parquet and Arrow (key ``madpo_theory``), else
        in OUT.schedule.json.
    schedule : MarginSchedule; default the released one.
    weight : a name in WEIGHTS or path/to/file.py:Class, made with the schedule, or a Weighting, or
        a MarginSchedule for its published weight.
    reading : :class:`~.reading.Reading`.
    gamma : exponent of the target-shaped weight's target; no other weight has it.
    mean_one : scale the weights to the mean 1 over the file; reads it twice. The mean is that over
        the cells of a :class:`~.sketch.MarginSketch`, within 1e-6 of 1.
    column : name of the new column, not empty.
    offset : name of a second one, the offset of :class:`~madpo_theory.methods.OffsetMadpo`, nats;
        None for none. clip : nats, > 0, within which it is held.
    resample : draw so many rows in proportion to their weights, by
        :class:`~.resampling.Systematic` resampling with `seed`, and write them without; copies
        stand side by side, in the order of the source, which is read twice.
    layout : a name in LAYOUTS: rows as another trainer reads them, in .jsonl or .json.
    force : overwrite what is there.
    rows : rows to a batch; the result does not depend on it.

    Returns :class:`WeightedPairs`. The file is there whole or not at all. ValueError or TypeError
    with argument, value, rule and fix.
    """
    schedule = MarginSchedule.released() if schedule is None else check_schedule(schedule)
    reading = Reading() if reading is None else reading
    if not tabular(source):
        raise TypeError(
            f"source must be a path or rows with columns, got {type(source).__qualname__}; for an "
            "array of margins call madpo_theory.weights"
        )
    if offset == column:
        raise ValueError(f"offset = {offset!r} is the column of the weights; name another")
    if offset is None and clip is not None:
        raise ValueError(f"clip = {clip:g} is of an offset; name its column (--offset NAME)")
    if resample is not None:
        check_resample(resample, seed)
        if offset is not None or mean_one:
            raise ValueError(
                f"resample = {resample} writes neither offsets nor scaled weights, and draws by "
                "the weights alone; leave out offset (--offset) and mean_one (--mean-one)"
            )
    settings = {} if gamma is None else {"gamma": gamma}
    weighting, made_from = asked_weighting(weight, schedule, **settings)
    label = weighting.title
    record = {"kind": weighting.own_name, "weighting": repr(weighting)}
    for name in ("c_max", "c_min", "lam", "tau"):
        record[name] = None if made_from is None else float(getattr(made_from, name))
    pairs, method = Pairs(source, reading), OffsetMadpo(weighting, clip)
    columns = {column: "column"} | ({} if offset is None else {offset: "offset"})
    if resample is not None:
        columns = {}
    written = _laid(pairs, layout, out, columns)
    target = Extended(written, out, columns, beside="schedule", key=METADATA, force=force)
    if mean_one:
        found = sketch(pairs.margins(rows))
        weighting = ScaledWeight.mean_one(weighting, found.margins, found.counts)
    record |= {
        "log_scale": weighting.log_scale if mean_one else 0.0,
        "margin": str(pairs.columns),
        "scale": reading.scale,
        "column": column,
        "offset": offset,
        "clip": clip,
        "version": __version__,
    }
    draw = None
    if resample is not None:
        record |= {"column": None, "resample": int(resample), "seed": int(seed)}
        weights = (weight_of(h, weighting) for h in pairs.margins(rows))
        draw = Systematic(sum_in_order(weights), resample, seed)
    total, said = 0, _Said()
    with target.writing(record) as write:
        for margins, kept, rows_of in pairs.rows(rows):
            if kept is None:
                kept = np.ones(len(margins), dtype=bool)
            values = [_weights(pairs, margins, kept, weighting, total)]
            said.add(values[0])
            if offset is not None:
                values.append(_offsets(pairs, margins, kept, method, total))
            if draw is None:
                write(rows_of, kept, values)
            else:
                copies = np.zeros(len(kept), dtype=np.int64)
                copies[kept] = draw.copies(values[0])
                write(rows_of, copies, [])
            total += len(kept)
    dropped = tuple(sorted(pairs.dropped.items()))
    margin = margin_line(pairs.columns, reading.scale, pairs.columns.guessed)
    return WeightedPairs(
        target.path, target.sidecar, said.pairs, dropped, label, margin, column, offset,
        *said.made(), record, draw and draw.drawn,
    )  # fmt: skip


def _laid(pairs, layout, out, columns):
    """The table that is written: that of the pairs, or in a layout."""
    if layout is None:
        return pairs.format
    layout, kind = layout_named(layout), format_of(out)
    if kind is None or not issubclass(kind, JsonText):
        raise ValueError(f"out = {out}: layout {layout.name} is of JSON; let it end in .jsonl")
    if columns and not layout.weighted:
        raise ValueError(
            f"layout = {layout.name!r}: its trainer reads no weights; let them decide how often a "
            "row is drawn (--resample N)"
        )
    return Laid(pairs, layout)


class _Said:
    """Number, sums and extremes of weights, batch by batch."""

    def __init__(self):
        self.pairs, self.smallest, self.largest = 0, math.inf, 0.0
        self.first = self.second = 0.0

    def add(self, weights):
        if len(weights):
            self.pairs += len(weights)
            self.smallest = min(self.smallest, float(weights.min()))
            self.largest = max(self.largest, float(weights.max()))
            with np.errstate(over="ignore"):  # squares of e^D
                self.first += float(weights.sum())
                self.second += float((weights * weights).sum())

    def made(self):
        """(mean, smallest, largest, effective share)."""
        if not self.largest:
            return (None,) * 4
        share = self.first**2 / (self.pairs * self.second)
        return self.first / self.pairs, self.smallest, self.largest, share


def _weights(pairs, margins, kept, weighting, first):
    """The weights of the margins that are kept; a weight that no float holds is a ValueError."""
    with np.errstate(over="ignore"):  # refused below, with its row
        found = weight_of(margins[kept], weighting)
    return _finite(found, "weight", "choose another weight", pairs, margins, kept, first)


def _offsets(pairs, margins, kept, method, first):
    """Their offsets, nats; a weight of 0 asks for an infinite one, which is a ValueError."""
    with np.errstate(invalid="ignore"):  # refused below, with its row
        found = method.offset(numpy_world, margins[kept])
    return _finite(found, "offset", "hold it with clip (--clip)", pairs, margins, kept, first)


def _finite(found, what, mended, pairs, margins, kept, first):
    """`found` of the margins that are kept, or a ValueError with the first row that is not finite;
    `first` is the row that the batch begins with."""
    wrong = ~np.isfinite(found)
    if wrong.any():
        row = first + int(np.flatnonzero(kept)[np.argmax(wrong)])
        raise ValueError(
            f"{pairs.where(row, ', '.join(pairs.columns.rewards))}: the {what} of a margin of "
            f"{margins[row - first]:g} is {found[wrong][0]}, and must be finite; lower scale "
            f"(--scale), or {mended}"
        )
    return found
