"""The theorems of every method, on one of one's own: right ones agree, wrong ones do not."""

import functools
from dataclasses import dataclass

import pytest
from own_weight import SoftStep

from madpo_theory import METHODS, Method, cli
from madpo_theory.claims import verify
from madpo_theory.claims.generic import theorems
from madpo_theory.methods import Slots
from madpo_theory.verdicts import KINDS
from madpo_theory.weights import ConfidenceWeight

OWN = "tests/own_weight.py:SoftStep"


@dataclass(frozen=True)
class Lying(SoftStep):
    """Its log-ratio is not that of its weights."""

    def log_ratio(self, xp, h):
        return 1.5 * super().log_ratio(xp, h)


@dataclass(frozen=True)
class TwoTemperatures(Method):
    """A temperature that is not the same for both labels: no closed form."""

    needs = frozenset({"reference", "margin"})

    def slots(self, xp, h):
        return Slots(temperature=1.5 + 0.5 * xp.tanh(h))


@dataclass(frozen=True)
class Drifting(Method):
    """An offset that follows beta."""

    def slots(self, xp, h):
        return Slots(offset=xp.number(self.beta, h) + 0 * h)


@dataclass(frozen=True)
class ElsewhereInTorch(Method):
    """Another formula where it trains than where it is proved."""

    needs = frozenset({"reference", "margin"})

    def slots(self, xp, h):
        return Slots(offset=h * (1.25 if xp.__name__.endswith("torch_world") else 1.0))


@dataclass(frozen=True)
class Everything(Method):
    """Soft label, weight, offset and temperature; its targets never fall."""

    needs = frozenset({"reference", "margin"})

    def slots(self, xp, h):
        t = xp.tanh(h / 2)
        return Slots(t, (0.8 + 0.1 * t, 0.2 - 0.1 * t), 0.5 + 0.25 * h, 2.0 + t * t)


@functools.cache
def gathered(method):
    claims, left_out = theorems(method, "mine")
    return verify(claims), left_out


@pytest.mark.parametrize(
    ("method", "ids"),
    [
        (METHODS["madpo"](SoftStep()), "C1 T1 T5 T6 L1 R2 L5 C6"),
        pytest.param(METHODS["simpo"](gamma=1.6), "C1 T5 T6 L1 L5 C6", marks=pytest.mark.slow),
        pytest.param(METHODS["cdpo"](), "C2 T5 T6 L1 L5 C6", marks=pytest.mark.slow),
        (METHODS["rdpo"](), "C2 T6 L5 C6"),
        (METHODS["dpo_relabelled"](), "C2 T6 L1 L5"),
        pytest.param(
            METHODS["madpo"](ConfidenceWeight()),
            "C1 T1 T5 T6 L1 R2 L5 C6",
            marks=pytest.mark.slow,
        ),
        (Everything(), "C3 T5 T6 L1 L5 C6"),
        pytest.param(Drifting(), "C1 T5 T6 L1 C6", marks=pytest.mark.slow),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_holds_of_all_holds_of_it(method, ids):
    ledger, left_out = gathered(method)
    assert [claim.id for claim, _ in ledger.rows] == ids.split()
    assert not ledger.disagreements, ledger.disagreements
    for claim, evidence in ledger.rows:
        assert claim.reading.startswith("mine: ") and len(evidence) >= 2
        assert {e.kind for e in evidence} <= set(KINDS)
    missing = {"T1", "T5", "L1", "R1, R2", "L5", "C6"} - set(ids.split())
    told = {reason.split(":")[0] for reason in left_out}
    assert told <= missing | {"R1, R2"}


def test_its_constants_are_enclosed():
    ledger, _ = gathered(METHODS["madpo"](SoftStep(0.5)))
    (r2,) = (evidence for claim, evidence in ledger.rows if claim.id == "R2")
    numbers = [float(x) for x in r2[0].computed.replace("[", " ").replace("]", " ")
               .replace(",", " ").split() if x[0].isdigit()]  # fmt: skip
    low, high, least, most = numbers
    assert low <= 1.0 <= high and least <= 0.5 <= most  # D = 2 size, L = size


@pytest.mark.parametrize(
    ("method", "claims"),
    [
        (METHODS["madpo"](Lying()), {"C1", "T1"}),
        (TwoTemperatures(), {"C1"}),
        pytest.param(ElsewhereInTorch(), {"C1", "T6", "C6"}, marks=pytest.mark.slow),
    ],
    ids=lambda value: " ".join(sorted(value)) if isinstance(value, set) else type(value).__name__,
)
def test_formulas_that_contradict_each_other_disagree(method, claims, no_shrinking):
    ledger, _ = gathered(method)
    assert claims <= {name for name, _ in ledger.disagreements}


def test_what_does_not_apply_is_said():
    assert any(
        reason.startswith("L5: its slots depend on beta") for reason in theorems(Drifting())[1]
    )
    with pytest.raises(ValueError, match=r"^ipo has no slots .*C1 to C4, T1.* say nothing of it"):
        theorems(METHODS["ipo"]())


def test_the_command_takes_names_and_files(capsys, tmp_path):
    report = tmp_path / "ledger.json"
    assert cli.main(["verify", "--method", OWN, "--json", str(report)]) == 0
    said = capsys.readouterr().out
    assert "T5   holds" in said and "SoftStep: no easier pair gets a smaller target" in said
    assert "8 claims" in said and "all evidence agrees" in said and report.is_file()
    assert cli.main(["verify", "--method", "cdpo", "--claim", "T5", "L5", "--show"]) == 0
    said = capsys.readouterr().out
    assert "2 claims" in said and "does not apply: T1: not weights alone; R1, R2: soft" in said
    assert "statement: With an exact model T(v) - T(u)" in said


def test_the_command_fails_where_formulas_disagree(capsys, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from dataclasses import dataclass\n"
        "from madpo_theory import Weighting\n\n\n"
        "@dataclass(frozen=True)\n"
        "class Mine(Weighting):\n"
        "    def log_weight(self, xp, h):\n"
        "        return xp.tanh(h)\n\n"
        "    def log_ratio(self, xp, h):\n"
        "        return xp.tanh(h)\n"
    )
    command = ["verify", "--method", f"{file}:Mine", "--claim", "C1"]
    assert cli.main(command) == 1
    assert "DISAGREE" in capsys.readouterr().out
    assert cli.main(["verify", "--method", "hinge"]) == 2
    assert capsys.readouterr().err.startswith("madpo: hinge has no slots")
    assert cli.main(["verify", "--method", "nonesuch"]) == 2
    assert "one of alpha_dpo" in capsys.readouterr().err
    assert cli.main(["verify", "--method", "dpo", "--claim", "Z9"]) == 2
