"""The examples run as they stand, on their tiny model and on a named one with a pairs file."""

import importlib
import json
import math
from pathlib import Path

import pytest

from madpo_theory import MarginSchedule, weight

pytest.importorskip("transformers", reason="needs madpo-theory[sentiment]")
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module


@pytest.fixture
def named(example, tmp_path):
    """Path of a saved tiny model, and of a file with ten pairs."""
    tiny = example("tiny")
    rows = tiny.load_pairs()[:10]
    for part in tiny.load_policy(None, rows):
        part.save_pretrained(tmp_path / "model")
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(tmp_path / "model"), str(file)


def mean_weight(pairs):
    schedule = MarginSchedule.released(2)
    return sum(weight(row["margin"], schedule) for row in pairs) / len(pairs)


def test_torch_loop(example):
    loop = example("torch_loop")
    history = loop.main(steps=18, batch=4)  # two passes over the 36 pairs
    first = mean_weight(example("tiny").load_pairs()[:4]) * math.log(2)
    assert history[0] == pytest.approx(first, rel=1e-5)  # the policy starts as the reference
    assert sum(history[9:]) < 0.9 * sum(history[:9])


def test_torch_loop_on_a_named_model(example, named):
    model, pairs = named
    history = example("torch_loop").main(model=model, pairs=pairs, steps=2, batch=5)
    first = mean_weight(example("tiny").load_pairs(pairs)[:5]) * math.log(2)
    assert history[0] == pytest.approx(first, rel=1e-5)


@pytest.mark.slow
def test_trl_parity(example):
    pytest.importorskip("trl")
    assert example("trl_parity").main(steps=3) == {"sigmoid": 0.0, "ipo": 0.0}


@pytest.mark.parametrize("bounded", (False, True))
def test_trl(example, bounded):
    pytest.importorskip("trl", reason="needs madpo-theory[trl]")
    log = example("trl_weighted_dpo").main(steps=18, bounded=bounded)
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert losses[-1] < 0.9 * losses[0]
    assert all(0 < entry["weights/mean"] < 2 for entry in log if "loss" in entry)


def test_trl_on_a_named_model(example, named, tmp_path):
    pytest.importorskip("trl", reason="needs madpo-theory[trl]")
    model, pairs = named
    out = tmp_path / "out"
    example("trl_weighted_dpo").main(model=model, pairs=pairs, steps=2, batch=5, out=out)
    assert list(out.rglob("adapter_model.safetensors"))


def test_a_pairs_file_without_margins_is_refused(example, tmp_path):
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n')
    with pytest.raises(ValueError, match="there is no column 'margin'"):
        example("tiny").load_pairs(file)
