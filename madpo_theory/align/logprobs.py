"""Log-probabilities of continuations: one forward for several, logits only where they count.

A prompt and its K continuations form one sequence ``[prompt | first | second | ...]``. Each
continuation sees the prompt and itself, at the positions it would have alone, so the prompt
is computed once.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from .layers import attention, causal, decoder_layer, frozen, norm, rotary

__all__ = [
    "Layout",
    "continuation_logps",
    "hidden_states",
    "last_hidden",
    "pairs_at_once",
    "predicting_states",
    "response_mask",
    "stem",
    "token_kl",
    "token_logps",
]

BLOCK, CPU_BLOCK = (8192, 32768), (1024, 2048)
"""Rows and vocabulary entries of the logits held at once: on a CPU 8 MiB, which its cache holds."""
PAIRS, CPU_PAIRS = 128, 16


def pairs_at_once(device):
    """Pairs in one forward pass where nothing is trained: a card waits for few as long as for many.

    Takes a torch.device.
    """
    return CPU_PAIRS if device.type == "cpu" else PAIRS


class Softmax:
    """Sums over the vocabulary, block by block of logits, scaled by the largest logit so far."""

    def __init__(self, rows, dtype, device):
        self.top = torch.full((rows, 1), -torch.inf, dtype=dtype, device=device)
        self.total = torch.zeros_like(self.top)

    def add(self, logits):
        """exp(logits - top) and what earlier sums are to be multiplied with: (M, V), (M, 1)."""
        before, self.top = self.top, torch.maximum(self.top, logits.amax(1, keepdim=True))
        p, shrink = (logits - self.top).exp_(), (before - self.top).exp_()
        self.total.mul_(shrink).add_(p.sum(1, keepdim=True))
        return p, shrink

    def log_total(self):
        """log sum exp, (M,)."""
        return (self.top + self.total.log())[:, 0]


def blocks(weight, *hidden):
    """(rows, their softmaxes, [(first id, block of the weight, logits of every hidden), ...])."""
    dtype = torch.promote_types(weight.dtype, torch.float32)
    rows, columns = CPU_BLOCK if weight.device.type == "cpu" else BLOCK

    def logits_of(part):
        for start in range(0, len(weight), columns):
            block = weight[start : start + columns]
            yield start, block, *(F.linear(x[part], block).to(dtype) for x in hidden)

    for start in range(0, len(hidden[0]), rows):
        part = slice(start, start + rows)
        sums = [Softmax(len(x[part]), dtype, x.device) for x in hidden]
        yield part, sums, logits_of(part)


def at_targets(found, logits, targets):
    """`found`, with the logits of those targets that this block of them holds."""
    inside = (targets >= 0) & (targets < logits.shape[1])
    here = logits.gather(1, targets.clamp(0, logits.shape[1] - 1)[:, None])[:, 0]
    return torch.where(inside, here, found)


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

    @property
    def inputs(self):
        """The layout without the last token of every continuation, which predicts nothing."""
        return replace(self, new=self.new - 1)

    def predictors(self, device=None):
        """Index, among the `inputs`, of the token that predicts each response token, (K * N,)."""
        starts = self.prompt + (self.new - 1) * torch.arange(self.branches, device=device)
        inner = starts[:, None] + torch.arange(self.new - 1, device=device)
        first = torch.full((self.branches, 1), self.prompt - 1, device=device)
        return torch.cat([first, inner], dim=1).flatten()

    def attend(self, like):
        """Attention in which a token sees the prompt and its own continuation, up to itself."""
        at_start = causal(self.prompt, self.prompt, like)
        behind = causal(self.new, self.prompt + self.new, like)

        def along(x, y):  # prompts (B, P, ...) before each of their continuations (B, K * N, ...)
            x = x[:, None].expand(-1, self.branches, *x.shape[1:])
            return torch.cat([x, y.unflatten(1, (self.branches, self.new))], dim=2).flatten(0, 1)

        def attend(q, k, v, scale):
            parts = [x.split([self.prompt, self.branches * self.new], dim=1) for x in (q, k, v)]
            (q0, q1), (k0, k1), (v0, v1) = parts
            start = attention(q0, k0, v0, scale, at_start)
            q1 = q1.unflatten(1, (self.branches, self.new)).flatten(0, 1)
            ends = attention(q1, along(k0, k1), along(v0, v1), scale, behind)
            return torch.cat([start, ends.view(len(q), -1, *q.shape[2:])], dim=1)

        return attend

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


def fits(causal_lm, length):
    """Refuse texts that are longer than what a layer sees."""
    window = causal_lm.config.sliding_window
    if length > (window or length):
        raise ValueError(
            f"a text of {length} tokens is longer than the model's attention window {window}; "
            "generate fewer tokens"
        )


def run_layers(causal_lm, hidden, layout, start, stop):
    text = causal_lm.model
    fits(causal_lm, layout.prompt + layout.new)
    kinds, attend = text.config.layer_types, layout.attend(hidden)
    turns = rotary(text, hidden, layout.positions(hidden.device))
    recomputed = getattr(causal_lm, "recomputed", False) and torch.is_grad_enabled()
    for layer, kind in list(zip(text.layers, kinds, strict=True))[start:stop]:
        if recomputed:
            rest = (hidden, turns[kind], attend)
            hidden = checkpoint(decoder_layer, layer, *rest, use_reentrant=False)
        else:
            hidden = decoder_layer(layer, hidden, turns[kind], attend)
    return hidden


@torch.no_grad()
def stem(causal_lm, tokens, layout, layers):
    """Hidden states below the first adapted layer, the same for policy and reference: (B, S, D)."""
    return run_layers(causal_lm, causal_lm.model.embed_tokens(tokens), layout, 0, layers)


def hidden_states(causal_lm, stem, layout, layers):
    """Final hidden states (B, S, D) from the output of the first `layers` layers."""
    return norm(causal_lm.model.norm, run_layers(causal_lm, stem, layout, layers, None))


def predicting_states(causal_lm, stem, layout, layers):
    """Final hidden states of the tokens that predict the responses, (B, K * N, D)."""
    inputs = stem[:, layout.columns(layout.inputs, stem.device)]
    hidden = hidden_states(causal_lm, inputs, layout.inputs, layers)
    return hidden.index_select(1, layout.predictors(hidden.device))


class TokenLogps(torch.autograd.Function):
    """log softmax(hidden @ weight.T)[target], in float32 or what is wider.

    The weight is frozen, so the gradient with respect to a hidden state is
    ``weight[target] - p @ weight``, a sum over the vocabulary that is taken with the softmax's own:
    the logits of all tokens and words never exist at once, and never again.
    """

    @staticmethod
    def forward(ctx, hidden, weight, targets):
        frozen(ctx.needs_input_grad[1:], "the output embedding")
        dtype = torch.promote_types(hidden.dtype, torch.float32)
        logps = torch.zeros(len(hidden), dtype=dtype, device=hidden.device)
        slopes = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for part, (softmax,), logits_of_blocks in blocks(weight, hidden):
            mean = torch.zeros_like(hidden[part], dtype=dtype)
            for start, block, logits in logits_of_blocks:
                logps[part] = at_targets(logps[part], logits, targets[part] - start)
                p, shrink = softmax.add(logits)
                if slopes is not None:
                    mean.mul_(shrink)
                    mean += p.to(block.dtype) @ block
            logps[part] -= softmax.log_total()
            if slopes is not None:
                slopes[part] = weight[targets[part]] - mean.div_(softmax.total)
        if slopes is not None:
            ctx.save_for_backward(slopes)
        return logps

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (slopes,) = ctx.saved_tensors
        return slopes * grad[:, None].to(slopes.dtype), None, None


def token_logps(causal_lm, before, tokens, layout):
    """Log-probability of every response token, (B, K, N), from the states that predict them."""
    targets = tokens[:, layout.prompt :].reshape(-1)
    logps = TokenLogps.apply(before.flatten(0, 1), causal_lm.lm_head.weight, targets)
    return logps.view(len(tokens), layout.branches, layout.new)


def response_mask(responses, eos):
    """1.0 for the tokens of a response up to its end token, 0.0 behind it; shape of the ids."""
    ended = (responses == eos).cumsum(-1) - (responses == eos).long()
    return (ended == 0).float()


def continuation_logps(causal_lm, stem, tokens, layout, layers, eos):
    """Summed log-probabilities of the continuations, (B, K), nats, float32."""
    before = predicting_states(causal_lm, stem, layout, layers)
    logps = token_logps(causal_lm, before, tokens, layout)
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

    Exact over the vocabulary, from hidden states (M, D), in float32 or what is wider.
    """
    exact, ratio = [], []
    for part, (own, other), logits_of_blocks in blocks(weight, policy, reference):
        gap, mean = torch.zeros_like(own.top[:, 0]), torch.zeros_like(own.top)
        for start, _, logits, compared in logits_of_blocks:
            other.add(compared)
            p, shrink = own.add(logits)
            difference = logits.sub_(compared)
            gap = at_targets(gap, difference, targets[part] - start)
            mean = mean * shrink + (p * difference).sum(1, keepdim=True)
        totals = own.log_total() - other.log_total()
        exact.append((mean / own.total)[:, 0] - totals)
        ratio.append(gap - totals)
    return torch.cat(exact), torch.cat(ratio)
