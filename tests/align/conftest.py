"""A tiny random Gemma and a small vocabulary, shared by the tests of the training path."""

import pytest

pytest.importorskip("transformers", reason="needs madpo-theory[sentiment]")
pytest.importorskip("peft", reason="needs madpo-theory[sentiment]")

TEXTS = [
    f"A {kind} film about a {thing}, {verdict} from its first scene to the last one."
    for kind in ("slow", "loud", "clever", "long", "gloomy", "bright")
    for thing in ("detective", "family", "ship", "dog", "war", "journalist", "kingdom")
    for verdict in ("wonderful", "dreadful", "moving", "dull", "thrilling", "unforgettable")
]


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tiny models gain nothing from threads, and lose much where other work shares the cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny():
    """(causal_lm, tokenizer): two random layers, frozen; never change it in place."""
    from madpo_theory.align.policy import tiny_gemma

    causal_lm, tokenizer = tiny_gemma(TEXTS, seed=0)
    return causal_lm.eval().requires_grad_(False), tokenizer


@pytest.fixture
def fresh_tiny():
    """A copy that a test may change."""
    from madpo_theory.align.policy import tiny_gemma

    causal_lm, _ = tiny_gemma(TEXTS, seed=0)
    return causal_lm.eval().requires_grad_(False)
