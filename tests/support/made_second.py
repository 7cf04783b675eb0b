"""Made tables of the second study, whose answers are known: nothing of it was measured."""

import json
import math

import numpy as np
import pandas

from madpo_theory.align.store import canonical
from madpo_theory.experiments.sentiment.second import ARMS, DECODED, study
from madpo_theory.experiments.sentiment.second import spots as spots_of
from madpo_theory.experiments.sentiment.study import Tables, run_id

PROMPTS, PAIRS = 80, 60


def curve(kl):
    """DPO's reward at a KL."""
    return 1.0 + 0.8 * np.log(kl / 4)


def beta_of(name):
    return float(name.removesuffix(" noise").split()[1])


def made(kl_of, gain_of, *, displaced=None, until=None, noise=0.02, seed=0):
    """Tables of the first `until` runs of a card, at the size cpu.

    Parameters
    ----------
    kl_of, gain_of : an arm's name -> its KL, and its reward above DPO's at that KL.
    displaced : (arm, KL) -> log-ratios of chosen and rejected responses.
    noise : standard deviation of a cell's reward beside what all arms share there.
    """
    rng = np.random.default_rng(seed)
    displaced = displaced or (lambda arm, kl: (-kl + 1, -kl - 1))
    shared, rows, prompts, texts, responses = {}, [], [], [], []
    spots = spots_of()

    def evaluated(run, reward, kl, cell):
        values = shared.setdefault(cell, 0.5 * rng.normal(size=PROMPTS))
        reward = reward + values - values.mean() + 0.05 * rng.normal(size=PROMPTS)
        columns = {"run": run, "prompt": range(PROMPTS)}
        prompts.append(pandas.DataFrame(columns | {"reward": reward, "kl": kl, "kl_mc": kl}))
        for at in DECODED:
            texts.append(pandas.DataFrame(columns | {
                "temperature": at, "reward": reward, "length": 32, "degenerate": False,
            }))  # fmt: skip

    at = {(spots[name].arm, spots[name].cell): name for name in map(run_id, study("cpu"))}
    balanced = [spots[run_id(config)] for config in study("card")]
    for name in [at[spot.arm, spot.cell] for spot in balanced][:until]:
        spot = spots[name]
        kl = kl_of(spot.arm)
        reward = float(curve(kl)) + gain_of(spot.arm) + noise * rng.normal()
        if spot.cell not in shared:
            evaluated(f"sft-{spot.tier}-{spot.seed}", 0.0, 0.0, spot.cell)
        evaluated(name, reward, kl, spot.cell)
        rows.append({"run": name, "tier": spot.tier, "seed": spot.seed, "kl": kl,
                     "method": ARMS[spot.arm].method, "reward": reward})  # fmt: skip
        change = displaced(spot.arm, kl)
        for split in ("train", "held_out"):
            both = {
                f"policy_{which}": -100.0 + value + 0.3 * rng.normal(size=PAIRS)
                for which, value in zip(("chosen", "rejected"), change, strict=True)
            }
            responses.append(pandas.DataFrame(
                {"run": name, "pair": range(PAIRS), "split": split, "reference_chosen": -100.0,
                 "reference_rejected": -100.0} | both
            ))  # fmt: skip
    h = rng.normal(1.0, 1.0, size=200)
    pairs = pandas.DataFrame({"tier": "high", "seed": 0, "label_noise": 0.0, "pair": range(200),
                              "split": "train", "true_margin": h, "model_margin": h})  # fmt: skip
    steps = pandas.DataFrame({"run": ["none"], "step": [0]})
    concat = pandas.concat
    return Tables(pandas.DataFrame(rows), concat(prompts), pairs, steps, concat(texts),
                  concat(responses))  # fmt: skip


def kl_of_theory(arm):
    """KL falls with beta less and less; MADPO goes a part of the way to beta/c_max."""
    plain = arm.removesuffix(" noise")
    less = math.exp(-0.4) if arm.endswith(" noise") else 1.0
    if plain.startswith("dpo ") and plain != "dpo nll":
        x = -math.log2(beta_of(plain) / 0.1)  # -2 at 0.4, 3 at 0.0125
        return less * 4.0 * 2 ** (0.9 * x - 0.06 * x * x)
    logs = {"madpo": 0.28, "offset": 0.6, "madpo 2": 0.15, "sigma": 0.15, "rdpo": 0.2, "cdpo": -0.2,
            "madpo noisy 4": -0.3, "offset noisy 4": 0.1, "madpo flipped 0.5": -0.2}  # fmt: skip
    return less * 4.0 * math.exp(logs.get(plain, 0.1))


def theory(**options):
    """The study if every prediction is right."""

    def displaced(arm, kl):
        ratio = 2.0 if arm == "dpo 0.0125" else 1.0
        lift = {"dpo nll": 2.0, "cal_dpo": 3.0}.get(arm, 0.0)
        return -ratio * kl + 1 + lift, -ratio * kl - 1 + lift

    gain = {"simpo": -0.2, "madpo exact noise": 0.5, "offset exact noise": 0.6}
    return made(kl_of_theory, lambda arm: gain.get(arm, 0.0), displaced=displaced, **options)


def rival(**options):
    """The study if weights act beyond temperature and training raises what is chosen."""

    def gain(arm):
        if arm.startswith("dpo ") and arm != "dpo nll":
            return 0.0
        own = {"madpo": 0.6, "madpo 2": 0.45, "madpo safe": 1.2, "offset": 0.3, "simpo": 0.3,
               "madpo noise": 0.6, "offset noise": 0.2, "madpo noisy 4": 0.2,
               "madpo exact noise": 0.05, "offset exact noise": -0.4}  # fmt: skip
        return own.get(arm, 0.5)

    def kl(arm):
        if arm.startswith("dpo ") and arm != "dpo nll":
            plain = arm.removesuffix(" noise")
            return 4.0 * (0.1 / beta_of(plain)) ** 2
        logs = {"madpo": 2 * math.log(4), "madpo 2": 2 * math.log(2), "sigma": 2 * math.log(2),
                "madpo noisy 4": 0.4, "offset noisy 4": 0.4, "madpo flipped 0.5": 0.4,
                "offset": 0.0}  # fmt: skip
        return 4.0 * math.exp(logs.get(arm.removesuffix(" noise"), 0.0))

    def displaced(arm, kl):
        return (2.0 if arm != "madpo" else 3.0), (-2.0 if arm != "madpo" else -3.0)

    return made(kl, gain, displaced=displaced, **options)


def write(folder, tables):
    """The tables as a results folder."""
    known = {run_id(config): json.loads(canonical(config)) for config in study("cpu")}
    configs = {run: known[run] for run in tables.summary["run"]}
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("summary", "prompts", "pairs", "steps", "texts", "responses"):
        getattr(tables, name).to_parquet(folder / f"{name}.parquet", index=False)
    env = {
        run: {"commit": "made", "seconds": 36.0, "dtype": "bfloat16"}
        for run in tables.summary["run"]
    }
    (folder / "env.json").write_text(json.dumps(env))
    (folder / "config.json").write_text(json.dumps(configs))
    return folder
