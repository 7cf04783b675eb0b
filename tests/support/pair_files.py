"""Files of preference pairs for tests: the same rows in every format."""

import csv
import json

import numpy as np
import pyarrow as pa
from pyarrow import parquet

FORMATS = ("parquet", "jsonl", "csv", "folder")


def drawn_margins(n, *, scale=1.0, seed=7):
    """Margins toward Bradley-Terry labels of a reward model whose calibrated scale is `scale`."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0.0, 2.5, n)
    label = rng.random(n) < 1 / (1 + np.exp(-true))
    return np.where(label, true, -true) / scale


def rows_of(columns):
    """A dict of columns as a list of rows."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def write_pairs(folder, kind, columns, name="pairs"):
    """Write a dict of columns (lists) in one of FORMATS; returns the path."""
    path = folder / (name if kind == "folder" else f"{name}.{kind}")
    if kind == "parquet":
        parquet.write_table(pa.table(columns), path, row_group_size=100)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows_of(columns)))
    elif kind == "csv":
        with open(path, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(row.values() for row in rows_of(columns))
    else:
        table, middle = pa.table(columns), len(next(iter(columns.values()))) // 2
        path.mkdir()
        names = [f"data-0000{k}-of-00002.arrow" for k in range(2)]
        for file, part in zip(names, (table[:middle], table[middle:]), strict=True):
            with pa.ipc.new_stream(str(path / file), table.schema) as stream:
                stream.write_table(part, max_chunksize=37)
        state = {"_data_files": [{"filename": file} for file in names]}
        (path / "state.json").write_text(json.dumps(state))
    return path
