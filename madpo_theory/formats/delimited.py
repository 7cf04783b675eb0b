"""CSV and TSV."""

import codecs
import csv
import io
import math
from functools import cached_property

import numpy as np

from .arrow import floats, pyarrow
from .base import MISSING, named, short
from .blocks import blocks_of, is_text, lines_of, quotes_fit, read_csv, unquoted_ends, written
from .text import Text

__all__ = ["Csv", "Tsv"]

LONGEST = 2**31 - 1
"""Characters of a cell of CSV: what fits a C long everywhere."""
WHOLE = 18
"""Digits of an integer that 64 bits always hold."""


def number(value):
    try:
        if value.isascii() and "_" not in value:  # which only Python takes for numbers
            return float(value)
    except ValueError:
        pass
    if value.strip() in MISSING:
        return math.nan
    raise ValueError


def whole(cell):
    """An integer as it is written everywhere: no sign before a zero or a digit, no 007."""
    if not (cell.isascii() and cell.removeprefix("-").isdigit() and len(cell) <= WHOLE):
        raise ValueError
    if str(found := int(cell)) != cell:
        raise ValueError
    return found


def decimal(cell):
    """A finite number; ValueError of an identifier of digits, such as 007, too."""
    found = number(cell)
    digits = cell.strip().lstrip("+-")
    if not math.isfinite(found) or (digits[:1] == "0" and digits[1:2].isdigit()):
        raise ValueError
    return found


def truth(cell):
    return {"true": True, "false": False}[cell.strip().lower()]


TYPES = {"int64": whole, "float64": decimal, "bool_": truth, "string": str}
"""Types of columns by their names in Arrow, the narrowest first, and how a cell becomes one."""


