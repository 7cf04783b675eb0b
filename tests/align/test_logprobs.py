"""Log-probabilities against the model's own forward pass and plain formulas."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from madpo_theory.align import logprobs
from madpo_theory.align.logprobs import (
    CPU_BLOCK,
    Layout,
    TokenLogps,
    continuation_logps,
    hidden_states,
    last_hidden,
    response_mask,
    stem,
    token_kl,
)
from madpo_theory.align.policy import prune, recompute

EOS = 1
CLOSE = dict(rtol=1e-4, atol=1e-4)


def tokens_of(batch, length, vocabulary=150, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(4, vocabulary, (batch, length), generator=generator)


def full_logps(causal_lm, prompt, response):
    """Summed log-probability of one response by the library's forward, full logits, no padding."""
    ids = torch.cat([prompt, response])[None]
    log_p = F.log_softmax(causal_lm(input_ids=ids).logits[0].float(), dim=-1)
    at = torch.arange(len(prompt) - 1, ids.shape[1] - 1)
    return log_p[at, ids[0, 1 + at]].sum()


@pytest.mark.parametrize("layers", [0, 1])
@pytest.mark.parametrize("branches", [1, 2, 3])
def test_shared_prompt_equals_separate_unpadded_forwards(tiny, layers, branches):
    causal_lm, _ = tiny
    layout = Layout(prompt=5, new=7, branches=branches)
    prompts, responses = tokens_of(4, 5), tokens_of(4 * branches, 7, seed=1).view(4, branches, 7)
    lengths = torch.arange(4 * branches).view(4, branches) % 7 + 1
    for i in range(4):
        for k in range(branches):
            responses[i, k, lengths[i, k] - 1 :] = EOS  # an end token, then padding
    tokens = layout.join(prompts, responses)
    lower = stem(causal_lm, tokens, layout, layers)
    found = continuation_logps(causal_lm, lower, tokens, layout, layers, EOS)
    expected = torch.stack(
        [
            torch.stack(
                [
                    full_logps(causal_lm, prompts[i], responses[i, k, : lengths[i, k]])
                    for k in range(branches)
                ]
            )
            for i in range(4)
        ]
    )
    torch.testing.assert_close(found, expected, **CLOSE)


def test_padding_does_not_count(tiny):
    causal_lm, _ = tiny
    layout = Layout(prompt=5, new=7, branches=2)
    prompts, responses = tokens_of(3, 5), tokens_of(6, 7, seed=1).view(3, 2, 7)
    responses[:, :, 3] = EOS
    other = responses.clone()
    other[:, :, 4:] = 17

    def logps(rows):
        tokens = layout.join(prompts, rows)
        lower = stem(causal_lm, tokens, layout, 0)
        return continuation_logps(causal_lm, lower, tokens, layout, 0, EOS)

    assert torch.equal(logps(responses), logps(other))


@pytest.mark.parametrize("side", ["none", "left", "right"])
def test_the_side_of_the_padding_does_not_matter(tiny, side):
    """Ours against the library's forward of the same texts, padded as other trainers pad them."""
    causal_lm, _ = tiny
    layout = Layout(prompt=5, new=9, branches=2)
    prompts, responses = tokens_of(4, 5), tokens_of(8, 9, seed=1).view(4, 2, 9)
    lengths = torch.tensor([[9, 3], [1, 5], [4, 4], [2, 9]])
    responses = torch.where(torch.arange(9) < lengths[..., None] - 1, responses, EOS)
    tokens = layout.join(prompts, responses)
    lower = stem(causal_lm, tokens, layout, 0)
    found = continuation_logps(causal_lm, lower, tokens, layout, 0, EOS)
    for i, k in np.ndindex(4, 2):
        text = torch.cat([prompts[i], responses[i, k, : lengths[i, k]]])
        fill = torch.zeros(0 if side == "none" else 14 - len(text), dtype=torch.long)
        parts = [fill, text] if side == "left" else [text, fill]
        mask = torch.cat([torch.full_like(part, int(part is text)) for part in parts])
        ids, mask = torch.cat(parts)[None], mask[None]
        positions = (mask.cumsum(-1) - 1).clamp_min(0)
        output = causal_lm(input_ids=ids, attention_mask=mask, position_ids=positions)
        log_p = F.log_softmax(output.logits[0, :-1].float(), dim=-1)
        at = torch.nonzero(mask[0, 1:] * mask[0, :-1]).flatten()[4:]  # what predicts the response
        expected = log_p[at, ids[0, 1 + at]].sum()
        torch.testing.assert_close(found[i, k], expected, **CLOSE)


