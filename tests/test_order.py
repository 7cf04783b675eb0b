"""The region on which targets keep the order of the margins, against brute force."""

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
import torch
from flint import arb, arb_series, ctx
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import floats

from madpo_theory import (
    MarginSchedule,
    coefficient,
    effective_target,
    monotone_limit,
    safe_lam,
    safe_tau,
)
from madpo_theory.certify.enclosure import precision
from madpo_theory.claims.settings import schedules
from madpo_theory.order import (
    amplified_limit,
    beyond_limit,
    falling_stretches,
    scaled_slope,
)

RELEASED, CLASS_DEFAULTS = MarginSchedule.released(), MarginSchedule.class_defaults()


def lowest_step(schedule, far=60.0):
    """Smallest difference of T between neighbours of a fine grid, rounding allowed for."""
    tau, reach = schedule.tau, far / schedule.lam
    left = np.linspace(0, tau, 4001)
    right = tau + reach * np.linspace(0, 1, 8001)[1:] ** 2
    at = np.concatenate([left, right])
    steps = np.diff(effective_target(at, at, schedule))
    rounding = 4e-16 * schedule.c_max * at[1:] * (1 + schedule.lam * at[1:])
    return (steps + rounding).min()


@pytest.mark.parametrize(
    ("c_max", "c_min", "limit"),
    [
        (2.0, 0.5, 3.0),
        (4.0, 0.25, 5 / 3),
        (3.0, 1 / 3, 2.0),
        (7.1637, 0.9666, 5.838784228363652),  # the turn before tau: below 1/kappa' = 30.1
        (1.5, 0.9, 8 + math.log(3)),
        (2.0, 0.0, 2.0),
    ],
)
def test_limit_of_known_schedules(c_max, c_min, limit):
    assert math.isclose(monotone_limit(c_max, c_min), limit, rel_tol=1e-14)


@given(schedules(), floats(0.02, 0.999))
@example(RELEASED, 0.99)
@example(MarginSchedule(7.1637, 0.9666, 1.0, 1.0), 0.999)
def test_below_the_limit_the_target_rises_up_to_tau(s, share):
    s = MarginSchedule(s.c_max, s.c_min, s.lam, share * monotone_limit(s.c_max, s.c_min) / s.lam)
    at = np.linspace(0, s.tau, 2001)
    rounding = 4e-16 * s.c_max * s.tau * (1 + s.lam * s.tau)
    assert np.diff(effective_target(at, at, s)).min() >= -rounding


@given(schedules(), floats(1.001, 1.5))
@example(RELEASED, 1.001)
@example(MarginSchedule(7.1637, 0.9666, 1.0, 1.0), 1.001)
def test_above_the_limit_the_target_falls_somewhere_before_tau(s, factor):
    """By T' = c + (t + lam tau) dc/dt of t = lam (u - tau), at tau and at a turn before it."""
    c_max, c_min, product = s.c_max, s.c_min, factor * monotone_limit(s.c_max, s.c_min)

    def slope(c):
        t = math.log((c_max - c) / (c - c_min) * (1 - c_min) / (c_max - 1))
        return c - (t + product) * (c - c_min) * (c_max - c) / (c_max - c_min)

    turn = max(1.0, 2 * c_max * c_min / (c_max + c_min))
    # At the limit one of the two is 0 and its second term is -c or more in size: no rounding.
    assert min(slope(1.0), slope(turn)) <= -(factor - 1) / 2


def test_parameters_of_no_schedule_are_refused_in_every_world():
    for limit in (monotone_limit, beyond_limit, amplified_limit):
        for c_max, c_min, rule in (
            (0.5, 2.0, r"c_max = 0\.5 breaks the rule c_max > 1; choose"),
            (2.0, 1.0, r"c_min = 1\.0 breaks the rule 0 <= c_min < 1"),
            (2.0, -0.1, r"c_min = -0\.1 breaks"),
            (np.array([3.0, 1.0]), np.array(0.5), r"c_max = 1\.0 at index \(1,\) breaks"),
            (torch.tensor([[3.0]]), torch.tensor([[1.5]]), r"c_min = 1\.5 at index \(0, 0\) br"),
            (sp.Rational(1, 2), sp.Rational(1, 3), "c_max = 1/2 breaks"),
            (arb("1.05 +/- 0.1"), arb("0.5"), "c_max = .* breaks the rule c_max > 1"),
        ):
            with pytest.raises(ValueError, match=rule):
                limit(c_max, c_min)


