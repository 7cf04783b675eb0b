"""What to train on the pairs at hand: the simplest of what comes near the targets asked for.

Every choice is held to the asked order (T5), ESS and D, and is compared at its own best beta, since
most of what a schedule does to targets is a temperature (L5). DPO is one of the choices.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from ..methods import Madpo
from ..ops.numpy_world import sigmoid
from ..order import safe_lam, safe_tau
from ..roots import root
from ..schedule import MarginSchedule
from ..theory.efficiency import effective_sample_size
from ..theory.temperature import match_targets
from ..weights import Weighting, weight, weighting_of
from .effects import TOLERANCE, Effect, largest_shift, stretches_of, targets_at, weight_effect

__all__ = ["ADDS", "FALLING", "Choice", "Recommendation", "ScaleChoice", "recommend"]

ADDS = 0.05
"""What a choice must bring nearer to the targets asked for, of their length, to be worth it."""
FALLING = 0.01
"""Share of the pairs on a falling stretch up to which it is let be."""
SECOND = (0.4, 0.3, 0.2)
"""Shares of pairs that a second judge would dispute: they set the scale where nothing else does."""
_LOWEST = 1e-3  # c_max - 1 of a schedule that hardly does anything


@dataclass(frozen=True)
class Choice:
    """Something to train.

    Attributes
    ----------
    name : "dpo"; "asked"; "lam", "tau" or "c_max", which is lowered until order, ESS and D are
        kept; or "target_shaped", the weight.
    weighting, schedule : the weight, and the schedule it is made with; None of DPO.
    beta : the temperature at which its targets are nearest to those asked for.
    off : by how much they are off there, of the length of those.
    ess : effective share of the pairs. influence : D, nats; None: no bound.
    """

    name: str
    weighting: Weighting | None
    schedule: MarginSchedule | None
    beta: float
    off: float
    ess: float
    influence: float | None


@dataclass(frozen=True)
class ScaleChoice:
    """The best choice were margins to be multiplied with `scale`.

    `disputed` is the share of the pairs that a second, independent judge would then dispute.
    """

    disputed: float
    scale: float
    choice: Choice | None


@dataclass(frozen=True)
class Recommendation:
    """What to train and why.

    Attributes
    ----------
    choice : :class:`Choice`; None where none can be advised.
    changed : whether it is another than the weights asked for, at the beta asked for.
    scale : what margins are to be multiplied with, that of the diagnosis included.
    reasons : sentences. choices : all that keep what was asked, the simplest first.
    effect : the :class:`~.effects.Effect` of its weights at that scale; None of DPO.
    scales : :class:`ScaleChoice`, where nothing says what the scale of the margins is.
    """

    choice: Choice | None
    changed: bool
    scale: float
    reasons: tuple
    choices: tuple
    effect: Effect | None
    scales: tuple = ()

    @property
    def schedule(self):
        """Of its weights; None of DPO, and where there is no choice."""
        return self.choice and self.choice.schedule


def recommend(sketch, asked, shaped, *, ess, bound, beta, scale=1.0):
    """The :class:`Recommendation` for the pairs of a sketch, whose margins are log-odds.

    Of all choices that keep what was asked, the simplest that is within :data:`ADDS` of the best.

    Parameters
    ----------
    asked : MarginSchedule. shaped : the target-shaped weight made with it.
    ess : wanted effective share of the pairs, in (0, 1).
    bound : wanted bound on D in nats, or None.
    beta : DPO temperature that was asked for.
    scale : what the margins were multiplied with.
    """
    choices = _choices(sketch, asked, shaped, ess=ess, bound=bound, beta=beta)
    best = _simplest(choices)
    changed = (best.name, best.schedule, best.beta) != ("asked", asked, beta)
    reasons = tuple(_reasons(sketch, asked, best, choices, ess, bound))
    effect = None
    if best.weighting is not None:
        against = targets_at(Madpo(asked), sketch.margins)
        effect = weight_effect(
            sketch, best.weighting, best.schedule, beta=best.beta, against=against
        )
    return Recommendation(best, changed, scale, reasons, choices, effect)


def at_scales(sketch, asked, shaped, *, ess, bound, beta, scale=1.0):
    """The :class:`Recommendation` where nothing says what the scale of the margins is: no choice,
    but the best ones at three scales; arguments as of :func:`recommend`."""
    found = []
    for disputed in SECOND:
        times = _scale_of(sketch, disputed)
        choices = _choices(scaled(sketch, times), asked, shaped, ess=ess, bound=bound, beta=beta)
        found.append(ScaleChoice(disputed, scale * times, _simplest(choices)))
    reason = (
        "nothing says how many nats a point of these margins is: let a second judge compare some "
        "pairs and give the verdicts as --label, or choose by the share that they would dispute"
    )
    return Recommendation(None, False, scale, (reason,), (), None, tuple(found))


def scaled(sketch, times):
    """The sketch with margins times as large; counts at its breaks are those of its cells."""
    return replace(
        sketch, margins=times * sketch.margins, lowest=times * sketch.lowest,
        highest=times * sketch.highest, breaks=sketch.breaks[:0], below=sketch.below[:0],
    )  # fmt: skip


def alike(sketch):
    """Whether all margins have the same size, so that no pair is easier than another."""
    sizes = np.abs(sketch.margins)
    return bool(np.ptp(sizes) < 1e-9 * (1 + sizes.max()))


def in_order(sketch, schedule):
    """Whether few pairs lie where the schedule's target falls, or none is easier than another."""
    falls = stretches_of(sketch, Madpo(schedule), schedule)
    return alike(sketch) or sum(fall.share for fall in falls) <= FALLING


