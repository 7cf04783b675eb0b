"""`madpo diagnose` and `madpo weights` on synthetic pairs, beside a plain scan of them in polars.

Pairs have an id and two rewards whose difference is N(0, 2^2), labelled by Bradley-Terry. Every
contender is a process of its own: the clock runs from its start to its end, imports included, and
memory is the largest resident set that the system saw. polars reads the same columns and takes the
mean, deviation and extremes of the margin (diagnose), or writes the file with the margin as one
more column (weights); neither knows about weights, targets or calibration.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .record import Recorder, versions

BLOCK = 1_000_000
MAKE = """
import sys
import numpy as np, pyarrow as pa
from pyarrow import csv, parquet
path, rows, block = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rng, writer = np.random.default_rng(7), None
for start in range(0, rows, block):
    n = min(block, rows - start)
    rewards = rng.normal(0.0, 2**0.5, (2, n))
    rewards = np.where(rng.random(n) < 1 / (1 + np.exp(rewards[1] - rewards[0])), rewards,
                       rewards[::-1])
    table = pa.table({"id": np.arange(start, start + n), "score_chosen": rewards[0],
                      "score_rejected": rewards[1]})
    if path.endswith(".jsonl"):
        writer = writer or open(path, "w")
        writer.writelines(
            '{"id": %d, "score_chosen": %r, "score_rejected": %r}\\n' % row
            for row in zip(*(c.to_pylist() for c in table.columns))
        )
        continue
    if writer is None:
        kind = parquet.ParquetWriter if path.endswith(".parquet") else csv.CSVWriter
        writer = kind(path, table.schema)
    writer.write_table(table)
writer.close()
"""
SCAN = """
import sys, polars as pl
read = {"parquet": pl.scan_parquet, "csv": pl.scan_csv, "jsonl": pl.scan_ndjson}
pairs = read[sys.argv[1].rsplit(".", 1)[1]](sys.argv[1])
h = pl.col("score_chosen") - pl.col("score_rejected")
print(pairs.select(h.mean().alias("mean"), h.std().alias("std"), h.min().alias("min"),
                   h.max().alias("max"), pl.len()).collect(engine="streaming"))
"""
SINK = """
import sys, polars as pl
source, out = sys.argv[1:]
kind = source.rsplit(".", 1)[1]
read = {"parquet": pl.scan_parquet, "csv": pl.scan_csv, "jsonl": pl.scan_ndjson}[kind]
h = pl.col("score_chosen") - pl.col("score_rejected")
pairs = read(source).with_columns(weight=h)
write = {"parquet": "sink_parquet", "csv": "sink_csv", "jsonl": "sink_ndjson"}[kind]
getattr(pairs, write)(out)
"""


def run(command, threads):
    """(seconds, processor seconds, mebibytes): wall clock, time and largest resident set of one."""
    count = str(threads)
    environment = os.environ | {"POLARS_MAX_THREADS": count, "OMP_NUM_THREADS": count}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # both are compiled, as when installed
    start = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    complaint = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status) not in (0, 1):  # 1: madpo diagnose warns
        raise RuntimeError(f"{command[:4]}: {complaint.decode()}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def best(command, threads, repeats):
    """The shortest times of a few runs, and the largest memory."""
    seconds, cpu, memory = zip(*(run(command, threads) for _ in range(repeats)), strict=True)
    return min(seconds), min(cpu), max(memory)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the Parquet file")
    parser.add_argument("--text-rows", type=int, default=10_000_000, help="of CSV and JSONL")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args(arguments)
    out, used = Recorder("diagnose"), versions("numpy", "pyarrow", "polars")
    python, madpo = [sys.executable, "-c"], [sys.executable, "-m", "madpo_theory.cli"]
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("parquet", "csv", "jsonl"):
            rows = chosen.rows if kind == "parquet" else chosen.text_rows
            source, target = Path(folder) / f"pairs.{kind}", Path(folder) / f"weighted.{kind}"
            run([*python, MAKE, source, str(rows), str(BLOCK)], chosen.threads)
            for name, ours, peer in (
                ("diagnose", ["diagnose", source, "--json", target.with_suffix(".json")],
                 [SCAN, source]),
                ("weights", ["weights", source, "-o", target, "--force"], [SINK, source, target]),
            ):  # fmt: skip
                seconds, cpu, memory = best([*madpo, *ours], chosen.threads, chosen.repeats)
                theirs, their_cpu, their_memory = best(
                    [*python, *peer], chosen.threads, chosen.repeats
                )
                out.add(
                    name=f"{name} {kind}", ours=seconds, peer=theirs, unit="s", rows=rows,
                    ours_cpu=cpu, peer_cpu=their_cpu, ours_mib=memory, peer_mib=their_memory,
                    file_mib=source.stat().st_size / 2**20, threads=chosen.threads,
                    peer_is="polars scan" if name == "diagnose" else "polars scan and sink",
                    versions=used,
                )  # fmt: skip
            for path in (source, target):
                path.unlink()
    out.save()
    return 0


if __name__ == "__main__":
    sys.exit(main())
