"""The files that pairs stand in, batch by batch: Parquet, Arrow, JSONL, CSV, or an array."""

import csv
import itertools
import json
import math

import numpy as np

__all__ = ["FORMATS", "ROWS", "ArrowFolder", "Csv", "Jsonl", "Memory", "Parquet", "pyarrow"]

ROWS = 1 << 17
"""Rows to a batch of margins: its arrays fit a core's cache."""
BYTES = 1 << 25
"""Bytes, about, that a batch of whole rows may hold."""


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


class Arrow:
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


class Parquet(Arrow):
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


class ArrowFolder(Arrow):
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


class Text:
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


class Jsonl(Text):
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
        return float(value) if isinstance(value, bool) else Jsonl.number(value)

    def with_column(self, text, name, value, row):
        """The line with one more entry; every character before it stays."""
        if f'"{name}"' in text and name in json.loads(text):
            raise ValueError(f"{self.path}, row {row}: has an entry {name!r}; choose another name")
        body = text.rstrip()
        inner = body[:-1].rstrip()
        comma = "" if inner.endswith("{") else ", "
        return f"{inner}{comma}{json.dumps(name)}: {value!r}}}{text[len(body) :] or chr(10)}"

    def header(self, names):
        return ""


class Csv(Text):
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
        return words[lower] if lower in words else Csv.number(value)

    def with_column(self, text, name, value, row):
        """The record with one more cell; every character before it stays."""
        body = text.rstrip("\r\n")
        return f"{body},{value!r}{text[len(body) :] or chr(10)}"

    def header(self, names):
        line = self.head.rstrip("\r\n")
        cells = (
            '"' + name.replace('"', '""') + '"' if set(name) & set(',"\r\n') else name
            for name in names
        )
        return f"{','.join((line, *cells))}{self.head[len(line) :] or chr(10)}"


class Memory:
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


FORMATS = {".parquet": Parquet, ".jsonl": Jsonl, ".csv": Csv}
"""The format of a file by the suffix of its name."""
