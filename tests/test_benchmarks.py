"""The page of benchmark results, from made ones."""

import json
import shutil

import pytest

from benchmarks.page import main, page, table
from benchmarks.record import Recorder


@pytest.fixture
def results(tmp_path):
    out = Recorder("solvers", tmp_path)
    out.add(name="peer", ours=3000.0, peer=12.0, unit="problems/s", K=4, batch=20_000,
            versions={"scipy": "1.0"})  # fmt: skip
    out.note(name="growth", exponent=0.8, K=4)
    out.save()
    return tmp_path


def test_every_comparison_is_a_row_and_every_note_a_line(results):
    text = page(results)
    assert "All of it: K = 4, batch 20,000." in text
    assert "| peer | 3000 | 12 | problems/s | 250 | |" in text
    assert "- growth: exponent 0.8" in text
    assert "With scipy 1.0." in text
    assert "bench-train" not in text  # nothing is said of what has not run


def test_a_size_is_said_once_for_all_its_rows():
    rows = [
        {"name": f"{what} {k}", "K": k, "dtype": "float32", "unit": "s"}
        | {"ours": float(k), "peer": 2.0 * k, "ratio": 0.5}
        for k in (4, 8)
        for what in ("step", "memory")
    ]
    text = table(rows)
    for words in ("All of it: float32.", "**K = 4**", "**K = 8**"):
        assert text.count(words) == 1
    assert text.count("| memory 8 | 8 | 16 | s | 0.5 | |") == 1
    alone = table(rows[::2])
    assert "| step 8 | K = 8 | 8 | 16 | s | 0.5 | |" in alone and "**" not in alone


def test_the_page_is_written_whole(results, tmp_path):
    written, card = tmp_path / "page.md", tmp_path / "card"
    main(["--out", str(results), "--card", str(card), "--page", str(written)])
    assert written.read_text() == page(results)
    shutil.copytree(results, card, ignore=shutil.ignore_patterns("card", "page.md"))
    main(["--out", str(results), "--card", str(card), "--page", str(written)])
    assert written.read_text().count("| peer | 3000 |") == 2 and "on a card" in written.read_text()
    assert json.loads((results / "solvers.jsonl").read_text().splitlines()[0])["ratio"] == 250


def test_a_section_is_renewed_and_the_others_stay(results, tmp_path):
    written, empty = tmp_path / "page.md", tmp_path / "none"
    places = ("--card", str(empty), "--page", str(written))
    main(["--out", str(results), *places])
    before = written.read_text()
    row = {"name": "weights", "ours": 3.0, "peer": 2.0, "ratio": 1.5, "unit": "s"}
    (tmp_path / "diagnose.jsonl").write_text(json.dumps(row))
    main(["diagnose", "--out", str(tmp_path), *places])
    fresh = "## Diagnosing a file of pairs (`make bench-diagnose`)"
    assert written.read_text().split(fresh)[0].strip() == before.strip()
    assert "| weights | 3 | 2 | s | 1.5 | |" in written.read_text().split(fresh)[1]
    with pytest.raises(ValueError, match="benchmark"):
        main(["diagnosis", "--out", str(tmp_path), *places])


def test_without_results_the_error_says_how_to_get_some(tmp_path):
    with pytest.raises(FileNotFoundError, match="run `make bench` first"):
        page(tmp_path)


@pytest.mark.long
def test_contenders_agree_and_take_turns_on_a_tiny_model(tmp_path):
    pytest.importorskip("trl")
    from benchmarks import training

    settings = "--model tiny --shapes 0 --first 0 --pairs 2 --prompts 3 --new 4 --rounds 1"
    folders = ("--root", str(tmp_path / "runs"), "--out", str(tmp_path / "out"))
    assert training.main([*settings.split(), *folders]) == 0
    lines = (tmp_path / "out" / "training.jsonl").read_text().splitlines()
    rows = {(row["name"], row.get("samples")): row for row in map(json.loads, lines)}
    for name in list(training.STEPS)[1:]:
        row = rows[f"step {name}", None]
        assert row["gradient_difference"] <= training.AGREEMENT and row["median_ratio"] > 0
    assert {samples for name, samples in rows if name == "generation"} == {1, 2}


@pytest.mark.slow
def test_a_contender_that_fails_says_why(tmp_path):
    from benchmarks.training import Contender, Setting

    setting = Setting("ours", str(tmp_path), str(tmp_path), str(tmp_path / "none"), threads=1)
    with Contender(setting) as one, pytest.raises(RuntimeError, match=r"ours failed:\n[^\0]*none"):
        one.turn()
