"""Forged certificates: each breaks one rule of the checker, and only that rule refuses it.

Of every rule that the checker's docstring numbers there is a forgery here, most of them false
statements. It is refused in the rule's words; with the rule switched off it is accepted.
"""

import json
import math
import re
import subprocess
import sys
from copy import deepcopy
from fractions import Fraction
from types import SimpleNamespace

import pytest
from flint import arb, ctx, fmpq
from hypothesis import given
from hypothesis import strategies as st

from madpo_theory import MarginSchedule
from madpo_theory.certify import boxes, certificate, certify, checker, grid, kept_certificate
from madpo_theory.certify.checker import check, main, read, said

CLASS = {"c_max": "2", "c_min": "1/2", "lam": "1", "tau": "2"}
RELEASED = {"c_max": "2", "c_min": "1/2", "lam": "1", "tau": "log(999)"}
SHARP = {"c_max": "2", "c_min": "0", "lam": "2", "tau": "1"}


def one(quantity, schedule, lower, upper, hi, **changes):
    """A certificate of one schedule: unit boxes, and what the checker halves by itself.

    The witness is h = 1/2, unless another is given.
    """
    made = {
        "format": checker.FORMAT,
        "quantity": quantity,
        "weighting": "published",
        "schedule": schedule,
        "lower": lower,
        "upper": upper,
        "lo": 0,
        "hi": hi,
        "witness": [0, 0],
        "boxes": [[0, k] for k in range(hi)],
    }
    return made | changes


def box(quantity, lower, upper, trees, **changes):
    """A certificate of a box, of the class defaults alone unless a side is given."""
    sides = {p: [value, value] for p, value in CLASS.items()}
    sides |= {p: changes.pop(p) for p in CLASS if p in changes}
    made = {
        "format": checker.BOX_FORMAT,
        "quantity": quantity,
        "weighting": "published",
        "box": sides,
        "within": None,
        "lower": lower,
        "upper": upper,
        "witness": ["1/2", *(low for low, high in sides.values())],
        "trees": trees,
    }
    return made | changes


def both(*trees):
    return {"+": list(trees), "-": list(trees)}


# At the class defaults sup |delta| = 0.364178, at h = 0.997, and dampening is 0.0704, at h = 3.91;
# at the released schedule sup |delta| = 3.4747, at h = 4.39, and sup |delta'| = 2.3068, at 6.82.
TRUE = one("influence", CLASS, 0.24, 0.365, 3)
TRUE_BOX = box("influence", 0.36, 0.365, both(".", "."))
nothing = staticmethod(lambda *arguments: None)


def text(certificate, **changes):
    """The text of a certificate's file, with some of it replaced."""
    written = json.dumps(certificate)
    for before, after in changes.items():
        assert before in written
        written = written.replace(f'"{before}"', after)
    return written


def bounded(monkeypatch):
    """As if influence of the bounded ratio were known to be finite, with the published bound."""
    entry = checker._QUANTITIES["published"]["influence"]
    monkeypatch.setitem(checker._QUANTITIES["bounded_ratio"], "influence", entry)


def believing(name, given_up, blank):
    """Switch off a rule that refuses where `given_up` of its arguments: believe instead."""

    def off(monkeypatch):
        rule = getattr(checker, name)

        def believe(*arguments):
            return blank if given_up(*arguments) else rule(*arguments)

        monkeypatch.setattr(checker, name, believe)

    return off


def instead(name, function):
    """Switch off a rule that computes: `function` takes the rule's place, and gets it first."""

    def off(monkeypatch):
        rule = getattr(checker, name)
        monkeypatch.setattr(checker, name, lambda *arguments: function(rule, *arguments))

    return off


def at_centre(rule, function, ball, centre, derivative, region):
    return checker._taylor(function, centre, derivative, region)[derivative]


def at_middle(rule, *arguments):
    _, middle, costs = rule(*arguments)
    return middle, middle, costs


