"""What weights do to pairs, counted."""

import numpy as np
import pytest

from madpo_theory.align.statistics import weight_statistics


def test_weight_statistics_count_what_they_name():
    numbers = weight_statistics(np.array([-2.0, -0.1, 1.0, 2.0]), np.array([0.1, 0.6, 1.0, 1.1]))
    assert numbers["pairs"] == 4
    assert numbers["suppressed"] == 0.25
    assert numbers["disputed"] == 0.5
    assert (numbers["min"], numbers["max"]) == (0.1, 1.1)
    assert numbers["mean"] == pytest.approx(0.7, rel=1e-15)
    assert numbers["ess"] == pytest.approx(2.8**2 / (0.01 + 0.36 + 1 + 1.21), rel=1e-15)
    assert numbers["margin_std"] == pytest.approx(np.sqrt(9.01 / 4 - 0.225**2), rel=1e-15)
