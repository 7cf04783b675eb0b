"""The notebook runs from top to bottom, and its text is true of what it prints."""

import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs madpo-theory[docs]")
pytest.importorskip("nbclient", reason="needs madpo-theory[docs]")
pytest.importorskip("ipykernel", reason="needs madpo-theory[docs]")
NOTEBOOK = Path(__file__).parents[1] / "examples" / "pairs_to_policy.ipynb"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert "the reward model disputes" in text
    rows = dict(re.findall(r"^(\S.*?) +reward ([+-][\d.]+), KL", text, re.M))
    gains = {name: float(value) for name, value in rows.items()}
    assert len(gains) == 4 and all(value > 0 for value in gains.values())
    assert gains["MADPO"] > gains["DPO"]  # at the same step, as its first plot shows