deep = [[1001, 0], *[[level, 1] for level in range(1001, 0, -1)], [0, 1], [0, 2]]
FORGERIES = [
    # (rule, the forgery, what the refusal says, how the rule is switched off if not by a blank)
    ("_unique", text(TRUE, lower='"lower": 0.3, "lower"'), "key is given twice"),
    ("_unique", text(TRUE, c_max='"c_max": "3", "c_max"'), "key is given twice"),
    ("at_most", text(TRUE) + " " * 2**26, "67108865 bytes of a file: at most"),
    ("at_most", TRUE | {"boxes": deep}, "1001 halvings or doublings"),
    (
        "at_most",
        TRUE | {"schedule": CLASS | {"lam": f"1{'0' * 500}/1{'0' * 500}"}},
        "1003 characters of a number",
    ),
    ("typed", TRUE | {"lo": 0.0}, "lo is no int: 0.0"),
    ("typed", TRUE | {"lo": False}, "lo is no int: False"),
    ("typed", TRUE | {"upper": 1}, "upper is no float: 1"),
    ("_finite", TRUE | {"upper": math.inf}, "upper = inf"),
    ("_finite", TRUE | {"lower": -math.inf}, "lower = -inf"),
    ("_finite", text(TRUE).replace("0.365", "1e400"), "upper = inf"),
    ("_finite", text(TRUE).replace("0.24", "-Infinity"), "lower = -inf"),
    ("typed", TRUE | {"note": "false"}, "amiss: 'note'"),
    ("typed", TRUE | {"schedule": CLASS | {"kappa": "7"}}, "amiss: 'kappa'"),
    ("typed", TRUE | {"witness": (0, 0)}, "witness is no list of 2: a tuple"),
    ("typed", TRUE_BOX | {"trees": {"+": "..", "-": ".."}}, "no list: '..'"),
    ("typed", TRUE_BOX | {"box": TRUE_BOX["box"] | {"lam": "11"}}, "lam is no list of 2: '11'"),
    ("_exact", TRUE | {"schedule": CLASS | {"c_max": "2.0"}}, "'2.0' is no exact number"),
    ("_exact", TRUE | {"schedule": CLASS | {"c_max": "2e0"}}, "'2e0' is no exact number"),
    ("_exact", TRUE | {"schedule": CLASS | {"c_max": " 2\n"}}, "is no exact number"),
    ("_exact", TRUE | {"schedule": CLASS | {"c_max": "\u0662"}}, "is no exact number"),
    (
        "_known",
        TRUE | {"weighting": "bounded_ratio", "upper": 0.9},
        "influence of the bounded_ratio weight has no finite supremum",
        bounded,
    ),
    ("_valid", one("influence", CLASS | {"tau": "0"}, 0.0, 0.7, 3), "no schedule"),
    (
        "_valid",
        box("influence", 0.0, 0.8, both("."), tau=["0", "2"], within=["0", "1"]),
        "no schedule",
    ),
    ("_covers", TRUE | {"boxes": [[2, 0], [0, 2]], "upper": 0.21, "lower": 0.0}, "gap or overlap"),
    ("_covers", TRUE | {"boxes": [[0, 2]], "upper": 0.21, "lower": 0.0}, "do not start at 0"),
    ("_covers", TRUE | {"boxes": [], "upper": 0.21, "lower": 0.0}, "do not start at 0"),
    ("_begins", one("log_weight_min", CLASS, -0.1, 0.21, 3), "starts at 0, which leaves"),
    (
        "_begins",
        one("influence", CLASS, 0.01, 0.21, 3, lo=2, boxes=[[0, 2]], witness=[0, 2]),
        "starts at 2",
    ),
    ("_far", one("influence", RELEASED, 0.4, 1.0, 1), "from 1 starts before tau"),
    (
        "_far",
        box(
            "sensitivity", -0.9, 1.03, both(".", "."), weighting="bounded_ratio",
            c_max=["100", "100"], c_min=["0", "0"], lam=["1/10", "1/10"], tau=["1/10", "1/10"],
        ),
        "from 2 starts before tau or before 1/lam",
    ),
    ("_tail", one("dampening", CLASS, 0.0, 0.065, 3), "tail beyond 3 may exceed 0.065"),
    (
        "_inside",
        TRUE | {"witness": [4, -18], "lower": 0.449},
        r"the witness at -1.0937500 lies outside \[0, 3\]",
    ),
    ("_attains", TRUE | {"lower": 0.366, "upper": 0.4}, "does not attain 0.366"),
    ("_attains", TRUE_BOX | {"lower": 0.366, "upper": 0.4}, "does not attain 0.366"),
    (
        "_mean_value",
        one("influence", RELEASED, 0.4, 3.4, 8, boxes=[[-2, 0], [-2, 1]]),
        "cannot confirm the bound 3.4",
        instead("_mean_value", at_centre),
    ),
    (
        "_regions",  # the word of the last region is taken for all
        one("sensitivity", RELEASED, 0.4, 1.9, 7),
        "cannot confirm the bound 1.9",
        instead("_regions", lambda rule, *box: rule(*box)[-1:]),
    ),
    (
        "_regions",  # nothing beyond tau is looked at
        one("dampening", CLASS, 0.0, 0.02, 9),
        "cannot confirm the bound 0.02",
        instead("_regions", lambda rule, *box: [r for r in rule(*box) if r != "beyond"]),
    ),
    (
        "_narrower",  # |delta'| rises to 1 at tau = 1
        one("sensitivity", SHARP, -1.0, 1 - 2.0**-53, 4),
        "cannot confirm the bound 0.9999",
        believing("_narrower", lambda *box: box[3] == checker.MAX_DEPTH, []),
    ),
    (
        "_right_of_knee",
        box(
            "log_weight_max", 0.1, 2.0, {"+": [".", "."]}, within=["-2", "0"],
            witness=["-2", "2", "1/2", "1", "2"],
        ),
        "starts at -2.0000000 tau, left of -tau",
    ),
    (
        "_box_tail",
        box("dampening", 0.0, 0.1, {"+": [".", "."]}, tau=["1", "1"]),
        "cannot confirm the bound 0.1",
    ),
    ("_signed", TRUE_BOX | {"trees": {"-": [".", "."]}, "upper": 0.13}, "expected [+] -"),
    (
        "_trees_match",
        box("dampening", 0.01, 0.13, {"+": ["."]}, tau=["1", "1"], within=["1", "3"],
            witness=["3/2", "2", "1/2", "1", "1"]),
        "1 trees for [+] cannot cover 2 intervals",
    ),
    (
        "_box_inside",
        TRUE_BOX | {"lower": 0.5, "witness": ["1/2", "3", "1/2", "1", "2"]},
        "lies outside the box",
    ),
    ("_step", TRUE_BOX | {"upper": 0.13, "trees": both("", ".")}, "breaks off"),
    ("_step", TRUE_BOX | {"upper": 0.13, "trees": both("0", ".")}, "breaks off"),
    ("_step", TRUE_BOX | {"upper": 0.13, "trees": both("7", ".")}, "foreign character '7'"),
    ("_ended", TRUE_BOX | {"trees": both("..", ".")}, "goes on after its end"),
    (
        "_slack",
        TRUE_BOX | {"upper": 0.13, "trees": both("a.", ".")},
        "cannot confirm that the quantity is monotone in dimension 0",
        instead("_slack", lambda *arguments: arb(0)),
    ),
    (
        "_largest",
        box("influence", 0.3, 3.4, both(".", "."), tau=["7", "7"]),
        "cannot confirm the bound 3.4",
        instead("_largest", at_middle),
    ),
    (
        "_halved",
        TRUE_BOX | {"upper": 0.13},
        "cannot confirm the bound 0.13",
        believing("_halved", lambda *box: box[2:3] == (True,), []),
    ),
]  # fmt: skip