def test_a_trimmed_layout_gives_the_same_sums(tiny):
    causal_lm, _ = tiny
    layout = Layout(prompt=5, new=9, branches=2)
    prompts, responses = tokens_of(3, 5), tokens_of(6, 9, seed=1).view(3, 2, 9)
    responses[:, 0, 3:], responses[:, 1, 5:] = EOS, EOS
    tokens = layout.join(prompts, responses)
    shorter = layout.trimmed(tokens, EOS)
    assert shorter == Layout(5, 6, 2)  # the longest ends with its end token
    cut = tokens[:, layout.columns(shorter)]
    assert torch.equal(cut, shorter.join(prompts, responses[:, :, :6]))
    whole, part = (
        continuation_logps(causal_lm, stem(causal_lm, t, at, 0), t, at, 0, EOS)
        for t, at in ((tokens, layout), (cut, shorter))
    )
    torch.testing.assert_close(part, whole, **CLOSE)


def test_sums_over_bfloat16_logits_keep_float32_precision():
    """Bound: an operation of log softmax and of the sum rounds by at most 2^-24 of its result.

    A term is z - max - log(sum exp): three roundings of numbers up to 2 max |z|, and a logarithm
    whose argument, a sum of V positive terms, is off by V roundings at worst. N terms of that, and
    N roundings of partial sums, each at most the sum of all.
    """
    generator = torch.Generator().manual_seed(0)
    hidden = 4 * torch.randn(64, 32, generator=generator).bfloat16()
    weight = torch.randn(2000, 32, generator=generator).bfloat16()
    targets = torch.randint(2000, (64,), generator=generator)
    logits = F.linear(hidden, weight)
    exact = F.log_softmax(logits.double(), dim=-1)[torch.arange(64), targets]
    terms = TokenLogps.apply(hidden, weight, targets)
    bound = 2.0**-24 * (64 * (6 * logits.abs().max().item() + 2000) + 64 * exact.abs().sum().item())
    error = abs(terms.sum().double() - exact.sum()).item()
    assert error <= bound
    in_bfloat16 = F.log_softmax(logits, dim=-1)[torch.arange(64), targets].sum()
    assert abs(in_bfloat16.double() - exact.sum()).item() > 10 * bound  # what a trainer must not do


def test_recomputed_layers_give_the_same_gradient(tiny, fresh_tiny):
    layout = Layout(prompt=5, new=7, branches=2)
    tokens = layout.join(tokens_of(3, 5), tokens_of(6, 7, seed=1).view(3, 2, 7))
    gradients = []
    for change in (lambda model: None, recompute):
        parameter = fresh_tiny.model.layers[0].mlp.up_proj.weight.requires_grad_(True)
        parameter.grad = None
        change(fresh_tiny)
        lower = fresh_tiny.model.embed_tokens(tokens)
        continuation_logps(fresh_tiny, lower, tokens, layout, 0, EOS).sum().backward()
        gradients.append(parameter.grad.clone())
    assert torch.equal(*gradients)
    assert gradients[0].abs().max() > 0


BLOCKS = [(1, 1), (7, 5), (50, 97), CPU_BLOCK]


@pytest.mark.parametrize("block", BLOCKS)
def test_log_probabilities_and_gradient_equal_the_plain_formula(monkeypatch, block):
    monkeypatch.setattr(logprobs, "CPU_BLOCK", block)
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(50, 16, generator=generator, requires_grad=True)
    weight = torch.randn(97, 16, generator=generator)
    targets = torch.randint(97, (50,), generator=generator)
    scale = torch.randn(50, generator=generator)
    plain = F.log_softmax(hidden @ weight.T, dim=-1)[torch.arange(50), targets]
    (expected,) = torch.autograd.grad((plain * scale).sum(), hidden)
    found = TokenLogps.apply(hidden, weight, targets)
    torch.testing.assert_close(found, plain, **CLOSE)
    (gradient,) = torch.autograd.grad((found * scale).sum(), hidden)
    torch.testing.assert_close(gradient, expected, **CLOSE)


def test_logits_of_hundreds_lose_nothing(monkeypatch):
    """The largest logit comes late, and exp of any of them alone is infinite or zero."""
    monkeypatch.setattr(logprobs, "CPU_BLOCK", (4, 3))
    logits = torch.tensor([[-900.0, 300.0, 0.0, 299.0, 900.0, -900.0, 899.0]]).expand(7, -1)
    hidden = logits.clone().requires_grad_(True)
    found = TokenLogps.apply(hidden, torch.eye(7), torch.arange(7))
    plain = F.log_softmax(hidden, dim=-1).diagonal()
    torch.testing.assert_close(found, plain, **CLOSE)
    for of in (found, plain):
        hidden.grad = None
        of[6].backward(retain_graph=True)
        torch.testing.assert_close(hidden.grad[6, 6].item(), 1 - torch.tensor(-1.0).exp().item()
                                   / (1 + torch.tensor(-1.0).exp().item()))  # fmt: skip


