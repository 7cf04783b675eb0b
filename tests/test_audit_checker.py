"""The checker of the sheet's bounds: sound certificates pass, each forgery breaks one rule."""

import copy
import itertools
import json
import math
import subprocess
import sys
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import example, given
from hypothesis import strategies as st

from madpo_theory.audit import audit, checker

METHODS = ("cdpo", "ipo", "hinge", "simpo", "madpo")
H, Z = ["variable", "h", []], ["variable", "z", []]


@pytest.fixture(scope="module")
def certificates():
    """{(method, row): the first certificate}, through JSON as a file has it."""
    found = {}
    for name in METHODS:
        for row, several in audit(name).certificates.items():
            found[name, row] = json.loads(json.dumps(several[0]))
    return found


def test_what_the_sheets_certify_passes(certificates):
    assert {row for _, row in certificates} >= {
        "bounded_below", "calibrated", "order", "amplifies", "dampens", "influence", "sensitivity",
        "information", "slope",
    }  # fmt: skip
    for certificate in certificates.values():
        checker.check(certificate)


def changed(certificate, **values):
    forged = copy.deepcopy(certificate)
    forged.update(values)
    return forged


def refused(certificate, rule):
    with pytest.raises(ValueError, match=rule):
        checker.check(certificate)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
def test_a_bound_that_is_too_low_is_refused(certificates, share):
    for key in (("madpo", "sensitivity"), ("madpo", "influence"), ("simpo", "calibrated")):
        certificate = certificates[key]
        lower = certificate["upper"] * share
        forged = changed(certificate, upper=lower, lower=lower / 2, witness=None)
        refused(forged, "cannot confirm the bound")


def test_a_gap_and_an_overlap_are_refused(certificates):
    certificate = certificates["madpo", "sensitivity"]
    assert len(certificate["boxes"]) > 3
    for k in (0, 1, len(certificate["boxes"]) - 1):
        forged = copy.deepcopy(certificate)
        del forged["boxes"][k]
        refused(forged, "do not cover|overlap")
    forged = copy.deepcopy(certificate)
    forged["boxes"].append(forged["boxes"][0])
    refused(forged, "do not cover|overlap")
    forged = copy.deepcopy(certificate)
    forged["boxes"][0][0][1] += 1e-9
    refused(forged, "do not cover|overlap")


def test_a_domain_wider_than_its_boxes_is_refused(certificates):
    certificate = certificates["madpo", "sensitivity"]
    forged = copy.deepcopy(certificate)
    name = forged["order"][0]
    forged["domain"][name] = ["0.0", "61.0"]
    refused(forged, "do not cover")


def test_another_expression_than_the_statement_is_refused(certificates):
    certificate = certificates["madpo", "sensitivity"]
    other = certificates["cdpo", "calibrated"]["expression"]
    refused(changed(certificate, expression=other), "is not the statement")
    forged = copy.deepcopy(certificate)
    number = next(n for n in forged["expression"] if n[0] == "sum")
    number[1][0] = "1/1000000000000"
    refused(forged, "is not the statement")


def test_a_formula_that_was_changed_is_refused(certificates):
    forged = copy.deepcopy(certificates["madpo", "sensitivity"])
    knee = [n for n in forged["formula"] if n[0] == "sum" and len(n[1][1]) == 1][-1]
    knee[1][1][0] = "9/10"
    refused(forged, "is not the statement")


def bump(value, at="1/2", half="1/200"):
    """`value` for |h - at| < half, else 0; called joined."""
    center, radius = map(Fraction, (at, half))
    gap = ["sum", [str(radius**2), ["-1"]], [2]]
    return [
        ["variable", "h", []], ["sum", [str(-center), ["1"]], [0]], ["power", 2, [1]], gap,
        ["number", "0", []], ["number", str(value), []], ["where", True, [3, 5, 4]],
    ]  # fmt: skip


def test_branches_that_only_claim_to_meet_hide_nothing(small):
    """The mean-value form at a middle beyond the bump, with slopes 0, would not see it."""
    for at in ("1/2", "3", "1/1000"):
        formula = bump(100, at)
        step = changed(small, formula=formula, expression=formula, witness=None, upper=100.0)
        checker.check(step)
        refused(changed(step, upper=99.0), "cannot confirm the bound")


def test_an_expression_that_leaves_the_statement_in_one_branch_is_refused(small, monkeypatch):
    """The statement's largest value, 0.368 at h = 1, is cut out of the expression."""
    hollow = bump(1, "1", "4/5")
    formula = small["formula"]
    shift = len(hollow)
    moved = [[k, v, [a + shift for a in args]] for k, v, args in formula]
    last = shift + len(moved) - 1
    cut = [*hollow[:-1], ["number", "1/10", []], *moved, ["where", False, [3, shift - 1, last]]]
    forged = changed(small, expression=cut, upper=0.34, witness=None)
    refused(forged, "not the statement")
    monkeypatch.setattr(checker, "_same", lambda *arguments: None)
    refused(forged, "not the statement at h = ")
    refused(changed(small, upper=0.34, witness=None), "cannot confirm the bound")
    monkeypatch.setattr(checker, "_same_in_branches", lambda *arguments: None)
    checker.check(forged)


def test_an_expression_that_leaves_the_formulas_branch_out_is_refused(small):
    """The formula is 9 beyond 20, where no point of rule 2 lies, and the expression goes on."""
    formula = [
        ["variable", "h", []], ["sum", ["-20", ["1"]], [0]], ["number", "9", []],
        ["number", "0", []], ["where", False, [1, 2, 3]],
    ]  # fmt: skip
    forged = changed(
        small, formula=formula, expression=[["number", "0", []]], upper=0.5, witness=None,
        domain={"h": ["0.0", "60.0"]}, boxes=[[[0.0, 25.0]], [[25.0, 60.0]]],
    )  # fmt: skip
    refused(forged, "not the statement at h = 42.5")
    checker.check(changed(forged, expression=formula, upper=9.0))


def test_a_witness_must_reach_lower_inside_the_domain(certificates):
    certificate = certificates["madpo", "influence"]
    assert certificate["witness"] is not None
    refused(changed(certificate, lower=certificate["lower"] + 1e-3), "does not reach")
    refused(changed(certificate, witness={"h": 1e9}), "outside the domain")


