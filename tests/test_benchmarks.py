"""The page of benchmark results, from made ones."""

import json

import pytest

from benchmarks.page import main, page
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
    assert "| peer | K = 4, batch 20,000 | 3000 | 12 | problems/s | 250 |  |" in text
    assert "- growth (K = 4): exponent 0.8" in text
    assert "With scipy 1.0." in text
    assert "bench-train" not in text  # nothing is said of what has not run


def test_the_page_is_written_whole(results, tmp_path):
    main(["--out", str(results), "--page", str(tmp_path / "page.md")])
    assert (tmp_path / "page.md").read_text() == page(results)
    assert json.loads((results / "solvers.jsonl").read_text().splitlines()[0])["ratio"] == 250


def test_without_results_the_error_says_how_to_get_some(tmp_path):
    with pytest.raises(FileNotFoundError, match="run `make bench` first"):
        page(tmp_path)
