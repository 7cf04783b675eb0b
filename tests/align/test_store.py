"""Run directories: keys, atomic writes, damage."""

import json
from dataclasses import dataclass, fields, is_dataclass, replace

import pytest
import torch

from madpo_theory.align import store
from madpo_theory.align.config import TrainConfig
from madpo_theory.align.store import LOCK, Run, RunError, alone, canonical, key_of, stage
from madpo_theory.experiments.sentiment import PRESETS
from madpo_theory.files import held


@dataclass(frozen=True)
class Settings:
    size: int = 3
    rate: float = 0.5


@stage
def numbers(run, config):
    run.write_tensors("numbers.safetensors", {"values": torch.arange(config.size)})
    run.write_json("about.json", {"size": config.size})


def test_key_is_stable_across_processes_and_field_order():
    assert key_of("numbers", Settings()) == "numbers-45f01b2eff"
    assert canonical({"b": 1, "a": 2}) == canonical({"a": 2, "b": 1}) == '{"a":2,"b":1}'


def test_key_depends_on_stage_settings_and_parents():
    keys = {
        key_of("numbers", Settings()),
        key_of("letters", Settings()),
        key_of("numbers", Settings(size=4)),
        key_of("numbers", Settings(rate=0.25)),
        key_of("numbers", Settings(), ["data-1"]),
        key_of("numbers", Settings(), ["data-2"]),
    }
    assert len(keys) == 6


OTHER = {"weight": "efficient", "settings": (("beta", 1.6),), "temperatures": (0.5,)}
OTHER |= {"label_noise": 0.2, "kl_dtype": "float32"}
UNCHANGED = (
    "dtype", "decay", "methods", "warmup", "fraction", "tier", "disturbance", "level",
)  # fmt: skip


def changed(config):
    """The config with one leaf changed, for every leaf of numbers and strings."""
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            for inner in changed(value):
                yield replace(config, **{field.name: inner})
        elif field.name in UNCHANGED:
            continue
        elif field.name in OTHER:
            yield replace(config, **{field.name: OTHER[field.name]})
        elif isinstance(value, str):
            yield replace(config, **{field.name: value + "x"})
        elif isinstance(value, tuple):
            yield replace(config, **{field.name: (value[0], value[1] + 1)})
        else:
            yield replace(config, **{field.name: value + 1})


def test_every_setting_changes_the_canonical_config():
    config = PRESETS["smoke"]
    variants = [canonical(variant) for variant in changed(config)]
    assert len(variants) > 60
    assert len({canonical(config), *variants}) == len(variants) + 1


def test_a_later_setting_changes_no_key_at_its_default():
    plain, default = TrainConfig(), json.loads(canonical(TrainConfig()))
    assert "bucket" not in default and "recompute" not in default
    assert json.loads(canonical(replace(plain, bucket=2))) == default | {"bucket": 2}


def test_settings_that_are_not_plain_data_are_refused():
    with pytest.raises(TypeError, match="plain data"):
        key_of("numbers", {"generator": object()})
    with pytest.raises(ValueError, match="not JSON compliant"):
        key_of("numbers", {"rate": float("nan")})


def test_a_finished_stage_is_not_computed_again(tmp_path):
    run = numbers(tmp_path, Settings())
    before = {p.name: p.stat().st_mtime_ns for p in run.path.iterdir()}
    assert numbers(tmp_path, Settings()) == run
    assert {p.name: p.stat().st_mtime_ns for p in run.path.iterdir()} == before


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete"])
def test_damage_is_an_error_that_names_file_and_fix(tmp_path, damage):
    run = numbers(tmp_path, Settings())
    path = run.path / "numbers.safetensors"
    if damage == "truncate":
        path.write_bytes(path.read_bytes()[:-3])
    elif damage == "flip":
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(bytes(data))
    else:
        path.unlink()
    with pytest.raises(RunError, match=r"numbers\.safetensors: expected .*, found .*delete the"):
        numbers(tmp_path, Settings())


