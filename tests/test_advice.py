"""The advice of a diagnosis, taken on: by command, by file, and by name."""

import json
import re
import shlex
from dataclasses import replace

import numpy as np
import pytest
from pair_files import drawn_margins, write_pairs
from pyarrow import parquet
from scipy.special import expit

from madpo_theory import EfficientWeight, MarginSchedule, cli, safe_lam, weight
from madpo_theory.clone import ROOT
from madpo_theory.diagnose import Reading, diagnose
from madpo_theory.diagnose.advice import advice_of, next_command, plainly
from madpo_theory.weights import ScaledWeight, weighting_named

H = np.round(drawn_margins(4000, scale=0.5), 3)
H = H[H != 0]
ASKED = ["--c-max", "4", "--tau", "5"]
SCHEDULE = replace(MarginSchedule.released(4), tau=5.0)


def run(command, capsys):
    """(status, out, error) of a command."""
    status = cli.main(command)
    said = capsys.readouterr()
    return status, said.out, said.err


def columns(h=H):
    """Margins in two reward columns, the names of which say nothing."""
    return {"first one": h.tolist(), "b": [0.0] * len(h)}


def next_of(out):
    """The first command to type next."""
    first, *_ = [line for line in out.splitlines() if line.startswith("next: ")]
    return shlex.split(first.removeprefix("next: "))


def written(path):
    return np.array(parquet.read_table(path)["weight"])


def test_the_next_command_writes_the_weights_that_are_recommended(tmp_path, capsys):
    """Printed in full, by --from, and by --schedule recommended: the same weights."""
    source, record = write_pairs(tmp_path, "parquet", columns()), tmp_path / "d.json"
    asked = [str(source), *ASKED, "--rewards", "first one", "b"]
    _, out, _ = run(["diagnose", *asked], capsys)
    _, short, _ = run(["diagnose", *asked, "--json", str(record)], capsys)
    commands = [
        next_of(out),
        next_of(short),
        ["madpo", "weights", *asked, "--schedule", "recommended",
         "-o", str(tmp_path / "pairs.weighted.parquet")],
    ]  # fmt: skip
    assert "--from" in commands[1] and "--rewards" in commands[0]
    found = diagnose(source, SCHEDULE, reading=Reading(rewards=("first one", "b")))
    scale, choice = found.recommendation.scale, found.recommendation.choice
    assert scale == pytest.approx(0.5, rel=0.1) and choice.name == "lam"
    expected = weight(scale * H, MarginSchedule(4.0, 0.25, choice.schedule.lam, 5.0))
    assert choice.schedule.lam == pytest.approx(safe_lam(4.0, 0.25, 5.0), rel=0.01)
    for name, *command in commands:
        assert name == "madpo"
        status, said, _ = run(command, capsys)
        assert (
            status == 0
            and f"worth {expected.sum() ** 2 / len(H) / (expected**2).sum():.1%}" in said
        )
        assert written(tmp_path / "pairs.weighted.parquet").tolist() == expected.tolist()
        (tmp_path / "pairs.weighted.parquet").unlink()
    trained = f"next: madpo train run.yaml --pairs {tmp_path}/pairs.weighted.parquet"
    assert out.endswith(f"{trained} --beta {choice.beta:.3g}\n")
    assert said.endswith(f"{trained} --beta {choice.beta:.3g}\n")  # of weights that are advised
    _, said, _ = run(
        ["weights", *asked, "-o", str(tmp_path / "o.parquet"), "--column", "w"], capsys
    )
    assert said.endswith(f"next: madpo train run.yaml --pairs {tmp_path}/o.parquet --column w\n")


def test_where_dpo_is_advised_no_weights_are_written(tmp_path, capsys):
    rng = np.random.default_rng(0)
    true = rng.normal(0, 1, 3000)
    h = np.where(rng.random(3000) < expit(true), true, -true)
    source, record = write_pairs(tmp_path, "csv", {"margin": h.tolist()}), tmp_path / "d.json"
    _, out, _ = run(["diagnose", str(source), "--json", str(record)], capsys)
    beta = diagnose(h).recommendation.choice.beta
    train = ["madpo", "train", "run.yaml", "--pairs", str(source), "--method", "dpo"]
    assert next_of(out) == [*train, "--beta", f"{beta:.3g}"]
    for how in (["--from", str(record)], ["--schedule", "recommended"]):
        target = tmp_path / "o.csv"
        status, _, error = run(["weights", str(source), "-o", str(target), *how], capsys)
        assert status == 2 and f"advises DPO at beta {beta:.3g}, without weights" in error
        assert not target.exists()


MINE = """
from dataclasses import dataclass
from madpo_theory.weights import Weighting

@dataclass(frozen=True)
class Half(Weighting):
    def log_weight(self, xp, h):
        return -xp.softplus(-h) / 2
"""


