"""MADPO in a plain torch loop: log-probabilities, one loss of madpo_theory, one optimizer.

    python examples/torch_loop.py
    python examples/torch_loop.py --model Qwen/Qwen2.5-0.5B --pairs scored.parquet --steps 200

A pairs file is what `madpo score` or `madpo weights` wrote, of any format: prompt, chosen, rejected
and margin, the reward model's score of the chosen response minus that of the rejected one. Without
a model name the model is a tiny random one, which shows that the loop runs and nothing else.
"""

import copy

import torch
import tyro
from tiny import load_pairs, load_policy

from madpo_theory import MarginSchedule
from madpo_theory.losses import madpo


def response_logps(model, tokenizer, prompts, responses):
    """Summed log-probability of each response after its prompt, (pairs,), nats."""
    rows = [
        (
            tokenizer(prompt)["input_ids"],
            tokenizer(response, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id],
        )
        for prompt, response in zip(prompts, responses, strict=True)
    ]
    length = max(len(p) + len(r) for p, r in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    in_response = torch.zeros(len(rows), length)
    for i, (prompt, response) in enumerate(rows):
        ids[i, : len(prompt) + len(response)] = torch.tensor(prompt + response)
        in_response[i, len(prompt) : len(prompt) + len(response)] = 1
    ids, in_response = ids.to(model.device), in_response.to(model.device)
    # Causal attention never looks right, so that the padding there needs no mask.
    logps = model(ids).logits[:, :-1].float().log_softmax(-1)
    return (logps.gather(2, ids[:, 1:, None])[:, :, 0] * in_response[:, 1:]).sum(1)


def main(
    model: str | None = None,
    pairs: str | None = None,
    steps: int = 20,
    batch: int = 4,
    beta: float = 0.1,
    learning_rate: float = 1e-4,
    c_max: float = 2.0,
) -> list[float]:
    """Train and return the loss of every step."""
    data = load_pairs(pairs)
    policy, tokenizer = load_policy(model, data)
    policy.to("cuda" if torch.cuda.is_available() else "cpu")
    reference = copy.deepcopy(policy).requires_grad_(False)
    schedule = MarginSchedule.released(c_max)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=learning_rate, weight_decay=0.0)
    history = []
    for step in range(steps):
        rows = [data[i % len(data)] for i in range(step * batch, (step + 1) * batch)]
        prompts, *pair = ([row[k] for row in rows] for k in ("prompt", "chosen", "rejected"))
        policy_logps = [response_logps(policy, tokenizer, prompts, r) for r in pair]
        with torch.no_grad():
            fixed = [response_logps(reference, tokenizer, prompts, r) for r in pair]
        margin = torch.tensor([row["margin"] for row in rows], device=policy.device)
        losses, good, bad = madpo(
            *policy_logps, *fixed, margin=margin, weighting=schedule, beta=beta
        )
        losses.mean().backward()
        optimizer.step(), optimizer.zero_grad()
        history.append(losses.mean().item())
        print(f"step {step:3d}  loss {history[-1]:.4f}  reward gap {(good - bad).mean():+.4f}")
    return history


if __name__ == "__main__":
    tyro.cli(main)
