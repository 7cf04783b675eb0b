"""Certificates over boxes of schedules: bounds hold inside, and no falsehood is accepted."""

import functools
import hashlib
import itertools
import json
import math
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
from flint import arb, ctx, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st
from quantity_values import STEP, values

from madpo_theory import MarginSchedule, log_weight_ratio
from madpo_theory.certify import (
    QUANTITIES,
    ExceedsBound,
    ScheduleBox,
    box_supremum,
    boxes,
    certificate,
    certify,
    certify_box,
    check,
    checker,
    grid,
    jets,
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


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_certificate_is_accepted_as_its_file_has_it(kind, name):
    weighting = KINDS[kind](MarginSchedule.class_defaults(exact=True))
    check(json.loads(json.dumps(certify(name, weighting, tolerance=0.05))))


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
    for within in ((-2, 0), (1, 0), [0, "-1/2"], "-1.01"):
        with pytest.raises(ValueError, match="-1 <= low <= high"):
            certify_box("weight_slope", SMALL, within=within)
    assert certificate._limits(None) is None
    assert certificate._limits((-1, "1/2")) == (-1, Fraction(1, 2))
    assert certificate._limits("0.97") == (Fraction(97, 100),) * 2
    assert certificate._limits([0, 0]) == (0, 0)


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


def test_a_certificate_is_named_after_what_it_is_of(tmp_path):
    """Its quantity, its weight, its parameters, and twelve digits of a key."""
    key = "0123456789abcdef"
    schedule = MarginSchedule.released(exact=True)
    ratio = BoundedRatioWeight(MarginSchedule(Fraction(5, 2), 0.0, 1, 2))
    for made, name in (
        (certify("influence", schedule, tolerance=0.5), "influence-2-1_2-1-log999"),
        (certify("sensitivity", ratio, tolerance=0.5), "sensitivity-bounded_ratio-5_2-0-1-2"),
        (certify_box("influence", SMALL, bound=9.0), "influence-19_10_to_21_10-1_2-1-2_to_21_10"),
    ):
        path = write_certificate(made, tmp_path, key=key)
        assert path == tmp_path / f"{name}-0123456789ab.json"
        assert path.read_text() == json.dumps(made) + "\n"
        by_content = write_certificate(made, tmp_path)
        text = json.dumps(made, sort_keys=True).encode()
        assert by_content.name == f"{name}-{hashlib.sha256(text).hexdigest()[:12]}.json"


def test_a_certificate_says_what_was_asked_for():
    """In the words of its format, whatever was given."""
    one = certify("sensitivity", BoundedRatioWeight(MarginSchedule(2, 0.25, 1, 2)), tolerance=0.1)
    assert {k: one[k] for k in ("format", "quantity", "weighting", "schedule", "lo")} == {
        "format": "madpo-theory supremum 2",
        "quantity": "sensitivity",
        "weighting": "bounded_ratio",
        "schedule": {"c_max": "2", "c_min": "1/4", "lam": "1", "tau": "2"},
        "lo": 0,
    }
    assert one["hi"] == max(Fraction(index + 1, 2**level) for level, index in one["boxes"])
    two = certify_box("dampening", POINT, bound=1, within=(0, 1))
    assert {k: two[k] for k in ("format", "quantity", "weighting", "box", "within", "upper")} == {
        "format": "madpo-theory box supremum 1",
        "quantity": "dampening",
        "weighting": "published",
        "box": {"c_max": ["2", "2"], "c_min": ["1/2"] * 2, "lam": ["1", "1"], "tau": ["2", "2"]},
        "within": ["0", "1"],
        "upper": 1.0,
    }
    assert list(two["trees"]) == ["+"] and len(two["witness"]) == 5
    falls = certify_box("target_slope_min", POINT, bound=1, within="1/2")
    assert list(falls["trees"]) == ["-"]
    both = certify_box("influence", POINT, bound=1, within="1/2")
    assert sorted(both["trees"]) == ["+", "-"]


def test_the_search_goes_on_at_the_face_on_which_the_quantity_is_largest():
    unknown, sides = arb(-1).union(arb(1)), [(0, 1)] * 4 + [(2, 2)]
    assert boxes._faces(sides, [arb(0.5), arb(-0.5), unknown, arb(0), arb(1)]) == "AbD"
    assert boxes._onto(tuple(sides), "AbD") == ((1, 1), (0, 0), (0, 1), (1, 1), (2, 2))


@pytest.mark.parametrize(
    ("effects", "sides", "dimension"),
    [
        ([0, 3, 1, 0, 0], [(0, 1)] * 5, 1),
        ([0, 3, 1, 0, 4], [(0, 1)] * 5, 4),
        (None, [(4, 5), (4, 5), (1, 1), (1, 1), (1, 1)], 0),
        (None, [(4, 4.1), (4, 5), (8, 9), (1, 1), (1, 1)], 1),
        ([math.inf, 9, 0, 0, 0], [(4, 4.1), (4, 4.1), (8, 9), (1, 1), (1, 2)], 4),
        (None, [(0, 0), (4, 4.1), (0, 0), (1, 1), (1, 1)], 1),
        (None, [(-1, 0), (4, 5), (0, 0), (1, 1.5), (1, 1)], 0),
    ],
)
def test_the_search_cuts_where_it_costs_most_or_where_it_is_widest(effects, sides, dimension):
    node = boxes._Node(sides)
    node.effects = effects
    assert boxes._split(node) == dimension


@pytest.mark.parametrize(
    ("two_sided", "within", "ends"),
    [
        (True, None, [-1, 0, 1, 2]),
        (False, None, [0, 1, 2]),
        (False, ("1/2", "5/2"), ["1/2", 1, 2, "5/2"]),
        (True, ("-1", "0"), [-1, 0]),
        (False, ("1", "1"), [1, 1]),
        (False, ("1/2", "1/2"), ["1/2", "1/2"]),
    ],
)
def test_margins_are_searched_between_integers(two_sided, within, ends):
    limits = None if within is None else tuple(map(Fraction, within))
    ends = list(map(Fraction, ends))
    assert boxes.unit_intervals(two_sided, limits) == list(itertools.pairwise(ends))


@pytest.mark.parametrize("name", ["log_weight_max", "weight_slope"])
def test_branches_are_chosen_inside_the_box(name):
    """That of min(log w, 0) by c, which for c_max below 3/2 is below 1 at no point of the box."""
    low, high = (MarginSchedule(c_max, 0.5, 1, 2) for c_max in (1.2, 1.3))
    one = certify_box(
        name, ScheduleBox(("1.2", "1.3"), "1/2", 1, 2), kind="bounded_ratio", tolerance=0.05
    )
    check(one)
    h = np.linspace(-8, 8, 4001)
    largest = max(values(name, h, BoundedRatioWeight(s)).max() for s in (low, high))
    assert largest <= one["upper"] + 2e-8 and one["upper"] <= one["lower"] + 0.05 + 1e-12


def test_a_supremum_beyond_two_taus_is_found():
    """Of -delta at c_max = 2, c_min = 1/2, lam = 1, tau = 6/5: between 2 and 3 taus."""
    one = certify_box("dampening", ScheduleBox(2, "1/2", 1, "6/5"), tolerance=1e-4)
    check(one)
    h = np.linspace(0, 20, 200_001)
    dampened = -log_weight_ratio(h, MarginSchedule(2, 0.5, 1, 1.2))
    at = h[np.argmax(dampened)] / 1.2
    assert 2.2 < at < 2.8 and abs(float(Fraction(one["witness"][0])) - at) < 0.1
    # a grid of 1e-4 nats misses the top by less than 1e-8
    assert one["lower"] - 1e-8 <= dampened.max() <= one["upper"] <= one["lower"] + 1.01e-4


def test_the_margin_at_which_a_target_falls_is_guessed_at_the_middle_schedule():
    steep, gentle = (ScheduleBox(2, "1/2", 1, (t - 1, t + 1)) for t in (6, 2))
    at, h = grid._lowest(steep, "published", None), np.linspace(0, 24, 24_001)
    target = h + log_weight_ratio(h, MarginSchedule(2, 0.5, 1, 6.0))
    falls = h[np.argmin(np.diff(target))] / 6
    assert abs(float(at) - falls) < 1 / 64
    inside = grid._lowest(steep, "published", (Fraction(0), Fraction(1, 2)))
    assert inside is None or inside <= Fraction(1, 2)
    assert grid._lowest(gentle, "published", None) is None
    near = grid._lowest(steep, "published", (Fraction(3, 4), Fraction(5, 4)))
    assert abs(float(near) - falls) < 1 / 64
    assert grid._intervals("1/2") == ["1/2"] and grid._intervals([3]) == [3]
    assert grid._intervals(range(3)) == [(0, 1), (1, 2)]


@pytest.mark.parametrize("name", QUANTITIES)
def test_a_box_whose_least_coefficient_is_0_is_certified(name):
    """The size of a parameter that is 0 is no unit of its width."""
    found = certify_box(name, ScheduleBox(("1.9", "2.1"), 0, 1, (2, "2.1")), bound=5.0)
    check(found)
    check(found | {"trees": {sign: ["."] * len(trees) for sign, trees in found["trees"].items()}})


# --- the search, of quantities made up for it ----------------------------------------------------


def made_up(formula, tail=lambda weighting, far: arb(0), signs=(1,), derivative=0):
    return SimpleNamespace(
        name="q", formula=formula, tail=tail, signs=signs, derivative=derivative, two_sided=False
    )


def search_of(quantity, box=POINT, bound=None, tolerance=0.1, limit=1000):
    return boxes._Search(quantity, "published", box, bound, tolerance, limit)


def one_everywhere(xp, h, weighting):
    return 0 * h + 1


@pytest.mark.parametrize(
    ("tolerance", "bound", "end"),
    [
        (0.2, None, 2), (0.1, None, 5), (0.04, None, 8), (0.03, None, 8),
        (0.04, 1.2, 2), (0.04, 1.1, 5), (0.2, 1.05, 5), (0.2, 1.04, 8),
    ],
)  # fmt: skip
def test_the_search_goes_outward_until_the_tail_decides_nothing(tolerance, bound, end):
    """Of what is 1 everywhere; beyond 2, 5 and 8 tau of 2 nats 1.11, 1.05 and 1.03 are known."""

    def tail(weighting, far):
        return arb("1.11") if far < 10 else arb("1.05") if far < 16 else arb(1) + arb(1) / 64

    bound = None if bound is None else bound + 2.0**-40  # the float of 1.05 may lie below it
    search = search_of(made_up(one_everywhere, tail), bound=bound, tolerance=tolerance + 2.0**-40)
    search.add(fmpq(0), fmpq(2))
    search.run()
    known = {2: 1.11, 5: 1.05, 8: 1 + 1 / 64}[end]
    assert search.add_tail(2) == pytest.approx(known, abs=1e-15)
    sides = [node.sides[0] for node in search.roots[1]]
    assert sides == [(0, 2), *((k, k + 1) for k in range(2, end))]


def test_the_search_gives_up_where_no_tail_decides():
    search = search_of(made_up(one_everywhere, lambda weighting, far: None), limit=5)
    search.add(fmpq(0), fmpq(2))
    with pytest.raises(RuntimeError, match=r"q over .*: beyond 6 tau only <= inf is known, which"):
        search.add_tail(2)
    late = made_up(one_everywhere, lambda weighting, far: arb(9) if far >= 8 else None)
    search = search_of(late, limit=300)
    search.add(fmpq(0), fmpq(2))
    with pytest.raises(RuntimeError, match=r"beyond 257 tau only <= 9.0 is known, which is above"):
        search.add_tail(2)


def test_a_bound_that_is_just_met_is_proved_at_once():
    search = search_of(made_up(one_everywhere), bound=1)
    search.add(fmpq(0), fmpq(2))
    search.run()
    assert search.lower == search.upper == search.bound == 1.0
    assert [node.tree() for node in search.roots[1]] == ["."]
    with pytest.raises(ExceedsBound) as error:
        search = search_of(made_up(one_everywhere), bound=1 - 2.0**-53)
        search.add(fmpq(0), fmpq(2))
        search.run()
    assert (error.value.margin, error.value.value) == (1, 1.0)
    assert error.value.schedule == (2, Fraction(1, 2), 1, 2)


@pytest.mark.parametrize("derivative", [0, 1])
def test_the_search_takes_as_many_boxes_as_its_limit_and_no_more(derivative):
    """Of h (2 - h), and of the slope of h^2 - h^3/3, which is that, over [0, 2] nats."""

    def formula(xp, h, weighting):
        return h * (2 - h) if derivative == 0 else h * h - h * h * h / 3

    def found(limit):
        search = search_of(made_up(formula, derivative=derivative), tolerance=0.01, limit=limit)
        search.add(fmpq(0), fmpq(1))
        search.run()
        assert search.lower <= 1 <= search.upper <= search.lower + 0.01
        return len(search.heap)

    enough = found(1000)
    assert 3 <= enough == found(enough - 1)
    with pytest.raises(RuntimeError, match=rf"q over c_max 2 .*: {enough - 2} boxes leave \["):
        found(enough - 2)


def test_the_least_of_a_quantity_is_searched_under_its_other_sign():
    search = search_of(made_up(lambda xp, h, weighting: h * (2 - h), signs=(1, -1)))
    search.add(fmpq(0), fmpq(1))
    search.run()
    assert sorted(search.roots) == [-1, 1] and 0.9 < search.lower <= 1 <= search.upper
    least = search_of(made_up(lambda xp, h, weighting: h * (h - 2), signs=(-1,)))
    least.add(fmpq(0), fmpq(1))
    least.run()
    assert 0.9 < least.lower <= 1 <= least.upper


def test_a_supremum_counts_the_boxes_on_which_it_was_proved():
    trees = {"+": (".", "0A..", "01..."), "-": ("B.",)}
    assert boxes.BoxSupremum(0.0, 1.0, (), trees).leaves == 7


@pytest.mark.parametrize("end", ["1/0", "x", math.inf, math.nan, None, [1], 1.5, Decimal("inf")])
def test_an_end_that_is_no_exact_number_is_refused(end):
    with pytest.raises(TypeError, match=r"^c_max (must be rational, got|= .* is a rounded float)"):
        ScheduleBox((2, end), "1/2", 1, 2)
    assert ScheduleBox(2.0, "0.5", 1, 2) == POINT


def test_the_section_has_the_cells_that_it_says(monkeypatch):
    asked = []

    def cells(*edges):
        asked.extend(edges)
        return np.arange(12 * 16).reshape(12, 1, 1, 16)

    monkeypatch.setattr(grid, "monotone_cells", cells)
    assert grid.section_cells.__wrapped__().tolist() == np.arange(192).reshape(12, 16).tolist()
    c_max, c_min, lam, tau = asked
    assert list(map(float, c_max)) == pytest.approx(np.linspace(1.2, 4.2, 13), abs=1e-15)
    assert list(map(float, tau)) == np.linspace(0.5, 8.5, 17).tolist()
    assert Fraction(c_min) == Fraction(1, 2) and lam == 1 and c_max[0] == Fraction("1.2")


def test_each_cell_is_asked_for_as_it_was_given(monkeypatch):
    """Rising where the target of the middle schedule falls nowhere, else falling at a margin."""
    asked, at = [], Fraction(7, 8)
    monkeypatch.setattr(grid, "check", lambda found: None)
    monkeypatch.setattr(grid, "certify_box", lambda *a, **k: asked.append((*a, k)) or "found")
    for falls in (None, at):
        monkeypatch.setattr(grid, "_lowest", lambda *given, falls=falls: falls)
        (cell,) = grid.monotone_cells(
            2, ["1/2"], 1, (2, 3), kind="bounded_ratio", within=(0, 1), limit=7
        ).flat
        name, box, options = asked.pop()
        assert (
            str(box) == "c_max 2 x c_min 1/2 x lam 1 x tau [2, 3]" and cell.certificate == "found"
        )
        common = {"kind": "bounded_ratio", "limit": 7}
        if falls is None:
            assert (name, cell.verdict, cell.at) == ("target_slope_min", "increases", None)
            assert options == common | {"bound": 0.0, "within": (0, 1)}
        else:
            assert (name, cell.verdict, cell.at) == ("target_slope_max", "falls", at)
            assert options == common | {"bound": -1e-9, "within": at}
    for error in (ValueError, RuntimeError):

        def fails(*given, error=error, **options):
            raise error

        monkeypatch.setattr(grid, "certify_box", fails)
        (cell,) = grid.monotone_cells(2, "1/2", 1, 2).flat
        assert cell == grid.Cell(cell.box, "undecided", None, None)


@pytest.mark.parametrize(
    ("within", "low", "high"),
    [
        (None, 0, 4),
        ((Fraction(3, 4), Fraction(5, 4)), 0.75, 1.25),
        ((Fraction(1), Fraction(3)), 1, 3),
    ],
)
def test_the_guess_is_the_middle_of_64_steps_of_each_tau(within, low, high, monkeypatch):
    box = ScheduleBox((2, 3), ("1/4", "1/2"), (1, 2), (2, 4))
    steps = 64 * math.ceil(high - low)
    edges = low + (high - low) * np.arange(steps + 1) / steps  # exact: powers of 2
    for falling in (0, 5, steps - 1):

        def target(h, h_true, weighting, falling=falling):
            assert h is h_true and weighting.schedule == MarginSchedule(2.5, 0.375, 1.5, 3.0)
            assert h.tolist() == (3 * edges).tolist()
            return np.where(np.arange(steps + 1) > falling, -1.0, 0.0)

        monkeypatch.setattr(grid, "effective_target", target)
        found = grid._lowest(box, "published", within)
        assert found == (Fraction(edges[falling]) + Fraction(edges[falling + 1])) / 2
    monkeypatch.setattr(grid, "effective_target", lambda h, *rest: 0 * h)
    assert grid._lowest(box, "published", within) is None


def test_edges_are_cells_and_a_number_is_one():
    cells = [("1", "2"), ("2", "4")]
    assert grid._intervals(["1", "2", "4"]) == grid._intervals(("1", "2", "4")) == cells
    assert grid._intervals(np.array([1, 2, 4])) == [(1, 2), (2, 4)]
    assert grid._intervals(("1/2",)) == ["1/2"] and grid._intervals(3) == [3]
    assert grid._intervals([]) == []


# --- arithmetic: the jets of search and checker --------------------------------------------------

mp = mpmath.mp.clone()
mp.dps = 60
NUMBERS = SimpleNamespace(
    exp=mp.exp,
    log=mp.log,
    softplus=lambda x: mp.log1p(mp.exp(x)),
    logistic=lambda x, k=1: 1 / (1 + k * mp.exp(x)),
    expm1=mp.expm1,
    log1p=mp.log1p,
    sigmoid=lambda x: 1 / (1 + mp.exp(-x)),
    tanh=mp.tanh,
    exp_difference=lambda a, b, x: mp.exp(-a) - mp.exp(-b),
    mobius_exp=lambda a, k: (1 - mp.exp(a)) / (1 + k * mp.exp(a)),
    where_greater=lambda x, y, above, below: above if x > y else below,
    minimum=min,
)
OF_CHECKER = SimpleNamespace(
    exp=checker._exp, log=checker._log, softplus=checker._softplus, logistic=checker._logistic
)
BOTH = {
    "sum": lambda w, h, p, q: h + p + 2,
    "difference": lambda w, h, p, q: h * q - p - 3,
    "product": lambda w, h, p, q: (h + p) * (h * q + p) * h,
    "exp": lambda w, h, p, q: w.exp(h * p + q * h * h),
    "log": lambda w, h, p, q: w.log(h * p + q * h * h),
    "softplus": lambda w, h, p, q: w.softplus(h * p + q * h * h),
}
CHECKED = {"logistic": lambda w, h, p, q: w.logistic(h * p + q * h * h)}
SEARCHED = {
    "negative": lambda w, h, p, q: -(h * p * q) + 1,
    "from a number": lambda w, h, p, q: 3 - 2 * h * p * q,
    "quotient": lambda w, h, p, q: h * h * q / (h + p),
    "part": lambda w, h, p, q: h * h * q / 4,
    "reciprocal": lambda w, h, p, q: 3 / (h * q + p * h * h),
    "expm1": lambda w, h, p, q: w.expm1(h * p + q * h * h),
    "log1p": lambda w, h, p, q: w.log1p(h * p + q * h * h),
    "sigmoid": lambda w, h, p, q: w.sigmoid(h * p + q * h * h),
    "tanh": lambda w, h, p, q: w.tanh(h * p + q * h * h),
    "difference of e": lambda w, h, p, q: w.exp_difference(h * p, h * q, h * q - h * p),
    "logistic of two": lambda w, h, p, q: w.logistic(h * p + h * h, q),
    "mobius": lambda w, h, p, q: w.mobius_exp(h * p + h * h * q, q * p),
    "branch": lambda w, h, p, q: w.where_greater(h, 0.5, h * p, q) * w.where_greater(h, 1, q, p),
    "minimum": lambda w, h, p, q: w.minimum(h * p, q) * w.minimum(q * q, h + p),
}
POINT_OF_JETS = (mp.mpf("0.75"), mp.mpf("1.25"), mp.mpf("0.5"))
ORDERS = ["value", "first", "second", *((d, k) for d in (1, 2) for k in (0, 1))]


def derivatives(expression, point):
    """{order: derivative at a point}, as a jet has them, by differences at 60 digits."""

    def at(*orders):
        return mp.diff(lambda *x: expression(NUMBERS, *x), point, orders)

    found = [at(0, 0, 0), at(1, 0, 0), at(2, 0, 0), at(0, 1, 0), at(1, 1, 0), at(0, 0, 1)]
    return dict(zip(ORDERS, [*found, at(1, 0, 1)], strict=True))


def ball_of(number, radius=0):
    return arb(mp.nstr(number, 50), radius)


def searched(expression, point, radius=0):
    """{order: ball} over |x - point| <= radius by the search's jets, and what it branches by."""
    h, p, q = (ball_of(x, radius) for x in point)
    inside = [ball_of(x + mp.mpf("0.01")) for x in point]
    found = expression(
        jets,
        jets.Jet(h, arb(1), inside=inside[0]),
        jets.parameter(1, p, inside[1], varies=True),
        jets.parameter(2, q, inside[2], varies=True),
    )
    slopes = [found.f_p.get(d, (arb(0), arb(0)))[k] for d in (1, 2) for k in (0, 1)]
    values = [found.f, found.f_h, found.f_hh, *slopes]
    return dict(zip(ORDERS, values, strict=True)), found.inside


def checked(expression, point, radius=0):
    """The same by the checker's."""
    h, p, q = (ball_of(x, radius) for x in point)
    jet = checker._Jet
    given = jet(h, 1), *(jet(x, partial={d: (arb(1), arb(0))}) for d, x in ((1, p), (2, q)))
    found = expression(OF_CHECKER, *given)
    slopes = [found.slopes(d)[k] for d in (1, 2) for k in (0, 1)]
    return dict(zip(ORDERS, [found.value, found.first, found.second, *slopes], strict=True)), None


EXPRESSIONS = BOTH | SEARCHED | CHECKED
JETS = [(name, searched) for name in BOTH | SEARCHED]
JETS += [(name, checked) for name in BOTH | CHECKED]


@pytest.mark.parametrize(("name", "jet_of"), JETS, ids=lambda x: getattr(x, "__name__", x))
def test_a_jet_carries_the_derivatives(name, jet_of):
    expression = EXPRESSIONS[name]
    with ctx.workprec(160):
        found, inside = jet_of(expression, POINT_OF_JETS)
        for order, expected in derivatives(expression, POINT_OF_JETS).items():
            # a second difference at 60 digits is good to about 20
            assert abs(found[order] - ball_of(expected)) < 1e-18, order
        if inside is not None:
            there = expression(NUMBERS, *(x + mp.mpf("0.01") for x in POINT_OF_JETS))
            assert abs(inside - ball_of(there)) < 1e-40


@pytest.mark.parametrize(("name", "jet_of"), JETS, ids=lambda x: getattr(x, "__name__", x))
def test_a_jet_over_a_box_holds_the_derivatives_inside(name, jet_of):
    expression, corner = EXPRESSIONS[name], mp.mpf("0.02")
    with ctx.workprec(160):
        found, _ = jet_of(expression, POINT_OF_JETS, 1 / 50)
        for signs in ((1, 1, 1), (-1, 1, -1), (0, -1, 1)):
            point = [x + sign * corner for x, sign in zip(POINT_OF_JETS, signs, strict=True)]
            for order, expected in derivatives(expression, point).items():
                assert found[order].overlaps(ball_of(expected, 1e-18)), (order, signs)
                # what dependence costs: about as much as the values move over the box
                assert found[order].rad() < 1.2 * (1 + abs(expected)), order


# --- the quantities, by their definition ---------------------------------------------------------


def coefficient_at(u, c_max, c_min, lam, tau):
    kappa = (c_max - 1) / (1 - c_min)
    return c_min + (c_max - c_min) / (1 + kappa * mp.exp(lam * (abs(u) - tau)))


def log_weight_at(kind, h, *schedule):
    c, tau = coefficient_at(h, *schedule), schedule[3]
    if h <= -tau or (kind == "bounded_ratio" and 0 <= h <= tau):
        return mp.mpf(0)
    if kind == "bounded_ratio":
        return (c - 1) * h
    return mp.log((1 + mp.exp(-h)) / (1 + mp.exp(-c * h)))


def function_at(name, kind, h, *schedule):
    """What the quantity is the value, or the slope, of."""
    log_w = log_weight_at(kind, h, *schedule)
    delta = log_w - log_weight_at(kind, -h, *schedule)
    return {
        "sensitivity": delta,
        "influence": delta,
        "dampening": max(-delta, 0),
        "log_weight_max": log_w,
        "log_weight_min": log_w,
        "target_slope_min": h + delta,
        "target_slope_max": h + delta,
        "weight_slope": mp.exp(log_w),
    }[name]


def quantity_at(name, kind, s, *schedule):
    """At h = s tau, by a difference at 60 digits."""
    order = checker._QUANTITIES[kind][name][0]
    return mp.diff(lambda h: function_at(name, kind, h, *schedule), s * schedule[3], order)


def near(ball, number, digits=1e-14):
    """Whether a narrow ball is the number, as far as nested differences have it."""
    return ball.rad() < 1e-8 and abs(ball - arb(mp.nstr(number, 40))) < digits


POINT_OF_BOX = tuple(map(mp.mpf, ("2.25", "0.375", "1.5", "1.75")))  # c_max, c_min, lam, tau


def evaluated(name, kind, sides, region):
    """(who, value, gradient) of a box by the checker, and by the search that it judges."""
    problem = checker._BoxProblem(name, kind)
    yield "checker", *problem.evaluate(sides, region)
    box = ScheduleBox(*[tuple(map(str, side)) for side in sides[1:]])
    yield (
        "search",
        *boxes._Search(QUANTITIES[name], kind, box, 1.0, 1.0, 9)._evaluate(sides, region, 1),
    )


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_quantity_and_its_five_slopes_are_those_of_the_definition(kind, name):
    two_sided = QUANTITIES[name].two_sided
    with ctx.workprec(200):
        for s, region in (("-0.625", -1), ("0.375", 0), ("0.875", 0), ("1.25", 1), ("2.5", 2)):
            point = mp.mpf(s), *POINT_OF_BOX
            if s.startswith("-") and not two_sided:
                continue
            tiny = fmpq(1, 10**15)
            exact = [fmpq(int(x * 1000), 1000) for x in point]
            sides = [(x - tiny, x + tiny) for x in exact]
            slopes = [
                mp.diff(
                    lambda *x: quantity_at(name, kind, *x), point, [int(d == k) for k in range(5)]
                )
                for d in range(5)
            ]
            for who, value, gradient in evaluated(name, kind, sides, region):
                assert near(value, quantity_at(name, kind, *point), 1e-10), (who, s)
                for d in range(5):
                    assert near(gradient[d], slopes[d], 1e-10), (who, s, d)
            for who, value, gradient in evaluated(name, kind, [(x, x) for x in exact], region):
                assert near(value, quantity_at(name, kind, *point)) and value.rad() < 1e-40, who
                assert gradient == [0] * 5, who


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_the_checker_takes_the_smooth_function_of_the_region(kind, name):
    """Value, slope and curvature at margins of all four regions."""
    schedule = checker._Schedule(*(Fraction(int(x * 1000), 1000) for x in POINT_OF_BOX))
    regions = [("rejected", -2), ("minus", -1), ("plus", 1), ("beyond", 2)]
    with ctx.workprec(200):
        for region, h in regions if QUANTITIES[name].two_sided else regions[2:]:
            function = functools.partial(checker._function, name, kind, schedule)
            found = checker._taylor(function, arb(h), 2, region)
            for order in range(3):
                expected = mp.diff(lambda u: function_at(name, kind, u, *POINT_OF_BOX), h, order)
                assert near(found[order], expected), (region, order)
        assert ctx.cap == 10
