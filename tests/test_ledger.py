"""The judge judged: what the ledger and the kinds of evidence say of made-up evidence."""

import json
import os
import re
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import sympy as sp
from hypothesis import configuration
from hypothesis import strategies as st

from madpo_theory.audit import checker
from madpo_theory.certify import ScheduleBox, certify
from madpo_theory.claims import evidence as kinds
from madpo_theory.claims.evidence import (
    TargetBounds,
    certified,
    certified_box,
    certified_slopes,
    describe,
    enclosed,
    must,
    observed,
    property_test,
    proved,
    simulated,
    symbolic,
)
from madpo_theory.claims.ledger import Claim, Contradiction, Evidence, Ledger, verify
from madpo_theory.claims.settings import RELEASED
from madpo_theory.coq.coqc import NotChecked
from madpo_theory.methods import METHODS, Method, Slots
from madpo_theory.verdicts import VERDICTS

CLAIM = Claim("S1", "1 < 2.", "One is less.", "here", "none", "holds", evidence=(len,))
PIECE = Evidence("symbolic", "a name", "0", "0", True)


def gathered(evidence, folder):
    """The single Evidence of a one-claim ledger."""
    return verify([replace(CLAIM, evidence=(evidence,))], certificates=folder).rows[0][1][0]


def ledger(*pieces):
    return Ledger(((CLAIM, pieces),), 1.26)


AGREEING = PIECE
AGAINST = replace(PIECE, agrees=False)
UNCHECKED = replace(PIECE, agrees=False, checked=False)
ERROR = replace(PIECE, agrees=False, checked=False, error=True)


def test_a_piece_is_in_the_list_that_it_belongs_to_and_in_no_other():
    whole = ledger(AGREEING, AGAINST, UNCHECKED, ERROR)
    assert whole.disagreements == [("S1", AGAINST)]
    assert whole.unchecked == [("S1", UNCHECKED)]
    assert whole.errors == [("S1", ERROR)]
    assert whole.unverified == [] and ledger(UNCHECKED, ERROR).unverified == ["S1"]
    assert [e.outcome for e in whole.rows[0][1]] == [
        "agrees",
        "DISAGREES",
        "not checked here",
        "ERROR",
    ]


def test_the_defaults_of_a_piece_and_of_a_ledger():
    assert PIECE.checked and not PIECE.error and PIECE.foils == PIECE.steps == ()
    assert Ledger().rows == () and Ledger().seconds == 0
    with pytest.raises(AttributeError):
        PIECE.agrees = False
    with pytest.raises(AttributeError):
        CLAIM.verdict = "fails"
    with pytest.raises(AttributeError):
        Ledger().seconds = 1.0


def test_a_verdict_is_known_by_its_letters():
    with pytest.raises(ValueError, match="shows its counterexample"):
        replace(CLAIM, verdict="".join(["fai", "ls"]))
    with pytest.raises(ValueError, match="states a condition"):
        replace(CLAIM, verdict="".join(["condi", "tional"]))


def test_the_json_holds_the_claim_its_evidence_and_what_it_rests_on(tmp_path):
    claim = replace(CLAIM, uses=("S2",), evidence=(proved("File", "one"), proved("File", "one")))
    path = tmp_path / "deep" / "ledger.json"
    Ledger(((claim, (PIECE,)),), 1.26).write(path)
    text = path.read_text()
    assert text.endswith("}\n") and text.startswith('{\n "claims"')
    found = json.loads(text)
    (row,) = found["claims"]
    assert found["seconds"] == 1.3 and row["uses"] == ["S2", "File.one"]
    assert row["evidence"][0]["name"] == "a name" and row["statement"] == "1 < 2."


@pytest.mark.parametrize("progress", [False, True])
def test_the_bar_is_drawn_on_request_only(progress, capsys, tmp_path):
    verify([replace(CLAIM, evidence=(lambda: PIECE,))], certificates=tmp_path, progress=progress)
    assert ("S1" in capsys.readouterr().err) == progress


