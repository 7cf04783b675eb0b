"""What the theory says of the sentiment study, written down before its runs (P1 to P10).

Each prediction is data: a quantity, an interval, where it comes from, and how a results folder
measures it. `cells` below means all tiers and seeds that were run. "At equal KL" is a method's mean
reward minus that of DPO at the same KL: DPO's rewards at its several beta, and the fine-tuned
model's, joined by straight lines.
"""

import functools
import hashlib
import json
import math
from pathlib import Path

import numpy as np
import torch

from madpo_theory import METHODS, MarginSchedule, coefficient, weight
from madpo_theory.align.config import MarginConfig
from madpo_theory.align.preference import disturbed
from madpo_theory.ops import torch_world
from madpo_theory.simulate.predictions import Estimate, Prediction, judge, worst, write_judgements
from madpo_theory.theory.bootstrap import percentiles, resampled_counts
from madpo_theory.weights import weighting_named

from .study import load_tables

__all__ = ["PREDICTIONS", "crossed", "equal_kl", "gap_of", "judged", "judged_rows", "pick"]

BETA, TAU = 0.1, math.log(999)
RESAMPLES = 4000
WEIGHTED = (
    "madpo", "amp_only", "reg_only", "bounded_ratio", "target_shaped", "distillation",
)  # fmt: skip
NOTHING = Estimate(math.nan, math.nan, math.nan, 0)


@functools.lru_cache(maxsize=8)
def drawn(*counts):
    """How often a resample draws each of several kinds of rows; always the same draws."""
    generator = np.random.default_rng(0)
    return tuple(resampled_counts(generator, count, RESAMPLES) for count in counts)


def crossed(values, statistic):
    """Mean over seeds of a statistic of means over prompts, with a 95 % interval.

    Parameters
    ----------
    values : (seeds, prompts, n).
    statistic : (..., n) means over prompts -> (...,).

    The bootstrap draws seeds and prompts independently, each with replacement; three seeds say
    little of how seeds differ, and the interval is then too narrow rather than too wide.
    """
    values = np.asarray(values, dtype=float)
    seeds, prompts, _ = values.shape
    if seeds == 0 or prompts < 2:
        return NOTHING
    of_prompts, of_seeds = drawn(prompts, seeds)
    means = np.einsum("rp,spn->rsn", of_prompts / prompts, values)
    resampled = (statistic(means) * (of_seeds / seeds)).sum(-1)
    value = statistic(values.mean(axis=1)).mean()
    return Estimate(float(value), *percentiles(resampled), seeds * prompts)


# ------------------------------------------------------------------------- reading the tables


def pick(tables, method, **where):
    """Rows of the summary of a method; where nothing else is said, at the headline settings."""
    usual = {"disturbance": "none"}
    if method in WEIGHTED:
        usual |= {"c_max": 4.0, "tau": TAU}
    if method == "dpo":
        usual |= {"beta": BETA}
    rows = tables.summary[tables.summary["method"] == method]
    for column, value in (usual | where).items():
        same = rows[column] == value if isinstance(value, str) else np.isclose(rows[column], value)
        rows = rows[same]
    return rows


def per_prompt(tables, run, columns=("reward", "kl")):
    """(prompts, columns) of a run."""
    rows = tables.prompts[tables.prompts["run"] == run].sort_values("prompt")
    return rows[list(columns)].to_numpy(dtype=float)


def together(tables, *selections):
    """(cells, prompts, 2 n): reward and KL of n selections in every cell that has them all."""
    keyed = [{(r.tier, r.seed): r.run for r in rows.itertuples()} for rows in selections]
    cells = sorted(set.intersection(*map(set, keyed)))
    stacks = [np.hstack([per_prompt(tables, runs[cell]) for runs in keyed]) for cell in cells]
    return np.stack(stacks) if stacks else np.empty((0, 0, 2 * len(keyed)))


