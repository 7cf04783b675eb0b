"""Verdicts follow from intervals, and intervals cover what they say."""

import json
import math

import numpy as np
import pytest

pandas = pytest.importorskip("pandas")

from madpo_theory.simulate.predictions import (  # noqa: E402
    Estimate,
    Prediction,
    estimate,
    judge,
    matrix,
    slope,
    worst,
    write_judgements,
)


def verdict(predicted, low, high, value=0.0):
    found = Estimate(value, low, high, 10)
    (judgement,) = judge([Prediction("x", "q", predicted, "d", lambda table: found)], None)
    return judgement.verdict


@pytest.mark.parametrize(
    ("predicted", "low", "high", "expected"),
    [
        ((0, 1), 0.2, 0.8, "holds"),
        ((0, 1), 0.0, 1.0, "holds"),
        ((0, 1), -0.1, 0.5, "undecided"),
        ((0, 1), 0.5, 1.1, "undecided"),
        ((0, 1), -1.0, 2.0, "undecided"),
        ((0, 1), 1.1, 1.2, "fails"),
        ((0, 1), -2.0, -1.0, "fails"),
        ((0, math.inf), 3.0, 9.0, "holds"),
        ((-math.inf, 0), 0.1, 0.2, "fails"),
        ((0, 1), math.nan, math.nan, "not measured"),
        ((-math.inf, math.inf), math.nan, math.nan, "not measured"),
    ],
)
def test_a_verdict_compares_two_intervals(predicted, low, high, expected):
    assert verdict(predicted, low, high) == expected


def test_a_reversed_prediction_is_refused():
    with pytest.raises(ValueError, match="low <= high"):
        Prediction("x", "q", (1, 0), "d", worst)


@pytest.mark.slow
def test_the_interval_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(200):
        found = estimate(rng.normal(1.0, 2.0, size=60))
        hits += found.low <= 1.0 <= found.high
    # 95 % of 200 is 190, with a standard deviation of 3; the percentile interval is a little short
    assert 176 <= hits <= 198


def test_ratios_and_slopes_of_means_are_measured():
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.5, 2.0, size=(50, 1))
    values = scale * np.array([3.0, 12.0, 48.0])
    assert estimate(values, lambda m: m[..., 1] / m[..., 0]).value == pytest.approx(4.0)
    found = estimate(values, slope([1.0, 2.0, 4.0]))
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 2.0, 2.0))
    assert found.worlds == 50


def test_one_world_has_no_interval():
    assert math.isnan(estimate([1.0]).low) and estimate([1.0]).worlds == 1


def test_the_worst_of_all_is_nan_if_any_is():
    assert worst([1.0, 3.0, -2.0]).value == 3.0
    assert math.isnan(worst([1.0, math.nan]).value) and math.isnan(worst([]).value)


def test_a_world_without_a_level_is_left_out_whole():
    table = pandas.DataFrame(
        {
            "world": [0, 0, 1, 1, 2],
            "noise": [1.0, 0.5, 0.5, 1.0, 1.0],
            "method": "dpo",
            "value": [2.0, 1.0, 3.0, math.nan, 5.0],
        }
    )
    values, levels = matrix(table, "value", "noise", method="dpo")
    assert levels.tolist() == [0.5, 1.0] and values.tolist() == [[1.0, 2.0]]


def test_judgements_are_plain_json(tmp_path):
    prediction = Prediction("x", "q", (-math.inf, 1.0), "d", lambda t: worst([math.nan]))
    path = write_judgements(tmp_path / "a.json", judge([prediction], None), worlds=3)
    (row,) = json.loads(path.read_text())["predictions"]
    assert row["predicted"] == [None, 1.0] and row["measured"] is None
    assert row["verdict"] == "not measured" and json.loads(path.read_text())["worlds"] == 3