WRONG = [
    ("upper", "3", "upper is no float: '3'"),
    ("upper", True, "upper is no float: True"),
    ("upper", 3, "upper is no float: 3"),
    ("upper", float("inf"), "upper = inf must be finite"),
    ("lower", float("nan"), "lower is no float: nan"),
    ("lower", "0.0", "lower is no float: '0.0'"),
    ("order", [], "order must be at least one name, none of them twice"),
    ("order", "h", "order is no list: 'h'"),
    ("order", {"h": 0}, "order is no list: a dict"),
    ("order", ["h", "h"], "order must be at least one name, none of them twice"),
    ("order", ["h", "z"], "the domain must give each variable of `order`, and no other"),
    ("order", ["h\n"], r"order: 'h\\n' is no name"),
    ("order", ["h" * 42], "order: 'h{42}' is no name"),
    ("variables", [], "variables must be at least one name, none of them twice"),
    ("variables", ["h", "h"], "variables must be at least one name, none of them twice"),
    ("variables", ["h", "z", "k"], "3 variables of a formula: at most 2 are read"),
    ("variables", "h", "variables is no list: 'h'"),
    ("variables", ["z"], "the formula speaks of 'h', expected z"),
    ("format", "madpo audit bound 2", "format = 'madpo audit bound 2', expected"),
    ("method", "x" * 201, "201 characters of method: at most 200 are read"),
    ("row", "x" * 201, "201 characters of row: at most 200 are read"),
    ("method", "x\naccepted y", r"method = 'x\\naccepted y' is not one line of text"),
    ("row", None, "row is no str: None"),
    ("zero", [], "zero is no list of 2: a list"),
    ("positive", [], "positive is no list of 2: a list"),
    ("positive", [[["number", "1", []]]], "positive is no list of 2: a list"),
    ("witness", ["h"], "witness is no object: a list"),
    ("witness", {"h": "4.0"}, "h is no float: '4.0'"),
    ("witness", {"h": 4}, "h is no float: 4"),
    ("witness", {}, "the witness must give each variable of `order`, and no other"),
    ("witness", {"h": float("nan")}, "h is no float: nan"),
    ("formula", "x", "formula is no list: 'x'"),
    ("formula", [[[], None, []]], "node 0 is of the unknown kind a list"),
    ("formula", [["number", "1/0", []]], "the text of an integer or a ratio, got '1/0'"),
    ("formula", [["number", "\u0661", []]], "the text of an integer or a ratio, got '\u0661'"),
    ("formula", [["number", "9" * 1000, []]], "a number is at most 1.7976931348623157e[+]308"),
    ("formula", [["number", "1", [], 0]], "node 0 is not .kind, value, arguments."),
    ("formula", [["sin", None, []]], "node 0 is of the unknown kind 'sin'"),
    ("formula", [["variable", "h", [0]]], "node 0 has arguments that do not stand before it"),
    ("formula", [["number", 3, []]], "node 0, a number, has a wrong value 3"),
    ("formula", [["number", "1e999999999", []]], "the text of an integer or a ratio, got '1e9"),
    ("formula", [], "a graph is a list of at least one node"),
    ("formula", [["derivative", [0, 0, False], []]], "a formula must not hold a derivative"),
    ("formula", [H, ["pulse", None, [0]]], "a formula must not hold a pulse"),
    ("formula", [H, ["held", None, [0]]], "holds something constant is given by its gradient"),
    ("statement", [["variable", "q", []]], "a statement speaks of 'q', expected h, h"),
    ("statement", [["derivative", [9, 0, False], []]], "node 0, a derivative, has a wrong value"),
    ("statement", [H, ["power", 10**9, [0]]], "node 1, a power, has a wrong value 1000000000"),
    ("statement", [["number", "-inf", []], ["log", None, [0]]], "could be evaluated nowhere"),
    ("expression", [["variable", "z", []]], "an expression speaks of 'z', expected h"),
    ("expression", [["derivative", [0, 0, False], []]], "bounded must not name derivatives"),
    ("boxes", [[["0.0", "60.0"]]], "boxes is no float: '0.0'"),
    ("boxes", [[0.0, 60.0]], "boxes is no list of 2: 0.0"),
    ("boxes", [[[0, 60]]], "boxes is no float: 0"),
    ("boxes", [[[0.0, 60.0], [0.0, 1.0]]], "a box must have one pair of ends for each variable"),
    ("boxes", [[[0.0, 60.0]], []], "a box must have one pair of ends for each variable"),
    ("boxes", [], "the boxes do not cover the domain: there is none"),
    ("boxes", [[[float("nan"), 1.0]]], "boxes is no float: nan"),
    ("domain", {"h": ["0.0", "6_0.0"]}, "domain of h: '6_0.0' is no float as Python prints it"),
    ("domain", {"h": ["0.0", "60"]}, "domain of h: '60' is no float as Python prints it"),
    ("domain", {"h": ["0.0", "nan"]}, "domain of h: 'nan' is no float as Python prints it"),
    ("domain", {"h": ["60.0", "0.0"]}, "domain of h: .'60.0', '0.0'. is no interval"),
    ("domain", {"h": [0, 1]}, "h is no str: 0"),
    ("domain", ["h"], "domain is no object: a list"),
    ("domain", {}, "the domain must give each variable of `order`, and no other"),
]


@pytest.mark.parametrize(("key", "value", "rule"), WRONG)
def test_what_is_not_of_the_form_is_refused_by_its_rule(certificates, key, value, rule):
    with pytest.raises(ValueError, match=rule) as refusal:
        checker.check(changed(certificates["madpo", "influence"], **{key: value}))
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 400


def test_the_form_is_kept_up_to_its_edges(small):
    long = "h" * 41
    variable = [["variable", long, []]]
    two = changed(
        small, method="m" * 200, row="r" * 200, variables=["z", long], order=[long, "_k1"],
        formula=variable, expression=variable, domain={long: ["0.0", "1e-05"], "_k1": ["3.0"] * 2},
        boxes=[[[0.0, 1e-5], [3.0, 3.0]]], witness={long: 1e-5, "_k1": 3.0}, lower=1e-5, upper=1e-5,
    )  # fmt: skip
    checker.check(two)
    endless = {long: ["-inf", "inf"], "_k1": ["3.0", "3.0"]}
    refused(changed(two, domain=endless), "do not cover")


def test_nesting_without_end_is_refused(certificates):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for key in ("formula", "boxes", "order"):
        forged = {**certificates["madpo", "influence"], key: deep}
        with pytest.raises(ValueError):
            checker.check(forged)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["1/2", "h", "z", "0.0", "sum", "where", "1" * 5000, 10**4000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=5,
)  # fmt: skip


@given(path=st.lists(st.integers(0, 40), min_size=1, max_size=5), value=anything)
def test_any_value_in_any_place_is_refused_or_true(small, path, value):
    """A crash would be another exception."""
    holder = forged = copy.deepcopy(small)
    for k, at in enumerate(path):
        key = list(holder)[at % len(holder)] if isinstance(holder, dict) else at % len(holder)
        if k == len(path) - 1 or not isinstance(holder[key], (dict, list)) or not holder[key]:
            break
        holder = holder[key]
    holder[key] = value
    try:
        checker.check(forged)
    except ValueError as error:
        assert "\n" not in str(error)


@pytest.fixture(scope="module")
def small():
    """That h e^(-h) <= 1/2 for h in [0, 4], as it is less than 0.37."""
    product = [
        ["variable", "h", []], ["sum", ["0", ["-1"]], [0]], ["exp", None, [1]],
        ["product", None, [0, 2]],
    ]  # fmt: skip
    certificate = {
        "format": checker.FORMAT, "method": "m", "row": "r", "formula": product,
        "variables": ["h"], "statement": [["derivative", [0, 0, False], []]],
        "expression": product, "zero": None, "positive": None, "order": ["h"],
        "domain": {"h": ["0.0", "4.0"]}, "lower": 0.3, "witness": {"h": 1.0}, "upper": 0.5,
        "boxes": [[[0.0, 4.0]]],
    }  # fmt: skip
    checker.check(certificate)
    return certificate


def test_a_witness_at_infinity_attains_nothing(small):
    """sigma(h) < 1 for every h."""
    logistic = [["variable", "h", []], ["sigmoid", None, [0]]]
    true = changed(
        small, formula=logistic, expression=logistic, upper=1.0, lower=0.999,
        domain={"h": ["0.0", "inf"]}, boxes=[[[0.0, float("inf")]]], witness={"h": 40.0},
    )  # fmt: skip
    checker.check(true)
    refused(changed(true, witness={"h": float("inf")}, lower=1.0), "outside the domain")


def test_a_missing_and_a_foreign_key_are_refused(certificates):
    certificate = copy.deepcopy(certificates["madpo", "influence"])
    refused(certificate | {"note": ""}, "exactly the keys")
    del certificate["zero"]
    refused(certificate, "exactly the keys")


ends = st.floats(-50, 50).filter(lambda x: abs(x) > 1e-6)


@given(ends, ends, st.sampled_from(["exp", "sigmoid", "softplus", "sinh", "asinh"]))
def test_enclosures_hold_the_values(a, b, kind):
    low, high = sorted((a, b))
    graph = [["variable", "x", []], [kind, None, [0]], ["product", None, [1, 0]]]
    boxes = np.array([[[low, high]]])
    value, _ = checker._ranges(checker._graph(graph), ["x"], boxes, False)
    with ctx.workprec(200):
        for x in np.linspace(low, high, 7):
            exact = checker._POINT[kind](arb(float(x))) * arb(float(x))
            assert arb(float(value.low[0])) <= exact <= arb(float(value.high[0]))