def named(text):
    """The functions that numbered sentences of a docstring name."""
    rules = re.split(r"^\d+\. ", text, flags=re.M)[1:]
    found = [re.findall(r"\(`(\w+)`\)", rule) for rule in rules]
    assert all(found), "a rule names no function"
    return {name for names in found for name in names}


def test_every_rule_of_the_docstring_has_a_forgery():
    assert named(checker.__doc__) == {rule for rule, *_ in FORGERIES}


def judged(forgery, folder):
    """Check a certificate, or the text of its file."""
    if isinstance(forgery, str):
        (folder / "forged.json").write_text(forgery)
        forgery = read(folder / "forged.json")
    check(forgery)


@pytest.mark.parametrize(
    ("rule", "forgery", "reason", "off"),
    [(*entry, None)[:4] for entry in FORGERIES],
    ids=[f"{rule}-{reason[:40]}" for rule, _, reason, *_ in FORGERIES],
)
def test_one_rule_refuses_the_forgery(rule, forgery, reason, off, monkeypatch, tmp_path):
    with pytest.raises(ValueError, match=reason) as refusal:
        judged(forgery, tmp_path)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 400
    if off is None:
        monkeypatch.setattr(checker, rule, lambda *arguments: None)
    else:
        off(monkeypatch)
    judged(forgery, tmp_path)


def test_what_the_forgeries_are_made_of_is_true(tmp_path):
    for certificate_ in (TRUE, TRUE_BOX):
        check(certificate_)
        judged(text(certificate_), tmp_path)


@pytest.mark.parametrize("constant", ["MAX_ITEMS", "MAX_BOXES", "MAX_TAIL", "MAX_DEPTH"])
def test_the_limits_are_kept(constant, monkeypatch):
    wide = {"c_min": ["1/4", "1/2"], "tau": ["1", "3"]}
    true = {
        "MAX_ITEMS": TRUE_BOX,
        "MAX_BOXES": TRUE_BOX,
        "MAX_TAIL": box("dampening", 0.0, 0.48, {"+": [".", "."]}, **wide),
        "MAX_DEPTH": TRUE,
    }[constant]
    check(true)
    monkeypatch.setattr(checker, constant, 0)
    with pytest.raises(ValueError, match=r"at most 0 are read|cannot confirm the bound"):
        check(true)


def test_a_slope_at_the_end_of_a_range_is_of_the_range():
    """Right of tau the target rises with slope 0.99; in the range, at tau and left of it, it falls.

    With c_max = 2, c_min = 1/2, lam = 1, tau = 7: T' = 1 - 7/3 left of tau, and
    1 - sigma(-7) 7/3 = 0.998 right of it.
    """
    true = box(
        "target_slope_max", -1.5, -0.5, {"+": ["."]}, tau=["7", "7"], within=["97/100", "1"],
        witness=["1", "2", "1/2", "1", "7"],
    )  # fmt: skip
    check(true)
    with pytest.raises(ValueError, match="does not attain"):
        check(true | {"lower": 0.9})
    beyond = true | {"within": ["1", "1"], "upper": 1.0, "lower": 0.9}
    check(beyond)
    with pytest.raises(ValueError, match="cannot confirm"):
        check(beyond | {"upper": 0.9})


# --- the rules, one by one -----------------------------------------------------------------------


def balls(*numbers):
    return [arb(x) for x in numbers]


TWO = checker._Schedule(Fraction(3), Fraction(1, 2), Fraction(1), Fraction(2))


@pytest.mark.parametrize(
    ("left", "right", "touched"),
    [
        (-4, -3, ["rejected"]),
        (-3, -2, ["rejected", "minus"]),
        (-2, -1, ["rejected", "minus"]),
        (-3, 3, ["rejected", "minus", "plus", "beyond"]),
        (-1, 0, ["minus"]),
        (-1, 1, ["minus", "plus"]),
        (0, 1, ["plus"]),
        (1, 2, ["plus", "beyond"]),
        (2, 3, ["plus", "beyond"]),
        (3, 4, ["beyond"]),
    ],
)
def test_the_regions_that_a_box_touches(left, right, touched):
    assert checker._regions(TWO, Fraction(left), Fraction(right)) == touched


