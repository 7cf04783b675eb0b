"""The sentiment experiment: MADPO and its baselines steer a language model's reviews to praise.

Every line of :func:`prepare` and :func:`run` is one stage with its own folder under the root:
finished stages are read back, an interrupted one goes on where it was. Published setting: arXiv
2510.05342, v1.
"""

from dataclasses import replace
from pathlib import Path

from madpo_theory.align.config import (
    AlignConfig,
    DataConfig,
    EvaluateConfig,
    GenerateConfig,
    ModelConfig,
    PrecisionConfig,
    ScorerConfig,
    SentimentConfig,
    TrainConfig,
)
from madpo_theory.align.methods import methods_of
from madpo_theory.align.summary import SentimentResult, load_result

__all__ = ["PRESETS", "SentimentConfig", "SentimentResult", "load_result", "run"]

_SMOKE = TrainConfig(batch_size=4, checkpoint_every=2)
_PAPER = TrainConfig(
    epochs=2,
    batch_size=16,
    accumulation=2,
    lr=1e-5,
    warmup=0.03,
    decay="cosine",
    checkpoint_every=20,
)

PRESETS = {
    "cpu": SentimentConfig(),
    "smoke": SentimentConfig(
        precision=PrecisionConfig(device="cpu", dtype="float32"),
        data=DataConfig(
            sft=(18_000, 18_100),
            prompts=(0, 100),
            held_out=(6_000, 6_050),
            evaluation=(7_000, 7_050),
            scorer_negative=(8_000, 8_300),
            scorer_positive=(12_600, 12_900),
            scorer_test_negative=(12_050, 12_150),
            scorer_test_positive=(17_050, 17_150),
        ),
        scorer=ScorerConfig(kind="tfidf"),
        model=ModelConfig(source="tiny", min_count=2, first_adapted_layer=1, rank=4, alpha=8),
        generate=GenerateConfig(
            prompt_tokens=8, new_tokens=12, pairs=32, held_out_pairs=16, batch_size=16
        ),
        sft_examples=16,
        sft=_SMOKE,
        reward=_SMOKE,
        align=AlignConfig(train=_SMOKE),
        evaluate=EvaluateConfig(prompts=32, resamples=1_000),
    ),
    "card": SentimentConfig(  # one CUDA GPU of 80 GB, minutes
        precision=PrecisionConfig(dtype="bfloat16"),
        model=ModelConfig(min_count=0, first_adapted_layer=0),
        generate=GenerateConfig(new_tokens=64, pairs=4_000, held_out_pairs=512, batch_size=512),
        reward=TrainConfig(batch_size=16, checkpoint_every=1_000),
        align=AlignConfig(train=TrainConfig(batch_size=32, lr=2e-4, checkpoint_every=1_000)),
        evaluate=EvaluateConfig(prompts=512, kl_dtype="float32"),
    ),
    "paper": SentimentConfig(
        data=DataConfig(
            source="stanfordnlp/imdb",
            prompts=(0, 10_080),
            held_out=(0, 0),
            evaluation=(10_110, 12_200),
            scorer_negative=(0, 0),
            scorer_positive=(0, 0),
            scorer_test_negative=(12_230, 12_500),
        ),
        scorer=ScorerConfig(kind="cardiffnlp/twitter-roberta-base-sentiment-latest"),
        model=ModelConfig(source="google/gemma-3-270m", min_count=0, first_adapted_layer=0),
        generate=GenerateConfig(
            prompt_tokens=20, new_tokens=176, pairs=10_000, held_out_pairs=2_000
        ),
        sft_examples=6_000,
        sft=replace(_PAPER, epochs=5, lr=2e-4, patience=3, validate_every=20),
        reward=replace(_PAPER, epochs=12, patience=3),
        align=AlignConfig(train=_PAPER),
        evaluate=EvaluateConfig(prompts=2_000, kl_dtype="float32"),
    ),
}


def preset_of(config):
    """Name of the preset that a configuration is, or "modified"."""
    return next((name for name, preset in PRESETS.items() if preset == config), "modified")


def prepare(config, root=Path("runs"), *, estimate=False):
    """What every seed, tier and method begin with: (precision, data, scorer, model, tokens)."""
    from madpo_theory.align.cost import cost
    from madpo_theory.align.data import data
    from madpo_theory.align.pairs import tokens
    from madpo_theory.align.policy import model
    from madpo_theory.align.precision import precision
    from madpo_theory.align.scorer import scorer

    count = {
        "sft_examples": config.sft_examples,
        "sft_held_out": 64,
        "evaluation": config.evaluate.prompts,
    }
    number = precision(root, config.precision)
    reviews = data(root, config.data)
    judge = scorer(root, {"scorer": config.scorer}, reviews, number)
    base = model(root, {"model": config.model}, reviews)
    if estimate:
        cost(root, {"whole": config}, base, number)
    ids = tokens(root, {"generate": config.generate} | count, reviews, base)
    return number, reviews, judge, base, ids


def run(config, root=Path("runs"), *, estimate=False):
    """Run the experiment, or what is left of it, and return its SentimentResult.

    With `estimate` a step of every kind is measured first, and the hours of the whole are said.
    """
    from madpo_theory.align.evaluate import evaluate
    from madpo_theory.align.measure import measure
    from madpo_theory.align.pairs import pairs, samples
    from madpo_theory.align.preference import align
    from madpo_theory.align.reward_model import reward_model
    from madpo_theory.align.sft import reference, sft
    from madpo_theory.align.summary import experiment

    c, seed, layers = config, {"seed": config.seed}, config.model.first_adapted_layer
    adapter = {"seed": config.seed, "model": config.model}
    judged = {"generate": c.generate, "layers": layers, "seed": config.seed}
    exact = {} if c.evaluate.kl_dtype == "model" else {"kl_dtype": c.evaluate.kl_dtype}
    methods = methods_of(c.align)

    number, reviews, judge, base, ids = prepare(c, root, estimate=estimate)
    tuned = sft(root, {"train": c.sft, "sft_examples": c.sft_examples} | adapter, ids, base, number)
    drawn = samples(root, {"generate": c.generate} | seed, ids, base, tuned, number)
    noise = {"label_noise": c.label_noise} if c.label_noise else {}
    labelled = pairs(root, {"tier": c.tier} | noise | seed, drawn, ids, base, judge, number)
    fixed = reference(root, {"layers": layers}, labelled, base, tuned, number)
    rewarded = reward_model(
        root, {"train": c.reward} | adapter, labelled, fixed, base, tuned, number
    )
    shared = (ids, base, tuned, judge, number)
    baseline = evaluate(root, judged | exact, *shared)
    policies, measured = [], []

    def more(evaluated, *policy):
        if c.evaluate.temperatures:
            settings = judged | {"temperatures": c.evaluate.temperatures}
            measured.append(measure(root, settings, evaluated, *shared, *policy))

    more(baseline)
    for method in methods:
        settings = {"method": method, "train": c.align.train} | adapter
        policy = align(root, settings, labelled, fixed, rewarded, base, tuned, number)
        evaluated = evaluate(root, judged | exact, *shared, policy, labelled, fixed)
        policies += [policy, evaluated]
        more(evaluated, policy, labelled, fixed)
    table = {
        "preset": preset_of(c),
        "methods": methods,
        "evaluate": c.evaluate,
        "tier": c.tier,
    } | seed
    parts = (reviews, judge, base, tuned, labelled, fixed, rewarded, number, baseline, *policies)
    parts += tuple(measured)
    return load_result(experiment(root, table, *parts).path)
