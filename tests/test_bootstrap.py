"""Intervals against closed forms."""

import math

import numpy as np
import pytest

from madpo_theory.theory.bootstrap import bootstrap_mean, percentiles, resampled_counts


def test_bootstrap_agrees_with_the_normal_interval():
    values = np.random.default_rng(0).normal(1.5, 2.0, size=400)
    mean, low, high = bootstrap_mean(values, generator=np.random.default_rng(1))
    half = 1.959964 * values.std() / math.sqrt(400)
    assert mean == pytest.approx(values.mean())
    assert low == pytest.approx(mean - half, abs=0.05 * half)
    assert high == pytest.approx(mean + half, abs=0.05 * half)


def test_bootstrap_interval_covers_as_often_as_it_says():
    root = np.random.default_rng(2)
    hits = 0
    for _ in range(300):
        values = root.exponential(1.0, size=100)
        _, low, high = bootstrap_mean(values, generator=root, resamples=400)
        hits += low <= 1.0 <= high
    assert 0.90 <= hits / 300 <= 0.98


def test_a_paired_interval_is_narrower_than_two_single_ones():
    root = np.random.default_rng(3)
    before = root.normal(size=256)
    after = before + 0.5 + 0.1 * root.normal(size=256)
    _, low, high = bootstrap_mean(after - before, generator=np.random.default_rng(0))
    _, wide_low, wide_high = bootstrap_mean(after, generator=np.random.default_rng(0))
    assert 0.45 < low < high < 0.55
    assert high - low < 0.2 * (wide_high - wide_low)


def test_the_same_generator_gives_the_same_interval():
    values = np.arange(50.0)
    runs = [bootstrap_mean(values, generator=np.random.default_rng(5)) for _ in range(2)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("values", [[1.0], [1.0, math.nan], [[1.0, 2.0]]])
def test_bad_values_are_refused(values):
    with pytest.raises(ValueError, match="values must be"):
        bootstrap_mean(values, generator=np.random.default_rng(0))


def test_resampled_counts_draw_as_many_rows_as_there_are():
    counts = resampled_counts(np.random.default_rng(0), 7, 5000)
    assert counts.shape == (5000, 7) and (counts.sum(axis=1) == 7).all()
    # A count is binomial of 7 and 1/7: five standard errors of its mean and of its variance.
    assert counts.mean(axis=0) == pytest.approx(1, abs=5 * math.sqrt(6 / 7 / 5000))
    assert counts.var(axis=0) == pytest.approx(6 / 7, rel=5 * math.sqrt(3 / 5000))


def test_percentiles_are_of_the_resamples_and_nan_where_one_is_lost():
    resampled = np.random.default_rng(0).permutation(np.arange(1001.0))
    assert percentiles(resampled) == (25.0, 975.0)
    assert percentiles(resampled, (0.1, 0.5)) == (100.0, 500.0)
    resampled[5] = math.inf
    assert all(map(math.isnan, percentiles(resampled)))
