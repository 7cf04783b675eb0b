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
def _tiny_models_run_on(one_thread):
    yield


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


@pytest.fixture(scope="session")
def few_rows():
    """A DataConfig of a table with a hundred rows or so of either kind; its user says which."""
    from madpo_theory.align.config import DataConfig

    return DataConfig(
        prompts=(0, 40),
        held_out=(0, 0),
        evaluation=(40, 70),
        scorer_negative=(0, 0),
        scorer_positive=(0, 0),
        scorer_test_negative=(70, 100),
    )
