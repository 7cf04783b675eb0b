"""Figures: tables hold what the library returns, bytes repeat, bad input is refused."""

import hashlib
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from madpo_theory import (
    MarginSchedule,
    coefficient,
    effective_target,
    extensions,
    monotone_limit,
    weight,
)
from madpo_theory.methods import METHODS
from madpo_theory.show.experiment import read_summary
from madpo_theory.show.figures import figures, make_figures, table_bytes

pyarrow = pytest.importorskip("pyarrow")
pandas = pytest.importorskip("pandas")
import made_second  # noqa: E402
from made_study import made, write  # noqa: E402
from pyarrow import parquet  # noqa: E402

NAN = math.nan
FIGURES = figures()
RESULTS = Path(__file__).parents[1] / "results"
RECORDED = {"results": RESULTS / "sentiment", "second": RESULTS / "sentiment-2"}
HEADS = {  # how the table of each figure begins
    "weight_and_coefficient": b"panel,schedule,element,x,y\nweight,madpo_2,curve,-12,",
    "effective_target": b"method,element,h,z\nmadpo_2,curve,0,0\n",
    "primer": b"panel,element,x,y\ncoefficient,curve,0,1.997002997\n",
    "pair_risk": b"pair,h,method,element,z,risk\nhard,0.5,madpo_2,curve,-1.5,",
    "field_targets": b"group,others,h,target,gain\nalpha_dpo,0,0.05,",
    "target_shift": b"schedule,element,h,shift,bound\nmadpo_2,curve,-14,",
    "monotone_region": b"panel,element,x,y,value\nmap,limit,1.1,0,",
    "corrected_weights": b"panel,method,h,y\nweight,published,-12,1\n",
    "reward_kl": b"setting,label,method,beta,c_max,tau,seed,reward,",
    "sentiment_tiers": b"tier,method,published,reward,lo,hi,runs\nhigh,dpo,",
    "sentiment_frontier": b"tier,seed,method,beta,reward,kl\n",
    "sentiment_ablation": b"c_max,tau,method,published,reward,lo,hi,runs\n2,0.5,dpo,",
    "sentiment_sensitivity": b"panel,x,published,reward,lo,hi,runs\nc_max,2,",
    "sentiment_weights": b"tier,right,model_margin,weight\nhigh,",
    "second_frontier": b"tier,seed,arm,method,reward,kl,is_dpo\nhigh,0,dpo 0.4,dpo,",
    "second_gaps": b"arm,label,method,gap,lo,hi,published\nmadpo,",
    "sentiment_predictions": b"id,quantity,verdict,measured,lo,hi,from,to\nP1a,",
}
COLUMNS = (
    "method beta c_max tau seed reward reward_lo reward_hi gain gain_lo gain_hi kl kl_lo kl_hi "
    "kl_mc accuracy_observed accuracy_true pairs steps seconds"
).split()
# Made up for these tests: no experiment gave these numbers.
FABRICATED = [
    ("sft", NAN, NAN, NAN, 0, 0.0, -0.1, 0.1, 0, 0, 0, 0, 0, 0, 0, NAN, NAN, 0, 40, 9.0),
    ("dpo", 0.1, NAN, NAN, 0, 1.0, 0.9, 1.1, 1, 0.8, 1.2, 4, 3.5, 4.5, 4.1, 0.6, 0.7, 8, 2, 5.0),
    ("madpo", 0.1, 4.0, 6.9, 0, 1.5, 1.4, 1.6, 1.5, 1, 2, 8, 7, 9, 8.2, 0.6, 0.7, 8, 2, 5.0),
    ("a<b$", 0.1, NAN, NAN, 0, 1.5, 1.4, 1.6, 1.5, 1, 2, 8.1, 7, 9, 8.2, 0.6, 0.7, 8, 2, 5.0),
]