class Csv(Text):
    suffixes = (".csv",)
    delimiter = ","

    def __init__(self, path, files):
        self.path, self.files = path, files
        self.first, self.names = next(self._read(), ("", []))

    @classmethod
    def begins(cls, head):
        line = head.lstrip(b"\xef\xbb\xbf\r\n").split(b"\n")[0]
        counts = {kind: line.count(kind.delimiter.encode()) for kind in (Tsv, Csv)}
        text = line[:1] not in (b"{", b"[") and line.isascii() and line.decode().isprintable()
        return (text or b"\t" in line) and max(counts, key=counts.get) is cls

    def _read(self):
        """(text, cells) of every record, the header first; blank lines are none."""
        for number, file in enumerate(self.files):
            records = self._of(file)
            header = next(records, None)
            if number == 0 and header is not None:
                yield header
            elif header is not None and header[1] != self.names:
                raise ValueError(
                    f"{file.name}: has another header than {self.files[0].name}; give all files "
                    "the same columns, in the same order"
                )
            yield from records

    def _of(self, file):
        csv.field_size_limit(LONGEST)  # the module's own, 131072, is shorter than some prompts
        taken, row = [], 0

        def noted():
            for line in self._text(file):
                taken.append(line)
                yield line

        try:
            for cells in csv.reader(noted(), delimiter=self.delimiter, strict=True):
                text = "".join(taken)
                taken.clear()
                if len(cells) > 1 or text.strip(" \r\n"):
                    yield text, cells
                    row += 1
        except csv.Error as error:
            where = f"row {row}" if row else "header"
            what = "a quote that opens is never closed" if "end of data" in str(error) else error
            raise ValueError(
                f"{file.name}, {where}: is not CSV ({what}); double the quotes within a cell, and "
                "put it in quotes"
            ) from None

    def records(self):
        source, width = self._read(), len(self.names)
        next(source)
        for row, (text, cells) in enumerate(source, 1):
            if len(cells) != width:
                raise ValueError(
                    f"{self.path}, row {row}: has {len(cells)} cells, the header {width}; quote "
                    "texts that hold commas"
                )
            yield text, cells

    def _picked(self, names):
        places = [self.names.index(name) for name in names]
        return lambda cells: [cells[place] for place in places]

    def has(self, name):
        return name in self.names

    number = staticmethod(number)

    @staticmethod
    def truth(value):
        words = {"true": 1.0, "false": 0.0}
        lower = value.strip().lower()
        return words[lower] if lower in words else number(value)

    # --- at once ----------------------------------------------------------------------------------

    def _bodies(self, stream):
        head = self.first.encode()
        marked = stream.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8
        stream.seek(len(codecs.BOM_UTF8) if marked else 0)
        if stream.read(len(head)) != head or not head.endswith(b"\n"):
            yield None
        yield from blocks_of(stream, unquoted_ends)

    def _parsed(self, data, names, label):
        """What Arrow reads otherwise than Python, or not at all, is left to :meth:`_of`."""
        if not is_text(data) or (b'"' in data and not quotes_fit(data, self.delimiter)):
            return None
        block, pa = lines_of(data, unquoted_ends), pyarrow()
        kinds = {name: pa.string() if name == label else pa.float64() for name in names}
        types = {self.names.index(name): kind for name, kind in kinds.items()}
        table = read_csv(
            block.data, len(self.names), self.delimiter, types or {0: pa.string()}, MISSING
        )
        if table is None or table.num_rows != len(block):
            return None
        found = {}
        for name in names:
            values = table.column(str(self.names.index(name))).combine_chunks()
            found[name] = self._truths(values) if name == label else floats(values)
            if found[name] is None:
                return None
        return found, block

    def _truths(self, values):
        """Labels as numbers, each word looked at once; None if one is no label."""
        coded = values.dictionary_encode()
        try:
            words = [self.truth(word) for word in coded.dictionary.to_pylist()]
        except ValueError:
            return None
        return np.array(words, dtype=np.float64)[coded.indices]

    @classmethod
    def spliced(cls, block, names, values):
        if not names:
            return None
        return block.spliced(block.line_end(), written([cls.delimiter] * len(names), values))

    # --- cells of types ---------------------------------------------------------------------------

    @cached_property
    def types(self):
        """The narrowest type of each column, "null" where all is missing; a text misses nothing."""
        left, empty = {name: list(TYPES) for name in self.names}, set(self.names)
        for name in self.names:
            self.require(name)  # once
        for _, cells in self.records():
            for name, cell in zip(self.names, cells, strict=True):
                if len(left[name]) == 1 or cell.strip() in MISSING:
                    continue
                empty.discard(name)
                while not _fits(TYPES[left[name][0]], cell):
                    left[name].pop(0)
        return {name: "null" if name in empty else left[name][0] for name in self.names}

    def objects(self, payload):
        makers = [(name, kind, TYPES.get(kind)) for name, kind in self.types.items()]
        return [
            {
                name: None if kind != "string" and cell.strip() in MISSING else make(cell)
                for (name, kind, make), cell in zip(makers, self._cells(text), strict=True)
            }
            for text in payload
        ]

    def _cells(self, text):
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter))

    def arrow_schema(self):
        pa = pyarrow()
        return pa.schema([(name, getattr(pa, kind)()) for name, kind in self.types.items()])

    # --- writing ----------------------------------------------------------------------------------

    @classmethod
    def check_holds(cls, source):
        for name in {name for name in source.names if source.names.count(name) > 1}:
            source.require(name)

    @classmethod
    def texts(cls, source, payload):
        if type(source) is cls:
            return payload
        if isinstance(source, Csv):  # cells are texts in both
            return (cls._line(source._cells(text)) for text in payload)
        return (cls._line(cls._row(row, source)) for row in source.objects(payload))

    @classmethod
    def _row(cls, row, source):
        """The cells of an object, under the names of the header."""
        late = [name for name in row if name not in source.names]
        if late:
            raise ValueError(
                f"{source.path}: later rows have a column {named(late[0])}, which the first ones "
                "lack, and CSV has one header; write .jsonl or .parquet"
            )
        return [cls._cell(row.get(name), name, source) for name in source.names]

    @classmethod
    def _line(cls, cells):
        line = io.StringIO()
        csv.writer(line, delimiter=cls.delimiter, lineterminator="\n").writerow(cells)
        return line.getvalue()

    @staticmethod
    def _cell(value, name, source):
        if isinstance(value, (bytes, list, dict, tuple)):
            raise ValueError(
                f"{source.path}, column {named(name)}: holds {short(value)}, which CSV cannot "
                "hold; write .jsonl or .parquet, or drop the column"
            )
        if isinstance(value, bool):
            return "true" if value else "false"
        if value is None or value != value:
            return ""
        return value.isoformat() if hasattr(value, "isoformat") else value

    @classmethod
    def with_column(cls, text, name, value):
        """The record with one more cell; every character before it stays."""
        body = text.rstrip("\r\n")
        return f"{body}{cls.delimiter}{value!r}{text[len(body) :] or chr(10)}"

    @classmethod
    def head(cls, source, names):
        if type(source) is not cls:
            return cls._line([*source.names, *names])
        line = source.first.rstrip("\r\n")
        more = cls._line(names).removesuffix("\n")
        return f"{line}{cls.delimiter * bool(names)}{more}{source.first[len(line) :] or chr(10)}"


def _fits(make, cell):
    try:
        make(cell)
    except (ValueError, KeyError):
        return False
    return True


class Tsv(Csv):
    suffixes = (".tsv",)
    delimiter = "\t"
