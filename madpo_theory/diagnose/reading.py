"""Pairs from files, batch by batch: the reward model's margin toward the observed label.

A file gives the margin in one column, or as the difference of two reward columns; either points to
the chosen response, or to the first of two, with a label that says whether the first was chosen.
"""

import csv
import itertools
import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..ops import check_number
from ..schedule import LARGEST

__all__ = ["Columns", "Pairs", "Reading"]

ROWS = 1 << 17
"""Rows to a batch of margins: its arrays fit a core's cache."""
BYTES = 1 << 25
"""Bytes, about, that a batch of whole rows may hold."""


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
    """Keep margins of exactly 0: at weight 1, and as half an agreement with the label."""

    def __post_init__(self):
        check_number("scale", self.scale, "scale > 0", lambda v: v > 0)
        if self.margin is not None and self.rewards is not None:
            raise ValueError(
                f"margin = {self.margin!r} and rewards = {self.rewards!r} are both given; one of "
                "them says what the margin is, drop the other"
            )


@dataclass(frozen=True)
class Columns:
    """The columns that the margin is made of; `guessed` if nobody named them."""

    rewards: tuple
    label: str | None = None
    guessed: bool = False

    @property
    def names(self):
        return (*self.rewards, *filter(None, (self.label,)))

    def __str__(self):
        text = " - ".join(self.rewards)
        return text if self.label is None else f"{text}, turned to the label {self.label}"


# --- which columns --------------------------------------------------------------------------------

MARGINS = ("margin", "margins", "model_margin", "reward_margin", "score_margin")
_REWARD = re.compile("reward|score|rating", re.IGNORECASE)


def _partners(names, one, other):
    """Pairs of reward columns whose names differ by `one` against `other`."""
    pairs = [(name, name.replace(one, other)) for name in names if one in name]
    return [(a, b) for a, b in pairs if b in names and _REWARD.search(a)]


def columns_of(names, reading, where):
    """The :class:`Columns` that a :class:`Reading` asks for, or the only ones that suggest it."""
    listing = f"the columns are {', '.join(names)}"
    asked = (reading.margin,) if reading.margin is not None else reading.rewards
    for name in (*(asked or ()), *filter(None, (reading.label,))):
        if name not in names:
            raise ValueError(f"{where}: there is no column {name!r}; {listing}")
    if asked:
        return Columns(tuple(asked), reading.label)
    names = list(dict.fromkeys(names))
    margins = [(name,) for name in names if name in MARGINS]
    oriented = margins + _partners(names, "chosen", "rejected")
    turned = _partners(names, "first", "second")
    if reading.label is None and not oriented and "first_chosen" in names:
        candidates, label = turned, "first_chosen"
    else:
        candidates, label = (oriented if reading.label is None else margins + turned), reading.label
    if len(candidates) == 1:
        return Columns(candidates[0], label, guessed=True)
    what = "several columns could be the margin" if candidates else "no column looks like a margin"
    found = "".join(f", {' - '.join(c)}" for c in candidates).removeprefix(", ")
    raise ValueError(
        f"{where}: {what}{f' ({found})' if found else ''}; name it with margin (--margin NAME) or "
        f"rewards (--rewards CHOSEN REJECTED); {listing}"
    )


# --- the formats ----------------------------------------------------------------------------------


def pyarrow(name=""):
    """The package pyarrow or a part of it; a missing one is an error that names the fix."""
    from importlib import import_module

    try:
        return import_module(f"pyarrow{name}")
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "Parquet and Arrow files need pyarrow: pip install 'madpo-theory[simulate]', or pass "
            "JSONL or CSV"
        ) from None


class _Arrow:
    """What Parquet and Arrow share: record batches, whose columns become float64 arrays."""

    suffix = ".parquet"
    """Of a file that the rows can be written to."""

    def _refuse(self, error):
        what = str(error).strip().splitlines()[0]
        raise ValueError(f"{self.path}: cannot be read ({what}); write the file again") from None

    def check(self, name):
        types, kind = pyarrow(".types"), self.schema.field(name).type
        if types.is_dictionary(kind) or not (
            types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind)
            or types.is_decimal(kind) or types.is_null(kind)
        ):  # fmt: skip
            raise ValueError(
                f"{self.path}, column {name}: holds {kind}, and must hold numbers; name another "
                "column, or cast it"
            )

    def values(self, batch, columns):
        pa = pyarrow()
        found = {}
        for name in columns.names:
            column = batch.column(name)
            if pa.types.is_boolean(column.type):
                column = column.cast(pa.int8())
            column = column.cast(pa.float64(), safe=False)
            found[name] = column.to_numpy(zero_copy_only=False)  # null becomes NaN
        return found

    def parts(self, columns, *, whole, rows):
        pa = pyarrow()
        try:
            for batch in self.record_batches(None if whole else list(columns.names), rows):
                yield self.values(batch, columns), batch if whole else None
        except (pa.ArrowException, OSError) as error:
            self._refuse(error)