@pytest.mark.parametrize(
    ("point", "regions"),
    [
        (-3, ["rejected"]),
        (-2, ["rejected", "minus"]),
        (-1, ["minus"]),
        (0, ["minus", "plus"]),
        (1, ["plus"]),
        (2, ["plus", "beyond"]),
        (3, ["beyond"]),
    ],
)
def test_the_regions_in_which_a_point_lies(point, regions):
    assert TWO.regions_at(Fraction(point)) == regions


def test_a_box_is_an_index_and_a_level():
    assert checker._interval([2, 3]) == (Fraction(3, 4), 1)
    assert checker._interval([-1, -3]) == (-6, -4)
    assert checker._interval([1000, 0])[1] == Fraction(1, 2**1000)
    for level in (1001, -1001):
        with pytest.raises(ValueError, match=r"1001 halvings or doublings of a box: at most 1000"):
            checker._interval([level, 0])


def test_the_coefficient_over_a_ball_is_the_hull_of_its_ends():
    for margin in (1, 2, 5):
        c = 0.5 + 2.5 / (1 + 4 * math.exp(margin - 2))
        assert abs(TWO.c(arb(margin)) - c) < 1e-14
        assert abs(TWO.c_of_ball(arb(margin)) - c) < 1e-14
    wide = TWO.c_of_ball(arb(1).union(arb(3)))
    assert abs(wide.upper() - TWO.c(arb(1))) < 1e-8 and abs(wide.lower() - TWO.c(arb(3))) < 1e-8


class Plane:
    """Slope 1/2 in s, -1/4 in c_max, 0 in the others: known exactly of every box."""

    def evaluate(self, box, region):
        (s, s_high), (c, c_high), *_ = box
        value = arb(s).union(arb(s_high)) / 2 - arb(c).union(arb(c_high)) / 4
        return value, balls(0.5, -0.25, 0, 0, 0)


SIDES = [(fmpq(0), fmpq(1)), (fmpq(2), fmpq(4)), *[(fmpq(1), fmpq(1))] * 3]


@pytest.mark.parametrize(("sign", "largest"), [(1, 0.0), (-1, 1.0)])
def test_where_the_quantity_is_monotone_the_mean_value_form_is_exact(sign, largest):
    _, gradient = Plane().evaluate(SIDES, 0)
    found, at_middle, costs = checker._largest(Plane(), SIDES, 0, sign, gradient)
    assert found == at_middle == largest and costs == [0] * 5


def test_a_quantity_is_proved_below_its_bound_and_not_below_less():
    checker._prove(Plane(), SIDES, 0, 1, arb(0))
    checker._prove(Plane(), SIDES, 0, -1, arb(1))
    for sign, bound in ((1, -1e-9), (-1, 1 - 1e-9)):
        with pytest.raises(ValueError, match=r"cannot confirm the bound (-1\.0000000e-9|1\.0)"):
            checker._prove(Plane(), SIDES, 0, sign, arb(bound))


def test_the_dimension_that_costs_most_is_halved_and_not_the_widest():
    """-|c_max - 17/4| < 1/100 over c_max in [4, 9/2], where s, which does not count, is wider."""
    seen = []

    class Ridge:
        def evaluate(self, box, region):
            seen.append(box)
            low, high = box[1]
            if low == high:
                return -abs(arb(low) - arb(17) / 4), balls(0, 0, 0, 0, 0)
            return arb(0).union(arb("inf")), [arb(0), arb(-1).union(arb(1)), *balls(0, 0, 0)]

    sides = ((fmpq(0), fmpq(1)), (fmpq(4), fmpq(9, 2)), *[(fmpq(1), fmpq(1))] * 3)
    checker._prove(Ridge(), sides, 0, 1, arb("0.01"))
    seen_of_c = {box[1] for box in seen if box[1][0] != box[1][1]}
    assert {box[0] for box in seen if box[1] in seen_of_c} == {sides[0]}
    assert seen_of_c == {sides[1], (4, fmpq(17, 4)), (fmpq(17, 4), fmpq(9, 2))}


def test_of_what_a_ball_is_too_wide_for_nothing_is_known():
    for function in (lambda h: 1 / h, lambda h: h.log()):
        for order in (0, 1, 2):
            found = checker._taylor(lambda region, f=function: f, arb(0, 1), order, "plus")
            assert len(found) == order + 1 and not any(ball.is_finite() for ball in found)


def test_a_face_is_taken_only_where_the_quantity_rises_toward_it():
    """The slack is what rounding may cost: 2^-60 of the width."""
    for d, sign in ((0, 1), (1, -1), (2, 1), (2, -1)):
        slack = checker._slack(Plane(), SIDES, 0, d, sign)
        assert slack == float(SIDES[d][1] - SIDES[d][0]) * 2.0**-60
    for d, sign in ((0, -1), (1, 1)):
        with pytest.raises(ValueError, match=f"monotone in dimension {d}"):
            checker._slack(Plane(), SIDES, 0, d, sign)


