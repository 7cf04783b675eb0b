"""The documentation: its code runs, its commands exist, the site builds without a warning."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import agree, assert_weighted_gradient, blocks, run

from madpo_theory import BoundedRatioWeight, cli, extensions
from madpo_theory.align.tasks import TASKS
from madpo_theory.claims import CLAIMS

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
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
    for block in re.findall(r"```sh\n(.*?)```", text, re.S):
        for command in re.findall(r"^madpo (\w+)", block, re.M):
            assert command in {*cli.COMMANDS, *extensions.COMMANDS}, command
        for target in re.findall(r"^make (\w[\w-]*)", block, re.M):
            assert target in targets, target


def test_every_claim_stands_on_one_theory_page():
    text = "".join(page.read_text() for page in (ROOT / "docs" / "theory").glob("*.md"))
    shown = " ".join(re.findall(r"<!-- claims: ([A-Z0-9 ]+) -->", text)).split()
    assert sorted(shown) == sorted(claim.id for claim in CLAIMS)


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
    targets = (tmp_path / "theory" / "targets" / "index.html").read_text(encoding="utf-8")
    assert targets.count("<math") >= 6 and 'id="T5"' in targets and "arithmatex" not in targets
    losses = (tmp_path / "api" / "losses" / "index.html").read_text(encoding="utf-8")
    assert "arXiv 2310.12036" in losses and "IpoPerToken" in losses and ":func:" not in losses
    words = re.sub(r"<[^>]+>|\s", "", losses)
    assert "dpo(policy_chosen_logps,policy_rejected_logps,reference_chosen_logps," in words
    for page in tmp_path.rglob("*.html"):  # nothing is fetched from another server
        text = page.read_text(encoding="utf-8")
        assert not re.search(r'<(?:script|link|img)[^>]*(?:src|href)="https?:', text), page
