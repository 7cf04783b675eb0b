"""What a run of TRL's says of its loss, where it goes on, and its loss without the weights."""

import functools
import json

import pytest

pytest.importorskip("trl", reason="needs madpo-theory[trl]")
pytest.importorskip("peft", reason="needs madpo-theory[trl]")

import torch
from huggingface_hub import ModelCard
from transformers import AutoConfig
from trl_trainers import MARKS, PAIRS, disturb, made_trainer, tiny_policy

from madpo_theory import MarginSchedule, __version__, weight
from madpo_theory.integrations.trl import RECORD, PreferenceTrainer, WeightedDPOTrainer

pytestmark = MARKS
SAVED = {"save_strategy": "steps", "save_steps": 2}


@pytest.fixture(scope="module")
def tiny():
    return tiny_policy()


@pytest.fixture
def trainer(tiny, tmp_path):
    return functools.partial(made_trainer, tiny, tmp_path)


SCHEDULE = MarginSchedule.released(2)
KINDS = {
    "method": (PreferenceTrainer, {"method": "simpo", "beta": 0.3}, {"method": "cdpo"}),
    "settings": (PreferenceTrainer, {"method": "madpo"}, {"method": "madpo", "beta": 0.2}),
    "weighting": (WeightedDPOTrainer, {"weighting": SCHEDULE},
                  {"weighting": MarginSchedule.released(4)}),
    "beta": (WeightedDPOTrainer, {}, {"beta": 0.2}),
}  # fmt: skip


@pytest.mark.parametrize(
    ("what", "peft"),
    (
        ("method", False),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("settings", False), ("weighting", True), ("beta", False))
        ),
    ),
)
def test_a_checkpoint_says_its_loss_and_goes_on_with_no_other(trainer, tmp_path, what, peft):
    kind, options, other = KINDS[what]
    made = trainer(kind, peft=peft, **options, **SAVED)
    made.train()
    made.save_model()
    checkpoint = tmp_path / "checkpoint-2"
    for folder in (checkpoint, tmp_path):
        assert json.loads((folder / RECORD).read_text()) == made.record
        if not peft:
            assert AutoConfig.from_pretrained(folder).madpo == made.record
    assert made.record["version"] == __version__
    card, tags = (
        (tmp_path / "README.md").read_text(),
        ModelCard.load(tmp_path / "README.md").data.tags,
    )
    assert tags == sorted(tags) and "dpo" in tags  # or they would stand otherwise each time
    assert card.count("## The preference loss") == 1 and card.startswith("---\n")
    for name, value in made.record.items():
        assert f"- {name}: `{value}`" in card
    assert "arXiv 2510.05342" in card and f"madpo_theory {__version__}" in card
    if what == "method":
        assert "SimPO, arXiv 2405.14734" in card and made.record["settings"]["beta"] == 0.3
    for path in (str(checkpoint), True):
        with pytest.raises(ValueError, match=r"checkpoint-. was trained with another (?!version)"):
            trainer(kind, peft=peft, **other, **SAVED).train(resume_from_checkpoint=path)
    again = trainer(kind, peft=peft, **options, **SAVED)
    again.train(resume_from_checkpoint=str(checkpoint))
    for ours, first in zip(again.model.parameters(), made.model.parameters(), strict=True):
        assert torch.equal(ours, first)


def test_what_else_is_recorded_counts_too_and_a_version_does_not(trainer, tmp_path):
    made = trainer(WeightedDPOTrainer, about={"file": "a"}, **SAVED)
    made.train()
    path = tmp_path / "checkpoint-2" / RECORD
    known = json.loads(path.read_text())
    assert known["file"] == "a"
    path.write_text(json.dumps(known | {"version": "0.0.1"}))
    trainer(WeightedDPOTrainer, about={"file": "a"}).train(resume_from_checkpoint=str(path.parent))
    with pytest.raises(ValueError, match="another file, 'a' and not 'b'"):
        trainer(WeightedDPOTrainer, about={"file": "b"}).train(str(path.parent))
    path.unlink()
    with pytest.raises(ValueError, match=f"holds no {RECORD}, so nothing says"):
        trainer(WeightedDPOTrainer).train(resume_from_checkpoint=str(path.parent))
    for state in tmp_path.glob("checkpoint-*/trainer_state.json"):
        state.write_text(state.read_text()[:50])  # as a kill may leave it
    with pytest.raises(ValueError, match="holds no checkpoint that is whole; leave it out"):
        trainer(WeightedDPOTrainer).train(resume_from_checkpoint=True)