@pytest.mark.parametrize(
    ("tree", "sign", "bound", "reason"),
    [
        ("Ab.", 1, 0.0, None),  # to s = 1 and c_max = 2, where it is 0
        ("bA.", 1, 0.0, None),
        ("aB.", -1, 1.0, None),
        ("0..", 1, 0.0, None),
        ("0.1..", 1, 0.0, None),
        ("1Ab.Ab.", 1, 0.0, None),
        ("Ab.", 1, -0.01, "cannot confirm the bound"),
        ("0.1..", 1, -0.01, "cannot confirm the bound"),
        ("a.", 1, 1.0, "monotone in dimension 0"),
        ("B.", 1, 1.0, "monotone in dimension 1"),
        ("A.", -1, 2.0, "monotone in dimension 0"),
        ("0.", 1, 1.0, "breaks off"),
        ("A", 1, 1.0, "breaks off"),
        ("5", 1, 1.0, "foreign character '5'"),
        ("f.", 1, 1.0, "foreign character 'f'"),
        ("..", 1, 1.0, "goes on after its end"),
        (".A", 1, 1.0, "goes on after its end"),
    ],
)
def test_a_tree_is_walked_in_preorder(tree, sign, bound, reason):
    with ctx.workprec(checker.BITS):
        allowed = arb(bound) + arb(2) ** -58  # the slack of two faces
        if reason is None:
            checker._check_tree(Plane(), SIDES, tree, sign, allowed)
            return
        with pytest.raises(ValueError, match=reason):
            checker._check_tree(Plane(), SIDES, tree, sign, allowed)


def test_both_halves_of_a_box_tile_it():
    first, second = checker._halved(tuple(SIDES), 1)
    assert first == (SIDES[0], (2, 3), *SIDES[2:]) and second == (SIDES[0], (3, 4), *SIDES[2:])
    with pytest.raises(ValueError, match=r"cannot confirm it on \(s, .*\) in \[0.*, 1.*\], \[2"):
        checker._halved(tuple(SIDES), 1, True, "it")
    assert checker._narrower(0, 1, 2, 39, 0.5) == [(0, 1, 40), (1, 2, 40)]
    with pytest.raises(ValueError, match=r"cannot confirm the bound 0.5 on \[0.* 2"):
        checker._narrower(0, 1, 2, 40, 0.5)


@pytest.mark.parametrize(
    ("widths", "widest"),
    [
        ((1, 0.5, 0, 0, 0), 0),
        ((0.3, 1, 0, 0, 0), 0),  # 0.3 and 1/5
        ((0.1, 2, 0, 0, 0), 1),
        ((0.1, 0, 1, 0, 0), 2),
        ((0, 0, 0, 0, 1), 4),
    ],
)
def test_the_widest_dimension_is_so_in_proportion(widths, widest):
    sides = [(fmpq(4), fmpq(4) + fmpq(Fraction(w).numerator, Fraction(w).denominator))
             for w in map(Fraction, map(str, widths))]  # fmt: skip
    assert checker._widest(sides) == widest
    assert checker._widest([(fmpq(0), fmpq(0))] * 3 + sides[3:]) == (4 if widest == 4 else 0)
    assert checker._widest([(fmpq(-1), fmpq(0)), *sides[1:]]) == 0


@pytest.mark.parametrize(
    ("within", "two_sided", "trees", "ends"),
    [
        (None, True, 3, [-1, 0, 1, 2]),
        (None, False, 3, [0, 1, 2, 3]),
        (["0", "1"], False, 1, [0, 1]),
        (["1/2", "5/2"], False, 3, [Fraction(1, 2), 1, 2, Fraction(5, 2)]),
        (["-1", "1"], True, 2, [-1, 0, 1]),
        (["1", "1"], False, 1, [1, 1]),
        (["1/2", "1/2"], False, 1, [Fraction(1, 2)] * 2),
    ],
)
def test_the_intervals_that_trees_stand_for(within, two_sided, trees, ends):
    problem = SimpleNamespace(two_sided=two_sided)
    assert list(checker._ends(within, problem, {"+": ["."] * trees})) == ends
    if within is not None:
        for number in (trees - 1, trees + 1):
            with pytest.raises(ValueError, match=f"{number} trees for .* cannot cover {trees} int"):
                checker._ends(within, problem, {"+": ["."] * number})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(1, 3), "0.33333333"),
        (fmpq(-5, 2), "-2.5000000"),
        (2**100 - 1, str(2**100 - 1)),
        (2**100, "an integer of 101 bits"),
        (True, "True"),
        (None, "None"),
        (0.5, "0.5"),
        ("x" * 61, repr("x" * 60)),
        ("a\nb", r"'a\nb'"),
        ([1], "a list"),
    ],
)
def test_a_value_is_shown_on_one_line_and_short(value, text):
    assert checker.shown(value) == text


@pytest.mark.parametrize(
    ("value", "form", "refusal"),
    [
        (2, int, None),
        (2.0, int, "x is no int: 2.0"),
        (True, int, "x is no int: True"),
        (math.nan, float, "x is no float: nan"),
        ([1, 2], (int, int), None),
        ([1], (int, int), "x is no list of 2: a list"),
        ([1, "2"], (int, int), "x is no int: '2'"),
        ([], [int], None),
        ([1, 2, 3], [int], None),
        ([1, None], [int], "x is no int: None"),
        ("12", [str], "x is no list: '12'"),
        ({"a": 1}, {"a": int}, None),
        ({"a": "1"}, {"a": int}, "a is no int: '1'"),
        ({}, {"a": int}, "x has exactly the keys a; amiss: 'a'"),
        ({"a": 1, "b": 1}, {"a": int}, "x has exactly the keys a; amiss: 'b'"),
        ([], {"a": int}, "x is no object: a list"),
        ({"a": 1, "b": 2}, {str: int}, None),
        ({"k" * 30: "2"}, {str: int}, f"{'k' * 20} is no int: '2'"),
    ],
)
def test_a_value_is_exactly_of_its_form(value, form, refusal):
    if refusal is None:
        checker.typed(value, form, "x")
        return
    with pytest.raises(ValueError) as error:
        checker.typed(value, form, "x")
    assert str(error.value) == refusal


