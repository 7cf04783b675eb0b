"""What a method does to the pairs of a sketch, and to targets at large; a weight is one of DPO."""

import functools
import math
from dataclasses import dataclass, field, fields, is_dataclass, replace

import numpy as np

from .. import order
from ..methods import Madpo, Method
from ..methods.slots import slot_slope
from ..ops import numpy_world
from ..registry import in_user_file
from ..schedule import LARGEST, MarginSchedule
from ..theory.comparison import apart, largest_pull
from ..theory.efficiency import effective_sample_size
from ..theory.temperature import match_targets
from ..weights import log_weight, log_weight_ratio, weighting_named, weighting_of
from .sketch import size_breaks

__all__ = [
    "Effect",
    "Stretch",
    "asked_weighting",
    "effect",
    "falling_stretches",
    "floats",
    "robustness",
    "schedule_in",
    "suppressed_where",
    "targets_at",
    "weight_effect",
]

TOLERANCE, BOXES = 1e-4, 2000
"""Of certified suprema: their width, and the boxes that they may take."""
REACH = 60.0
"""Size of margins, nats, that is looked at whatever the schedule."""
HALF = 0.5
"""A pair whose weight is below this is called suppressed."""
MOVED = 0.1
"""Nats by which a target must differ from DPO's for its pair to be called moved."""
LEVEL = 1e-3
"""Nats by which a target that has levelled off may still grow."""
DEEP = 700.0
"""Size of margins, nats, beyond which a probability is below float64's smallest number."""


def asked_weighting(weight, schedule, **settings):
    """(weighting, schedule that it was made from, or None) of what a user asked for.

    `weight` is a name in WEIGHTS or path/to/file.py:Class, made with the schedule and the settings
    of its kind, or a Weighting or MarginSchedule, which is taken as it is. ValueError if it has not
    one logarithm a margin.
    """
    if not isinstance(weight, str):
        weighting = weighting_of(weight)
        return tried_weight(weighting), getattr(weighting, "schedule", None)
    try:
        weighting = weighting_named(weight, schedule, **settings)
    except TypeError as error:
        if in_user_file(error):
            raise
        given = "".join(f", {name} = {value!r}" for name, value in settings.items())
        raise ValueError(
            f"weight = {weight!r} cannot be made with a schedule alone{given} ({error}); leave out "
            "what it does not have, or make it in Python and pass it as weight"
        ) from error
    return tried_weight(weighting), schedule


TRIED = np.array([-9.0, -0.5, 0.0, 0.5, 9.0])
"""Margins, nats, at which a weight is tried."""


def tried_weight(weighting):
    """The weighting; ValueError unless log w and log w(h)/w(-h) are one float a margin."""
    for name in ("log_weight", "log_ratio"):
        with np.errstate(all="ignore"):
            found = getattr(weighting, name)(numpy_world, TRIED.copy())
        is_array = isinstance(found, np.ndarray) and found.dtype.kind == "f"
        if not is_array or found.shape != TRIED.shape:
            what = f"an array of shape {found.shape}" if is_array else type(found).__qualname__
            raise ValueError(
                f"{name} of the weight {weighting.title} returns {what} for {len(TRIED)} margins, "
                "and must return one float for each; make it of h and xp's primitives, as in "
                "-xp.softplus(-h), or 0 * h for a constant"
            )
    return weighting


