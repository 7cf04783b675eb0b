"""The README: its code runs; and the table of claims is the ledger's."""

import importlib
from pathlib import Path

import pytest
import torch
from pages import agree, assert_weighted_gradient, blocks, run

from madpo_theory import MarginSchedule
from madpo_theory.claims import CLAIMS
from madpo_theory.claims.markdown import table
from madpo_theory.files import insert_between

README = Path(__file__).parents[1] / "README.md"
CLAIMS_PAGE = README.parent / "docs" / "claims.md"


BLOCKS = blocks(README.read_text(encoding="utf-8"))
TRL = [code for code, _ in BLOCKS if "WeightedDPOTrainer" in code]


def test_code_blocks_print_what_the_readme_shows():
    assert len(BLOCKS) == 5 and len(TRL) == 1
    namespace = {}
    for code, shown in BLOCKS:
        if code not in TRL:
            printed = run(code, namespace, README)
            assert agree(printed, shown), f"{shown}\nis shown, but this is printed:\n{printed}"
    assert_weighted_gradient(namespace, torch.linspace(-4, 4, 8), namespace["schedule"])


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_the_block_for_trl_runs(monkeypatch, tmp_path):
    """On the model, pairs and settings of the example, which the block leaves to its reader."""
    trl = pytest.importorskip("trl", reason="needs madpo-theory[trl]")
    peft = pytest.importorskip("peft", reason="needs madpo-theory[trl]")
    monkeypatch.syspath_prepend(str(README.parent / "examples"))
    tiny = importlib.import_module("tiny")
    pairs = tiny.load_pairs()
    model, tokenizer = tiny.load_policy(None, pairs)
    settings = {"max_steps": 2, "logging_steps": 1, "save_strategy": "no", "report_to": []}
    args = trl.DPOConfig(str(tmp_path), use_cpu=True, bf16=False, **settings)
    namespace = dict(
        model=model,
        tokenizer=tokenizer,
        pairs=pairs,
        args=args,
        peft_config=peft.LoraConfig(target_modules="all-linear"),
        schedule=MarginSchedule.released(2),
    )
    run(TRL[0], namespace, README)
    logged = namespace["trainer"].state.log_history[0]
    assert 0 < logged["weights/min"] < logged["weights/mean"] < logged["weights/max"] < 2
    assert {"weights/ess"} < logged.keys()


def test_the_table_of_claims_is_the_ledgers(tmp_path):
    path, before = tmp_path / "claims.md", CLAIMS_PAGE.read_text(encoding="utf-8")
    path.write_text(before, encoding="utf-8")
    insert_between(path, "claims", table(CLAIMS))
    assert path.read_text(encoding="utf-8") == before


def test_a_file_without_marks_is_refused(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("no table here")
    with pytest.raises(ValueError, match="must hold"):
        insert_between(path, "claims", "a table")
    assert path.read_text() == "no table here"
