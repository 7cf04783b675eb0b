"""The simulation studies, from their settings to a table, a figure and verdicts on predictions.

What is in a study stands in experiments/, one file each; how it is drawn in paper_figures/. Here
they are run, and their results read back for the report.
"""

import importlib
import json
import math
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ..files import replacing
from .figures import draw_study

__all__ = [
    "STUDIES",
    "StudyResult",
    "executor_of",
    "markdown_judgements",
    "publish",
    "read_results",
    "run",
    "told",
]

STUDIES = ("noise", "schedule", "frontier", "samples", "pairs", "sampling", "phase")


@dataclass(frozen=True)
class StudyResult:
    """What a finished study left: its files, and the content of the JSON beside its table."""

    name: str
    folder: Path
    record: dict

    @property
    def table(self):
        """Its Parquet table."""
        return self.folder / f"{self.name}.parquet"

    @property
    def picture(self):
        """Its figure."""
        return self.folder / f"{self.name}.png"

    @property
    def title(self):
        """What it asks, in a line."""
        return importlib.import_module(f"experiments.{self.name}").__doc__.splitlines()[0]

    def lines(self):
        """Its reading and the verdicts, as text."""
        yield from self.record["reading"].splitlines()
        for row in self.record["predictions"]:
            yield f"{row['id']} {row['verdict']}: {row['quantity']}: {row['text']}"


def run(names, *, worlds, out, seed=0, device="cpu", rewards=None, executor=None):
    """Run studies one after another; yields nothing until all options have been checked.

    Parameters
    ----------
    names : of :data:`STUDIES`.
    worlds, out, seed, device : as in :func:`~madpo_theory.simulate.study.run_study`.
    rewards : file for :func:`~madpo_theory.simulate.reward_file.read_rewards` to draw worlds from.
    executor : a function that opens a context of an Executor; the work is done here if None.

    Returns a list of :class:`StudyResult`. Raises ValueError or TypeError before anything runs.
    """
    import torch

    from ..simulate.study import InProcess, check_run, run_study

    check_run(worlds, seed)
    if Path(out).exists() and not Path(out).is_dir():
        raise ValueError(f"out = {out} is a file; name a folder")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device = {device!r} cannot be used here ({str(error).splitlines()[0]}); take cpu, or "
            "cuda on a machine that has it"
        ) from None
    studies = [_study(name, rewards) for name in names]
    results = []
    with executor() if executor else InProcess() as pool:
        for study in studies:
            table = run_study(
                study, worlds=worlds, out=out, seed=seed, executor=pool, device=device
            )
            about = {"worlds": worlds, "seed": seed, "device": device}
            about |= {"rewards": None if rewards is None else Path(rewards).name}
            results.append(_conclude(study, table, about))
    return results


def _study(name, rewards):
    """A study of experiments/, on the worlds of the user's file if there is one."""
    from ..simulate.worlds import FileRewards

    module = importlib.import_module(f"experiments.{name}")
    if rewards is None:
        return module.study()
    law = FileRewards(str(Path(rewards).resolve()))
    sizes = [len(of_prompt) for of_prompt in law.table().rewards]
    default = module.study.__defaults__[0]
    if min(sizes) < 3:
        raise ValueError(
            f"{Path(rewards).name}: a prompt has {min(sizes)} responses and the studies need three "
            "or more of each; drop it"
        )
    worlds = replace(
        default,
        rewards=law,
        prompts=min(default.prompts, len(sizes)),
        responses=min(default.responses, *sizes),
    )
    return module.study(worlds)


def _conclude(study, table, about):
    """Judge the predictions, draw, and write the JSON beside the table."""
    import pandas

    from ..simulate.predictions import judge, write_judgements

    frame = pandas.read_parquet(table)
    judgements = judge(study.predictions, frame)
    failed = int((~frame["converged"]).sum())
    write_judgements(
        table.with_suffix(".json"),
        judgements,
        study=study.name,
        **about,
        rows=len(frame),
        not_converged=failed,
        reading=study.reading(frame),
    )
    draw_study(study.name, table)
    return _read(study.name, table.parent)