@functools.lru_cache(maxsize=256)
def no_enclosure(weighting):
    """Why L and D of a weight cannot be enclosed, its formula being none of xp's; None if it is."""
    from flint import arb, arb_series

    from ..certify.optimize import OtherWorld, in_arb

    for h in TRIED.tolist():
        try:
            in_arb(log_weight_ratio.formula, arb_series([arb(h), 1], prec=2), weighting)
        except OtherWorld as error:
            return str(error)
        except ValueError:  # a branch point
            continue
    return None


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
    """What a method does; targets are those under an exact reward model unless it says otherwise.

    Attributes
    ----------
    kind, label : the name and the label of the method, or of the weight that it is DPO with.
    schedule : the schedule it was made from, or None.
    mean, smallest, largest : of the weights of the pairs; None, as all that is about weights, where
        the method has none.
    ess : effective share of the pairs, (sum w)^2/(n sum w^2): how unequal the weights are. It is
        not what error bars follow from (R6).
    suppressed : share of the pairs with a weight below 1/2; suppressed_where : those margins.
    falls : the stretches on which the target falls, a tuple of :class:`Stretch`.
    sensitivity : L, nats of target per nat of reward-model error at worst (R1).
    influence : D, nats that the worst reward model moves a target from where it is at h = 0 (R2);
        None: no bound (N3).
    certified : whether L and D are upper ends of certified enclosures over all margins.
    known : how L and D are known: "certified"; "|h| <= 60", certified on these margins alone;
        "searched, |h| <= 60", the largest on a grid; or "takes no margin".
    influence_here : most nats by which the margin of one of these pairs moves its target.
    rho, distance : DPO(beta/rho) has the nearest targets, and is off by this relative distance
        (L5); None if all margins are 0, if a target is infinite, and for a method whose z is not
        DPO's.
    dpo_beta : beta/rho.
    target_change : mean over the pairs of |target - DPO's at the same beta, the margin itself|,
        nats. Of the pairs whose target is finite; None if none is.
    asked_change : the same, of |target - that of the asked schedule's published weight|; None also
        where that is what it is.
    infinite : share of the pairs whose target is infinite, their label trusted without limit.
    moved : share of the pairs whose target is more than 0.1 nats off the margin; amplified,
        dampened : that is larger, smaller than the margin by as much, in size.
    ceiling : the largest target at sizes up to 60 nats; saturates : whether it grows no longer
        beyond half of that.
    first_step : (mean, smallest) of how hard the first step, at z = 0, pushes a pair toward its
        label, DPO's push being 1.
    """

    kind: str
    label: str
    schedule: MarginSchedule | None
    mean: float | None
    smallest: float | None
    largest: float | None
    ess: float | None
    suppressed: float | None
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
    target_change: float | None
    asked_change: float | None
    infinite: float
    moved: float
    amplified: float
    dampened: float
    ceiling: float
    saturates: bool
    first_step: tuple
    method: Method = field(repr=False)

    @property
    def weighting(self):
        """The Weighting of its pairs, or None."""
        return self.method.slot_weighting

    @property
    def falling_share(self):
        """Share of the pairs in any of the stretches."""
        return sum(stretch.share for stretch in self.falls)


def weight_effect(sketch, weighting, schedule, **options):
    """The :func:`effect` of DPO with a weight, under the weight's own name."""
    weighting = weighting_of(weighting)
    found = effect(sketch, Madpo(weighting), schedule, **options)
    return replace(found, kind=weighting.own_name, label=weighting.title)


def effect(sketch, method, schedule, *, beta, against=None):
    """The :class:`Effect` of a method on the pairs of a :class:`~.sketch.MarginSketch`.

    Parameters
    ----------
    schedule : the one that it was made from, or is compared with, or None: where it bends the
        margins are looked at closely.
    beta : temperature that the matched one is relative to.
    against : (cells,) the targets of what was asked for, unless it is that itself.

    Means are those over the sketch's cells; see there for their accuracy. Extremes are those of
    cells' means, and a share is exact up to the pairs of the cell that it ends in.
    """
    h, n = sketch.margins, sketch.counts
    targets = targets_at(method, h)
    finite, grown = np.isfinite(targets), np.abs(targets) - np.abs(h)
    match = None
    if h.any() and finite.all() and "reference" in method.needs and not method.per_token:
        match = match_targets(h, targets, n)

    def change(others):
        if others is None or not finite.any():
            return None
        changes = np.abs(targets - others)[finite]
        return float((n[finite] * changes).sum() / n[finite].sum())

    ceiling, half_way = (
        float(targets_at(method, sizes).max())
        for sizes in (np.linspace(0, reach, 601) for reach in (REACH, REACH / 2))
    )
    pushes = first_pushes(method, h)
    return Effect(
        kind=method.own_name,
        label=method.title,
        schedule=schedule,
        **_of_weights(sketch, method, schedule),
        falls=stretches_of(sketch, method, schedule),
        **robustness(method, schedule),
        influence_here=float(apart(targets, targets_at(method, h, 0 * h)).max()),
        rho=match and match.rho,
        distance=match and match.distance,
        dpo_beta=beta / match.rho if match and match.rho > 0 else None,
        target_change=change(h),
        asked_change=change(against),
        infinite=sketch.mean(~finite),
        moved=sketch.mean(apart(targets, h) > MOVED),
        amplified=sketch.mean(grown > MOVED),
        dampened=sketch.mean(grown < -MOVED),
        ceiling=ceiling,
        saturates=math.isfinite(ceiling) and ceiling - half_way < LEVEL,
        first_step=(sketch.mean(pushes), float(pushes.min())),
        method=method,
    )


