"""Predictions as data: written down before a study runs, judged by its table alone.

A :class:`Prediction` says which quantity of a study's table is predicted, the interval it should
lie in, where that comes from, and what rivals say of the same quantity. :func:`judge` measures it
with a 95 % interval over worlds::

    rivals = dict(no_effect=Rival(0), paper=Rival(None, "names no rate"))
    Prediction("n1", "slope of ...", (0.9, 1.1), "R1: ...", lambda table: estimate(...), rivals)

It holds if the measured interval lies inside the predicted one, fails if the two do not meet, and
is undecided in between: more worlds would tell. What it decided between prediction and rivals,
:func:`probability` says: how probable the measurement was under each.
"""

import functools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
from scipy.special import stdtr

from ..files import write_text
from ..theory.bootstrap import percentiles, resampled_counts

__all__ = [
    "Estimate",
    "Judgement",
    "Prediction",
    "Rival",
    "estimate",
    "exact",
    "judge",
    "matrix",
    "probability",
    "slope",
    "survivors",
    "told",
    "told_probability",
    "told_rival",
    "worst",
    "write_judgements",
]

RESAMPLES = 4000
FLOOR = 1e-12
"""Smaller probabilities are told as this one: so far out a tail is the distribution's guess."""
REFUTED = 1e-3
"""Less probable is refuted. Of a hundred rivals that are right one is so in one case of ten."""


@dataclass(frozen=True)
class Estimate:
    """A measured number, its 95 % interval over worlds (NaN: none was measured), their number.

    error: its standard error over worlds; 0 if it was not sampled, NaN if that is not known.
    most: the largest that it could have come to, whatever the truth.
    """

    value: float
    low: float
    high: float
    worlds: int
    error: float = math.nan
    most: float = math.inf

    def tail(self, distance):
        """How probable a measurement is that lies this far above the truth, or farther."""
        return stdtr(self.worlds - 1, -np.asarray(distance) / self.error)

    def __format__(self, form):
        """``f"{found:+.2f}"`` is the number with its interval, each in that form."""
        if math.isnan(self.value):
            return "(not measured)"
        return f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}]"


@dataclass(frozen=True)
class Rival:
    """What another theory says of a predicted quantity.

    Attributes
    ----------
    predicted : a number or (low, high), as in :class:`Prediction`; None if it says nothing.
    because : in a word, what that follows from, or why there is nothing.
    """

    predicted: float | tuple | None
    because: str = ""

    def __post_init__(self):
        if self.predicted is not None:
            object.__setattr__(self, "predicted", _ends(self.predicted))


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
    rivals : name -> :class:`Rival`. The studies here have two: ``no_effect``, that weights move
        nothing, errors of the reward model cost nothing and methods do not differ; and ``paper``,
        the abstract of arXiv 2510.05342 (A1 to A7) without exceptions that it does not make.
    """

    id: str
    quantity: str
    predicted: tuple
    derivation: str
    measure: Callable
    rivals: Mapping = field(default_factory=dict)

    def __post_init__(self):
        _ends(self.predicted)


def _ends(predicted):
    """(low, high) of a number or of a pair."""
    low, high = np.broadcast_to(predicted, 2).tolist()
    if not low <= high or (low, high) == (-math.inf, math.inf):
        raise ValueError(
            f"predicted = {predicted} must be a number or (low, high), low <= high, with one end "
            "finite: what forbids nothing predicts nothing"
        )
    return low, high


@dataclass(frozen=True)
class Judgement:
    """A prediction and what became of it; verdict: holds, fails, undecided or not measured.

    If it has rivals: the :func:`probability` of the measurement under the prediction, and name ->
    {predicted, because, probability} of each rival; a rival that allows only what the measurement
    could not have come to, whatever the truth, has "impossible": True.
    """

    id: str
    quantity: str
    predicted: tuple
    derivation: str
    measured: float
    interval: tuple
    worlds: int
    verdict: str
    probability: float | None = None
    rivals: dict | None = None


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
    rivals = {
        name: asdict(rival)
        | {"probability": probability(found, rival.predicted)}
        | ({"impossible": True} if rival.predicted and rival.predicted[0] > found.most else {})
        for name, rival in prediction.rivals.items()
    }
    return Judgement(
        prediction.id,
        prediction.quantity,
        (low, high),
        prediction.derivation,
        found.value,
        (found.low, found.high),
        found.worlds,
        verdict,
        *((probability(found, prediction.predicted), rivals) if rivals else ()),
    )


def probability(found, predicted):
    """How probable a measurement at least as far outside (low, high) was, were the truth inside.

    1 if the value lies inside. Else, d nats or whatever its unit is outside, with standard error s,

        p = S(d/s) + S((d + high - low)/s),

    S the upper tail of Student's t with worlds - 1 degrees of freedom, or the estimate's own
    :meth:`~Estimate.tail`: the truth is taken to be at the nearer end, where such a measurement is
    likeliest, and either side counts, so that a number has two tails and a half-line one. Assumes
    independent worlds, enough of them for a statistic of their means to be normal, with the
    bootstrap's error; at least :data:`FLOOR`, which stands for all that is smaller. What was not
    sampled (s = 0) is 0 or 1. NaN: not measured; None: nothing was predicted.
    """
    if predicted is None:
        return None
    low, high = predicted
    if math.isnan(found.value):
        return math.nan
    if low <= found.value <= high:
        return 1.0
    if found.error == 0:
        return 0.0
    outside = max(low - found.value, found.value - high)
    tails = found.tail([outside, outside + high - low])
    return float(np.maximum(FLOOR, tails.sum()))


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


@functools.lru_cache(maxsize=4)
def _draws(worlds):
    return resampled_counts(np.random.default_rng(0), worlds, RESAMPLES)


def estimate(values, statistic=lambda means: means[..., 0]):
    """A statistic of the means over worlds, with the percentile bootstrap's 95 % interval.

    Its standard error is the resamples' standard deviation times sqrt(worlds/(worlds - 1)): of a
    mean, the usual one.

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
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(statistic(values.mean(axis=0)))
        resampled = statistic(_draws(count) @ values / count)
        error = float(np.std(resampled) * math.sqrt(count / (count - 1)))
    return Estimate(value, *percentiles(resampled), count, error)


