"""Studies: one table, whoever does the work and however often it is stopped."""

import importlib
import itertools
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np
import pytest

pyarrow = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402

from madpo_theory.simulate import study as studies  # noqa: E402
from madpo_theory.simulate.study import InProcess, Study, run_study  # noqa: E402


@dataclass(frozen=True)
class Cell:
    noise: float


def measured(setting, indices, seed, device):
    draws = [np.random.default_rng([seed, world]).normal() for world in indices]
    return {
        "world": list(indices),
        "noise": [setting.noise] * len(indices),
        "value": [setting.noise * float(np.exp(draw)) for draw in draws],
    }


STUDY = Study("toy", (Cell(0.0), Cell(0.5), Cell(2.0)), measured, block=4)


def run(folder, study=STUDY, worlds=10, **options):
    return run_study(study, worlds=worlds, out=folder, progress=False, **options)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return run(tmp_path_factory.mktemp("plain")).read_bytes()


def test_a_row_for_every_world_and_setting(plain, tmp_path):
    table = parquet.read_table(pyarrow.BufferReader(plain)).to_pydict()
    assert table["world"] == list(range(10)) * 3
    assert table["noise"] == [0.0] * 10 + [0.5] * 10 + [2.0] * 10


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_do_not_matter(plain, tmp_path, threads):
    with ThreadPoolExecutor(threads) as executor:
        assert run(tmp_path / "threads", executor=executor).read_bytes() == plain


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.slow
def test_the_number_of_processes_does_not_matter(plain, tmp_path, workers):
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as processes:
        assert run(tmp_path, executor=processes).read_bytes() == plain


class Stop(Exception):
    pass


class Stops(InProcess):
    """An executor that gives out after four parts."""

    left = 4

    def submit(self, *work):
        self.left -= 1
        if self.left < 0:
            raise Stop
        return super().submit(*work)


def test_a_stopped_run_goes_on_to_the_same_table(plain, tmp_path):
    with pytest.raises(Stop):
        run(tmp_path, executor=Stops())
    assert not (tmp_path / "toy.parquet").exists()
    done = sorted((tmp_path / "parts").rglob("*.parquet"))
    assert len(done) == 4  # what came before it is kept
    times = [path.stat().st_mtime_ns for path in done]
    assert run(tmp_path).read_bytes() == plain
    assert [path.stat().st_mtime_ns for path in done] == times


def test_more_worlds_keep_the_blocks_that_are_done(tmp_path):
    run(tmp_path, worlds=8)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts").rglob("*.parquet")}
    table = parquet.read_table(run(tmp_path, worlds=12)).to_pydict()
    assert len(table["world"]) == 36
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_other_settings_or_another_seed_share_nothing(tmp_path):
    first = run(tmp_path, worlds=4).read_bytes()
    assert run(tmp_path, worlds=4, seed=1).read_bytes() != first
    assert run(tmp_path, replace(STUDY, settings=(Cell(1.0),)), worlds=4).read_bytes() != first
    assert len(list((tmp_path / "parts").iterdir())) == 3


USERS = '''"""Of a user.

Measures a level.
"""
from dataclasses import dataclass

import helpers_of_a_user


@dataclass(frozen=True)
class Level:
    value: float

    def doubled(self):
        return 2.0 * self.value


def measure(setting, indices, seed, device):
    return {
        "world": list(indices),
        "value": [helpers_of_a_user.moved(setting.doubled()) for _ in indices],
    }
'''


def users_study(folder, *edit, moved="value + 1.0"):
    """The study of a user's file, and of another beside it, as a fresh process would find it."""
    folder.mkdir(exist_ok=True)
    helper = f"def moved(value):\n    return {moved}\n"
    (folder / "study_of_a_user.py").write_text(USERS.replace(*edit) if edit else USERS)
    (folder / "helpers_of_a_user.py").write_text(helper)
    for name in ("study_of_a_user", "helpers_of_a_user"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    module = importlib.import_module("study_of_a_user")
    return Study("users", (module.Level(1.0), module.Level(2.0)), module.measure, block=2)


@pytest.fixture
def values(tmp_path, monkeypatch):
    """The values that a user's study measures on four worlds, its files edited, in one folder."""
    path, counter = list(sys.path), itertools.count()

    def values(*edit, executor=None, **options):
        folder = tmp_path / str(next(counter))
        monkeypatch.setattr(sys, "path", [str(folder), *path])
        study = users_study(folder, *edit, **options)
        table = run(tmp_path / "out", study, worlds=4, executor=executor)
        return parquet.read_table(table)["value"].to_pylist()

    return values


def test_what_a_user_changed_is_measured_anew_and_nothing_else(tmp_path, values):
    """Same name, settings and block: only the code tells the studies apart."""
    assert values() == [3.0] * 4 + [5.0] * 4
    parts = tmp_path / "out" / "parts"
    times = {file: file.stat().st_mtime_ns for file in parts.rglob("*.parquet")}
    assert len(times) == 4
    assert values("Measures a level.", "In other words.") == [3.0] * 4 + [5.0] * 4
    assert values("import helpers_of_a_user\n", "import helpers_of_a_user  # beside\n")[0] == 3.0
    assert times == {file: file.stat().st_mtime_ns for file in parts.rglob("*.parquet")}
    assert values("doubled()) for", "doubled()) - 1.0 for") == [2.0] * 4 + [4.0] * 4
    assert values("2.0 * self", "3.0 * self") == [4.0] * 4 + [7.0] * 4
    assert values(moved="value - 1.0") == [1.0] * 4 + [3.0] * 4
    assert len(list(parts.iterdir())) == 4


@pytest.mark.slow
def test_spawned_workers_measure_with_the_changed_code_under_its_key(tmp_path, values):
    first = values()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        assert values(moved="value - 1.0", executor=processes) == [1.0] * 4 + [3.0] * 4
    assert values() == first and values(moved="value - 1.0")[0] == 1.0
    assert len(list((tmp_path / "out" / "parts").iterdir())) == 2


def test_number_worlds_and_versions_are_of_the_key(tmp_path, monkeypatch):
    """No name in a formula leads to its world."""
    run(tmp_path, worlds=4)
    for name, value in (("version", str), ("numpy_world", len), ("torch_world", len)):
        monkeypatch.setattr(studies, name, value)
        run(tmp_path, worlds=4)
        monkeypatch.undo()
    run(tmp_path, worlds=4)
    assert len(list((tmp_path / "parts").iterdir())) == 4


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"worlds": 0}, ValueError, "1 <= worlds <= 1000000"),
        ({"worlds": 2.5}, TypeError, "worlds must be an integer"),
        ({"worlds": True}, TypeError, "worlds must be an integer"),
        ({"worlds": 1, "seed": -1}, ValueError, "0 <= seed"),
    ],
)
def test_bad_numbers_are_refused_before_anything_runs(tmp_path, options, error, words):
    with pytest.raises(error, match=words):
        run(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
