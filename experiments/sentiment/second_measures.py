"""What the second study's tables say of an arm, with intervals over prompts, tiers and seeds.

**Equal KL.** In a cell DPO's reward is a monotone cubic (Fritsch-Carlson) of the logarithm of its
KL, through its runs at six beta; a run's gap is its reward above that curve at its own KL. Outside
the KL of these runs nothing is extrapolated: the gap is NaN, "outside".

**Intervals.** A quantity is measured in every cell from means over prompts (or pairs), all arms on
the same prompts and random numbers, and averaged over cells. Its variance is that between cells
over their number, plus that of the average over resamples of the prompts, which cells share; the
part of the prompts' noise that cells do not share counts twice, so intervals are wide rather than
narrow. The interval is Student's t with Satterthwaite's degrees of freedom. Cells are taken to be
independent, though those of a seed share the fine-tuned model.
"""

import functools
import math

import numpy as np
from scipy.stats import t as student

from madpo_theory.simulate.predictions import Estimate
from madpo_theory.theory.bootstrap import resampled_counts

from .second import ARMS, BETAS, BEYOND, HEADLINE, TIERS, spots

__all__ = [
    "NOTHING", "Recorded", "changed", "could_see", "difference", "equivalent", "gap", "gap_between",
    "gap_by_seed", "holm", "inside", "left_out", "mean", "monotone", "over_cells", "p_of_zero",
    "ratio_of_displacement", "share",
]  # fmt: skip

RESAMPLES = 2000
NOTHING = Estimate(math.nan, math.nan, math.nan, 0)
DPO = tuple(f"dpo {beta:g}" for beta in BETAS)


class Recorded:
    """A results folder's tables by arm and cell.

    Parameters
    ----------
    tables : :class:`~.study.Tables` with texts and responses.
    """

    def __init__(self, tables):
        self.tables, self.runs, self.found = tables, {}, {}
        known = spots()
        for run in tables.summary["run"]:
            if run in known:
                self.runs.setdefault(known[run].arm, {})[known[run].cell] = run

    def size(self):
        """The size of the study of which most runs are; None without any."""
        known = spots()
        sizes = [known[run].size for run in self.tables.summary["run"] if run in known]
        return max(set(sizes), key=sizes.count) if sizes else None

    def of_headline(self):
        """How many runs of the headline there are."""
        return sum(len(self.runs.get(one.name, ())) for one in HEADLINE)

    def cells(self, *arms, tiers=TIERS):
        """Cells of some tiers in which every arm was run, in order."""
        found = [set(self.runs.get(arm, {})) for arm in arms]
        both = set.intersection(*found) if found else set()
        return sorted(cell for cell in both if cell[0] in tiers)

    @functools.cached_property
    def _prompts(self):
        return split_by(self.tables.prompts, ["run"], "prompt", ["reward", "kl"])

    @functools.cached_property
    def _texts(self):
        values = ["reward", "length", "degenerate"]
        return split_by(self.tables.texts, ["run", "temperature"], "prompt", values)

    @functools.cached_property
    def _responses(self):
        rows = self.tables.responses
        rows = rows.assign(
            chosen=rows["policy_chosen"] - rows["reference_chosen"],
            rejected=rows["policy_rejected"] - rows["reference_rejected"],
        )
        return split_by(rows, ["run", "split"], "pair", ["chosen", "rejected"])

    def of(self, arm, cell, temperature=1.0):
        """(prompts, 2): reward of the text at a decoding temperature, and KL."""
        name = self.runs[arm][cell]
        values = self._prompts[name]
        if temperature == 1:
            return values
        return np.stack([self._texts[name, temperature][:, 0], values[:, 1]], axis=1)

    def texts(self, arm, cell, temperature=1.0):
        """(prompts, 3): reward, length in tokens and whether degenerate."""
        return self._texts[self.runs[arm][cell], temperature]

    def sft(self, cell, temperature=1.0):
        """(prompts,): reward of the fine-tuned model."""
        name = "sft-{}-{}".format(*cell)
        return (
            self._prompts[name][:, 0] if temperature == 1 else self._texts[name, temperature][:, 0]
        )

    def responses(self, arm, cell, split):
        """(pairs, 2): log-ratios of chosen and rejected to the reference, nats."""
        return self._responses[self.runs[arm][cell], split]