def test_falling_stretches_are_where_the_target_falls():
    grid = np.union1d(np.linspace(0, 12, 2001), RELEASED.tau)
    ((start, end),) = falling_stretches(lambda u: effective_target(u, u, RELEASED), grid)
    assert end == RELEASED.tau  # a corner, which the grid holds
    # The slope at the start is 0: the search finds the flat top to the root of an ulp.
    assert abs(slope_of_target(start, RELEASED)) < 1e-7
    assert slope_of_target(start - 0.01, RELEASED) > 0 > slope_of_target(start + 0.01, RELEASED)
    assert falling_stretches(lambda u: effective_target(u, u, CLASS_DEFAULTS), grid).shape == (0, 2)


def test_a_stretch_may_reach_both_ends_of_the_grid():
    ends = falling_stretches(lambda u: effective_target(u, u, RELEASED), np.linspace(5.5, 6.5, 101))
    assert ends.tolist() == [[5.5, 6.5]]


def slope_of_target(u, s):
    c = coefficient(u, s)
    return c - u * s.lam * (c - s.c_min) * (s.c_max - c) / (s.c_max - s.c_min)


def test_limits_broadcast_and_keep_their_kind():
    c_max = np.array([[2.0], [4.0]], dtype=np.float32)
    got = monotone_limit(c_max, np.array([0.5, 0.25], dtype=np.float32))
    assert got.shape == (2, 2) and got.dtype == np.float32
    exact = monotone_limit(sp.Integer(4), sp.Rational(1, 4))
    assert sp.simplify(exact - sp.Rational(5, 3)) == 0


@pytest.mark.parametrize(
    ("c_max", "c_min", "limit"),
    [
        (2.0, 0.5, 6.0),  # twice the limit left of tau
        (3.0, 0.9, 2 * 2.1 / (0.1 * 2)),
        (1.2, 0.0, 16 / 3 - math.log(11)),
        (1.05, 0.5, 2 * 3.55 / 0.55 + math.log(0.05 * 1.5 / (0.5 * 2.05))),
        (1.001, 0.0, 2 * 3.001 / 1.001 - math.log(2001)),  # negative
    ],
)
def test_limit_beyond_tau_of_known_schedules(c_max, c_min, limit):
    assert math.isclose(beyond_limit(c_max, c_min), limit, rel_tol=1e-12)


@given(schedules())
@example(MarginSchedule(1.05, 0.5, 1.0, 1.0))
@example(MarginSchedule(4.0, 0.25, 1.0, 1.0))
def test_the_limit_beyond_tau_is_the_least_of_what_each_coefficient_allows(s):
    """By 1 + c + u c' = 0, which is T' = 0 as lam grows, at every c that there is beyond tau."""
    k = (s.c_max - 1) / (1 - s.c_min)
    c = s.c_min + (1 - s.c_min) * np.linspace(1e-6, 1, 20001)
    allowed = (1 + s.c_min) / (c - s.c_min) + (1 + s.c_max) / (s.c_max - c)
    allowed += np.log(k * (c - s.c_min) / (s.c_max - c))
    limit = beyond_limit(s.c_max, s.c_min)
    # the least of the grid lies above, by a curvature at the turn times the square of the spacing
    assert -1e-9 * (1 + abs(limit)) <= allowed.min() - limit <= 1e-4 * (1 + abs(limit))


@pytest.mark.parametrize(
    ("c_max", "c_min", "lam", "tau0"),
    [
        (2.0, 0.5, 1.0, 3.0),
        (2.0, 0.5, 2.0, 1.5),
        (4.0, 0.25, 1.0, 5 / 3),
        (2.0, 0.0, 1.0, 2.0),
        (1.2, 0.0, 0.5, 12.0),  # a small lam: right of tau nothing falls
    ],
)
def test_safe_tau_is_where_the_order_breaks(c_max, c_min, lam, tau0):
    safe = safe_tau(c_max, c_min, lam)
    assert math.isclose(safe, tau0, rel_tol=1e-14)
    for share in (0.05, 0.3, 0.7, 0.999):
        assert lowest_step(MarginSchedule(c_max, c_min, lam, share * safe)) >= 0
    assert lowest_step(MarginSchedule(c_max, c_min, lam, 1.02 * safe)) < 0