def exact(value, worlds):
    """The :class:`Estimate` of a number that was not sampled: it is its own interval."""
    return Estimate(value, value, value, worlds, 0.0)


def worst(excess):
    """The largest of many numbers, :func:`exact`, for predictions of every world."""
    excess = np.asarray(excess, dtype=float).ravel()
    largest = float(np.max(excess)) if len(excess) and np.isfinite(excess).all() else math.nan
    return exact(largest, len(excess))


def slope(levels):
    """Statistic for :func:`estimate`: least-squares slope of log mean against log level."""
    x = np.log(np.asarray(levels, dtype=float))
    x = x - x.mean()
    return lambda means: np.log(means) @ x / (x @ x)


def write_judgements(path, judgements, **about):
    """Judgements as JSON: a list or, where there is more to say of the run, an object with it."""
    rows = [
        {key: _plain(value) for key, value in asdict(judgement).items() if value is not None}
        for judgement in judgements
    ]
    told = about | {"predictions": rows} if about else rows
    return write_text(path, json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def _plain(value):
    """JSON knows no infinity and no NaN: both are null."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ----------------------------------------------------- reading the rows of :func:`write_judgements`


def survivors(row, rival):
    """Whether the measurement refuted neither (prediction, rival); None: it says nothing there."""
    found = [row.get("probability"), row.get("rivals", {}).get(rival, {}).get("probability")]
    return None if None in found else tuple(p >= REFUTED for p in found)


def told(row):
    """Prediction and measurement, as text."""
    predicted = f"predicted {_told_ends(row['predicted'])}"
    if row["measured"] is None:
        return f"{predicted}, not measured"
    ends = [end for end in row["interval"] if end is not None]
    interval = "" if len(set(ends)) < 2 else f" [{ends[0]:.4g}, {ends[1]:.4g}]"
    return f"{predicted}, measured {row['measured']:.4g}{interval}"


def told_rival(rival):
    """What a rival says of it and how probable the measurement was under that, as text."""
    because = f"({rival['because']})" if rival["because"] else ""
    if rival["predicted"] is None:
        return because
    p = told_probability(rival["probability"])
    return f"{_told_ends(rival['predicted'])} — {p} {because}".rstrip()


def told_probability(p):
    """p = 0.02 or, where it was floored, p < 1e-12."""
    if p is None:
        return "not measured"
    return f"p < {FLOOR:g}" if 0 < p <= FLOOR else f"p = {p:.2g}"


def _told_ends(predicted):
    low, high = predicted
    if low is None or high is None:
        return f"at most {high:.4g}" if low is None else f"at least {low:.4g}"
    return f"in [{low:.4g}, {high:.4g}]" if low < high else f"{low:.4g}"
