"""Everything that needs a card, in one command and no network: `make gpu`.

First, together: the tests that need a CUDA device (pytest's marker cuda), and what all runs of the
study begin with: scorer, base model, token ids. Then, alone on the machine, the benchmarks: tables
solved (`make bench`), a training step and generation in bfloat16 against TRL, prefix sharing and
separate forwards (`make bench-train`), at full vocabulary. What is left of --minutes goes to the
second sentiment study, its most telling runs first, several at a time; the same command goes on
with it. Logs, numbers and seconds of every step land in --out, runs in --results. --smoke is the
whole of it on a CPU, with a random model of two layers.

Where minutes are few, leave out what is recorded: make gpu OPTIONS="--steps study --jobs 3".
"""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from madpo_theory.files import write_text

from .pack import ROOT

CARD = dict(
    device="cuda", dtype="bfloat16", model="gemma-full", size="card",
    training="--pairs 32 --shapes 3 --rounds 10 --prompts 512 --new 64 --samples 1",
    solvers="--sizes 16 --largest 20000 --tolerances 1e-8",
)  # fmt: skip
SMOKE = dict(
    device="cpu", dtype="float32", model="tiny", size="smoke",
    training="--pairs 2 --shapes 0 --rounds 1 --prompts 3 --new 4 --samples 1",
    solvers="--sizes 4 --largest 10",
)  # fmt: skip


@dataclass
class Card:
    """Where everything goes, and until when."""

    out: Path
    root: Path
    results: Path
    end: float
    settings: dict
    environment: dict

    def left(self):
        """Seconds."""
        return self.end - time.monotonic()

    def step(self, name, *command):
        """Run a command of the repository; what it says goes to a log. Returns its row."""
        start, log = time.monotonic(), self.out / f"{name}.log"
        with open(log, "w", encoding="utf-8") as file:
            try:
                status = subprocess.run(
                    [sys.executable, *map(str, command)], cwd=ROOT, env=self.environment,
                    stdout=file, stderr=subprocess.STDOUT, timeout=max(1.0, self.left()),
                ).returncode  # fmt: skip
            except subprocess.TimeoutExpired:
                status = "out of time"
        last = log.read_text("utf-8", errors="replace").strip().rsplit("\n", 1)[-1]
        row = {"step": name, "status": status, "seconds": time.monotonic() - start, "last": last}
        print(json.dumps(row), flush=True)
        return row

    def tests(self):
        files = [p for p in sorted((ROOT / "tests").rglob("test_*.py")) if "card)" in p.read_text()]
        return self.step(
            "tests", "-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider", *files
        )

    def prepare(self):
        return self.step("prepare", *self.child("prepare"))

    def child(self, job, *more):
        s = self.settings
        return ("-m", "benchmarks.card", "--child", job, s["size"], self.root, self.results, *more)

    def solvers(self):
        more = ("--device", self.settings["device"], *self.settings["solvers"].split())
        return self.step("solvers", "-m", "benchmarks.solvers", "--out", self.out, *more)

    def training(self):
        s = self.settings
        more = ("--device", s["device"], "--dtype", s["dtype"], "--model", s["model"])
        more += ("--root", self.root, "--out", self.out, *s["training"].split())
        return self.step("training", "-m", "benchmarks.training", *more)

    def study(self, jobs, reserve):
        """Processes that take run after run; none starts one in the last `reserve` seconds."""
        minutes = max(self.left() - reserve, 0.6) / 60
        with ThreadPoolExecutor(jobs) as pool:
            names = [f"study-{number:02d}" for number in range(jobs)]
            return list(
                pool.map(lambda name: self.step(name, *self.child("study", minutes)), names)
            )


def begin(size, root, results):
    from madpo_theory.experiments.sentiment import prepare, second

    prepare(second.study(size)[0], root)


def work(size, root, results, minutes):
    from madpo_theory.experiments.sentiment import second, study

    left = study.record(results, root=root, runs=second.study(size), minutes=float(minutes))
    print(f"{left} runs left")


CHILDREN = {"prepare": begin, "study": work}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=25.0, help="until everything has ended")
    parser.add_argument("--reserve", type=float, default=90.0, help="seconds of a run of the study")
    parser.add_argument("--jobs", type=int, default=8, help="runs of the study at a time")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "card")
    parser.add_argument("--root", type=Path, default=ROOT / "runs" / "card")
    parser.add_argument("--results", type=Path, default=ROOT / "results" / "sentiment-2-card")
    parser.add_argument("--smoke", action="store_true", help="all of it small, on a CPU")
    parser.add_argument(
        "--steps", nargs="+", default=["tests", "solvers", "training", "study"],
        choices=("tests", "solvers", "training", "study"),
    )  # fmt: skip
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.child:
        job, size, root, results, *more = chosen.child
        return CHILDREN[job](size, Path(root), Path(results), *more)
    chosen.out.mkdir(parents=True, exist_ok=True)
    card = Card(
        chosen.out.resolve(), chosen.root.resolve(), chosen.results.resolve(),
        time.monotonic() + 60 * chosen.minutes, SMOKE if chosen.smoke else CARD,
        os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
    )  # fmt: skip
    rows = []
    with ThreadPoolExecutor() as pool:
        together = [pool.submit(card.prepare)]
        if "tests" in chosen.steps:
            together.append(pool.submit(card.tests))
        rows += [one.result() for one in together]
    for name in ("solvers", "training"):
        if name in chosen.steps:
            rows.append(getattr(card, name)())
    if "study" in chosen.steps:
        rows += card.study(chosen.jobs, chosen.reserve)
    write_text(chosen.out / "steps.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    # pytest says 5 where it finds no test to run
    return 0 if all(row["status"] in (0, 5) for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
