"""Tables of the sentiment study's figures, from a results folder."""

import math

import numpy as np

from madpo_theory import MarginSchedule
from madpo_theory.align.config import TIERS
from madpo_theory.align.extras import optional
from madpo_theory.diagnose import diagnose

from . import published
from .predictions import (
    TAU,
    beside,
    crossed,
    difference,
    drive,
    equal_kl,
    gap_of,
    judged_rows,
    per_prompt,
    pick,
    together,
    training,
    weights_of,
)
from .study import load_tables

__all__ = [
    "TABLES",
    "ablation",
    "between_seeds",
    "everything",
    "frontier",
    "full_scale",
    "overview",
    "predictions",
    "reading",
    "sensitivity",
    "tiers",
    "weights",
]

HEADLINE = ("dpo", "dpo_matched", "ipo", "beta_dpo", "madpo")
NONE = math.nan


def columns(rows):
    """Dicts of the same keys as a dict of arrays."""
    if not rows:
        raise ValueError("the results folder holds no run that this figure shows; record more")
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def mean_reward(tables, method, **where):
    """Reward over cells with its interval, and the number of runs: dict of columns."""
    values = together(tables, pick(tables, method, **where))
    found = crossed(values, lambda m: m[..., 0])
    return {"reward": found.value, "lo": found.low, "hi": found.high, "runs": len(values)}


def tiers(folder):
    """Mean reward by tier and method, over seeds, beside the published ones."""
    tables, rows = load_tables(folder), []
    for tier in TIERS:
        for method in HEADLINE:
            known = published.HEADLINE.get(method, {}).get(tier, NONE)
            row = {"tier": tier, "method": method, "published": known}
            rows.append(row | mean_reward(tables, method, tier=tier))
    return columns([row for row in rows if row["runs"]])


def ablation(folder):
    """Reward of either half of the published weight alone, and of both; tier high, one seed."""
    tables, rows = load_tables(folder), []
    for c_max, tau in ((2.0, 0.5), (4.0, TAU)):
        for method in ("dpo", "reg_only", "amp_only", "madpo"):
            schedule = {} if method == "dpo" else {"c_max": c_max, "tau": tau}
            known = published.ABLATION[c_max].get(method, {}).get("high", NONE)
            known = published.HEADLINE["dpo"]["high"] if method == "dpo" else known
            row = {"c_max": c_max, "tau": tau, "method": method, "published": known}
            rows.append(row | mean_reward(tables, method, tier="high", seed=0, **schedule))
    return columns([row for row in rows if row["runs"]])


def sensitivity(folder):
    """Reward of MADPO against c_max (tau log 999) and against tau (c_max 2); tier high, a seed."""
    tables, rows = load_tables(folder), []

    def add(panel, x, known, **schedule):
        row = {"panel": panel, "x": x, "published": known.get("high", NONE)}
        rows.append(row | mean_reward(tables, "madpo", tier="high", seed=0, **schedule))

    for c_max in (2.0, 3.0, 4.0):
        add("c_max", c_max, published.COEFFICIENT[c_max], c_max=c_max)
    for tau in (0.5, 2.0, 4.0, TAU, 10.0):
        known = published.THRESHOLD.get(7.0 if tau == TAU else tau, {})
        add("tau", tau, known, c_max=2.0, tau=tau)
    return columns([row for row in rows if row["runs"]])


def frontier(folder):
    """Reward and KL of every run with the reward model's own margins, and of the tuned model."""
    tables, rows = load_tables(folder), []
    shown = tables.summary.query("disturbance == 'none'")
    shown = shown[shown["c_max"].isna() | (np.isclose(shown["c_max"], 4.0))]
    for row in shown.itertuples():
        name = "dpo" if row.method == "dpo_matched" else row.method
        rows.append({"tier": row.tier, "seed": row.seed, "method": name, "beta": row.beta,
                     "reward": row.reward, "kl": row.kl})  # fmt: skip
    for tier, seed in shown[["tier", "seed"]].drop_duplicates().itertuples(index=False):
        reward = per_prompt(tables, f"sft-{tier}-{seed}")[:, 0].mean()
        rows.append({"tier": tier, "seed": seed, "method": "sft", "beta": NONE,
                     "reward": reward, "kl": 0.0})  # fmt: skip
    return columns(rows)


def weights(folder):
    """MADPO's weight (c_max 4) and margins of every training pair, by tier."""
    pairs = load_tables(folder).pairs.query("split == 'train'")
    return {
        "tier": pairs["tier"].to_numpy(),
        "right": (pairs["true_margin"] > 0).to_numpy(),
        "model_margin": pairs["model_margin"].to_numpy(),
        "weight": weights_of(pairs["model_margin"]),
    }


def predictions(folder):
    """Predicted and measured intervals; an end that is infinite is NaN."""
    rows = [
        {"id": row.id, "quantity": row.quantity, "verdict": row.verdict, "measured": row.measured,
         "lo": row.interval[0], "hi": row.interval[1],
         "from": row.predicted[0], "to": row.predicted[1]}
        for row in judged_rows(folder)
    ]  # fmt: skip
    table = columns(rows)
    for end in ("from", "to"):
        table[end] = np.where(np.isfinite(table[end]), table[end], NONE)
    return table