def test_a_ledger_says_how_long_it_took(monkeypatch, tmp_path):
    clock = iter([1.5, 4.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    assert verify([replace(CLAIM, evidence=(lambda: PIECE,))], certificates=tmp_path).seconds == 2.5


def warns():
    np.log(np.array([0.0]))
    return PIECE


def contradicts():
    must(False)


def says_what():
    must(0, "seven")


def fails():
    raise KeyError("lost")


@pytest.mark.parametrize(
    ("evidence", "outcome", "computed"),
    [
        (warns, "ERROR", "RuntimeWarning: divide by zero encountered in log"),
        (contradicts, "DISAGREES", "false here"),
        (says_what, "DISAGREES", "seven"),
        (fails, "ERROR", "KeyError: 'lost'"),
    ],
)
def test_what_is_raised_is_told(evidence, outcome, computed, tmp_path):
    found = gathered(evidence, tmp_path)
    assert (found.outcome, found.computed, found.name) == (outcome, computed, evidence.__name__)
    assert found.kind == "symbolic" and found.theory == "" and not found.agrees
    assert found.error == (not found.checked) == (outcome == "ERROR")


@pytest.mark.parametrize("error", [OSError, MemoryError])
def test_what_is_of_the_machine_is_raised(error, tmp_path):
    def full():
        raise error("none left")

    with pytest.raises(error, match="none left"):
        gathered(full, tmp_path)


def test_the_folder_is_asked_for_only_where_something_is_written(tmp_path):
    (tmp_path / "file").touch()
    assert gathered(lambda: PIECE, tmp_path / "file").agrees

    def writer(folder):
        return replace(PIECE, computed=folder.name)

    writer.writes = True
    assert gathered(writer, tmp_path / "made").computed == "made"
    with pytest.raises(OSError, match="nothing can be written"):
        gathered(writer, tmp_path / "file")


@pytest.mark.parametrize(("kind", "asked"), [("proof", 1), ("symbolic", 0), ("certified", 0)])
def test_coq_starts_for_proofs_only(kind, asked, monkeypatch, tmp_path):
    started = []
    monkeypatch.setattr("madpo_theory.claims.ledger.compile_meanwhile", lambda: started.append(1))

    def piece():
        return PIECE

    piece.kind = "".join(kind)  # known by its letters
    gathered(piece, tmp_path)
    assert len(started) == asked


def test_a_roll_up_counts_what_was_checked(tmp_path):
    parts = [
        replace(CLAIM, evidence=tuple((lambda e=e: e) for e in pieces), id=name)
        for name, pieces in (
            ("S1", (AGREEING, UNCHECKED)),
            ("S2", (AGREEING, AGAINST)),
            ("S3", (UNCHECKED,)),
        )
    ]
    whole = replace(CLAIM, id="A1", evidence=(), parts=("S1", "S2", "S3"))
    first, second, third, verdict = verify([*parts, whole], certificates=tmp_path).rows[-1][1]
    assert first.agrees and first.computed.endswith("1 of 1 pieces agree") and first.name == "S1"
    assert not second.agrees and second.checked and "1 of 2" in second.computed
    assert not third.agrees and not third.checked
    assert verdict.agrees and verdict.checked and first.kind == verdict.kind == "roll-up"
    alone = replace(whole, parts=("S3",))
    assert not verify([parts[2], alone], certificates=tmp_path).rows[-1][1][-1].checked


@pytest.mark.parametrize(
    ("scores", "sigmas", "agrees"),
    [
        ([4.9, 0.0], 5.0, True),
        ([-5.1, 0.0, 0.0, 0.0], 5.0, False),
        ([5.0], 5.0, False),
        ([2.0, 0.1], 1.5, False),
        ([np.inf], 5.0, False),
    ],
)
def test_a_simulation_is_judged_by_its_largest_deviation(scores, sigmas, agrees, tmp_path):
    piece = simulated("a", "b", sigmas=sigmas)(lambda: ("text", np.array(scores)))
    found = gathered(piece, tmp_path)
    assert found.agrees is agrees and found.kind == "simulation"
    largest = f"{np.abs(scores).max():.2f}"
    assert found.computed == (f"text; largest deviation {largest} standard errors of {len(scores)}")
    assert f"below {sigmas:g} standard errors" in found.detail


@pytest.mark.parametrize("truth", [True, False])
def test_an_observation_is_as_true_as_it_says(truth, tmp_path):
    found = gathered(
        observed("certified", "a", "b", "c")(lambda: ("text", np.bool_(truth))), tmp_path
    )
    assert found == Evidence("certified", "a", "text", "b", truth, "c")
    found = gathered(enclosed("a", "b")(lambda: ("text", truth)), tmp_path)
    assert found.agrees is truth and found.kind == "certified" and "128 bits" in found.detail


X = sp.Symbol("x", positive=True)


@pytest.mark.parametrize(
    ("steps", "agrees"),
    [
        ([("true", X, X)], True),
        ([("true", X, X), ("x > 0", sp.Gt(X, 0))], True),
        ([("false", X, 2 * X), ("true", X, X)], False),
        ([("true", X, X), ("false", X, 2 * X)], False),
        ([("true", X, X), ("x > 1", sp.Gt(X, 1)), ("x > 0", sp.Gt(X, 0))], False),
        ([("x > 0", sp.Gt(X, 0))], False),  # a derivation has an equation
    ],
)
def test_a_derivation_agrees_if_every_step_does(steps, agrees, tmp_path):
    found = gathered(symbolic("a")(lambda: iter(steps)), tmp_path)
    assert found.agrees is agrees and len(found.steps) == len(steps)
    related = any(len(step) == 2 for step in steps)
    assert ("relations decided" in found.computed) == ("all True" in found.theory) == related


UNIT, WHOLE = st.floats(0, 1), st.integers(0, 10**6)


@pytest.mark.parametrize("wanted", (True, False))
def test_a_property_leaves_no_caches_where_the_user_is(wanted, monkeypatch, tmp_path):
    """A killed one would leave temporaries among them."""
    monkeypatch.setattr(configuration, "__hypothesis_home_directory", None)
    monkeypatch.delenv("HYPOTHESIS_STORAGE_DIRECTORY", raising=False)
    if wanted:
        monkeypatch.setenv("HYPOTHESIS_STORAGE_DIRECTORY", str(tmp_path))
    places = set()

    @property_test("a", "b", examples=3)
    def holds(x=WHOLE):
        places.add(str(configuration.storage_directory("constants").path))

    usual = configuration.storage_directory("constants").path
    assert gathered(holds, tmp_path).agrees
    assert places == {str(usual) if wanted else os.path.join(os.devnull, "constants")}
    assert configuration.storage_directory("constants").path == usual


@pytest.fixture(scope="module")
def hypothesis_ready():
    """At its first property Hypothesis reads the library's source, which takes seconds."""

    @property_test("a", "b", examples=20)
    def holds(x=UNIT):
        pass

    holds()


def test_a_property_looks_at_as_many_examples_as_it_says(hypothesis_ready, no_shrinking, tmp_path):
    seen = []

    @property_test("a", "b", examples=17)
    def holds(x=UNIT):
        seen.append(x)

    @property_test("a", "b")
    def fails_late(s=WHOLE):
        must(s < 500_000, f"s = {s}")

    found = gathered(holds, tmp_path)
    assert found.agrees and found.computed == f"no counterexample in {len(seen)} examples"
    assert len(seen) == 17 and found.detail.startswith("Hypothesis over x: floats(")
    first, seen[:] = list(seen), []
    assert gathered(holds, tmp_path).computed == found.computed and seen == first
    found = gathered(fails_late, tmp_path)
    assert not found.agrees and found.computed.startswith("counterexample: s = ")


LOW, HIGH = (certify("influence", RELEASED)[end] for end in ("lower", "upper"))


@pytest.mark.parametrize(
    ("limits", "agrees"),
    [
        ({"below": HIGH, "above": LOW}, True),
        ({"below": (LOW + HIGH) / 2}, False),
        ({"above": (LOW + HIGH) / 2}, False),
        ({"below": LOW - 0.1}, False),
        ({"above": HIGH + 0.1}, False),
        ({"below": HIGH}, True),
        ({"above": LOW}, True),
    ],
)
def test_a_certificate_agrees_with_a_limit_that_it_implies(limits, agrees, tmp_path):
    piece = certified("a", "influence", RELEASED, **limits)
    found = gathered(piece, tmp_path)
    assert found.agrees is agrees and found.kind == "certified" and piece.uses == ("influence",)
    assert found.computed == f"[{LOW:.6f}, {HIGH:.6f}]" and describe(RELEASED) in found.detail
    assert (tmp_path / found.certificate).is_file() and piece.__name__ == "certified_influence"
    assert found.theory.count("<=") == ("below" in limits)
    assert found.theory.count(">=") == ("above" in limits)
    assert len(piece.foils) == len(limits)
    if agrees:
        assert all(not gathered(f.evidence, tmp_path).agrees for f in piece.foils)


def test_the_foils_of_a_certificate_are_5_percent_off():
    piece = certified("a", "influence", RELEASED, below=4, above=-2)
    assert [f.statement for f in piece.foils] == [
        "at most 3.8, 5 % less",
        "at least -1.9, 5 % more",
    ]
    piece = certified("a", "influence", RELEASED, below=0)
    assert [f.statement for f in piece.foils] == ["at most -0.05, 5 % less"]
    assert certified("a", "influence", RELEASED).foils == ()
    assert certified_box("a", "influence", None, below=1).__name__ == "certified_box_influence"


@pytest.mark.parametrize(
    ("least", "most", "agrees"),
    [
        ((-0.001, 0.001), (0.799, 0.801), True),
        ((0.002, 0.01), (0.799, 0.801), False),
        ((-0.01, -0.002), (0.799, 0.801), False),
        ((-0.001, 0.001), (0.802, 0.9), False),
        ((-0.001, 0.001), (0.7, 0.798), False),
    ],
)
def test_slopes_agree_if_both_lie_between_their_limits(least, most, agrees, tmp_path):
    piece = certified_slopes("a", METHODS["cdpo"](), least=least, most=most)
    found = gathered(piece, tmp_path)
    assert found.agrees is agrees and found.kind == "certified"
    if agrees:
        assert all(not gathered(f.evidence, tmp_path).agrees for f in piece.foils)
        assert len(piece.foils) == 2


CHECKED = SimpleNamespace(
    statements={("File", "one"): "1 = 1"},
    axioms={"File": ["Reals.a", "Uint63.b", "PrimInt63.c"]},
)


@pytest.mark.parametrize(
    ("result", "theorem", "outcome", "computed"),
    [
        (CHECKED, "one", "agrees", "proved"),
        (CHECKED, "two", "DISAGREES", "no theorem two in File.v"),
        (ValueError("axiom"), "one", "DISAGREES", "refused: axiom"),
        (NotChecked("no Coq"), "one", "not checked here", "not checked here: no Coq"),
    ],
)
def test_a_proof_is_what_coq_says(result, theorem, outcome, computed, monkeypatch, tmp_path):
    monkeypatch.setattr(kinds, "checked_once", lambda: result)
    monkeypatch.setattr("madpo_theory.claims.ledger.compile_meanwhile", lambda: None)
    piece = proved("File", theorem)
    found = gathered(piece, tmp_path)
    assert (found.outcome, found.computed, found.kind) == (outcome, computed, "proof")
    assert piece.uses == (f"File.{theorem}",)
    if found.agrees:
        assert found.detail == "Coq; axioms: a, 2 of 63-bit integers" and found.steps == ("1 = 1",)


def test_must_passes_on_what_is_true():
    assert must(1) is None
    with pytest.raises(Contradiction, match="false here"):
        must(0)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("bounded_ratio", " of the bounded_ratio weight"),
        ("published", ""),
        ("scaled", " of the scaled weight"),
    ],
)
def test_a_weight_is_named_unless_it_is_the_published_one(kind, words):
    assert kinds._of(kind) == words


