"""With a weight of 1 for every pair, our trainer is TRL's: the losses of both, update by update.

    python examples/trl_parity.py

Prints the largest difference for each of TRL's losses that we weigh; it is zero, not small.
"""

from tempfile import mkdtemp

from datasets import Dataset
from peft import LoraConfig
from tiny import load_pairs, load_policy
from trl import DPOConfig, DPOTrainer

from madpo_theory.integrations.trl import WeightedDPOTrainer


def losses(trainer_class, rows, loss_type, steps):
    """Loss of every update of a short run."""
    policy, tokenizer = load_policy(None, rows)
    config = DPOConfig(
        output_dir=mkdtemp(),
        max_steps=steps,
        per_device_train_batch_size=4,
        learning_rate=1e-3,
        loss_type=loss_type,
        logging_steps=1,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        save_strategy="no",
    )
    trainer = trainer_class(
        policy,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=LoraConfig(target_modules="all-linear"),
    )
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def main(steps: int = 10) -> dict[str, float]:
    """Largest difference by loss."""
    rows, found = load_pairs(None), {}
    for loss_type in ("sigmoid", "ipo"):
        stock = losses(DPOTrainer, rows, loss_type, steps)
        ours = losses(WeightedDPOTrainer, [row | {"weight": 1.0} for row in rows], loss_type, steps)
        found[loss_type] = max(abs(a - b) for a, b in zip(stock, ours, strict=True))
        print(f"{loss_type:<8} {stock[0]:.6f} to {stock[-1]:.6f} in {len(stock)} updates")
        print(f"{'':<8} largest difference between the trainers {found[loss_type]:g}")
    return found


if __name__ == "__main__":
    main()
