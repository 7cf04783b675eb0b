"""The studies: run whole on two worlds, on every executor, from a user's file, refused."""

import json

import pytest

parquet = pytest.importorskip("pyarrow.parquet")

from madpo_theory import cli  # noqa: E402
from madpo_theory.experiments._catalog import PAIRWISE  # noqa: E402
from madpo_theory.extensions import STUDIES  # noqa: E402
from madpo_theory.show.studies import decisions, draw_study, publish  # noqa: E402
from madpo_theory.simulate.predictions import (  # noqa: E402
    Prediction,
    Rival,
    exact,
    judge,
    write_judgements,
)
from madpo_theory.simulate.studies import (  # noqa: E402
    executor_of,
    judge_again,
    read_results,
    run,
)

COLUMNS = "study method seed noise regret reward kl target_error converged world beta".split()
SETTINGS = {  # rows a world: settings times methods
    "noise": 55 * 11,
    "schedule": 4 * 60,
    "frontier": 15 * 12 + 5,
    "samples": 28 * 10,
    "pairs": 4 * 11 * 10,
    "sampling": 7 * 11 * 4,
    "phase": 90 * 6 + 45,
    "displacement": 6 * len(PAIRWISE),
    "field": 12 * len(PAIRWISE),
    "offset": (4 + 1) * 3 * 8,
}


SHORT = ("displacement", "offset", "pairs", "samples")
"""Those of a few seconds of computing; `make test-long` runs the others too."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The short ones on two worlds, in this process."""
    folder = tmp_path_factory.mktemp("studies")
    for result in run(SHORT, worlds=2, out=folder):
        draw_study(result)
    return folder


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in SHORT else pytest.mark.long) for n in STUDIES]
)
@pytest.mark.slow
def test_every_study_has_a_table_a_figure_and_verdicts(finished, name):
    if name not in SHORT:
        for result in run((name,), worlds=2, out=finished):
            draw_study(result)
    table = parquet.read_table(finished / f"{name}.parquet").to_pandas()
    assert set(COLUMNS) <= set(table) and len(table) == 2 * SETTINGS[name]
    assert set(table["study"]) == {name}
    assert table[table["method"] == "dpo"]["converged"].all()
    assert table["regret"].isna().eq(~table["converged"]).all()
    assert (finished / f"{name}.svg").read_text().startswith("<svg ")
    record = json.loads((finished / f"{name}.json").read_text())
    assert record["worlds"] == 2 and record["rows"] == len(table)
    assert len(record["reading"].splitlines()) == 2
    ids = [row["id"] for row in record["predictions"]]
    assert len(ids) == len(set(ids)) >= 5
    # every quantity is there to be measured, and the theorems among them hold in two worlds too
    assert all(row["verdict"] != "not measured" for row in record["predictions"])
    theorems = {"a1", "a2", "a3", "a4", "b1", "c1", "c7", "e1", "f1", "f2", "g1", "g7"}
    theorems |= {"h1", "h2", "h8", "i2", "i3", "i7", "j1", "j2"}
    verdicts = {row["id"]: row["verdict"] for row in record["predictions"]}
    assert all(verdicts[i] == "holds" for i in theorems & set(verdicts))


@pytest.mark.slow
def test_the_page_lists_every_prediction(finished, tmp_path):
    page = publish(finished, tmp_path / "studies.md").read_text()
    for result in read_results(finished):
        assert f"(figures/study_{result.name}.svg)" in page
        assert (tmp_path / "figures" / f"study_{result.name}.svg").is_file()
        assert all(f"| {row['id']} |" in page for row in result.record["predictions"])


@pytest.mark.parametrize("name", STUDIES)
def test_rivals_say_something_of_every_prediction_or_why_not(name):
    for prediction in STUDIES[name].PREDICTIONS:
        assert set(prediction.rivals) == {"no_effect", "paper"}, prediction.id
        for rival in prediction.rivals.values():
            assert rival.because or rival.predicted is not None, prediction.id


def test_what_was_decided_is_counted(tmp_path):
    theirs = {"a": (0, 4), "b": (0, 0), "c": (3, 3), "d": (7, 7), "e": (0, 0), "f": None}
    ours = {"c": (0, 0), "d": (0, 0)}
    predictions = [
        Prediction(name, "q", ours.get(name, (3, 3)), "d", lambda table: exact(3.0, 5), dict(
            no_effect=Rival(ends, "w"), paper=Rival(0 if name == "a" else None, "w")
        ))
        for name, ends in theirs.items()
    ]  # fmt: skip
    old = Prediction("g", "q", (3, 3), "d", lambda table: exact(3.0, 5))
    path = write_judgements(tmp_path / "a.json", judge([*predictions, old], None))
    assert list(decisions(json.loads(path.read_text()))) == [
        "“no effect” speaks of 5: 2 decided against it; both stand in a; both are refuted in d; "
        "it stands where the prediction is refuted in c.",
        "“paper” speaks of 1: 1 decided against it.",
        "3 decided nothing: c, d, f.",
    ]
    assert not list(decisions([{"id": "g", "verdict": "holds"}]))


