"""The experiment's result: one row a method, the details behind it, and reading them back."""

import math
from dataclasses import dataclass
from pathlib import Path

from ..methods import settings_of
from .extras import optional
from .store import Run, RunError, seconds, stage

__all__ = ["SentimentResult", "experiment", "load_result"]

COLUMNS = (
    "tier method beta c_max tau seed reward reward_lo reward_hi gain gain_lo gain_hi kl kl_lo "
    "kl_hi kl_mc accuracy_observed accuracy_true pairs steps seconds"
).split()
MEASURED = ("texts", "responses")
"""Tables of the measure stage."""


@dataclass(frozen=True)
class SentimentResult:
    """A finished experiment."""

    path: Path
    """Its run folder."""
    summary: object
    """pandas.DataFrame, one row a method, `sft` first."""
    details: dict
    """Quality of the scorer and reward model, perplexities, weights, counts, number format."""
    prompts: object
    """pandas.DataFrame, one row a method and evaluation prompt: reward, kl, kl_mc."""
    steps: object
    """pandas.DataFrame, one row a method and update: loss, gradient norm, margins."""
    texts: object = None
    """pandas.DataFrame, one row a method, temperature and evaluation prompt: reward, length,
    degenerate; None where the evaluation has no temperatures but 1."""
    responses: object = None
    """pandas.DataFrame, one row a method and pair: log-probabilities of both responses under policy
    and reference; None the same."""

    @property
    def run(self):
        """Its run folder, for the tables in it."""
        return Run(self.path)


def load_result(path):
    """Read a finished experiment back; a missing, damaged or incomplete one is a RunError."""
    run = Run(Path(path))
    if not run.check():
        raise RunError(f"{path} is not a finished experiment: run madpo sentiment to finish it")
    summary = run.read_table("summary.parquet")
    missing = [name for name in COLUMNS if name not in summary.columns]
    if missing:
        raise run.damaged("summary.parquet", f"the columns {missing}", f"{list(summary.columns)}")
    return SentimentResult(
        run.path,
        summary,
        run.read_json("details.json"),
        run.read_table("prompts.parquet"),
        run.read_table("steps.parquet"),
        *(run.read_table(f"{name}.parquet") for name in MEASURED if run.has(f"{name}.parquet")),
    )


def row_of(method, seed, samples, baseline, held_out, generator_of, evaluation):
    """One row of the summary, from the tables of an evaluation stage."""
    from ..theory.bootstrap import bootstrap_mean

    def interval(name, values):
        mean, low, high = bootstrap_mean(
            values,
            generator=generator_of(),
            resamples=evaluation.resamples,
            level=evaluation.level,
        )
        return {name: mean, f"{name}_lo": low, f"{name}_hi": high}

    row = {"method": "sft", "beta": math.nan, "c_max": math.nan, "tau": math.nan, "seed": seed}
    if method is not None:
        settings = settings_of(method.method)
        row |= {k: settings[k] for k in ("beta", "c_max", "tau") if k in settings}
        row["method"] = method.name
    row |= interval("reward", samples["reward"])
    row |= interval("gain", samples["reward"] - baseline["reward"])
    row |= interval("kl", samples["kl"]) | {"kl_mc": float(samples["kl_mc"].mean())}
    row |= {"accuracy_observed": math.nan, "accuracy_true": math.nan}
    if held_out is not None:
        observed = held_out["margin"] > 0
        row["accuracy_observed"] = float(observed.mean())
        row["accuracy_true"] = float((observed == (held_out["true_margin"] > 0)).mean())
    return row


def pair_table(pairs, reference, reward_model):
    """Every pair with its texts, rewards, label, margins and reference log-probabilities."""
    table = pairs.read_table("pairs.parquet")
    logps = reference.read_tensors("reference.safetensors")["logps"].double().numpy()
    margin = reward_model.read_tensors("margins.safetensors")["margin"].double().numpy()
    return table.assign(
        model_margin=margin, reference_first=logps[:, 0], reference_second=logps[:, 1]
    )


