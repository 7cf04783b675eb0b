"""What a weight does to the pairs of a sketch, and to targets at large."""

import functools
import math
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import brentq

from .. import order
from ..ops import numpy_world
from ..schedule import LARGEST, MarginSchedule
from ..targets import effective_target
from ..theory.efficiency import effective_sample_size
from ..theory.temperature import match_temperature
from ..weights import Weighting, log_weight, log_weight_ratio, weighting_named, weighting_of
from .sketch import size_breaks

__all__ = [
    "Effect",
    "Stretch",
    "asked_weighting",
    "effect",
    "falling_stretches",
    "label_of",
    "name_of",
    "robustness",
    "suppressed_where",
]

TOLERANCE, BOXES = 1e-4, 2000
"""Of certified suprema: their width, and the boxes that they may take."""
REACH = 60.0
"""Size of margins, nats, that is looked at whatever the schedule."""
HALF = 0.5
"""A pair whose weight is below this is called suppressed."""


def asked_weighting(weight, schedule, **settings):
    """(weighting, schedule that it was made from, or None) of what a user asked for.

    `weight` is a name in WEIGHTS or path/to/file.py:Class, made with the schedule and the settings
    of its kind, or a Weighting or MarginSchedule, which is taken as it is.
    """
    if not isinstance(weight, str):
        weighting = weighting_of(weight)
        return weighting, getattr(weighting, "schedule", None)
    try:
        return weighting_named(weight, schedule, **settings), schedule
    except TypeError as error:
        given = "".join(f", {name} = {value!r}" for name, value in settings.items())
        raise ValueError(
            f"weight = {weight!r} cannot be made with a schedule alone{given} ({error}); leave out "
            "what it does not have, or make it in Python and pass it as weight"
        ) from error


def name_of(weighting):
    """The name that a weight's own class is registered under, or that of the class."""
    return vars(type(weighting)).get("name") or type(weighting).__name__


def label_of(weighting):
    """How pages and tables show a weight."""
    return vars(type(weighting)).get("label") or name_of(weighting)


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
    kind : its name in WEIGHTS, or that of its class; schedule : the schedule it was made from, or
        None.
    mean, smallest, largest : of the weights of the pairs.
    ess : effective share of the pairs, (sum w)^2/(n sum w^2): how unequal the weights are. It is
        not what error bars follow from (R6).
    suppressed : share of the pairs with a weight below 1/2; suppressed_where : those margins.
    falls : the stretches on which the target falls, a tuple of :class:`Stretch`.
    sensitivity : L, nats of target per nat of reward-model error at worst (R1).
    influence : D, nats that the worst reward model moves a target (R2); None: no bound (N3).
    certified : whether L and D are upper ends of certified enclosures over all margins.
    known : how L and D are known: "certified"; "|h| <= 60", certified on these margins alone; or
        "measured", on a grid.
    influence_here : most nats that a target of these pairs is moved.
    rho, distance : DPO(beta/rho) has the nearest targets, and is off by this relative distance
        (L5), the reward model taken as exact; None if all margins are 0.
    dpo_beta : beta/rho.
    target_change : mean over the pairs of |target - published target|, nats.
    """

    kind: str
    schedule: MarginSchedule | None
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
    known: str
    influence_here: float
    rho: float | None
    distance: float | None
    dpo_beta: float | None
    target_change: float
    weighting: Weighting = field(repr=False)

    @property
    def label(self):
        """How pages and tables show it."""
        return label_of(self.weighting)

    @property
    def falling_share(self):
        """Share of the pairs in any of the stretches."""
        return sum(stretch.share for stretch in self.falls)


def effect(sketch, weighting, schedule, *, beta):
    """The :class:`Effect` of a weight on the pairs of a :class:`~.sketch.MarginSketch`.

    `schedule` is the one that the weight was made from, or is compared with: its published target
    is the measure of change, and where it bends the margins are looked at closely.

    Means are those over the sketch's cells; see there for their accuracy. The smallest and the
    largest weight are those of cells' means.
    """
    weighting = weighting_of(weighting)
    h, n = sketch.margins, sketch.counts
    logs, shift = log_weight(h, weighting), log_weight_ratio(h, weighting)
    with np.errstate(over="ignore"):  # the efficient weight of a pair may be e^D
        weights = np.exp(logs)
    where = suppressed_where(weighting, schedule)
    match = match_temperature(h, weighting, n) if h.any() else None
    return Effect(
        name_of(weighting),
        schedule,
        mean=sketch.mean(weights),
        smallest=float(weights.min()),
        largest=float(weights.max()),
        ess=effective_sample_size(np.exp(logs - logs.max()), n) / sketch.pairs,
        suppressed=sum(sketch.share(low, high) for low, high in where),
        suppressed_where=where,
        falls=stretches_of(sketch, weighting, schedule),
        **robustness(weighting, schedule),
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


def breaks_of(schedule, weightings):
    """The margins at which the schedule's regimes and the shares of :func:`effect` change."""
    found = [schedule.tau, -schedule.tau, np.nextafter(-schedule.tau, 0)]
    for weighting in weightings:
        found += [at for bounds in suppressed_where(weighting, schedule) for at in bounds]
        for stretch in falling_stretches(weighting, schedule):
            found += size_breaks((stretch.start, stretch.end))
    return [at for at in found if np.isfinite(at)]


