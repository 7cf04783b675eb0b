"""A pair's number that is missing or none: the error names its row of the dataset, early."""

import pytest

pytest.importorskip("trl", reason="needs madpo-theory[trl]")
pytest.importorskip("peft", reason="needs madpo-theory[trl]")

from datasets import Dataset, IterableDataset
from PIL import Image
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)
from trl_trainers import MARKS, PAIRS, made_trainer, tiny_policy

from madpo_theory import MarginSchedule
from madpo_theory.integrations.trl import PreferenceTrainer, WeightedDPOTrainer

pytestmark = MARKS

ROW = 5
MISSING = object()


def stream_of(rows):
    """The rows as they come, with what each of them lacks."""

    def generated():
        yield from rows

    return IterableDataset.from_generator(generated)


def broken(rows, value):
    return [
        {k: v for k, v in (row | {"weight": value, "margin": value}).items() if v is not MISSING}
        if i == ROW
        else row
        for i, row in enumerate(rows)
    ]


@pytest.fixture(scope="module")
def tiny():
    return tiny_policy()


@pytest.fixture(scope="module")
def seeing():
    """(model, processor) that see 16 by 16 pixels."""
    _, tokenizer = tiny_policy()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.chat_template = (
        "{% for message in messages %}{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
        "{% endfor %}{% endfor %}"
    )
    size = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    sight = CLIPVisionConfig(image_size=16, patch_size=8, num_hidden_layers=2, **size)
    text = LlamaConfig(
        vocab_size=len(tokenizer), num_hidden_layers=1, num_key_value_heads=2, **size
    )
    token = tokenizer.convert_tokens_to_ids("<image>")
    config = LlavaConfig(
        vision_config=sight, text_config=text, image_token_id=token, image_token_index=token
    )
    model = LlavaForConditionalGeneration(config)
    images = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    return model, LlavaProcessor(
        images, tokenizer, patch_size=8, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=tokenizer.chat_template,
    )  # fmt: skip


SEEN = [
    {
        "images": [Image.new("RGB", (16, 16), (20 * i, 0, 0))],
        "prompt": [{"role": "user", "content": pair["prompt"]}],
        "chosen": [{"role": "assistant", "content": pair["chosen"]}],
        "rejected": [{"role": "assistant", "content": pair["rejected"]}],
        "weight": pair["weight"],
        "margin": pair["margin"],
    }
    for i, pair in enumerate(PAIRS)
]

WRONG = {
    "none": (None, r"must be finite.*, got nan in row 5 of the train dataset"),
    "word": ("high", r"must hold one number a pair, got 'high' in row 5 of the train dataset"),
    "no key": (MISSING, r"is missing from row 5 of the train dataset, which has chosen, "),
    "too large": (1e39, r"must give a float32, got 1e\+39 in row 5 of the train dataset"),
}


@pytest.mark.parametrize(("value", "message"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("kind", (WeightedDPOTrainer, PreferenceTrainer))
def test_a_streams_row_is_named_when_it_comes(tiny, tmp_path, kind, value, message):
    made = made_trainer(tiny, tmp_path, kind, stream_of(broken(PAIRS, value)), method="madpo")
    with pytest.raises(ValueError, match=message):
        made.train()
    assert made.state.global_step <= ROW // 2  # the batches of two before it


@pytest.mark.parametrize(("value", "message"), WRONG.values(), ids=WRONG)
def test_a_streams_first_row_is_looked_at_before_training(tiny, tmp_path, value, message):
    rows = broken(PAIRS, value)[ROW:]
    with pytest.raises(ValueError, match=message.replace("row 5", "row 0")):
        made_trainer(tiny, tmp_path, WeightedDPOTrainer, stream_of(rows))


def test_rows_of_several_data_workers_are_each_workers_own(tiny, tmp_path):
    """Nobody knows how many rows the others have read."""
    rows = Dataset.from_list(broken(PAIRS, None)).to_iterable_dataset(num_shards=2)
    made = made_trainer(tiny, tmp_path, WeightedDPOTrainer, rows, dataloader_num_workers=2)
    with pytest.raises(ValueError, match="in row 1 of what data worker 1 reads of the train"):
        made.train()


@pytest.mark.parametrize("case", [c for c in WRONG if c != "no key"])  # a table's rows have keys
def test_a_tables_row_is_named_before_training(tiny, tmp_path, case):
    value, message = WRONG[case]
    rows = PAIRS if case != "word" else [p | {"weight": "0.5", "margin": "1"} for p in PAIRS]
    rows = Dataset.from_list(broken(rows, value))
    with pytest.raises(ValueError, match=message):
        made_trainer(tiny, tmp_path, WeightedDPOTrainer, rows)


def test_a_margin_beyond_float32_has_a_weight(tiny, tmp_path):
    schedule = MarginSchedule.released(2)
    made = made_trainer(
        tiny, tmp_path, WeightedDPOTrainer, broken(PAIRS, 1e300), weighting=schedule
    )
    made.train()
    assert made.state.global_step == 3
    with pytest.raises(ValueError, match=r"must give a float32, got 1e\+300 in row 5"):
        made_trainer(tiny, tmp_path, PreferenceTrainer, broken(PAIRS, 1e300), method="madpo")


def of_vision(seeing, out, rows, **args):
    return made_trainer(seeing, out, WeightedDPOTrainer, rows, max_length=None, **args)


def test_pictures_are_weighed(seeing, tmp_path):
    """TRL prepares no dataset of pictures; the column arrives all the same."""
    made = of_vision(seeing, tmp_path, Dataset.from_list(SEEN))
    made.train()
    assert made.state.log_history[0]["weights/max"] in {pair["weight"] for pair in PAIRS}


@pytest.mark.parametrize("stream", (False, True))
def test_a_row_of_pictures_is_named(seeing, tmp_path, stream):
    rows = broken(SEEN, None)
    with pytest.raises(ValueError, match="got nan in row 5 of the train dataset"):
        if stream:
            of_vision(seeing, tmp_path, stream_of(rows)).train()
        else:  # before training
            of_vision(seeing, tmp_path, Dataset.from_list(rows))
    made = of_vision(seeing, tmp_path, Dataset.from_list(SEEN))
    wrong = {"held_out": stream_of(rows) if stream else Dataset.from_list(rows)}
    with pytest.raises(ValueError, match="got nan in row 5 of the held_out dataset"):
        made.evaluate(wrong)
    lacking = Dataset.from_list(SEEN).remove_columns("weight")
    with pytest.raises(ValueError, match="the eval dataset has no column 'weight'"):
        made.evaluate(lacking)
