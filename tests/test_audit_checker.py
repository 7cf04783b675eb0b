"""The checker of the sheet's bounds: sound certificates pass, each forgery breaks one rule."""

import copy
import json
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given
from hypothesis import strategies as st

from madpo_theory.audit import audit, checker

METHODS = ("cdpo", "ipo", "hinge", "simpo", "madpo")


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


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("upper", "3"), ("upper", True), ("upper", 3), ("upper", float("inf")),
        ("lower", float("nan")), ("lower", "0.0"), ("order", []), ("order", "h"),
        ("order", {"h": 0}), ("order", ["h", "z"]), ("order", ["h\n"]), ("method", "x" * 201),
        ("method", "x\naccepted y"),
        ("row", None), ("zero", []), ("positive", []), ("positive", [[["number", "1", []]]]),
        ("witness", ["h"]), ("witness", {"h": "4.0"}), ("witness", {"h": 4}), ("witness", {}),
        ("witness", {"h": float("nan")}), ("variables", ["h", "h"]), ("variables", ["h", "z", "k"]),
        ("variables", "h"), ("variables", ["z"]), ("formula", "x"), ("formula", [[[], None, []]]),
        ("formula", [["number", "1/0", []]]), ("formula", [["number", "\u0661", []]]),
        ("formula", [["number", "9" * 1000, []]]), ("formula", [["number", "1", [], 0]]),
        ("statement", [["variable", "q", []]]), ("expression", [["variable", "z", []]]),
        ("expression", [["derivative", [0, 0, False], []]]), ("boxes", [[["0.0", "60.0"]]]),
        ("boxes", [[0.0, 60.0]]), ("boxes", [[[0, 60]]]), ("boxes", [[[0.0, 60.0], [0.0, 1.0]]]),
        ("boxes", [[[0.0, 60.0]], []]), ("domain", {"h": ["0.0", "6_0.0"]}),
        ("domain", {"h": ["0.0", "60"]}), ("domain", {"h": ["0.0", "nan"]}),
        ("domain", {"h": ["60.0", "0.0"]}), ("domain", ["h"]), ("domain", {}),
        ("order", ["h", "h"]), ("variables", []), ("format", "madpo audit bound 2"),
        ("formula", []), ("formula", [["sin", None, []]]), ("formula", [["variable", "h", [0]]]),
        ("formula", [["number", 3, []]]), ("formula", [["number", "1e999999999", []]]),
        ("statement", [["derivative", [9, 0, False], []]]),
        ("statement", [["variable", "h", []], ["power", 10**9, [0]]]),
        ("boxes", []), ("boxes", [[[float("nan"), 1.0]]]), ("domain", {"h": [0, 1]}),
    ],
)  # fmt: skip
def test_wrong_types_are_refused(certificates, key, value):
    with pytest.raises(ValueError) as refusal:
        checker.check(changed(certificates["madpo", "influence"], **{key: value}))
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 400


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
