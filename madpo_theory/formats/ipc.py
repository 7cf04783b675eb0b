"""Arrow's own files: a stream of record batches, or with a footer (Feather)."""

from contextlib import contextmanager

from .arrow import ArrowFiles, pyarrow
from .base import ROWS

__all__ = ["ArrowFile"]

MAGIC = b"ARROW1"
"""What an Arrow file with a footer begins with."""
STREAM = b"\xff\xff\xff\xff"
"""What a stream of record batches begins with."""
END = b"\xff\xff\xff\xff\0\0\0\0"
"""What it ends with, if nothing cut it."""


class ArrowFile(ArrowFiles):
    suffixes = (".arrow", ".feather")

    @staticmethod
    def begins(head):
        return head.startswith((MAGIC, STREAM))

    def schema_of(self, file):
        with self._reader(file) as (_, reader):
            return reader.schema

    @staticmethod
    @contextmanager
    def _reader(file, names=None):
        """(source, reader) of a file in either of Arrow's formats, of these columns or all."""
        ipc = pyarrow(".ipc")
        with pyarrow().OSFile(str(file.path)) as source:
            kind = ipc.open_file if source.read(len(MAGIC)) == MAGIC else ipc.open_stream
            source.seek(0)
            reader = kind(source)
            if names is not None:
                fields = [reader.schema.get_field_index(name) for name in names]
                source.seek(0)
                reader = kind(source, options=ipc.IpcReadOptions(included_fields=fields))
            yield source, reader

    def batches_of(self, file, names, rows):
        size = rows or ROWS
        with self._reader(file, names) as (source, reader):
            for batch in self._whole(file, source, reader):
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
            raise ValueError(f"{file.name}: {what}; write the file again")

    @classmethod
    def writer(cls, path, schema, source):
        return pyarrow(".ipc").new_file(str(path), schema)
