"""The paper preset on local folders laid out like the hub's, and peft alone on what it leaves."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas
import pytest
import torch

from madpo_theory.align.config import ScorerConfig
from madpo_theory.align.evaluate import divergence
from madpo_theory.align.logprobs import Layout
from madpo_theory.align.policy import (
    SPECIAL,
    load_adapter,
    load_model,
    special_token,
    tiny_gemma,
)
from madpo_theory.align.store import Run
from madpo_theory.experiments.sentiment import PRESETS, run

pytest.importorskip("datasets")
WORDS = ("film", "plot", "actor", "scene", "story", "music", "camera", "ending", "dialogue", "hero")
GOOD, BAD = ("wonderful", "moving", "clever", "bright"), ("dreadful", "dull", "gloomy", "slow")


def reviews(count, label, generator):
    """Reviews of 40 words, of one sentiment."""
    kinds = GOOD if label else BAD
    return [
        " ".join(f"the {w} was {k}" for w, k in zip(*parts, strict=True)) + f" number {i}"
        for i, parts in enumerate(
            (generator.choice(WORDS, 10), generator.choice(kinds, 10)) for _ in range(count)
        )
    ]


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """model/, data/ and classifier/, each as the hub's files of its kind."""
    from tokenizers import Tokenizer
    from transformers import (
        PreTrainedTokenizerFast,
        RobertaConfig,
        RobertaForSequenceClassification,
    )

    folder, generator = tmp_path_factory.mktemp("hub"), np.random.default_rng(0)
    bad, good = reviews(100, 0, generator), reviews(140, 1, generator)
    (folder / "data").mkdir()
    table = pandas.DataFrame({"text": bad + good, "label": [0] * len(bad) + [1] * len(good)})
    table.to_parquet(folder / "data" / "train-00000-of-00001.parquet")

    causal_lm, tokenizer = tiny_gemma(bad + good, seed=1)
    causal_lm.save_pretrained(folder / "model")
    names = {f"{name}_token": token for name, token in SPECIAL.items()}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    fast.save_pretrained(folder / "model")

    torch.manual_seed(0)
    labels = {0: "negative", 1: "neutral", 2: "positive"}
    settings = RobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=300,
        pad_token_id=0,
        id2label=labels,
        label2id={name: i for i, name in labels.items()},
    )
    RobertaForSequenceClassification(settings).save_pretrained(folder / "classifier")
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(tokenizer.to_str()), pad_token=SPECIAL["pad"]
    ).save_pretrained(folder / "classifier")
    return folder


@pytest.fixture(scope="module")
def result(hub, few_rows, tmp_path_factory):
    paper, smoke = PRESETS["paper"], PRESETS["smoke"]
    small = dict(batch_size=4, checkpoint_every=2, accumulation=2, bucket=2, recompute=True)
    config = replace(
        paper,
        precision=replace(paper.precision, device="cpu", dtype="bfloat16"),
        data=replace(
            few_rows,
            source=str(hub / "data"),
            sft=(100, 200),
            scorer_test_positive=(200, 240),
        ),
        scorer=ScorerConfig(kind=str(hub / "classifier")),
        model=replace(paper.model, source=str(hub / "model"), rank=4, alpha=8),
        generate=replace(smoke.generate, new_tokens=24, pairs=24, held_out_pairs=8, batch_size=8),
        sft_examples=12,
        sft=replace(paper.sft, **small),
        reward=replace(paper.reward, **small),
        align=replace(
            paper.align, methods=("madpo", "beta_dpo"), train=replace(paper.align.train, **small)
        ),
        evaluate=replace(paper.evaluate, prompts=16, resamples=100),
    )
    return run(config, tmp_path_factory.mktemp("runs"))


