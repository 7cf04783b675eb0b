"""What a weight does to the pairs of a sketch, and to targets at large."""

import functools
import math
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
from scipy.optimize import brentq

from .. import order
from ..schedule import LARGEST, MarginSchedule
from ..targets import effective_target
from ..theory.efficiency import effective_sample_size
from ..theory.temperature import match_temperature
from ..weights import (
    BoundedRatioWeight,
    EfficientWeight,
    PowerTarget,
    TargetShapedWeight,
    Weighting,
    log_weight,
    log_weight_ratio,
)
from .sketch import size_breaks

__all__ = ["KINDS", "Effect", "Stretch", "effect", "falling_stretches", "weighting_of_kind"]

KINDS = ("published", "bounded-ratio", "target-shaped", "efficient")
TOLERANCE, BOXES, SPAN = 1e-4, 2000, 1000.0
"""Of certified suprema: their width, and the boxes and nats of tau or 1/lam that they may take."""
HALF = 0.5
"""A pair whose weight is below this is called suppressed."""


def weighting_of_kind(kind, schedule, *, gamma=0.5):
    """The weight called `kind`, one of KINDS, of a schedule.

    The target-shaped one keeps the target at tau and amplifies by c_max at 0, with exponent
    `gamma` (:class:`~madpo_theory.PowerTarget`).
    """
    if kind not in KINDS:
        raise ValueError(f"kind = {kind!r} must be one of {', '.join(KINDS)}; choose one")
    if kind == "target-shaped":
        return TargetShapedWeight(PowerTarget.with_slope(schedule.tau, gamma, schedule.c_max))
    plain = {"published": lambda s: s, "bounded-ratio": BoundedRatioWeight}
    return plain.get(kind, EfficientWeight)(schedule)


@dataclass(frozen=True)
class Stretch:
    """Sizes of margins on which the target falls: an easier pair gets a smaller one (T5).

    Attributes
    ----------
    start, end : nats, to 1e-6; end may be inf.
    drop : by how much the target falls from start to end, nats.
    share : share of the pairs with a margin of such a size.
    """

    start: float
    end: float
    drop: float
    share: float = math.nan


@dataclass(frozen=True)
class Effect:
    """What a weight does.

    Attributes
    ----------
    kind : its name in KINDS; schedule : the schedule it was made from.
    mean, smallest, largest : of the weights of the pairs.
    ess : effective share of the pairs, (sum w)^2/(n sum w^2): how unequal the weights are. It is
        not what error bars follow from (R6).
    suppressed : share of the pairs with a weight below 1/2; suppressed_where : those margins.
    falls : the stretches on which the target falls, a tuple of :class:`Stretch`.
    sensitivity : L, nats of target per nat of reward-model error at worst (R1).
    influence : D, nats that the worst reward model moves a target (R2); None: no bound (N3).
    certified : whether L and D are upper ends of certified enclosures, rather than measured on a
        grid.
    influence_here : most nats that a target of these pairs is moved.
    rho, distance : DPO(beta/rho) has the nearest targets, and is off by this relative distance
        (L5), the reward model taken as exact; None if all margins are 0.
    dpo_beta : beta/rho.
    target_change : mean over the pairs of |target - published target|, nats.
    """

    kind: str
    schedule: MarginSchedule
    mean: float
    smallest: float
    largest: float
    ess: float
    suppressed: float
    suppressed_where: tuple
    falls: tuple
    sensitivity: float
    influence: float | None
    certified: bool
    influence_here: float
    rho: float | None
    distance: float | None
    dpo_beta: float | None
    target_change: float
    weighting: Weighting | MarginSchedule = field(repr=False)

    @property
    def falling_share(self):
        """Share of the pairs in any of the stretches."""
        return sum(stretch.share for stretch in self.falls)


def effect(sketch, kind, schedule, *, beta, gamma=0.5):
    """The :class:`Effect` of a weight on the pairs of a :class:`~.sketch.MarginSketch`.

    Means are those over its cells; see there for their accuracy. The smallest and the largest
    weight are those of cells' means.
    """
    weighting = weighting_of_kind(kind, schedule, gamma=gamma)
    h, n = sketch.margins, sketch.counts
    logs, shift = log_weight(h, weighting), log_weight_ratio(h, weighting)
    with np.errstate(over="ignore"):  # the efficient weight of a pair may be e^D
        weights = np.exp(logs)
    where = suppressed_where(weighting, schedule)
    match = match_temperature(h, weighting, n) if h.any() else None
    return Effect(
        kind,
        schedule,
        mean=sketch.mean(weights),
        smallest=float(weights.min()),
        largest=float(weights.max()),
        ess=effective_sample_size(np.exp(logs - logs.max()), n) / sketch.pairs,
        suppressed=sum(sketch.share(low, high) for low, high in where),
        suppressed_where=where,
        falls=stretches_of(sketch, weighting, schedule),
        **robustness(kind, schedule, weighting),
        influence_here=float(np.abs(shift).max()),
        rho=match and match.rho,
        distance=match and match.distance,
        dpo_beta=match and beta / match.rho,
        target_change=sketch.mean(np.abs(shift - log_weight_ratio(h, schedule))),
        weighting=weighting,
    )


