"""What JSONL, JSON, CSV and TSV share: records with their texts as they stand in the file."""

import codecs
import gzip
import io
from contextlib import contextmanager, suppress

import numpy as np

from .places import DAMAGED, gzipped
from .records import Records

__all__ = ["BLANK", "Text"]

BLANK = " \t\r\n"
"""What a line may hold and be blank: JSON's white space."""
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

    # --- writing ----------------------------------------------------------------------------------

    @classmethod
    def texts(cls, source, payload):
        """The rows of a payload of `source` as texts of this format: where it is theirs, as is."""
        raise NotImplementedError

    @staticmethod
    def with_column(text, name, value):
        """The text of a row with one more value; every character before it stays."""
        raise NotImplementedError

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
        with (
            open(path, "wb") as raw,
            _packed(raw, gzipped(target.path)) as packed,
            io.TextIOWrapper(packed, "utf-8", newline="") as file,
        ):
            file.write(cls.head(source, names))
            join = ""

            def write(payload, copies, values):
                nonlocal join
                rows = zip(*(column.tolist() for column in values), strict=True)
                copies = np.asarray(copies, dtype=int).tolist()
                for text, times in zip(cls.texts(source, payload), copies, strict=True):
                    for _ in range(times):
                        row = text
                        for name, value in zip(names, next(rows, ()), strict=True):
                            row = cls.with_column(row, name, value)
                        file.write(f"{join}{row}")
                        join = cls.between

            yield write
            file.write(cls.tail(source))


@contextmanager
def _packed(raw, wanted):
    """What is written into it goes into `raw`; packed by gzip, to the same bytes at any time."""
    if not wanted:
        yield raw
        return
    with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
        yield packed
