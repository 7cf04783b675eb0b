"""Parquet."""

from .arrow import ArrowFiles, pyarrow
from .base import BYTES, ROWS

__all__ = ["Parquet"]


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
        return pyarrow(".parquet").ParquetWriter(path, schema, compression="zstd")

    @classmethod
    def holds(cls, field):
        pa = pyarrow()
        try:
            pyarrow(".parquet").ParquetWriter(pa.BufferOutputStream(), pa.schema([field])).close()
        except pa.ArrowException:  # such as of a column of empty objects
            return False
        return True
