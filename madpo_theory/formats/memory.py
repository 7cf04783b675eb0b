"""Rows in memory, as Python users have them: frames, Datasets, lists of dicts."""

import re
from collections.abc import Mapping

from ..files import first_line
from .arrow import Arrow, pyarrow
from .base import ROWS, short
from .places import chosen_split, format_of, no_splits
from .records import Objects

__all__ = ["Frame", "Hub", "Rows", "in_memory", "loaded"]

HUB = re.compile(r"[\w.-]+/[\w.-]+")
"""A name of the hub of `datasets`: owner/name."""
INDEX = re.compile(r"__index_level_\d+__")
"""A column that is the index of a frame of pandas."""


class Frame(Arrow):
    """A frame of pandas or polars, a table of Arrow: what hands out Arrow's columns."""

    @staticmethod
    def takes(source):
        return hasattr(source, "__arrow_c_stream__") and hasattr(source, "columns")

    def __init__(self, source, name, split):
        if split is not None:
            raise no_splits(name, split)
        self.path = name
        self._hold(source)

    def _hold(self, source):
        pa = pyarrow()
        try:
            table = pa.table(source)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise ValueError(
                f"{self.path}: the frame is none that Arrow can hold ({first_line(error)[:200]}); "
                "give each column one type"
            ) from None
        self.table = table.drop_columns([n for n in table.column_names if INDEX.fullmatch(n)])
        self._takes(self.table.schema)

    def record_batches(self, names, rows):
        table = self.table if names is None else self.table.select(names)
        yield from table.to_batches(max_chunksize=rows or ROWS)


class Hub(Frame):
    """A Dataset of `datasets`, or a DatasetDict of which one split is named."""

    @staticmethod
    def takes(source):
        return hasattr(source, "with_format")

    def __init__(self, source, name, split):
        self.path = name
        if isinstance(source, Mapping):
            source = source[chosen_split(name, list(source), split)]
        elif split is not None and str(source.split) != split:
            raise no_splits(name, split)
        if not hasattr(source, "data"):
            raise ValueError(f"{name}: is read as it streams; load it without streaming")
        self._hold(source.with_format("arrow")[:])


class Rows(Objects):
    """A list of dicts."""

    @staticmethod
    def takes(source):
        return isinstance(source, (list, tuple)) and bool(source) and isinstance(source[0], Mapping)

    def __init__(self, source, name, split):
        if split is not None:
            raise no_splits(name, split)
        self.path, self.rows = name, source
        self._look()

    def _read(self):
        for number, row in enumerate(self.rows, 1):
            if not (isinstance(row, dict) and all(isinstance(key, str) for key in row)):
                raise ValueError(
                    f"{self.path}, row {number}: must be a dict with names of columns, got "
                    f"{short(row, 40)}; give one for each row"
                )
            yield row, row

    def objects(self, payload):
        return payload


def in_memory(source):
    """The table of a thing in memory: a class, or None of what has no columns."""
    return next((kind for kind in (Hub, Frame, Rows) if kind.takes(source)), None)


def loaded(name, split):
    """What `datasets` loads by a name owner/name, or None of another name."""
    if not HUB.fullmatch(name) or format_of(name) is not None:
        return None
    try:
        import datasets
    except ModuleNotFoundError:
        return None
    try:
        return datasets.load_dataset(name, split=split)
    except Exception as error:
        raise ValueError(
            f"{name}: there is no such file or folder, and datasets cannot load it "
            f"({first_line(error)[:200]}); correct it"
        ) from None
