"""The ledger: every piece of evidence agrees, and evidence for a falsehood does not."""

import ast
import functools
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import sympy as sp
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from madpo_theory import claims, cli, extensions
from madpo_theory.audit import checker
from madpo_theory.claims import CLAIMS, FILES, Claim, select, verify
from madpo_theory.claims import evidence as kinds
from madpo_theory.claims.evidence import (
    certified,
    certified_slopes,
    enclosed,
    foil,
    must,
    property_test,
    simplified,
    simulated,
    symbolic,
)
from madpo_theory.claims.graph import STYLES, edges, svg
from madpo_theory.claims.settings import RELEASED, margins, schedules
from madpo_theory.coq import PROOFS
from madpo_theory.coq.coqc import NotChecked
from madpo_theory.methods import METHODS
from madpo_theory.show.figures import figures
from madpo_theory.verdicts import KINDS
from madpo_theory.weights import weight

PIECES = [  # the proofs are in test_proofs.py
    (claim, evidence) for claim in CLAIMS for evidence in claim.evidence if evidence.kind != "proof"
]
ONE = CLAIMS[0]
FOLDER = Path(claims.__file__).parent
OF_CLAIMS = [file for file in FOLDER.glob("*.py") if re.match(r"[a-z]+\d+_", file.name)]
FIGURES_OF_DOCS = Path(__file__).parents[1] / "docs" / "figures"


def gathered(evidence, folder):
    """The single Evidence of a one-claim ledger."""
    return verify([replace(ONE, evidence=(evidence,))], certificates=folder).rows[0][1][0]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """One folder for all evidence: a certificate is found once, for a piece and its foils."""
    return tmp_path_factory.mktemp("certificates")


def marks_of(piece):
    """Some pieces are slow: those that draw labels, and the boxes of schedules."""
    slow = piece.kind == "simulation" or piece.__name__.startswith("certified_box")
    return [pytest.mark.slow] if slow else []


def marks_of_true(piece):
    """`madpo verify`, and with it `make reproduce`, gathers all: here the slow need not."""
    return [pytest.mark.long] * len(marks_of(piece))


@pytest.mark.parametrize(
    ("claim", "evidence"),
    [
        pytest.param(claim, piece, id=f"{claim.id}-{piece.__name__}", marks=marks_of_true(piece))
        for claim, piece in PIECES
    ],
)
def test_evidence_agrees(claim, evidence, certificates):
    found = gathered(evidence, certificates)
    assert found.agrees, (claim.id, found)
    assert found.kind == evidence.kind and found.kind in KINDS
    assert found.computed and found.theory


FOILS = [(claim, piece, f) for claim, piece in PIECES for f in getattr(piece, "foils", ())]


@pytest.mark.parametrize(
    ("claim", "piece", "false"),
    [
        pytest.param(
            *of, id=f"{of[0].id}-{of[1].__name__}-{of[2].statement}", marks=marks_of(of[1])
        )
        for of in FOILS
    ],
)
def test_its_foil_disagrees(claim, piece, false, no_shrinking, certificates):
    """The same code, put to a nearby falsehood, computes a contradiction; an error is none."""
    found = gathered(false.evidence, certificates)
    assert found.outcome == "DISAGREES", (claim.id, false.statement, found)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_every_piece_has_a_foil(claim):
    """But proofs: that a weakened statement is refused, test_proofs.py shows of all at once."""
    hollow = [
        e.__name__ for e in claim.evidence if e.kind != "proof" and not getattr(e, "foils", ())
    ]
    assert not hollow


def test_the_folder_and_what_is_registered_are_the_ledger():
    files = {file.stem for file in OF_CLAIMS}
    files |= {module.__name__.rpartition(".")[2] for module in extensions.CLAIMS.values()}
    assert set(FILES.values()) == files and len(FILES) == len(CLAIMS) == len(files)
    assert all(FILES[claim.id].startswith(f"{claim.id.lower()}_") for claim in CLAIMS)


def test_no_number_is_missing():
    letters = {}
    for claim in CLAIMS:  # in the ledger's order
        group, number = re.fullmatch(r"([A-Z]+)(\d+)", claim.id).groups()
        letters.setdefault(group, []).append(int(number))
    for letter, numbers in letters.items():
        assert numbers == list(range(1, len(numbers) + 1)) or letter == "RM", letter
    assert set(letters.get("RM", ())) <= set(range(1, 13))