def targets_at(method, h, h_model=None):
    """Targets of a method, nats, at margins of which the reward model says `h_model`, by default h.

    Infinite where the method says so; ValueError where floating point cannot say.
    """
    h_model = h if h_model is None else h_model
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        found = method.target(h, h_model)
        if np.isfinite(found).all():
            return found
        held = method.target(np.clip(h, -DEEP, DEEP), np.clip(h_model, -DEEP, DEEP))
    # A probability of e^-700 and less is 0 in floating point: no infinity of the method's making.
    lost = np.isnan(found) | (np.isinf(found) & np.isfinite(held))
    if lost.any():
        at = float(np.atleast_1d(h)[np.argmax(lost)])
        raise ValueError(
            f"the target of {method.title} at the margin {at:g} is no number in floating point; "
            f"lower scale (--scale) where margins are beyond {DEEP:g} nats, else correct its loss"
        )
    return found


def first_pushes(method, h):
    """-d loss/dz at z = 0, DPO's being 1: how hard the first step pushes pairs of margins h."""
    if method.has_slots:
        with np.errstate(over="ignore"):  # the efficient weight of a pair may be e^D
            slope = slot_slope(numpy_world, 0 * h, method.slots(numpy_world, h))
    else:
        import torch

        from ..methods.search import margin_slope

        z = torch.zeros(len(h), dtype=torch.float64)
        slope = margin_slope(method, z, torch.from_numpy(h)).numpy()
    return -2 * np.broadcast_to(slope, h.shape)


def _of_weights(sketch, method, schedule):
    """The part of an :class:`Effect` that is about weights."""
    weighting, h, n = method.slot_weighting, sketch.margins, sketch.counts
    if weighting is None:
        names = ("mean", "smallest", "largest", "ess", "suppressed")
        return dict.fromkeys(names) | {"suppressed_where": ()}
    logs = log_weight(h, weighting)
    with np.errstate(over="ignore"):  # the efficient weight of a pair may be e^D
        weights = np.exp(logs)
    smallest = weights.min()
    if smallest == 0 and logs.min() > -math.inf:  # 0 is for a pair that is meant to be left out
        smallest = np.nextafter(0.0, 1.0)
    where = suppressed_where(weighting, schedule)
    some = logs.max() > -math.inf
    return {
        "mean": sketch.mean(weights),
        "smallest": float(smallest),
        "largest": float(weights.max()),
        "ess": effective_sample_size(np.exp(logs - logs.max()), n) / sketch.pairs if some else 0.0,
        "suppressed": sum(sketch.share(low, high) for low, high in where),
        "suppressed_where": where,
    }


def stretches_of(sketch, method, schedule):
    """:func:`falling_stretches` with the share of the pairs that lie on each."""
    return tuple(
        replace(fall, share=sketch.share_of_sizes(fall.start, fall.end))
        for fall in falling_stretches(method, schedule)
    )


def breaks_of(method, schedule):
    """The margins at which the shares of an :func:`effect` change."""
    weighting, found = method.slot_weighting, []
    if weighting is not None:
        found += [at for bounds in suppressed_where(weighting, schedule) for at in bounds]
    for stretch in falling_stretches(method, schedule):
        found += size_breaks((stretch.start, stretch.end))
    return [at for at in found if np.isfinite(at)]


# --- where ----------------------------------------------------------------------------------------


def floats(schedule):
    """The schedule with its numbers as floats."""
    return MarginSchedule(*(float(getattr(schedule, f.name)) for f in fields(schedule)))


def schedule_in(value):
    """The MarginSchedule that a method holds, in floats; None if it holds none."""
    for inner in (getattr(value, f.name) for f in fields(value)):
        if isinstance(inner, MarginSchedule):
            return floats(inner)
        if is_dataclass(inner) and (found := schedule_in(inner)):
            return found
    return None


def _sizes(schedule, reach=math.inf):
    """Sizes of margins up to `reach`, 0 and tau among them, dense where the schedule bends."""
    near = np.geomspace(1e-9, 1.0, 2049)
    sizes = [near, np.linspace(0, REACH, 6001)]
    if schedule is not None:
        tau, bend = float(schedule.tau), 60.0 / float(schedule.lam)
        sizes += [np.linspace(0, tau, 4097), tau * near, tau * (1 - near), tau + bend * near]
    sizes = np.unique(np.concatenate(sizes))
    return sizes[sizes <= reach]