def details_of(config, table, data, scorer, model, sft, reward_model, precision):
    """What stands behind the table of methods."""
    train = table[table["split"] == "train"]
    margin = train["model_margin"].to_numpy()
    details = {
        "preset": config["preset"],
        "reviews": data.read_table("reviews.parquet")["block"].value_counts().to_dict(),
        "scorer": scorer.read_json("quality.json"),
        "vocabulary": model.read_json("vocabulary.json"),
        "perplexity": {
            "before": sft.read_json("before.json")["perplexity"],
            "after": sft.read_json("after.json")["perplexity"],
        },
        "reward_model": reward_model.read_json("quality.json"),
        "precision": precision.read_json("precision.json"),
        "pairs": {
            "train": len(train),
            "held_out": len(table) - len(train),
            "label_agrees_with_reward": float((train["true_margin"] > 0).mean()),
            "true_margin_std": float(train["true_margin"].std()),
            "margin_correlation": float(train["true_margin"].corr(train["model_margin"])),
        },
    }
    for method in config["methods"]:
        weighting = method.method.slot_weighting
        if weighting is not None:
            from ..weights import weight
            from .statistics import weight_statistics

            # Of the reward model's own margins, whatever errors the method was given on top.
            weights = weight(margin, weighting)
            details.setdefault("weights", {})[method.name] = weight_statistics(margin, weights)
    return details


@stage
def experiment(
    run,
    config,
    data,
    scorer,
    model,
    sft,
    pairs,
    reference,
    reward_model,
    precision,
    baseline,
    *policies,
):
    """Stage: the tables. `policies` alternate: an alignment run, then its evaluation run.

    Behind them, if anything was measured, the measure runs of the reference and of each policy.
    """
    pandas = optional("pandas")
    from .randomness import numpy_generator

    table = pair_table(pairs, reference, reward_model)
    run.write_table("pairs.parquet", table)
    details = details_of(config, table, data, scorer, model, sft, reward_model, precision)
    run.write_json("details.json", details)

    def add(method, evaluated, trained=None):
        samples = evaluated.read_table("samples.parquet")
        columns = samples[["reward", "kl", "kl_mc"]].rename_axis("prompt").reset_index()
        prompts.append(columns.assign(method=method.name if method else "sft"))
        row = row_of(
            method,
            config["seed"],
            samples,
            baseline.read_table("samples.parquet"),
            evaluated.read_table("held_out.parquet") if trained else None,
            lambda: numpy_generator(config["seed"], "bootstrap"),
            config["evaluate"],
        )
        log = pandas.read_json((trained or sft).path / "metrics.jsonl", lines=True)
        if trained:
            steps.append(log.assign(method=method.name))
        row["tier"] = config["tier"]
        row["pairs"] = details["pairs"]["train"] if trained else 0
        row["steps"] = len(log)
        row["seconds"] = seconds(trained or sft) + seconds(evaluated)
        rows.append(row)

    rows, prompts, steps = [], [], []
    add(None, baseline)
    count = len(config["methods"])
    trained, evaluated = policies[: 2 * count : 2], policies[1 : 2 * count : 2]
    for method, *both in zip(config["methods"], evaluated, trained, strict=True):
        add(method, *both)
    summary = pandas.DataFrame(rows)[list(COLUMNS)]
    run.write_table("steps.parquet", pandas.concat(steps, ignore_index=True))
    run.write_table("prompts.parquet", pandas.concat(prompts, ignore_index=True))
    measured = policies[2 * count :]
    for name in MEASURED if measured else ():
        found = [
            part.read_table(f"{name}.parquet").assign(method=row["method"])
            for row, part in zip(rows, measured, strict=True)
            if part.has(f"{name}.parquet")
        ]
        run.write_table(f"{name}.parquet", pandas.concat(found, ignore_index=True))
    run.write_table("summary.parquet", summary)