@pytest.mark.parametrize("file", sorted(path.name for path in OF_CLAIMS))
def test_no_claim_imports_another(file):
    """But a roll-up the numbers of its parts."""
    (claim,) = (c for c in CLAIMS if f"{FILES[c.id]}.py" == file)
    shared, of_parts = (
        {"evidence", "ledger", "regimes", "settings"},
        {FILES[i] for i in claim.parts},
    )
    for node in ast.walk(ast.parse((FOLDER / file).read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            numbers = all(alias.name.isupper() for alias in node.names)
            assert node.module in shared or (node.module in of_parts and numbers), node.module


def test_every_claim_has_two_kinds_of_evidence():
    kinds = {claim.id: {e.kind for e in claim.evidence} for claim in CLAIMS}
    for claim in CLAIMS:
        found = (
            set().union(*(kinds[part] for part in claim.parts)) if claim.parts else kinds[claim.id]
        )
        # A7 and A8 say how runs come out: nothing but runs can say whether it is so.
        of_runs = claim.id in ("A7", "A8") and found == {"experiment"}
        assert len(found) >= 2 or of_runs, claim.id


def test_every_claim_has_a_title_and_a_reading_and_named_figures_exist():
    assert len({claim.title for claim in CLAIMS}) == len(CLAIMS)
    for claim in CLAIMS:
        assert re.fullmatch(r"[^$.\n]{10,80}", claim.title), claim.id  # words of one line
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


def without_theorem(claims):
    """Names of theorems that claims rest on and no file of proofs/ states."""
    stated = {
        f"{file.stem}.{name}"
        for file in PROOFS.glob("*.v")
        for name in re.findall(r"^Theorem (\w+)", file.read_text(), re.M)
    }
    return {name for claim in claims for name in claim.rests_on if "." in name} - stated


def test_what_a_claim_rests_on_exists():
    found = edges(CLAIMS)
    assert not without_theorem(CLAIMS)
    assert {"S1", "T1", "Target.T2_target"} <= set(found["T2"])  # claims and proofs
    assert {"sensitivity", "Released.R1_released"} <= set(found["R1"])  # certificates
    assert set(found["A3"]) == {"L1", "L2", "L3", "L4", "L5"}  # parts
    for corollary in ("T1", "B1", "B4", "N1", "N2"):  # of what holds for any slots
        assert "C1" in found[corollary], corollary
    assert "C6" in found["L4"]


def test_what_does_not_exist_is_found_out():
    assert without_theorem([replace(ONE, uses=("Risk.T9_slope",))]) == {"Risk.T9_slope"}
    with pytest.raises(ValueError, match=r"S1 uses 'Z9', which is no claim, no theorem"):
        edges([replace(ONE, uses=("Z9",))])
    with pytest.raises(ValueError, match="certified quantity"):
        edges([replace(ONE, evidence=(certified("none", "steepness", RELEASED, below=1),))])
    one, two = replace(ONE, id="S1", uses=("S2",)), replace(ONE, id="S2", uses=("S1",))
    with pytest.raises(ValueError, match=r"may not rest on itself, but S\d uses S\d uses S\d"):
        edges([one, two])


class Picture:
    """Boxes and lines of an SVG graph, read back."""

    def __init__(self, text):
        tag = "{http://www.w3.org/2000/svg}"
        root = ElementTree.fromstring(text)
        self.view = [float(v) for v in root.get("viewBox").split()]
        self.boxes, self.fill = {}, {}
        for group in root.findall(f"{tag}g"):
            rect = group.find(f"{tag}rect")
            if rect is not None:
                texts = group.findall(f"{tag}text")
                name = texts[0].text.split()[-1] if len(texts) > 1 else texts[0].text
                x, y, wide, high = (float(rect.get(k)) for k in ("x", "y", "width", "height"))
                self.boxes[name] = (x, y, x + wide, y + high)
                self.fill[name] = rect.get("fill")
                for line in texts:
                    assert text_width(line) < wide, line.text
        self.lines = [path.get("d") for path in root.iter(f"{tag}path")]


def text_width(line):
    font = FontProperties(
        family="DejaVu Sans", size=float(line.get("font-size")), weight=line.get("font-weight")
    )
    return TextToPath().get_text_width_height_descent(line.text, font, ismath=False)[0]


def points(line):
    """Points along a path "Mx,y Cx,y x,y x,y" and perhaps " Vy"."""
    numbers = [float(v) for v in re.findall(r"-?[\d.]+", line)]
    corners = np.array(numbers[:8]).reshape(4, 2)
    t = np.linspace(0, 1, 65)[:, None]
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
    curve = sum(weight * corner for weight, corner in zip(weights, corners, strict=True))
    return curve if len(numbers) == 8 else np.vstack([curve, [corners[3, 0], numbers[8]]])


def test_the_graph_is_the_ledgers():
    drawn = svg(CLAIMS, files=FILES)
    committed = FIGURES_OF_DOCS / "ledger.svg"
    assert committed.read_text(encoding="utf-8") == drawn, "make readme draws it anew"
    picture = Picture(drawn)
    assert {claim.id for claim in CLAIMS} <= picture.boxes.keys()
    assert {"Risk", "sensitivity"} <= picture.boxes.keys()
    for claim in CLAIMS:
        assert picture.fill[claim.id] == STYLES[claim.verdict][1]
    assert not re.search(r"(href|src)=", drawn)  # self-contained


def test_no_line_of_the_graph_passes_through_a_box():
    picture = Picture(svg(CLAIMS, files=FILES))
    left, top, wide, high = picture.view
    boxes = np.array(list(picture.boxes.values()))
    assert (boxes[:, :2] >= (left, top)).all() and (boxes[:, 2:] <= (left + wide, top + high)).all()
    for a, b in itertools.combinations(boxes, 2):
        assert (a[:2] >= b[2:]).any() or (b[:2] >= a[2:]).any()
    for line in picture.lines:
        at = points(line)[:, None, :]
        within = (at > boxes[:, :2] + 0.2) & (at < boxes[:, 2:] - 0.2)
        assert not within.all(axis=2).any(), line


def test_a_part_of_the_graph_and_its_alarm():
    picture = Picture(svg(CLAIMS, roots=("T4",), wrong={"S2"}))
    assert {"✓ T4", "✓ T1", "! S2", "✓ S1"} <= picture.boxes.keys()
    assert "✓ T2" not in picture.boxes and "Counterexamples" not in picture.boxes
    assert picture.fill["! S2"] == STYLES["disagrees"][1]


@symbolic("a falsehood")
def false_identity():
    x = sp.Symbol("x", positive=True)
    yield "e^x = 1 + x", sp.exp(x), 1 + x


@symbolic("a relation that is false of some x")
def undecided_relation():
    x = sp.Symbol("x", real=True)
    yield "0 = 0", x, x
    yield "x > 0", sp.Gt(x, 0)


@symbolic("a relation that is false")
def false_relation():
    x = sp.Symbol("x", positive=True)
    yield "0 = 0", x, x
    yield "-e^x > 0", sp.Gt(-sp.exp(x), 0)


@symbolic("nothing shown")
def no_identity():
    yield from ()


@property_test("w <= 1", "false: easy to amplify")
def false_property(s=schedules(), h=margins()):
    must(weight(h, s) <= 1, f"h = {h}")


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
        undecided_relation,
        false_relation,
        no_identity,
        false_property,
        false_ball,
        false_simulation,
        nan_simulation,
        certified("too low", "influence", RELEASED, below=3.4),
        certified("too high", "influence", RELEASED, above=3.5),
        certified_slopes("too low", METHODS["cdpo"](), least=(-0.01, 0.01), most=(0.6, 0.79)),
        certified_slopes("too high", METHODS["cdpo"](), least=(0.01, 0.1), most=(0.7, 0.9)),
    ],
    ids=lambda e: e.__name__,
)
def test_evidence_for_a_falsehood_disagrees(evidence, no_shrinking, tmp_path):
    assert gathered(evidence, tmp_path).outcome == "DISAGREES"


