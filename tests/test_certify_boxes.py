"""Certificates over boxes of schedules: bounds hold inside, and no falsehood is accepted."""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quantity_values import STEP, values

from madpo_theory import MarginSchedule, log_weight_ratio
from madpo_theory.certify import (
    QUANTITIES,
    ExceedsBound,
    ScheduleBox,
    box_supremum,
    certificate,
    certify,
    certify_box,
    check,
    checker,
    kept_certificate,
    monotone_cells,
    write_certificate,
)
from madpo_theory.claims.settings import CLASS_BOX, RELEASED_BOX
from madpo_theory.weights import BoundedRatioWeight, ScaledWeight

KINDS = {"published": lambda s: s, "bounded_ratio": BoundedRatioWeight}
INFINITE = ("influence", "dampening", "log_weight_min")  # of the bounded ratio: N3
CASES = [
    (kind, name)
    for name in QUANTITIES
    for kind in KINDS
    if kind == "published" or name not in INFINITE
]
SMALL = ScheduleBox(("1.9", "2.1"), "0.5", 1, (2, "2.1"))
POINT = ScheduleBox(2, "0.5", 1, 2)


@pytest.fixture(scope="module")
def found():
    """Certificates of every quantity over a box with three parameters that vary, checked."""
    box = ScheduleBox(("1.9", "2.1"), ("0.48", "0.52"), 1, ("1.9", "2.1"))
    certificates = {
        (kind, name): certify_box(name, box, kind=kind, tolerance=0.02) for kind, name in CASES
    }
    for one in certificates.values():
        check(one)
    return certificates


@settings(max_examples=40)
@given(
    case=st.sampled_from(CASES),
    at=st.tuples(*[st.floats(0, 1)] * 3),
    far=st.sampled_from([1.0, 5.0, 60.0]),
)
def test_no_schedule_of_the_box_exceeds_the_bound(found, case, at, far):
    kind, name = case
    ends = [(1.9, 2.1), (0.48, 0.52), (1.9, 2.1)]
    c_max, c_min, tau = (low + (high - low) * a for (low, high), a in zip(ends, at, strict=True))
    weighting = KINDS[kind](MarginSchedule(c_max, c_min, 1.0, tau))
    h = np.linspace(-far if QUANTITIES[name].two_sided else 0.0, far, 4001)
    # 2e-8: differences of floats below 100 over STEP are exact to 1e-14 / STEP.
    assert values(name, h, weighting).max() <= found[case]["upper"] + 2e-8


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_the_witness_attains_the_lower_end(found, kind, name):
    one = found[kind, name]
    margin, *schedule = (float(Fraction(x)) for x in one["witness"])
    weighting, h = KINDS[kind](MarginSchedule(*schedule)), margin * schedule[3]
    near = values(name, np.array([h, h - 2 * STEP]), weighting)  # either side of a kink
    assert near.max() >= one["lower"] - 1e-4  # a slope changes by less than this over 2 STEP
    assert one["lower"] <= one["upper"] <= one["lower"] + 0.02 + 1e-12


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_box_of_one_schedule_agrees_with_the_certificate_of_that_schedule(kind, name):
    weighting = KINDS[kind](MarginSchedule.class_defaults(exact=True))
    one = certify(name, weighting, tolerance=1e-4)
    check(one)
    box = box_supremum(name, POINT, kind=kind, tolerance=1e-4)
    assert one["lower"] <= box.upper and box.lower <= one["upper"]


@pytest.mark.parametrize("name", INFINITE)
def test_what_is_infinite_is_refused(name):
    with pytest.raises(ValueError, match="infinite"):
        certify_box(name, SMALL, kind="bounded_ratio")
    with pytest.raises(ValueError, match="infinite"):
        certify(name, BoundedRatioWeight(MarginSchedule.class_defaults(exact=True)))


def test_other_weights_are_refused():
    with pytest.raises(TypeError, match=r"the checker knows, got ScaledWeight; supremum\("):
        certify("sensitivity", ScaledWeight(MarginSchedule(), 0.1))
    with pytest.raises(ValueError, match="the weight must be one of"):
        certify_box("sensitivity", SMALL, kind="scaled")


def test_a_false_bound_is_answered_by_a_schedule_that_breaks_it():
    with pytest.raises(ExceedsBound, match=r"is not <= 0\.3") as error:
        certify_box("influence", SMALL, bound=0.3)
    one = error.value
    schedule = MarginSchedule(*map(float, one.schedule))
    delta = log_weight_ratio(float(one.margin) * schedule.tau, schedule)
    assert abs(delta) > 0.3 and abs(abs(delta) - one.value) < 1e-12