def with_c_max(schedule, c_max):
    """The schedule with another c_max; c_min stays 1/c_max if it was, and as it is otherwise."""
    if c_max == schedule.c_max:
        return schedule
    paired = math.isclose(schedule.c_min * schedule.c_max, 1.0)
    c_min = float(1 / c_max) if paired else schedule.c_min
    return replace(schedule, c_max=float(c_max), c_min=c_min)


def lower_lam(schedule):
    """The schedule with the steepness at which its targets keep the order, if its own is more."""
    safe = safe_lam(schedule.c_max, schedule.c_min, schedule.tau)
    return schedule if schedule.lam <= safe else replace(schedule, lam=_floor(safe))


def lower_tau(schedule):
    """The schedule with the tau at which its targets keep the order, if its own is more.

    As it is where no tau does.
    """
    safe = safe_tau(schedule.c_max, schedule.c_min, schedule.lam)
    return schedule if schedule.tau <= safe or not safe else replace(schedule, tau=_floor(safe))


def _ordered(schedule):
    return schedule.lam <= safe_lam(schedule.c_max, schedule.c_min, schedule.tau)


def _scale_of(sketch, disputed):
    """The a with the mean `disputed` of sigma(-a |h|) over the margins that are not 0."""
    h, n = np.abs(sketch.margins), sketch.counts
    h, n = h[h > 0], n[h > 0]

    def excess(log_a):
        return (n * sigmoid(-math.exp(log_a) * h)).sum() / n.sum() - disputed

    low, high = -math.log(h.max()) - 3, -math.log(h.min()) + 3
    return float(f"{math.exp(root(excess, low, high)):.3g}")


def _simplest(choices):
    """The first that is within ADDS of the nearest to what was asked for."""
    limit = min(choice.off for choice in choices) + ADDS
    return next(choice for choice in choices if choice.off <= limit)


