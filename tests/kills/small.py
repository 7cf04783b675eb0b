"""What the long commands are given to do when they are killed: little, of each kind that they do.

The code is the library's; what is small is the number of claims, figures, runs, rows and worlds.
"""

import json
import time
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np

STUDY = EntryPoint("small", "small", "madpo_theory.studies")
FIGURES = ("pair_risk", "reward_kl")


@dataclass(frozen=True)
class Setting:
    """One part of the study `small`."""

    number: int


def study():
    """Study: twelve parts, each with a moment's work in a worker process."""
    from madpo_theory.simulate.study import Study

    settings = tuple(Setting(number) for number in range(12))
    return Study("small", settings, measure, predictions=(), reading=lambda table: f"{len(table)}")


def measure(setting, indices, seed, device):
    """Weights of drawn margins, summed: the same for the same seed."""
    from madpo_theory import MarginSchedule, weight

    rng = np.random.default_rng([seed, setting.number, *indices])
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    total = weight(rng.normal(size=1000), MarginSchedule.released()).sum()
    return {"world": list(indices), "total": [float(total)] * len(indices),
            "converged": [True] * len(indices)}  # fmt: skip


def drawn(table):
    """What its figure shows."""
    return {"total": table["total"].tolist()}


def draw(table):
    """Its figure."""
    from matplotlib.figure import Figure

    figure = Figure()
    figure.add_subplot().plot(table["total"])
    return figure


def make_studies_small():
    """One study alone is registered: the one above, and its figure."""
    from madpo_theory import extensions

    extensions.STUDIES.__dict__["_entries"] = {"small": STUDY}
    extensions.FIGURES.__dict__["_entries"] = {"study_small": STUDY}


def make_experiment_small():
    """The preset smoke is one method on a few reviews; the recorded study two such runs."""
    from madpo_theory.experiments import sentiment
    from madpo_theory.experiments.sentiment import study

    full = sentiment.PRESETS["smoke"]
    sentiment.PRESETS["smoke"] = small = replace(
        full,
        data=replace(
            full.data,
            sft=(18_000, 18_100), prompts=(0, 100), held_out=(6_000, 6_050),
            evaluation=(7_000, 7_050), scorer_negative=(8_000, 8_060),
            scorer_positive=(12_600, 12_660), scorer_test_negative=(12_050, 12_090),
            scorer_test_positive=(17_050, 17_090),
        ),
        generate=replace(full.generate, new_tokens=6, pairs=16, held_out_pairs=8, batch_size=8),
        align=replace(full.align, methods=("madpo",)),
        evaluate=replace(full.evaluate, prompts=16, resamples=100),
    )  # fmt: skip
    study.STUDY = study.headline("high", 0, small)[:2]
    study.commit = lambda: None


def make_ledger_small():
    """The ledger is of one claim, with three kinds of evidence; the figures are two."""
    from madpo_theory import claims, extensions
    from madpo_theory.show import figures

    claims.CLAIMS = claims.select(("RM1",))
    entries = extensions.FIGURES._entries
    extensions.FIGURES.__dict__["_entries"] = {name: entries[name] for name in FIGURES}
    figures.figures.cache_clear()


def make_training():
    """Beside the folder: a tiny policy and judge, pairs, what is asked for, two finished runs."""
    if Path("../run.yaml").exists():
        return
    from reward_folders import reward_folder
    from trl_trainers import PAIRS, tiny_policy

    for part in tiny_policy():
        part.save_pretrained("../policy")
    reward_folder("../judge", [pair["prompt"] + pair["chosen"] for pair in PAIRS])
    rows = [pair | {"prompt": f"{pair['prompt']} {k} "} for k in range(200) for pair in PAIRS]
    texts = [{name: row[name] for name in ("prompt", "chosen", "rejected")} for row in rows]
    for name, some in (("texts", texts), ("margins", rows[:24])):
        Path(f"../{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    asked = {
        "pairs": "../margins.jsonl", "model_name_or_path": "../policy", "reward_model": "../judge",
        "output_dir": "out", "method": "madpo", "baseline": True, "held_out": 0.4,
        "kl_prompts": 5, "kl_tokens": 6, "learning_rate": 1e-3, "max_steps": 4, "save_steps": 2,
        "save_total_limit": 1, "per_device_train_batch_size": 4, "report_to": "none",
        "gradient_checkpointing": False,
    }  # fmt: skip
    for number, run in enumerate(("one", "two")):
        row = {"method": "dpo", "label": run, "beta": 0.1, "reward_model": "../judge",
               "reward_error": 0.1, "reference_reward": 0.0, "reference_error": 0.1,
               "kl_error": 0.1, "kl": 1.0 + number, "reward": 2.0 + number}  # fmt: skip
        Path(f"../{run}").mkdir()
        Path(f"../{run}/evaluation.json").write_text(json.dumps(row))
    Path("../run.yaml").write_text(json.dumps(asked))  # which is YAML, too