@pytest.mark.slow
def test_a_table_is_judged_again_alike(finished):
    before = (finished / "pairs.json").read_bytes()
    assert {result.name for result in judge_again(finished)} >= set(SHORT)
    assert (finished / "pairs.json").read_bytes() == before


@pytest.mark.slow
def test_a_second_run_does_nothing_and_changes_nothing(finished, tmp_path):
    times = {path: path.stat().st_mtime_ns for path in (finished / "parts").rglob("*.parquet")}
    before = (finished / "pairs.parquet").read_bytes()
    run(("pairs",), worlds=2, out=finished)
    assert (finished / "pairs.parquet").read_bytes() == before
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())


@pytest.mark.slow
def test_two_processes_write_the_same_table(finished, tmp_path):
    run(("pairs",), worlds=2, out=tmp_path, executor=lambda: executor_of(2))
    assert (tmp_path / "pairs.parquet").read_bytes() == (finished / "pairs.parquet").read_bytes()


@pytest.mark.filterwarnings("ignore")  # of the cluster's own threads and sockets
@pytest.mark.slow
def test_a_cluster_writes_the_same_table(finished, tmp_path):
    distributed = pytest.importorskip("distributed")
    options = dict(n_workers=2, threads_per_worker=2, dashboard_address=None, processes=True)
    with distributed.LocalCluster(**options) as cluster:
        command = ["simulate", "pairs", "--worlds", "2", "--out", str(tmp_path)]
        assert cli.main([*command, "--cluster", cluster.scheduler_address]) == 0
    assert (tmp_path / "pairs.parquet").read_bytes() == (finished / "pairs.parquet").read_bytes()


def reward_file(path, responses=4, prompts=5, last="0.5"):
    rows = [
        f"p{p},r{k},{(p - 2) * 0.3 + k * 0.7}" for p in range(prompts) for k in range(responses)
    ]
    rows[-1] = rows[-1].rsplit(",", 1)[0] + f",{last}"
    path.write_text("prompt,response,reward\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.slow
def test_worlds_from_a_file(tmp_path):
    rewards = reward_file(tmp_path / "rewards.csv")
    command = ["simulate", "pairs", "--worlds", "2", "--workers", "0", "--out", str(tmp_path)]
    assert cli.main([*command, "--rewards", str(rewards)]) == 0
    first = parquet.read_table(tmp_path / "pairs.parquet").to_pandas()
    assert set(first["responses"]) == {2, 4} and set(first["prompts"]) == {5}
    # another content is another study: nothing of the first is used again
    reward_file(rewards, last="9.5")
    assert cli.main([*command, "--rewards", str(rewards)]) == 0
    second = parquet.read_table(tmp_path / "pairs.parquet").to_pandas()
    assert not first["reward"].equals(second["reward"])
    assert len(list((tmp_path / "parts").iterdir())) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["nois"], "study must be one of displacement, field, frontier, noise"),
        (["noise", "--workers", "-1"], "0 <= workers"),
        (["noise", "--worlds", "0"], "1 <= worlds <= 1000000"),
        (["noise", "--seed", "-2"], "0 <= seed"),
        (["noise", "--device", "abacus"], "device = 'abacus'"),
        (["noise", "--rewards", "nowhere.csv"], "nowhere.csv"),
        (["noise", "--cluster", "nonsense"], "cluster = 'nonsense'"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(tmp_path, capsys, options, words):
    assert cli.main(["simulate", *options, "--out", str(tmp_path / "out")]) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_bad_reward_is_refused_with_its_row_and_column(tmp_path, capsys):
    rewards = reward_file(tmp_path / "rewards.csv", last="much")
    out = tmp_path / "out"
    assert cli.main(["simulate", "noise", "--rewards", str(rewards), "--out", str(out)]) == 2
    assert "row 20, column reward" in capsys.readouterr().err and not out.exists()


def test_an_out_that_is_a_file_is_refused(tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert cli.main(["simulate", "noise", "--out", str(tmp_path / "out")]) == 2
    assert "is a file" in capsys.readouterr().err and (tmp_path / "out").read_text() == "mine"


@pytest.mark.slow
def test_a_damaged_record_names_the_command(finished, tmp_path):
    (tmp_path / "noise.json").write_text("{")
    with pytest.raises(ValueError, match="madpo simulate noise"):
        read_results(tmp_path)


def test_a_reading_speaks_of_the_pairs_that_there_are():
    row = {"design": "alone", "model": "exact", "low": 0.0, "share": 1.0, "world": 0}
    rows = [
        row | {"method": method, "true_margin": margin, "fitted": 2 * margin}
        for method in ("madpo", "bounded_ratio", "target_shaped")
        for margin in (0.2, 0.3)
    ]
    pandas = pytest.importorskip("pandas")
    reading = STUDIES["pairs"].reading
    assert reading(pandas.DataFrame(rows)) == (
        "Alone, pairs below 1/2 nat get 2.00 times their margin from MADPO, 2.00 from the bounded "
        "ratio, 2.00 from the target-shaped weight."
    )
    equal = pandas.DataFrame(rows).assign(true_margin=0.0, fitted=0.0)
    assert reading(equal) == "No pair has a margin below 1/2 nat or of 7 to 8 nats."
