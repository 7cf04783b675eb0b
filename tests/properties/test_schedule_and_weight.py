"""Statements S1-S4, over all valid schedules. "Strictly" is decided in interval arithmetic."""

import math

import torch
from flint import arb, ctx
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import floats, scheduled_margins, schedules

from madpo_theory import MarginSchedule, coefficient, log_weight, log_weight_ratio, weight
from madpo_theory.schedule import excess

EPS = 2**-52
RELEASED, CLASS_DEFAULTS = MarginSchedule.released(), MarginSchedule.class_defaults()


@given(schedules(), floats(0.0, 200.0), floats(1e-9, 100.0))
@example(RELEASED, 0.0, 1e-9)
@example(MarginSchedule(100.0, 0.0, 20.0, 100.0), 0.0, 1e-9)
def test_s1_c_is_strictly_decreasing_between_its_limits(s, u, step):
    with ctx.workprec(8000):  # enough bits to see e^-(20 * 200) beside 1
        near, far = coefficient(arb(u), s), coefficient(arb(u) + arb(step), s)
        assert arb(s.c_max) > near > far > arb(s.c_min)
    assert coefficient(u, s) >= coefficient(u + step, s)  # and never reversed by rounding


@given(schedules())
def test_s1_c_is_one_at_tau(s):
    assert abs(coefficient(s.tau, s) - 1) <= 4 * EPS * s.c_max
    assert excess(s.tau, s) == 0


@given(schedules(), floats(1e-6, 300.0))
@example(RELEASED, RELEASED.tau)
def test_s1_the_slope_of_c_is_logistic(s, u):
    x = torch.tensor(u, dtype=torch.float64, requires_grad=True)
    c = coefficient(x, s)
    (slope,) = torch.autograd.grad(c, x)
    exact = -s.lam * (c.item() - s.c_min) * (s.c_max - c.item()) / (s.c_max - s.c_min)
    assert slope <= 0
    assert math.isclose(slope.item(), exact, rel_tol=1e-9, abs_tol=1e-13 * s.lam * s.c_max)


@given(scheduled_margins())
def test_s1_c_depends_on_the_size_of_the_margin_alone(case):
    s, h = case
    assert coefficient(h, s) == coefficient(-h, s)


@given(scheduled_margins())
@example((MarginSchedule(100.0, 0.0, 20.0, 100.0), -99.0))
def test_s2_w_is_positive_and_bounded(case):
    """Positive up to underflow: the logarithm is finite, and w is its exponential."""
    s, h = case
    log_w = log_weight(h, s)
    assert math.isfinite(log_w)
    assert weight(h, s) > 0 or log_w < -744


@given(scheduled_margins(bound=300.0), floats(1e-12, 1.0))
@example((RELEASED, -RELEASED.tau), 1e-9)
@example((CLASS_DEFAULTS, -2.0), 1e-9)
@example((CLASS_DEFAULTS, 0.0), 1e-9)
def test_s2_w_is_continuous(case, step):
    """Lipschitz across 0 and -tau: |(log w)'| <= c_max + |c'| u + 1."""
    s, h = case
    after = h + step
    u = max(abs(h), abs(after))
    lipschitz = s.c_max + s.lam * (s.c_max - s.c_min) / 4 * u + 1
    jump = abs(log_weight(after, s) - log_weight(h, s))
    rounding = 16 * EPS * (u + 1) * lipschitz
    assert jump <= lipschitz * (after - h) + rounding


@given(schedules())
def test_s2_w_is_one_at_zero_and_at_plus_minus_tau_and_below(s):
    assert [weight(h, s) for h in (0.0, s.tau, -s.tau, -s.tau - 1.0, -1e4)] == [1.0] * 5


@given(scheduled_margins())
@example((MarginSchedule(100.0, 0.999, 20.0, 100.0), 0.1))
def test_s3_w_is_below_two(case):
    s, h = case
    assert log_weight(h, s) < math.log(2)


@given(schedules(), floats(-0.999, 0.999))
def test_s4_w_is_the_importance_ratio_to_the_tempered_label(s, share):
    """sigma(c h)/sigma(h) for either label: the odds of the two weights are e^((c - 1) h)."""
    h = share * s.tau
    c = coefficient(arb(h), s)

    def sigma(x):
        return 1 / (1 + (-x).exp())

    assert weight(arb(h), s).overlaps(sigma(c * arb(h)) / sigma(arb(h)))
    assert weight(arb(-h), s).overlaps(sigma(-c * arb(h)) / sigma(arb(-h)))


@given(schedules(), floats(1e-6, 0.999) | floats(1.001, 3.0), st.sampled_from((-1.0, 1.0)))
@example(RELEASED, 1.5, 1.0)
@example(MarginSchedule(2.0, 0.0, 1.0, 2.0), 1.001, -1.0)
def test_s4_the_total_weight_of_a_pair_is_one_inside_tau_and_less_outside(s, share, sign):
    with ctx.workprec(2000):  # enough bits to see e^-300 beside 1
        h = arb(math.copysign(share * s.tau, sign))
        total = weight(h, s) / (1 + (-h).exp()) + weight(-h, s) / (1 + h.exp())
        if share < 1:
            assert total.contains(1) and total.rad() < 1e-300
        else:
            assert total < 1


@given(scheduled_margins())
@example((RELEASED, 0.0))
@example((RELEASED, RELEASED.tau))
def test_delta_is_odd_and_the_difference_of_the_logarithms(case):
    s, h = case
    delta = log_weight_ratio(h, s)
    assert log_weight_ratio(-h, s) == -delta
    difference = log_weight(h, s) - log_weight(-h, s)
    assert math.isclose(delta, difference, rel_tol=1e-12, abs_tol=1e-300)