def test_numbers_are_exact():
    assert checker._number("-3/6") == Fraction(-1, 2) and checker._parameter("7") == 7
    assert abs(checker._parameter("log(9/3)") - math.log(3)) < 1e-14
    for wrong in ("1.5", "+1", "1/", "1/00", "--1", "log(2)", "", "1 "):
        with pytest.raises(ValueError, match="is no exact number"):
            checker._number(wrong)
    assert checker._number("1" * 1000) > 0
    with pytest.raises(ValueError, match="1001 characters of a number: at most 1000"):
        checker._number("1" * 1001)
    checker.at_most(3, 3, "of them")
    with pytest.raises(ValueError, match="4 of them: at most 3 are read"):
        checker.at_most(3, 4, "of them")


@pytest.mark.parametrize(
    ("schedule", "valid"),
    [
        ((2, 0, 1, 1), True),
        ((1, 0, 1, 1), False),
        ((2, -1, 1, 1), False),
        ((2, 1, 1, 1), False),
        ((2, 0, 0, 1), False),
        ((2, 0, 1, 0), False),
        ((2, 0, Fraction(1, 9), Fraction(1, 9)), True),
        ((Fraction(10, 9), Fraction(8, 9), 1, 1), True),
        ((2, 2, 1, 1), False),
    ],
)
def test_a_schedule_is_one_at_the_edges(schedule, valid):
    given = SimpleNamespace(given=schedule)
    if valid:
        checker._valid(given)
        return
    with pytest.raises(ValueError, match="is no schedule"):
        checker._valid(given)


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ("_begins", [(TWO, True, -3), (TWO, False, 0)],
         [(TWO, True, -2), (TWO, True, 0), (TWO, False, -1), (TWO, False, 1)]),
        ("_far", [(2, Fraction(1, 3), 3), (2, 1, 3)], [(2, 1, 2), (2, Fraction(1, 4), 3)]),
        ("_tail", [(arb(1), 3, 1.0)], [(arb(1), 3, 0.9), (arb(1, 1e-9), 3, 1.0)]),
        ("_inside", [(0, 0, 1), (1, 0, 1)], [(-1, 0, 1), (2, 0, 1)]),
        ("_attains", [(balls(0, 2), 1), (balls(1), 1)], [(balls(0), 1), ([], 1)]),
        ("_right_of_knee", [(-1,), (0,)], [(-2,)]),
        ("_covers", [([(0, 1), (1, 3)], 0, 3)],
         [([(0, 1), (2, 3)], 0, 3), ([(0, 2), (1, 3)], 0, 3), ([(0, 1)], 0, 3), ([(1, 3)], 0, 3),
          ([], 0, 0)]),
        ("_signed", [({"+": 0, "-": 0}, {"-": 0, "+": 0})], [({"+": 0}, {"-": 0, "+": 0})]),
        ("_box_inside", [([0, 1], [(0, 1), (0, 1)])],
         [([2, 1], [(0, 1), (0, 1)]), ([0, -1], [(0, 1), (0, 1)])]),
        ("_unique", [(["a", "b"],), ([],)], [(["a", "b", "a"],)]),
        ("_finite", [(0.0, 1.0)], [(-math.inf, 1.0), (0.0, math.inf)]),
    ],
)  # fmt: skip
def test_a_rule_holds_up_to_its_edge(rule, good, bad):
    for arguments in good:
        getattr(checker, rule)(*arguments)
    for arguments in bad:
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            getattr(checker, rule)(*arguments)


# --- arithmetic ----------------------------------------------------------------------------------


@pytest.mark.parametrize("derivative", [0, 1])
def test_the_mean_value_form_reaches_both_ends(derivative):
    """Of 3 h + h^2 over [0, 2], whose values go from 0 to 10 and slopes from 3 to 7."""

    def function(region):
        return lambda h: 3 * h + h * h

    found = checker._mean_value(function, arb(0).union(arb(2)), arb(1), derivative, "plus")
    low, high = ((0, 10), (3, 7))[derivative]
    # The slope is at most 7, or 2, within 1 of the middle; a radius has 30 bits, and is rounded up.
    reach = (7, 2)[derivative] * (1 + 2.0**-26)
    middle = (4, 5)[derivative]
    assert middle - reach <= found.lower() <= low and high <= found.upper() <= middle + reach


class Tent:
    """-|s - 1/10| - |c_max - 9/10|, with nothing known of a box but its slopes, -1 to 1."""

    def evaluate(self, box, region):
        if any(low != high for low, high in box):
            unknown = arb(0).union(arb("inf"))
            slopes = [arb(-1).union(arb(1)) if low != high else arb(0) for low, high in box]
            return unknown, slopes
        values = [arb(low) for low, _ in box]
        return -abs(values[0] - arb(1) / 10) - abs(values[1] - arb(9) / 10), None


