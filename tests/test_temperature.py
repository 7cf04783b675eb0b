"""MADPO against a change of temperature: least squares of targets."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import floats

from madpo_theory import BoundedRatioWeight, MarginSchedule, effective_target
from madpo_theory.claims.settings import schedules
from madpo_theory.theory.temperature import match_temperature, matched_temperature

RELEASED = MarginSchedule.released()
CONSTANT = MarginSchedule(2.0, 0.5, 1.0, 1e6)  # c = 2 wherever e^-1e6 is 0


def lists(elements, size):
    return st.lists(elements, min_size=size, max_size=size).map(np.array)


@given(schedules(), lists(floats(-30, 30), 6), lists(floats(0, 5), 6), floats(-0.5, 0.5))
def test_rho_is_the_least_squares_slope(s, h, weights, away):
    assume((weights * np.abs(h)).max() > 1e-3)
    match = match_temperature(h, s, weights)
    target = effective_target(h, h, s)

    def squares(rho):
        return (weights * (target - rho * h) ** 2).sum()

    total = squares(0)
    assert squares(match.rho) <= squares(match.rho + away) + 1e-14 * total
    np.testing.assert_allclose(match.distance**2 * total, squares(match.rho), atol=1e-13 * total)
    cosine = (weights * h * target).sum() ** 2 / ((weights * h * h).sum() * total)
    np.testing.assert_allclose(match.distance, np.sqrt(max(1 - cosine, 0)), atol=1e-7)
    assert matched_temperature(h, s, weights) == match.rho


@given(lists(floats(-30, 30), 5))
def test_a_constant_coefficient_is_a_change_of_temperature(h):
    assume(np.abs(h).max() > 1e-3)
    match = match_temperature(h, CONSTANT)
    assert match.rho == pytest.approx(2, rel=1e-15) and match.distance < 1e-15


@given(schedules(), floats(0.01, 40), lists(st.sampled_from((-1.0, 1.0)), 7))
def test_margins_of_one_size_have_one_temperature(s, size, signs):
    match = match_temperature(size * signs, s)
    assert match.rho == pytest.approx(effective_target(size, size, s) / size, rel=1e-14)
    assert match.distance < 1e-15


def test_a_weight_counts_like_a_repetition():
    h = np.array([0.5, -3.0, 7.0])
    weighted = match_temperature(h, RELEASED, [1, 2, 3])
    repeated = match_temperature(np.repeat(h, [1, 2, 3]), RELEASED)
    assert weighted.rho == pytest.approx(repeated.rho, rel=1e-15)
    assert weighted.distance == pytest.approx(repeated.distance, rel=1e-13)


def gaussian(scale):
    """Margins of a centred Gaussian law and their densities: the trapezoidal rule to 12 sd."""
    at = np.linspace(0, 12, 100_001)  # T is odd: half the line counts
    return scale * at, np.exp(-(at**2) / 2)


@pytest.mark.parametrize(
    ("scale", "rho", "distance"),
    [(1, 1.981366, 0.008166), (2, 1.867676, 0.095634), (4, 1.381196, 0.268999)],
)
def test_released_schedule_by_scale(scale, rho, distance):
    margins, density = gaussian(scale)
    found = match_temperature(margins, RELEASED, density)
    assert found.rho == pytest.approx(rho, abs=1e-6)
    assert found.distance == pytest.approx(distance, abs=1e-6)


def test_the_bounded_ratio_weight_keeps_dampening_where_the_published_one_stops():
    margins, density = gaussian(10.0)
    bounded = match_temperature(margins, BoundedRatioWeight(RELEASED), density)
    published = match_temperature(margins, RELEASED, density)
    assert bounded.rho < 1 < published.rho
    assert bounded.distance > published.distance


@pytest.mark.parametrize(
    ("call", "error", "rule"),
    [
        (lambda: matched_temperature([np.nan], RELEASED), ValueError, "margins must be finite"),
        (lambda: matched_temperature([0.0, 0.0], RELEASED), ValueError, "one that is not 0"),
        (lambda: matched_temperature([], RELEASED), ValueError, "one that is not 0"),
        (lambda: matched_temperature([1.0, 2.0], RELEASED, [0, 0]), ValueError, "has weight"),
        (lambda: matched_temperature([1.0], RELEASED, [-1.0]), ValueError, "weights >= 0"),
        (lambda: matched_temperature([1.0], RELEASED, [1, 1]), ValueError, r"weights .*\(1,\)"),
        (lambda: matched_temperature([[1.0]], RELEASED), ValueError, "margins must have 1 axes"),
        (lambda: matched_temperature(["a"], RELEASED), TypeError, "margins must hold real"),
    ],
)
def test_invalid_input_is_named(call, error, rule):
    with pytest.raises(error, match=rule):
        call()