def difference(first, second, column=0, **where):
    """Measure: reward (column 0) or KL (1) of one method minus that of another, paired."""

    def measure(tables):
        selections = [pick(tables, name, **(where | own)) for name, own in (first, second)]
        return crossed(together(tables, *selections), lambda m: m[..., column] - m[..., 2 + column])

    return measure


def frontier(tables, cell):
    """Reward and KL by prompt, (prompts, 2 n), of the fine-tuned model and every DPO run."""
    tier, seed = cell
    rows = tables.summary.query("method in ('dpo', 'dpo_matched') and tier == @tier")
    runs = rows[rows["seed"] == seed].drop_duplicates("beta").sort_values("beta", ascending=False)
    return np.hstack([per_prompt(tables, run) for run in [f"sft-{tier}-{seed}", *runs["run"]]])


def above(means):
    """Reward of the first run above the curve through the others, (..., 2 n) -> (...,).

    NaN where its KL lies outside the curve's.
    """
    rewards, divergences = means[..., 0::2], means[..., 1::2]
    order = np.argsort(divergences[..., 1:])
    x, y = (np.take_along_axis(a[..., 1:], order, -1) for a in (divergences, rewards))
    at = divergences[..., :1]
    left = (x <= at).sum(-1, keepdims=True) - 1
    ends = np.clip(np.concatenate([left, left + 1], -1), 0, x.shape[-1] - 1)
    (x0, x1), (y0, y1) = (np.moveaxis(np.take_along_axis(a, ends, -1), -1, 0) for a in (x, y))
    at = at[..., 0]
    curve = y0 + (y1 - y0) / np.where(x1 > x0, x1 - x0, 1) * (at - x0)
    return np.where((x[..., 0] <= at) & (at <= x[..., -1]), rewards[..., 0] - curve, np.nan)


def equal_kl(method, **where):
    """Measure: a method's reward at equal KL, mean over cells; cells beyond the curve left out."""
    return lambda tables: gap_of(tables, pick(tables, method, **where))


def gap_of(tables, runs):
    """Estimate of :func:`above`, mean over some runs (rows of the summary), one of each cell."""
    found = []
    for row in runs.itertuples():
        values = np.hstack([per_prompt(tables, row.run), frontier(tables, (row.tier, row.seed))])
        if math.isfinite(above(values.mean(axis=0))):
            found.append(_gaps(values))
    return _average(found)


def _gaps(values):
    """(gap, resampled gaps) of one cell; the resamples of prompts are the same in every cell."""
    prompts = len(values)
    (draws,) = drawn(prompts)
    return float(above(values.mean(axis=0))), above(draws @ values / prompts), prompts


def _average(found):
    """Mean over cells of (value, resamples, prompts), cells drawn with replacement."""
    if not found:
        return NOTHING
    count = len(found)
    shares = resampled_counts(np.random.default_rng(1), count, RESAMPLES)
    resampled = np.stack([r for _, r, _ in found], axis=1)
    known = np.isfinite(resampled)  # a resample may leave the curve
    total = (np.where(known, resampled, 0) * shares).sum(1) / np.maximum((known * shares).sum(1), 1)
    value = np.mean([v for v, _, _ in found])
    return Estimate(float(value), *percentiles(total), sum(n for _, _, n in found))


def beside(first, second):
    """Measure: difference of two methods' rewards at equal KL, in the cells that have both."""

    def measure(tables):
        found = []
        rows = [{(r.tier, r.seed): r.run for r in pick(tables, name).itertuples()}
                for name in (first, second)]  # fmt: skip
        for cell in sorted(set(rows[0]) & set(rows[1])):
            curve = frontier(tables, cell)
            (a, of_a, n), (b, of_b, _) = (
                _gaps(np.hstack([per_prompt(tables, runs[cell]), curve])) for runs in rows
            )
            if math.isfinite(a - b):
                found.append((a - b, of_a - of_b, n))
        return _average(found)

    return measure


# ----------------------------------------------------------------------- margins and weights


def training(tables, **where):
    """The training pairs of the cells that match."""
    rows = tables.pairs[tables.pairs["split"] == "train"]
    for column, value in where.items():
        rows = rows[rows[column] == value]
    return rows


