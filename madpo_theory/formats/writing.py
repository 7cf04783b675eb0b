"""The rows of a table as they are, with more columns of numbers behind them."""

import json
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..files import check_output, replacing
from .arrow import pyarrow
from .base import named

__all__ = ["Extended"]


class Extended:
    """A file to write: every column of `source`, a :class:`~.base.Table`, and `columns`.

    Parameters
    ----------
    out : .parquet for Parquet, Arrow and its folders, else the suffix of `source`; where it is a
        symbolic link, the file that it points to.
    columns : {name: option that names it}.
    beside : what the record is of. It stands in a Parquet file's metadata, under `key`, else in the
        file OUT.BESIDE.json.
    force : overwrite what is there.

    Raises ValueError with argument, value, rule and fix, before anything is written.
    """

    def __init__(self, source, out, columns, *, beside, key, force=False):
        self.source, self.path, self.columns, self.key = source, Path(out), columns, key
        check_output(self.path)
        for name, option in columns.items():
            if not name.strip():
                raise ValueError(
                    f"{option} = {name!r} breaks the rule that a column has a name; give one"
                )
        self._must_be_new(source.names, lambda name: str(source.path))
        if self.path.suffix.lower() != source.suffix:
            raise ValueError(
                f"out = {out} must end in {source.suffix}, like what {source.path} holds; rename it"
            )
        self.sidecar = None
        if source.suffix == ".parquet":
            _must_hold(source)
        else:
            self.sidecar = self.path.with_name(f"{self.path.name}.{beside}.json")
            check_output(self.sidecar)
        self.force = force
        self._may_replace(self.path)

    def _may_replace(self, path, content=None):
        """ValueError if a file is there, but with `force`, or if that is its content."""
        same = content is not None and path.is_file() and path.read_bytes() == content
        if path.exists() and not self.force and not same:
            raise ValueError(f"out = {path} is there already; force (--force) overwrites a file")

    def check_record(self, record):
        """ValueError if another record than this, a dict, stands where it belongs; its bytes.

        The very same may be of a run that was stopped before the rows had their place.
        """
        content = (json.dumps(record, indent=1) + "\n").encode()
        if self.sidecar is not None:
            self._may_replace(self.sidecar, content)
        return content

    def check_late(self):
        """ValueError if a row that was read has one of the new columns, which the first lack."""
        late = self.source.late
        self._must_be_new(late, lambda name: f"{self.source.path}, row {late[name]}")

    def _must_be_new(self, taken, where):
        for name, option in self.columns.items():
            if name in taken:
                raise ValueError(
                    f"{where(name)}: has a column {name!r}; choose another name with {option} "
                    f"(--{option} NAME)"
                )

    @contextmanager
    def writing(self, record):
        """write(payload, kept, values): rows of `source`, which of them, and each new column's.

        The payload is that of :meth:`~.base.Table.parts`, `kept` (n,) booleans, `values` one array
        of float64, of the kept rows, for each new column. The files are there whole or not at all,
        and the rows come last: where they are, the record is.
        """
        content = self.check_record(record)
        with ExitStack() as files:
            temporary = files.enter_context(replacing(self.path))
            if self.sidecar is not None:
                beside = files.enter_context(replacing(self.sidecar))
                beside.write_bytes(content)
            if self.sidecar is None:
                metadata = {self.key: json.dumps(record).encode()}
                write = files.enter_context(_parquet(temporary, self, metadata))
            else:
                write = files.enter_context(_text(temporary, self))

            def checked(payload, kept, values):
                self.check_late()
                write(payload, kept, values)

            yield checked


def _must_hold(source):
    """ValueError with the first column that Parquet cannot hold, such as one of empty objects."""
    pa = pyarrow()
    for field in source.schema:
        try:
            pyarrow(".parquet").ParquetWriter(pa.BufferOutputStream(), pa.schema([field])).close()
        except pa.ArrowException:
            raise ValueError(
                f"{source.path}, column {named(field.name)}: holds {str(field.type)[:60]}, which "
                "Parquet cannot hold; drop the column"
            ) from None


@contextmanager
def _parquet(path, target, metadata):
    """write(batch, kept, values) into a Parquet file with more metadata than its source has."""
    pa = pyarrow()
    old, metadata = target.source.schema, (target.source.schema.metadata or {}) | metadata
    schema = pa.schema([*old, *(pa.field(n, pa.float64()) for n in target.columns)], metadata)

    def write(batch, kept, values):
        if not kept.all():
            batch = batch.filter(pa.array(kept))
        columns = [*batch.columns, *map(pa.array, values)]
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))

    with pyarrow(".parquet").ParquetWriter(path, schema, compression="zstd") as writer:
        yield write


@contextmanager
def _text(path, target):
    """write(texts, kept, values): each text with the values put in, as it stands otherwise."""
    source, names = target.source, list(target.columns)

    def write(texts, kept, values):
        rows = zip(*(column.tolist() for column in values), strict=True)
        for text, keep in zip(texts, kept.tolist(), strict=True):
            if keep:
                for name, value in zip(names, next(rows), strict=True):
                    text = source.with_column(text, name, value)
                file.write(text)

    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write(source.header(names))
        yield write
