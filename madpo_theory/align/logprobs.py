"""Log-probabilities of continuations: one forward for several, logits only where they count.

A prompt and its K continuations form one sequence ``[prompt | first | second | ...]``. Each
continuation sees the prompt and itself, at the positions it would have alone, so the prompt
is computed once.
"""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

__all__ = [
    "Layout",
    "continuation_logps",
    "hidden_states",
    "last_hidden",
    "response_mask",
    "stem",
    "token_kl",
    "token_logps",
]

CHUNK = {"cpu": 1 << 22, "cuda": 1 << 28}
"""Logits held at once: on a CPU 16 MiB, small enough for the allocator to reuse."""


def chunk_rows(weight):
    return max(1, CHUNK[weight.device.type] // len(weight))


@dataclass(frozen=True)
class Layout:
    """Shape of a batch: P prompt tokens, then K continuations of N tokens."""

    prompt: int
    new: int
    branches: int

    def positions(self, device=None):
        """Position of every token in its own text, (1, S)."""
        alone = torch.arange(self.prompt, self.prompt + self.new, device=device)
        prompt = torch.arange(self.prompt, device=device)
        return torch.cat([prompt, alone.repeat(self.branches)])[None]

    def mask(self, device=None):
        """What each token sees, (1, 1, S, S): the prompt and its own branch, up to itself."""
        branch = torch.arange(self.branches, device=device).repeat_interleave(self.new)
        branch = torch.cat([torch.full((self.prompt,), -1, device=device), branch])
        order = torch.arange(len(branch), device=device)
        causal = order[:, None] >= order[None, :]
        related = (branch[None, :] == -1) | (branch[:, None] == branch[None, :])
        return (causal & related)[None, None]

    def predictors(self, device=None):
        """Index of the token that predicts each response token, (K * N,)."""
        starts = self.prompt + self.new * torch.arange(self.branches, device=device)
        inner = starts[:, None] + torch.arange(self.new - 1, device=device)
        first = torch.full((self.branches, 1), self.prompt - 1, device=device)
        return torch.cat([first, inner], dim=1).flatten()

    def trimmed(self, tokens, eos):
        """The layout whose continuations end with the longest of some tokens (B, S)."""
        responses = tokens[:, self.prompt :].view(len(tokens), self.branches, self.new)
        longest = int(response_mask(responses, eos).sum(-1).max())
        return Layout(self.prompt, longest, self.branches)

    def columns(self, shorter, device=None):
        """Where the tokens of a layout with shorter continuations stand in this one, (S,)."""
        starts = self.prompt + self.new * torch.arange(self.branches, device=device)
        inner = starts[:, None] + torch.arange(shorter.new, device=device)
        return torch.cat([torch.arange(self.prompt, device=device), inner.flatten()])

    def join(self, prompts, responses):
        """Token ids (B, S) of prompts (B, P) and responses (B, K, N)."""
        if prompts.shape[1:] != (self.prompt,) or responses.shape[1:] != (self.branches, self.new):
            raise ValueError(
                f"prompts {tuple(prompts.shape)} and responses {tuple(responses.shape)} must be "
                f"(B, {self.prompt}) and (B, {self.branches}, {self.new})"
            )
        return torch.cat([prompts, responses.flatten(1)], dim=1)


def run_layers(causal_lm, hidden, layout, start, stop):
    text = causal_lm.model
    if layout.prompt + layout.new > (text.config.sliding_window or 1 << 30):
        raise ValueError(
            f"a text of {layout.prompt + layout.new} tokens is longer than the model's attention "
            f"window {text.config.sliding_window}; generate fewer tokens"
        )
    mask, positions = layout.mask(hidden.device), layout.positions(hidden.device)
    kinds = text.config.layer_types
    rotary = {kind: text.rotary_emb(hidden, positions, kind) for kind in set(kinds)}
    recomputed = getattr(causal_lm, "recomputed", False) and torch.is_grad_enabled()
    for layer, kind in list(zip(text.layers, kinds, strict=True))[start:stop]:
        run = partial(checkpoint, layer, use_reentrant=False) if recomputed else layer
        hidden = run(hidden, attention_mask=mask, position_embeddings=rotary[kind])
    return hidden


@torch.no_grad()
def stem(causal_lm, tokens, layout, layers):
    """Hidden states below the first adapted layer, the same for policy and reference: (B, S, D)."""
    return run_layers(causal_lm, causal_lm.model.embed_tokens(tokens), layout, 0, layers)


def hidden_states(causal_lm, stem, layout, layers):
    """Final hidden states (B, S, D) from the output of the first `layers` layers."""
    return causal_lm.model.norm(run_layers(causal_lm, stem, layout, layers, None))


class TokenLogps(torch.autograd.Function):
    """log softmax(hidden @ weight.T)[target], chunk by chunk, in float32 or what is wider.

    The weight is frozen, so the gradient with respect to a hidden state is
    ``weight[target] - p @ weight``: it is taken while the chunk's logits exist, and the logits
    of all tokens never do at once.
    """

    @staticmethod
    def forward(ctx, hidden, weight, targets):
        rows = chunk_rows(weight)
        dtype = torch.promote_types(hidden.dtype, torch.float32)
        logps = torch.empty(len(hidden), dtype=dtype, device=hidden.device)
        slopes = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            target = targets[part, None]
            log_p = F.log_softmax(F.linear(hidden[part], weight).to(dtype), dim=-1)
            logps[part] = log_p.gather(1, target)[:, 0]
            if slopes is not None:
                slopes[part] = weight[target[:, 0]] - log_p.exp_().to(weight.dtype) @ weight
        if slopes is not None:
            ctx.save_for_backward(slopes)
        return logps

    @staticmethod
    def backward(ctx, grad):
        (slopes,) = ctx.saved_tensors
        return slopes * grad[:, None].to(slopes.dtype), None, None


def token_logps(causal_lm, hidden, tokens, layout):
    """Log-probability of every response token, (B, K, N), float32, from final hidden states."""
    weight = causal_lm.lm_head.weight
    if weight.requires_grad:
        raise ValueError("the output embedding must be frozen: its gradient is not computed")
    before = hidden[:, layout.predictors(hidden.device)].reshape(-1, hidden.shape[-1])
    targets = tokens[:, layout.prompt :].reshape(-1)
    logps = TokenLogps.apply(before, weight, targets)
    return logps.view(len(tokens), layout.branches, layout.new)


def response_mask(responses, eos):
    """1.0 for the tokens of a response up to its end token, 0.0 behind it; shape of the ids."""
    ended = (responses == eos).cumsum(-1) - (responses == eos).long()
    return (ended == 0).float()


def continuation_logps(causal_lm, stem, tokens, layout, layers, eos):
    """Summed log-probabilities of the continuations, (B, K), nats, float32."""
    hidden = hidden_states(causal_lm, stem, layout, layers)
    logps = token_logps(causal_lm, hidden, tokens, layout)
    responses = tokens[:, layout.prompt :].view_as(logps)
    return (logps * response_mask(responses, eos)).sum(-1)


def last_hidden(hidden, tokens, layout, eos):
    """Hidden state of every continuation's last token, (B, K, D)."""
    batch = len(tokens)
    responses = tokens[:, layout.prompt :].view(batch, layout.branches, layout.new)
    length = response_mask(responses, eos).sum(-1).long()
    starts = layout.prompt + layout.new * torch.arange(layout.branches, device=hidden.device)
    return hidden[torch.arange(batch, device=hidden.device)[:, None], starts + length - 1]


@torch.no_grad()
def token_kl(weight, policy, reference, targets):
    """KL(policy || reference) of the next token and the targets' log-ratio, nats, (M,) each.

    Exact over the vocabulary, from hidden states (M, D), in float32, chunk by chunk.
    """
    rows = chunk_rows(weight)
    exact, ratio = [], []
    for start in range(0, len(policy), rows):
        part = slice(start, start + rows)
        log_p = F.log_softmax(F.linear(policy[part], weight).float(), dim=-1)
        difference = log_p - F.log_softmax(F.linear(reference[part], weight).float(), dim=-1)
        exact.append((log_p.exp_() * difference).sum(-1))
        ratio.append(difference.gather(1, targets[part, None])[:, 0])
    return torch.cat(exact), torch.cat(ratio)
