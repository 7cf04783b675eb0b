"""Sampling continuations: a cached decode loop of one static shape."""

import torch
import torch.nn.functional as F

from .extras import transformers

__all__ = ["generate", "sample"]


def sample(logits, uniform):
    """Ids drawn by the inverse of the cumulative distribution: (B, V), (B,) in [0, 1) -> (B,)."""
    cdf = F.softmax(logits.float(), dim=-1).cumsum_(-1)
    point = uniform.to(cdf)[:, None] * cdf[:, -1:]
    ids = torch.searchsorted(cdf, point, right=True)[:, 0]
    return ids.clamp_(max=logits.shape[-1] - 1)


@torch.no_grad()
def generate(causal_lm, prompts, *, new_tokens, eos, generator, samples=1):
    """Continuations (B, samples, new_tokens) at temperature 1 of prompts (B, P) of one length.

    `generator` is a CPU generator; it gives every continuation its own uniform numbers, whatever
    the others sample, so that two policies can be compared on the same draws. A continuation is
    filled with its end token once it has ended.
    """
    rows = len(prompts) * samples
    uniform = torch.rand(rows, new_tokens, generator=generator).to(prompts.device)
    cache = transformers().DynamicCache(config=causal_lm.config)
    output = causal_lm.model(input_ids=prompts, past_key_values=cache, use_cache=True)
    cache.batch_repeat_interleave(samples)
    hidden = output.last_hidden_state[:, -1].repeat_interleave(samples, dim=0)
    tokens = torch.full((rows, new_tokens), eos, dtype=torch.long, device=prompts.device)
    ended = torch.zeros(rows, dtype=torch.bool, device=prompts.device)
    for step in range(new_tokens):
        drawn = sample(F.linear(hidden, causal_lm.lm_head.weight), uniform[:, step])
        tokens[:, step] = torch.where(ended, eos, drawn)
        ended |= drawn == eos
        if step + 1 == new_tokens or ended.all():
            break
        output = causal_lm.model(
            input_ids=tokens[:, step : step + 1], past_key_values=cache, use_cache=True
        )
        hidden = output.last_hidden_state[:, -1]
    return tokens.view(len(prompts), samples, new_tokens)