class _Parquet(_Arrow):
    def __init__(self, path):
        self.path = path
        pa = pyarrow()
        try:
            # So that a column chunk, of a million texts say, is not held in memory as a whole.
            self.file = pyarrow(".parquet").ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            self._refuse(error)
        self.schema = self.file.schema_arrow
        self.names = list(self.schema.names)

    def record_batches(self, names, rows):
        if rows is None:
            about = self.file.metadata
            size = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
            rows = ROWS if names else BYTES * about.num_rows // max(size, 1)
        yield from self.file.iter_batches(max(64, min(rows, ROWS)), columns=names)


class _ArrowFolder(_Arrow):
    """A folder of Arrow files, as `datasets` saves it to disk."""

    def __init__(self, path):
        self.path = path
        if (path / "dataset_dict.json").is_file():
            splits = sorted(p.name for p in path.iterdir() if p.is_dir())
            raise ValueError(f"{path}: holds several splits; pass one of {', '.join(splits)} in it")
        state = path / "state.json"
        if state.is_file():
            listed = json.loads(state.read_text(encoding="utf-8")).get("_data_files", [])
            self.files = [path / entry["filename"] for entry in listed]
        else:
            self.files = sorted(path.glob("*.arrow"))
        if not self.files:
            raise ValueError(
                f"{path}: holds no Arrow files; pass a folder that datasets' save_to_disk wrote, "
                "or a file that ends in .parquet, .jsonl or .csv"
            )
        pa = pyarrow()
        try:
            with self._open(self.files[0], None) as first:
                self.schema = first.schema
        except (pa.ArrowException, OSError) as error:
            self._refuse(error)
        self.names = list(self.schema.names)

    def _open(self, file, names):
        ipc = pyarrow(".ipc")
        fields = names and [self.schema.get_field_index(name) for name in names]
        return ipc.open_stream(
            pyarrow().OSFile(str(file)), options=ipc.IpcReadOptions(included_fields=fields or None)
        )

    def record_batches(self, names, rows):
        for file in self.files:
            with self._open(file, names) as stream:
                for batch in stream:
                    for start in range(0, batch.num_rows, rows or ROWS):
                        yield batch.slice(start, rows or ROWS)