def test_right_of_tau_it_is_safe_at_this_lam_and_as_far_as_at_any():
    """At lam = 10 the order breaks at 0.517; at 2.935/lam for a lam to which 10 is small."""
    limit = beyond_limit(1.2, 0.0)
    assert safe_tau(1.2, 0.0, 10.0) == limit / 10
    for lam in (0.6, 1.0, 10.0, 1e3, 1e6):
        assert lowest_step(MarginSchedule(1.2, 0.0, lam, limit / lam)) >= 0
    assert lowest_step(MarginSchedule(1.2, 0.0, 1e6, 1.02 * limit / 1e6)) < 0


def test_no_tau_is_safe_where_a_steep_schedule_falls_at_once():
    assert safe_tau(1.001, 0.0, 1000.0) == 0.0
    assert lowest_step(MarginSchedule(1.001, 0.0, 1000.0, 1e-3)) < 0
    safe = safe_lam(1.001, 0.0, 1e-3)  # but a lam is
    assert 1 / 2 < safe < 1 and lowest_step(MarginSchedule(1.001, 0.0, safe, 1e-3)) >= 0


@pytest.mark.slow
@settings(max_examples=50)
@given(schedules(), st.sampled_from((0.03, 0.4, 0.9)))
def test_safe_lam_and_safe_tau_agree_with_brute_force(s, share):
    safe = safe_lam(s.c_max, s.c_min, s.tau)
    assert lowest_step(MarginSchedule(s.c_max, s.c_min, share * safe, s.tau)) >= 0
    tau0 = safe_tau(s.c_max, s.c_min, s.lam)
    if tau0 > 0:
        assert lowest_step(MarginSchedule(s.c_max, s.c_min, s.lam, share * tau0)) >= 0
        # every tau below tau0 is safe: at each, at least this lam is
        assert safe_lam(s.c_max, s.c_min, share * tau0) >= s.lam * (1 - 1e-9)


@pytest.mark.parametrize(
    ("c_max", "c_min", "tau", "lam0"),
    [(2.0, 0.5, 2.0, 1.5), (2.0, 0.5, math.log(999), 3 / math.log(999)), (1.2, 0.0, 8.0, 0.75)],
)
def test_safe_lam_of_known_schedules(c_max, c_min, tau, lam0):
    assert math.isclose(safe_lam(c_max, c_min, tau), lam0, rel_tol=1e-12)


def test_fractions_are_taken():
    assert safe_tau(Fraction(2), Fraction(1, 2), Fraction(1)) == 3.0


@given(floats(1e-3, 100.0))
def test_schedules_of_the_released_type_are_decided_by_one_limit(excess):
    c_max = 1 + excess
    limit = (c_max + 1) / (c_max - 1)
    assert math.isclose(monotone_limit(c_max, 1 / c_max), limit, rel_tol=1e-9)
    assert math.isclose(safe_tau(c_max, 1 / c_max, 2.0), limit / 2, rel_tol=1e-9)


def test_beyond_tau_nothing_is_asked_for_but_near_c_max_one():
    c_max, c_min = np.meshgrid(np.geomspace(1.486, 100, 200), np.linspace(0, 0.999, 200))
    assert (beyond_limit(c_max, c_min) > monotone_limit(c_max, c_min)).all()
    for c_max, c_min in ((1.05, 0.5), (1.2, 0.0)):
        assert beyond_limit(c_max, c_min) < monotone_limit(c_max, c_min)


@given(schedules(), floats(1e-6, 50.0))
@example(MarginSchedule(7.0, 0.0, 13.0, 86.0), 0.25)  # falls, where sigma(-c u) is 1e-250
def test_scaled_slope_is_the_slope_over_sigma(s, beyond):
    with precision(2000):
        u = arb(s.tau) + arb(beyond)
        ctx_cap, ctx.cap = ctx.cap, 2
        try:
            x = arb_series([u, 1], prec=2)
            slope = effective_target(x, x, s)[1]
        finally:
            ctx.cap = ctx_cap
        scaled = scaled_slope(u, s)
        assert slope.overlaps(scaled / (1 + (coefficient(u, s) * u).exp()))
        assert scaled.rad() < 1e-100 * (1 + abs(scaled))


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (lambda: safe_tau(1.0, 0.5, 1.0), "1 < c_max"),
        (lambda: safe_tau(2.0, 1.0, 1.0), "0 <= c_min < 1"),
        (lambda: safe_tau(2.0, 0.5, 0.0), "0 < lam"),
        (lambda: safe_lam(2.0, 0.5, -1.0), "0 < tau"),
        (lambda: safe_lam(2.0, math.nan, 1.0), "c_min"),
    ],
)
def test_parameters_of_no_schedule_are_refused(call, rule):
    with pytest.raises(ValueError, match=rule):
        call()