@pytest.mark.parametrize(
    "asked",
    [
        ["efficient"], ["bounded-ratio"], ["target-shaped", "--gamma", "0.3"], ["mine.py:Half"],
        ["bounded-ratio", "--json", "d.json"], ["published"],
    ],
)  # fmt: skip
def test_the_next_command_writes_the_weight_that_was_asked_for(
    tmp_path, capsys, monkeypatch, asked
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    h = np.round(drawn_margins(4000), 3)
    write_pairs(tmp_path, "parquet", {"margin": h.tolist()})
    _, out, _ = run(["diagnose", "pairs.parquet", *ASKED, "--weight", *asked], capsys)
    words = " ".join(out.split())
    assert ("what is recommended is for the targets of the published" in words) == (
        asked != ["published"]
    )
    name, *command = next_of(out)
    assert name == "madpo" and run(command, capsys)[0] == 0
    settings = {"gamma": 0.3} if "--gamma" in asked else {}
    wanted = weight(h, weighting_named(asked[0], SCHEDULE, **settings))
    same = written(tmp_path / "pairs.weighted.parquet").tolist() == wanted.tolist()
    assert same == (asked != ["published"])  # of that another schedule is advised
    if "--json" in asked:
        command = ["weights", "pairs.parquet", "-o", "again.parquet", "--from", "d.json"]
        status, _, error = run(command, capsys)
        assert status == 2 and "was asked about the weight bounded_ratio, and advises" in error


def test_a_diagnosis_at_a_scale_asks_for_what_the_first_one_did(tmp_path, capsys):
    rng = np.random.default_rng(0)
    stars = np.abs(rng.integers(1, 11, 3000) - rng.integers(1, 11, 3000)).astype(float)
    source = write_pairs(tmp_path, "csv", {"margin": stars.tolist()})
    options = {"--weight": "efficient", "--gamma": "0.3", "--ess": "0.6", "--bound": "3",
               "--beta": "0.2", "--tau": "3"}  # fmt: skip
    asked = [word for option in options.items() for word in option]
    _, out, _ = run(["diagnose", str(source), *asked], capsys)
    command = next_of(out)
    given = dict(zip(command[3::2], command[4::2], strict=True))
    assert given == options | {"--scale": given["--scale"]}


def test_a_weight_that_no_option_makes_has_no_next_command(tmp_path):
    source = write_pairs(tmp_path, "csv", {"margin": drawn_margins(500).tolist()})
    for made in (
        ScaledWeight(weighting_named("efficient", SCHEDULE), 1.0),
        MarginSchedule.class_defaults(),
        EfficientWeight(weighting_named("bounded_ratio", MarginSchedule.released())),
    ):
        assert next_command(diagnose(source, weight=made)) == []


def test_ratings_are_told_to_choose_a_scale(tmp_path, capsys):
    rng = np.random.default_rng(0)
    stars = np.abs(rng.integers(1, 11, 3000) - rng.integers(1, 11, 3000)).astype(float)
    source = write_pairs(tmp_path, "csv", {"margin": stars.tolist()})
    _, out, _ = run(["diagnose", str(source), "--no-keep-ties"], capsys)
    command = next_of(out)
    assert command[:3] == ["madpo", "diagnose", str(source)]
    scale = float(command[command.index("--scale") + 1])
    # a second judge would dispute 30 % there
    assert expit(-scale * stars[stars > 0]).mean() == pytest.approx(0.3, abs=1e-3)
    _, again, _ = run(command[1:], capsys)
    assert "recommended  nothing yet" in out and "recommended  nothing yet" not in again


NOTHING = {
    "ratings": np.tile(np.arange(1.0, 11.0), 300) / 20,
    "pointing away": -np.tile(np.arange(1.0, 11.0), 300) / 20,
}


@pytest.mark.parametrize("kind", NOTHING)
def test_the_status_is_1_where_nothing_can_be_recommended(tmp_path, capsys, kind):
    """A warning or none: these pairs cannot be trained on as they are."""
    source = write_pairs(tmp_path, "csv", {"margin": NOTHING[kind].tolist()})
    page = tmp_path / "page.html"
    status, out, _ = run(["diagnose", str(source), "--html", str(page)], capsys)
    assert "recommended  nothing yet" in out
    assert status == 1 and ("WARNING" in out) == (kind == "pointing away")
    assert "nothing to mend" not in page.read_text()
    assert ("Nothing can be recommended yet." in page.read_text()) == (kind == "ratings")
    found = diagnose(NOTHING[kind])
    assert not found.in_order and not found.recommended
    fine = diagnose(drawn_margins(3000), MarginSchedule.class_defaults())
    assert fine.in_order and fine.recommended
    assert diagnose(drawn_margins(3000), method="simpo").in_order


def test_the_rule_of_the_status_is_told_alike(capsys):
    with pytest.raises(SystemExit):
        cli.main(["diagnose", "--help"])
    shown = re.sub(r"[│\s]+", " ", capsys.readouterr().out)
    pages = [(ROOT / name).read_text() for name in ("README.md", "docs/how-to/weigh.md")]
    for text in (shown, *(" ".join(page.split()) for page in pages)):
        assert re.search(r"0 if there is nothing to mend.*\b1 with warnings.*nothing can be "
                         r"recommended yet.*2 for wrong use", text)  # fmt: skip


def test_a_target_shaped_weight_comes_back_with_its_exponent():
    found = diagnose(H, SCHEDULE, gamma=0.7)
    shaped = next(c for c in found.recommendation.choices if c.name == "target_shaped")
    taken = replace(found, recommendation=replace(found.recommendation, choice=shaped))
    advice = advice_of(taken)
    assert advice.weighting == weighting_named("target_shaped", SCHEDULE, gamma=0.7)
    assert advice.reading == Reading(scale=found.recommendation.scale)


def test_an_array_and_a_method_have_no_next_command(tmp_path):
    assert next_command(diagnose(H)) == []
    source = write_pairs(tmp_path, "csv", {"margin": H.tolist()})
    assert next_command(diagnose(source, method="simpo")) == []


@pytest.mark.parametrize(
    ("value", "text"), [(4.0, "4"), (0.25, "0.25"), (6.906754778648554, "6.906754778648554")]
)
def test_numbers_of_a_command_are_exact_and_short(value, text):
    assert plainly(value) == text and float(text) == value


def test_what_is_no_diagnosis_or_is_contradicted_is_refused(tmp_path, capsys):
    source, out = write_pairs(tmp_path, "csv", {"margin": H.tolist()}), tmp_path / "o.csv"
    record = tmp_path / "d.json"
    run(["diagnose", str(source), *ASKED, "--json", str(record)], capsys)
    stored = json.loads(record.read_text())
    wrong = {
        "none.json": None, "text.json": "not {JSON", "list.json": "[1, 2]", "empty.json": "{}",
        "other.json": json.dumps({"recommendation": {"choice": 3}}),
        "method.json": json.dumps(stored | {"recommendation": None}),
        "broken.json": json.dumps(stored).replace('"c_max": 4.0', '"c_max": 0.5'),
    }  # fmt: skip
    words = {
        "none.json": "cannot be read", "method.json": "looks at a method",
        "broken.json": "c_max = 0.5 breaks the rule",
    }  # fmt: skip
    command = ["weights", str(source), "-o", str(out)]
    for name, text in wrong.items():
        if text is not None:
            (tmp_path / name).write_text(text)
        status, _, error = run([*command, "--from", str(tmp_path / name)], capsys)
        assert status == 2 and error.count("\n") == 1, name
        assert words.get(name, "is not what madpo diagnose --json writes") in error
    for options, said in (
        (["--from", str(record), "--c-max", "3"], "--c-max, --c-min, --lam, --tau is what the rec"),
        (["--from", str(record), "--kind", "efficient"], "--kind is what the recommendation says"),
        (["--from", str(record), "--scale", "2"], "how else the pairs are read is what"),
        (["--from", str(record), "--schedule", "recommended"], "--schedule is what"),
        (["--schedule", "recommended", "--gamma", "0.3"], "--gamma is what"),
    ):
        status, _, error = run([*command, *options], capsys)
        assert status == 2 and said in error, options
    assert not out.exists()


@pytest.mark.parametrize(
    ("kind", "warned"), [("published", False), ("efficient", True), ("bounded-ratio", True)]
)
def test_weights_far_from_a_mean_of_one_are_warned_of_with_their_numbers(
    tmp_path, capsys, kind, warned
):
    h = H[np.abs(H) < 6]
    source, out = write_pairs(tmp_path, "csv", {"margin": h.tolist()}), tmp_path / "o.csv"
    command = ["weights", str(source), "-o", str(out), "--kind", kind, "--force", "--c-max", "4"]
    for extra in ([], ["--mean-one"]):
        _, said, _ = run([*command, *extra], capsys)
        weights = weight(h, weighting_named(kind, MarginSchedule.released(4)))
        if extra:
            weights = weights / weights.mean()
        numbers = f"mean {weights.mean():.3g}, from {weights.min():.3g} to {weights.max():.3g}"
        assert numbers in said
        assert ("WARNING" in said) == (warned and not extra)


def test_released_is_one_schedule_everywhere(tmp_path, capsys):
    source, out = write_pairs(tmp_path, "parquet", {"margin": H.tolist()}), tmp_path / "o.parquet"
    released = MarginSchedule.released()
    assert released == MarginSchedule(2.0, 0.5, 1.0, released.tau)
    assert diagnose(H).schedule == released
    for options in ([], ["--schedule", "released"]):
        run(["weights", str(source), "-o", str(out), *options, "--force"], capsys)
        assert written(out).tolist() == weight(H, released).tolist()
    run(["weights", str(source), "-o", str(out), "--schedule", "class-defaults", "--force"], capsys)
    assert written(out).tolist() == weight(H, MarginSchedule.class_defaults()).tolist()
    _, said, _ = run(["diagnose", str(source)], capsys)
    assert "schedule     c_max 2, c_min 0.5, lam 1, tau 6.907" in said
