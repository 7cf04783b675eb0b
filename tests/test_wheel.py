"""An installed wheel: one top-level name, and every command from a folder without the clone."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from madpo_theory import __version__
from madpo_theory.clone import ROOT

pytestmark = pytest.mark.slow
FOLDERS = ("madpo_theory", "experiments", "paper_figures")


def run(*command, cwd, **options):
    """A finished process; of this one's environment only what a shell needs."""
    environment = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    return subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, **options
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy of the sources."""
    root = tmp_path_factory.mktemp("wheel")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, root / "src" / name, ignore=shutil.ignore_patterns("*.pyc"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, root / "src" / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", root, root / "src"]
    done = run(*pip, "wheel", *options, cwd=root)
    assert done.returncode == 0, done.stderr
    return next(root.glob("*.whl"))


@pytest.fixture(scope="module")
def madpo(wheel, tmp_path_factory):
    """A function that runs the installed command in an empty folder; the packages are ours."""
    root = tmp_path_factory.mktemp("elsewhere")
    done = run(sys.executable, "-m", "venv", "--without-pip", root / "env", cwd=root)
    assert done.returncode == 0, done.stderr
    (packages,) = (root / "env").glob("lib/python*/site-packages")
    ours = [path for path in sys.path if Path(path).name == "site-packages"]
    (packages / "ours.pth").write_text("\n".join(ours) + "\n")  # no .pth of theirs is read there
    python = root / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    done = run(*pip, "install", "--no-deps", "--no-index", wheel, cwd=root)
    assert done.returncode == 0, done.stderr
    place = run(python, "-c", "import madpo_theory as m; print(m.__file__)", cwd=root).stdout
    assert Path(place.strip()).is_relative_to(packages)

    def call(*arguments, status=0):
        done = run(root / "env" / "bin" / "madpo", *arguments, cwd=root)
        assert done.returncode == status, done.stdout + done.stderr
        return done

    call.folder = root
    return call


def test_a_wheel_brings_one_name_and_every_file(wheel):
    held = {Path(name) for name in zipfile.ZipFile(wheel).namelist()}
    assert {path.parts[0] for path in held if not path.parts[0].endswith(".dist-info")} == {
        "madpo_theory"
    }
    library = {path.relative_to(ROOT) for path in (ROOT / "madpo_theory").rglob("*.py")}
    library |= {path.relative_to(ROOT) for path in (ROOT / "madpo_theory").rglob("*.j2")}
    for name in FOLDERS[1:]:
        found = (path.relative_to(ROOT) for path in (ROOT / name).rglob("*.py"))
        library |= {Path("madpo_theory", path) for path in found}
    assert library == {path for path in held if path.suffix in (".py", ".j2")}


def test_it_says_its_version(madpo):
    assert madpo("--version").stdout.strip() == __version__


def test_it_verifies_a_claim(madpo):
    assert "1 claims in" in madpo("verify", "--claim", "S1").stdout


def test_it_diagnoses_and_weighs_pairs(madpo):
    rows = [{"chosen": "a", "rejected": "b", "margin": k / 10 - 1.05} for k in range(60)]
    (madpo.folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = madpo.folder / "page.html"
    assert madpo("diagnose", "pairs.jsonl", "--html", page).stdout
    assert page.read_text().count("<svg") >= 3
    madpo("weights", "pairs.jsonl", "-o", "weighed.jsonl")
    assert '"weight"' in (madpo.folder / "weighed.jsonl").read_text().splitlines()[0]


@pytest.mark.long
def test_it_simulates(madpo):
    done = madpo("simulate", "offset", "--worlds", "2", "--workers", "2", "--out", "studies")
    assert "j11" in done.stdout and (madpo.folder / "studies" / "offset.svg").is_file()


@pytest.mark.long
def test_it_simulates_from_a_file_of_rewards(madpo):
    rows = [f"p{p},r{k},{(p - 2) * 0.3 + k * 0.7}" for p in range(5) for k in range(4)]
    (madpo.folder / "rewards.csv").write_text("prompt,response,reward\n" + "\n".join(rows) + "\n")
    options = ("--worlds", "2", "--workers", "0", "--rewards", "rewards.csv", "--out", "mine")
    assert "e1" in madpo("simulate", "pairs", *options).stdout


def test_it_draws_a_figure(madpo):
    madpo("figures", "--names", "effective_target", "--out", "figures")
    names = {path.name for path in (madpo.folder / "figures").iterdir()}
    assert names == {f"effective_target.{kind}" for kind in ("svg", "pdf", "csv")}


@pytest.mark.parametrize("command", ["study", "reproduce"])
def test_what_needs_the_clone_says_so_in_one_line(madpo, command):
    (line,) = madpo(command, status=2).stderr.splitlines()
    assert f"madpo {command} needs the repository" in line
