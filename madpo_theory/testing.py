"""Hypothesis strategies for tests about schedules and margins; needs the package hypothesis.

A theorem about a schedule usually fails, where it fails, on a short stretch: just before tau, just
beyond it, within a few ulps of it. Margins that are drawn from a wide interval seldom get there.
These are drawn relative to the schedule: shares of tau, and distances from the edges of the regimes
(0, tau and their negatives) of every order of magnitude::

    from hypothesis import given
    from madpo_theory import MarginSchedule, effective_target
    from madpo_theory.testing import ordered_margins

    schedule = MarginSchedule.released()

    @given(ordered_margins(schedule))
    def targets_keep_the_order(pair):
        h, g = pair
        assert effective_target(h, h, schedule) <= effective_target(g, g, schedule)
"""

import math

from hypothesis import strategies as st

from .schedule import MarginSchedule

__all__ = ["margins", "ordered_margins", "schedules", "with_schedule"]

SMALLEST = 1e-12  # of a distance from an edge, relative to tau or 1/lam
SHARES = st.floats(0, 1)
"""st.integers over many numbers prefers small ones; these spread nearly evenly."""


def schedules(*, c_max=(1.001, 100.0), c_min=(0.0, 0.999), lam=(0.01, 20.0), tau=(0.01, 100.0)):
    """Valid schedules (:class:`MarginSchedule`), each parameter between its two ends, inclusive.

    c_max - 1, lam and tau are drawn evenly in their logarithms, so that hardly amplifying ones
    are as usual as strongly amplifying ones; c_min = 0 and c_min = 1/c_max are often among them.
    """
    reciprocal = st.just(None) if c_min[0] <= 1 / c_max[1] else st.nothing()

    def made(above_one, low, lam, tau):
        c_max = 1 + above_one
        low = 1 / c_max if low is None else low
        return MarginSchedule(
            c_max=c_max, c_min=min(max(low, c_min[0]), c_min[1]), lam=lam, tau=tau
        )

    return st.builds(
        made,
        _evenly_in_logarithm(c_max[0] - 1, c_max[1] - 1),
        st.just(c_min[0]) | SHARES.map(lambda x: c_min[0] + x * (c_min[1] - c_min[0])) | reciprocal,
        _evenly_in_logarithm(*lam),
        _evenly_in_logarithm(*tau),
    )


def margins(schedule=None, *, largest=None):
    """Margins h in nats, of either sign, |h| <= largest, by default 60 or, if that is more, 2 tau.

    Large, ordinary and tiny ones (to 1e-300); with a schedule also shares of its tau, and margins
    at distances of every order of magnitude, down to an ulp, from 0, tau and -tau.
    """
    largest = _reach(schedule) if largest is None else largest
    signs = st.sampled_from((-1.0, 1.0))
    ordinary = min(largest, 20.0)
    drawn = (
        st.floats(-largest, largest, allow_subnormal=False)
        | st.floats(-ordinary, ordinary, allow_subnormal=False)
        | st.builds(lambda sign, power: sign * 10.0**power, signs, st.floats(-300, -3))
    )
    if schedule is not None:
        drawn |= st.builds(lambda sign, h: sign * h, signs, _sizes(schedule, largest))
    return drawn


def ordered_margins(schedule, *, largest=None):
    """Pairs (h, g), 0 <= h < g <= largest, nats; most lie on one stretch, up to tau or beyond it.

    `largest` is as in :func:`margins`.
    Neighbours stand at every distance from each other and from the edges of the stretch; others
    are any two.
    """
    largest = _reach(schedule) if largest is None else largest
    tau = float(schedule.tau)
    stretches = [(0.0, min(tau, largest))] + [(tau, largest)] * (tau < largest)

    def ordered(pair):
        return min(pair), max(pair)

    kinds = [kind for stretch in stretches for kind in _in_stretch(schedule, stretch)]
    drawn = st.one_of(*(st.tuples(kind, kind) for kind in kinds))
    drawn |= st.tuples(_sizes(schedule, largest), _sizes(schedule, largest))
    return drawn.filter(lambda pair: pair[0] != pair[1]).map(ordered)


def with_schedule(strategy, drawn=None):
    """(schedule, value) pairs: a schedule, from `drawn` or :func:`schedules`, and what
    ``strategy(schedule)`` draws for it, as in ``with_schedule(ordered_margins)``."""
    drawn = schedules() if drawn is None else drawn
    return drawn.flatmap(lambda s: st.tuples(st.just(s), strategy(s)))


def _reach(schedule):
    return 60.0 if schedule is None else max(60.0, 2 * float(schedule.tau))


def _evenly_in_logarithm(low, high):
    """Floats between two positive ends, their logarithms evenly spread."""
    growth = math.log(high / low)
    return SHARES.map(lambda share: min(max(low * math.exp(share * growth), low), high))


def _sizes(schedule, largest):
    """Sizes |h| <= largest: in either stretch, or within ulps of tau."""
    tau = float(schedule.tau)
    ulps = st.integers(-4, 4).map(lambda count: tau + count * math.ulp(tau))
    before, beyond = (0.0, tau), (tau, max(tau, largest))
    near = st.one_of(*_in_stretch(schedule, before), *_in_stretch(schedule, beyond), ulps)
    return near.map(lambda h: min(h, largest))


def _in_stretch(schedule, stretch):
    """Sizes in a stretch: anywhere; and at distances of every order of magnitude from each end."""
    low, high = stretch
    scales = float(schedule.tau), 1 / float(schedule.lam)
    widest = max(min(high - low, 20 * max(scales)), math.ulp(high))
    smallest = max(SMALLEST * min(scales), math.ulp(high))
    distances = _evenly_in_logarithm(min(smallest, widest), widest)
    return (
        SHARES.map(lambda share: low + share * (high - low)),
        distances.map(lambda d: min(low + d, high)),
        distances.map(lambda d: max(high - d, low)),
    )