def weights_of(margins, c_max=4.0, tau=TAU, name="published"):
    weighting = weighting_named(name, MarginSchedule(c_max, 1 / c_max, 1.0, tau))
    return weight(np.asarray(margins, dtype=float), weighting)


def largest_weight(tables):
    return worst(weights_of(training(tables)["model_margin"]))


def suppressed_beside_disputed(tables):
    margins = training(tables)["model_margin"].to_numpy()
    suppressed = (weights_of(margins) < 1).mean()
    return worst(abs(suppressed - ((margins > -TAU) & (margins < 0)).mean()))


def mean_over_pairs(values, statistic):
    """Estimate of a statistic of means over pairs, (pairs, n)."""
    return crossed(np.asarray(values, dtype=float)[None], statistic)


def first_signal(tables):
    """Measured over predicted amplification of the first step's signal, T6."""
    h = tables.pairs["model_margin"].to_numpy()
    c = MarginSchedule.released(4)
    u, toward = np.abs(h), np.sign(h)
    amplified = np.tanh(coefficient(h, c) * u / 2)
    columns = np.stack([toward * weights_of(h), toward, amplified, np.tanh(u / 2)], axis=1)
    return mean_over_pairs(columns, lambda m: (m[..., 0] / m[..., 1]) / (m[..., 2] / m[..., 3]))


MADPO, AS_TRAINED = METHODS["madpo"](MarginSchedule.released(4)), MarginConfig()


def drive(margins, exact, method=MADPO):
    """How far a first step of unit length moves the true reward, up to a constant.

    A pair counts by the slope of its loss at z = 0: of MADPO by its weight, of DPO by one half.
    """
    z = torch.zeros(len(exact), dtype=torch.float64, requires_grad=True)
    loss = method.margin_loss(torch_world, z, torch.tensor(np.array(margins), dtype=torch.float64))
    pull = -torch.autograd.grad(loss.sum(), z)[0].numpy()
    return (pull * exact).mean() / np.sqrt((pull**2).mean())


def step_over_dpo(pairs, done=AS_TRAINED, seed=0, method=MADPO):
    """What a first step earns for its length over DPO's, on a cell's training pairs.

    `pairs` are all of the cell's, `done` what is done to their margins, for a run of `seed`.
    """
    pairs = pairs.sort_values("pair")
    exact, margin = (torch.tensor(pairs[c].to_numpy()) for c in ("true_margin", "model_margin"))
    train = (pairs["split"] == "train").to_numpy()
    given, exact = disturbed(margin, exact, done, seed).numpy()[train], exact.numpy()[train]
    return drive(given, exact, method) / exact.mean()


def disturbed_gain(kind, level):
    """Measure: share of MADPO's gain that survives an error, minus the predicted share."""

    def measure(tables):
        cell = {"tier": "high", "seed": 0}
        rows = [pick(tables, "madpo", disturbance=d, level=lv, **cell)
                for d, lv in ((kind, level), ("none", 0.0))]  # fmt: skip
        if any(len(r) != 1 for r in rows):
            return NOTHING
        pairs = tables.pairs.query("tier == 'high' and seed == 0")
        predicted = step_over_dpo(pairs, MarginConfig(kind, level)) / step_over_dpo(pairs)
        values = np.hstack([per_prompt(tables, r["run"].iloc[0], ("reward",)) for r in rows])
        base = per_prompt(tables, "sft-high-0", ("reward",))
        values = np.hstack([values, base])[None]

        def statistic(m):
            return (m[..., 0] - m[..., 2]) / (m[..., 1] - m[..., 2]) - predicted

        return crossed(values, statistic)

    return measure


# ----------------------------------------------------------------------------------- training


def final_margin(method, updates=16):
    """Measure: mean implicit margin of the training batches over the last updates."""

    def measure(tables):
        runs = pick(tables, method)["run"]
        last = [
            tables.steps[tables.steps["run"] == run].sort_values("step")["margin"].tail(updates)
            for run in runs
        ]
        if not last:
            return NOTHING
        return mean_over_pairs(np.concatenate(last)[:, None], lambda m: m[..., 0])

    return measure


