"""A policy's KL from its reference, and its reward, on held-out prompts."""

from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from ..align.logprobs import response_mask
from ..score.dialogue import dialogues

__all__ = ["Samples", "mean_and_error", "sample", "sequence_kl"]

BATCH = 8


@dataclass(frozen=True)
class Samples:
    """A response to each of some prompts.

    Attributes
    ----------
    prompts, responses : texts or messages, and texts. kl : (n,) nats, see :func:`sequence_kl`.
    """

    prompts: list
    responses: list
    kl: np.ndarray

    def rewards(self, judge, batch_tokens=8192):
        """The rewards of a :class:`~madpo_theory.score.model.RewardModel`, (n,)."""
        both = zip(self.prompts, self.responses, strict=True)
        whole = [dialogues(prompt, [said], chat=judge.chat)[0] for prompt, said in both]
        return judge.rewards(judge.encode(whole), batch_tokens).astype(np.float64)


def mean_and_error(values):
    """Mean and its standard error."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))


@torch.no_grad()
def sequence_kl(logits, compared, mask):
    """KL(policy || reference) of sampled responses, (B,) nats: exact for each next token, summed.

    logits, compared : (B, N, V) of policy and reference, of the token at each place; mask (B, N).
    The prefix that was sampled is the only randomness left (an unbiased estimate).
    """
    own, other = (x.float().log_softmax(-1) for x in (logits, compared))
    return ((own.exp() * (own - other)).sum(-1) * mask).sum(-1)


@torch.no_grad()
def sample(policy, reference, tokenizer, prompts, *, new_tokens, seed):
    """:class:`Samples` at temperature 1 of a policy, or of the reference where `policy` is None.

    reference : a model, or None for a peft model's own with its adapter off. Draws are torch's
    from `seed`, without leaving a trace in its global generator.
    """
    sampler = reference if policy is None else policy
    training, side = sampler.training, tokenizer.padding_side
    sampler.eval()
    tokenizer.padding_side = "left"
    responses, kl = [], []
    devices = [sampler.device] if sampler.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            for start in range(0, len(prompts), BATCH):
                batch = _encoded(tokenizer, prompts[start : start + BATCH], sampler.device)
                whole = sampler.generate(
                    **batch, max_new_tokens=new_tokens, do_sample=True, temperature=1.0, top_k=0,
                    top_p=1.0, repetition_penalty=1.0, pad_token_id=tokenizer.pad_token_id,
                )  # fmt: skip
                size = batch["input_ids"].shape[1]
                new = whole[:, size:]
                mask = response_mask(new, tokenizer.eos_token_id)
                for ids, keep in zip(new, mask.bool(), strict=True):
                    responses.append(tokenizer.decode(ids[keep], skip_special_tokens=True))
                if policy is None:
                    kl.append(torch.zeros(len(new)))
                    continue
                seen = torch.cat([batch["attention_mask"], mask.to(batch["attention_mask"])], 1)
                logits = _logits(policy, whole, seen, size)
                off = policy.disable_adapter() if reference is None else nullcontext()
                with off:
                    compared = _logits(reference or policy, whole, seen, size)
                kl.append(sequence_kl(logits, compared, mask).cpu())
    finally:
        sampler.train(training)
        tokenizer.padding_side = side
    return Samples(list(prompts), responses, torch.cat(kl).double().numpy())


def _encoded(tokenizer, prompts, device):
    """Prompts, texts or messages, as TRL encodes them, filled from the left."""
    rows = []
    for prompt in prompts:
        if isinstance(prompt, str):
            rows.append(tokenizer(prompt)["input_ids"])
        else:
            text = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
            rows.append(tokenizer(text, add_special_tokens=False)["input_ids"])
    return tokenizer.pad({"input_ids": rows}, return_tensors="pt").to(device)


def _logits(model, ids, seen, size):
    """The logits that predict the tokens behind the first `size`."""
    positions = (seen.cumsum(1) - 1).clamp(min=0)
    found = model(input_ids=ids, attention_mask=seen, position_ids=positions).logits
    return found[:, size - 1 : -1]