def overview(folder):
    """Reward and KL of the headline methods by tier, over seeds: a list of rows."""
    tables, rows = load_tables(folder), []
    for tier in TIERS:
        for method in HEADLINE:
            values = together(tables, pick(tables, method, tier=tier))
            if len(values):
                reward, divergence = (crossed(values, lambda m, c=c: m[..., c]) for c in (0, 1))
                known = published.HEADLINE.get(method, {}).get(tier)
                rows.append({"tier": tier, "method": method, "seeds": len(values),
                             "reward": reward, "kl": divergence, "published": known})  # fmt: skip
    return rows


SETTING = ["tier", "method", "beta", "c_max", "tau", "disturbance", "level"]


def everything(folder):
    """Reward, KL and reward at equal KL of every setting that was run, over its seeds: rows.

    `at_equal_kl` is None for DPO, which is what the others are compared with.
    """
    tables, rows = load_tables(folder), []
    order = {name: i for names in (TIERS, HEADLINE) for i, name in enumerate(names)}
    groups = tables.summary.sort_values("seed").groupby(SETTING, dropna=False)

    def place(group):
        tier, method, *_ = group[0]
        return order[tier], order.get(method, len(HEADLINE)), method

    for key, runs in sorted(groups, key=place):
        values = np.stack([per_prompt(tables, run) for run in runs["run"]])
        row = dict(zip(SETTING, key, strict=True)) | {"seeds": len(runs)}
        row |= {"reward": crossed(values, lambda m: m[..., 0])}
        row |= {"kl": crossed(values, lambda m: m[..., 1])}
        is_dpo = row["method"] in ("dpo", "dpo_matched")
        rows.append(row | {"at_equal_kl": None if is_dpo else gap_of(tables, runs)})
    return rows


def full_scale(folder):
    """What the runs' reward model makes of MADPO (c_max 4), and what an exact one would: rows.

    By tier and share of labels turned beside those that are wrong by chance. `gain` is the first
    step's gain of true reward over DPO's, both steps of one length; `off_by` how far MADPO's
    targets are from those of the nearest DPO, `dpo_beta`; `pairs` how many a run is trained on.
    """
    recorded, rows = training(load_tables(folder)), []
    for (tier, noise), pairs in recorded.groupby(["tier", "label_noise"]):
        exact = pairs["true_margin"].to_numpy()
        for name, column in (("as trained", "model_margin"), ("exact", "true_margin")):
            margins = pairs[column].to_numpy()
            effect = diagnose(margins, MarginSchedule.released(4)).effects[0]
            rows.append({"tier": tier, "label_noise": noise, "reward_model": name,
                         "pairs": len(pairs) // pairs["seed"].nunique(), "spread": margins.std(),
                         "disputed": (margins < 0).mean(), "falls": effect.falling_share,
                         "ess": effect.ess, "dpo_beta": effect.dpo_beta,
                         "off_by": effect.distance,
                         "gain": drive(margins, exact) / exact.mean()})  # fmt: skip
    return sorted(rows, key=lambda row: (TIERS.index(row["tier"]), row["label_noise"]))


def between_seeds(folder):
    """Standard deviations over seeds: of a method's mean reward, and of that minus DPO's.

    Each is a root mean square over the tiers and headline methods that have two seeds or more;
    also returned: how many of either there are. NaN where there is none.
    """
    tables, pandas = load_tables(folder), optional("pandas")
    runs = [pick(tables, method).assign(name=method) for method in HEADLINE]
    table = pandas.concat(runs).pivot_table(index=["tier", "seed"], columns="name", values="reward")
    found = []
    for rewards in (table, table.drop(columns="dpo").sub(table["dpo"], axis=0)):
        variances = rewards.groupby("tier").var().to_numpy()
        variances = variances[np.isfinite(variances)]
        found.append(math.sqrt(variances.mean()) if len(variances) else NONE)
    return (*found, len(variances))


def reading(folder):
    """What the recorded runs say of the paper's headline, in words with their numbers."""
    tables = load_tables(folder)

    def told(measure):
        return f"{measure(tables):+.2f}"

    madpo, dpo, rival = ("madpo", {}), ("dpo", {}), ("beta_dpo", {})
    matched, clean = ("dpo_matched", {}), {"tier": "high", "seed": 0}
    return (
        f"At the same beta MADPO (c_max 4) earns {told(difference(madpo, dpo))} over DPO, and DPO "
        f"at beta/4 earns {told(difference(matched, dpo))}.\n"
        f"At equal KL MADPO earns {told(equal_kl('madpo'))} over DPO.\n"
        f"Over β-DPO, with which the paper compares it, MADPO earns "
        f"{told(difference(madpo, rival))} at the same beta, {told(beside('madpo', 'beta_dpo'))} "
        f"at equal KL; that line favours the smaller KL, and β-DPO's is "
        f"{told(difference(rival, madpo, 1))} nats from MADPO's.\n"
        "Label cleaning alone: DPO without the pairs that the reward model disputes earns "
        f"{told(equal_kl('dpo_filtered', **clean))} over DPO at equal KL, on relabelled ones "
        f"{told(equal_kl('dpo_relabelled', **clean))} (high, one seed)."
    )


SHOWN = (tiers, frontier, ablation, sensitivity, weights, predictions)
TABLES = {table.__name__: table for table in SHOWN}
"""Of the figures, which name them "sentiment.NAME"."""
