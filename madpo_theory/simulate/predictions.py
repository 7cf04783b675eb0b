"""Predictions as data: written down before a study runs, judged by its table alone.

A :class:`Prediction` says which quantity of a study's table is predicted, the interval it should
lie in, and where that comes from. :func:`judge` measures it with a 95 % interval over worlds::

    Prediction("n1", "slope of ...", (0.9, 1.1), "R1: ...", lambda table: estimate(...))

It holds if the measured interval lies inside the predicted one, fails if the two do not meet, and
is undecided in between: more worlds would tell.
"""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from ..files import write_text
from ..theory.bootstrap import percentiles, resampled_counts

__all__ = [
    "Estimate",
    "Judgement",
    "Prediction",
    "estimate",
    "judge",
    "matrix",
    "slope",
    "told",
    "worst",
    "write_judgements",
]

RESAMPLES = 4000


@dataclass(frozen=True)
class Estimate:
    """A measured number, its 95 % interval over worlds (NaN: none was measured), their number."""

    value: float
    low: float
    high: float
    worlds: int

    def __format__(self, form):
        """``f"{found:+.2f}"`` is the number with its interval, each in that form."""
        if math.isnan(self.value):
            return "(not measured)"
        return f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}]"


@dataclass(frozen=True)
class Prediction:
    """What a study should find.

    Attributes
    ----------
    id : short and unique in its study.
    quantity : what is measured, in words, with its unit.
    predicted : (low, high), either of them may be infinite; both ends count as inside.
    derivation : the statement it follows from, and how.
    measure : the study's table, a pandas.DataFrame -> :class:`Estimate`.
    """

    id: str
    quantity: str
    predicted: tuple
    derivation: str
    measure: Callable

    def __post_init__(self):
        low, high = self.predicted
        if not low <= high:
            raise ValueError(f"predicted = {self.predicted} must be (low, high), low <= high")


@dataclass(frozen=True)
class Judgement:
    """A prediction and what became of it; verdict: holds, fails, undecided or not measured."""

    id: str
    quantity: str
    predicted: tuple
    derivation: str
    measured: float
    interval: tuple
    worlds: int
    verdict: str


def judge(predictions, table):
    """A :class:`Judgement` of every prediction by the table (pandas.DataFrame) of its study."""
    return [_judged(prediction, prediction.measure(table)) for prediction in predictions]


def _judged(prediction, found):
    low, high = prediction.predicted
    if not all(map(math.isfinite, (found.value, found.low, found.high))):
        verdict = "not measured"
    elif low <= found.low and found.high <= high:
        verdict = "holds"
    else:
        verdict = "fails" if found.high < low or high < found.low else "undecided"
    return Judgement(
        prediction.id,
        prediction.quantity,
        (low, high),
        prediction.derivation,
        found.value,
        (found.low, found.high),
        found.worlds,
        verdict,
    )


# --------------------------------------------------------------------------------- measuring


def matrix(table, value, over, **where):
    """Values of a column as (worlds, levels of `over` ascending), and the levels.

    Rows that match every ``column=value``; a world that lacks one of the levels, or where the value
    is NaN, as it is where a solver has not converged, is left out whole. Several rows of a world
    and level are a mistake: name more columns.
    """
    rows = table
    for column, wanted in where.items():
        rows = rows[rows[column] == wanted]
    wide = rows.pivot(index="world", columns=over, values=value).dropna()
    return wide.to_numpy(dtype=float), wide.columns.to_numpy()


def estimate(values, statistic=lambda means: means[..., 0]):
    """A statistic of the means over worlds, with the percentile bootstrap's 95 % interval.

    Parameters
    ----------
    values : (worlds, n), or (worlds,) for n = 1; NaN if no world is left.
    statistic : (..., n) means -> (...,).

    The resamples are the same in every call.
    """
    values = np.asarray(values, dtype=float)
    values = values[:, None] if values.ndim == 1 else values
    count = len(values)
    if count < 2:
        return Estimate(math.nan, math.nan, math.nan, count)
    draws = resampled_counts(np.random.default_rng(0), count, RESAMPLES)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(statistic(values.mean(axis=0)))
        resampled = statistic(draws @ values / count)
    return Estimate(value, *percentiles(resampled), count)


def worst(excess):
    """The largest of many numbers, for predictions of every world; it has no interval."""
    excess = np.asarray(excess, dtype=float).ravel()
    largest = float(np.max(excess)) if len(excess) and np.isfinite(excess).all() else math.nan
    return Estimate(largest, largest, largest, len(excess))


def slope(levels):
    """Statistic for :func:`estimate`: least-squares slope of log mean against log level."""
    x = np.log(np.asarray(levels, dtype=float))
    x = x - x.mean()
    return lambda means: np.log(means) @ x / (x @ x)


def write_judgements(path, judgements, **about):
    """Judgements as JSON: a list or, where there is more to say of the run, an object with it."""
    rows = [
        {key: _plain(value) for key, value in asdict(judgement).items()} for judgement in judgements
    ]
    told = about | {"predictions": rows} if about else rows
    return write_text(path, json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def told(row):
    """Prediction and measurement of a row of :func:`write_judgements`, as text."""
    low, high = (
        sign * math.inf if end is None else end
        for sign, end in zip((-1, 1), row["predicted"], strict=True)
    )
    predicted = f"in [{low:.4g}, {high:.4g}]"
    if math.isinf(low) or math.isinf(high):
        predicted = f"at most {high:.4g}" if math.isinf(low) else f"at least {low:.4g}"
    if row["measured"] is None:
        return f"predicted {predicted}, not measured"
    ends = [end for end in row["interval"] if end is not None]
    interval = "" if len(set(ends)) < 2 else f" [{ends[0]:.4g}, {ends[1]:.4g}]"
    return f"predicted {predicted}, measured {row['measured']:.4g}{interval}"


def _plain(value):
    """JSON knows no infinity and no NaN: both are null."""
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
