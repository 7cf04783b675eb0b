"""Studies: many worlds under many settings, on any executor, stopped and resumed at will.

A study is a list of settings and a function that measures one of them on some worlds. The work is
cut into parts, a setting on a fixed block of worlds, before anyone knows who will do it; each part
runs on one thread and is written when done. So the table is the same, bit for bit, whatever the
executor, the number of workers, or how often the run was stopped.
"""

import hashlib
import io
import json
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from ..files import replacing
from ..ops import check_number, numpy_world, torch_world
from ..progress import progress as bar_of
from ..reached import digest_of

__all__ = ["InProcess", "Study", "run_study"]


@dataclass(frozen=True)
class Study:
    """What is varied, and what is measured.

    Attributes
    ----------
    name : as in ``madpo simulate NAME``; the table is NAME.parquet.
    settings : frozen dataclasses, one a cell of the table. They hold instances, such as methods,
        and not names of them: code that is looked up by a name is not seen to have changed.
    measure : ``(setting, indices, seed, device) -> {column: list}``, equally long columns, one row
        a world of `indices` and whatever else is told apart; a function of a module.
    block : worlds of a part.
    predictions : :class:`~madpo_theory.simulate.predictions.Prediction` of the table.
    reading : ``table -> str``: what the table says, in two lines with its numbers.
    """

    name: str
    settings: tuple
    measure: Callable
    block: int = 10
    predictions: tuple = ()
    reading: Callable | None = None


class InProcess(Executor):
    """An executor that does the work when asked for it, in this process."""

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def run_study(study, *, worlds, out, seed=0, executor=None, device="cpu", progress=True):
    """Measure every setting on every world and write the table; returns its path.

    Parameters
    ----------
    study : :class:`Study`.
    worlds : number of worlds, 1 to a million; world w is the same for every number of them.
    out : folder; the table is out/NAME.parquet, finished parts are kept in out/parts.
    seed : 0 to 2^63 - 1.
    executor : any ``concurrent.futures.Executor``, a cluster's among them; by default the work is
        done in this process. Parts in one process take turns, so threads gain nothing.
    device : torch device of the solvers.
    progress : show a bar with the time left.

    Parts that are done are not done again, if the settings, the seed, and the code that settings
    and measure reach are the same (:mod:`madpo_theory.reached`). Raises ValueError for a bad number
    before anything runs; an error of a part ends the run, what is done stays.
    """
    check_run(worlds, seed)
    out, executor = Path(out), executor or InProcess()
    folder = out / "parts" / f"{study.name}-{_digest(study, seed, device)}"
    blocks = [
        range(first, min(first + study.block, worlds)) for first in range(0, worlds, study.block)
    ]
    parts = {
        folder / f"{number}-{block.start}-{block.stop}.parquet": (setting, tuple(block))
        for number, setting in enumerate(study.settings)
        for block in blocks
    }
    todo = {path: part for path, part in parts.items() if not path.is_file()}
    with bar_of(
        total=len(parts), initial=len(parts) - len(todo), name=study.name, quiet=not progress
    ) as bar:
        _run(executor, study.measure, todo, seed, device, bar)
    return _assemble(parts, out / f"{study.name}.parquet")


def check_run(worlds, seed):
    """Refuse numbers that are none of a run."""
    # parts are listed before they are done, and a table keeps 63 bits of a seed
    for name, value, least, most in (("worlds", worlds, 1, 10**6), ("seed", seed, 0, 2**63 - 1)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} must be an integer, got {value!r}")
        rule = f"{least} <= {name} <= {most}"
        check_number(name, value, rule, lambda v, low=least, high=most: low <= v <= high)


def _run(executor, measure, todo, seed, device, bar):
    """Do the parts, some at a time, and write each as it comes in."""
    waiting, running = list(reversed(todo.items())), {}
    try:
        while waiting or running:
            while waiting and len(running) < 64:
                path, (setting, indices) = waiting.pop()
                future = executor.submit(_part, measure, setting, indices, seed, device)
                running[future] = path
                if future.done():
                    break  # an executor that works at once: write before the next
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                path = running.pop(future)
                with replacing(path) as temporary:
                    temporary.write_bytes(future.result())
                bar.update()
    finally:
        for future in running:
            future.cancel()


_TURN = threading.Lock()  # the number of torch's threads belongs to the whole process


def _part(measure, setting, indices, seed, device):
    """One part as the bytes of a Parquet file, worked on one thread."""
    import torch
    from threadpoolctl import threadpool_limits

    with _TURN, threadpool_limits(1):  # sums over threads would depend on their number
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return _bytes(_table(measure(setting, indices, seed, device)))
        finally:
            torch.set_num_threads(threads)


def _table(columns):
    import pyarrow

    return pyarrow.table({name: pyarrow.array(values) for name, values in columns.items()})


def _bytes(table):
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _assemble(parts, path):
    """The parts in their order as one table."""
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.concat_tables([parquet.read_table(part) for part in parts])
    with replacing(path) as temporary:
        temporary.write_bytes(_bytes(table.combine_chunks()))
    return path


def _digest(study, seed, device):
    """Of all that a part depends on: what is measured how, and the code that this reaches."""
    kind = str(device).split(":")[0]
    # Formulas find the world of their argument by its name, which no reader of the code can follow.
    code = digest_of(_part, study.measure, study.settings, numpy_world, torch_world)
    said = [study.block, seed, kind, code, *map(version, ("numpy", "scipy", "torch", "numba"))]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]
