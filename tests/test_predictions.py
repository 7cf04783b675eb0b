"""Verdicts follow from intervals, and intervals cover what they say."""

import json
import math

import numpy as np
import pytest

pandas = pytest.importorskip("pandas")

from madpo_theory.simulate.predictions import (  # noqa: E402
    FLOOR,
    REFUTED,
    Estimate,
    Prediction,
    Rival,
    estimate,
    exact,
    judge,
    matrix,
    probability,
    slope,
    survivors,
    told,
    told_rival,
    worst,
    write_judgements,
)

INF = math.inf


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
    ],
)
def test_a_verdict_compares_two_intervals(predicted, low, high, expected):
    assert verdict(predicted, low, high) == expected


@pytest.mark.parametrize("predicted", [(1, 0), (math.nan, 1), (-INF, INF), math.nan])
@pytest.mark.parametrize("made", [Rival, lambda ends: Prediction("x", "q", ends, "d", worst)])
def test_what_predicts_nothing_is_refused(made, predicted):
    with pytest.raises(ValueError, match="low <= high, with one end finite"):
        made(predicted)


def tail(x):
    """Student's t of one degree of freedom, in closed form: two worlds."""
    return 0.5 - math.atan(x) / math.pi


@pytest.mark.parametrize(
    ("predicted", "value", "expected"),
    [
        ((0, 1), 0.5, 1.0),
        ((0, 1), 1.0, 1.0),
        ((0, 0), 3.0, 2 * tail(6)),  # a number: two tails
        ((0, INF), -3.0, tail(6)),  # a half-line: nothing lies beyond its other end
        ((-INF, 0), 3.0, tail(6)),
        ((-INF, 0), -3.0, 1.0),
        ((0, 1), 4.0, tail(6) + tail(8)),  # from the end at 1: above 4, or below -3
        ((0, 1), -3.0, tail(6) + tail(8)),
        ((0, INF), math.nan, math.nan),
    ],
)
def test_a_probability_is_of_what_lies_as_far_outside(predicted, value, expected):
    found = probability(Estimate(value, value - 2, value + 2, worlds=2, error=0.5), predicted)
    assert found == pytest.approx(expected, rel=1e-12, nan_ok=True)  # rounding


def test_what_was_not_sampled_is_or_is_not_so():
    assert probability(exact(2.0, 10), (0, INF)) == 1 and probability(exact(2.0, 10), (3, 4)) == 0
    assert math.isnan(probability(Estimate(2.0, 1.0, 3.0, 10), (5, 6)))  # no error is known
    assert math.isnan(probability(worst([]), (0, 1))) and probability(exact(2.0, 10), None) is None


@pytest.mark.parametrize("ratio", [False, True])
def test_under_a_rival_that_is_right_every_probability_is_as_frequent_as_it_says(ratio):
    rng = np.random.default_rng(11)

    def study():
        if ratio:  # of means over worlds of two right-skewed, dependent columns
            return estimate(rng.gamma(4, size=(100, 2)), lambda m: m[..., 0] / m[..., 1])
        return estimate(rng.normal(1.0, 3.0, size=12))

    studies = [study() for _ in range(1000)]
    p = np.sort([probability(found, (1, 1)) for found in studies])
    distance = np.abs(p - (np.arange(len(p)) + 0.5) / len(p)).max()
    assert distance < 1.63 / math.sqrt(len(p))  # Kolmogorov's, which one seed in a hundred exceeds
    # of half-lines that end at the truth it is a bound: p is 1 for every second study
    for half in ((1, INF), (-INF, 1)):
        half_p = np.array([probability(found, half) for found in studies])
        assert abs((half_p == 1).mean() - 0.5) < 0.06
        assert abs((half_p <= 0.1).mean() - 0.1) < 0.04  # four standard deviations


def test_a_rival_that_is_wrong_is_refuted():
    found = estimate(np.random.default_rng(3).normal(1.0, 2.0, size=100))
    assert found.error == pytest.approx(0.2, rel=0.25)  # 2/sqrt(100)
    for side in (-1, 1):
        off = found.value + 5 * side * found.error
        assert FLOOR < probability(found, (off, off)) < 1e-5 < REFUTED


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


def row_of(tmp_path, *rivals):
    """The row of a file for a measurement of 2 with error 1 that was predicted to be 2 at least."""
    found = Estimate(2.0, 0.0, 4.0, 100, error=1.0)
    said = dict(zip(("no_effect", "paper"), rivals, strict=False))
    prediction = Prediction("x", "q", (2, INF), "d", lambda table: found, said)
    path = write_judgements(tmp_path / "a.json", judge([prediction], None))
    return json.loads(path.read_text())[0]


def test_rivals_stand_beside_a_prediction_in_the_file(tmp_path):
    row = row_of(tmp_path, Rival(-9, "nothing moves"), Rival(None, "silent"))
    assert row["probability"] == 1 and list(row["rivals"]) == ["no_effect", "paper"]
    nothing = row["rivals"]["no_effect"]
    assert nothing["predicted"] == [-9, -9] and nothing["because"] == "nothing moves"
    assert nothing["probability"] == FLOOR
    assert row["rivals"]["paper"] == dict(predicted=None, because="silent", probability=None)
    assert told(row) == "predicted at least 2, measured 2 [0, 4]"
    assert told_rival(nothing) == "-9 — p < 1e-12 (nothing moves)"
    assert told_rival(row["rivals"]["paper"]) == "(silent)"
    assert survivors(row, "no_effect") == (True, False) and survivors(row, "paper") is None
    both = row_of(tmp_path, Rival((-INF, 1)))
    assert told_rival(both["rivals"]["no_effect"]) == "at most 1 — p = 0.16"
    assert survivors(both, "no_effect") == (True, True)


def test_without_rivals_the_file_is_as_it_was(tmp_path):
    row = row_of(tmp_path)
    assert "rivals" not in row and "probability" not in row and survivors(row, "paper") is None
    assert told(row) == "predicted at least 2, measured 2 [0, 4]"