def _read(name, folder):
    path = Path(folder) / f"{name}.json"
    remedy = f"run it again with `madpo simulate {name} --out {folder}`"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        rows = [row | {"text": told(row)} for row in record["predictions"]]
        record["reading"], record["worlds"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a study's record ({error}); {remedy}") from error
    return StudyResult(name, Path(folder), record | {"predictions": rows})


def read_results(folder):
    """:class:`StudyResult` of every study that `folder` holds, in their order."""
    return [_read(name, folder) for name in STUDIES if (Path(folder) / f"{name}.json").is_file()]


def told(row):
    """Prediction and measurement of a row, as text."""
    low, high = (
        sign * math.inf if end is None else end
        for sign, end in zip((-1, 1), row["predicted"], strict=True)
    )
    predicted = f"in [{low:.4g}, {high:.4g}]"
    if math.isinf(low) or math.isinf(high):
        predicted = f"at most {high:.4g}" if math.isinf(low) else f"at least {low:.4g}"
    if row["measured"] is None:
        return f"predicted {predicted}, not measured"
    ends = [end for end in row["interval"] if end is not None]
    interval = "" if len(set(ends)) < 2 else f" [{ends[0]:.4g}, {ends[1]:.4g}]"
    return f"predicted {predicted}, measured {row['measured']:.4g}{interval}"


def publish(folder, path):
    """Write a Markdown page about the studies of a folder, with their figures beside it.

    The figures go to figures/study_NAME.png; each study gets its reading and its predictions.
    """
    results, path = read_results(folder), Path(path)
    for result in results:
        with replacing(path.parent / "figures" / f"study_{result.name}.png") as temporary:
            temporary.write_bytes(result.picture.read_bytes())
    rows = [row for result in results for row in result.record["predictions"]]
    failed = [row["id"] for row in rows if row["verdict"] == "fails"]
    lines = [
        "# Simulation studies",
        "",
        "Written by `make studies`. Every study is a file of experiments/ with its settings and "
        "its predictions, which were committed before the runs. A prediction holds if the measured "
        "95 % interval over worlds lies inside the predicted one, fails if the two do not meet, "
        "and is undecided in between.",
        "",
        f"Of {len(rows)} predictions {len(failed)} failed{': ' * bool(failed)}{', '.join(failed)}.",
        "",
    ]
    for result in results:
        record = result.record
        lines += [
            f"## {result.title}",
            "",
            f"![{result.title}](figures/study_{result.name}.png)",
            "",
            *[f"{line}  " for line in record["reading"].splitlines()],
            "",
            f"{record['worlds']} worlds, seed {record['seed']}, {record['rows']:,} rows, "
            f"{record['not_converged']:,} of them without a solution and left out.",
            "",
            *markdown_judgements(record["predictions"]),
            "",
        ]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")
    return path


def markdown_judgements(rows):
    """Predictions and their verdicts as the lines of a Markdown table."""
    yield from ("| | quantity | predicted, measured | verdict | because |", "|---|---|---|---|---|")
    for row in rows:
        verdict = f"**{row['verdict']}**" if row["verdict"] == "fails" else row["verdict"]
        cells = (row["id"], row["quantity"], told(row), verdict, row["derivation"])
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


@contextmanager
def executor_of(workers, cluster=None):
    """Processes of this machine, this process (workers = 0), or a Dask cluster's workers.

    The workers of a cluster need this package, and a file of rewards at the same path.
    """
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from ..simulate.study import InProcess

    if cluster is not None:
        with _dask(cluster) as client:
            yield client.get_executor()
        return
    if workers < 0:
        raise ValueError(f"workers = {workers} breaks the rule workers >= 0")
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if workers else InProcess()
    with pool as executor:
        try:
            yield executor
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise


def _dask(address):
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "--cluster needs distributed: pip install 'madpo-theory[cluster]'"
        ) from None
    try:
        return Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise ValueError(
            f"cluster = {address!r}: no scheduler answers ({error}); start one with `dask "
            "scheduler` and give its tcp://HOST:PORT"
        ) from None
