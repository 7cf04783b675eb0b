"""The page of mutations: a run of one room leaves what the page says of the others."""

import importlib
import sys
from collections import Counter
from pathlib import Path

import pytest

FOLDER = Path(__file__).with_name("mutation")


@pytest.fixture
def page(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(FOLDER))
    page = importlib.import_module("page")
    known = page.PAGE.read_text("utf-8")
    monkeypatch.setattr(page, "PAGE", tmp_path / "mutation.md")
    page.PAGE.write_text(known, "utf-8")
    yield page
    for name in ("page", "by_hand", "mutants"):
        sys.modules.pop(name, None)


def test_a_run_of_one_room_keeps_the_others(page):
    known = page.PAGE.read_text("utf-8")
    before = page.kept_tables(known)
    assert list(before) == ["formulas", "certificates", "ledger"]
    assert all(sum(line.startswith("| **all**") for line in text.splitlines()) == 1
               for text in before.values())  # fmt: skip
    counts = {"claims.ledger": Counter(mutants=4, killed=3, equivalent=1, places=141, timeouts=2)}
    facts = {"tests": "9 of ledger", "broken": 5, "examples": 25, "seconds": 3}
    page.write(counts, [], {"nothing": ["a test"]}, {}, **facts)
    written = page.PAGE.read_text("utf-8")
    after = page.kept_tables(written)
    for room in ("formulas", "certificates"):
        assert after[room] == before[room]
    assert "| claims.ledger | 141 | 4 | 3 | 75.0% | 1 | 100.0% |" in after["ledger"]
    assert "claims.evidence" not in after["ledger"]
    assert "claims.evidence." in written  # among those of which no change was run
    others = {"formulas", "certificates"}
    assert page.kept_rows(written, others) == page.kept_rows(known, others)
    assert page.kept_rows(known, {"ledger"})
    assert not page.kept_rows(written, {"ledger"})
    assert f"## The {len(page.kept_rows(known, others))} survivors" in written


def test_a_page_names_few_modules_and_counts_many(page):
    told = page.not_run("| certify.boxes | 1 |")
    assert "all of formulas" in told and "certify.grid" in told and "certify.boxes" not in told
    everything = "\n".join(f"| {module} | 1 |" for m in page.ROOMS.values() for module in m)
    assert page.not_run(everything) == ""