def split_by(table, keys, row, values):
    """{keys of a group: its values (rows, n), ordered by `row`}; of one key, not in a tuple."""
    table = table.sort_values([*keys, row])
    names = list(zip(*(table[key].tolist() for key in keys), strict=True))
    starts = [i for i, name in enumerate(names) if i == 0 or name != names[i - 1]]
    parts = np.split(table[values].to_numpy(dtype=float), starts[1:])
    found = {names[start]: part for start, part in zip(starts, parts, strict=True)}
    return found if len(keys) > 1 else {name: part for (name,), part in found.items()}


@functools.lru_cache(maxsize=8)
def _draws(rows):
    return resampled_counts(np.random.default_rng(0), rows, RESAMPLES) / rows


def over_cells(parts):
    """An :class:`Estimate` of a mean over cells.

    Parameters
    ----------
    parts : one (values (rows, n), statistic of means (..., n) -> (...,)) for each cell; cells where
        the statistic is not finite are left out. Fewer than two: nothing is measured.

    Its `worlds` are the degrees of freedom and one more.
    """
    found = []
    for values, statistic in parts:
        value = float(statistic(values.mean(axis=0)))
        if math.isfinite(value):
            found.append((value, statistic(_draws(len(values)) @ values), len(values)))
    if len(found) < 2:
        return NOTHING
    cells = len(found)
    values = np.array([value for value, _, _ in found])
    resampled = np.stack([resamples for _, resamples, _ in found])
    known = np.isfinite(resampled)  # a resample may leave the curve
    means = np.where(known, resampled, 0).sum(0) / np.maximum(known.sum(0), 1)
    of_prompts = float(means[known.any(0)].var())
    of_cells = float(values.var(ddof=1)) / cells
    rows = min(count for _, _, count in found)
    error = math.sqrt(of_cells + of_prompts)
    below = of_cells**2 / (cells - 1) + of_prompts**2 / (rows - 1)
    freedom = error**4 / below if below > 0 else cells - 1.0
    half = float(student.ppf(0.975, freedom)) * error
    value = float(values.mean())
    return Estimate(value, value - half, value + half, 1 + freedom, error)


def monotone(x, y, at):
    """The monotone cubic (scipy's Pchip) through points, at `at`; NaN outside of them.

    Every curve has its own abscissae: x and y (..., n), x ascending, at (...,) -> (...,).
    Source: F. N. Fritsch, J. Butland, SIAM J. Sci. Stat. Comput. 5 (1984) 300.
    """
    h = np.diff(x)
    d = np.diff(y) / h
    w1, w2 = 2 * h[..., 1:] + h[..., :-1], h[..., 1:] + 2 * h[..., :-1]
    turns = d[..., :-1] * d[..., 1:] <= 0
    inverse = w1 / np.where(turns, 1, d[..., :-1]) + w2 / np.where(turns, 1, d[..., 1:])
    inner = np.where(turns, 0, (w1 + w2) / np.where(turns, 1, inverse))

    def end(h0, h1, d0, d1):
        slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
        steep = (d0 * d1 < 0) & (abs(slope) > 3 * abs(d0))
        return np.where(slope * d0 <= 0, 0, np.where(steep, 3 * d0, slope))

    ends = (end(*(a[..., i] for a in (h, d) for i in side)) for side in ((0, 1), (-1, -2)))
    first, last = (value[..., None] for value in ends)
    slopes = np.concatenate([first, inner, last], axis=-1)
    left = np.clip((x <= at[..., None]).sum(-1, keepdims=True) - 1, 0, x.shape[-1] - 2)

    def taken(values, shift=0):
        return np.take_along_axis(values, left + shift, -1)[..., 0]

    width = taken(h)
    s = (at - taken(x)) / width
    value = (
        taken(y) * (1 + 2 * s) * (1 - s) ** 2
        + taken(y, 1) * s**2 * (3 - 2 * s)
        + width * s * (1 - s) * (taken(slopes) * (1 - s) - taken(slopes, 1) * s)
    )
    return np.where((x[..., 0] <= at) & (at <= x[..., -1]), value, np.nan)


