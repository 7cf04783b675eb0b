"""Sampling continuations: a decode loop over stored keys and values of one static shape."""

import torch
import torch.nn.functional as F

from .layers import attention, causal, decoder_layer, norm, product, rotary
from .logprobs import fits
from .randomness import torch_generator

__all__ = ["generate", "generate_part", "sample"]


def sample(logits, uniform):
    """Ids drawn by the inverse of the cumulative distribution: (B, V), (B,) in [0, 1) -> (B,)."""
    cdf = F.softmax(logits.float(), dim=-1).cumsum_(-1)
    point = uniform.to(cdf)[:, None] * cdf[:, -1:]
    ids = torch.searchsorted(cdf, point, right=True)[:, 0]
    return ids.clamp_(max=logits.shape[-1] - 1)


class Past:
    """Keys and values of every layer for texts of at most `length` tokens, of which `seen` are in.

    A step runs the layers on the tokens behind those and returns the state of the last of them.
    """

    def __init__(self, causal_lm, length):
        fits(causal_lm, length)
        self.causal_lm, self.length, self.seen, self.stored = causal_lm, length, 0, {}
        positions = torch.arange(length, device=causal_lm.device)[None]
        self.turns = rotary(causal_lm.model, causal_lm.lm_head.weight, positions)

    def repeat(self, samples):
        """Every text so often, side by side."""
        for i, both in self.stored.items():
            self.stored[i] = [x.repeat_interleave(samples, dim=0) for x in both]

    def attend(self, index, bias):
        """Attention of layer `index` from new tokens to all so far, by a bias (new, all)."""
        stop = bias.shape[1]

        def attend(q, k, v, scale):
            if index not in self.stored:
                shape = (len(k), self.length, *k.shape[2:])
                self.stored[index] = [torch.empty(shape, dtype=x.dtype, device=x.device)
                                      for x in (k, v)]  # fmt: skip
            for room, x in zip(self.stored[index], (k, v), strict=True):
                room[:, self.seen : stop] = x
            keys, values = (room[:, :stop] for room in self.stored[index])
            return attention(q, keys, values, scale, bias)

        return attend

    def step(self, tokens):
        """Final hidden state (B, D) of the last of some tokens (B, T) that go on from the past."""
        text, new = self.causal_lm.model, tokens.shape[1]
        hidden = text.embed_tokens(tokens)
        bias = causal(new, self.seen + new, hidden)
        turns = {kind: [table[:, self.seen : self.seen + new] for table in both]
                 for kind, both in self.turns.items()}  # fmt: skip
        for i, (layer, kind) in enumerate(zip(text.layers, text.config.layer_types, strict=True)):
            hidden = decoder_layer(layer, hidden, turns[kind], self.attend(i, bias))
        self.seen += new
        return norm(text.norm, hidden[:, -1])


@torch.no_grad()
def generate(causal_lm, prompts, *, new_tokens, eos, generator, samples=1, temperatures=None):
    """Continuations (B, samples, new_tokens) of prompts (B, P) of one length.

    They are drawn at temperature 1 or, one sample at each, at `temperatures` (samples,).

    `generator` is a CPU generator; it gives every continuation its own uniform numbers, whatever
    the others sample, so that two policies can be compared on the same draws. A continuation is
    filled with its end token once it has ended.
    """
    rows = len(prompts) * samples
    uniform = torch.rand(rows, new_tokens, generator=generator).to(prompts.device)
    divisor = None
    if temperatures is not None:
        divisor = torch.tensor(temperatures, device=prompts.device).repeat(len(prompts))[:, None]
    past = Past(causal_lm, prompts.shape[1] + new_tokens)
    hidden = past.step(prompts).repeat_interleave(samples, dim=0)
    past.repeat(samples)
    tokens = torch.full((rows, new_tokens), eos, dtype=torch.long, device=prompts.device)
    ended = torch.zeros(rows, dtype=torch.bool, device=prompts.device)
    for step in range(new_tokens):
        logits = product(hidden, causal_lm.lm_head.weight)
        logits = logits if divisor is None else logits.float() / divisor
        drawn = sample(logits, uniform[:, step])
        tokens[:, step] = torch.where(ended, eos, drawn)
        ended |= drawn == eos
        if step + 1 == new_tokens or ended.all():
            break
        hidden = past.step(tokens[:, step : step + 1])
    return tokens.view(len(prompts), samples, new_tokens)


def generate_part(causal_lm, prompts, part, settings, eos, seed, name, **more):
    """:func:`generate` for a slice of prompts, with random numbers of its own: of `seed`, `name`
    and where it starts. `settings` is a GenerateConfig."""
    return generate(
        causal_lm,
        prompts[part].to(causal_lm.device),
        new_tokens=settings.new_tokens,
        eos=eos,
        generator=torch_generator(seed, name, part.start),
        **more,
    )
