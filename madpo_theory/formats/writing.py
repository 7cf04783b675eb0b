"""The rows of a table as they are, with more columns of numbers behind them."""

import json
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..files import check_output, replacing
from .places import endings, format_of

__all__ = ["Extended"]


class Extended:
    """A file to write: every column of `source`, a :class:`~.base.Table`, and `columns`.

    Parameters
    ----------
    out : the file, its format by the end of its name; where it is a symbolic link, the file that it
        points to. Rows stay byte for byte where `source` is of the same format.
    columns : {name: option that names it}.
    beside : what the record is of. It stands in the metadata of a Parquet or Arrow file, under
        `key`, else in the file OUT.BESIDE.json.
    force : overwrite what is there.

    Raises ValueError with argument, value, rule and fix, before anything is written.
    """

    def __init__(self, source, out, columns, *, beside, key, force=False):
        self.source, self.path, self.columns, self.key = source, Path(out), columns, key
        self.record = None
        check_output(self.path)
        for name, option in columns.items():
            if not name.strip():
                raise ValueError(
                    f"{option} = {name!r} breaks the rule that a column has a name; give one"
                )
        self._must_be_new(source.names, lambda name: str(source.path))
        self.format = format_of(self.path)
        if self.format is None:
            raise ValueError(f"out = {out} must end in one of {endings()}; rename it")
        self.format.check_holds(source)
        self.sidecar = None
        if not self.format.keeps_record:
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
        """write(payload, copies, values): rows of `source`, how often each, and the new columns.

        The payload is that of :meth:`~.base.Table.parts`, `copies` (n,) truth values or numbers,
        `values` one array of float64, of the rows written, for each new column. The files are there
        whole or not at all, and the rows come last: where they are, the record is.
        """
        content = self.check_record(record)
        with ExitStack() as files:
            temporary = files.enter_context(replacing(self.path))
            if self.sidecar is not None:
                beside = files.enter_context(replacing(self.sidecar))
                beside.write_bytes(content)
            self.record = json.dumps(record).encode()
            write = files.enter_context(self.format.writing(temporary, self))

            def checked(payload, copies, values):
                self.check_late()
                write(payload, copies, values)

            yield checked