# --- where ----------------------------------------------------------------------------------------


def _sizes(schedule):
    """Sizes of margins, 0 and tau among them, dense where the schedule bends."""
    tau, bend = float(schedule.tau), 60.0 / float(schedule.lam)
    near = np.geomspace(1e-9, 1.0, 2049)
    sizes = [np.linspace(0, tau, 4097), tau * near, tau * (1 - near), tau + bend * near]
    sizes.append(np.linspace(0, REACH, 6001))
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


@functools.lru_cache(maxsize=256)
def robustness(weighting, schedule):
    """L and D of a weight, and how they are known; D is None where it has no bound.

    Upper ends of enclosures over all margins if the weight bounds its own tail, and over
    |h| <= REACH if not; where these take more than BOXES boxes, measured on grids.
    """
    from ..certify import QUANTITIES, InfiniteSupremum, supremum

    def enclosed(name):
        try:
            return supremum(
                QUANTITIES[name], weighting, tolerance=TOLERANCE, limit=BOXES, reach=REACH
            )
        except InfiniteSupremum:
            return None

    try:
        steepest, widest = enclosed("sensitivity"), enclosed("influence")
    except RuntimeError:
        return _measured(weighting, schedule)
    certified = all(found.tail for found in (steepest, widest) if found is not None)
    return {
        "sensitivity": math.inf if steepest is None else steepest.upper,
        "influence": None if widest is None else widest.upper,
        "certified": certified,
        "known": "certified" if certified else f"|h| <= {REACH:g}",
    }


def _measured(weighting, schedule):
    """L and D over REACH, four taus and some, on grids as fine as the schedule bends."""
    tau, bend = schedule.tau, 60 / schedule.lam
    slopes, shifts = [], []
    for low, high in (
        (0.0, 4 * tau + bend),
        (max(tau - bend, 0.0), tau + bend),
        (0.0, tau / 100),
        (0.0, REACH),
    ):
        u = np.unique(np.linspace(low, high, 100_001))
        shift = log_weight_ratio(u, weighting)
        slopes.append(np.abs(np.diff(shift) / np.diff(u)).max())
        shifts.append(np.abs(shift).max())
    unbounded = weighting.tail(numpy_world, "influence", REACH) == math.inf
    return {
        "sensitivity": float(max(slopes)),
        "influence": None if unbounded else float(max(shifts)),
        "certified": False,
        "known": "measured",
    }
