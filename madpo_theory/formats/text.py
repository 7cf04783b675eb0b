"""What JSONL, JSON, CSV and TSV share: records with their texts as they stand in the file."""

import codecs
import gzip
import io
import os
from contextlib import contextmanager, suppress

import numpy as np

from .arrow import pyarrow
from .blocks import Block
from .places import DAMAGED, gzipped
from .records import Records

__all__ = ["BLANK", "Text"]

BLANK = " \t\r\n"
"""What a line may hold and be blank: JSON's white space."""
SMALL = 1 << 16
"""Bytes below which a file is read row by row: Arrow would take longer to load."""
OTHERS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""Encodings by their marks, the longest first."""


class Text(Records):
    """Records whose payloads are their texts."""

    compresses = True
    between = ""
    """What stands between two rows."""

    def _text(self, file, size=None):
        """Lines of one file, as they end; or pieces of so many characters."""
        try:
            with file.open() as stream:
                start = stream.read(4)
            for mark, name in OTHERS.items():
                if start.startswith(mark):
                    raise ValueError(f"{file.name}: is {name}; convert it to UTF-8")
            with file.open() as stream, io.TextIOWrapper(stream, "utf-8", newline="") as lines:
                pieces = lines if size is None else iter(lambda: lines.read(size), "")
                yield next(pieces, "").lstrip("\ufeff")
                yield from pieces
        except DAMAGED as error:
            said = getattr(error, "strerror", None) or error
            raise ValueError(
                f"{file.name}: cannot be read ({said}); write the file again"
            ) from None
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{file.name}, line {self._undecoded(file)}: is not UTF-8 ({error.reason}); "
                "convert the file to it"
            ) from None

    @staticmethod
    def _undecoded(file):
        """Number of the first line that is not UTF-8."""
        number = 0
        with (
            suppress(UnicodeDecodeError, *DAMAGED),
            file.open() as stream,
        ):  # one that is packed may be damaged, too
            for line in stream:
                number += 1
                line.decode("utf-8")
        return number

    # --- at once ----------------------------------------------------------------------------------

    def at_once(self, names, label):
        if sum(os.path.getsize(file) for file in self.files) < SMALL:
            return None
        try:
            pyarrow()
        except ModuleNotFoundError:
            return None
        return self._at_once(names, label)

    def _at_once(self, names, label):
        for file in self.files:
            try:
                with file.open() as stream:
                    for data in self._bodies(stream):
                        part = data and self._parsed(data, names, label)
                        yield part
                        if part is None:
                            return
            except DAMAGED:
                yield None  # which says what is wrong
                return

    def _bodies(self, stream):
        """Blocks of the rows of a file; None of what is to be read row by row."""
        yield None

    def _parsed(self, data, names, label):
        """({name: (n,) float64}, :class:`~.blocks.Block`) of a block; None if it cannot be sure."""
        raise NotImplementedError

    @classmethod
    def spliced(cls, block, names, values):
        """The bytes of a block's rows with new columns; None where it is not as simple as that."""
        return None

    # --- writing ----------------------------------------------------------------------------------

    @classmethod
    def texts(cls, source, payload):
        """The rows of a payload of `source` as texts of this format: where it is theirs, as is."""
        raise NotImplementedError

    @staticmethod
    def with_column(text, name, value):
        """The text of a row with one more value; every character before it stays."""
        raise NotImplementedError

    @staticmethod
    def ended(text):
        """The text of a row as another may follow."""
        return text if text.endswith(("\n", "\r")) else f"{text}\n"

    @classmethod
    def head(cls, source, names):
        """What stands before the rows; `names` are the new columns."""
        return ""

    @classmethod
    def tail(cls, source):
        """What stands after them; asked once all are read."""
        return ""

    @classmethod
    @contextmanager
    def writing(cls, path, target):
        source, names = target.source, list(target.columns)
        with open(path, "wb") as raw, _packed(raw, gzipped(target.path)) as file:
            file.write(cls.head(source, names).encode())
            join = ""

            def write(payload, copies, values):
                nonlocal join
                copies = np.asarray(copies, dtype=int)
                if isinstance(payload, Block) and type(source) is cls and copies.max(initial=0) < 2:
                    done = cls.spliced(payload.kept(copies == 1), names, values)
                    if done is not None:
                        file.write(done)
                        return
                rows = zip(*(column.tolist() for column in values), strict=True)
                for text, times in zip(cls.texts(source, payload), copies.tolist(), strict=True):
                    for _ in range(times):
                        row = cls.ended(text)
                        for name, value in zip(names, next(rows, ()), strict=True):
                            row = cls.with_column(row, name, value)
                        file.write(f"{join}{row}".encode())
                        join = cls.between

            yield write
            file.write(cls.tail(source).encode())


@contextmanager
def _packed(raw, wanted):
    """What is written into it goes into `raw`; packed by gzip, to the same bytes at any time."""
    if not wanted:
        yield raw
        return
    with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
        yield packed