class _Text:
    """What JSONL and CSV share: blocks of records, with their texts as they stand in the file."""

    def parts(self, columns, *, whole, rows):
        first = 0
        for texts, cells in self.blocks(columns.names, rows or ROWS, whole):
            found = {}
            for name, cell in zip(columns.names, cells, strict=True):
                number = self.truth if name == columns.label else self.number
                found[name] = self._array(name, cell, number, first)
            yield found, texts
            first += len(cells[0])

    def _array(self, name, cell, number, first):
        if set(map(type, cell)) == {float}:
            return np.array(cell)
        try:
            return np.array(list(map(number, cell)), dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            for row, value in enumerate(cell, first + 1):
                try:
                    number(value)
                except (TypeError, ValueError, OverflowError):
                    raise ValueError(
                        f"{self.path}, row {row}, column {name}: must be a number, got "
                        f"{value!r:.40}; correct it"
                    ) from None
            raise

    def check(self, name):
        pass

    def _lines(self):
        try:
            with open(self.path, newline="", encoding="utf-8-sig") as file:
                yield from file
        except OSError as error:
            raise ValueError(f"{self.path}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.path}: is not UTF-8 ({error.reason}); encode it so") from None


def _block(texts, rows):
    """The next texts: so many, or fewer that together hold about BYTES characters."""
    block, size = [], 0
    for text in texts:
        block.append(text)
        size += len(text)
        if len(block) == rows or size > BYTES:
            break
    return block


class _Jsonl(_Text):
    suffix = ".jsonl"

    def __init__(self, path):
        self.path = path
        first = next(self._lines(), None)
        self.names = [] if first is None else list(self._objects([first], 0)[0])

    def _objects(self, lines, first):
        """The objects of lines, the first of which is row `first` + 1."""
        try:  # all at once: much the faster, and wrong only if a line is wrong
            found = json.loads(f"[{','.join(lines)}]")
            if len(found) == len(lines) and set(map(type, found)) == {dict}:
                return found
        except json.JSONDecodeError:
            pass
        found = []
        for row, line in enumerate(lines, first + 1):
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise ValueError(
                    f"{self.path}, row {row}: is not JSON ({error.msg}); every line is one object"
                ) from None
            if not isinstance(found[-1], dict):
                raise ValueError(
                    f"{self.path}, row {row}: must be an object, got {found[-1]!r:.40}"
                )
        return found

    def blocks(self, names, rows, whole):
        lines, first = self._lines(), 0
        while block := _block(lines, rows):
            found = self._objects(block, first)
            yield block if whole else None, [[row.get(name) for row in found] for name in names]
            first += len(block)

    @staticmethod
    def number(value):
        if value is None:
            return math.nan
        if isinstance(value, (bool, str)):
            raise TypeError
        return float(value)

    @staticmethod
    def truth(value):
        return float(value) if isinstance(value, bool) else _Jsonl.number(value)

    def with_column(self, text, name, value, row):
        """The line with one more entry; every character before it stays."""
        if f'"{name}"' in text and name in json.loads(text):
            raise ValueError(f"{self.path}, row {row}: has an entry {name!r}; choose another name")
        body = text.rstrip()
        inner = body[:-1].rstrip()
        comma = "" if inner.endswith("{") else ", "
        return f"{inner}{comma}{json.dumps(name)}: {value!r}}}{text[len(body) :] or chr(10)}"

    def header(self, name):
        return ""


class _Csv(_Text):
    suffix = ".csv"

    def __init__(self, path):
        self.path = path
        taken = []
        self.names = next(self._records(taken), [])
        self.head = "".join(taken)

    def _records(self, taken=None):
        """The cells of every record, the header first; its lines are appended to `taken`."""

        def noted():
            for line in self._lines():
                taken.append(line)
                yield line

        try:
            yield from csv.reader(self._lines() if taken is None else noted())
        except csv.Error as error:
            raise ValueError(f"{self.path}: is not CSV ({error}); pass JSONL instead") from None

    def _texts(self):
        """(text, cells) of every record."""
        taken = []
        for cells in self._records(taken):
            yield "".join(taken), cells
            taken.clear()

    def blocks(self, names, rows, whole):
        places = [self.names.index(name) for name in names]
        source = self._texts() if whole else zip(itertools.repeat(""), self._records())
        next(source)
        texts, values, size = [], [], 0
        for row, (text, cells) in enumerate(source, 1):
            if len(cells) != len(self.names):
                raise ValueError(
                    f"{self.path}, row {row}: has {len(cells)} cells, the header "
                    f"{len(self.names)}; quote texts that hold commas"
                )
            texts.append(text)
            values.append([cells[place] for place in places])
            size += len(text)
            if len(texts) == rows or size > BYTES:
                yield texts, list(zip(*values, strict=True))
                texts, values, size = [], [], 0
        if texts:
            yield texts, list(zip(*values, strict=True))

    @staticmethod
    def number(value):
        return float(value or "nan")

    @staticmethod
    def truth(value):
        words = {"true": 1.0, "false": 0.0}
        lower = value.lower()
        return words[lower] if lower in words else _Csv.number(value)

    def with_column(self, text, name, value, row):
        """The record with one more cell; every character before it stays."""
        body = text.rstrip("\r\n")
        return f"{body},{value!r}{text[len(body) :] or chr(10)}"

    def header(self, name):
        line = self.head.rstrip("\r\n")
        quoted = f'"{name}"' if set(name) & set(',"\r\n') else name
        return f"{line},{quoted}{self.head[len(line) :] or chr(10)}"


_FORMATS = {".parquet": _Parquet, ".jsonl": _Jsonl, ".csv": _Csv}


# --- margins --------------------------------------------------------------------------------------


class _Memory:
    """An array of margins."""

    names = ("margins",)

    def __init__(self, margins):
        margins = np.asarray(margins)
        if margins.dtype.kind not in "fiu" or margins.ndim != 1:
            raise TypeError(
                f"margins must be real numbers in one dimension, got {margins.dtype} of shape "
                f"{margins.shape}; pass one margin for each pair, or the path of a file"
            )
        self.margins = margins.astype(np.float64)

    def check(self, name):
        pass

    def parts(self, columns, *, whole, rows):
        for start in range(0, len(self.margins), rows or ROWS):
            yield {"margins": self.margins[start : start + (rows or ROWS)]}, None


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
            self.format, self.name, self.columns = _Memory(source), "margins", Columns(("margins",))
            self.where = lambda row, column: f"{column}, index {row}"
            return
        path = Path(source)
        self.name, suffix = str(path), path.suffix.lower()
        self.where = lambda row, column: f"{path}, row {row + 1}, column {column}"
        if path.is_dir():
            self.format = _ArrowFolder(path)
        elif not path.exists():
            raise ValueError(f"pairs = {path}: there is no such file or folder; correct it")
        elif suffix in _FORMATS:
            self.format = _FORMATS[suffix](path)
        else:
            raise ValueError(
                f"pairs = {path} must end in {', '.join(_FORMATS)}, or be a folder that datasets' "
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


def margins_of(values, columns, reading, where):
    """(margins, faults): margins toward the label, scaled, and faulty rows by reason, or None.

    `values` maps each of the columns to an array, `where(row, column)` says where a value stands.
    A row with several faults counts once, for the first reason. ValueError at the first fault,
    unless `reading` says to drop them.
    """
    drop = "drop_invalid (--drop-invalid) leaves such rows out"
    with np.errstate(invalid="ignore", over="ignore"):
        rewards = [values[name] for name in columns.rewards]
        margins = rewards[0] if len(rewards) == 1 else rewards[0] - rewards[1]
        if reading.scale != 1:
            margins = reading.scale * margins
        label = None if columns.label is None else values[columns.label]
        if label is not None:
            margins = np.where(label > 0, margins, -margins)
        usable = np.abs(margins) <= LARGEST
        if label is not None:
            usable &= (label == 0) | (label == 1)
        if not reading.keep_ties:
            usable &= margins != 0
    if usable.all():
        return margins, None
    faults = {}

    def fault(reason, bad, column, explain):
        """Note bad rows that are not yet noted; `explain(row)` says what is wrong and the fix."""
        bad = bad & ~np.logical_or.reduce([*faults.values(), np.zeros(len(margins), bool)])
        if bad.any():
            row = int(np.argmax(bad))
            if not reading.drop_invalid:
                raise ValueError(f"{where(row, column)}: {explain(row)}; {drop}")
            faults[reason] = bad

    if label is not None:
        odd = ~((label == 0) | (label == 1) | (label == 0.5) | np.isnan(label))
        if odd.any():  # another convention, which dropping rows would not mend
            row = int(np.argmax(odd))
            raise ValueError(
                f"{where(row, columns.label)}: {label[row]:g} breaks the rule that a label is true "
                "or 1 where the first response was chosen, false or 0 where the second was; recode "
                "it"
            )
        fault(
            "label without a choice", np.isnan(label) | (label == 0.5), columns.label,
            lambda row: f"{label[row]:g} chooses neither response; give the label",
        )  # fmt: skip
    for name, value in zip(columns.rewards, rewards, strict=True):
        fault(
            "missing or NaN", np.isnan(value), name,
            lambda row: "missing or NaN, and must be a finite number; fill it in",
        )  # fmt: skip
        fault(
            "infinite", np.isinf(value), name,
            lambda row, value=value: f"{value[row]:g}, and must be a finite number; correct it",
        )  # fmt: skip
    both = ", ".join(columns.rewards)
    fault(
        "too large", ~(np.abs(margins) <= LARGEST), both,
        lambda row: f"a margin of {margins[row]:g} breaks the rule |margin| <= {LARGEST:g} nats; "
        "lower scale (--scale), or correct it",
    )  # fmt: skip
    if not reading.keep_ties:
        fault(
            "tie", margins == 0, both,
            lambda row: "a tie, as the margin is 0 and the reward model prefers neither response; "
            "keep_ties (--keep-ties) keeps it at weight 1",
        )  # fmt: skip
    return margins, faults