def negative_share(method, column):
    """Measure: share of beta-DPO's updates whose temperature is not positive."""

    def measure(tables):
        steps = tables.steps[tables.steps["run"].isin(pick(tables, method)["run"])]
        if not len(steps):
            return NOTHING
        return mean_over_pairs((steps[column] <= 0).to_numpy()[:, None], lambda m: m[..., 0])

    return measure


def easy_weights(tables):
    """Mean weight of agreeing pairs beyond tau = 1/2, MADPO's minus the bounded ratio's; Low."""
    h = training(tables, tier="low", seed=0)["model_margin"].to_numpy()
    h = h[h > 0.5]
    if not len(h):
        return NOTHING
    values = np.stack([weights_of(h, 2.0, 0.5), weights_of(h, 2.0, 0.5, "bounded_ratio")], axis=1)
    return mean_over_pairs(values, lambda m: m[..., 0] - m[..., 1])


def low_minus_high(tables):
    """Reward of DPO in the tier low minus high, by prompt and seed."""
    low, high = (pick(tables, "dpo", tier=t).set_index("seed")["run"] for t in ("low", "high"))
    seeds = sorted(set(low.index) & set(high.index))
    values = [np.hstack([per_prompt(tables, runs[s]) for runs in (low, high)]) for s in seeds]
    return crossed(np.stack(values), lambda m: m[..., 0] - m[..., 2]) if values else NOTHING


INF = math.inf
HIGH = {"tier": "high", "seed": 0}
SHORT = {"c_max": 2.0, "tau": 0.5}
LOW = {"tier": "low", "seed": 0} | SHORT