def test_giving_up_is_an_error_not_a_bound():
    with pytest.raises(RuntimeError, match="50 boxes leave"):
        box_supremum("dampening", CLASS_BOX, tolerance=1e-6, limit=50)


@pytest.mark.parametrize(
    ("sides", "error", "rule"),
    [
        ((1.9, "0.5", 1, 2), TypeError, "rounded float"),
        ((("2.1", "1.9"), "0.5", 1, 2), ValueError, "no interval"),
        (((1, 2), "0.5", 1, 2), ValueError, "c_max"),
        ((2, ("0.5", 1), 1, 2), ValueError, "c_min"),
        ((2, "0.5", (0, 1), 2), ValueError, "lam"),
        ((2, "0.5", 1, (0, 1)), ValueError, "tau"),
        (("two", "0.5", 1, 2), TypeError, "rational"),
    ],
)
def test_boxes_that_are_none_are_refused(sides, error, rule):
    with pytest.raises(error, match=rule):
        ScheduleBox(*sides)


def test_margins_left_of_minus_tau_are_refused():
    with pytest.raises(ValueError, match="-1 <= low <= high"):
        certify_box("weight_slope", SMALL, within=(-2, 0))


@pytest.fixture(scope="module")
def influence():
    one = certify_box("influence", SMALL, tolerance=1e-3)
    check(one)
    assert {"0", "1", "."} & set("".join(one["trees"]["+"]))
    return one


def tree(change):
    """A certificate with its first tree changed."""
    return lambda c: (
        c | {"trees": c["trees"] | {"+": [change(c["trees"]["+"][0])] + c["trees"]["+"][1:]}}
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c | {"upper": c["lower"]}, "confirm|exceed"),
        (lambda c: c | {"lower": c["upper"] + 1.0}, "attain"),
        (lambda c: c | {"lower": c["lower"] + 0.01, "upper": c["upper"] + 0.01}, "attain"),
        (lambda c: c | {"upper": float("inf")}, "must be finite"),
        (lambda c: c | {"upper": float("nan")}, "no float"),
        (lambda c: c | {"box": c["box"] | {"c_max": ["19/10", "3"]}}, "confirm"),
        (lambda c: c | {"box": c["box"] | {"tau": ["2", "4"]}}, "confirm"),
        (lambda c: c | {"box": c["box"] | {"tau": ["0", "4"]}}, "no schedule"),
        (lambda c: c | {"box": c["box"] | {"tau": ["4", "2"]}}, "outside the box"),
        (lambda c: c | {"box": c["box"] | {"c_max": ["19/10", "2"]}}, "outside the box"),
        (lambda c: c | {"witness": ["0", *c["witness"][1:]]}, "attain"),
        (lambda c: c | {"witness": c["witness"][:4]}, "no list of 5"),
        (lambda c: c | {"witness": ["70", *c["witness"][1:]]}, "outside"),
        (lambda c: c | {"quantity": "sensitivity"}, "confirm|attain|exceed"),
        (lambda c: c | {"quantity": "fame"}, "unknown quantity"),
        (lambda c: c | {"weighting": "bounded_ratio"}, "no finite"),
        (lambda c: c | {"weighting": "scaled"}, "unknown weighting"),
        (lambda c: c | {"trees": {"+": c["trees"]["+"]}}, "expected"),
        (lambda c: c | {"trees": {s: t[:1] for s, t in c["trees"].items()}}, "tail|starts before"),
        (lambda c: c | {"trees": c["trees"] | {"-": c["trees"]["-"][:1]}}, "cannot cover"),
        (lambda c: c | {"within": ["0", "3"]}, "cannot cover"),
        (tree(lambda t: t[:-1]), "breaks off"),
        (tree(lambda t: t + "."), "after its end"),
        (tree(lambda t: "7" + t), "foreign"),
        (tree(lambda t: "a" + t), "monotone"),
        (tree(lambda t: t.replace("B", "b").replace("D", "d").replace("E", "e")), "monotone"),
        (lambda c: {k: v for k, v in c.items() if k != "trees"}, "amiss: 'trees'"),
    ],
)
def test_checker_refuses_what_is_not_proved(influence, change, reason):
    with pytest.raises(ValueError, match=reason):
        check(change(json.loads(json.dumps(influence))))


