"""A user's own file, with a fault in it: one line that names the place, and no blame on madpo."""

import json

import numpy as np
import pytest

from madpo_theory import METHODS, WEIGHTS, MarginSchedule, cli, registry
from madpo_theory.certify import QUANTITIES, supremum
from madpo_theory.diagnose import diagnose
from madpo_theory.diagnose.effects import asked_weighting, no_enclosure
from madpo_theory.methods.trial import tried
from madpo_theory.registry import class_of_file

HEAD = """
from dataclasses import dataclass
import numpy as np
from madpo_theory.methods import Method, Slots
from madpo_theory.weights import Weighting

@dataclass(frozen=True)
class Mine({base}):
    def {name}(self, xp, {given}):
        {body}
"""
GIVEN = {"margin_loss": "z, h", "slots": "h", "log_weight": "h"}


def of_user(tmp_path, name, body, base=None):
    """path/to/mine.py:Mine, the body of whose formula stands in line 10."""
    base = base or ("Weighting" if name == "log_weight" else "Method")
    path = tmp_path / "mine.py"
    path.write_text(HEAD.format(base=base, name=name, given=GIVEN[name], body=body))
    return f"{path}:Mine"


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    path = tmp_path / "pairs.jsonl"
    true = rng.normal(0, 2, 3000)  # labels are drawn from the margins: there is nothing to mend
    h = np.where(rng.random(3000) < 1 / (1 + np.exp(-true)), true, -true)
    rows = [{"margin": float(margin)} for margin in h]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def refused(arguments, capsys):
    """The one line on stderr of a command that is refused."""
    assert cli.main(arguments) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and told.startswith("madpo: ") and "fault of madpo" not in told
    return told


COMMANDS = {
    "method": lambda pairs, spec: ["diagnose", pairs, "--method", spec],
    "weight": lambda pairs, spec: ["diagnose", pairs, "--weight", spec],
    "kind": lambda pairs, spec: ["weights", pairs, "-o", "out.jsonl", "--kind", spec],
    "verify": lambda pairs, spec: ["verify", "--method", spec],
    "figures": lambda pairs, spec: ["figures", "--names", "effective_target", "--method", spec],
}


@pytest.mark.parametrize(
    ("command", "formula"),
    [
        ("method", "margin_loss"), ("method", "slots"), ("method", "log_weight"),
        ("weight", "log_weight"), ("kind", "log_weight"), ("verify", "slots"),
        ("figures", "margin_loss"),
    ],
)  # fmt: skip
def test_a_typo_in_a_formula_is_told_with_its_line(pairs, tmp_path, capsys, command, formula):
    spec = of_user(tmp_path, formula, "return xp.softplus(-hh)")
    told = refused(COMMANDS[command](pairs, spec), capsys)
    assert f"mine.py, line 10, in {formula}: NameError: name 'hh' is not defined" in told


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\nclass Mine(:\n", "mine.py, line 2: SyntaxError: invalid syntax"),
        ("import nonesuch\n", "mine.py, line 1: ModuleNotFoundError: No module named 'nonesuch'"),
        ("open('gone.txt')\n", "mine.py, line 1: FileNotFoundError"),
        ("def f():\n    raise ValueError('no')\nf()\n", "mine.py, line 2, in f: ValueError: no"),
    ],
)
def test_a_file_that_does_not_load_is_told_with_its_line(
    pairs, tmp_path, capsys, command, text, words
):
    (tmp_path / "mine.py").write_text(text)
    assert words in refused(COMMANDS[command](pairs, f"{tmp_path}/mine.py:Mine"), capsys)


@pytest.mark.parametrize(
    ("formula", "body", "words"),
    [
        ("margin_loss", "return xp.softplus(-z, 3)", "line 10, in margin_loss: TypeError: s"),
        ("margin_loss", "return xp.sqrt(z * z)", "what a formula computes with are the primitives"),
        ("margin_loss", "return np.exp(-z)", "line 10, in margin_loss: RuntimeError"),
        ("margin_loss", "return h if z > 0 else z", "line 10, in margin_loss: "),
        ("margin_loss", "xp.softplus(-z)", "the loss of Mine returns NoneType for tensors"),
        ("margin_loss", "return 0.0", "the loss of Mine returns float for tensors"),
        ("margin_loss", "return h * h", "the loss of Mine does not depend on the policy"),
        ("margin_loss", "return xp.softplus(-z).mean()", "has shape () for 5 pairs"),
        ("margin_loss", "return float('nan') * z", "method Mine gives a loss of nan to a pair"),
        ("margin_loss", "return xp.exp(50 * z * z)", "method Mine gives a loss of inf to a pair"),
        ("margin_loss", "return xp.exp(xp.log(z * z) / 2)", "gives a loss without a finite slope"),
        ("slots", "return Slots(weight=h)", "line 10, in slots: TypeError"),
        ("slots", "return h", "slots of Mine returns ndarray; it must return what"),
        ("log_weight", "h", "log_weight of the weight Mine returns NoneType for 5 margins"),
    ],
)
def test_a_formula_that_is_no_loss_of_each_pair_is_one_line(
    pairs, tmp_path, capsys, formula, body, words
):
    spec = of_user(tmp_path, formula, body)
    for command in ("method", "weight", "kind") if formula == "log_weight" else ("method",):
        assert words in refused(COMMANDS[command](pairs, spec), capsys)


