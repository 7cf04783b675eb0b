"""The documentation: its code runs, its commands exist, the site builds without a warning."""

import importlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from pages import agree, assert_weighted_gradient, blocks, run

from benchmarks import page as benchmarks_page
from madpo_theory import METHODS, BoundedRatioWeight, cli, extensions, losses
from madpo_theory.align.tasks import TASKS
from madpo_theory.claims import CLAIMS
from madpo_theory.experiments.sentiment import page as first_study
from madpo_theory.experiments.sentiment import second_page as second_study
from madpo_theory.show.methods import loss_example

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md")) + [ROOT / "README.md"]
WITH_CODE = [page for page in PAGES[:-1] if "```python" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_code_blocks_print_what_the_page_shows(page, monkeypatch):
    monkeypatch.setattr("madpo_theory.align.tasks.TASKS", dict(TASKS))  # a page registers its own
    namespace = {}
    for code, shown in blocks(page.read_text(encoding="utf-8")):
        printed = run(code, namespace, page)
        assert agree(printed, shown), f"{page.name} shows\n{shown}but its block prints\n{printed}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "page, results, publish",
    [
        ("sentiment.md", "sentiment", first_study.publish),
        ("sentiment-2.md", "sentiment-2", second_study.publish),
    ],
    ids=["first", "second"],
)
def test_a_page_about_recorded_runs_is_what_its_command_writes(
    page, results, publish, tmp_path, monkeypatch
):
    shutil.copytree(ROOT / "results" / results, tmp_path / "results" / results)  # judged in place
    monkeypatch.chdir(tmp_path)
    made = publish(Path("results", results), Path("docs", page)).read_text(encoding="utf-8")
    assert agree(made, (ROOT / "docs" / page).read_text(encoding="utf-8"))


def test_what_the_benchmarks_page_says_of_a_card_is_what_was_recorded():
    known = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert benchmarks_page.page(ROOT / "none", ROOT / "results" / "card", known=known) == known


def test_a_page_that_shows_another_number_or_word_is_found():
    shown = "a = 1.50, b = [2.e+00 3.125]\n"
    assert agree("a = 1.51,  b = [2.e+00\n 3.125]", shown)
    for printed in (
        "a = 1.52, b = [2.e+00 3.125]",
        "a = 1.50, b = [2.e+00 3.123]",
        "a = 1.50, b = [2.e+01 3.125]",
        "a = 1.50, c = [2.e+00 3.125]",
        "a = 1.50",
        "",
    ):
        assert not agree(printed, shown)


def test_pages_with_code_are_found():
    assert {"index", "verify", "simulate", "weigh", "worlds"} <= {page.stem for page in WITH_CODE}


def test_the_loss_on_the_page_has_the_gradient_of_its_weights():
    namespace = {}
    for code, _ in blocks((ROOT / "docs" / "how-to" / "weigh.md").read_text(encoding="utf-8")):
        run(code, namespace, "weigh.md")
    weighting = BoundedRatioWeight(namespace["schedule"])
    assert_weighted_gradient(namespace, namespace["margins"][:8], weighting)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_exist(page):
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
    for block in re.findall(r"```sh\n(.*?)```", text, re.S):
        for command in re.findall(r"^madpo (\w+)", block, re.M):
            assert command in {*cli.COMMANDS, *extensions.COMMANDS}, command
        for target in re.findall(r"^make (\w[\w-]*)", block, re.M):
            assert target in targets, target


MADE = re.compile(
    r"<!-- (?:methods|weights|gallery|bibliography|method modules|claims: [A-Z].*|systems: .*) -->"
)
IN_A_CLONE = re.compile(r"<!-- in a clone -->\n(.*?)\n<!-- on the site -->", re.S)


def test_what_make_docs_fills_in_is_said_in_a_clone():
    """Before the first place that it fills, and before both tables of methods.md."""
    filled = [page for page in PAGES if MADE.search(page.read_text(encoding="utf-8"))]
    assert {"methods", "gallery", "references", "calculus", "losses"} <= {p.stem for p in filled}
    for page in filled:
        text = page.read_text(encoding="utf-8")
        notes = list(IN_A_CLONE.finditer(text))
        assert notes and notes[0].end() < MADE.search(text).start(), page
        for note in notes:
            assert "`make docs`" in note[1] and "Until then" in note[1], page
            for link in re.findall(r"\]\(([^)]+)\)", note[1]):
                assert (page.parent / link).exists(), (page, link)
    methods = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    for name in ("methods", "weights"):
        assert f"<!-- on the site -->\n\n<!-- {name} -->" in methods


def test_the_site_does_not_say_what_is_said_in_a_clone():
    spec = importlib.util.spec_from_file_location("site_hook", ROOT / "docs" / "hooks" / "site.py")
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    page = SimpleNamespace(file=SimpleNamespace(src_uri="methods.md"))
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    shown = hook.on_page_markdown(text, page)
    assert "Until then" not in shown and "in a clone" not in shown
    assert shown.count("<!-- methods -->") == shown.count("<!-- weights -->") == 1
    assert "Every method is a file" in shown and "## Functions" in shown


def test_the_readme_links_to_what_is_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert len(links) > 20 and all((ROOT / link).exists() for link in links)


def test_the_extras_of_the_first_page_are_those_of_the_project():
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    table = text.partition("| extra |")[2].partition("\n\n")[0]
    rows = {name: row for row in table.splitlines()[2:]
            for name in re.findall(r"`(\w+)`", row.split("|")[1])}  # fmt: skip
    assert rows.keys() == project["optional-dependencies"].keys()
    for command, extra in (("score", "trl"), ("train", "trl"), ("simulate", "simulate"),
                           ("sentiment", "sentiment")):  # fmt: skip
        assert [name for name, row in rows.items() if f"`madpo {command}`" in row] == [extra]
    assert "Parquet" in rows["simulate"]
    assert any(p.startswith("pyarrow") for p in project["optional-dependencies"]["simulate"])