@functools.lru_cache(maxsize=256)
def falling_stretches(method, schedule):
    """The stretches of sizes of margins on which the target of a method falls, found on a grid.

    The grid of DPO with a weight goes as far as the schedule bends, that of others to REACH.
    """
    found, sizes = [], _sizes(schedule, math.inf if method.is_weighting else REACH)
    for start, stop in order.falling_stretches(lambda u: targets_at(method, u), sizes).tolist():
        top, bottom = (targets_at(method, x) for x in (start, stop))
        rounding = 1e-9 * (1 + abs(top))
        if abs(bottom) < rounding:  # c_min = 0: the target of N1 falls to 0, and turns nowhere
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

    def below(h):
        return log_weight(h, weighting) < math.log(HALF)

    low = below(h)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], low, [False]])))

    def crossing(k):
        """The first number between h[k - 1] and h[k] at which the answer is that of h[k]."""
        if k == 0 or k == len(h):
            return math.copysign(math.inf, h[min(k, len(h) - 1)])
        before, after = h[k - 1], h[k]
        while before < (middle := before + (after - before) / 2) < after:
            before, after = (before, middle) if below(middle) == low[k] else (middle, after)
        return float(after)

    return tuple((crossing(a), crossing(b)) for a, b in edges.reshape(-1, 2))


def largest_shift(schedule):
    """D of a schedule's published weight, measured on a grid."""
    return float(np.abs(log_weight_ratio(_sizes(schedule), schedule)).max())


@functools.lru_cache(maxsize=256)
def robustness(method, schedule):
    """L and D of a method, and how they are known; D is None where it has no bound.

    Of DPO with a weight, upper ends of enclosures over all margins if the weight bounds its own
    tail, and over |h| <= REACH if not. Where these take more than BOXES boxes, and of all other
    methods, the largest on grids.
    """
    weighting = method.slot_weighting
    if method.is_weighting and weighting is not None:
        shifts = log_weight_ratio(_sizes(schedule), weighting)
        if np.isfinite(shifts).all() and (found := _enclosed(weighting)):
            return found
    return _searched(method, schedule)


def _enclosed(weighting):
    """:func:`robustness` of a weight by certified suprema; None where that does not work out."""
    from ..certify import QUANTITIES, InfiniteSupremum, supremum
    from ..certify.optimize import OtherWorld

    def enclosed(name):
        try:
            return supremum(
                QUANTITIES[name], weighting, tolerance=TOLERANCE, limit=BOXES, reach=REACH
            )
        except InfiniteSupremum:
            return None

    try:
        steepest, widest = enclosed("sensitivity"), enclosed("influence")
    except (RuntimeError, OtherWorld):
        return None
    certified = all(found.tail for found in (steepest, widest) if found is not None)
    return {
        "sensitivity": math.inf if steepest is None else steepest.upper,
        "influence": None if widest is None else widest.upper,
        "certified": certified,
        "known": "certified" if certified else f"|h| <= {REACH:g}",
    }


def _searched(method, schedule):
    """:func:`robustness` on grids as fine as the schedule bends, and at several true margins.

    What a weight does is the same at every true margin, and is looked at as far as it bends.
    """
    alone = method.is_weighting
    closed = method.has_slots or type(method).target_formula is not Method.target_formula
    points, truths = (100_001, 1) if alone else (4001, 25) if closed else (401, 13)
    far = REACH
    ranges = [(0.0, 1.0)]
    if schedule is not None:
        tau, bend = float(schedule.tau), 60 / float(schedule.lam)
        far = 4 * tau + bend if alone and 4 * tau + bend > REACH else REACH
        ranges += [(0.0, tau / 100), (max(tau - bend, 0.0), tau + bend), (0.0, far)]
    ranges.append((0.0, REACH))
    h_true = np.linspace(-REACH, REACH, truths) if truths > 1 else np.zeros(1)
    found = [
        largest_pull(method, h_true, np.linspace(min(low, far), min(high, far), points))
        for low, high in ranges
    ]
    steepest, widest = (max(values) for values in zip(*found, strict=True))
    unbounded = widest == math.inf or (
        alone
        and method.slot_weighting is not None
        and method.slot_weighting.tail(numpy_world, "influence", REACH) == math.inf
    )
    nothing = "margin" not in method.needs and steepest == widest == 0
    return {
        "sensitivity": steepest,
        "influence": None if unbounded else widest,
        "certified": False,
        "known": "takes no margin" if nothing else f"searched, |h| <= {far:g}",
    }
