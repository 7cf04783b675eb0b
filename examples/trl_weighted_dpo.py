"""MADPO with TRL: its DPOTrainer, its options, its adapters, and a weight for every pair.

    python examples/trl_weighted_dpo.py
    python examples/trl_weighted_dpo.py --model Qwen/Qwen2.5-0.5B --pairs scored.parquet --steps 200

A pairs file is what `madpo score` or `madpo weights` wrote, of any format: prompt, chosen, rejected
and margin, the reward model's score of the chosen response minus that of the rejected one. Without
a model name the model is a tiny random one, which shows that the trainer runs and nothing else.
`madpo train` is this with held-out pairs, KL, a baseline, and any method.
"""

from pathlib import Path
from tempfile import mkdtemp

import torch
import tyro
from datasets import Dataset
from peft import LoraConfig
from tiny import load_pairs, load_policy
from trl import DPOConfig

from madpo_theory import BoundedRatioWeight, MarginSchedule, ScaledWeight
from madpo_theory.integrations.trl import WeightedDPOTrainer


def main(
    model: str | None = None,
    pairs: str | None = None,
    steps: int = 20,
    batch: int = 4,
    beta: float = 0.1,
    learning_rate: float = 1e-3,
    c_max: float = 2.0,
    bounded: bool = False,
    out: Path | None = None,
) -> list[dict]:
    """Train and return TRL's log; `bounded` takes the weight with the targets that A2 promises."""
    data = load_pairs(pairs)
    policy, tokenizer = load_policy(model, data)
    weighting = MarginSchedule.released(c_max)
    if bounded:
        margins = [row["margin"] for row in data]
        weighting = ScaledWeight.mean_one(BoundedRatioWeight(weighting), margins)
    trainer = WeightedDPOTrainer(
        policy,
        args=DPOConfig(
            output_dir=str(out or mkdtemp()),
            max_steps=steps,
            per_device_train_batch_size=batch,
            learning_rate=learning_rate,
            beta=beta,
            precompute_ref_log_probs=True,
            logging_steps=5,
            report_to=[],
            use_cpu=not torch.cuda.is_available(),
            bf16=torch.cuda.is_available(),
            save_strategy="no" if out is None else "steps",
        ),
        train_dataset=Dataset.from_list(data),
        processing_class=tokenizer,
        peft_config=LoraConfig(target_modules="all-linear"),
        weighting=weighting,  # the column "margin" holds what it weighs
    )
    trainer.train()
    return trainer.state.log_history


if __name__ == "__main__":
    tyro.cli(main)
