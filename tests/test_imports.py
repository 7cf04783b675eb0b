"""Importing the library stays light: heavy packages are imported where they are used."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "peft", "matplotlib", "sympy", "flint", "pandas", "hypothesis")


def imported_by(statement):
    """The heavy packages that a fresh interpreter holds after `statement`."""
    report = f"import json, sys; print(json.dumps([p for p in {HEAVY} if p in sys.modules]))"
    code = f"{statement}\n{report}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "statement",
    (
        "import madpo_theory",
        "import madpo_theory.losses",
        "import madpo_theory as m; m.weight(1.0, m.MarginSchedule())",
    ),
)
def test_formulas_on_floats_need_numpy_and_scipy_alone(statement):
    assert imported_by(statement) == []


def test_a_value_brings_its_world():
    """SymPy may bring python-flint of its own accord; torch must stay out."""
    found = imported_by(
        "import sympy, madpo_theory as m; m.weight(sympy.Integer(1), m.MarginSchedule())"
    )
    assert "sympy" in found and "torch" not in found


def test_the_face_is_what_the_package_promises():
    import madpo_theory

    for name in madpo_theory.__all__:
        assert getattr(madpo_theory, name).__doc__
    assert {
        "MarginSchedule",
        "coefficient",
        "weight",
        "log_weight",
        "effective_target",
        "pair_risk",
    } <= set(madpo_theory.__all__)