def _above(means):
    """Reward of the first run above the curve through the others: (..., 2 n) -> (...,)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        rewards, logs = means[..., 0::2], np.log(means[..., 1::2])
        order = np.argsort(logs[..., 1:])
        x, y = (np.take_along_axis(a[..., 1:], order, -1) for a in (logs, rewards))
        return rewards[..., 0] - monotone(x, y, logs[..., 0])


def _curve(arm):
    """The DPO arms of an arm's cells: labels as noisy as its own."""
    noisy = "label_noise" in ARMS[arm].settings
    return [f"{name} noise" if noisy else name for name in DPO]


def _gap_parts(recorded, arm, tiers, temperature, beyond=False):
    line = _curve(arm)
    further = [one.name for one in BEYOND] if beyond and line == list(DPO) else []
    for cell in recorded.cells(arm, *line, tiers=tiers):
        more = [name for name in further if cell in recorded.runs.get(name, ())]
        yield cell, np.hstack([recorded.of(n, cell, temperature) for n in (arm, *line, *more)])


def inside(recorded, arm, tiers=TIERS, *, beyond=False):
    """Of the cells that have both: (in how many an arm's KL lies within DPO's, below it, above).

    `beyond` as for :func:`gap`.
    """
    found = [v.mean(axis=0)[1::2] for _, v in _gap_parts(recorded, arm, tiers, 1.0, beyond)]
    below = sum(own < min(line) for own, *line in found)
    above = sum(own > max(line) for own, *line in found)
    return len(found) - below - above, below, above


def mean(recorded, arm, tier, column):
    """Mean over the seeds of a tier of an arm's reward (column 0) or KL (1)."""
    cells = recorded.cells(arm, tiers=(tier,))
    return float(np.mean([recorded.of(arm, cell)[:, column].mean() for cell in cells]))


def gap(arm, *, tiers=TIERS, temperature=1.0, beyond=False):
    """Measure: an arm's reward at equal KL, at a decoding temperature.

    With `beyond`, DPO's line goes on through those of its runs :data:`~.second.BEYOND` that a cell
    has; there are none with noisy labels.
    """

    def measure(recorded):
        key = arm, tuple(tiers), temperature, beyond
        if key not in recorded.found:
            parts = _gap_parts(recorded, *key)
            recorded.found[key] = over_cells([(values, _above) for _, values in parts])
        return recorded.found[key]

    return measure


