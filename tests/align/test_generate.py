"""Sampling: the right distribution, the same with a cache as without."""

import torch
from scipy.stats import chisquare

from madpo_theory.align.generate import generate, sample

NEVER = -1  # an end token that is never drawn


def prompts_of(tiny, rows=3, length=6):
    return torch.randint(4, 150, (rows, length), generator=torch.Generator().manual_seed(1))


def drawn(causal_lm, prompts, seed=0, eos=NEVER, **settings):
    generator = torch.Generator().manual_seed(seed)
    return generate(
        causal_lm, prompts, eos=eos, generator=generator, **({"new_tokens": 10} | settings)
    )


def test_cache_equals_recomputation(tiny):
    causal_lm, _ = tiny
    prompts = prompts_of(tiny)
    found = drawn(causal_lm, prompts)[:, 0]
    uniform = torch.rand(3, 10, generator=torch.Generator().manual_seed(0))
    rows = prompts
    for step in range(10):
        logits = causal_lm(input_ids=rows).logits[:, -1]
        rows = torch.cat([rows, sample(logits, uniform[:, step])[:, None]], dim=1)
    assert torch.equal(found, rows[:, 6:])


def test_samples_of_a_prompt_differ_and_follow_the_generator(tiny):
    causal_lm, _ = tiny
    prompts = prompts_of(tiny)
    first = drawn(causal_lm, prompts, samples=2)
    assert first.shape == (3, 2, 10)
    assert not torch.equal(first[:, 0], first[:, 1])
    assert torch.equal(first, drawn(causal_lm, prompts, samples=2))
    assert not torch.equal(first, drawn(causal_lm, prompts, seed=1, samples=2))


def test_temperatures_divide_the_logits(tiny):
    """At 1 nothing changes, next to 0 the likeliest token is drawn, whatever stands beside it."""
    causal_lm, _ = tiny
    prompts = prompts_of(tiny)
    plain = drawn(causal_lm, prompts, samples=3)
    assert torch.equal(plain, drawn(causal_lm, prompts, samples=3, temperatures=(1.0,) * 3))
    found = drawn(causal_lm, prompts, samples=3, temperatures=(1.0, 1e-4, 1.0))
    assert torch.equal(found[:, ::2], plain[:, ::2])
    rows = prompts
    for _ in range(10):
        likeliest = causal_lm(input_ids=rows).logits[:, -1].argmax(-1, keepdim=True)
        rows = torch.cat([rows, likeliest], dim=1)
    assert torch.equal(found[:, 1], rows[:, 6:])


def test_nothing_follows_the_end_token(tiny):
    causal_lm, _ = tiny
    prompts = prompts_of(tiny)
    free = drawn(causal_lm, prompts)[:, 0]
    eos = int(free[0, 4])
    ended = drawn(causal_lm, prompts, eos=eos)[:, 0]
    for row, plain in zip(ended, free, strict=True):
        at = (plain == eos).nonzero()
        stop = int(at[0]) if len(at) else len(plain)
        assert torch.equal(row[:stop], plain[:stop])
        assert (row[stop:] == eos).all()


def test_sampler_draws_from_the_softmax():
    generator = torch.Generator().manual_seed(0)
    logits = torch.tensor([0.0, 2.0, -1.0, float("-inf"), 1.0, -30.0])
    uniform = torch.rand(60_000, generator=generator)
    ids = sample(logits.expand(60_000, -1), uniform)
    counts = torch.bincount(ids, minlength=6).double()
    expected = torch.softmax(logits.double(), 0) * 60_000
    assert counts[3] == 0
    assert counts[5] == 0
    likely = expected > 5
    scaled = expected[likely] * counts.sum() / expected[likely].sum()
    assert chisquare(counts[likely].numpy(), scaled.numpy()).pvalue > 0.001


def test_sampler_stays_inside_the_vocabulary():
    logits = torch.zeros(3, 1000)
    uniform = torch.tensor([0.0, 0.5, 1 - 2**-24])
    assert sample(logits, uniform).tolist()[0] == 0
    assert sample(logits, uniform).max() <= 999
    impossible_first = torch.tensor([[float("-inf"), 0.0]])
    assert sample(impossible_first, torch.zeros(1)).item() == 1
