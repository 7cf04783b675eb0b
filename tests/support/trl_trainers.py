"""Trainers of TRL's on one tiny policy and eight pairs, to hold ours against."""

import copy

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

from madpo_theory.align.policy import SPECIAL, tiny_gemma
from madpo_theory.integrations.trl import PreferenceTrainer

MARKS = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # transformers of its own names
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
"""Of every test file that trains with TRL."""

PAIRS = [
    {
        "prompt": f"A {kind} film about a {thing}:",
        "chosen": f" {good} from its first scene to the last.",
        "rejected": f" {bad}, and too long.",
        "margin": 1.25 * i - 4.0,
        "weight": 0.25 + 0.5 * (i % 4),
    }
    for i, (kind, thing, good, bad) in enumerate(
        (kind, thing, good, bad)
        for kind in ("slow", "loud")
        for thing in ("ship", "dog")
        for good, bad in (("wonderful", "dull"), ("moving", "dreadful"))
    )
]


def tiny_policy():
    """(model, tokenizer) of a random policy that knows the words of the pairs."""
    texts = [pair["prompt"] + pair[key] for pair in PAIRS for key in ("chosen", "rejected")]
    causal_lm, tokenizer = tiny_gemma(texts, seed=0)
    names = {f"{name}_token": token for name, token in SPECIAL.items()}
    return causal_lm, PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def made_trainer(tiny, out, kind, rows=PAIRS, *, weighting=None, column=None, method=None,
                 peft=False, evaluation=None, about=None, **args):  # fmt: skip
    """A trainer of that kind on copies of the tiny policy, its reference, and the pairs."""
    causal_lm, tokenizer = tiny
    settings = dict(
        output_dir=str(out), max_steps=3, per_device_train_batch_size=2,
        per_device_eval_batch_size=4, learning_rate=1e-2, logging_steps=1, report_to=[],
        save_strategy="no", use_cpu=True, bf16=False, gradient_checkpointing=False,
        disable_tqdm=True,
    )  # fmt: skip
    # Only the policy that has no adapter needs a second model for its reference.
    shared = peft or args.get("precompute_ref_log_probs")
    extra = {} if kind is DPOTrainer else {"weighting": weighting, "column": column}
    if kind is PreferenceTrainer:
        extra = {"method": method} | ({} if column is None else {"column": column})
    extra |= {} if about is None else {"about": about}
    torch.manual_seed(0)  # TRL before 1.15 draws the adapters' start without a seed
    return kind(
        copy.deepcopy(causal_lm),
        None if shared else copy.deepcopy(causal_lm),
        DPOConfig(**(settings | args)),
        train_dataset=Dataset.from_list(rows) if isinstance(rows, list) else rows,
        eval_dataset=None if evaluation is None else Dataset.from_list(evaluation),
        processing_class=tokenizer,
        peft_config=LoraConfig(target_modules="all-linear", r=2) if peft else None,
        **extra,
    )


def disturb(policy, scale):
    """Move a policy away from its reference, where the margins are not all zero."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in policy.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(scale * noise.to(parameter))