def test_the_command_says_what_it_accepted(certificates, tmp_path):
    good, bad, twice = (tmp_path / f"{name}.json" for name in ("good", "bad", "twice"))
    certificate = certificates["madpo", "influence"]
    good.write_text(json.dumps(certificate))
    bad.write_text(json.dumps(changed(certificate, upper=1.0, lower=0.5, witness=None)))
    twice.write_text(json.dumps(certificate).replace('"upper"', '"upper": 9.9, "upper"'))
    command = [sys.executable, "-m", "madpo_theory.audit.checker"]
    done = subprocess.run([*command, good, bad, twice], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    first, second, third = done.stdout.splitlines()
    assert first.startswith(f"accepted {good}: influence of MADPO (") and "h in [0.0, " in first
    assert f"at most {certificate['upper']!r}, for h in [0.0, 60.0]; f(h) = " in first
    assert f"attained at h = {certificate['witness']['h']!r}; " in first
    assert third.startswith(f"REFUSED {twice}: a key is given twice")
    assert second.startswith(f"REFUSED {bad}: cannot confirm the bound 1.0")


def test_what_is_said_names_statement_formula_and_constraints(small):
    two = changed(
        small, variables=["z", "h"], order=["h"], witness=None, method="loss", row="least",
        statement=[["derivative", [1, 0, True], []], ["sum", ["1", ["-1/2"]], [0]]],
        zero=[[["variable", "h", []]], [["variable", "h", []]]],
        positive=[[["variable", "h", []], ["power", 2, [0]]]] * 2,
    )  # fmt: skip
    assert checker.said(two) == (
        "least of loss: sup (1 + -1/2 f-{1,0}): at most 0.5, for h in [0.0, 4.0], where h = 0, "
        "where h^2 > 0; f(z, h) = (h exp((-1 h)))"
    )


# --- arithmetic ----------------------------------------------------------------------------------

mp = mpmath.mp.clone()
mp.dps = 60
LINE = ["sum", ["1/5", ["1", "1/2"]], [0, 1]]  # at the points below 0.5, 1.6 and -1.4
APART = ["sum", ["0", ["1", "-1"]], [0, 1]]
GRAPHS = {
    "number": [H, Z, ["number", "-3/7", []]],
    "sum": [H, Z, ["sum", ["1/3", ["2", "-5/7"]], [0, 1]]],
    "sum of opposite signs": [H, Z, ["sum", ["0", ["1", "-1"]], [0, 1]]],
    "product": [H, Z, ["product", None, [0, 1]]],
    "product of three": [H, Z, LINE, ["product", None, [0, 2, 0]]],
    **{
        f"power {n}": [H, Z, LINE, ["power", n, [2]]]
        for n in (-3, -2, -1, 2, 3, 4, 5)
    },
    **{
        kind: [H, Z, LINE, [kind, None, [2]]]
        for kind in ("exp", "sigmoid", "softplus", "sinh", "asinh")
    },
    "log": [H, Z, ["product", None, [0, 0]], ["sum", ["1", ["2"]], [2]], ["log", None, [3]]],
    "minimum": [H, Z, ["product", None, [0, 0]], ["minimum", None, [2, 1]]],
    "where": [H, Z, APART, ["product", None, [0, 1]], ["where", True, [2, 3, 0]]],
    "where a jump may be": [H, Z, APART, ["product", None, [0, 1]], ["where", False, [2, 3, 0]]],
    "twice": [H, Z, LINE, ["exp", None, [2]], ["product", None, [3, 3, 0]], ["sigmoid", None, [4]]],
}  # fmt: skip
POINTS_OF_GRAPHS = [(0.5, -0.4), (0.9, 1.0), (-1.25, -0.7)]
FUNCTIONS = {
    "exp": mp.exp,
    "log": mp.log,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "softplus": lambda x: mp.log1p(mp.exp(x)),
    "sinh": mp.sinh,
    "asinh": mp.asinh,
}


def evaluated(graph, h, z):
    """A graph's value at 60 digits."""
    found = []
    for kind, value, args in graph:
        x = [found[a] for a in args]
        if kind == "number":
            found.append(mp.mpf(Fraction(value).numerator) / Fraction(value).denominator)
        elif kind == "variable":
            found.append({"h": h, "z": z}[value])
        elif kind == "sum":
            numbers = [mp.mpf(f.numerator) / f.denominator for f in map(Fraction, value[1])]
            constant = Fraction(value[0])
            found.append(
                mp.mpf(constant.numerator) / constant.denominator
                + sum(c * y for c, y in zip(numbers, x, strict=True))
            )
        elif kind == "product":
            found.append(mp.fprod(x))
        elif kind == "power":
            found.append(x[0] ** value)
        elif kind == "minimum":
            found.append(min(x))
        elif kind == "where":
            found.append(x[1] if x[0] > 0 else x[2])
        else:
            found.append(FUNCTIONS[kind](x[0]))
    return found[-1]


def at_60_digits(graph, point, orders=(0, 0)):
    return mp.diff(lambda h, z: evaluated(graph, h, z), tuple(map(mp.mpf, point)), orders)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_statement_names_the_derivatives_of_the_formula(name):
    """At a point and at minus the point; `_at` at the point."""
    graph = checker._graph(GRAPHS[name])
    with ctx.workprec(checker.BITS):
        for point in POINTS_OF_GRAPHS:
            there = {"h": arb(point[0]), "z": arb(point[1])}
            jets = checker._Jets(graph, ("h", "z"), there)
            value = at_60_digits(GRAPHS[name], point)
            assert abs(checker._at(graph, there) - arb(mp.nstr(value, 55))) < 1e-50
            for sign, mirrored in ((1, False), (-1, True)):
                for orders in ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (1, 2), (4, 0)):
                    expected = at_60_digits(GRAPHS[name], [sign * x for x in point], orders)
                    found = jets.derivative(*orders, mirrored)
                    # a fourth difference at 60 digits is good to about 12
                    gap = abs(found - arb(mp.nstr(expected, 55)))
                    assert gap < arb(1e-10) * (1 + abs(arb(mp.nstr(expected, 20)))), orders


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("radius", [1e-7, 0.04])
def test_ranges_hold_values_and_slopes_and_are_narrow(name, radius):
    graph, centres = GRAPHS[name], np.array(POINTS_OF_GRAPHS)
    boxes = np.stack([centres - radius, centres + radius], axis=2)
    value, slopes = checker._ranges(checker._graph(graph), ["h", "z"], boxes, True)
    bare, none = checker._ranges(checker._graph(graph), ["h", "z"], boxes, False)
    assert none is None and (bare.low == value.low).all() and (bare.high == value.high).all()
    for k, box in enumerate(boxes):
        for point in ((box[0, 0], box[1, 1]), (box[0, 1], box[1, 1]), tuple(centres[k])):
            for orders, found in (((0, 0), value), ((1, 0), slopes[0]), ((0, 1), slopes[1])):
                exact = at_60_digits(graph, point, orders)
                low, high = float(found.low[k]), float(found.high[k])
                # what a first difference at 60 digits leaves is far below an ulp
                assert low - 1e-25 <= exact <= high + 1e-25, (orders, point)
                # how far dependence may reach, where slopes and curvatures are a few times a value
                assert high - low < (300 * radius + 1e-14) * (1 + abs(exact)), (orders, point)


SIZES = st.floats(1e-6, 1e6)
ENDS = SIZES | SIZES.map(lambda x: -x) | st.sampled_from([0.0, -0.0, 1.0, -1.0])
INTERVALS = st.tuples(ENDS, ENDS).map(sorted)


def one_range(low, high):
    return checker._Range(np.array([float(low)]), np.array([float(high)]))


def barely_holds(found, exact):
    """The interval holds the exact ends, and reaches at most two floats beyond them."""
    (low,), (high,) = found.low.tolist(), found.high.tolist()
    assert low <= exact[0] and exact[1] <= high
    for _ in range(2):
        low, high = math.nextafter(low, math.inf), math.nextafter(high, -math.inf)
    assert low >= exact[0] and high <= exact[1]


@given(a=INTERVALS, b=INTERVALS, n=st.integers(2, 4))
@example(a=[0.1, 0.1], b=[0.2, 0.2], n=2)
@example(a=[-1.0, 3.0], b=[-2.0, 0.5], n=2)
@example(a=[-3.0, 1.0], b=[0.0, 0.5], n=3)
@example(a=[-3.0, -1.0], b=[-0.5, 0.0], n=4)
@example(a=[0.0, 1.0], b=[1.0, 2.0], n=2)
@example(a=[-2.0, -1.0], b=[-1.0, 0.0], n=2)
@example(a=[0.0, 1.0], b=[-2.0, -1.0], n=2)
@example(a=[-1.0, 0.0], b=[1.0, 2.0], n=2)
def test_intervals_hold_their_arithmetic_and_little_more(a, b, n):
    x, y = one_range(*a), one_range(*b)
    (p, q), (r, s) = (tuple(map(Fraction, side)) for side in (a, b))
    barely_holds(-x, (-q, -p))
    barely_holds(x + y, (p + r, q + s))
    corners = p * r, p * s, q * r, q * s
    barely_holds(x * y, (min(corners), max(corners)))
    if (p >= 0 and r >= 0) or (q <= 0 and s <= 0):
        assert (x * y).low[0] >= 0  # rounding takes no sign away
    if (p >= 0 and s <= 0) or (q <= 0 and r >= 0):
        assert (x * y).high[0] <= 0
    hull, mask = x.hull(y), np.array([True])
    assert (hull.low[0], hull.high[0]) == (min(a[0], b[0]), max(a[1], b[1]))
    assert x.size()[0] == max(-p, q, p, -q) and x.choose(mask, y).high[0] == a[1]
    assert x.choose(~mask, y).low[0] == b[0]
    powers = (p**n, q**n) if n % 2 else sorted((p**n, q**n))
    if n % 2 == 0 and p < 0 < q:
        powers = 0, powers[1]
    found = x.power(n)
    assert found.low[0] <= powers[0] and powers[1] <= found.high[0]
    ends = ((found.low[0], powers[0]), (found.high[0], powers[1]))
    for end, exact in ends if p * q >= 0 or n % 2 == 0 else ():  # else a product is wider
        assert abs(Fraction(float(end)) - exact) <= abs(exact) * Fraction(1, 2**48)  # n roundings
    assert n % 2 or found.low[0] >= 0


