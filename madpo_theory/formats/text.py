"""JSONL, CSV and TSV: blocks of records, with their texts as they stand in the file."""

import codecs
import csv
import io
import itertools
import json
import math

import numpy as np

from .base import BYTES, MISSING, ROWS, Table, named, short

__all__ = ["Csv", "Jsonl", "Tsv"]

BLANK = " \t\r\n"
"""What a line may hold and be blank: JSON's white space."""
LONGEST = 2**31 - 1
"""Characters of a cell of CSV: what fits a C long everywhere."""
LOOKED_AT = 1000
"""Rows of JSONL that say which columns there are; later ones may not change what is read."""
OTHERS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""Encodings by their marks, the longest first."""


class Text(Table):
    """What JSONL and CSV share."""

    def parts(self, names, label, *, whole, rows):
        first = 0
        for texts, cells in self.blocks(names, rows or ROWS):
            found = {}
            for name, cell in zip(names, cells, strict=True):
                number = self.truth if name == label else self.number
                found[name] = self._array(name, cell, number, first)
            yield found, texts if whole else None
            first += len(texts)

    def cells(self, names):
        for _, cells in self.blocks(names, ROWS):
            yield from zip(*cells, strict=True)

    def blocks(self, names, rows):
        """(texts, columns of cells) of so many records, or of fewer that hold about BYTES."""
        texts, values, size, pick = [], [], 0, self._picked(names)
        for text, record in self.records():
            texts.append(text)
            values.append(pick(record))
            size += len(text)
            if len(texts) == rows or size > BYTES:
                yield texts, list(zip(*values, strict=True))
                texts, values, size = [], [], 0
        if texts:
            yield texts, list(zip(*values, strict=True))

    def _array(self, name, cell, number, first):
        if set(map(type, cell)) == {float}:
            return np.array(cell)
        try:
            return np.array(list(map(number, cell)), dtype=np.float64)
        except (TypeError, ValueError):
            for row, value in enumerate(cell, first + 1):
                try:
                    number(value)
                except (TypeError, ValueError):
                    raise ValueError(
                        f"{self.path}, row {row}, column {named(name)}: must be a number, got "
                        f"{short(value)}; correct it"
                    ) from None
            raise

    def _lines(self):
        try:
            with open(self.path, "rb") as file:
                start = file.read(4)
            for mark, name in OTHERS.items():
                if start.startswith(mark):
                    raise ValueError(f"{self.path}: is {name}; convert it to UTF-8")
            with open(self.path, newline="", encoding="utf-8") as file:
                yield next(file, "").lstrip("\ufeff")
                yield from file
        except OSError as error:
            raise ValueError(f"{self.path}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{self.path}, line {self._undecoded()}: is not UTF-8 ({error.reason}); convert "
                "the file to it"
            ) from None

    def _undecoded(self):
        """Number of the first line that is not UTF-8."""
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    line.decode("utf-8")
                except UnicodeDecodeError:
                    return number


class Jsonl(Text):
    suffix = ".jsonl"
    # An integer of any length is the float that it rounds to.
    decode = staticmethod(json.JSONDecoder(parse_int=float).raw_decode)

    def __init__(self, path):
        self.path, self.late = path, {}
        first = [record for _, record in itertools.islice(self._read(), LOOKED_AT)]
        self.names = list(dict.fromkeys(itertools.chain.from_iterable(first)))

    def _read(self):
        row = 0
        for text in self._lines():
            line = text.strip(BLANK)
            if line:
                row += 1
                yield text, self._object(line, row)

    def _object(self, line, row):
        try:
            found, end = self.decode(line)
            wrong = "more follows its end" if end < len(line) else None
        except json.JSONDecodeError as error:
            wrong = error.msg
        except RecursionError:
            wrong = "nested too deeply"
        if wrong:
            raise ValueError(
                f"{self.path}, row {row}: is not JSON ({wrong}); write one object a line"
            )
        if type(found) is not dict:
            raise ValueError(
                f"{self.path}, row {row}: must be an object, got {short(found, 40)}; write one "
                "object a line"
            )
        return found

    def records(self):
        known = set(self.names)
        for row, (text, record) in enumerate(self._read(), 1):
            if not record.keys() <= known:
                for name in record.keys() - known:
                    self.late.setdefault(name, row)
                known |= record.keys()
            yield text, record

    @staticmethod
    def _picked(names):
        return lambda record: [record.get(name) for name in names]

    @staticmethod
    def number(value):
        if value is None or (isinstance(value, str) and value in MISSING):
            return math.nan
        if isinstance(value, (bool, str)):
            raise TypeError
        return float(value)

    @staticmethod
    def truth(value):
        return float(value) if isinstance(value, bool) else Jsonl.number(value)

    def with_column(self, text, name, value):
        """The line with one more entry; every character before it stays."""
        body = text.rstrip(BLANK)
        inner = body[:-1].rstrip(BLANK)
        comma = "" if inner.endswith("{") else ", "
        return f"{inner}{comma}{json.dumps(name)}: {value!r}}}{text[len(body) :] or chr(10)}"

    def header(self, names):
        return ""


class Csv(Text):
    suffix = ".csv"
    delimiter = ","

    def __init__(self, path):
        self.path = path
        self.head, self.names = next(self._read(), ("", []))

    def _read(self):
        """(text, cells) of every record, the header first; blank lines are none."""
        csv.field_size_limit(LONGEST)  # the module's own, 131072, is shorter than some prompts
        taken, row = [], 0

        def noted():
            for line in self._lines():
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
                f"{self.path}, {where}: is not CSV ({what}); double the quotes within a cell, and "
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

    @staticmethod
    def number(value):
        try:
            if value.isascii() and "_" not in value:  # which only Python takes for numbers
                return float(value)
        except ValueError:
            pass
        if value.strip() in MISSING:
            return math.nan
        raise ValueError

    @staticmethod
    def truth(value):
        words = {"true": 1.0, "false": 0.0}
        lower = value.strip().lower()
        return words[lower] if lower in words else Csv.number(value)

    def with_column(self, text, name, value):
        """The record with one more cell; every character before it stays."""
        body = text.rstrip("\r\n")
        return f"{body}{self.delimiter}{value!r}{text[len(body) :] or chr(10)}"

    def header(self, names):
        quoted = io.StringIO()
        csv.writer(quoted, delimiter=self.delimiter).writerow(names)  # which ends in \r\n
        line = self.head.rstrip("\r\n")
        end = self.head[len(line) :] or chr(10)
        return f"{line}{self.delimiter}{quoted.getvalue()[:-2]}{end}"


class Tsv(Csv):
    suffix = ".tsv"
    delimiter = "\t"
