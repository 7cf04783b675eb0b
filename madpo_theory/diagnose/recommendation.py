"""A schedule for the pairs at hand: targets in order (T5), and wanted bounds on ESS and D kept."""

import math
from dataclasses import dataclass, replace

import numpy as np

from ..methods import Madpo
from ..order import safe_lam, safe_tau
from ..schedule import MarginSchedule
from ..theory.efficiency import effective_sample_size
from ..weights import weight
from .effects import TOLERANCE, Effect, largest_shift, stretches_of, targets_at, weight_effect

__all__ = ["Recommendation", "recommend"]

_LOWEST = 1e-3  # c_max - 1 of a schedule that hardly does anything


@dataclass(frozen=True)
class Recommendation:
    """A schedule and why.

    Attributes
    ----------
    schedule : the published weight's; None if none was found that keeps the bounds.
    changed : whether it differs from the one asked for.
    reasons : sentences. effect : its :class:`~.effects.Effect`.
    """

    schedule: MarginSchedule | None
    changed: bool
    reasons: tuple
    effect: Effect | None


def recommend(sketch, asked, *, ess, bound, beta):
    """The schedule of the largest c_max, at most that of `asked`, that keeps order and bounds.

    tau is lowered to :func:`~madpo_theory.safe_tau`, or where none is safe lam to
    :func:`~madpo_theory.safe_lam`, if pairs lie where the target would fall.

    Parameters
    ----------
    asked : MarginSchedule.
    ess : wanted effective share of the pairs, in (0, 1).
    bound : wanted bound on D in nats, or None.
    """

    def candidate(c_max):
        return in_order(sketch, with_c_max(asked, c_max))

    def kept(schedule):
        weights = weight(sketch.margins, schedule)
        if effective_sample_size(weights, sketch.counts) < ess * sketch.pairs:
            return False
        # the certified D that is reported lies that much above at most
        return bound is None or largest_shift(schedule) + 2 * TOLERANCE <= bound

    best, limited = candidate(asked.c_max), False
    if not kept(best):
        limited, best = True, _largest(candidate, kept, asked.c_max)
    wanted = f"an ESS of {ess:.0%}" + ("" if bound is None else f" and D <= {bound:g} nats")
    if best is None:
        reason = f"no c_max down to 1 keeps {wanted} with c_min = {asked.c_min:g} and these margins"
        return Recommendation(None, False, (f"{reason}; ask for less, or raise c_min",), None)
    reasons = tuple(_reasons(sketch, asked, best, limited, wanted))
    against = targets_at(Madpo(asked), sketch.margins)
    found = weight_effect(sketch, best, best, beta=beta, against=against)
    return Recommendation(best, best != asked, reasons, found)


def _largest(candidate, kept, high):
    """The candidate of the largest c_max that is kept: 33 trials, then bisection between two."""
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


def with_c_max(schedule, c_max):
    """The schedule with another c_max; c_min stays 1/c_max if it was, and as it is otherwise."""
    if c_max == schedule.c_max:
        return schedule
    paired = math.isclose(schedule.c_min * schedule.c_max, 1.0)
    c_min = float(1 / c_max) if paired else schedule.c_min
    return replace(schedule, c_max=float(c_max), c_min=c_min)


def in_order(sketch, schedule):
    """The schedule, with tau or lam lowered if pairs lie where its target falls."""
    if not sum(fall.share for fall in stretches_of(sketch, Madpo(schedule), schedule)):
        return schedule
    if tau := safe_tau(schedule.c_max, schedule.c_min, schedule.lam):
        return replace(schedule, tau=_floor(tau))
    return replace(schedule, lam=_floor(safe_lam(schedule.c_max, schedule.c_min, schedule.tau)))


def _floor(value):
    """The number, down to three digits: parameters below a safe one are safe."""
    digits = 2 - math.floor(math.log10(value))
    return math.floor(value * 10.0**digits) / 10.0**digits


def _reasons(sketch, asked, best, limited, wanted):
    """Why the schedule is what it is, in sentences."""
    falls = stretches_of(sketch, Madpo(asked), asked)
    if share := sum(fall.share for fall in falls):
        tau = safe_tau(best.c_max, best.c_min, best.lam)
        lam = safe_lam(best.c_max, best.c_min, asked.tau)
        yield (
            f"{share:.1%} of the pairs have margins of {falls[0].start:.2f} to {falls[-1].end:.2f} "
            "nats, where the asked schedule gives an easier pair a smaller target (T5); at c_max = "
            f"{best.c_max:g} and c_min = {best.c_min:.4g} the order is kept by tau <= {tau:.4g} at "
            f"lam = {best.lam:g}, or by lam <= {lam:.4g} at tau = {asked.tau:.4g}"
        )
    else:
        yield "no pair lies where the target of the asked schedule falls (T5)"
    if limited:
        yield f"c_max = {best.c_max:g} is the largest up to {asked.c_max:g} that keeps {wanted}"
    else:
        yield f"c_max = {best.c_max:g} keeps {wanted}"