def test_a_certificate_says_what_it_covers(tmp_path):
    found = gathered(certified("a", "influence", RELEASED, below=4), tmp_path)
    made = json.loads((tmp_path / found.certificate).read_text())
    assert found.detail == (
        f"sup influence, {len(made['boxes'])} boxes and tail, schedule {describe(RELEASED)}"
    )
    assert found.theory == "<= 4" and describe(RELEASED) == "(2, 1/2, 1, log(999))"


@pytest.mark.parametrize(
    ("options", "covers"),
    [
        ({"below": 1.0}, "sup dampening over BOX, LEAVES boxes and tail"),
        ({"below": 1.0, "tolerance": 0.02}, "sup dampening over BOX, LEAVES boxes and tail"),
        (
            {"below": 1.0, "within": (1, "3/2")},
            "sup dampening over BOX, LEAVES boxes at margins ['1', '3/2'] tau",
        ),
    ],
)
def test_a_certificate_of_a_box_says_what_it_covers(options, covers, tmp_path):
    box = ScheduleBox(("1.9", "2.1"), "1/2", 1, 2)
    piece = certified_box("a", "dampening", box, **options)
    found = gathered(piece, tmp_path)
    made = json.loads((tmp_path / found.certificate).read_text())
    leaves = sum(tree.count(".") for tree in made["trees"]["+"])
    margin, *schedule = made["witness"]
    covers = covers.replace("BOX", str(box)).replace("LEAVES", str(leaves))
    assert found.detail == (
        f"{covers}; lower end at h = {margin} tau, schedule ({', '.join(schedule)})"
    )
    assert found.computed == f"[{made['lower']:.4f}, {made['upper']:.4f}]" and found.agrees
    assert found.theory == "<= 1" and piece.kind == "certified" and piece.title == "a"
    # without a tolerance the bound is proved and no more; with one the supremum is enclosed
    assert (made["upper"] == 1.0) == ("tolerance" not in options)
    assert made["upper"] - made["lower"] <= 0.02 or made["upper"] == 1.0