@pytest.mark.slow
def test_the_paper_preset_runs_to_its_end(result):
    table = result.summary.set_index("method")
    assert list(table.index) == ["sft", "madpo", "beta_dpo"]
    assert np.isfinite(table.drop(index="sft")[["reward", "kl", "accuracy_true"]]).all(axis=None)
    assert (table.drop(index="sft")["steps"] == 2 * 24 // 8).all()
    assert result.details["precision"]["dtype"] == "bfloat16"
    assert result.details["vocabulary"]["coverage"] == 1  # nothing is pruned from a hub model


@pytest.mark.slow
def test_the_kl_is_that_of_the_weights(result):
    """In bfloat16, in which the policy is trained and sampled, rounding would be most of it."""
    root = result.path.parent
    for path in sorted(root.glob("evaluate-*")):
        parents = json.loads((path / "config.json").read_text())["parents"]
        stages = {name.rpartition("-")[0]: Run(root / name) for name in parents}
        if "align" in stages:
            break
    kl = Run(path).read_table("samples.parquet")["kl"].to_numpy()
    texts = Run(path).read_tensors("samples.safetensors")["responses"]
    prompts = stages["tokens"].read_tensors("tokens.safetensors")["evaluation"]
    layout, found = Layout(prompts.shape[1], texts.shape[1], 1), {}
    eos = special_token(stages["model"], "eos")
    for dtype in (torch.float32, torch.bfloat16):
        at = load_model(stages["model"], stages["precision"], stages["sft"], dtype=dtype)
        policy = load_adapter(at, stages["align"])
        exact, _ = divergence(at, policy, torch.cat([prompts, texts], 1), layout, 0, eos)
        found[dtype] = exact.double().numpy()
    np.testing.assert_allclose(kl, found[torch.float32], rtol=1e-3, atol=1e-5)
    assert found[torch.bfloat16].mean() > 10 * abs(kl).mean()


@pytest.mark.slow
def test_the_hub_classifier_is_the_judge(result, hub):
    """Its own pipeline, on the texts that the run recorded, gives the recorded rewards."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    table = result.run.read_table("pairs.parquet").head(8)
    classifier = AutoModelForSequenceClassification.from_pretrained(hub / "classifier").eval()
    tokenizer = AutoTokenizer.from_pretrained(hub / "classifier")
    for text, expected in zip(table["first"], table["reward_first"], strict=True):
        with torch.no_grad():
            logits = classifier(**tokenizer(text, return_tensors="pt")).logits
        assert 6 * (logits.softmax(-1)[0, 2].item() - 0.5) == pytest.approx(expected, abs=1e-5)


ALONE = """
import sys, json, torch, peft, transformers
model, adapter, out = sys.argv[1:]
base = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
policy = peft.PeftModel.from_pretrained(base, adapter).eval()
with torch.no_grad():
    logits = policy(input_ids=torch.arange(4, 20)[None]).logits
json.dump(logits[0, -1].tolist(), open(out, "w"))
assert "madpo_theory" not in sys.modules
"""


@pytest.mark.slow
def test_peft_alone_loads_a_policy(result, tmp_path):
    """The merged fine-tuned model beside a policy's folder, in an interpreter without us."""
    root = result.path.parent
    (model,), (sft,), (precision,) = (
        [Run(path) for path in root.glob(f"{name}-*")] for name in ("model", "sft", "precision")
    )
    policy = Run(next(root.glob("align-*")))
    ours = load_model(model, precision, sft).float()
    ours.save_pretrained(tmp_path / "tuned")
    with torch.no_grad():
        logits = load_adapter(ours, policy)(input_ids=torch.arange(4, 20)[None]).logits
    arguments = [str(tmp_path / "tuned"), str(policy.path), str(tmp_path / "out.json")]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    alone = torch.tensor(json.loads((tmp_path / "out.json").read_text()))
    torch.testing.assert_close(alone, logits[0, -1], rtol=1e-5, atol=1e-5)
    assert {path.name for path in policy.path.iterdir()} >= {
        "adapter_model.safetensors",
        "adapter_config.json",
    }


@pytest.mark.slow
def test_rotary_frequencies_stay_exact_in_bfloat16(result):
    """In bfloat16 a position 200 tokens from the start would be off by up to 0.4 radians."""
    root = result.path.parent
    (model,), (precision,) = (
        [Run(path) for path in root.glob(f"{name}-*")] for name in ("model", "precision")
    )
    half = load_model(model, precision)
    buffers = dict(half.named_buffers())
    exact = dict(tiny_gemma(["a film"], seed=1)[0].named_buffers())
    assert half.dtype == torch.bfloat16
    names = [name for name in buffers if "inv_freq" in name]
    assert names
    for name in names:
        torch.testing.assert_close(buffers[name], exact[name], rtol=0, atol=0)