def _choices(sketch, asked, shaped, *, ess, bound, beta):
    """All :class:`Choice` that keep what was asked, the simplest first: DPO always does."""
    h, n = sketch.margins, sketch.counts
    wanted = targets_at(Madpo(asked), h)

    def made(name, weighting, schedule):
        targets = h if weighting is None else targets_at(Madpo(weighting), h)
        match = match_targets(targets, wanted, n) if targets.any() else None
        if name == "asked":
            match = None  # at the beta asked for
        share, influence = 1.0, 0.0
        if weighting is not None:
            share = effective_sample_size(weight(h, weighting), n) / sketch.pairs
            influence = largest_shift(schedule) if weighting is not shaped else None
        return Choice(
            name, weighting, schedule, beta if match is None else beta / match.rho,
            0.0 if match is None else match.distance, share, influence,
        )  # fmt: skip

    def kept(schedule):
        weights = weight(h, schedule)
        if effective_sample_size(weights, n) < ess * sketch.pairs:
            return False
        # the certified D that is reported lies that much above at most
        return bound is None or largest_shift(schedule) + 2 * TOLERANCE <= bound

    def as_it_is(schedule):
        return schedule

    if in_order(sketch, asked):
        ways = {"asked": (as_it_is, lambda schedule: in_order(sketch, schedule))}
    else:
        mends = {"lam": lower_lam, "tau": lower_tau, "c_max": as_it_is}
        ways = {name: (mended, _ordered) for name, mended in mends.items()}
    found = [made("dpo", None, None)]
    for name, (mended, holds) in ways.items():
        best = _largest(
            lambda c_max, mended=mended: mended(with_c_max(asked, c_max)),
            lambda schedule, holds=holds: holds(schedule) and kept(schedule),
            asked.c_max,
        )
        if best is not None:
            name = "c_max" if name == "asked" and best != asked else name
            found.append(made(name, weighting_of(best), best))
    if bound is None and "asked" not in ways:
        other = made("target_shaped", shaped, asked)
        if other.ess >= ess:
            found.append(other)
    return tuple(found)


def _largest(candidate, kept, high):
    """The candidate of the largest c_max that is kept: 33 trials, then bisection between two."""
    if kept(best := candidate(high)):
        return best
    trials = 1 + np.geomspace(_LOWEST, high - 1, 33)[::-1]
    place = next((k for k, c_max in enumerate(trials) if kept(candidate(c_max))), None)
    if place is None:
        return None
    low, high = trials[place], trials[max(place - 1, 0)]
    while high - low > 1e-3 * (low - 1):
        middle = (low + high) / 2
        low, high = (middle, high) if kept(candidate(middle)) else (low, middle)
    for digits in (2, 4):  # a number that is easy to write, if it does
        plain = math.floor(low * 10**digits) / 10**digits
        if plain > 1 and kept(candidate(plain)):
            return candidate(plain)
    return candidate(low)


def _floor(value):
    """The number, down to three digits: parameters below a safe one are safe."""
    digits = 2 - math.floor(math.log10(value))
    return math.floor(value * 10.0**digits) / 10.0**digits


def _reasons(sketch, asked, best, choices, ess, bound):
    """Why it is what it is, in sentences."""
    if alike(sketch):
        yield "all margins have one size: there is nothing to adapt to"
        return
    falls = stretches_of(sketch, Madpo(asked), asked)
    if share := sum(fall.share for fall in falls):
        where = f"margins of {falls[0].start:.2f} to {falls[-1].end:.2f} nats"
        yield (
            f"{share:.2%} of the pairs have {where}, where the asked schedule gives an easier pair "
            "a smaller target (T5)" + ", which so few do not decide" * (share <= FALLING)
        )
    dpo, nearest = choices[0], min(choices, key=lambda choice: choice.off)
    if best is dpo and nearest is not dpo:
        yield (
            f"DPO at beta {dpo.beta:.3g} has the targets asked for but for {dpo.off:.1%} of their "
            f"length (L5), and the best weights but for {nearest.off:.1%}: they add next to nothing"
        )
    elif best is dpo:
        wanted = f"an ESS of {ess:.0%}" + ("" if bound is None else f" and D <= {bound:g} nats")
        yield (
            f"no weights that keep {wanted} come nearer to the targets asked for than DPO at beta "
            f"{dpo.beta:.3g}, which is off by {dpo.off:.1%} of their length (L5)"
        )
    else:
        yield (
            f"DPO is off the targets asked for by {dpo.off:.1%} of their length at its best beta"
            + f", {dpo.beta:.3g} (L5)"
            + f"; these weights by {best.off:.1%} at theirs, {best.beta:.3g}" * (best.off > 0)
        )
        if best.schedule.c_max < asked.c_max:
            yield (
                f"c_max = {best.schedule.c_max:g} is the largest up to {asked.c_max:g} that keeps "
                "the order, the ESS and the D that were asked for"
            )
