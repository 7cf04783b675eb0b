"""Studies: one table, whoever does the work and however often it is stopped."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np
import pytest

pyarrow = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402

from madpo_theory.simulate.study import Study, run_study  # noqa: E402


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
def test_the_number_of_processes_does_not_matter(plain, tmp_path, workers):
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as processes:
        assert run(tmp_path, executor=processes).read_bytes() == plain


class Stop(Exception):
    pass


def stops(setting, indices, seed, device):
    if setting.noise == 0.5 and 4 in indices:
        raise Stop
    return measured(setting, indices, seed, device)


def test_a_stopped_run_goes_on_to_the_same_table(plain, tmp_path):
    with pytest.raises(Stop):
        run(tmp_path, replace(STUDY, measure=stops))
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


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"worlds": 0}, ValueError, "worlds >= 1"),
        ({"worlds": 2.5}, TypeError, "worlds must be an integer"),
        ({"worlds": True}, TypeError, "worlds must be an integer"),
        ({"worlds": 1, "seed": -1}, ValueError, "seed >= 0"),
    ],
)
def test_bad_numbers_are_refused_before_anything_runs(tmp_path, options, error, words):
    with pytest.raises(error, match=words):
        run(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