def test_an_error_is_no_evidence_either_way(no_shrinking, tmp_path, capsys, monkeypatch):
    found = gathered(crashing_property, tmp_path)
    assert found.outcome == "ERROR" and "broken" in found.computed
    monkeypatch.setattr(
        "madpo_theory.claims.CLAIMS", (replace(ONE, evidence=(crashing_property,)),)
    )
    assert cli.main(["verify", "--certificates", str(tmp_path)]) == 2
    said = capsys.readouterr().out
    assert "ERROR" in said and "agree" not in said.splitlines()[-1] and "S1" in said


def test_a_claim_of_which_nothing_was_checked_is_said_to_be(without_coq, capsys, tmp_path):
    proofs = next(e for claim in CLAIMS for e in claim.evidence if e.kind == "proof")
    ledger = verify([replace(ONE, evidence=(proofs,))], certificates=tmp_path)
    assert ledger.unverified == ["S1"] and not ledger.disagreements and not ledger.errors


def test_a_folder_that_cannot_be_written_is_no_contradiction(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="nothing can be written there"):
        gathered(certified("L", "influence", RELEASED, below=4), tmp_path / "file")


LIMIT = 1.0


@functools.cache
def doubled():
    return 2 * LIMIT


@foil("twice the limit is at most 1", LIMIT=lambda true: true / 3)
@foil("nothing is changed", LIMIT=lambda true: true)
@enclosed("twice the limit", "above 1")
def above_one():
    return f"{doubled()}", doubled() > 1


