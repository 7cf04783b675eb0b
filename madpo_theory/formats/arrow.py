"""Parquet and Arrow files, and the folders of Arrow files that `datasets` writes."""

import json
import re
from contextlib import contextmanager

from ..files import first_line
from .base import BYTES, ROWS, Table, listing, named

__all__ = ["ArrowFile", "ArrowFolder", "Parquet", "pyarrow"]

CELLS = 1 << 12
"""Rows whose cells are Python objects at one time."""
SHARD = re.compile(r"[-_](\d{5})[-_]of[-_](\d{5})$")
MAGIC = b"ARROW1"
"""What an Arrow file with a footer begins with."""
END = b"\xff\xff\xff\xff\0\0\0\0"
"""What a stream of record batches ends with, if nothing cut it."""


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
    """What Parquet and Arrow share: record batches, whose columns become float64 arrays."""

    suffix = ".parquet"

    def _refuse(self, error, file=None):
        raise ValueError(
            f"{file or self.path}: cannot be read ({first_line(error)[:200]}); write the file again"
        ) from None

    def require_numbers(self, name, *, label=False):
        self.require(name)
        types, kind = pyarrow(".types"), self.schema.field(name).type
        if not (
            types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
            or types.is_null(kind) or (label and types.is_boolean(kind))
        ):  # fmt: skip
            raise ValueError(
                f"{self.path}, column {named(name)}: holds {str(kind)[:60]}, and must hold "
                "numbers; name another column, or cast it"
            )

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
        pa = pyarrow()
        for batch in self._batches(None if whole else list(names), rows):
            found = {}
            for name in names:
                column = batch.column(name)
                if pa.types.is_boolean(column.type):
                    column = column.cast(pa.int8())
                column = column.cast(pa.float64(), safe=False)
                found[name] = column.to_numpy(zero_copy_only=False)  # null becomes NaN
            yield found, batch if whole else None

    def cells(self, names):
        for batch in self._batches(list(names), CELLS):
            yield from zip(*(batch.column(name).to_pylist() for name in names), strict=True)

    @staticmethod
    def number(value):
        if isinstance(value, (bool, str, bytes)):
            raise TypeError
        return float("nan" if value is None else value)


class Parquet(Arrow):
    def __init__(self, path):
        self.path = path
        pa = pyarrow()
        try:
            # So that a column chunk, of a million texts say, is not held in memory as a whole.
            self.file = pyarrow(".parquet").ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
            self.schema = self.file.schema_arrow
            self.names = list(self.schema.names)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            self._refuse(error)

    def record_batches(self, names, rows):
        if rows is None:
            about = self.file.metadata
            size = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
            rows = ROWS if names else BYTES * about.num_rows // max(size, 1)
        yield from self.file.iter_batches(max(64, min(rows, ROWS)), columns=names)