def stretches_of(sketch, weighting, schedule):
    """:func:`falling_stretches` with the share of the pairs that lie on each."""
    return tuple(
        replace(fall, share=sketch.share_of_sizes(fall.start, fall.end))
        for fall in falling_stretches(weighting, schedule)
    )


def breaks_of(schedule, *, gamma=0.5):
    """The margins at which the shares of :func:`effect` change, for a schedule's four weights."""
    found = [schedule.tau, -schedule.tau, np.nextafter(-schedule.tau, 0)]
    for kind in KINDS:
        weighting = weighting_of_kind(kind, schedule, gamma=gamma)
        found += [at for bounds in suppressed_where(weighting, schedule) for at in bounds]
        for stretch in falling_stretches(weighting, schedule):
            found += size_breaks((stretch.start, stretch.end))
    return [at for at in found if np.isfinite(at)]


# --- where ----------------------------------------------------------------------------------------


def _sizes(schedule):
    """Sizes of margins, 0 and tau among them, dense where the schedule bends."""
    tau, reach = float(schedule.tau), 60.0 / float(schedule.lam)
    near = np.geomspace(1e-9, 1.0, 2049)
    sizes = [np.linspace(0, tau, 4097), tau * near, tau * (1 - near), tau + reach * near]
    return np.unique(np.concatenate(sizes))


@functools.lru_cache(maxsize=256)
def falling_stretches(weighting, schedule):
    """The stretches of sizes of margins on which the target of a weight falls, found on a grid."""
    found = []
    for start, stop in order.falling_stretches(weighting, _sizes(schedule)).tolist():
        top, bottom = (effective_target(x, x, weighting) for x in (start, stop))
        rounding = 1e-9 * (1 + top)
        if bottom < rounding:  # c_min = 0: the target of N1 falls to 0, and turns nowhere
            stop, bottom = math.inf, 0.0
        if top - bottom > rounding:
            found.append(Stretch(start, stop, top - bottom))
    return tuple(found)


@functools.lru_cache(maxsize=256)
def suppressed_where(weighting, schedule):
    """Intervals (low, high) of margins with a weight below 1/2; an end may be infinite."""
    u = _sizes(schedule)
    u = np.concatenate([u, np.geomspace(u[-1], max(LARGEST, 2 * u[-1]), 513)[1:]])
    h = np.concatenate([-u[:0:-1], u])

    def above(h):
        return log_weight(h, weighting) - math.log(HALF)

    low = above(h) < 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], low, [False]])))

    def crossing(k):  # between h[k - 1] and h[k]
        if k == 0 or k == len(h):
            return math.copysign(math.inf, h[min(k, len(h) - 1)])
        return float(brentq(lambda x: above(float(x)), h[k - 1], h[k], xtol=1e-12))

    return tuple((crossing(a), crossing(b)) for a, b in edges.reshape(-1, 2))


def largest_shift(schedule):
    """D of a schedule's published weight, measured on a grid."""
    return float(np.abs(log_weight_ratio(_sizes(schedule), schedule)).max())


def robustness(kind, schedule, weighting):
    """L and D of a weight: certified if a tail bound is known, and it takes not too many boxes."""
    bounded = kind in ("published", "efficient")  # which have the same ratios, so the same L and D
    found = None if kind == "target-shaped" else _certified(schedule, bounded)
    certified = found is not None
    sensitivity, influence = found if certified else _measured(schedule, weighting)
    return {
        "sensitivity": sensitivity,
        "influence": influence if bounded else None,
        "certified": certified,
    }


@functools.lru_cache(maxsize=64)
def _certified(schedule, bounded):
    """Upper ends of L and of D (None unless `bounded`), of the very floats given; or None."""
    from ..certify import QUANTITIES, supremum

    if max(schedule.tau, 1 / schedule.lam) > SPAN:
        return None
    exact = MarginSchedule(
        *(Fraction(v) for v in (schedule.c_max, schedule.c_min, schedule.lam, schedule.tau))
    )
    exact = exact if bounded else BoundedRatioWeight(exact)
    try:
        upper = [
            supremum(QUANTITIES[name], exact, tolerance=TOLERANCE, limit=BOXES).upper
            for name in ("sensitivity", "influence")[: 1 + bounded]
        ]
    except RuntimeError:
        return None
    return (*upper, None)[:2]


def _measured(schedule, weighting):
    """L and D over four taus and some, on grids as fine as the schedule bends."""
    tau, bend = schedule.tau, 60 / schedule.lam
    slopes, shifts = [], []
    for low, high in (
        (0.0, 4 * tau + bend),
        (max(tau - bend, 0.0), tau + bend),
        (0.0, tau / 100),
    ):
        u = np.unique(np.linspace(low, high, 100_001))
        shift = log_weight_ratio(u, weighting)
        slopes.append(np.abs(np.diff(shift) / np.diff(u)).max())
        shifts.append(np.abs(shift).max())
    return float(max(slopes)), float(max(shifts))
