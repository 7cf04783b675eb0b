"""A second task, of another shape: summaries of documents, judged by the words they share."""

from dataclasses import replace

import numpy as np
import pandas
import pytest

from madpo_theory.align.config import ScorerConfig
from madpo_theory.align.tasks import TASKS, Task, register, task_of
from madpo_theory.experiments.sentiment import PRESETS, run

SUBJECTS = ("the river", "a small town", "the old king", "one sailor", "the market", "a long war")
VERBS = ("lost", "found", "built", "sold", "forgot", "painted")
OBJECTS = ("its bridge", "a golden ship", "the first map", "an empty house", "seven horses")


def documents(config):
    """Documents that end in TL;DR:, with a good (1) or an unrelated (0) summary."""
    generator = np.random.default_rng(0)

    def sentence():
        return " ".join(generator.choice(words) for words in (SUBJECTS, VERBS, OBJECTS))

    rows = []
    for label in (0, 1):
        for _ in range(150):
            said = [sentence() for _ in range(6)]
            summary = said[0] if label else sentence()
            rows.append((". ".join(said) + ". TL;DR:", f"{summary}.", label))
    return pandas.DataFrame(rows, columns=["prompt", "text", "label"])


def shared_words(prompts, responses):
    """Share of a response's words that its document has, from -1 (none) to 1 (all)."""
    values = []
    for prompt, response in zip(prompts, responses, strict=True):
        words = response.lower().split()
        known = set(prompt.lower().replace(".", " ").split())
        values.append(2 * np.mean([w.strip(".") in known for w in words]) - 1 if words else -1.0)
    return values


@pytest.fixture(scope="module", autouse=True)
def summaries():
    register(Task("summaries", documents, shared_words))
    yield
    del TASKS["summaries"]


@pytest.fixture(scope="module")
def config(few_rows):
    smoke = PRESETS["smoke"]
    return replace(
        smoke,
        tier="low",
        data=replace(
            few_rows,
            task="summaries",
            sft=(150, 250),
            scorer_test_positive=(250, 300),
            min_words=5,
        ),
        scorer=ScorerConfig(kind="task"),
        generate=replace(smoke.generate, prompt_tokens=24),
        align=replace(smoke.align, methods=("dpo", "madpo")),
        evaluate=replace(smoke.evaluate, prompts=16, resamples=200),
    )


@pytest.mark.slow
def test_the_whole_experiment_runs_on_another_task(config, tmp_path):
    result = run(config, tmp_path)
    assert list(result.summary["method"]) == ["sft", "dpo", "madpo"]
    assert result.summary["reward"].between(-1, 1).all()
    assert result.details["scorer"]["auc"] > 0.8  # good summaries share more words
    pairs = result.run.read_table("pairs.parquet")
    assert pairs["prompt"].str.endswith("TL;DR:").all()
    # Low tier: the rejected side is the document's own unrelated summary, cut to the response.
    own = set(documents(None)["text"].str[:7])
    rejected = pairs["second"].where(pairs["first_chosen"], pairs["first"])
    cut = [text[len(prompt) :] for text, prompt in zip(rejected, pairs["prompt"], strict=True)]
    assert all(text[1:8] in own for text in cut)
    expected = shared_words(
        pairs["prompt"], [t[len(p) :] for t, p in zip(rejected, pairs["prompt"], strict=True)]
    )
    found = pairs["reward_second"].where(pairs["first_chosen"], pairs["reward_first"])
    np.testing.assert_allclose(found, expected)


def test_a_task_has_its_own_runs(config):
    from madpo_theory.align.store import key_of

    data = config.data
    assert key_of("data", data) != key_of("data", replace(data, task="sentiment"))


def test_an_unknown_task_lists_the_known():
    with pytest.raises(ValueError, match=r"data\.task = 'poems' is none of .*'sentiment'"):
        task_of("poems")


def test_a_name_is_given_once():
    with pytest.raises(ValueError, match="'summaries' is registered already"):
        register(Task("summaries", documents))


@pytest.mark.parametrize("bad", [[1.0], [float("nan")] * 3, [[1.0]] * 3])
def test_a_reward_that_is_no_number_a_text_is_refused(bad, tmp_path):
    from madpo_theory.align.scorer import task_reward
    from madpo_theory.align.store import Run

    register(Task("broken", documents, lambda prompts, responses: bad))
    try:
        run = Run(tmp_path)
        run.write_json("scorer.json", {"kind": "task", "task": "broken"})
        with pytest.raises(ValueError, match=r"'broken' gave .* one finite number for each of 3"):
            task_reward(run, ["a"] * 3, ["b"] * 3)
    finally:
        del TASKS["broken"]
