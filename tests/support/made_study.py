"""A made sentiment study, whose answers are known: nothing of it was measured."""

import json
import math

import numpy as np
import pandas

from madpo_theory.align.config import TIERS
from madpo_theory.experiments.sentiment.predictions import judged
from madpo_theory.experiments.sentiment.study import NAMES, STUDY, Tables, run_id

PROMPTS = 64
REWARD = {"dpo": 1.0, "dpo_matched": 1.4, "madpo": 1.3, "ipo": 0.8, "beta_dpo": 1.1}
KL = {"dpo": 4.0, "dpo_matched": 8.0, "madpo": 6.0, "ipo": 3.0, "beta_dpo": 5.0}


def made(spread=0.5):
    """Tables of the whole study: rewards and KL of the above, plus noise that prompts share."""
    rng = np.random.default_rng(0)
    summary, prompts, steps, pairs = [], [], [], []
    shared = {cell: spread * rng.normal(size=PROMPTS) for cell in
              [(tier, seed) for tier in TIERS for seed in range(3)]}  # fmt: skip

    def evaluated(run, cell, reward, kl):
        values = shared[cell] - shared[cell].mean()
        prompts.append(
            pandas.DataFrame(
                {
                    "run": run,
                    "prompt": range(PROMPTS),
                    "reward": reward + values,
                    "kl": kl + 0 * values,
                    "kl_mc": kl,
                }
            )
        )

    for cell in shared:
        evaluated("sft-{}-{}".format(*cell), cell, 0.0, 0.0)
        h = rng.normal(size=200)
        pairs.append(
            pandas.DataFrame(
                {
                    "pair": range(200),
                    "split": "train",
                    "first_chosen": True,
                    "review_rejected": False,
                    "true_margin": h,
                    "model_margin": h,
                    "tier": cell[0],
                    "seed": cell[1],
                }
            )
        )
    for config in STUDY:
        (method,), align = config.align.methods, config.align
        name = run_id(config)
        schedule = method not in ("dpo", "dpo_matched", "ipo", "beta_dpo") and "dpo_" not in method
        reward, kl = REWARD.get(method, 1.2), KL.get(method, 5.0)
        beta = align.beta / align.c_max if method == "dpo_matched" else align.beta
        if method == "dpo":  # the straight line of dpo and dpo_matched, that is 0.1 a nat from 4 on
            kl = {0.1: 4.0, 0.05: 6.0, 0.0125: 10.0}[align.beta]
            reward = 1.0 + 0.1 * (kl - 4.0)
        summary.append({"run": name, "tier": config.tier, "seed": config.seed, "method": method,
                        "beta": beta, "c_max": align.c_max if schedule else math.nan,
                        "tau": align.tau if schedule else math.nan, "reward": reward, "kl": kl,
                        "disturbance": align.margins.disturbance,
                        "level": align.margins.level})  # fmt: skip
        evaluated(name, (config.tier, config.seed), reward, kl)
        steps.append(
            pandas.DataFrame(
                {
                    "run": name,
                    "step": range(20),
                    "margin": 2.0,
                    "batch_beta": 0.1,
                    "unclamped_beta": [-0.1] * 5 + [0.1] * 15,
                }
            )
        )
    return Tables(pandas.DataFrame(summary), *map(pandas.concat, (prompts, pairs, steps)))


def write(folder, tables):
    """The tables as a results folder, judged."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        getattr(tables, name).to_parquet(folder / f"{name}.parquet", index=False)
    env = {run: {"commit": "made", "seconds": 36.0} for run in tables.summary["run"]}
    (folder / "env.json").write_text(json.dumps(env))
    judged(folder)
    return folder
