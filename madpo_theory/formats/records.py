"""Rows as Python has them: cells by place, or objects by name."""

import itertools
import json
import math
from decimal import Decimal
from functools import cached_property

import numpy as np

from .arrow import pyarrow
from .base import BYTES, MISSING, ROWS, Table, named, short, steps

__all__ = ["Objects", "Records", "as_json"]

LOOKED_AT = 1000
"""Rows that say which columns there are; later ones may not change what is read."""


class Records(Table):
    """Rows that are read one by one: :meth:`records` has (payload, record) of each."""

    def records(self):
        raise NotImplementedError

    def at_once(self, names, label):
        """(values, payload) of the rows, read in blocks at once; or None where there is no way.

        None in the place of a block: it and what follows is to be read one by one.
        """
        return None

    def parts(self, names, label, *, whole, rows):
        first, blocks = 0, self.at_once(names, label) if rows is None else None
        if blocks is not None:
            for part in blocks:
                if part is None:
                    break
                first += len(part[1])
                yield part[0], part[1] if whole else None
            else:
                return
        for payload, cells in self.blocks(names, rows or ROWS, first):
            found = {}
            for name, cell in zip(names, cells, strict=True):
                number = self.truth if name == label else self.number
                found[name] = self._array(name, cell, number, first)
            yield found, payload if whole else None
            first += len(payload)

    def cells(self, names):
        for _, cells in self.blocks(names, ROWS):
            yield from zip(*cells, strict=True)

    def blocks(self, names, rows, first=0):
        """(payload, columns of cells) of so many records, or of fewer that hold about BYTES.

        The `first` records are left out.
        """
        texts, values, size, pick = [], [], 0, self._picked(names)
        for text, record in itertools.islice(self.records(), first, None):
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

    def arrow_schema(self):
        return self._arrow_schema

    @cached_property
    def _arrow_schema(self):
        """One type for each column, in which all rows of the file fit."""
        pa, found = pyarrow(), {}
        for payload, _ in self.blocks([], ROWS):
            rows = self.objects(payload)
            for name in dict.fromkeys(itertools.chain.from_iterable(rows)):
                values = [row.get(name) for row in rows]
                try:
                    kind = pa.schema([(name, pa.array(values).type)])
                    found[name] = pa.unify_schemas(
                        [found.get(name, kind), kind], promote_options="permissive"
                    )
                except (pa.ArrowException, TypeError, ValueError, OverflowError):
                    raise self._mixed(name) from None
        return pa.unify_schemas(list(found.values()))

    def arrow_batch(self, payload, schema):
        pa, rows, columns = pyarrow(), self.objects(payload), []
        for field in schema:
            try:
                columns.append(pa.array([row.get(field.name) for row in rows], field.type))
            except (pa.ArrowException, TypeError, ValueError, OverflowError):
                raise self._mixed(field.name) from None
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def _mixed(self, name):
        return ValueError(
            f"{self.path}, column {named(name)}: holds values of several types, which Parquet and "
            "Arrow cannot hold in one column; write .jsonl, or drop the column"
        )


class Objects(Records):
    """Records that are objects: entries by name, of which each may have others.

    :meth:`_read` has (payload, object) of each row.
    """

    def _look(self):
        """Take the names from the first rows."""
        self.late = {}
        first = [record for _, record in itertools.islice(self._read(), LOOKED_AT)]
        self.names = list(dict.fromkeys(itertools.chain.from_iterable(first)))
        self.inner = tuple(dict.fromkeys(name for record in first for name in _inner(record)))

    def records(self):
        known = set(self.names)
        for row, (text, record) in enumerate(self._read(), 1):
            if not record.keys() <= known:
                for name in record.keys() - known:
                    self.late.setdefault(name, row)
                known |= record.keys()
            yield text, record

    def _picked(self, names):
        places = [steps(name, self.names) for name in names]
        if not any(inside for _, inside in places):
            return lambda record: [record.get(name) for name in names]
        return lambda record: [_at(record.get(column), inside) for column, inside in places]

    @staticmethod
    def number(value):
        if value is None or (isinstance(value, str) and value in MISSING):
            return math.nan
        if isinstance(value, (bool, str, np.bool_)):
            raise TypeError
        return float(value)

    @staticmethod
    def truth(value):
        return float(value) if isinstance(value, (bool, np.bool_)) else Objects.number(value)


def _inner(record):
    """Names of the places in a record that hold numbers, one level down."""
    for name, value in record.items():
        ends = ""
        if isinstance(value, list):
            ends, value = "[]", value[0] if value else None
        if isinstance(value, dict):
            yield from (
                f"{name}{ends}.{key}" for key, v in value.items()
                if isinstance(v, (int, float)) and not isinstance(v, bool)
            )  # fmt: skip


def _at(value, inside):
    """What stands in a value, step by step; None where there is no such place."""
    for step in inside:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        else:
            index, length = step
            fits = isinstance(value, list) and length in (None, len(value)) and index < len(value)
            value = value[index] if fits else None
    return value


def as_json(row, where):
    """A row as JSON: NaN is null, dates are texts; ValueError of what JSON cannot hold."""
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False, default=_plain)
    except (TypeError, ValueError):
        cells = {}
        for name, value in row.items():
            try:
                cells[name] = _numbers(value)
                json.dumps(cells[name], allow_nan=False, default=_plain)
            except (TypeError, ValueError):
                raise ValueError(
                    f"{where}, column {named(name)}: holds {short(value)}, which JSON cannot hold; "
                    "write .parquet, or drop the column"
                ) from None
        return json.dumps(cells, ensure_ascii=False, default=_plain)


def _numbers(value):
    """The value with None for NaN."""
    if isinstance(value, dict):
        return {key: _numbers(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_numbers(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return None if math.isnan(value) else float(value)
    return value


def _plain(value):
    """A date as its ISO text, a decimal as its digits, a number of NumPy as Python's."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError
