"""What the second study's tables say of an arm, with intervals over prompts, tiers and seeds.

**Equal KL.** In a cell DPO's reward is a monotone cubic (Fritsch-Carlson) of the logarithm of its
KL, through its runs at six beta; a run's gap is its reward above that curve at its own KL. Outside
the KL of these runs nothing is extrapolated: the gap is NaN, "outside".

**Intervals.** A quantity is measured in every cell from means over prompts (or pairs), all arms on
the same prompts and random numbers, and averaged over cells. Of two intervals it gets the wider:
Student's t over the cells alone, with one degree of freedom fewer than there are, right where cells
share nothing; and that of the variance between cells over their number plus that of the average
over resamples of the prompts, which cells share, with Satterthwaite's degrees of freedom. So with
probabilities: the larger. Cells are taken to be independent, though those of a seed share the
fine-tuned model; by seeds alone says what is left if they are not.
"""

import functools
import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import t as student

from madpo_theory.simulate.predictions import Estimate
from madpo_theory.theory.bootstrap import resampled_counts

from .second import ARMS, BETAS, BEYOND, HEADLINE, TIERS, spots

__all__ = [
    "NOTHING", "OverCells", "Recorded", "above", "changed", "could_see", "difference",
    "equivalent", "gap", "gap_between", "holm", "inside", "judged_in", "left_out", "mean",
    "monotone", "over_cells", "p_of_zero", "ratio_of_displacement", "share",
]  # fmt: skip

RESAMPLES = 2000
DPO = tuple(f"dpo {beta:g}" for beta in BETAS)
OWN = DPO.index("dpo 0.1")
"""DPO at the beta that the other methods have."""


@dataclass(frozen=True)
class OverCells(Estimate):
    """An :class:`Estimate` of a mean over cells, its `worlds`; interval and tails as said above.

    spread: the standard error by the cells alone. freedom: degrees of freedom of `error`, which is
    that by cells and prompts.
    """

    spread: float = math.nan
    freedom: float = math.nan

    @property
    def scales(self):
        """(degrees of freedom, standard error) of both."""
        return (self.worlds - 1, self.spread), (self.freedom, self.error)

    def widest(self, *levels):
        """The sum of Student's quantiles at some levels times the standard error: the larger."""
        return max(sum(student.ppf(levels, df)) * error for df, error in self.scales)

    def tail(self, distance):
        """How probable a measurement is that lies this far above the truth, or farther."""
        distance = np.asarray(distance)
        return np.max([student.sf(distance / error, df) for df, error in self.scales if error], 0)

    def times(self, factor):
        """The estimate in another unit, factor > 0."""
        names = ("value", "low", "high", "error", "spread", "most")
        return replace(self, **{name: getattr(self, name) * factor for name in names})


NOTHING = OverCells(math.nan, math.nan, math.nan, 0)


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
    def ceiling(self):
        """The highest reward of any text: so much, at most, could a method's mean have been."""
        tables = self.tables.prompts, self.tables.texts
        return float(max(table["reward"].max() for table in tables))

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


def over_cells(parts, ceiling=None):
    """:class:`OverCells` of a mean over cells.

    Parameters
    ----------
    parts : one (values (rows, n), statistic of means (..., n) -> (...,)) for each cell; cells where
        the statistic is not finite are left out. Fewer than two: nothing is measured.
    ceiling : the reward that no text exceeds, where the first column of values is a reward of which
        more is as much more of the statistic.
    """
    found = []
    for values, statistic in parts:
        means = values.mean(axis=0)
        value = float(statistic(means))
        if math.isfinite(value):
            found.append((value, statistic(_draws(len(values)) @ values), len(values), means[0]))
    if len(found) < 2:
        return NOTHING
    cells = len(found)
    values, resampled, rows, first = (np.array(column) for column in zip(*found, strict=True))
    known = np.isfinite(resampled)  # a resample may leave the curve
    means = np.where(known, resampled, 0).sum(0) / np.maximum(known.sum(0), 1)
    of_prompts = float(means[known.any(0)].var())
    of_cells = float(values.var(ddof=1)) / cells
    below = of_cells**2 / (cells - 1) + of_prompts**2 / (rows.min() - 1)
    freedom = (of_cells + of_prompts) ** 2 / below if below > 0 else cells - 1.0
    value = float(values.mean())
    most = math.inf if ceiling is None else value + float(ceiling - first.mean())
    error = math.sqrt(of_cells + of_prompts)
    estimate = OverCells(value, value, value, cells, error, most, math.sqrt(of_cells), freedom)
    half = float(estimate.widest(0.975))
    return replace(estimate, low=value - half, high=value + half)


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


def above(means):
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


def _sides(recorded, arm, tiers, beyond):
    """{cell: -1, 0 or 1 as an arm's KL lies below DPO's, within or above}."""
    found = {
        cell: v.mean(axis=0)[1::2] for cell, v in _gap_parts(recorded, arm, tiers, 1.0, beyond)
    }
    return {cell: int(own > max(line)) - int(own < min(line))
            for cell, (own, *line) in found.items()}  # fmt: skip


def inside(recorded, arm, tiers=TIERS, *, beyond=False):
    """Of the cells that have both: (in how many an arm's KL lies within DPO's, below it, above).

    `beyond` as for :func:`gap`.
    """
    sides = list(_sides(recorded, arm, tiers, beyond).values())
    return sides.count(0), sides.count(-1), sides.count(1)


def judged_in(recorded, arm, *, beyond=False):
    """The tiers in which an arm's KL lies within DPO's in a cell at least, in order."""
    sides = _sides(recorded, arm, TIERS, beyond)
    return tuple(tier for tier in TIERS if any(
        side == 0 for (where, _), side in sides.items() if where == tier
    ))  # fmt: skip


def mean(recorded, arm, tier, column):
    """Mean over the seeds of a tier of an arm's reward (column 0) or KL (1)."""
    cells = recorded.cells(arm, tiers=(tier,))
    return float(np.mean([recorded.of(arm, cell)[:, column].mean() for cell in cells]))


def gap(arm, *, tiers=TIERS, temperature=1.0, beyond=False, less=0.0, by_seed=False):
    """Measure: an arm's reward at equal KL, at a decoding temperature.

    Parameters
    ----------
    beyond : DPO's line goes on through those of its runs :data:`~.second.BEYOND` that a cell has;
        there are none with noisy labels.
    less : this share of what the arm earns over DPO at beta 0.1 is taken away. With 1 the negative
        of what DPO's line earns from that KL to the arm's is left.
    by_seed : every seed is one cell, its tiers averaged: they share a model.
    """

    def of_cell(m):
        return above(m) - less * (m[..., 0] - m[..., 2 + 2 * OWN])

    def mean_of_cells(m, count):
        return np.mean([of_cell(part) for part in np.split(m, count, -1)], axis=0)

    def measure(recorded):
        key = arm, tuple(tiers), temperature, beyond
        if (*key, less, by_seed) not in recorded.found:
            cells = {}
            for cell, values in _gap_parts(recorded, *key):
                cells.setdefault(cell[1] if by_seed else cell, []).append(values)
            recorded.found[*key, less, by_seed] = over_cells(
                [(np.hstack(parts), functools.partial(mean_of_cells, count=len(parts)))
                 for parts in cells.values()],
                None if by_seed else recorded.ceiling,
            )  # fmt: skip
        return recorded.found[*key, less, by_seed]

    return measure


def gap_between(arm, other, *, tiers=TIERS):
    """Measure: difference of two arms' rewards at equal KL, paired."""

    def measure(recorded):
        curve, parts = _curve(arm), []
        for cell in recorded.cells(arm, other, *curve, tiers=tiers):
            values = np.hstack([recorded.of(name, cell) for name in (arm, other, *curve)])

            def both(m):
                return above(np.delete(m, [2, 3], -1)) - above(m[..., 2:])

            parts.append((values, both))
        return over_cells(parts, recorded.ceiling)

    return measure


def left_out(recorded, tiers=TIERS, betas=BETAS[1:-1]):
    """How much DPO's own runs lie above the curve through the others: the line's bias.

    Mean over cells of the mean over some of the inner beta, each left out in turn.
    """

    def bias(m):
        gaps = []
        for i in map(BETAS.index, betas):
            own = m[..., 2 * i : 2 * i + 2]
            rest = np.delete(m, [2 * i, 2 * i + 1], -1)
            gaps.append(above(np.concatenate([own, rest], -1)))
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
        parts = [
            (np.hstack([recorded.of(name, cell, temperature) for name in (arm, other)]), statistic)
            for cell in recorded.cells(arm, other, tiers=tiers)
        ]
        return over_cells(parts, recorded.ceiling if what == "reward" else None)

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
    return float(2 * found.tail(abs(found.value)))


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
    return float(found.widest(0.975, 0.8))
