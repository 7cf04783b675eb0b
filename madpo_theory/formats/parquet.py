"""Parquet."""

from .arrow import ArrowFiles, pyarrow
from .base import BYTES, ROWS

__all__ = ["Parquet"]


TEXTS = ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
"""Types that a dictionary shortens."""


class Parquet(ArrowFiles):
    suffixes = (".parquet",)

    @staticmethod
    def begins(head):
        return head.startswith(b"PAR1")

    @staticmethod
    def _opened(file):
        # So that a column chunk, of a million texts say, is not held in memory as a whole.
        return pyarrow(".parquet").ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)

    def schema_of(self, file):
        with self._opened(file) as opened:
            return opened.schema_arrow

    def batches_of(self, file, names, rows):
        with self._opened(file) as opened:
            if rows is None:
                about = opened.metadata
                size = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
                rows = ROWS if names else BYTES * about.num_rows // max(size, 1)
            yield from opened.iter_batches(max(64, min(rows, ROWS)), columns=names)

    @classmethod
    def writer(cls, path, schema, source):
        # A dictionary of numbers takes five times as long to write, and is thrown away.
        texts = [leaf.path for leaf in _leaves(schema) if leaf.physical_type in TEXTS]
        return pyarrow(".parquet").ParquetWriter(
            path, schema, compression="zstd", use_dictionary=texts
        )

    @classmethod
    def holds(cls, field):
        try:
            _leaves(pyarrow().schema([field]))
        except pyarrow().ArrowException:  # such as of a column of empty objects
            return False
        return True


def _leaves(schema):
    """The columns of numbers and texts that a file of this schema has."""
    file, parquet = pyarrow().BufferOutputStream(), pyarrow(".parquet")
    parquet.ParquetWriter(file, schema).close()
    found = parquet.ParquetFile(pyarrow().BufferReader(file.getvalue())).schema
    return [found.column(k) for k in range(len(found))]