def test_a_certificate_of_a_box_may_be_of_another_weight(tmp_path):
    piece = certified_box(
        "a", "sensitivity", ScheduleBox(2, "1/2", 1, 2), kind="bounded_ratio", below=2.0, digits=2
    )
    found = gathered(piece, tmp_path)
    assert found.detail.startswith("sup sensitivity of the bounded_ratio weight over c_max 2 x")
    assert found.agrees and found.computed.endswith(", 2.00]")


def test_slopes_are_told_with_their_limits_and_foils(tmp_path):
    piece = certified_slopes("a", METHODS["cdpo"](), least=(-0.002, 0.001), most=(0.79, 0.81))
    found = gathered(piece, tmp_path)
    assert found.theory == "between -0.002 and 0.001, between 0.79 and 0.81"
    first, second = re.fullmatch(r"inf T' in \[(.*)\], sup T' in \[(.*)\]", found.computed).groups()
    for text, slope in ((first, 0.0), (second, 0.8)):
        low, high = map(float, text.split(", "))
        assert low - 1e-9 <= slope <= high + 1e-9 and high - low <= 1.1e-4
    boxes = [
        len(json.loads(file.read_text())["boxes"]) for file in tmp_path.glob(found.certificate)
    ]
    assert found.detail == (
        f"|h| <= 60 nats, {sum(boxes)} boxes, accepted by python -m madpo_theory.audit.checker"
    )
    steeper, flatter = piece.foils
    assert steeper.statement == "the least slope is 0.05 more"
    assert flatter.statement == "the largest is 5 % less"
    limits = [
        list(map(float, re.findall(r"-?[0-9.]+", gathered(foil.evidence, tmp_path).theory)))
        for foil in piece.foils
    ]
    assert limits[0] == pytest.approx([0.048, 0.051, 0.79, 0.81])
    assert limits[1] == pytest.approx([-0.002, 0.001, 0.7505, 0.7695])