def test_a_tree_that_proves_too_early_is_completed_or_refused(influence):
    """The checker splits on by itself: a bare leaf is as good as the tree if the bound is true."""
    bare = {s: ["." for _ in trees] for s, trees in influence["trees"].items()}
    check(influence | {"trees": bare})
    with pytest.raises(ValueError, match="confirm"):
        check(influence | {"trees": bare, "upper": influence["lower"]})


def test_checker_runs_from_its_file_alone(influence, tmp_path):
    path = write_certificate(influence, tmp_path)
    script = tmp_path / "checker.py"
    script.write_bytes(Path(checker.__file__).read_bytes())
    run = [sys.executable, "-I", str(script), str(path)]
    accepted = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path)
    assert accepted.returncode == 0 and accepted.stdout.startswith("accepted"), accepted


def test_the_target_increases_around_the_class_defaults_and_falls_around_the_released():
    rises = certify_box("target_slope_min", CLASS_BOX, bound=0.0)
    falls = certify_box("target_slope_max", RELEASED_BOX, bound=-1.0, within="0.97")
    check(rises)
    check(falls)
    with pytest.raises(ExceedsBound):
        certify_box("target_slope_min", RELEASED_BOX, bound=0.0)


def test_monotone_cells_agree_with_the_floats():
    tau = [1, "2.5", 4, "5.5", 7]
    cells = monotone_cells(["1.5", "2", "3"], "0.5", 1, tau, within=(0, 1))
    assert cells.shape == (2, 1, 1, 4)
    # T increases on [0, tau] iff lam tau <= 4, 3, 2.5 for c_max = 1.5, 2, 3 at c_min = 1/2: the
    # cells in between, and those with such a point as a corner, are not decided.
    decided = [[cell.verdict for cell in row] for row in cells[:, 0, 0, :]]
    assert decided == [
        ["increases", "undecided", "undecided", "falls"],
        ["undecided", "undecided", "falls", "falls"],
    ]
    for cell in cells.flat:
        for end in (0, 1):
            schedule = MarginSchedule(*(float(side[end]) for side in cell.box.sides))
            h = np.linspace(0, schedule.tau, 2001)
            steps = np.diff(h + log_weight_ratio(h, schedule))
            if cell.verdict == "increases":
                assert steps.min() >= -1e-12
            elif cell.verdict == "falls":
                at = int(cell.at * 2000)
                assert steps[at] < 0 and cell.certificate["upper"] < 0


def test_a_kept_certificate_is_found_again_and_believed_only_if_true(tmp_path, monkeypatch):
    one, path = kept_certificate(tmp_path, "influence", SMALL, tolerance=1e-2)
    stamp = path.stat().st_mtime_ns
    monkeypatch.setattr(certificate, "box_supremum", lambda *a, **k: pytest.fail("found again"))
    again, same = kept_certificate(tmp_path, "influence", SMALL, tolerance=1e-2)
    assert (again, same) == (one, path) and path.stat().st_mtime_ns == stamp
    monkeypatch.undo()
    for damaged in (
        path.read_text()[:-30],
        "[]",
        json.dumps(one | {"upper": one["lower"]}),
        json.dumps(certify_box("sensitivity", SMALL, tolerance=0.1)),  # true, another question
    ):
        path.write_text(damaged)
        repaired, _ = kept_certificate(tmp_path, "influence", SMALL, tolerance=1e-2)
        assert repaired == one and json.loads(path.read_text()) == one


def test_another_question_or_other_formulas_have_another_name(tmp_path, monkeypatch):
    schedule = MarginSchedule.class_defaults(exact=True)
    asked = [
        ("influence", SMALL, {"tolerance": 1e-1}),
        ("influence", SMALL, {"tolerance": 2e-1}),
        ("influence", SMALL, {"bound": 0.5}),
        ("influence", SMALL, {"bound": 0.5, "within": (0, 1)}),
        ("influence", POINT, {"tolerance": 1e-1}),
        ("sensitivity", SMALL, {"bound": 0.9}),
        ("sensitivity", SMALL, {"bound": 0.9, "kind": "bounded_ratio"}),
        ("sensitivity", schedule, {}),
        ("sensitivity", schedule, {"tolerance": 1e-3}),
        ("sensitivity", BoundedRatioWeight(schedule), {}),
    ]
    names = [kept_certificate(tmp_path, n, s, **o)[1].name for n, s, o in asked]
    assert len(set(names)) == len(names)
    monkeypatch.setattr(certificate, "_sources", lambda *asked: "other formulas")
    assert kept_certificate(tmp_path, *asked[0][:2], **asked[0][2])[1].name not in names