SMALL_ENDS = (-2.0, -1.0, 0.0, 1.0, 2.0)
SMALL_PAIRS = list(
    itertools.product(itertools.combinations_with_replacement(SMALL_ENDS, 2), repeat=2)
)


def test_small_intervals_hold_their_arithmetic_and_keep_every_sign():
    """All that end at -2, -1, 0, 1 and 2: where 0 is an end, and where an interval is one point."""
    (a, b), (c, d) = np.array(SMALL_PAIRS).transpose(1, 2, 0)
    x, y = checker._Range(a, b), checker._Range(c, d)
    corners = np.stack([a * c, a * d, b * c, b * d])
    crosses = (a < 0) & (b > 0)
    for found, low, high in (
        (-x, -b, -a),
        (x + y, a + c, b + d),
        (x * y, corners.min(0), corners.max(0)),
        (x.hull(y), np.minimum(a, c), np.maximum(b, d)),
        (x.power(2), np.where(crosses, 0, np.minimum(a * a, b * b)), np.maximum(a * a, b * b)),
        (x.power(3).hull(x.power(3)), a**3, b**3),
        (x.power(4), np.where(crosses, 0, np.minimum(a**4, b**4)), np.maximum(a**4, b**4)),
    ):
        assert (found.low <= low).all() and (high <= found.high).all()
        tight = ~crosses | (high != b**3)  # an odd power is a product, and wider where it crosses 0
        assert (found.low[tight] >= low[tight] - 1e-14).all()
        assert (found.high[tight] <= high[tight] + 1e-14).all()
    signed = ~crosses & ~((c < 0) & (d > 0))  # both: then rounding takes no sign away
    found, low, high = x * y, corners.min(0), corners.max(0)
    assert (found.low[signed & (low >= 0)] >= 0).all()
    assert (found.high[signed & (high <= 0)] <= 0).all()
    found, low, high = x + y, a + c, b + d
    assert (found.low[low == 0] == 0).all() and (found.high[high == 0] == 0).all()
    assert (x.power(2).low >= 0).all() and (x.power(-2).low[(a < 0) | (b > 0)] >= 0).all()
    inverse = x.inverse()
    with np.errstate(divide="ignore"):
        low, high = 1 / b, 1 / a
    holds = (a <= 0) & (b >= 0)  # 0: nothing is known on a side where it is no end
    assert (inverse.low[holds & (a < 0)] == -np.inf).all()
    assert (inverse.high[holds & (b > 0)] == np.inf).all()
    assert (inverse.low[~holds] <= low[~holds]).all() and (
        inverse.high[~holds] >= high[~holds]
    ).all()
    assert (inverse.low[a > 0] > 0).all() and (inverse.high[b < 0] < 0).all()
    assert (
        inverse.low[(a == 0) & (b > 0)].tolist()
        == np.nextafter(low, -9)[(a == 0) & (b > 0)].tolist()
    )
    assert (
        inverse.high[(b == 0) & (a < 0)].tolist()
        == np.nextafter(high, 9)[(b == 0) & (a < 0)].tolist()
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((2.0, 4.0), (0.25, 0.5)),
        ((-4.0, -2.0), (-0.5, -0.25)),
        ((0.0, 4.0), (0.25, math.inf)),
        ((-0.0, 4.0), (0.25, math.inf)),
        ((-4.0, -0.0), (-math.inf, -0.25)),
        ((-0.0, 0.0), (-math.inf, math.inf)),
        ((-4.0, 0.0), (-math.inf, -0.25)),
        ((-1.0, 4.0), (-math.inf, math.inf)),
        ((0.0, 0.0), (-math.inf, math.inf)),
        ((2.0, math.inf), (0.0, 0.5)),
        ((-math.inf, -2.0), (-0.5, 0.0)),
    ],
)
def test_the_inverse_of_an_interval(given, expected):
    found = one_range(*given).inverse()
    for end, exact, away in ((found.low[0], expected[0], -1), (found.high[0], expected[1], 1)):
        end = float(end)
        assert end == exact or end == math.nextafter(exact, away * math.inf), (end, exact)
    if expected[0] >= 0 or expected[1] <= 0:
        again = one_range(*given).power(-2)
        squares = sorted(x * x for x in expected)
        assert again.low[0] <= squares[0] and squares[1] <= again.high[0] and again.low[0] >= 0
        assert again.low[0] >= squares[0] * (1 - 1e-15)


def test_what_overflows_is_beyond_the_largest_float_and_what_is_undefined_unknown():
    large = one_range(1e308, 1e308)
    for found in (large + large, large * large):
        assert found.low[0] == checker.LARGE and found.high[0] == math.inf
    found = -(large * large)
    assert found.low[0] == -math.inf and found.high[0] == -checker.LARGE
    lost = one_range(math.nan, math.nan)
    assert lost.low[0] == -math.inf and lost.high[0] == math.inf
    nothing = one_range(0, 0) * one_range(0, math.inf)
    assert (nothing.low[0], nothing.high[0]) == (0, 0)
    third = checker._Range.of(Fraction(1, 3), 2)
    assert third.low[1] < 1 / 3 < third.high[1] == math.nextafter(1 / 3, 1)
    assert third.low[0] == math.nextafter(1 / 3, 0) < Fraction(1, 3) < third.high[0]
    half = checker._Range.of(Fraction(1, 2), 1)
    assert half.low[0] == half.high[0] == 0.5


@pytest.mark.parametrize("kind", ["exp", "log", "sigmoid", "softplus", "sinh", "asinh"])
def test_the_image_of_a_float_is_within_a_few_floats_of_the_value(kind):
    for x in (-30.0, -1.5, 0.25, 1.0, 40.0):
        if kind == "log" and x <= 0:
            assert checker._image(kind, x) == (-math.inf, -math.inf)
            continue
        low, high = checker._image(kind, x)
        with ctx.workprec(400):
            exact = arb(mp.nstr(FUNCTIONS[kind](mp.mpf(x)), 55))
            assert low < exact < high
        assert high - low <= 5 * math.ulp(low)
    ends = {
        "exp": (0, math.inf), "log": (-math.inf, math.inf), "sigmoid": (0, 1),
        "softplus": (0, math.inf), "sinh": (-math.inf, math.inf), "asinh": (-math.inf, math.inf),
    }[kind]  # fmt: skip
    assert [checker._image(kind, x) for x in (-math.inf, math.inf)] == [(e, e) for e in ends]
    assert checker._image("log", 0.0) == checker._image("log", -1.0) == (-math.inf, -math.inf)
    found = checker._monotone(kind, one_range(-800 if kind != "log" else 1, 800))
    assert kind not in ("exp", "sigmoid", "softplus") or found.low[0] == 0
    assert kind != "sigmoid" or found.high[0] == 1