def test_every_claim_stands_on_one_theory_page():
    text = "".join(page.read_text() for page in (ROOT / "docs" / "theory").glob("*.md"))
    shown = " ".join(re.findall(r"<!-- claims: ([A-Z0-9 ]+) -->", text)).split()
    assert sorted(shown) == sorted(claim.id for claim in CLAIMS)


def test_the_recorded_ledger_is_the_codes():
    """docs/ledger.json, from which the theory pages are made: `make readme` renews it."""
    recorded = json.loads((ROOT / "docs" / "ledger.json").read_text(encoding="utf-8"))["claims"]
    assert [row["id"] for row in recorded] == [claim.id for claim in CLAIMS]
    for row, claim in zip(recorded, CLAIMS, strict=True):
        plain = {k: v for k, v in vars(claim).items() if k != "evidence"}
        plain |= {"uses": claim.rests_on}
        assert {k: row[k] for k in plain} == json.loads(json.dumps(plain)), claim.id
        kinds = [e.kind for e in claim.evidence if hasattr(e, "kind")]
        assert sorted(kinds) == sorted(e["kind"] for e in row["evidence"] if kinds), claim.id
        assert all(e["agrees"] and e["checked"] for e in row["evidence"]), claim.id


def test_the_bibliography_holds_every_work_that_is_cited_and_no_other():
    works = (ROOT / "docs" / "references.bib").read_text(encoding="utf-8")
    keys = re.findall(r"^@\w+\{(\w+),$", works, re.M)
    numbers = dict(zip(re.findall(r"eprint = \{(.*)\}", works), keys, strict=False))
    assert len(keys) == len(set(keys)) and len(numbers) == works.count("eprint")
    for field in ("author", "title", "year"):
        assert works.count(f"  {field} = {{") == len(keys), field
    files = [*PAGES, *(ROOT / "madpo_theory").rglob("*.py"), *(ROOT / "experiments").rglob("*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    assert set(re.findall(r"\[@(\w+)\]", text)) <= set(keys)
    cited = set(re.findall(r"\b2\d[01]\d\.\d{5}\b", text))
    assert cited == set(numbers), cited ^ set(numbers)


API = sorted((ROOT / "docs" / "api").glob("*.md"))


def on_page(page):
    """(module, names of it that the page shows) of every module of an API page."""
    text = page.read_text(encoding="utf-8")
    for name, options in re.findall(r"^::: (\S+)\n((?:    .*\n?)*)", text, re.M):
        module = importlib.import_module(name)
        chosen = re.search(r"members: \[(.*)\]", options)
        yield module, chosen[1].split(", ") if chosen else module.__all__


@pytest.mark.parametrize("page", API, ids=lambda page: page.stem)
def test_every_public_name_of_an_api_page_is_there_and_has_an_example(page):
    code = "".join(code for code, _ in blocks(page.read_text(encoding="utf-8")))
    used = set(re.findall(r"\w+", code))
    for module, shown in on_page(page):
        assert set(shown) == set(module.__all__), module.__name__
        lacking = set(shown) - used - (set(METHODS) if module is losses else set())
        assert not lacking, f"{module.__name__}: no example of {sorted(lacking)}"


def test_what_a_room_offers_is_on_an_api_page():
    shown = {name for page in API for _, names in on_page(page) for name in names}
    for room in (
        "",
        ".audit",
        ".certify",
        ".claims",
        ".diagnose",
        ".methods",
        ".theory",
        ".weights",
    ):
        face = importlib.import_module(f"madpo_theory{room}")
        listed = set(getattr(face, "__all__", ())) - set(METHOD_CLASSES)
        lacking = {
            name for name in listed - shown if not isinstance(getattr(face, name), ModuleType)
        }
        assert not lacking - ELSEWHERE, (room, lacking)


METHOD_CLASSES = {cls.__name__ for cls in METHODS.values()}  # each on its module, found by name
ELSEWHERE = {"CLAIMS", "FILES", "select"}  # the ledger itself: docs/claims.md


@pytest.mark.parametrize("name", METHODS)
def test_the_example_of_every_loss_runs(name, capsys):
    exec(loss_example(name), {})
    numbers = re.findall(r"-?\d+\.\d*", capsys.readouterr().out)
    assert len(numbers) == 2 and all(np.isfinite(float(x)) for x in numbers)


@pytest.mark.long  # `make docs` in CI
def test_the_site_builds_strictly(tmp_path):
    pytest.importorskip("mkdocs", reason="needs madpo-theory[docs]")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    targets = (tmp_path / "theory" / "targets.html").read_text(encoding="utf-8")
    assert targets.count('<svg class="m"') >= 6 and 'id="T5"' in targets
    assert "arithmatex" not in targets and "effective_target.svg#only-dark" in targets
    assert "T5_region" in targets and "largest dampening" in targets
    losses = (tmp_path / "api" / "losses.html").read_text(encoding="utf-8")
    assert "IpoPerToken" in losses and ":func:" not in losses
    words = re.sub(r"<[^>]+>|\s", "", losses)
    assert "arXiv2310.12036" in words and 'title="A General Theoretical Paradigm' in losses
    assert "dpo(policy_chosen_logps,policy_rejected_logps,reference_chosen_logps," in words
    for page in tmp_path.rglob("*.html"):  # nothing is fetched from another server
        text = page.read_text(encoding="utf-8")
        assert not re.search(r'<(?:script|link|img)[^>]*(?:src|href)="https?:', text), page
    assert (tmp_path / "search" / "search_index.js").is_file()  # of a site opened from disk
