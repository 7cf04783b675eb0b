"""The ledger: every piece of evidence agrees, and evidence for a falsehood does not."""

import json
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

from madpo_theory import cli
from madpo_theory.claims import CLAIMS, Claim, select, verify
from madpo_theory.claims.evidence import (
    certified,
    enclosed,
    property_test,
    simplified,
    simulated,
    symbolic,
)
from madpo_theory.claims.ledger import KINDS
from madpo_theory.claims.settings import RELEASED, margins, schedules
from madpo_theory.show.figures import figures
from madpo_theory.weights import weight

PIECES = [  # the proofs are in test_proofs.py
    (claim, evidence) for claim in CLAIMS for evidence in claim.evidence if evidence.kind != "proof"
]
ONE = CLAIMS[0]


def gathered(evidence, folder):
    """The single Evidence of a one-claim ledger."""
    return verify([replace(ONE, evidence=(evidence,))], certificates=folder).rows[0][1][0]


@pytest.mark.parametrize(
    ("claim", "evidence"), PIECES, ids=[f"{c.id}-{e.__name__}" for c, e in PIECES]
)
def test_evidence_agrees(claim, evidence, tmp_path):
    found = gathered(evidence, tmp_path)
    assert found.agrees, (claim.id, found)
    assert found.kind == evidence.kind and found.kind in KINDS
    assert found.computed and found.theory


def test_every_required_statement_has_two_kinds_of_evidence():
    counts = {"S": 4, "T": 6, "L": 5, "R": 6, "B": 5, "N": 4, "A": 7}
    required = [f"{letter}{i}" for letter, n in counts.items() for i in range(1, n + 1)]
    assert [claim.id for claim in CLAIMS] == required
    kinds = {claim.id: {e.kind for e in claim.evidence} for claim in CLAIMS}
    for claim in CLAIMS:
        found = (
            set().union(*(kinds[part] for part in claim.parts)) if claim.parts else kinds[claim.id]
        )
        # A7 says how runs come out: nothing but runs can say whether it is so.
        assert len(found) >= 2 or (claim.id == "A7" and found == {"experiment"}), claim.id


def test_every_claim_has_a_reading_and_named_figures_exist():
    for claim in CLAIMS:
        assert claim.reading.endswith("."), claim.id
        assert not claim.figure or claim.figure in figures(), claim.id


def test_a_roll_up_stands_as_its_weakest_part(tmp_path):
    part = replace(ONE, id="S1", evidence=(true_ball,))
    weak = replace(
        ONE, id="S2", verdict="fails", condition="", counterexample="1 < 2", evidence=(true_ball,)
    )
    whole = replace(ONE, id="A1", evidence=(), parts=("S1", "S2"))

    def gathered(*claims):
        return verify(claims, certificates=tmp_path).rows[-1][1]

    *_, verdict = gathered(part, weak, whole)
    assert not verdict.agrees and "fails" in verdict.computed
    *parts, verdict = gathered(part, weak, replace(whole, verdict="fails", counterexample="S2"))
    assert verdict.agrees and all(e.agrees for e in parts) and len(parts) == 2
    first, *_ = gathered(replace(part, evidence=(false_ball,)), weak, whole)
    assert not first.agrees


def test_a_roll_up_without_its_parts_is_refused(tmp_path):
    whole = replace(ONE, id="A1", evidence=(), parts=("S1", "S2"))
    with pytest.raises(ValueError, match=r"A1 rolls up S1, S2"):
        verify([whole], certificates=tmp_path)
    assert [claim.id for claim in select(["A5"])] == ["B2", "A5"]


def test_refutations_show_their_counterexample():
    assert {c.id for c in CLAIMS if c.counterexample} >= {"T3", "T5"}


@symbolic("a falsehood")
def false_identity():
    x = sp.Symbol("x", positive=True)
    yield "e^x = 1 + x", sp.exp(x), 1 + x


@symbolic("nothing shown")
def no_identity():
    yield from ()


@property_test("w <= 1", "false: easy to amplify")
def false_property(s=schedules(), h=margins()):
    assert weight(h, s) <= 1, f"h = {h}"


