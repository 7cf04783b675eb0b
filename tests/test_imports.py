"""Imports point one way, as CONTRIBUTING says, and the library stays light until it is used."""

import ast
import functools
import json
import re
import subprocess
import sys
import tomllib
from importlib.util import resolve_name
from itertools import chain

import pytest

from madpo_theory.clone import ROOT

HEAVY = ("torch", "transformers", "peft", "matplotlib", "sympy", "flint", "pandas", "hypothesis")
FOLDERS = {"experiments": "madpo_theory.experiments", "paper_figures": "madpo_theory.paper_figures"}


def floors():
    """CONTRIBUTING's list, lowest first: sets of names of rooms and files."""
    text = " ".join((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split())
    listed = re.search(r"\*\*Imports point one way:\*\* (.*?)\. ", text)[1]
    return [{name.strip("` ") for name in floor.split(",")} for floor in listed.split("←")]


def modules():
    """(dotted name, is a package, path) of every file of the library and its two folders."""
    for folder, package in ({"madpo_theory": "madpo_theory"} | FOLDERS).items():
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            yield ".".join((package, *parts[: -1 if is_package else None])), is_package, path


MODULES = {name: (is_package, path) for name, is_package, path in modules()}


@functools.cache
def tree_of(name):
    _, path = MODULES[name]
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(name):
    """Dotted names that a module imports, wherever in it, those handed to import_module too."""
    is_package, _ = MODULES[name]
    package = name if is_package else name.rpartition(".")[0]
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            inner = [f"{base}.{alias.name}" for alias in node.names]
            yield from ([n for n in inner if n in MODULES] or [base]) if base else inner
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            if isinstance(node.args[0], ast.Constant):
                yield resolve_name(node.args[0].value, package)


def room(name):
    """The room or file that a module lies in; None for other packages, "" for the face."""
    parts = name.split(".")
    return None if parts[0] != "madpo_theory" else "".join(parts[1:2])


@functools.cache
def edges():
    """(module, room it lies in, room that it imports), for rooms that are not the same."""
    return [
        (name, room(name), there)
        for name in MODULES
        for target in imported(name)
        if (there := room(target)) is not None and there != room(name)
    ]


def test_every_room_is_in_the_list_once():
    listed = list(chain.from_iterable(floors()))
    assert len(listed) == len(set(listed))
    assert set(listed) == {room(name) for name in MODULES} - {"", "__main__"}


def test_imports_point_one_way():
    height = {name: floor for floor, names in enumerate(floors()) for name in names}
    height |= {"": height["losses"] + 0.5, "__main__": len(height)}  # the face: formulas alone
    wrong = [
        f"{name} imports {there}"
        for name, here, there in edges()
        if height[there] >= height[here] and not (there == "" and here in {"cli", "diagnose"})
    ]
    assert not wrong


def test_the_list_is_no_looser_than_it_need_be():
    """Neighbouring floors could not be one: some import goes from the one to the other."""
    found = {(here, there) for _, here, there in edges()}
    for below, above in zip(floors(), floors()[1:], strict=False):
        assert any((a, b) in found for a in above for b in below), (below, above)


def test_the_library_alone_does_not_name_what_it_finds():
    """Not in a string either, docstrings aside: only the entry points of pyproject.toml do."""
    for name in MODULES:
        if room(name) in FOLDERS:
            continue
        tree = tree_of(name)
        documentation = {
            id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)
        }  # strings that stand alone
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if id(node) not in documentation:
                    assert not re.search(r"paper_figures|experiments(\.|/|$)", node.value), name


def loaded_by(statement, names):
    """Which of the named modules a fresh interpreter holds after `statement`."""
    report = f"import json, sys; print(json.dumps([p for p in {names} if p in sys.modules]))"
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
    assert loaded_by(statement, HEAVY) == []


@pytest.mark.parametrize("statement", ("import madpo_theory.diagnose", "import madpo_theory.cli"))
def test_diagnosis_brings_neither_the_report_nor_training(statement):
    rooms = ("show.report", "show.figures", "show.studies", "align", "simulate", "claims")
    names = tuple(f"madpo_theory.{name}" for name in rooms)
    assert loaded_by(statement, (*names, "torch", "matplotlib")) == []
    assert loaded_by("import madpo_theory.diagnose.page", names) == []


def test_figures_bring_neither_training_nor_matplotlib_before_they_are_drawn():
    names = ("madpo_theory.align", "madpo_theory.paper_figures", "torch", "matplotlib")
    assert loaded_by("import madpo_theory.show.figures, madpo_theory.show.tables", names) == []


def test_a_value_brings_its_world():
    """SymPy may bring python-flint of its own accord; torch must stay out."""
    found = loaded_by(
        "import sympy, madpo_theory as m; m.weight(sympy.Integer(1), m.MarginSchedule())", HEAVY
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


def test_every_package_is_installed():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = sorted(name for name, (is_package, _) in MODULES.items() if is_package)
    assert sorted(listed["tool"]["setuptools"]["packages"]) == packages