@pytest.mark.parametrize(
    ("box", "costs", "halves"),
    [
        ([[0.0, 1.0], [0.0, 1.0]], (1, 2), ([[0, 1], [0, 0.5]], [[0, 1], [0.5, 1]])),
        ([[0.0, 4.0], [0.0, 1.0]], (1, 2), ([[0, 2], [0, 1]], [[2, 4], [0, 1]])),
        ([[3.0, math.inf], [0.0, 1.0]], (1, 1), ([[3, 6], [0, 1]], [[6, math.inf], [0, 1]])),
        ([[0.5, math.inf], [0.0, 1.0]], (1, 1), ([[0.5, 2], [0, 1]], [[2, math.inf], [0, 1]])),
        ([[-math.inf, -3.0], [0, 1.0]], (1, 1), ([[-math.inf, -6], [0, 1]], [[-6, -3], [0, 1]])),
        ([[-math.inf, 5.0], [0, 1.0]], (1, 1), ([[-math.inf, -2], [0, 1]], [[-2, 5], [0, 1]])),
        (
            [[-math.inf, math.inf], [0, 1.0]],
            (1, 1),
            ([[-math.inf, 0], [0, 1]], [[0, math.inf], [0, 1]]),
        ),
        ([[0.0, 1.0], [0.0, 8.0]], (0, 0), ([[0, 1], [0, 4]], [[0, 1], [4, 8]])),
        ([[2.0, 2.0], [0.0, 1.0]], (9, 0), ([[2, 2], [0, 0.5]], [[2, 2], [0.5, 1]])),
        (  # no float lies between the ends of the first side, one between those of the second
            [[2.0, math.nextafter(2, 3)], [0.0, 1e-323]],
            (9, 9),
            (
                [[2.0, math.nextafter(2, 3)], [0, 5e-324]],
                [[2.0, math.nextafter(2, 3)], [5e-324, 1e-323]],
            ),
        ),
        ([[0.0, 1e7], [0.0, 2e6]], (1, 2), ([[0, 1e7], [0, 1e6]], [[0, 1e7], [1e6, 2e6]])),
        ([[0.0, 2.0], [0.0, 1.0]], (1e13, 1e14), ([[0, 1], [0, 1]], [[1, 2], [0, 1]])),
    ],
)
def test_a_box_is_cut_where_it_costs_most(box, costs, halves):
    found = checker._halves(np.array([box, box]), [np.array([c] * 2, float) for c in costs])
    left, right = halves
    assert found.tolist() == [left, left, right, right]


def test_a_tail_of_a_power_times_an_exponential_is_bounded_at_its_start():
    """u^2 e^(1 - u) <= 9 e^-2 = 1.218 for u >= 3; before u = 2 it still rises."""
    graph = checker._graph([
        H, ["power", 2, [0]], ["sum", ["1", ["-1"]], [0]], ["exp", None, [2]],
        ["product", None, [1, 3]],
    ])  # fmt: skip
    tails = np.array([[[3.0, math.inf]], [[2.5, math.inf]], [[1.0, math.inf]], [[0.0, math.inf]]])
    value, _ = checker._ranges(graph, ["h"], tails, False)
    exact = [9 * math.exp(-2), 6.25 * math.exp(-1.5), math.inf, math.inf]
    assert value.high[:2] == pytest.approx(exact[:2], rel=1e-13)
    assert (value.high[:2] >= exact[:2]).all() and (value.high[2:] == math.inf).all()
    assert (value.low == 0).all()
    three = checker._graph([
        H, Z, ["sum", ["0", ["-1/2", "1"]], [0, 1]], ["sigmoid", None, [2]],
        ["product", None, [0, 3, 1]],
    ])  # fmt: skip
    boxes = np.array([[[4.0, math.inf], [1.0, 2.0]]])
    value, _ = checker._ranges(three, ["h", "z"], boxes, False)
    # h e^(z - h/2) z <= 4 e^(2 - 2) 2
    assert 8 <= value.high[0] < 8 * (1 + 1e-13)


@pytest.mark.parametrize(
    ("node", "refusal"),
    [
        (["sum", ["0", ["1"]], [0, 1]], "a sum, has a wrong value a list, or 2 arguments"),
        (["sum", ["0", ["1", "1", "1"]], [0, 1]], "a sum, has a wrong value"),
        (["sum", ["0", []], []], "a sum, has a wrong value a list, or 0 arguments"),
        (["sum", ["0", ["1", "1"], 0], [0, 1]], "a sum, has a wrong value"),
        (["sum", ["0", [1, "1"]], [0, 1]], "the text of an integer or a ratio, got 1"),
        (["product", None, [0]], "a product, has a wrong value None, or 1 arguments"),
        (["product", "1", [0, 1]], "a product, has a wrong value '1'"),
        (["exp", None, [0, 1]], "a exp, has a wrong value None, or 2 arguments"),
        (["exp", "1", [0]], "a exp, has a wrong value"),
        (["power", 0, [0]], "a power, has a wrong value 0"),
        (["power", 1, [0]], "a power, has a wrong value 1"),
        (["power", 1001, [0]], "a power, has a wrong value 1001"),
        (["power", 2.0, [0]], "a power, has a wrong value 2.0"),
        (["power", 2, [0, 1]], "a power, has a wrong value 2, or 2 arguments"),
        (["minimum", None, [0]], "a minimum, has a wrong value"),
        (["minimum", 1, [0, 1]], "a minimum, has a wrong value 1"),
        (["where", None, [0, 1, 0]], "a where, has a wrong value None"),
        (["where", True, [0, 1]], "a where, has a wrong value True, or 2 arguments"),
        (["derivative", [3, 2, False], []], "a derivative, has a wrong value"),
        (["derivative", [-1, 1, False], []], "a derivative, has a wrong value"),
        (["derivative", [1, 1], []], "a derivative, has a wrong value"),
        (["derivative", [True, 1, False], []], "a derivative, has a wrong value"),
        (["number", "1", [0]], "a number, has a wrong value '1', or 1 arguments"),
        (["number", "1" + "0" * 309, []], "a number is at most"),
        (["number", "1" * 1201, []], "the text of an integer or a ratio"),
        (["number", "1/0", []], "the text of an integer or a ratio"),
        (["cos", None, [0]], "of the unknown kind 'cos'"),
        ([1, None, [0]], "of the unknown kind 1"),
        (["exp", None, [2]], "arguments that do not stand before it"),
        (["exp", None, [-1]], "arguments that do not stand before it"),
        (["exp", None, [0.0]], "arguments that do not stand before it"),
        (["exp", None], "is not"),
    ],
)
def test_a_node_that_is_none_is_refused(node, refusal):
    with pytest.raises(ValueError, match=refusal):
        checker._graph([H, Z, node])


def test_a_node_is_what_it_says():
    graph = checker._graph([
        H, Z, ["power", -1000, [0]], ["power", 1000, [0]], ["derivative", [1, 3, True], []],
        ["number", "-inf", []], ["sum", ["1/2", ["-1", "3"]], [0, 1]], ["where", False, [0, 1, 2]],
        ["number", str(2**1023), []],
    ])  # fmt: skip
    assert [value for _, value, _ in graph[2:]] == [
        -1000, 1000, (1, 3, True), -math.inf, (Fraction(1, 2), (-1, 3)), False, 2**1023,
    ]  # fmt: skip
    assert graph[6][2] == (0, 1) and graph.balls[6] == (0.5, [-1, 3]) and graph.balls[0] is None
    with pytest.raises(ValueError, match="100001 nodes of a graph: at most 100000"):
        checker._graph([H] * 100_001)


def test_a_value_far_out_is_that_of_the_stable_form():
    for x in (-250, 99, 101, 150, 2000):
        with ctx.workprec(checker.BITS):
            found = checker._POINT["softplus"](arb(x))
            with mp.workdps(1000):
                exact = mp.log1p(mp.exp(x)) - max(x, 0)
            assert abs(found - max(x, 0) - arb(mp.nstr(exact, 80))) < arb(2) ** -150 and (
                found.rad() < 1e-80
            )
        assert checker._taylor("asinh", None, arb(0), 1) == [0, 1]
        (found,) = checker._taylor("asinh", None, arb(-2), 0)
        assert abs(found + checker._POINT["asinh"](arb(2))) < 1e-14


UNKNOWN = -math.inf, math.inf