def test_what_must_be_frozen_is_not_trained_in_silence():
    hidden, weight = torch.zeros(2, 3), torch.zeros(5, 3, requires_grad=True)
    with pytest.raises(ValueError, match="the output embedding must be frozen"):
        TokenLogps.apply(hidden, weight, torch.zeros(2, dtype=torch.long))


@pytest.mark.parametrize("new", [1, 2])
def test_the_last_token_is_no_input(tiny, new):
    """What a response ends with is predicted, but predicts nothing."""
    causal_lm, _ = tiny
    layout = Layout(prompt=4, new=new, branches=2)
    prompts, responses = tokens_of(3, 4), tokens_of(6, new, seed=1).view(3, 2, new)
    tokens = layout.join(prompts, responses)
    lower = stem(causal_lm, tokens, layout, 1)
    found = continuation_logps(causal_lm, lower, tokens, layout, 1, EOS)
    expected = [[full_logps(causal_lm, prompts[i], responses[i, k]) for k in (0, 1)]
                for i in range(3)]  # fmt: skip
    torch.testing.assert_close(found, torch.tensor(expected), **CLOSE)
    lower[:, layout.prompt + new - 1] = torch.nan  # the first response's last token
    again = continuation_logps(causal_lm, lower, tokens, layout, 1, EOS)
    assert torch.equal(again, found)


def test_last_hidden_is_that_of_the_last_token(tiny):
    causal_lm, _ = tiny
    layout = Layout(prompt=4, new=6, branches=2)
    prompts, responses = tokens_of(2, 4), tokens_of(4, 6, seed=3).view(2, 2, 6)
    responses[0, 1, 2:] = EOS
    tokens = layout.join(prompts, responses)
    hidden = hidden_states(causal_lm, stem(causal_lm, tokens, layout, 0), layout, 0)
    found = last_hidden(hidden, tokens, layout, EOS)
    alone = torch.cat([prompts[0], responses[0, 1, :3]])[None]
    expected = causal_lm.model(input_ids=alone).last_hidden_state[0, -1]
    torch.testing.assert_close(found[0, 1], expected, **CLOSE)
    assert torch.equal(found[1, 1], hidden[1, -1])


def test_response_mask_ends_with_the_first_end_token():
    rows = torch.tensor([[5, 1, 6, 1], [5, 6, 7, 8], [1, 1, 1, 1]])
    assert response_mask(rows, EOS).tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]]


def test_pruned_model_is_the_full_one_renormalized(tiny, fresh_tiny):
    full, _ = tiny
    kept = np.unique(np.concatenate([np.arange(4), np.arange(7, 155, 3)]))
    pruned = prune(fresh_tiny, kept)
    rows = tokens_of(3, 9, vocabulary=len(kept))
    original = torch.from_numpy(kept)[rows]
    expected = F.log_softmax(full(input_ids=original).logits[..., kept], dim=-1)
    found = F.log_softmax(pruned(input_ids=rows).logits, dim=-1)
    torch.testing.assert_close(found, expected, **CLOSE)
    assert pruned.lm_head.weight.data_ptr() == pruned.model.embed_tokens.weight.data_ptr()


@pytest.mark.parametrize("block", BLOCKS)
def test_token_kl_is_the_definition_and_zero_on_itself(monkeypatch, block):
    monkeypatch.setattr(logprobs, "CPU_BLOCK", block)
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(60, 8, generator=generator)
    policy, reference = torch.randn(2, 30, 8, generator=generator)
    targets = torch.randint(60, (30,), generator=generator)
    p, q = (torch.distributions.Categorical(logits=h @ weight.T) for h in (policy, reference))
    kl, ratio = token_kl(weight, policy, reference, targets)
    torch.testing.assert_close(kl, torch.distributions.kl_divergence(p, q), **CLOSE)
    torch.testing.assert_close(ratio, p.log_prob(targets) - q.log_prob(targets), **CLOSE)
    assert token_kl(weight, policy, policy, targets)[0].abs().max() == 0


def test_a_text_longer_than_the_attention_window_is_refused(tiny):
    causal_lm, _ = tiny
    layout = Layout(prompt=100, new=60, branches=1)
    with pytest.raises(ValueError, match="attention window 128; generate fewer"):
        stem(causal_lm, tokens_of(1, 160), layout, 1)