def test_every_dimension_costs_its_slope_times_half_its_width():
    """0 is the largest value: at the middle it is -0.8, and each dimension costs 1/2.

    Half the cost, or that of one dimension alone, would prove that -0.2 is not exceeded.
    """
    sides = [(fmpq(0), fmpq(1))] * 2 + [(fmpq(1), fmpq(1))] * 3
    problem = Tent()
    _, gradient = problem.evaluate(sides, 0)
    largest, middle, costs = checker._largest(problem, sides, 0, 1, gradient)
    assert costs[2:] == [0, 0, 0]
    assert all(0.5 <= cost <= 0.5 + 2.0**-26 for cost in costs[:2])  # radii of 30 bits
    assert middle.overlaps(arb("-0.8")) and largest.overlaps(arb("0.2"))
    checker._prove(problem, sides, 0, 1, arb("0.1"))
    with pytest.raises(ValueError, match="cannot confirm"):
        checker._prove(problem, sides, 0, 1, arb("-0.2"))


class Coarse:
    """0 with slope 1 in s, known only of boxes of s no wider than 1/4: of 4 parts, by 3 cuts."""

    def __init__(self):
        self.asked = []

    def evaluate(self, box, region):
        self.asked.append(box)
        low, high = box[0]
        if high - low > fmpq(1, 4):
            return arb(0).union(arb("inf")), [arb(-1).union(arb(1)), *balls(0, 0, 0, 0)]
        return arb(0), balls(1, 0, 0, 0, 0)

    def tail(self, schedule, far):
        return arb(0) if schedule.tau.rad() < 0.13 else arb("nan")


@pytest.mark.parametrize(
    ("constant", "proof"),
    [
        ("MAX_BOXES", lambda: checker._prove(Coarse(), SIDES, 0, 1, arb("0.1"))),
        ("MAX_BOXES", lambda: checker._slack(Coarse(), SIDES, 0, 0, 1)),
        (
            "MAX_TAIL",
            lambda: checker._box_tail(
                Coarse(), [(2, 2), (0, 0), (1, 1), (1, 2)], fmpq(2), arb("0.1")
            ),
        ),
    ],
    ids=["bound", "slope", "tail"],
)
def test_a_box_is_cut_as_often_as_is_said_and_no_more(constant, proof, monkeypatch):
    monkeypatch.setattr(checker, constant, 3)
    proof()
    monkeypatch.setattr(checker, constant, 2)
    with pytest.raises(
        ValueError, match=r"cannot confirm (the bound 0\.1|that the quantity is mon)"
    ):
        proof()


def test_what_is_hopeless_is_not_cut():
    """A slope that falls on the whole box; a middle above the bound."""
    fine = [(fmpq(0), fmpq(1, 4)), *SIDES[1:]]
    falling, high = Coarse(), Coarse()
    with pytest.raises(ValueError, match="monotone in dimension 0"):
        checker._slack(falling, fine, 0, 0, -1)
    assert falling.asked == [fine]
    with pytest.raises(ValueError, match="cannot confirm the bound -0"):
        checker._prove(high, SIDES, 0, 1, arb("-0.01"))
    assert len(high.asked) == 2 and high.asked[0] == SIDES


def test_the_limits_are_those_that_the_docstring_states():
    told = " ".join(checker.__doc__.split())
    for limit in (
        f"computed in Arb balls at {checker.BITS} bits",
        f"at most {checker.MAX_BYTES // 2**20} MiB, a million boxes",
        f"{checker.MAX_CHARACTERS} characters in a number",
        f"boxes of width 2^-{checker.MAX_LEVEL} to 2^{checker.MAX_LEVEL}",
        f"what {checker.MAX_DEPTH} halvings leave open",
        f"what {checker.MAX_BOXES:,} halvings leave open, of a tail {checker.MAX_TAIL:,},",
    ):
        assert limit in told
    assert checker.MAX_ITEMS == 10**6 and checker.MAX_BYTES % 2**20 == 0
    assert f"computed at {boxes._BITS} bits, half of" in boxes.__doc__
    assert 2 * boxes._BITS == checker.BITS


# --- never a crash -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "Expecting value"),
        (b"\xff\xfe{}", "decode"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"format":' * 100_000, "nested too deep"),
        (b"[]", "unknown format"),
        (b"null", "unknown format"),
        (b"1" * 5000, "integer"),
        (b'{"format": ["madpo-theory supremum 2"]}', "unknown format"),
        (b'"madpo-theory supremum 2"', "unknown format"),
        (text(TRUE, lo=f'"lo": {"9" * 4000}, "x"').encode(), "amiss: 'x'"),
        (text(TRUE).replace('"lo": 0', f'"lo": {"9" * 4000}').encode(), "do not start at an integ"),
        (text(TRUE).replace("[0, 2]", f"[0, {'9' * 4000}]").encode(), "do not start at 0 and end"),
        (text(TRUE).replace("[0, 2]", "[9999999999, 2]").encode(), "9999999999 halvings"),
        (text(TRUE).replace('"hi": 3', f'"hi": {"9" * 4000}').encode(), "and end at an integer of"),
        (text(TRUE).replace('"1/2"', '"1/0"').encode(), "'1/0' is no exact number"),
        (text(TRUE).replace('"1/2"', '"log(0)"').encode(), "no schedule"),
        (text(TRUE).replace('"1/2"', '"log(x)"').encode(), "'x' is no exact number"),
        (text(TRUE_BOX).replace('"1/2"', '"log(2)"').encode(), "'log.2.' is no exact number"),
        (text(TRUE_BOX).replace('[".", "."]', "[]").encode(), "from 0 starts before tau"),
        (text(TRUE_BOX | {"trees": {}}).encode(), "expected [+] -"),
        (text(TRUE_BOX | {"within": ["0", "9" * 900]}).encode(), "2 trees for [+] cannot cover"),
        (text(TRUE_BOX | {"within": ["2", "0"]}).encode(), "2 trees for [+] cannot cover"),
        (text(TRUE_BOX).replace('["2", "2"]', '["3", "2"]').encode(), "outside the box"),
    ],
)
def test_whatever_the_file_holds_it_is_refused_in_one_line(data, reason, tmp_path, capsys):
    path = tmp_path / "certificate.json"
    path.write_bytes(data)
    assert main([str(path)]) == 1
    said_ = capsys.readouterr().out
    assert re.match(f"REFUSED {path}: .*{reason}", said_) and said_.count("\n") == 1, said_
    assert len(said_) < 500


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["1/2", "log(3)", "-1", ".", "a.", "0", 10**4000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=5,
)  # fmt: skip


