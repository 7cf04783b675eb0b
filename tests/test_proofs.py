"""The Coq proofs: about the code's formulas as they are today, and refused if anything is amiss."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import sympy as sp

from madpo_theory import cli
from madpo_theory.claims import CLAIMS, evidence, verify
from madpo_theory.claims.evidence import proved
from madpo_theory.coq import (
    PROOFS,
    Checked,
    NotChecked,
    check,
    coq_definition,
    coq_term,
    definitions,
    generated,
)
from madpo_theory.methods import base, slot_target
from madpo_theory.ops import numpy_world, stable, torch_world
from madpo_theory.risk import pair_risk
from madpo_theory.schedule import coefficient
from madpo_theory.weights import PublishedWeight

# Coq compiles one folder at a time; so do the tests.
ROOMS = [f for f in (PROOFS / "_CoqProject").read_text().split() if f.endswith(".v")]
PIECES = [(c, e) for c in CLAIMS for e in c.evidence if e.kind == "proof"]
x, y, z = sp.symbols("x y z", real=True)


@pytest.fixture
def sources(tmp_path):
    """A copy of the proofs without what was compiled; skips where Coq is missing."""
    folder = tmp_path / "proofs"
    folder.mkdir()
    for name in ("Makefile", "audit", "axioms.txt", "statements.txt", "_CoqProject", *ROOMS):
        shutil.copy(PROOFS / name, folder)
    try:
        check()
    except NotChecked as error:
        pytest.skip(f"not checked here: {error}")
    return folder


@pytest.mark.parametrize(
    ("expression", "term"),
    [
        (-x, "- x"),
        (-x * y, "- (x * y)"),
        (x - y + 1, "x - y + 1"),
        (x / (y * z), "x / (y * z)"),
        (1 / x, "/ x"),
        ((x + y) * z, "z * (x + y)"),
        ((x + y) ** 2, "(x + y) ^ 2"),
        (sp.exp(-x), "exp (- x)"),
        (1 / (1 + sp.exp(-x)), "/ (1 + exp (- x))"),
        (sp.log(1 + x) / 2, "(1 / 2) * ln (x + 1)"),
        (sp.tanh(x / 2), "tanh ((1 / 2) * x)"),
        (sp.asinh(2 * sp.sinh(x)), "arcsinh (2 * sinh x)"),
        (x / sp.sqrt(y), "x / sqrt y"),
        (1 / sp.sqrt(1 + x), "/ sqrt (x + 1)"),
        (sp.Min(x, 0), "Rmin 0 x"),
        (sp.Function("log_w")(-x), "log_w (- x)"),
        (sp.Piecewise((x, x > 0), (-x, True)), "if Rltb 0 x then x else - x"),
        (1 + sp.Piecewise((x, x < y), (y, True)), "(if Rltb x y then x else y) + 1"),
        (sp.Integer(-2), "- 2"),
        (sp.Rational(-1, 2) * x, "(-1 / 2) * x"),
    ],
    ids=str,
)
def test_a_term_reads_as_the_expression(expression, term):
    assert coq_term(expression) == term


@pytest.mark.parametrize(
    "expression", [sp.sin(x), sp.Float(0.5) * x, x ** sp.Rational(1, 3), sp.pi, x >= y]
)
def test_what_the_printer_does_not_know_is_refused(expression):
    with pytest.raises(ValueError, match="no Coq term for"):
        coq_term(expression)


def test_what_repeats_is_named_once():
    text = coq_definition("f", "(x : R)", sp.exp(x) / (1 + sp.exp(x)))
    assert text == "Definition f (x : R) : R :=\n  let x1 := exp x in\n  x1 / (x1 + 1).\n"


def test_generated_file_is_what_the_formulas_print_today():
    assert (PROOFS / "Generated.v").read_text() == generated()


@pytest.mark.parametrize("world", [numpy_world, torch_world], ids=["numpy", "torch"])
def test_what_computes_with_care_is_what_was_printed(world):
    for name in ("logistic", "mobius_exp", "exp_difference"):
        assert getattr(world, name).func is getattr(stable, name)


def theorems_of(room):
    """The theorems that a file states, in its order."""
    text = (PROOFS / room).read_text()
    return [f"{Path(room).stem}.{name}" for name in re.findall(r"^Theorem (\w+)", text, re.M)]


def test_every_theorem_is_cited_and_every_citation_is_a_theorem():
    cited = [theorem for _, evidence in PIECES for theorem in evidence.uses]
    stated = [theorem for room in ROOMS for theorem in theorems_of(room)]
    assert sorted(cited) == sorted(stated)
    required = "S1 S2 S3 S4 T1 T2 T3 T4 T5 T6 L1 L5 R1 R2 R6 B1 B2 B3 N1 N2 N3".split()
    assert {claim.id for claim, _ in PIECES} >= set(required)


def test_docs_quote_the_proofs():
    page = (PROOFS.parent / "docs" / "proofs.md").read_text()
    quoted = re.findall(r"```coq\n(.*?)```", page, re.S)
    text = "\n".join((PROOFS / room).read_text() for room in ROOMS)
    statements = [part.strip() for block in quoted for part in block.split("\n\n")]
    assert len(statements) > 40
    for statement in statements:
        assert f"{statement}\nProof." in text, statement
    assert f"{text.count('Theorem ')} theorems" in page


def test_docs_say_what_is_not_proved():
    page = (PROOFS.parent / "docs" / "proofs.md").read_text()
    left = page.partition("## What is not proved, and why")[2]
    nothing, _, part = left.partition("of these a part only")
    listed, in_part = (re.findall(r"\*\*(\w+)\*\*", text) for text in (nothing, part))
    proven = {claim.id for claim, _ in PIECES}
    assert sorted(listed) == sorted(claim.id for claim in CLAIMS if claim.id not in proven)
    assert in_part and proven >= set(in_part)


@pytest.mark.parametrize(
    ("claim", "evidence"), PIECES, ids=[f"{c.id}-{e.__name__}" for c, e in PIECES]
)
def test_coq_bears_the_claim_out(claim, evidence):
    found = evidence()
    if not found.checked:
        pytest.skip(found.computed)
    assert found.agrees and found.kind == evidence.kind == "proof", (claim.id, found)
    assert len(found.steps) == len(evidence.uses)


def test_what_was_read_is_what_coq_said(sources):
    found = check()
    assert len(found.statements) == sum(len(e.uses) for _, e in PIECES)
    reals = {"sig_forall_dec", "sig_not_dec", "functional_extensionality_dep", "classic"}
    assert {name.split(".")[1] for name in found.axioms["Target"]} <= reals
    statement = found.statements["Schedule", "S1_at_tau"]
    assert statement.endswith("Generated.coefficient s (Generated.tau s) = 1")


def knee_at_twice_tau(self, xp, h):
    _, shift, g = self._pieces(xp, h)
    tau = 2 * xp.number(self.schedule.tau, h)
    return xp.where_greater(h, 0, g, xp.where_greater(h, -tau, g - shift, 0))


def slower_coefficient(h, s):
    return coefficient(h, replace(s, lam=s.lam / 2))


def reflected_risk(z, h_true, h_model, weighting):
    return pair_risk(-z, h_true, h_model, weighting)


def swapped_target(xp, h_true, delta, chosen, rejected):
    return slot_target(xp, h_true, delta, rejected, chosen)


@pytest.mark.parametrize(
    ("owner", "name", "changed", "broken"),
    [
        (definitions, "coefficient", slower_coefficient, "Schedule"),
        pytest.param(
            PublishedWeight, "log_weight", knee_at_twice_tau, "Weight", marks=pytest.mark.slow
        ),
        pytest.param(definitions, "pair_risk", reflected_risk, "Risk", marks=pytest.mark.long),
        pytest.param(base, "slot_target", swapped_target, "Calculus", marks=pytest.mark.long),
    ],
    ids=["coefficient", "weight", "risk", "slots"],
)
def test_a_changed_formula_breaks_its_proof(owner, name, changed, broken, sources, monkeypatch):
    monkeypatch.setattr(owner, name, changed)
    with pytest.raises(ValueError, match=r"Generated\.v is not what the formulas print today"):
        check(sources)
    (sources / "Generated.v").write_text(generated())
    with pytest.raises(ValueError, match=rf'File "\./{broken}\.v", line'):
        check(sources)


CHEATS = {
    "Theorem lie : 1 = 2. Proof. Admitted.": "leaves something unproved",
    "Axiom lie : 1 = 2.": "leaves something unproved",
    "Variable lie : 1 = 2. Theorem truth : 1 = 2. Proof. exact lie. Qed.": "rests on .*lie",
    "Theorem lie : 1 = 2. Proof. reflexivity. Qed.": "Unable to unify",
}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=name, marks=[pytest.mark.slow] if name == "hidden axiom" else [])
        for text, name in zip(CHEATS, ("admitted", "axiom", "hidden axiom", "false"), strict=True)
    ],
)
def test_what_is_not_proved_is_refused(text, sources):
    lines = text.replace(". ", ".\n")
    (sources / "Cheat.v").write_text(f"Require Import Reals.\nOpen Scope R_scope.\n{lines}\n")
    (sources / "_CoqProject").write_text("-R . Madpo\nCheat.v\n")
    with pytest.raises(ValueError, match=CHEATS[text]):
        check(sources)


def source_of(folder, *rooms):
    """What the files of a folder say, without their proofs and lemmas."""
    command = ["sh", "audit", "source", *(room.removesuffix(".v") for room in rooms)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_a_changed_source_is_noticed_without_coq():
    committed = (PROOFS / "statements.txt").read_text().partition("\n")[2]
    source, _, read = committed.partition("theorem ")
    assert source == source_of(PROOFS, *ROOMS), "`make -C proofs statements`, and read the diff"
    named = re.findall(r"^theorem (.+)$", "theorem " + read, re.M)
    assert named == [use for room in ROOMS for use in theorems_of(room)]


@pytest.mark.parametrize(
    ("room", "was", "now"),
    [
        (
            "Released",
            "0.0313 <= weight (log_weight released) h",
            "0 <= weight (log_weight released) h",
        ),
        ("Target", "Hypothesis ok : valid s.", "Hypothesis ok : False."),
        ("Schedule", "1 < c_max s /\\ 0 <= c_min s", "1 < c_max s /\\ 1 <= c_min s"),
        ("Weight", "Notation published s := ", "Notation published s := 1 + "),
    ],
    ids=["weakened", "premise", "definition", "notation"],
)
def test_the_source_of_a_statement_is_all_that_it_says(room, was, now, tmp_path):
    text = (PROOFS / f"{room}.v").read_text()
    shutil.copy(PROOFS / "audit", tmp_path)
    (tmp_path / f"{room}.v").write_text(text.replace(was, now))
    assert text.count(was) == 1 and source_of(tmp_path, room) != source_of(PROOFS, room)


TIED = """\
From Coq Require Import Reals Lra.
From Madpo Require Import Sigmoid Generated.
Open Scope R_scope.
Definition low (x : R) : Prop := x < 2.
Section Tied.
Variable x : R.
Theorem bounded : low x -> 0 < exp x /\\ x < 2.
Proof. split; [apply exp_pos | assumption]. Qed.
End Tied.
"""
STATED, PROOF = TIED.splitlines()[6:8]


@pytest.fixture
def tied(sources):
    """A folder with one theorem, its statement committed."""
    for room in ("Sigmoid", "Generated"):
        for end in (".v", ".vo", ".vok", ".vos", ".glob"):
            shutil.copy2(PROOFS / (room + end), sources)  # with its time, so that it stays compiled
    (sources / "_CoqProject").write_text("-R . Madpo\nSigmoid.v\nGenerated.v\nTied.v\n")
    (sources / "Tied.v").write_text(TIED)
    subprocess.run(["make", "-C", sources, "statements"], capture_output=True, check=True)
    assert check(sources).statements["Tied", "bounded"].endswith("0 < exp x /\\ x < 2")
    return sources


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"x < 2.\nSection": "x < 1.\nSection", "| assumption": "| unfold low in *; lra"},
         "definition .*x < 1"),
        ({"Section": "Definition exp (x : R) := 1.\nSection", "apply exp_pos": "unfold exp; lra"},
         "theorem .*0 < Tied.exp x"),
        ({"Section": 'Notation "x < y" := (x <= y) : R_scope.\nSection',
          "apply exp_pos": "left; apply exp_pos", "| assumption": "| left; assumption"},
         "theorem .*0 <= exp x"),
        ({"Variable": "Hypothesis no : False.\nVariable"}, "source .*Hypothesis no : False"),
    ],
    ids=["definition", "shadowed", "notation", "premise in waiting"],
)  # fmt: skip
def test_a_change_around_a_statement_is_refused(changes, said, tied):
    refused(changes, said, tied)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"0 < exp x": "0 <= exp x", "apply exp_pos": "left; apply exp_pos"},
         "theorem .*0 <= exp x"),
        ({"Variable x : R.": "Variable x : R.\nHypothesis no : False.", PROOF: "Proof. easy. Qed."},
         "theorem .*False -> .*low x"),
        ({STATED: "Theorem bounded : True.", PROOF: "Proof. easy. Qed."}, "theorem .*True"),
    ],
    ids=["weakened", "premise", "true"],
)  # fmt: skip
def test_a_changed_statement_is_refused(changes, said, tied):
    refused(changes, said, tied)


def refused(changes, said, tied):
    text = TIED
    for was, now in changes.items():
        assert was in text
        text = text.replace(was, now, 1)
    (tied / "Tied.v").write_text(text)
    with pytest.raises(ValueError, match=f"proofs: {said}.*and in statements.txt;.*x < 2"):
        check(tied)


def test_without_coq_the_packages_are_named(tmp_path, monkeypatch):
    for tool in ("make", "cat"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotChecked, match="apt-get install coq libcoq-interval"):
        check()


def test_without_the_folder_nothing_is_claimed(tmp_path):
    with pytest.raises(NotChecked, match="of the repository"):
        check(tmp_path / "proofs")


def gathered(outcome, monkeypatch):
    """The ledger of one claim whose proof came out so."""
    monkeypatch.setattr(evidence, "checked_once", lambda: outcome)
    return verify([replace(CLAIMS[0], evidence=(proved("Room", "one", "two"),))])


BOTH = {("Room", "one"): "one : True", ("Room", "two"): "two : True"}


def test_a_checked_proof_is_evidence(monkeypatch):
    ledger = gathered(Checked(BOTH, {"Room": ("Classical_Prop.classic",)}), monkeypatch)
    ((_, (found,)),) = ledger.rows
    assert found.agrees and found.checked and found.computed == "proved"
    assert found.name == "proofs/Room.v, one, two" and found.steps == tuple(BOTH.values())
    assert "classic" in found.detail


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (ValueError("File ./Room.v, line 1"), "refused: File ./Room.v, line 1"),
        (Checked({("Room", "one"): "one : True"}, {"Room": ()}), "no theorem two in Room.v"),
    ],
    ids=["does not compile", "lemma absent"],
)
def test_a_proof_that_is_not_there_is_evidence_against(outcome, text, monkeypatch):
    ((_, found),) = gathered(outcome, monkeypatch).disagreements
    assert found.computed == text and found.checked


def test_an_unchecked_proof_is_no_evidence_either_way(monkeypatch, capsys, tmp_path):
    ledger = gathered(NotChecked("Coq is not installed here"), monkeypatch)
    assert not ledger.disagreements
    ((_, found),) = ledger.unchecked
    assert not found.agrees and found.computed == "not checked here: Coq is not installed here"
    claim = replace(CLAIMS[0], evidence=(proved("Room", "one"),))
    monkeypatch.setattr("madpo_theory.claims.CLAIMS", (claim,))
    readme = tmp_path / "README.md"
    readme.write_text("untouched")
    assert cli.main(["verify", "--page", str(readme)]) == 1
    said = capsys.readouterr().out
    assert "nothing was checked of S1" in said and "all evidence agrees" not in said
    assert "1 piece of evidence not checked here: Coq is not installed here" in said
    assert "not checked here: proofs/Room.v, one" in said and "proved:" not in said
    assert "0/0 agree" in said and readme.read_text() == "untouched"
