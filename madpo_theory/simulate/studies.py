"""The registered studies: run, their predictions judged, their results read back.

What is in a study stands in a file of its own (:data:`~madpo_theory.extensions.STUDIES`); how it is
drawn, in :mod:`madpo_theory.show.studies`.
"""

import json
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from .. import leash
from ..extensions import STUDIES
from ..files import must_be_writable
from .predictions import told

__all__ = ["StudyResult", "executor_of", "judge_again", "read_results", "run"]

MOST_WORKERS = 61  # Windows waits for no more; others leave all beyond 64 idle


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
        return self.folder / f"{self.name}.svg"

    def drawn(self):
        """What its figure shows, a dict of columns: the file's ``drawn(table)``, or the table."""
        import pandas

        from .bands import stacked

        table, study = pandas.read_parquet(self.table), STUDIES[self.name]
        return study.drawn(table) if hasattr(study, "drawn") else stacked([table])

    @property
    def title(self):
        """What it asks, in a line."""
        return STUDIES[self.name].__doc__.splitlines()[0]

    def lines(self):
        """Its reading and the verdicts, as text."""
        yield from self.record["reading"].splitlines()
        for row in self.record["predictions"]:
            yield f"{row['id']} {row['verdict']}: {row['quantity']}: {told(row)}"


def run(names, *, worlds, out, seed=0, device="cpu", rewards=None, executor=None):
    """Run studies one after another; nothing runs until all options have been checked.

    Parameters
    ----------
    names : of :data:`~madpo_theory.extensions.STUDIES`.
    worlds, out, seed, device : as in :func:`~madpo_theory.simulate.study.run_study`.
    rewards : file for :func:`~madpo_theory.simulate.reward_file.read_rewards` to draw worlds from.
    executor : a function that opens a context of an Executor; the work is done here if None.

    Returns a list of :class:`StudyResult`. Raises ValueError or TypeError before anything runs.
    """
    import torch

    from .study import InProcess, check_run, run_study

    check_run(worlds, seed)
    if Path(out).exists() and not Path(out).is_dir():
        raise ValueError(f"out = {out} is a file; name a folder")
    must_be_writable(out)
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


def judge_again(folder):
    """Judge every study of a folder by its recorded table: a prediction has changed, not the runs.

    Rewrites the records, and returns them as :func:`read_results`.
    """
    return [
        _conclude(
            STUDIES[result.name].study(),
            result.table,
            {key: result.record[key] for key in ("worlds", "seed", "device", "rewards")},
        )
        for result in read_results(folder)
    ]


def _study(name, rewards):
    """A study, on the worlds of the user's file if there is one."""
    from .worlds import FileRewards

    module = STUDIES[name]
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
    """Judge the predictions, and write the JSON beside the table."""
    import pandas

    from .predictions import judge, write_judgements

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
    return _read(study.name, table.parent)


def _read(name, folder):
    path = Path(folder) / f"{name}.json"
    remedy = f"run it again with `madpo simulate {name} --out {folder}`"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        record["reading"], record["worlds"], [told(row) for row in record["predictions"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a study's record ({error}); {remedy}") from error
    return StudyResult(name, Path(folder), record)


def read_results(folder):
    """:class:`StudyResult` of every study that `folder` holds, by their titles."""
    found = [_read(name, folder) for name in STUDIES if (Path(folder) / f"{name}.json").is_file()]
    return sorted(found, key=lambda result: result.title)


@contextmanager
def executor_of(workers, cluster=None):
    """Processes of this machine, this process (workers = 0), or a Dask cluster's workers.

    The workers of a cluster need this package, and a file of rewards at the same path.
    """
    from .study import InProcess

    if cluster is not None:
        with _dask(cluster) as client:
            yield client.get_executor()
        return
    if not 0 <= workers <= MOST_WORKERS:
        raise ValueError(f"workers = {workers} breaks the rule 0 <= workers <= {MOST_WORKERS}")
    with leash.workers(workers) if workers else InProcess() as executor:
        yield executor


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