@pytest.mark.parametrize("loss_type", ("sigmoid", "ipo"))
def test_the_loss_without_weights_is_evaluated_beside_that_with_them(trainer, loss_type):
    """By the same policy: that of a run whose weights are all 1, and dpo_loss for any method."""
    turned = [p | {"chosen": p["rejected"], "rejected": p["chosen"]} for p in PAIRS[:3]]
    pairs = turned + PAIRS[3:]
    ones = [pair | {"weight": 1.0} for pair in pairs]
    found = {}
    for name, kind, rows, options in (
        ("weighted", WeightedDPOTrainer, pairs, {"loss_type": loss_type}),
        ("plain", WeightedDPOTrainer, ones, {"loss_type": loss_type}),
        ("simpo", PreferenceTrainer, pairs, {"method": "simpo"}),
    ):
        made = trainer(kind, rows, evaluation=rows, per_device_eval_batch_size=8, **options)
        disturb(made.model, 0.02)
        found[name] = made.evaluate()
    # one float32 mean over 8 pairs and one float64
    plain = pytest.approx(found["plain"]["eval_loss"], rel=1e-6)
    assert found["weighted"]["eval_weights/unweighted_loss"] == plain
    assert found["weighted"]["eval_loss"] != plain
    if loss_type == "sigmoid":
        assert found["simpo"]["eval_dpo_loss"] == plain != found["simpo"]["eval_loss"]
    accuracy = {name: each["eval_rewards/accuracies"] for name, each in found.items()}
    assert len(set(accuracy.values())) == 1 and 0 < accuracy["plain"] < 1


@pytest.mark.parametrize("kind", (PreferenceTrainer, WeightedDPOTrainer))
def test_a_last_batch_that_is_not_full_counts_as_what_it_holds(trainer, kind):
    pairs = [p | {"chosen": p["rejected"], "rejected": p["chosen"]} for p in PAIRS[:1]] + PAIRS[1:]
    found = []
    for size in (8, 7):
        options = {"method": "dpo"} if kind is PreferenceTrainer else {}
        made = trainer(kind, pairs, evaluation=pairs, per_device_eval_batch_size=size, **options)
        disturb(made.model, 0.02)
        found.append(made.evaluate())
    one, two = found
    assert one["eval_rewards/accuracies"] == 7 / 8
    assert two["eval_rewards/accuracies"] == pytest.approx(7 / 8, rel=1e-7)  # float32 6/7
    name = "eval_dpo_loss" if kind is PreferenceTrainer else "eval_weights/unweighted_loss"
    # padding of another length in float32
    assert one[name] == pytest.approx(two[name], rel=1e-5)
    assert one["eval_rewards/margins"] == pytest.approx(two["eval_rewards/margins"], rel=1e-4)


def test_weights_made_here_and_in_the_file_have_the_same_unweighted_loss(trainer):
    margins = [pair["margin"] for pair in PAIRS]
    rows = [pair | {"weight": weight(pair["margin"], SCHEDULE)} for pair in PAIRS]
    logs = []
    for options in ({"weighting": SCHEDULE}, {}):
        made = trainer(WeightedDPOTrainer, rows, **options)
        made.train()
        logs.append([entry for entry in made.state.log_history if "loss" in entry])
    assert len(margins) == 8 and logs[0] == logs[1]
    assert all("weights/unweighted_loss" in entry for entry in logs[0])