@given(
    which=st.sampled_from([TRUE, TRUE_BOX]),
    at=st.integers(0, 40),
    value=anything,
    inside=st.booleans(),
)
def test_any_value_in_any_place_is_refused_or_true(which, at, value, inside):
    """A crash would be another exception."""
    changed = deepcopy(which)
    key = list(changed)[at % len(changed)]
    holder = changed
    while inside and isinstance(holder[key], (dict, list)) and holder[key]:
        holder = holder[key]
        key = list(holder)[at % len(holder)] if isinstance(holder, dict) else at % len(holder)
    holder[key] = value
    try:
        check(changed)
    except ValueError as error:
        assert "\n" not in str(error)


# --- what is said, and by whom -------------------------------------------------------------------


def test_an_accepted_line_says_what_was_accepted(tmp_path, capsys):
    within = box(
        "dampening", 0.0, 0.1, {"+": ["."]}, c_max=["2", "5/2"], within=["0", "0"],
        witness=["0", "2", "1/2", "1", "2"],
    )  # fmt: skip
    paths = [tmp_path / f"{k}.json" for k in range(3)]
    for path, made in zip(paths, (TRUE, TRUE_BOX, within), strict=True):
        path.write_text(json.dumps(made))
    assert main(list(map(str, paths))) == 0
    class_defaults = "c_max 2, c_min 1/2, lam 1, tau 2"
    assert capsys.readouterr().out.splitlines() == [
        f"accepted {paths[0]}: sup influence of the published weight, {class_defaults}: at least "
        "0.24, attained at h = 1/2; at most 0.365, at every margin",
        f"accepted {paths[1]}: sup influence of the published weight, {class_defaults}: at least "
        "0.36, attained at h = 1/2 tau of (2, 1/2, 1, 2); at most 0.365, at every margin",
        f"accepted {paths[2]}: sup dampening of the published weight, c_max in [2, 5/2], c_min "
        "1/2, lam 1, tau 2: at least 0.0, attained at h = 0 tau of (2, 1/2, 1, 2); at most 0.1, at "
        "every margin h in [0, 0] tau",
    ]
    ratio = certify("sensitivity", MarginSchedule.class_defaults(exact=True), tolerance=0.1)
    assert "of the published weight" in said(ratio)


@pytest.mark.parametrize("module", ["madpo_theory.certify.checker", "madpo_theory.audit.checker"])
def test_the_command_wants_a_file_and_warns_of_nothing(module, tmp_path):
    run = [sys.executable, "-m", module]
    bare = subprocess.run(run, capture_output=True, text=True, check=False)
    assert bare.returncode == 2 and bare.stderr == f"usage: python -m {module} FILE...\n"
    assert not bare.stdout
    absent = subprocess.run([*run, tmp_path / "no"], capture_output=True, text=True, check=False)
    assert absent.returncode == 1 and absent.stdout.startswith(f"REFUSED {tmp_path / 'no'}: ")
    assert not absent.stderr


def test_a_kept_certificate_that_is_no_certificate_is_made_anew(tmp_path):
    asked = ("influence", MarginSchedule.class_defaults(exact=True))
    true, path = kept_certificate(tmp_path, *asked, tolerance=0.1)
    for data in (b"", b"\xff", b"[" * 100_000, text(true, upper='"upper": 9.5, "upper"').encode()):
        path.write_bytes(data)
        assert kept_certificate(tmp_path, *asked, tolerance=0.1) == (true, path)
        assert read(path) == true


def test_a_schedule_of_floats_is_certified_as_the_numbers_that_they_are():
    made = certify("influence", MarginSchedule(tau=0.1), tolerance=0.1)
    assert Fraction(made["schedule"]["tau"]) == Fraction(0.1) != Fraction("0.1")
    check(made)


def test_the_certificate_of_a_cell_is_checked(monkeypatch):
    def forged(name, box_, *, bound, **options):
        return certificate.certify_box(name, box_, bound=bound, **options) | {"upper": bound - 1.0}

    edges = ["1.5", "2"], "0.5", 1, [1, 2]
    assert grid.monotone_cells(*edges, within=(0, 1)).item().verdict == "increases"
    monkeypatch.setattr(grid, "certify_box", forged)
    cell = grid.monotone_cells(*edges, within=(0, 1)).item()
    assert cell.verdict == "undecided" and cell.certificate is None