@pytest.mark.parametrize(
    ("gap", "value", "slope"),
    [
        # of min(h, 3 - h) and the branch h > 1 ? 2 h : h + 1, continuous or not: it may jump
        ((0, 0.5), ((0, 0.5), (1, 1.5), (1, 1.5)), (1, 1, 1)),
        ((2, 3), ((0, 1), (4, 6), (4, 6)), (-1, 2, 2)),
        ((0.5, 2), ((0.5, 2), (1, 4), (1, 4)), ((-1, 1), UNKNOWN, UNKNOWN)),
        ((1, 1.25), ((1, 1.25), (2, 2.5), (2, 2.5)), (1, 2, 2)),
    ],
)
def test_a_branch_is_one_side_or_both(gap, value, slope):
    shared = [H, ["sum", ["3", ["-1"]], [0]], ["sum", ["-1", ["1"]], [0]],
              ["sum", ["0", ["2"]], [0]], ["sum", ["1", ["1"]], [0]]]  # fmt: skip
    lasts = ["minimum", None, [0, 1]], ["where", True, [2, 3, 4]], ["where", False, [2, 3, 4]]
    for last, values, slopes in zip(lasts, value, slope, strict=True):
        sides = []
        found, (steep,) = checker._ranges(
            checker._graph([*shared, last]), ["h"], np.array([[gap]], float), True, sides
        )
        assert (found.low[0], found.high[0]) == pytest.approx(values, abs=1e-14)
        ends = slopes if isinstance(slopes, tuple) else (slopes, slopes)
        assert (steep.low[0], steep.high[0]) == pytest.approx(ends, abs=1e-14)
        edge = 1.5 if last[0] == "minimum" else 1.0
        side = 1 if gap[0] >= edge else -1 if gap[1] <= edge else 0
        assert [s.tolist() for s in sides] == [[side]]


def test_the_mean_value_form_narrows_a_box_and_tells_what_its_middle_reaches():
    """Of h - h^2, whose terms alone reach from -1/4 to 3/4 over [1/2, 3/4]."""
    graph = checker._graph([H, ["power", 2, [0]], ["sum", ["0", ["1", "-1"]], [0, 1]]])
    boxes = np.array([[[0.5, 0.75]], [[0.25, 0.25]], [[1.0, math.inf]]])
    value, (slope,), reached = checker._bounded(graph, ["h"], boxes)
    middle = 0.625 - 0.625**2  # slopes from -1/2 to 0: 1/2 times 1/8 away at most
    assert value.low[0] == pytest.approx(middle - 0.0625, abs=1e-14)
    assert value.high[0] == pytest.approx(0.25, abs=0.05) and value.high[0] >= 0.25
    assert (slope.low[0], slope.high[0]) == pytest.approx((-0.5, 0), abs=1e-14)
    assert [value.low[1], value.high[1], reached[1]] == pytest.approx([0.1875] * 3, abs=1e-15)
    assert reached[0] == pytest.approx(middle) and reached[2] == -math.inf
    assert reached[0] <= middle and value.high[2] == math.inf
    for box in (boxes[2:], boxes[:1]):
        alone = checker._bounded(graph, ["h"], box)
        assert alone[2][0] == reached[2 if box is not boxes[:1] and np.isinf(box).any() else 0]


@pytest.mark.parametrize(
    ("limits", "domain", "upper", "decided"),
    [
        ({}, [0.0, 4.0], 0.5, True),
        ({}, [0.0, 4.0], 0.36, False),
        ({}, [0.0, 0.5], 0.3033, True),  # it ends there, at 0.30327
        ({"positive": "-1/2"}, [0.0, 4.0], 0.3033, False),  # h > 1/2
        ({"positive": "-2"}, [0.0, 4.0], 0.2707, True),  # h > 2
        ({"positive": "-2"}, [0.0, 4.0], 0.2706, False),
        ({"zero": "-3"}, [0.0, 4.0], 0.15, True),  # h = 3
        ({"zero": "-3"}, [0.0, 4.0], 0.149, False),
    ],
)
def test_a_bound_is_decided_where_the_constraints_hold(limits, domain, upper, decided, small):
    expression = checker._graph(small["expression"])  # h e^-h
    given = dict.fromkeys(("zero", "positive"))
    for kind, constant in limits.items():
        side = checker._graph([H, ["sum", [constant, ["1"]], [0]]])
        given[kind] = side, side
    boxes = np.array([[domain]])
    with ctx.workprec(80):
        if not decided:
            with pytest.raises(ValueError, match=f"cannot confirm the bound {upper} on"):
                checker._below(expression, given, ["h"], boxes, upper)
            return
        found = checker._below(expression, given, ["h"], boxes, upper)
    ends = sorted(map(tuple, found[:, 0].tolist()))  # they tile the domain
    assert ends[0][0] == domain[0] and ends[-1][1] == domain[1]
    assert all(left[1] == right[0] for left, right in itertools.pairwise(ends))


def test_a_bound_that_is_just_met_is_met():
    """h <= 1 on [0, 1]; and h - h, by the mean-value form: either without a halving."""
    unit, none = np.array([[[0.0, 1.0]]]), dict.fromkeys(("zero", "positive"))
    nought = checker._graph([H, ["sum", ["0", ["1", "-1"]], [0, 0]]])
    least = float(checker._bounded(nought, ["h"], unit)[0].high[0])
    assert 0 <= least < 1e-15
    for graph, upper in ((checker._graph([H]), 1.0), (nought, least)):
        assert checker._below(graph, none, ["h"], unit, upper).tolist() == unit.tolist()


def test_the_limits_are_those_that_the_docstring_states(small, monkeypatch):
    told = " ".join(checker.__doc__.split())
    assert f"in Arb, at {checker.BITS} bits" in told
    assert f"two up to {checker.ROUNDS} times" in told and f"than {checker.MOST:,} of" in told
    monkeypatch.setattr(checker, "MAX_ITEMS", 0)
    refused(small, "1 boxes: at most 0 are read")


@pytest.mark.parametrize(("constant", "least"), [("ROUNDS", 2), ("MOST", 7)])
def test_boxes_are_cut_up_to_the_limits_and_no_further(constant, least, monkeypatch):
    """h - h <= 0.13 over [0, 1], of widths 1, 1/2 and 1/4: 1, 2 and 4 boxes in two rounds."""
    graph = checker._graph([H, ["minimum", None, [0, 0]], ["sum", ["0", ["1", "-1"]], [1, 0]]])
    monkeypatch.setattr(checker, "_bounded", lambda *given: (*checker._ranges(*given, True), UP))
    none, unit = dict.fromkeys(("zero", "positive")), np.array([[[0.0, 1.0]]])
    monkeypatch.setattr(checker, constant, least)
    assert len(checker._below(graph, none, ["h"], unit, 0.26)) == 4
    monkeypatch.setattr(checker, constant, least - 1)
    with pytest.raises(ValueError, match=r"cannot confirm the bound 0\.26"):
        checker._below(graph, none, ["h"], unit, 0.26)


UP = np.array([-math.inf])


def points_told(monkeypatch):
    """The points at which `_agree` is asked, from now on."""
    seen = []
    monkeypatch.setattr(checker, "_agree", lambda there, said, point: seen.append(point))
    return seen


def test_a_statement_is_tested_at_16_points_of_three_scales(monkeypatch):
    seen, value = points_told(monkeypatch), (("derivative", (0, 0, False), ()),)
    for graph, variables in (([H], ("h",)), ([H, Z], ("h", "z"))):
        seen.clear()
        formula, statement = checker._graph(graph), checker._Graph(value)
        checker._same.__wrapped__(formula, variables, statement, formula, variables[:1])
        draw = np.random.default_rng(len(graph))
        assert seen == [
            {name: draw.uniform(-scale, scale) for name in variables}
            for scale in ((12.0, 1.0, 0.2) * 6)[:16]
        ]


def test_a_statement_that_is_seldom_defined_is_told_by_its_tries(monkeypatch):
    """log(h - 11) at a point or two of the 24 drawn from -12 to 12; log(h - 12) at none of 72."""
    seen, value, tries = points_told(monkeypatch), (("derivative", (0, 0, False), ()),), []
    jets = checker._jets
    monkeypatch.setattr(checker, "_jets", lambda *given: tries.append(given) or jets(*given))
    for constant in ("-11", "-12"):
        formula = checker._graph([H, ["sum", [constant, ["1"]], [0]], ["log", None, [1]]])
        given = formula, ("h",), checker._Graph(value), formula, ("h",)
        tries.clear()
        if constant == "-11":
            checker._same.__wrapped__(*given)
            assert 0 < len(seen) < 5 and all(11 < point["h"] < 12 for point in seen)
        else:
            with pytest.raises(ValueError, match="could be evaluated nowhere"):
                checker._same.__wrapped__(*given)
        assert len(tries) == 72


