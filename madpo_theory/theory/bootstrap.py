"""The percentile bootstrap. Source: B. Efron, R. J. Tibshirani, Chapman & Hall 1993, ch. 13."""

import numpy as np

__all__ = ["bootstrap_mean", "percentiles", "resampled_counts"]


def resampled_counts(generator, count, resamples):
    """How often each of `count` rows is drawn, (resamples, count), `count` draws with replacement.

    generator : numpy.random.Generator.
    """
    return generator.multinomial(count, np.full(count, 1 / count), resamples)


def percentiles(resampled, ends=(0.025, 0.975)):
    """The interval (low, high) of a statistic's resamples; NaN where one of them is not finite."""
    if not np.isfinite(resampled).all():
        return np.nan, np.nan
    low, high = np.quantile(resampled, ends)
    return float(low), float(high)


def bootstrap_mean(values, *, generator, resamples=10_000, level=0.95):
    """Mean and percentile interval: (mean, low, high).

    For a paired comparison pass the differences.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(
            f"values must be at least two finite numbers in one dimension, got shape "
            f"{values.shape}; drop missing entries first"
        )
    means = np.empty(resamples)
    # Rows are drawn one by one, not as counts: recorded runs hold these very draws.
    for start in range(0, resamples, 1_000):
        count = min(1_000, resamples - start)
        draws = generator.integers(len(values), size=(count, len(values)))
        means[start : start + count] = values[draws].mean(axis=1)
    return float(values.mean()), *percentiles(means, ((1 - level) / 2, (1 + level) / 2))