@dataclass(frozen=True)
class Cubic(Method):
    """T = h - h^3/200 + h^2 sign(h)/4: T' from -23 at 60 nats to 1 + 100/24 at 50/3 nats."""

    needs = frozenset({"reference", "margin"})

    def slots(self, xp, h):
        return Slots(offset=xp.where_greater(h, 0, h * h, -h * h) / 4 - h * h * h / 200)


def test_the_targets_of_a_method_are_bounded_with_certificates(tmp_path):
    bounds = TargetBounds(Cubic())
    (least, most), (moved, steepest) = bounds.slopes(), bounds.influence()
    exact = 1 + 30 - 54, 1 + 100 / 24, 1080 - 900, 54 - 30
    for found, value in zip((least, most, moved, steepest), exact, strict=True):
        assert found.lower <= value <= found.upper and found.upper - found.lower <= 1e-4 * (
            1 + abs(value)
        )
    assert least.witness["h"] == pytest.approx(60, abs=0.01)
    glob, boxes = bounds.written(tmp_path, "slope", {"inf T'": least, "sup T'": most})
    files = sorted(tmp_path.glob(glob))
    assert [file.name for file in files] == ["slope-Cubic-inf-0.json", "slope-Cubic-sup-0.json"]
    found = [json.loads(file.read_text()) for file in files]
    assert boxes == sum(len(one["boxes"]) for one in found)
    assert [one["row"] for one in found] == ["inf T'", "sup T'"]
    for one in found:
        checker.check(one)
        with pytest.raises(ValueError, match=r"breaks the rule|cannot confirm"):
            checker.check(one | {"upper": one["upper"] - 1e-3})