@pytest.mark.parametrize("text", ["{", "[]", '{"files": 3}', "{}"])
def test_a_damaged_manifest_is_an_error(tmp_path, text):
    run = numbers(tmp_path, Settings())
    (run.path / "manifest.json").write_text(text)
    with pytest.raises(RunError, match=r"manifest\.json: expected a manifest"):
        numbers(tmp_path, Settings())


@pytest.mark.parametrize("keep", [(), ("config.json",)])
def test_a_manifest_that_lists_no_result_is_not_trusted(tmp_path, keep):
    run = numbers(tmp_path, Settings())
    files = {k: v for k, v in run.manifest().items() if k in keep}
    (run.path / "manifest.json").write_text(json.dumps({"files": files}))
    with pytest.raises(RunError, match=r"manifest\.json: expected the files .*delete the folder"):
        numbers(tmp_path, Settings())


def test_a_disagreeing_manifest_is_an_error(tmp_path):
    run = numbers(tmp_path, Settings())
    manifest = json.loads((run.path / "manifest.json").read_text())
    manifest["files"]["about.json"] = "0" * 64
    (run.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match=r"about\.json: expected SHA-256 0000"):
        numbers(tmp_path, Settings())


def test_unreadable_intermediate_files_are_errors(tmp_path):
    run = Run(tmp_path)
    for name, read in (
        ("a.json", run.read_json),
        ("a.safetensors", run.read_tensors),
        ("a.parquet", run.read_table),
    ):
        with pytest.raises(RunError, match=f"{name}: expected a file, found none"):
            read(name)
        (tmp_path / name).write_bytes(b"\x08\x00nonsense")
        with pytest.raises(RunError, match=f"{name}: expected a readable file"):
            read(name)


def test_a_failing_write_leaves_the_old_file(tmp_path):
    run = Run(tmp_path)
    run.write_json("a.json", {"x": 1})
    with pytest.raises(ValueError, match="Out of range"):
        run.write_json("a.json", {"x": float("inf")})
    assert run.read_json("a.json") == {"x": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_parts_go_on_where_they_stopped(tmp_path):
    run, seen = Run(tmp_path), []

    def compute(item):
        seen.append(item)
        if item == 2 and seen.count(2) == 1:
            raise KeyboardInterrupt
        return {"x": torch.full((2,), item)}

    with pytest.raises(KeyboardInterrupt):
        run.parts("p", range(4), compute)
    joined = run.parts("p", range(4), compute)["x"]
    assert joined.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert seen == [0, 1, 2, 2, 3]
    assert [p.name for p in tmp_path.iterdir()] == ["p.safetensors"]


def test_two_processes_do_not_compute_one_stage(tmp_path):
    run = Run(tmp_path / key_of("numbers", Settings()))
    run.path.mkdir()
    with alone(run), pytest.raises(RunError, match="another process is computing"):
        numbers(tmp_path, Settings())
    assert numbers(tmp_path, Settings()).check()


@stage
def drawn(run, config):
    run.write_tensors("drawn.safetensors", {"values": torch.rand(config.size)})


def test_a_stage_that_another_process_finished_meanwhile_is_not_computed_again(
    tmp_path, monkeypatch, capsys
):
    """On a card two runs of a stage differ, and the second would undo the first's manifest."""
    waits = [lambda: drawn(tmp_path, Settings()).manifest()]

    def late(run):
        if waits:  # between the look for a finished run and the lock
            manifests.append(waits.pop()())
        return alone(run)

    manifests = []
    monkeypatch.setattr(store, "alone", late)
    run = drawn(tmp_path, Settings())
    assert [run.manifest()] == manifests and run.check()
    said = capsys.readouterr().err
    assert [said.count(word) for word in ("running", "resumed", "done", "cached")] == [1, 0, 1, 1]


def test_a_run_is_held_until_its_manifest_is_written(tmp_path, monkeypatch):
    free, finish = [], Run.finish

    def watched(run):
        with held(run.path / LOCK, wait=False) as mine:
            free.append(mine)
        finish(run)

    monkeypatch.setattr(Run, "finish", watched)
    assert drawn(tmp_path, Settings()).check() and free == [False]