def test_each_combination_of_branches_is_tested_at_the_middle_of_a_box(monkeypatch):
    """h against 0 and z against 1; a tail stands for the point one beyond its end."""
    seen, inf = points_told(monkeypatch), math.inf
    formula = checker._graph([H, Z, ["sum", ["-1", ["1"]], [1]], ["where", True, [2, 0, 1]]])
    bounded = checker._graph([H, ["minimum", None, [0, 0]], ["where", True, [0, 1, 0]]])
    value = checker._Graph((("derivative", (0, 0, False), ()),))
    boxes = np.array([[[1.0, 2.0]], [[-4.0, -2.0]], [[3.0, 5.0]]])
    pairs = [(value, bounded)]
    checker._same_in_branches(formula, ["h", "z"], pairs, ["h"], boxes)
    assert sorted(point["h"] for point in seen) == [-3.0, 1.5]
    assert {point["z"] for point in seen} == {0.75}
    for tail, at in (([7.0, inf], 8.0), ([-inf, -7.0], -8.0), ([-inf, inf], 1.0)):
        seen.clear()
        checker._same_in_branches(formula, ["h", "z"], pairs, ["h"], np.array([[tail]]))
        assert seen == [{"h": at, "z": 0.75}]
    seen.clear()
    flat = checker._graph([H])
    checker._same_in_branches(flat, ["h"], [(value, flat)], ["h"], boxes)
    assert not seen  # of what has no branch rule 2 is all


def test_a_formula_may_branch_at_minus_the_point(monkeypatch):
    """h > -2 decides nothing for h >= 0, but f(-h) is on the other side from 2 on."""
    seen = points_told(monkeypatch)
    formula = checker._graph([H, ["sum", ["2", ["1"]], [0]], ["where", True, [1, 0, 1]]])
    boxes = np.array([[[0.0, 1.0]], [[1.0, 2.0]], [[2.0, 3.0]], [[3.0, 4.0]]])
    value = checker._Graph((("derivative", (0, 0, False), ()),))
    checker._same_in_branches(formula, ["h"], [(value, checker._graph([H]))], ["h"], boxes)
    assert sorted(point["h"] for point in seen) == [0.5, 2.5]


def test_what_is_undefined_in_a_branch_is_not_compared(monkeypatch):
    """log h for h < 0, on either side; at h = 1/2 the two are compared."""
    seen = points_told(monkeypatch)
    undefined, defined = (
        checker._graph([H, ["log", None, [0]], ["number", "5", []], ["where", True, [0, 0, last]]])
        for last in (1, 2)
    )
    value = checker._Graph((("derivative", (0, 0, False), ()),))
    boxes = np.array([[[-2.0, -1.0]], [[0.0, 1.0]]])
    for formula, bounded in ((undefined, defined), (defined, undefined)):
        seen.clear()
        checker._same_in_branches(formula, ["h"], [(value, bounded)], ["h"], boxes)
        assert seen == [{"h": 0.5}]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"lower": 1.0}, None),
        ({"lower": math.nextafter(1.0, 2)}, "the witness does not reach 1.0000000000000002"),
        ({"witness": {"h": 3.0}, "lower": 3.0}, None),
        ({"witness": {"h": 0.0}, "lower": 0.0}, None),
        ({"witness": {"h": 3.5}}, "the witness {'h': 3.5} lies outside the domain"),
        ({"witness": {"h": -1.0}}, "the witness {'h': -1.0} lies outside the domain"),
        ({"witness": {"h": math.inf}, "domain": (0, math.inf)}, "lies outside the domain"),
        ({"positive": "-1"}, "the witness {'h': 1.0} breaks the constraint"),
        ({"positive": "-1/2"}, None),
        ({"zero": []}, "the witness does not reach 0.5"),
    ],
)
def test_a_witness_is_taken_up_to_the_edge(changes, reason):
    """Of sup h over [0, 3], where h - 1 or h - 1/2 is positive."""
    given = {"witness": {"h": 1.0}, "lower": 0.5, "zero": None, "domain": (0.0, 3.0)} | changes
    above = given.pop("positive", None)
    graph = checker._graph([H, ["sum", [above or "0", ["1"]], [0]]])
    arguments = checker._graph([H]), above and (graph, graph), ["h"], [given["domain"]], given
    if reason is None:
        checker._reached(*arguments)
        return
    with pytest.raises(ValueError) as refusal:
        checker._reached(*arguments)
    assert reason in str(refusal.value)


def test_a_branch_at_its_edge_is_the_second():
    """Of h > 0 ? 2 h : -h and of min(h, z) where both are alike, with their slopes."""
    lasts = ["where", True, [0, 2, 3]], ["minimum", None, [0, 1]]
    for last, point, value, slopes in zip(
        lasts, ({"h": 0, "z": 0}, {"h": 2, "z": 2}), (0, 2), ((-1, 0), (0, 1)), strict=True
    ):
        graph = checker._graph(
            [H, Z, ["sum", ["0", ["2"]], [0]], ["sum", ["0", ["-1"]], [0]], last]
        )
        jets = checker._Jets(graph, ("h", "z"), {name: arb(x) for name, x in point.items()})
        assert checker._at(graph, jets.point) == value == jets.derivative(0, 0, False)
        assert (jets.derivative(1, 0, False), jets.derivative(0, 1, False)) == slopes
    pulse = checker._graph([H, ["pulse", None, [0]]])
    assert checker._at(pulse, {"h": arb(0)}) == 0
    held = checker._graph([H, ["held", None, [0]]])
    assert checker._at(held, {"h": arb(3)}) == 3


def test_a_series_holds_no_term_beyond_the_fourth_order():
    sums = [["sum", ["1", ["2", "3"]], [0, 1]], ["exp", None, [2]]]
    graph = checker._graph([H, Z, *sums, ["product", None, [3, 3, 0, 1]]])
    jets = checker._Jets(graph, ("h", "z"), {"h": arb(1), "z": arb(2)})
    jets.derivative(0, 0, False)
    assert {i + j for i, j in jets.known[False]} == {0, 1, 2, 3, 4}


def test_an_agreement_is_one_to_the_150th_bit():
    with ctx.workprec(checker.BITS):
        for size in (0, 1000):
            gap = arb(2) ** -150 * (1 + size)
            checker._agree(arb(size) + gap * 0.99, arb(size), {})
            with pytest.raises(ValueError, match=r"is not the statement at h = 1\.5, z = 2"):
                checker._agree(arb(size) + gap * 1.01, arb(size), {"h": 1.5, "z": 2.0})