class ArrowFiles(Arrow):
    """One table in several Arrow files, in the order of `files`; columns go by their names."""

    def _open(self, files):
        """Read the schemas of the files, and settle on one for all of them."""
        pa, self.files, schemas = pyarrow(), files, []
        for file in files:
            try:
                with self._reader(file) as (_, reader):
                    schemas.append(reader.schema)
                    names = list(reader.schema.names)
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                self._refuse(error, file)
            if sorted(names) != sorted(schemas[0].names):
                raise ValueError(
                    f"{file}: has other columns than {files[0].name} ({listing(names)}, and "
                    f"{listing(schemas[0].names)}); write the folder again, as one dataset"
                )
        self.schema, self.names = schemas[0], list(schemas[0].names)
        if any(not schema.equals(self.schema) for schema in schemas):
            try:
                self.schema = pa.unify_schemas(schemas)  # a column of nothing but null fits all
            except pa.ArrowException as error:
                self._refuse(error)

    @staticmethod
    @contextmanager
    def _reader(file, names=None):
        """(source, reader) of a file in either of Arrow's formats, of these columns or all."""
        ipc = pyarrow(".ipc")
        with pyarrow().OSFile(str(file)) as source:
            kind = ipc.open_file if source.read(len(MAGIC)) == MAGIC else ipc.open_stream
            source.seek(0)
            reader = kind(source)
            if names is not None:
                fields = [reader.schema.get_field_index(name) for name in names]
                source.seek(0)
                reader = kind(source, options=ipc.IpcReadOptions(included_fields=fields))
            yield source, reader

    def record_batches(self, names, rows):
        schema, size = self.schema, rows or ROWS
        if names is not None:
            schema = pyarrow().schema([schema.field(name) for name in names])
        for file in self.files:
            with self._reader(file, names) as (source, reader):
                for batch in self._whole(file, source, reader):
                    batch = self._conformed(batch, schema)
                    for start in range(0, batch.num_rows, size):
                        yield batch.slice(start, size)

    @staticmethod
    def _whole(file, source, reader):
        """The batches of a file, which must end where they do: a stream may be cut between two."""
        if hasattr(reader, "num_record_batches"):
            yield from map(reader.get_batch, range(reader.num_record_batches))
            return
        yield from reader
        end, size = source.tell(), source.size()
        source.seek(max(0, end - len(END)))
        if source.read(len(END)) != END or end != size:
            what = "goes on after the end of its stream" if end != size else "is cut before its end"
            raise ValueError(f"{file}: {what}; write the file again")

    @staticmethod
    def _conformed(batch, schema):
        """The batch with the columns of the schema, by name."""
        pa = pyarrow()
        if batch.schema.equals(schema):
            return batch
        columns = [batch.column(field.name).cast(field.type) for field in schema]
        return pa.RecordBatch.from_arrays(columns, schema=schema)


class ArrowFile(ArrowFiles):
    """One file of Arrow's, as a stream or with a footer (Feather)."""

    def __init__(self, path):
        self.path = path
        self._open([path])


class ArrowFolder(ArrowFiles):
    """A folder of Arrow files that hold one dataset.

    They are those that the state.json of `datasets` lists; without it, the shards of one name.
    """

    def __init__(self, path):
        self.path = path
        if (path / "dataset_dict.json").is_file():
            splits = sorted(p.name for p in path.iterdir() if p.is_dir())
            raise ValueError(f"{path}: holds several splits; pass one of {', '.join(splits)} in it")
        state = path / "state.json"
        files = self._listed(state) if state.is_file() else self._shards()
        if not files:
            raise ValueError(
                f"{path}: holds no Arrow files; pass a folder that datasets' save_to_disk wrote, "
                "or a file that ends in .parquet, .arrow, .jsonl, .csv or .tsv"
            )
        self._open(files)

    def _listed(self, state):
        try:
            found = json.loads(state.read_text(encoding="utf-8"))
            files = [self.path / entry["filename"] for entry in found.get("_data_files", [])]
            chosen = found.get("_indices_data_files") or found.get("_indices_files")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ValueError(
                f"{state}: is not what datasets' save_to_disk writes; save the dataset again"
            ) from None
        if chosen:
            raise ValueError(
                f"{state}: selects rows by a file of indices; save the dataset again after "
                "flatten_indices()"
            )
        return files

    def _shards(self):
        """The Arrow files of the folder, if their names say that they are the parts of one."""
        files, datasets = sorted(self.path.glob("*.arrow")), {}
        for file in files:
            part = SHARD.search(file.stem)
            datasets.setdefault(SHARD.sub("", file.stem), []).append(part and part.groups())
        if len(datasets) > 1:
            raise ValueError(
                f"{self.path}: holds {len(datasets)} datasets and no state.json that says which; "
                f"pass one of its files ({', '.join(file.name for file in files[-4:])}), or save "
                "the one you mean with save_to_disk"
            )
        for parts in datasets.values():
            every = [(f"{k:05}", f"{len(parts):05}") for k in range(len(parts))]
            if parts not in ([None], every):
                raise ValueError(
                    f"{self.path}: holds other shards than its {files[0].name} says; complete them"
                )
        return files
