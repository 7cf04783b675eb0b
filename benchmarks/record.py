"""One comparison, one JSON line: what was measured, in which unit, with which versions."""

import json
import math
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

OUT = Path(__file__).parent / "out"


def versions(*packages):
    """Versions of Python and of the packages that took part."""
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def device_name(device):
    """cpu, or the card's own name."""
    import torch

    return device if device == "cpu" else torch.cuda.get_device_name(device)


def best_time(call, *, repeats=3, budget=20.0):
    """(shortest wall-clock seconds of a few calls, what the last returned).

    The shortest is the one that other work on the machine disturbed least. Repeats stop when the
    budget of seconds is spent.
    """
    shortest, began, result = math.inf, time.perf_counter(), None
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        shortest = min(shortest, time.perf_counter() - start)
        if time.perf_counter() - began > budget:
            break
    return shortest, result


class Recorder:
    """Appends comparisons to benchmarks/out/<name>.jsonl, written whole and moved into place."""

    def __init__(self, name, out=OUT):
        self.path, self.rows = Path(out) / f"{name}.jsonl", []

    def add(self, *, name, ours, peer, unit, **details):
        """One row; ratio is ours/peer."""
        row = {"name": name, "ours": ours, "peer": peer, "unit": unit, "ratio": ours / peer}
        self.rows.append(row | details)
        print(json.dumps(self.rows[-1]), flush=True)

    def note(self, **row):
        """One row that compares with nobody."""
        self.rows.append(row)
        print(json.dumps(row), flush=True)

    def save(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(f".{os.getpid()}.part")
        beside.write_text("".join(json.dumps(row) + "\n" for row in self.rows))
        beside.replace(self.path)
