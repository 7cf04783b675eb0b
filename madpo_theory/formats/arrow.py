"""What Parquet, Arrow and frames share: record batches."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from ..files import first_line
from .base import Table, listing, named, steps

__all__ = [
    "Arrow",
    "ArrowFiles",
    "at",
    "conformed",
    "floats",
    "holds_numbers",
    "pyarrow",
    "type_at",
]

CELLS = 1 << 12
"""Rows whose cells are Python objects at one time."""


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


class Arrow(Table):
    """Record batches, whose columns become float64 arrays; with a `schema`."""

    def record_batches(self, names, rows):
        """The batches of these columns or all, of so many rows or as it suits."""
        raise NotImplementedError

    def _refuse(self, error, file=None):
        raise ValueError(
            f"{file or self.path}: cannot be read ({first_line(error)[:200]}); write the file again"
        ) from None

    def _takes(self, schema):
        """Take the names and the metadata of a schema."""
        self.schema, self.names = schema, list(schema.names)
        self.metadata = schema.metadata or {}
        self.inner = tuple(_inner(schema))

    def require_numbers(self, name, *, label=False):
        self.require(name)
        kind = self._type(name)
        if not holds_numbers(kind, label=label):
            held = "no such entries" if kind is None else str(kind)[:60]
            raise ValueError(
                f"{self.path}, column {named(name)}: holds {held}, and must hold "
                "numbers; name another column, or cast it"
            )

    def _type(self, name):
        """The type of a column, or of a place in it; None where there is no such."""
        column, inside = steps(name, self.names)
        return type_at(self.schema.field(column).type, inside)

    def _batches(self, names, rows):
        """The record batches, of these columns or all; any damage is a ValueError."""
        pa = pyarrow()
        try:
            for batch in self.record_batches(names, rows):
                batch.validate(full=True)  # what is damaged would be read beyond its end
                yield batch
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            self._refuse(error)

    def parts(self, names, label, *, whole, rows):
        places = [steps(name, self.names) for name in names]
        columns = list(dict.fromkeys(column for column, _ in places))
        for batch in self._batches(None if whole else columns, rows):
            found = {}
            for name, (column, inside) in zip(names, places, strict=True):
                values = at(batch.column(column), inside)
                found[name] = floats(values)
            yield found, batch if whole else None

    def cells(self, names):
        places = [steps(name, self.names) for name in names]
        columns = list(dict.fromkeys(column for column, _ in places))
        for batch in self._batches(columns, CELLS):
            values = (at(batch.column(column), inside).to_pylist() for column, inside in places)
            yield from zip(*values, strict=True)

    @staticmethod
    def number(value):
        if isinstance(value, (bool, str, bytes)):
            raise TypeError
        return float("nan" if value is None else value)

    def objects(self, payload):
        return payload.to_pylist()

    def arrow_schema(self):
        return self.schema

    def arrow_batch(self, payload, schema):
        return conformed(payload, schema)


def type_at(kind, inside):
    """The type of a place in a column of a type; None where there is no such place."""
    types = pyarrow(".types")
    for step in inside:
        if isinstance(step, str):
            place = kind.get_field_index(step) if types.is_struct(kind) else -1
            kind = kind.field(place).type if place >= 0 else None
        else:
            kind = kind.value_type if _lists(kind) else None
        if kind is None:
            return None
    return kind


def holds_numbers(kind, *, label=False):
    """Whether a type, or None, is one of numbers; of a `label`, or of truth values."""
    types = pyarrow(".types")
    return kind is not None and (
        types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
        or types.is_null(kind) or (label and types.is_boolean(kind))
    )  # fmt: skip


def floats(values):
    """An array of numbers as float64; null is NaN."""
    pa = pyarrow()
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    if values.type != pa.float64():
        values = values.cast(pa.float64(), safe=False)
    if values.null_count:
        values = pyarrow(".compute").fill_null(values, float("nan"))
    return np.from_dlpack(values)  # to_numpy would load pandas


def array_of(values):
    """Numbers or truth values (n,) as an array of Arrow's; ``pa.array`` would load pandas."""
    pa, values = pyarrow(), np.ascontiguousarray(values)
    data = np.packbits(values, bitorder="little") if values.dtype == bool else values
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(data)])


def texts_of(rows):
    """Some bytes, (n,), as large binaries of Arrow's, the same way."""
    pa, edges = pyarrow(), np.cumsum([0, *map(len, rows)], dtype=np.int64)
    buffers = None, pa.py_buffer(edges), pa.py_buffer(b"".join(rows))
    return pa.Array.from_buffers(pa.large_binary(), len(rows), buffers)