@dataclass(frozen=True)
class Leaping(Cubic):
    """An offset of 0 or 1: the target leaps, and no slope bounds it."""

    def slots(self, xp, h):
        return Slots(offset=xp.where_greater(h, 1, 1 + 0 * h, 0 * h))


def test_a_target_that_leaps_has_no_bound():
    with pytest.raises(RuntimeError, match="inf"):
        TargetBounds(Leaping()).slopes()


@pytest.mark.parametrize(
    ("ends", "within", "possible"),
    [
        ((1.0, 2.0, 2.0, 1.0), True, True),
        ((1.0, 2.0, 1.0, None), False, True),
        ((1.0, 2.0, None, 2.0), False, True),
        ((1.0, 2.0, 0.9, None), False, False),
        ((1.0, 2.0, None, 2.1), False, False),
        ((1.0, 2.0, 1.5, 2.1), False, False),
    ],
)
def test_a_limit_is_met_up_to_its_edge(ends, within, possible):
    assert kinds._within(*ends) == within and kinds._not_refuted(*ends) == possible


@pytest.mark.parametrize(
    ("expression", "zero"),
    [
        ("exp(x/2) - 1", False),
        ("exp(x/2 + y) - exp(x/2)*exp(y)", True),
        ("exp(-2*x + y) - exp(y)/exp(x)**2", True),
        ("log(u*v) - log(u) - log(v)", True),
        ("log(u**2) - 2*log(u)", True),
        ("exp(3*x) - exp(x)**2", False),
    ],
)
def test_what_is_simplified_to_zero_is_an_identity(expression, zero):
    names = {name: sp.Symbol(name, positive=name in "xy") for name in "xyuv"}
    assert (kinds.simplified(sp.sympify(expression, locals=names)) == 0) == zero


def test_what_is_not_zero_is_told_in_exponentials():
    found = kinds.simplified(sp.exp(2 * X) - 3)
    assert sp.simplify(found - (sp.exp(X) ** 2 - 3)) == 0


STANDING = {
    "holds": {},
    "conditional": {"condition": "c"},
    "fails": {"counterexample": "x"},
}


@pytest.mark.parametrize("whole", STANDING)
@pytest.mark.parametrize("part", STANDING)
def test_a_roll_up_of_one_part_stands_as_that_part(whole, part, tmp_path):
    claims = [
        replace(CLAIM, verdict=part, **STANDING[part], evidence=(lambda: PIECE,)),
        replace(CLAIM, id="A1", verdict=whole, **STANDING[whole], evidence=(), parts=("S1",)),
    ]
    piece, verdict = verify(claims, certificates=tmp_path).rows[-1][1]
    assert piece.agrees and verdict.agrees == (whole == part)
    assert verdict.theory == VERDICTS[whole].text and verdict.name == "verdict"
    assert verdict.computed == f"the weakest of its parts: {VERDICTS[part].text}"
    assert piece.computed == f"{VERDICTS[part].text}; 1 of 1 pieces agree"
    assert piece.theory == "all of them agree" and piece.detail == CLAIM.reading


@pytest.mark.parametrize(
    ("axioms", "named"),
    [
        (["A.B.one", "two"], ["one", "two"]),
        (["Uint63.a"], ["1 of 63-bit integers"]),
        (["Deep.Reals.a", "Uint63.b.c", "PrimInt63.c"], ["a", "2 of 63-bit integers"]),
    ],
)
def test_axioms_are_named_and_those_of_integers_counted(axioms, named):
    assert kinds._named(axioms) == named
