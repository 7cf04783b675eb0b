"""The README: its code runs, and its table is the ledger's."""

import re
from pathlib import Path

import pytest

from madpo_theory.claims import CLAIMS
from madpo_theory.claims.markdown import BEGIN, END, insert_table, table

README = Path(__file__).parents[1] / "README.md"


def test_code_blocks_run(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    assert len(blocks) == 3
    namespace = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), namespace)
    printed = capsys.readouterr().out
    assert "8.32" in printed and "6.90" in printed
    assert namespace["policy_chosen"].grad_fn is not None or namespace["losses"].shape == (8,)


def test_table_is_the_ledgers():
    text = README.read_text()
    assert text.split(BEGIN)[1].split(END)[0].strip() == table(CLAIMS)


def test_a_file_without_markers_is_refused(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("no table here")
    with pytest.raises(ValueError, match="must hold"):
        insert_table(path, CLAIMS)
    assert path.read_text() == "no table here"
