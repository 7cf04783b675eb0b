"""Studies, figures, tables, claims and commands are found, each in one place, by their names."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from madpo_theory import clone, extensions
from madpo_theory.extensions import CLAIMS, COMMANDS, FIGURES, STUDIES, TABLES, Files, Found


def test_a_file_in_the_folder_is_a_study_or_a_figure():
    for found, folder in ((STUDIES, "experiments"), (FIGURES, "paper_figures")):
        files = {path.stem for path in (clone.ROOT / folder).glob("[!_]*.py")}
        assert set(found) == files and len(found) == len(files) > 5
    for study in STUDIES.values():
        assert callable(study.study) and study.__doc__.startswith("Study (")
    for name, figure in FIGURES.items():
        assert callable(figure.draw)
        drawn_for_others = name.startswith(("study_", "diagnosis_", "audit_", "runs_"))
        assert hasattr(figure, "FIGURE") != drawn_for_others


def test_every_study_has_a_figure():
    assert {f"study_{name}" for name in STUDIES} <= set(FIGURES)


def test_a_figure_of_recorded_runs_names_a_table_that_is_registered():
    for figure in FIGURES.values():
        wanted = getattr(getattr(figure, "FIGURE", None), "table", None)
        if isinstance(wanted, str):
            group, name = wanted.split(".")
            assert callable(TABLES[group][name])


def test_the_experiment_registers_its_commands_and_its_claim():
    assert {"sentiment", "study", "reproduce"} <= set(COMMANDS)
    assert CLAIMS["A7"].CLAIM.id == "A7"


@pytest.fixture
def registered(monkeypatch):
    """Entry points of made-up distributions."""
    entries = []
    monkeypatch.setattr(extensions, "entry_points", lambda group: entries)
    return entries


def test_another_distribution_brings_its_own(registered, tmp_path, monkeypatch):
    folder = tmp_path / "made_up_studies"
    folder.mkdir()
    for name, text in (("__init__", ""), ("mine", "def study(): return 7\n"), ("_shared", "1/0")):
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    registered.append(EntryPoint("anything", "made_up_studies", "g"))
    found = Files("g")
    assert list(found) == ["mine"] and found["mine"].study() == 7


def test_a_name_that_stands_twice_is_refused(registered):
    registered += [EntryPoint("a", "math:pi", "g"), EntryPoint("a", "math:e", "g")]
    with pytest.raises(ValueError, match=r"'a' stands for both math:pi and math:e; rename one"):
        list(Found("g"))


def test_nothing_is_loaded_before_it_is_asked_for(registered):
    registered += [EntryPoint("bad", "no_such_module:x", "g"), EntryPoint("pi", "math:pi", "g")]
    found = Found("g")
    assert list(found) == ["bad", "pi"] and found["pi"] > 3
    with pytest.raises(ModuleNotFoundError):
        found["bad"]


def test_without_the_clone_a_command_says_so_in_a_line(monkeypatch, capsys):
    from madpo_theory import cli

    assert clone.folder("proofs") == Path(__file__).parents[1] / "proofs"
    monkeypatch.setattr(clone, "ROOT", None)
    assert clone.folder("proofs") is None
    for command in ("study", "reproduce"):
        assert cli.main([command]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"madpo {command} needs the repository" in line