def test_a_typeerror_of_the_user_is_not_taken_for_a_setting(pairs, tmp_path, capsys):
    spec = of_user(tmp_path, "log_weight", "return h\n    def __post_init__(self):\n        len(3)")
    for command in ("weight", "kind", "method"):
        told = refused(COMMANDS[command](pairs, spec), capsys)
        assert "mine.py, line 12, in __post_init__: TypeError" in told


def test_what_is_madpos_is_still_called_madpos(pairs, tmp_path, capsys, monkeypatch):
    """No frame of the traceback is in the user's file, though one was loaded."""
    spec = of_user(tmp_path, "log_weight", "return -xp.softplus(-h)")

    def broken(*_, **__):
        raise NameError("ours")

    monkeypatch.setattr("madpo_theory.diagnose.text.text", broken)
    assert cli.main(COMMANDS["weight"](pairs, spec)) == 2
    told = capsys.readouterr().err
    assert "Traceback" in told and "this is a fault of madpo's" in told


NUMPYS = ("return -np.abs(h) / 10", "return np.tanh(h) / 10", "return -np.log1p(np.exp(-h))",
          "return xp.where_greater(h, 0, np.float64(0.3) * h, 0.3 * h)")  # fmt: skip


# the user's own overflow, and what torch says of NumPy's functions
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("body", NUMPYS)
def test_a_weight_of_numpys_is_searched_and_says_why(pairs, tmp_path, capsys, body):
    spec = of_user(tmp_path, "log_weight", body)
    for command in ("weight", "method"):
        assert cli.main(COMMANDS[command](pairs, spec)) == 0
        told = " ".join(capsys.readouterr().out.split())
        assert "L and D are the largest that a grid found, not enclosed: Mine cannot be" in told
        assert "must be the primitives of xp, exp, expm1," in told and "searched, |h| <= " in told
    weighting = class_of_file(spec)()
    with pytest.raises(TypeError, match=r"Mine cannot be evaluated in the arb world: .* of xp"):
        supremum(QUANTITIES["influence"], weighting)


def test_what_numpy_finds_on_the_grid_is_what_is_certified_of_the_same_weight(tmp_path):
    h = np.random.default_rng(0).normal(1, 2, 300)
    found = []
    for folder, body in (
        ("a", "return -np.abs(h) / 10 - np.tanh(h / 2)"),
        ("b", "return -xp.tanh(h / 2)"),
    ):
        (tmp_path / folder).mkdir()
        spec = of_user(tmp_path / folder, "log_weight", body)
        found.append(diagnose(h, weight=spec).own)
    assert found[0].known.startswith("searched")
    assert not found[1].known.startswith("searched")  # delta = -2 tanh(h/2) of both
    for effect in found:
        assert effect.influence == pytest.approx(2.0, abs=1e-3)
        assert effect.sensitivity == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("body", ["return 0.0", "return h.mean()", "return h > 0"])
def test_a_weight_has_one_float_a_margin(tmp_path, body):
    spec = of_user(tmp_path, "log_weight", body)
    with pytest.raises(ValueError, match="must return one float for each"):
        asked_weighting(spec, MarginSchedule.released())


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_of_the_house_passes_its_trial(name):
    method = METHODS[name]()
    assert tried(method, every=True) is method


@pytest.mark.parametrize("name", sorted(WEIGHTS))
def test_every_weight_of_the_house_passes_its_trial(name):
    weighting, _ = asked_weighting(name, MarginSchedule.released())
    assert no_enclosure(weighting) is None


def test_a_place_is_told_from_the_working_folder(tmp_path, monkeypatch):
    spec = of_user(tmp_path, "log_weight", "return hh")
    weighting = class_of_file(spec)()
    for folder, shown in ((tmp_path, "mine.py, line"), (tmp_path / "deep", f"{tmp_path}/mine.py")):
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        with pytest.raises(NameError) as error:
            weighting.log_weight(None, 0)
        assert registry.in_user_file(error.value).startswith(shown)
    assert registry.in_user_file(NameError("elsewhere")) is None