def test_a_foil_changes_what_the_evidence_finds_and_puts_it_back(tmp_path):
    changed, unchanged = above_one.foils
    assert changed.statement == "twice the limit is at most 1"
    assert gathered(above_one, tmp_path).agrees and gathered(unchanged.evidence, tmp_path).agrees
    assert gathered(changed.evidence, tmp_path).outcome == "DISAGREES"
    assert gathered(above_one, tmp_path).agrees  # what was cached is not of the foil
    assert gathered(above_one, tmp_path).foils == (changed.statement, unchanged.statement)
    with pytest.raises(ValueError, match=r"'twice' changes \{'LIMTI'\}"):
        foil("twice", LIMTI=lambda true: 0)(above_one)


@pytest.mark.parametrize(
    ("limits", "within", "refuted"),
    [
        ((None, None), True, False),
        ((2.0, 1.0), True, False),
        ((2.1, 0.9), True, False),
        ((1.5, None), False, False),
        ((0.9, None), False, True),
        ((None, 1.5), False, False),
        ((None, 2.1), False, True),
    ],
)
def test_which_ends_of_a_certificate_are_compared(limits, within, refuted):
    assert kinds._within(1.0, 2.0, *limits) == within
    assert kinds._not_refuted(1.0, 2.0, *limits) != refuted


def test_slopes_come_with_certificates_that_the_sheets_checker_accepts(tmp_path):
    piece = certified_slopes("", METHODS["cdpo"](), least=(-0.001, 0.001), most=(0.799, 0.801))
    found = gathered(piece, tmp_path)
    files = sorted(tmp_path.glob(found.certificate))
    assert found.agrees and len(files) >= 2
    for file in files:
        certificate = json.loads(file.read_text())
        checker.check(certificate)
        with pytest.raises(ValueError, match=r"breaks the rule|cannot confirm"):
            checker.check(certificate | {"upper": certificate["upper"] - 1e-3})


@pytest.mark.slow
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


@pytest.fixture
def without_coq(monkeypatch):
    """Proofs are not checked here: half a minute, which test_proofs.py spends on them already."""
    monkeypatch.setattr("madpo_theory.claims.evidence.checked_once", lambda: NotChecked("no Coq"))


def test_json_has_the_published_shape(without_coq, tmp_path):
    path = tmp_path / "deep" / "ledger.json"
    assert (
        cli.main(["verify", "--claim", "T3", "--json", str(path), "--certificates", str(tmp_path)])
        == 0
    )
    (claim,) = json.loads(path.read_text())["claims"]
    assert {"id", "statement", "source", "assumptions", "verdict", "evidence"} <= claim.keys()
    for evidence in claim["evidence"]:
        assert {"kind", "agrees", "computed", "theory"} <= evidence.keys()
        assert evidence["checked"] == (evidence["kind"] != "proof")
        if evidence["certificate"]:
            assert (tmp_path / evidence["certificate"]).is_file()


def test_verify_exits_non_zero_on_disagreement(monkeypatch, capsys, tmp_path):
    wrong = replace(ONE, evidence=(false_identity,))
    monkeypatch.setattr("madpo_theory.claims.CLAIMS", (wrong,))
    assert cli.main(["verify", "--certificates", str(tmp_path)]) == 1
    assert "DISAGREE" in capsys.readouterr().out


def test_show_prints_the_derivation(without_coq, capsys, tmp_path):
    graph = tmp_path / "deep" / "graph.svg"
    command = ["verify", "--claim", "T4", "--show", "--certificates", str(tmp_path)]
    assert cli.main([*command, "--graph", str(graph)]) == 0
    said = capsys.readouterr().out
    assert "difference 0" in said and "not checked here: no Coq" in said and "uses: S2, T1" in said
    assert graph.read_text(encoding="utf-8") == svg(CLAIMS, roots=("T4",), files=FILES)


def test_unknown_claims_are_named():
    with pytest.raises(ValueError, match=r"claim must be one of .*T5.*got 'Z9'"):
        select(["T1", "Z9"])
