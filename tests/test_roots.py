"""Roots and minima: to the last bits, from any bracket, as SciPy's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from madpo_theory.roots import least, root


@given(st.floats(-50, 50), st.floats(0.01, 100), st.floats(0.01, 100), st.floats(0.05, 20))
def test_a_root_is_found_to_the_last_bits(at, left, right, steep):
    def f(x):
        return math.tanh(steep * (x - at)) + steep * (x - at)

    found = root(f, at - left, at + right)
    assert abs(found - at) <= 4 * np.spacing(max(abs(at), left / 8))
    assert found == pytest.approx(brentq(f, at - left, at + right), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("f", "low", "high", "right"),
    [
        (lambda x: x - 3, 3, 5, 3.0),  # an end
        (lambda x: x**9, -1, 1.5, 0.0),  # as flat as a root can be
        (lambda x: math.copysign(1, x - 2), 0, 100, 2.0),  # a jump
        (lambda x: -1 / x if x else -math.inf, -1, 1e9, 0.0),
        (lambda x: math.log(x) if x else -math.inf, 0, 7, 1.0),
        (lambda x: x - 1e-300, -1e-299, 1e-299, 1e-300),
    ],
)
def test_difficult_roots(f, low, high, right):
    assert root(f, low, high) == pytest.approx(right, rel=1e-15, abs=0 if right else 1e-34)


def test_no_change_of_sign_is_refused():
    for f in (lambda x: 1 + x**2, lambda x: math.nan):
        with pytest.raises(ValueError, match="opposite signs; widen the bracket"):
            root(f, -1, 1)


@given(st.floats(-50, 50), st.floats(0.01, 100), st.floats(0.01, 100))
def test_a_minimum_is_found_as_well_as_its_values_tell(at, left, right):
    x, value = least(lambda x: abs(x - at), at - left, at + right, 1e-12)
    assert abs(x - at) <= 1e-12 + 8 * np.spacing(abs(at) + left + right) and value == abs(x - at)
    x, _ = least(lambda x: math.cosh((x - at) / (left + right)), at - left, at + right, 1e-9)
    assert abs(x - at) <= 1e-7 * (left + right)