@property_test("a test that crashes", "never")
def crashing_property(h=margins()):
    raise RuntimeError("broken")


@enclosed("a truth", "1 < 2")
def true_ball():
    return "1", True


@enclosed("a falsehood", "1 > 2")
def false_ball():
    return "1", False


@simulated("far off", "0")
def false_simulation():
    return "ten", np.array([10.0])


@simulated("not a number", "0")
def nan_simulation():
    return "nan", np.array([np.nan])


@pytest.mark.parametrize(
    "evidence",
    [
        false_identity,
        no_identity,
        false_property,
        crashing_property,
        false_ball,
        false_simulation,
        nan_simulation,
        certified("too low", "influence", RELEASED, below=3.4),
        certified("too high", "influence", RELEASED, above=3.5),
    ],
    ids=lambda e: e.__name__,
)
def test_evidence_for_a_falsehood_disagrees(evidence, tmp_path):
    assert not gathered(evidence, tmp_path).agrees


def test_the_counterexample_is_reported(tmp_path):
    assert "h = " in gathered(false_property, tmp_path).computed


@pytest.mark.parametrize(
    ("expression", "zero"),
    [
        ("exp(a + b) - exp(a)*exp(b)", True),
        ("1/(1 + exp(-a)) + 1/(1 + exp(a)) - 1", True),
        ("log((1 + exp(a))/(1 + exp(-a))) - log(exp(a))", True),
        ("exp(2*a) - exp(a)**2", True),
        ("exp(a/2)**2 - exp(a)", True),
        ("exp(a) - exp(b)", False),
        ("a - b", False),
        ("1/(1 + exp(-a)) - 1/(1 + exp(a))", False),
    ],
)
def test_simplified_is_zero_exactly_for_identities(expression, zero):
    symbols = dict(zip("ab", sp.symbols("a b", positive=True), strict=True))
    assert (simplified(sp.sympify(expression, locals=symbols)) == 0) == zero


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"verdict": "maybe"}, "verdict must be"),
        ({"verdict": "conditional", "condition": ""}, "states a condition"),
        ({"verdict": "holds", "condition": "sometimes"}, "states a condition"),
        ({"verdict": "fails", "condition": "", "counterexample": ""}, "counterexample"),
        ({"evidence": ()}, "either evidence or parts"),
        ({"parts": ("S2",)}, "either evidence or parts"),
    ],
)
def test_a_claim_with_an_unfounded_verdict_is_refused(fields, rule):
    good = {k: getattr(ONE, k) for k in Claim.__dataclass_fields__}
    with pytest.raises(ValueError, match=rule):
        Claim(**good | fields)


def test_json_has_the_published_shape(tmp_path):
    path = tmp_path / "deep" / "ledger.json"
    assert (
        cli.main(["verify", "--claim", "R2", "--json", str(path), "--certificates", str(tmp_path)])
        == 0
    )
    (claim,) = json.loads(path.read_text())["claims"]
    assert {"id", "statement", "source", "assumptions", "verdict", "evidence"} <= claim.keys()
    for evidence in claim["evidence"]:
        assert {"kind", "agrees", "computed", "theory"} <= evidence.keys()
        if evidence["certificate"]:
            assert (tmp_path / evidence["certificate"]).is_file()


def test_verify_exits_non_zero_on_disagreement(monkeypatch, capsys, tmp_path):
    wrong = replace(ONE, evidence=(false_identity,))
    monkeypatch.setattr("madpo_theory.claims.CLAIMS", (wrong,))
    assert cli.main(["verify", "--certificates", str(tmp_path)]) == 1
    assert "DISAGREE" in capsys.readouterr().out


def test_show_prints_the_derivation(capsys, tmp_path):
    assert cli.main(["verify", "--claim", "T4", "--show", "--certificates", str(tmp_path)]) == 0
    assert "difference 0" in capsys.readouterr().out


def test_unknown_claims_are_named():
    with pytest.raises(ValueError, match=r"no claim.*Z9.*T5"):
        select(["T1", "Z9"])