PARTITIONS = [
    ([[0.0, 4.0]], [[[0.0, 4.0]]]),
    ([[0.0, 4.0]], [[[0.0, 1.0]], [[1.0, 3.0]], [[3.0, 4.0]]]),
    ([[-math.inf, math.inf]], [[[-math.inf, 0.0]], [[0.0, 2.0]], [[2.0, math.inf]]]),
    (
        [[0.0, 4.0], [0.0, 2.0]],
        [[[0.0, 2.0], [0.0, 2.0]], [[2.0, 4.0], [0.0, 1.0]], [[2.0, 4.0], [1.0, 2.0]]],
    ),
    (
        [[0.0, 4.0], [0.0, 2.0]],
        [
            [[0.0, 4.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 2.0]], [[1.0, 3.0], [1.0, 1.5]],
            [[1.0, 3.0], [1.5, 2.0]], [[3.0, 4.0], [1.0, 2.0]],
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("domain", "boxes"), PARTITIONS)
def test_a_partition_is_one_in_any_order_and_none_if_anything_is_moved(domain, boxes):
    whole = np.array(boxes)
    for some in (whole, whole[::-1]):
        checker._partition(some, list(map(tuple, domain)))
    for k in range(len(whole)):
        with pytest.raises(ValueError, match="do not cover"):
            checker._partition(np.delete(whole, k, axis=0), domain)
        with pytest.raises(ValueError, match="overlap within"):
            checker._partition(np.concatenate([whole, whole[k : k + 1]]), domain)
    wrong = []
    for place in np.argwhere(np.isfinite(whole)):
        for step in (0.25, -0.25, 1e-9, 1.0, -1.0):
            moved = whole.copy()
            moved[tuple(place)] += step
            wrong.append(moved)
    for some in wrong:
        with pytest.raises(ValueError, match=r"do not cover|overlap within"):
            checker._partition(some, domain)


def test_a_pinwheel_is_a_partition_that_no_cut_divides():
    wheel = [[[0, 2], [0, 1]], [[2, 3], [0, 2]], [[1, 3], [2, 3]], [[0, 1], [1, 3]],
             [[1, 2], [1, 2]]]  # fmt: skip
    with pytest.raises(ValueError, match=r"the boxes overlap within \[\[0, 3\], \[0, 3\]\]"):
        checker._partition(np.array(wheel, float), [[0, 3], [0, 3]])


@pytest.mark.parametrize(
    ("kind", "ends", "slope"),
    [
        ("sinh", (-1, 2), (1, math.cosh(2))),
        ("sinh", (-2, 1), (1, math.cosh(2))),
        ("sinh", (-2, -1), (math.cosh(1), math.cosh(2))),
        ("sinh", (0, 1), (1, math.cosh(1))),
        ("sinh", (-1, 0), (1, math.cosh(1))),
        ("sinh", (1, math.inf), (math.cosh(1), math.inf)),
        ("sinh", (-math.inf, math.inf), (1, math.inf)),
        ("asinh", (-1, 2), (5**-0.5, 1)),
        ("asinh", (-2, -1), (5**-0.5, 2**-0.5)),
        ("log", (-1, 2), (0.5, math.inf)),
        ("log", (-2, -1), (-math.inf, math.inf)),
        ("log", (0, 2), (0.5, math.inf)),
        ("log", (1, 2), (0.5, 1)),
        ("exp", (-1, 2), (math.exp(-1), math.exp(2))),
        ("softplus", (0, 0), (0.5, 0.5)),
        ("sigmoid", (0, 0), (0.25, 0.25)),
        ("held", (-1, 2), (1, 1)),
    ],
)
def test_the_slope_of_a_function_over_an_interval(kind, ends, slope):
    graph = checker._graph([H, [kind, None, [0]]])
    _, (found,) = checker._ranges(graph, ["h"], np.array([[ends]], float), True)
    # about ten roundings of an ulp each
    assert found.low[0] == pytest.approx(slope[0], rel=1e-14) and found.low[0] <= slope[0]
    assert found.high[0] == pytest.approx(slope[1], rel=1e-14) and found.high[0] >= slope[1]


def test_a_pulse_is_unbounded_where_its_argument_may_be_0_and_0_elsewhere():
    graph = checker._graph([H, ["pulse", None, [0]]])
    ends = [(0, 1), (-1, 0), (-1, 1), (0, 0), (-0.5, -0.25), (0.25, 0.5)]
    value, (slope,) = checker._ranges(graph, ["h"], np.array([[e] for e in ends], float), True)
    assert value.low.tolist() == [0] * 6 and value.high.tolist() == [math.inf] * 4 + [0] * 2
    assert slope.low.tolist() == [-math.inf] * 6 and slope.high.tolist() == [math.inf] * 6


def test_a_term_with_the_factor_1_or_minus_1_is_not_rounded():
    box = np.array([[[1.0, 2.0], [0.1, 0.7]]])
    for factors, expected in ((["1"], (1, 2)), (["-1"], (-2, -1)), (["1", "-1"], None)):
        names = list(range(len(factors)))
        graph = checker._graph([H, Z, ["sum", ["0", factors], names]])
        value, _ = checker._ranges(graph, ["h", "z"], box)
        if expected is None:  # one rounding of each end
            expected = math.nextafter(1 - 0.7, -math.inf), math.nextafter(2 - 0.1, math.inf)
        assert (value.low[0], value.high[0]) == expected
    graph = checker._graph([H, Z, ["sum", ["1/2", ["1"]], [0]]])
    value, _ = checker._ranges(graph, ["h", "z"], box)
    assert (value.low[0], value.high[0]) == (math.nextafter(1.5, 0), math.nextafter(2.5, 3))


@pytest.mark.parametrize(
    ("nodes", "box", "bound"),
    [
        # h e^(z - h/2) z, of which z is at most -1: never above 0, never below 4 e^(-1 - 2) (-2)
        (["sum", ["0", ["-1/2", "1"]], [0, 1]], [[4.0, math.inf], [-2.0, -1.0]],
         (-8 * math.exp(-3), 0)),
        (["sum", ["0", ["1", "-1/2"]], [1, 0]], [[4.0, math.inf], [-2.0, -1.0]],
         (-8 * math.exp(-3), 0)),
        (["sum", ["3", ["-1/2"]], [0]], [[4.0, math.inf], [1.0, 2.0]], (0, 8 * math.e)),
        # it rises before h = 2, goes on without end, or is no function of h alone
        (["sum", ["0", ["-1/2"]], [0]], [[math.nextafter(2, 3), math.inf], [1.0, 1.0]],
         (0, 2 / math.e)),
        (["sum", ["0", ["-1/2"]], [0]], [[2.0, math.inf], [1.0, 1.0]], (0, math.inf)),
        (["sum", ["0", ["1/2"]], [0]], [[4.0, math.inf], [1.0, 1.0]], (None, math.inf)),
        (["sum", ["0", ["-1/2"]], [1]], [[4.0, math.inf], [1.0, 1.0]], (None, math.inf)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["exp", "sigmoid"])
def test_a_product_that_fades_is_bounded_where_it_begins(kind, nodes, box, bound):
    graph = checker._graph([H, Z, nodes, [kind, None, [2]], ["product", None, [0, 3, 1]]])
    value, _ = checker._ranges(graph, ["h", "z"], np.array([box]))
    if bound[0] is not None:
        assert value.low[0] == pytest.approx(bound[0], rel=1e-13, abs=1e-300)
        assert value.low[0] <= bound[0]
    assert value.high[0] == pytest.approx(bound[1], rel=1e-13, abs=1e-300)
    assert value.high[0] >= bound[1]


def test_a_product_that_does_not_fade_is_left_as_it_is():
    """Finite boxes, 1/h e^-h, and a sum without an exponential."""
    for first, last, box in (
        (["power", 2, [0]], ["exp", None, [2]], [3.0, 4.0]),
        (["power", -1, [0]], ["exp", None, [2]], [3.0, math.inf]),
        (["power", 2, [0]], ["asinh", None, [2]], [3.0, math.inf]),
    ):
        graph = checker._graph([
            H, first, ["sum", ["0", ["-1"]], [0]], last, ["product", None, [1, 3]],
        ])  # fmt: skip
        value, _ = checker._ranges(graph, ["h"], np.array([[box]]))
        parts = [checker._ranges(checker._Graph(graph[:k]), ["h"], np.array([[box]]))[0]
                 for k in (2, 4)]  # fmt: skip
        plain = parts[0] * parts[1]
        assert (value.low[0], value.high[0]) == (plain.low[0], plain.high[0])


def test_every_kind_of_node_has_its_words():
    graph = checker._graph([
        H, ["number", "-1/2", []], ["derivative", [1, 2, False], []],
        ["derivative", [0, 1, True], []], ["sum", ["0", ["1", "-2"]], [0, 1]],
        ["sum", ["3", ["1"]], [2]], ["product", None, [4, 5, 3]], ["power", -2, [6]],
        ["where", True, [0, 7, 1]], ["minimum", None, [8, 0]], ["exp", None, [9]],
    ])  # fmt: skip
    expected = "exp(minimum(where(h, ((1 h + -2 -1/2) (3 + 1 f{1,2}) f-{0,1})^-2, -1/2), h))"
    assert checker._words(graph) == expected
    long = [H]
    while len(checker._words(checker._graph(long))) < 394:
        long.append(["held", None, [len(long) - 1]])
    rest = checker._words(checker._graph(long))
    for more in range(3):
        text = checker._words(checker._graph([["variable", "h" * (1 + more), []], *long[1:]]))
        whole = rest.replace("(h)", f"({'h' * (1 + more)})")
        assert text == (whole if len(whole) <= 400 else whole[:400] + "...")
    assert len(rest) + 2 > 400 - 7


def test_the_command_answers_within_the_process(small, tmp_path, capsys, monkeypatch):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(small))
    bad.write_text(json.dumps(changed(small, upper=0.2, lower=0.1)))
    assert checker.main([str(good)]) == 0
    assert capsys.readouterr().out == f"accepted {good}: {checker.said(small)}\n"
    assert checker.main([str(bad), str(good), str(tmp_path / "none")]) == 1
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith(f"REFUSED {bad}: cannot confirm the bound 0.2 on ")
    assert second.startswith(f"accepted {good}: r of m: sup f{{0,0}}: at least 0.3, attained at")
    assert third.startswith(f"REFUSED {tmp_path / 'none'}: ")
    assert checker.main([]) == 2
    usage = capsys.readouterr()
    assert usage.err == "usage: python -m madpo_theory.audit.checker FILE...\n" and not usage.out