def fabricate(folder, rows=FABRICATED, columns=COLUMNS, preset="fabricated"):
    """An experiment folder with made-up numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    table = {c: [row[i] for row in rows] for i, c in enumerate(COLUMNS) if c in columns}
    for name in table:
        if name not in ("method", "seed", "pairs", "steps"):
            table[name] = pyarrow.array(table[name], pyarrow.float64())
    table["tier"] = ["high"] * len(rows)
    parquet.write_table(pyarrow.table(table), folder / "summary.parquet")
    config = {"stage": "experiment", "config": {"preset": preset, "seed": 0}, "parents": []}
    for name, content in (("config", config), ("env", {"python": "3"}), ("details", {"a": [1]})):
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def changed(column, value, method="madpo"):
    index = COLUMNS.index(column)
    return [
        tuple(value if i == index and row[0] == method else v for i, v in enumerate(row))
        for row in FABRICATED
    ]


SOME = ("effective_target", "pair_risk", "reward_kl", "sentiment_tiers")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    root = tmp_path_factory.mktemp("figures")
    return {
        "experiment": fabricate(root / "run"),
        "results": write(root / "results", made()),
        "second": made_second.write(root / "second", made_second.theory(until=30)),
    }


@pytest.fixture(scope="module")
def drawn(sources, tmp_path_factory):
    """The folder of the fabricated run, and paths of :data:`SOME` figures."""
    out = tmp_path_factory.mktemp("drawn")
    return sources["experiment"], make_figures(out, **sources, names=SOME)


def digests(paths):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.mark.parametrize("figures", [SOME, pytest.param(None, marks=pytest.mark.slow)])
def test_writes_svg_pdf_and_csv_of_every_figure(drawn, sources, tmp_path, figures):
    paths = drawn[1] if figures else make_figures(tmp_path, **sources)
    names = {f"{name}.{kind}" for name in figures or FIGURES for kind in ("svg", "pdf", "csv")}
    assert {path.name for path in paths} == names == {p.name for p in paths[0].parent.iterdir()}
    for path in paths:
        start = {".svg": b"<svg ", ".pdf": b"%PDF", ".csv": HEADS[path.stem]}[path.suffix]
        assert path.read_bytes().startswith(start) and path.stat().st_size > 200


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(drawn, tmp_path):
    experiment, paths = drawn
    code = (
        "import sys; from madpo_theory.show.figures import make_figures;"
        "assert 'matplotlib' not in sys.modules;"
        "make_figures(sys.argv[1], experiment=sys.argv[2], names=['effective_target', 'reward_kl'])"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", code, tmp_path, experiment], check=True, env=environment)
    again, first = digests(tmp_path.iterdir()), digests(paths)
    assert len(again) == 6 and again.items() <= first.items()


def test_pdf_fonts_are_embedded_and_nothing_is_stamped(drawn):
    pdf = next(p for p in drawn[1] if p.name == "pair_risk.pdf").read_bytes()
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf
    assert b"CreationDate" not in pdf and b"Matplotlib" not in pdf


def test_a_user_style_changes_nothing(drawn, tmp_path):
    import matplotlib

    with matplotlib.rc_context({"font.size": 30, "figure.facecolor": "red", "savefig.dpi": 40}):
        paths = make_figures(tmp_path, experiment=None, names=["pair_risk"])
    expected = digests(drawn[1])
    assert all(expected[name] == digest for name, digest in digests(paths).items())


def rows(table, **where):
    keep = np.all([np.asarray(table[name]) == value for name, value in where.items()], axis=0)
    return {name: np.asarray(values)[keep] for name, values in table.items()}


def test_weight_and_coefficient_hold_what_the_library_returns():
    table = FIGURES["weight_and_coefficient"].build()
    for c_max in (2, 3, 4):
        s = MarginSchedule.released(c_max)
        name = f"madpo_{c_max}"
        w = rows(table, schedule=name, panel="weight", element="curve")
        c = rows(table, schedule=name, panel="coefficient", element="curve")
        assert np.array_equal(w["y"], weight(w["x"], s))
        assert np.array_equal(c["y"], coefficient(c["x"], s))
        kink = rows(table, schedule=name, element="kink")
        assert (kink["x"].item(), kink["y"].item()) == (-s.tau, 1.0)
    assert rows(table, element="crossing")["y"] == pytest.approx(1, abs=1e-15)
    assert set(table["schedule"]) >= {"madpo_class"}


def test_effective_target_marks_the_falling_stretch():
    table, tau = FIGURES["effective_target"].build(), math.log(999)
    fall = rows(table, method="madpo_2", element="fall")
    assert fall["h"] == pytest.approx([5.26, tau], abs=5e-3)
    assert fall["z"] == pytest.approx([8.33, tau], abs=5e-3)
    assert fall["h"][1] == tau  # T(tau) = tau, at the kink itself
    s = MarginSchedule.released()
    assert all(effective_target(h, h, s) <= fall["z"][0] for h in fall["h"][0] + [-1e-3, 1e-3])
    dpo = rows(table, method="dpo", element="curve")
    assert np.array_equal(dpo["h"], dpo["z"])
    ipo = rows(table, method="ipo", element="curve")["z"]
    assert ipo[0] == 0 and ipo.max() < 0.5 and ipo[-1] == pytest.approx(math.tanh(6) / 2)
    assert not set(rows(table, element="fall")["method"]) & {"dpo", "ipo"}


@pytest.mark.slow
def test_monotone_region_holds_the_limit_and_the_named_schedules():
    text = table_bytes(FIGURES["monotone_region"].build())
    table = pandas.read_csv(io.BytesIO(text))  # ten digits
    limit = rows(table, panel="map", element="limit")
    exact = monotone_limit(limit["x"], limit["y"])
    np.testing.assert_allclose(limit["value"], exact, rtol=1e-8)
    released = rows(table, panel="map", element="madpo_2")
    assert (released["x"], released["y"]) == (2.0, 0.5) and released["value"] > 3
    beyond = rows(table, panel="map", element="beyond")
    assert set(beyond["value"]) == {0.0, 1.0}  # the corner where a steep schedule reverses
    on_line = rows(table, panel="map", element="released type")
    np.testing.assert_allclose(on_line["x"] * on_line["y"], 1, rtol=1e-9)


def test_corrected_weights_hold_what_the_library_returns():
    table = FIGURES["corrected_weights"].build()
    s = MarginSchedule.released()
    targets = {
        "published": lambda u: effective_target(u, u, s),
        "efficient": lambda u: effective_target(u, u, s),
        "bounded_ratio": lambda u: coefficient(u, s) * u,
    }
    for name, target in targets.items():
        curve = rows(table, panel="target", method=name)
        np.testing.assert_allclose(curve["y"], target(curve["h"]), rtol=1e-12, atol=1e-12)
    shaped = rows(table, panel="target", method="target_shaped")
    assert (np.diff(shaped["y"]) > 0).all()
    assert rows(table, panel="weight", method="bounded_ratio")["y"].max() == 1


def test_pair_risk_marks_minimizers():
    table = FIGURES["pair_risk"].build()
    for pair, h in (("hard", 0.5), ("medium", 3.0), ("easy", 8.0)):
        for method in ("madpo_2", "dpo"):
            part = rows(table, pair=pair, method=method)
            best = rows(part, element="minimizer")
            assert (rows(part, element="curve")["risk"] >= best["risk"]).all()
            if method == "dpo":
                assert best["z"] == pytest.approx(h)


def test_target_shift_carries_certified_bounds():
    table = FIGURES["target_shift"].build()
    part = rows(table, schedule="madpo_2")
    assert rows(part, element="influence")["bound"] == pytest.approx(3.47468, abs=1e-5)
    tangent = rows(part, element="tangent")
    assert tangent["bound"] == pytest.approx(2.306766, abs=2e-6)
    slope = np.diff(tangent["shift"]) / np.diff(tangent["h"])
    assert slope == pytest.approx(-tangent["bound"][0])
    assert np.abs(rows(part, element="curve")["shift"]).max() <= 3.474682


def test_reward_kl_says_preset_and_seeds(drawn):
    spec = FIGURES["reward_kl"]
    title = spec.draw(spec.build(drawn[0])).axes[0].get_title(loc="left")
    assert title == "Sentiment, preset fabricated, 1 seed"


def test_two_seeds_are_counted(tmp_path):
    again = [(*row[:4], 1, *row[5:]) for row in FABRICATED]
    spec = FIGURES["reward_kl"]
    table = spec.build(fabricate(tmp_path / "run", FABRICATED + again))
    assert spec.draw(table).axes[0].get_title(loc="left").endswith("2 seeds")


def test_reward_kl_labels_meet_nothing(drawn):
    spec = FIGURES["reward_kl"]
    figure = spec.draw(spec.build(drawn[0]))
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == len(FABRICATED)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, spec in FIGURES.items() if spec.source in RECORDED])
def test_no_legend_of_the_recorded_studies_is_cut_off(name):
    spec = FIGURES[name]
    figure = spec.draw(spec.build(RECORDED[spec.source]))
    figure.draw_without_rendering()
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    for box in (legend.get_window_extent() for legend in legends if legend):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1


def test_without_an_experiment_its_figure_is_skipped_and_that_is_said(tmp_path, monkeypatch):
    names = ["weight_and_coefficient", "reward_kl"]
    few = {name: FIGURES[name] for name in names}
    monkeypatch.setattr("madpo_theory.show.figures.figures", lambda: few)
    said = []
    paths = make_figures(tmp_path, experiment=None, say=said.append)
    assert {path.stem for path in paths} == {"weight_and_coefficient"}
    assert len(said) == 1 and "reward_kl" in said[0] and "madpo sentiment" in said[0]
    assert not (tmp_path / "reward_kl.svg").exists()
    with pytest.raises(ValueError, match="figure reward_kl shows the experiment run, and there is"):
        make_figures(tmp_path / "none", experiment=None, names=names)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (dict(columns=[c for c in COLUMNS if c != "kl_lo"]), ["'kl_lo'", "missing"]),
        (dict(rows=changed("reward", NAN)), ["'reward'", "nan", "'madpo'"]),
        (dict(rows=changed("kl_hi", math.inf)), ["'kl_hi'", "inf"]),
        (dict(rows=changed("kl", 12.0)), ["'kl'", "outside its interval"]),
        (dict(rows=FABRICATED[:1]), ["no method"]),
        (dict(rows=[]), ["no method"]),
    ],
    ids=["column", "nan", "inf", "interval", "only sft", "empty"],
)
def test_refuses_bad_summaries(tmp_path, make, words):
    folder = fabricate(tmp_path / "run", **make)
    with pytest.raises(ValueError) as error:
        make_figures(tmp_path / "out", experiment=folder, names=["reward_kl"])
    for word in [*words, str(folder / "summary.parquet"), "madpo sentiment"]:
        assert word in str(error.value)
    assert not (tmp_path / "out").exists()


def test_refuses_missing_truncated_and_unnamed(tmp_path):
    with pytest.raises(ValueError, match=r"summary\.parquet: there is no such file"):
        read_summary(tmp_path)
    folder = fabricate(tmp_path / "run")
    whole = (folder / "summary.parquet").read_bytes()
    (folder / "summary.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="not a readable Parquet file"):
        read_summary(folder)
    (fabricate(folder) / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json: not valid JSON"):
        make_figures(tmp_path / "out", experiment=folder, names=["reward_kl"])
    with pytest.raises(ValueError, match=r"figure must be one of .* got 'nope'"):
        make_figures(tmp_path / "out", experiment=None, names=["nope"])


def test_a_users_schedule_and_method_are_shown(tmp_path):
    mine, out = MarginSchedule(3.0, 0.25, 1.0, 2.0), tmp_path / "out"
    names = ["effective_target", "weight_and_coefficient"]
    make_figures(out, experiment=None, names=names, schedule=mine)
    make_figures(tmp_path, experiment=None, schedule=mine, method=METHODS["simpo"]())
    assert len(list(tmp_path.glob("*.csv"))) == 1, "only what can show both"
    targets = pandas.read_csv(tmp_path / "effective_target.csv")
    assert set(targets.method) == {"madpo_yours", "simpo", "dpo", "ipo"}
    for method, expected in (
        ("madpo_yours", lambda h: effective_target(h, h, mine)),
        ("simpo", METHODS["simpo"]().target),
    ):
        h, z = targets.loc[targets.method == method, ["h", "z"]].to_numpy().T
        assert z == pytest.approx(expected(h), rel=1e-8, abs=1e-8)  # a CSV keeps ten digits
    shown = pandas.read_csv(out / "weight_and_coefficient.csv")
    assert set(shown.schedule) == {"madpo_yours"}
    (crossing,) = shown[shown.element == "crossing"][["x", "y"]].to_numpy()
    assert crossing == pytest.approx([2.0, 1.0], rel=1e-9)


def test_figures_that_cannot_show_it_are_refused(tmp_path):
    for theirs, names, message in (
        (
            {"method": METHODS["simpo"]()},
            ["pair_risk"],
            "of your schedule or method must be one of effective",
        ),
        ({"method": METHODS["beta_dpo"]()}, None, "method = beta_dpo: .*show one with a target"),
    ):
        with pytest.raises(ValueError, match=message):
            make_figures(tmp_path, experiment=None, names=names, **theirs)
    assert not list(tmp_path.iterdir())


def test_draw_refuses_a_foreign_table():
    with pytest.raises(ValueError, match="no column 'pair'"):
        FIGURES["pair_risk"].draw({"z": [0.0]})


def test_the_last_bar_of_a_density_is_drawn():
    bars = {"element": ["density"] * 2, "name": ["", ""], "x": [0.0, 1.5], "y": [0.25, 0.4]}
    curve = {"element": ["curve"] * 2, "name": ["dpo"] * 2, "x": [0.0, 3.0], "y": [0.0, 3.0]}
    table = {name: np.array(curve[name] + bars[name]) for name in bars}
    (drawn,) = extensions.FIGURES["diagnosis_targets"].draw(table).axes[1].patches
    heights, edges, _ = drawn.get_data()
    assert heights.tolist() == [0.25, 0.4] and edges.tolist() == [0.0, 1.5, 3.0]


def test_csv_is_plain():
    table = {"name": ["a", "b, c"], "x": np.array([1 / 3, NAN])}
    assert table_bytes(table) == b'name,x\na,0.3333333333\n"b, c",\n'
