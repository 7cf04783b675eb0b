"""A file of pairs with the weight of each pair's loss, and the offset that does its work."""

import json
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import __version__
from ..files import replacing
from ..methods import OffsetMadpo
from ..ops import numpy_world
from ..schedule import MarginSchedule, check_schedule
from ..weights import ScaledWeight
from ..weights import weight as weight_of
from .effects import asked_weighting
from .formats import pyarrow
from .reading import Pairs, Reading
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
    pairs : rows written. dropped : (reason, number) of the rows left out.
    label : of the weight, for people. record : the schedule and all that makes the weights again.
    """

    path: Path
    sidecar: Path | None
    pairs: int
    dropped: tuple
    label: str
    record: dict


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
    force=False,
    rows=None,
):
    """Write the pairs of a file with the weight of each, w(h): every other column, the same order.

    And, if asked, with the offset delta(h) that has the same targets with weights of 1 (N5).

    Parameters
    ----------
    source : a file of pairs, see :class:`~.reading.Pairs`.
    out : .parquet for Parquet and Arrow folders, .jsonl for JSONL, .csv for CSV. The schedule is
        recorded in the Parquet file's metadata (key ``madpo_theory``), or in OUT.schedule.json.
    schedule : MarginSchedule; default the released one with c_max = 4.
    weight : a name in WEIGHTS or path/to/file.py:Class, made with the schedule, or a Weighting, or
        a MarginSchedule for its published weight.
    reading : :class:`~.reading.Reading`.
    gamma : exponent of the target-shaped weight's target; no other weight has it.
    mean_one : scale the weights to the mean 1 over the file; reads it twice. The mean is that over
        the cells of a :class:`~.sketch.MarginSketch`, within 1e-6 of 1.
    column : name of the new column.
    offset : name of a second one, :class:`~madpo_theory.methods.OffsetMadpo`'s offset, nats; None
        for none. clip : nats, > 0, within which it is held.
    force : overwrite what is there.
    rows : rows to a batch; the result does not depend on it.

    Returns :class:`WeightedPairs`. The file is there whole or not at all. ValueError or TypeError
    with argument, value, rule and fix.
    """
    schedule = MarginSchedule.released(4) if schedule is None else check_schedule(schedule)
    reading = Reading() if reading is None else reading
    if not isinstance(source, (str, Path)):
        raise TypeError(
            f"source must be the path of a file, got {type(source).__qualname__}; for an array of "
            "margins call madpo_theory.weights"
        )
    settings = {} if gamma is None else {"gamma": gamma}
    weighting, made_from = asked_weighting(weight, schedule, **settings)
    label = weighting.title
    record = {"kind": weighting.own_name, "weighting": repr(weighting)}
    for name in ("c_max", "c_min", "lam", "tau"):
        record[name] = None if made_from is None else float(getattr(made_from, name))
    pairs, out = Pairs(source, reading), Path(out)
    suffix = pairs.format.suffix
    if out.suffix.lower() != suffix:
        raise ValueError(f"out = {out} must end in {suffix}, like what {source} holds; rename it")
    sidecar = None if suffix == ".parquet" else out.with_name(f"{out.name}.schedule.json")
    columns = {"column": column} | ({} if offset is None else {"offset": offset})
    for option, name in columns.items():
        if name in pairs.format.names:
            raise ValueError(
                f"{source}: has a column {name!r}; choose another name with {option} "
                f"(--{option} NAME)"
            )
    if offset == column:
        raise ValueError(f"offset = {offset!r} is the column of the weights; name another")
    if offset is None and clip is not None:
        raise ValueError(
            f"clip = {clip:g} is of the offset; name its column with offset (--offset)"
        )
    method = OffsetMadpo(weighting, clip)
    for path in filter(None, (out, sidecar)):
        if path.exists() and (not force or path.is_dir()):
            raise ValueError(f"out = {path} is there already; force (--force) overwrites a file")
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
    count = 0
    with ExitStack() as files:
        if sidecar is not None:
            beside = files.enter_context(replacing(sidecar))
            beside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        temporary = files.enter_context(replacing(out))
        writer = _parquet_writer if sidecar is None else _text_writer
        with writer(temporary, pairs.format, tuple(columns.values()), record) as write:
            for margins, kept, rows_of in pairs.rows(rows):
                if kept is None:
                    kept = np.ones(len(margins), dtype=bool)
                values = [weight_of(margins[kept], weighting)]
                if offset is not None:
                    values.append(_offsets(margins[kept], method))
                write(rows_of, kept, values)
                count += int(kept.sum())
    dropped = tuple(sorted(pairs.dropped.items()))
    return WeightedPairs(out, sidecar, count, dropped, label, record)


def _offsets(margins, method):
    """The offsets of margins, nats; ValueError where a weight of 0 asks for an infinite one."""
    with np.errstate(invalid="ignore"):
        found = method.offset(numpy_world, margins)
    bad = ~np.isfinite(found)
    if bad.any():
        raise ValueError(
            f"the offset of the margin {margins[bad][0]:g} is {found[bad][0]}, as its weight is "
            "0; hold it with clip (--clip NATS), or choose a positive weight"
        )
    return found


@contextmanager
def _parquet_writer(path, source, names, record):
    """write(batch, kept, values of each new column) into a Parquet file; metadata: the record."""
    pa = pyarrow()
    metadata = (source.schema.metadata or {}) | {METADATA: json.dumps(record).encode()}
    schema = source.schema
    for name in names:
        schema = schema.append(pa.field(name, pa.float64()))
    schema = schema.with_metadata(metadata)

    def write(batch, kept, values):
        if not kept.all():
            batch = batch.filter(pa.array(kept))
        columns = [*batch.columns, *map(pa.array, values)]
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))

    with pyarrow(".parquet").ParquetWriter(path, schema, compression="zstd") as writer:
        yield write


@contextmanager
def _text_writer(path, source, names, record):
    """write(texts, kept, values of each new column): each text with them put in, else as it was."""
    row = 0

    def write(texts, kept, values):
        nonlocal row
        values = zip(*(column.tolist() for column in values), strict=True)
        for text, keep in zip(texts, kept.tolist(), strict=True):
            row += 1
            if keep:
                for name, value in zip(names, next(values), strict=True):
                    text = source.with_column(text, name, value, row)
                file.write(text)

    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write(source.header(names))
        yield write