def _lists(kind):
    types = pyarrow(".types")
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def _inner(schema):
    """Names of the places in columns that hold numbers, one level down."""
    types = pyarrow(".types")
    for field in schema:
        kind, ends = field.type, ""
        if _lists(kind):
            kind, ends = kind.value_type, "[]"
        if types.is_struct(kind):
            yield from (
                f"{field.name}{ends}.{inner.name}" for inner in kind
                if types.is_integer(inner.type) or types.is_floating(inner.type)
            )  # fmt: skip


def at(values, inside):
    """What stands in an array, step by step; null where there is no such place."""
    if not inside:
        return values
    pa, compute = pyarrow(), pyarrow(".compute")
    step, *rest = inside
    if isinstance(step, str):
        return at(compute.struct_field(values, step), rest)
    index, length = step
    if pa.types.is_fixed_size_list(values.type):
        values = values.cast(pa.list_(values.type.value_type))
    sizes = compute.fill_null(compute.list_value_length(values), 0).to_numpy()
    there = (sizes > index) & ((length is None) | (sizes == length))
    places = values.offsets.to_numpy()[:-1].astype(np.int64) + index
    return at(values.values, rest).take(pa.array(places, mask=~there))


def conformed(batch, schema):
    """The batch with the columns of the schema, by name."""
    pa = pyarrow()
    if batch.schema.equals(schema):
        return batch
    columns = [batch.column(field.name).cast(field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


class ArrowFiles(Arrow):
    """One table in several files, in their order; columns go by their names."""

    keeps_record = True

    def schema_of(self, file):
        raise NotImplementedError

    def batches_of(self, file, names, rows):
        raise NotImplementedError

    def __init__(self, path, files):
        pa, self.path, self.files, schemas = pyarrow(), path, files, []
        for file in files:
            try:
                schemas.append(self.schema_of(file))
                names = list(schemas[-1].names)
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                self._refuse(error, file.name)
            if sorted(names) != sorted(schemas[0].names):
                raise ValueError(
                    f"{file.name}: has other columns than {files[0].path.name} ({listing(names)}, "
                    f"and {listing(schemas[0].names)}); write the folder again, as one dataset"
                )
        schema = schemas[0]
        if any(not other.equals(schema) for other in schemas):
            try:
                schema = pa.unify_schemas(schemas)  # a column of nothing but null fits all
            except pa.ArrowException as error:
                self._refuse(error)
        self._takes(schema)

    def record_batches(self, names, rows):
        schema = self.schema
        if names is not None:
            schema = pyarrow().schema([schema.field(name) for name in names])
        for file in self.files:
            for batch in self.batches_of(file, names, rows):
                yield conformed(batch, schema)

    # --- writing ----------------------------------------------------------------------------------

    @classmethod
    def writer(cls, path, schema, source):
        """What has write_batch, and closes as a context ends."""
        raise NotImplementedError

    @classmethod
    @contextmanager
    def writing(cls, path, target):
        pa, source = pyarrow(), target.source
        old = source.arrow_schema()
        metadata = {**source.metadata, target.key: target.record}
        new = pa.schema([*old, *(pa.field(n, pa.float64()) for n in target.columns)], metadata)

        def write(payload, copies, values):
            batch, copies = source.arrow_batch(payload, old), np.asarray(copies, dtype=np.int64)
            if not (copies == 1).all():
                batch = batch.take(array_of(np.repeat(np.arange(len(copies)), copies)))
            columns = [*batch.columns, *(array_of(np.asarray(v, dtype=float)) for v in values)]
            waiting.append(
                worker.submit(writer.write_batch, pa.RecordBatch.from_arrays(columns, schema=new))
            )
            if len(waiting) > 1:
                waiting.popleft().result()

        # A batch is packed and written while the next one is read.
        waiting = deque()
        with cls.writer(path, new, source) as writer, ThreadPoolExecutor(1) as worker:
            yield write
            while waiting:
                waiting.popleft().result()

    @classmethod
    def holds(cls, field):
        """Whether the format holds a field of a schema."""
        return True

    @classmethod
    def check_holds(cls, source):
        for field in source.arrow_schema():
            if not cls.holds(field):
                raise ValueError(
                    f"{source.path}, column {named(field.name)}: holds {str(field.type)[:60]}, "
                    "which Parquet cannot hold; drop the column"
                )