def gap_by_seed(arm):
    """Measure: as :func:`gap`, every seed one cell, its tiers averaged: they share a model."""
    width = 2 * (1 + len(DPO))

    def mean_of_tiers(m):
        return np.mean([_above(part) for part in np.split(m, m.shape[-1] // width, -1)], axis=0)

    def measure(recorded):
        seeds = {}
        for (_, seed), values in _gap_parts(recorded, arm, TIERS, 1.0):
            seeds.setdefault(seed, []).append(values)
        return over_cells([(np.hstack(tiers), mean_of_tiers) for tiers in seeds.values()])

    return measure


def gap_between(arm, other, *, tiers=TIERS):
    """Measure: difference of two arms' rewards at equal KL, paired."""

    def measure(recorded):
        curve, parts = _curve(arm), []
        for cell in recorded.cells(arm, other, *curve, tiers=tiers):
            values = np.hstack([recorded.of(name, cell) for name in (arm, other, *curve)])

            def both(m):
                return _above(np.delete(m, [2, 3], -1)) - _above(m[..., 2:])

            parts.append((values, both))
        return over_cells(parts)

    return measure


def left_out(recorded, tiers=TIERS):
    """How much DPO's own runs lie above the curve through the others: the line's bias.

    Mean over cells of the mean over the inner beta, each left out in turn.
    """

    def bias(m):
        inner = range(1, len(BETAS) - 1)
        gaps = []
        for i in inner:
            own = m[..., 2 * i : 2 * i + 2]
            rest = np.delete(m, [2 * i, 2 * i + 1], -1)
            gaps.append(_above(np.concatenate([own, rest], -1)))
        return np.mean(gaps, axis=0)

    cells = recorded.cells(*DPO, tiers=tiers)
    parts = [(np.hstack([recorded.of(name, cell) for name in DPO]), bias) for cell in cells]
    return over_cells(parts)


def difference(arm, other, *, what="reward", tiers=TIERS, temperature=1.0):
    """Measure: reward, or "log KL", of one arm minus another's, paired."""

    def statistic(m):
        if what == "reward":
            return m[..., 0] - m[..., 2]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(m[..., 1]) - np.log(m[..., 3])

    def measure(recorded):
        return over_cells([
            (np.hstack([recorded.of(name, cell, temperature) for name in (arm, other)]), statistic)
            for cell in recorded.cells(arm, other, tiers=tiers)
        ])  # fmt: skip

    return measure


def equivalent(arm, *, tiers=TIERS):
    """Measure: log of the beta at which DPO has an arm's KL, over the arm's own beta 0.1.

    The logarithm of beta is a monotone cubic of that of the KL, through DPO's runs.
    """

    def statistic(m):
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.log(m)
        order = np.argsort(logs[..., 1:])
        x = np.take_along_axis(logs[..., 1:], order, -1)
        y = np.take_along_axis(np.broadcast_to(np.log(BETAS), x.shape), order, -1)
        return monotone(x, y, logs[..., 0]) - math.log(0.1)

    def measure(recorded):
        names = [arm, *_curve(arm)]
        return over_cells([
            (np.stack([recorded.of(name, cell)[:, 1] for name in names], axis=1), statistic)
            for cell in recorded.cells(*names, tiers=tiers)
        ])  # fmt: skip

    return measure


def changed(arm, other=None, *, which="chosen", split="train", tiers=TIERS):
    """Measure: log-ratio of a pair's chosen or rejected response to the reference, nats.

    With another arm, less that arm's, paired.
    """
    column, arms = ("chosen", "rejected").index(which), [arm] + ([other] if other else [])

    def measure(recorded):
        return over_cells([
            (np.stack([recorded.responses(a, cell, split)[:, column] for a in arms], axis=1),
             (lambda m: m[..., 0] - m[..., 1]) if other else (lambda m: m[..., 0]))
            for cell in recorded.cells(*arms, tiers=tiers)
        ])  # fmt: skip

    return measure


def ratio_of_displacement(arm, *, tiers=("high",)):
    """Measure: what both responses of held-out pairs lose on average, over KL(policy, reference).

    In the tier high both are the reference's samples, so the average loss is KL(reference, policy).
    """

    def measure(recorded):
        return over_cells([
            (-recorded.responses(arm, cell, "held_out") / (2 * recorded.of(arm, cell)[:, 1].mean()),
             lambda m: m.sum(-1))
            for cell in recorded.cells(arm, tiers=tiers)
        ])  # fmt: skip

    return measure


def share(arm, *, what="degenerate", temperature=1.0, tiers=TIERS):
    """Measure: share of degenerate texts, or mean "length", at a temperature."""
    column = ("reward", "length", "degenerate").index(what)

    def measure(recorded):
        return over_cells([
            (recorded.texts(arm, cell, temperature)[:, [column]], lambda m: m[..., 0])
            for cell in recorded.cells(arm, tiers=tiers)
        ])  # fmt: skip

    return measure


def p_of_zero(found):
    """Two-sided p of an Estimate if the truth were 0."""
    if not found.error > 0:
        return math.nan
    return float(2 * student.sf(abs(found.value) / found.error, found.worlds - 1))


def holm(p):
    """Holm's adjusted p of many that are read at once; NaN where there is none."""
    p = np.asarray(p, dtype=float)
    order = np.argsort(p)  # NaN last
    known = int(np.isfinite(p).sum())
    adjusted = np.full(len(p), math.nan)
    raised = p[order[:known]] * np.arange(known, 0, -1)
    adjusted[order[:known]] = np.minimum(np.maximum.accumulate(raised), 1) if known else []
    return adjusted


def could_see(found):
    """The smallest true difference that a 5 % test sees in four of five such studies."""
    freedom = found.worlds - 1
    return float((student.ppf(0.975, freedom) + student.ppf(0.8, freedom)) * found.error)