PREDICTIONS = (
    Prediction("P1a", "reward of Reg-Only minus DPO, high, c_max 4, tau log 999", (-0.05, 0.05),
               "T3: beyond tau the weight moves a target by less than 0.006 nats, and few or no "
               "margins reach tau", difference(("reg_only", {}), ("dpo", {}), **HIGH)),
    Prediction("P1b", "reward of Amp-Only minus MADPO, same", (-0.05, 0.05),
               "the same from the other side", difference(("amp_only", {}), ("madpo", {}), **HIGH)),
    Prediction("P1c", "reward of Reg-Only minus DPO, high, c_max 2, tau 1/2", (-0.2, 0.2),
               "T3: at tau 1/2 dampening is at most log(1 + e^-1/4) = 0.58 nats",
               difference(("reg_only", SHORT), ("dpo", {}), **HIGH)),
    Prediction("P2a", "reward of MADPO (c_max 4) at equal KL, cells", (-0.1, 0.3),
               "L5: a schedule is close to a temperature; what is left is what suppressing "
               "disputed labels gains", equal_kl("madpo")),
    Prediction("P2b", "reward of MADPO minus DPO on filtered pairs, both at equal KL, high",
               (-0.25, 0.25), "S3: the weight acts by suppressing disputed labels",
               beside("madpo", "dpo_filtered")),
    Prediction("P2c", "reward of MADPO minus DPO on relabelled pairs, both at equal KL, high",
               (-0.25, 0.25), "as P2b", beside("madpo", "dpo_relabelled")),
    Prediction("P3a", "largest weight of a training pair, cells", (1.0, 1.4191),
               "S3: certified for (4, 1/4, 1, 7), and tau log 999 is below 7", largest_weight),
    Prediction("P3b", "share of suppressed pairs minus share disputed with -tau < h < 0, cells",
               (0.0, 0.0), "S3: w < 1 there and nowhere else while no margin exceeds tau",
               suppressed_beside_disputed),
    Prediction("P4", "amplification of the first step's signal, measured over predicted",
               (0.6, 1.2), "T6: tanh(c h/2)/tanh(h/2) for a calibrated reward model", first_signal),
    Prediction("P5a", "KL of IPO minus DPO at beta 0.1, nats, cells", (-INF, 0.0),
               "B2: IPO's pull 2 (5 - m) fades sooner than DPO's beta sigma(-beta m)",
               difference(("ipo", {}), ("dpo", {}), 1)),
    Prediction("P5b", "mean margin of IPO (summed) over the last 16 updates, nats", (0.5, 5.0),
               "B2: the target is tanh(h/2)/(2 beta), at most 5 nats", final_margin("ipo")),
    Prediction("P5c", "mean margin of IPO (per token) over the last 16 updates, nats a token",
               (0.0, 1.0), "B2: 5 nats a token are out of reach", final_margin("ipo_per_token")),
    *(
        Prediction(f"P6{letter}", f"share of MADPO's gain left with {what}, minus predicted",
                   (-0.35, 0.35), "to first order a step gains mean(w h*)/rms(w); derived here",
                   disturbed_gain(kind, level))
        for letter, what, kind, level in (
            ("a", "errors of 1 nat", "noisy", 1.0), ("b", "errors of 4 nats", "noisy", 4.0),
            ("c", "a quarter of signs wrong", "flipped", 0.25),
            ("d", "all signs wrong", "flipped", 1.0), ("e", "margins times 4", "scaled", 4.0),
            ("f", "exact margins", "exact", 0.0),
        )
    ),
    Prediction("P7a", "mean weight of easy agreeing pairs, MADPO's minus the bounded ratio's, low, "
               "c_max 2, tau 1/2", (0.1, 1.0), "N1 dampens by e^((c - 1) h), T3 hardly",
               easy_weights),
    Prediction("P7b", "KL of bounded ratio minus MADPO, same", (-INF, 0.0), "as P7a",
               difference(("bounded_ratio", {}), ("madpo", {}), 1, **LOW)),
    Prediction("P7c", "KL of target shaped minus MADPO, same", (-INF, 0.0), "N2, as P7a",
               difference(("target_shaped", {}), ("madpo", {}), 1, **LOW)),
    Prediction("P8a", "share of updates with beta <= 0, beta-DPO as released", (0.0, 0.0),
               "B3: the code clamps", negative_share("beta_dpo", "batch_beta")),
    Prediction("P8b", "the same without the clamp", (0.02, 0.5),
               "B3: negative iff the batch's mean margin is 1.67 nats below the running mean; a "
               "mean of 6 margins spreads by about 2",
               negative_share("beta_dpo", "unclamped_beta")),
    Prediction("P8c", "the same, the MADPO author's variant", (0.0, 0.01),
               "B3: margins times beta, so the distance is 16.7 nats",
               negative_share("beta_dpo_madpo", "batch_beta")),
    Prediction("P9a", "reward of MADPO (c_max 4) minus DPO at beta 0.1, cells", (0.0, 0.6),
               "A7 (published 0.47 to 0.61), less what larger training would add",
               difference(("madpo", {}), ("dpo", {}))),
    Prediction("P9b", "reward of MADPO c_max 4 minus c_max 2, high", (-0.1, 0.3),
               "published 0.15", difference(("madpo", {}), ("madpo", {"c_max": 2.0}), **HIGH)),
    Prediction("P10", "reward of DPO, low minus high, seeds", (-INF, 0.0),
               "a rejected review differs from samples in more than sentiment; published -0.14",
               low_minus_high),
)  # fmt: skip


def judged_rows(folder):
    """A Judgement of every prediction by a results folder."""
    folder = Path(folder)
    tables = sorted(folder.glob("*.parquet"))
    return _judged_rows(folder, *(hashlib.sha256(path.read_bytes()).digest() for path in tables))


@functools.lru_cache(maxsize=4)  # a report shows them in a table, a figure and in words
def _judged_rows(folder, *contents):
    return tuple(judge(PREDICTIONS, load_tables(folder)))


def judged(folder):
    """Judge the predictions by a results folder, and write predictions.json there; its rows."""
    path = write_judgements(Path(folder) / "predictions.json", judged_rows(folder))
    return json.loads(path.read_text(encoding="utf-8"))
