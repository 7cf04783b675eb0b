"""Intervals and summaries of the evaluation."""

import numpy as np

__all__ = ["bootstrap_mean", "effective_sample_size", "weight_statistics"]


def bootstrap_mean(values, *, generator, resamples=10_000, level=0.95):
    """Mean and percentile bootstrap interval: (mean, low, high).

    For a paired comparison pass the differences. Source: Efron & Tibshirani 1993, ch. 13.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(
            f"values must be at least two finite numbers in one dimension, got shape "
            f"{values.shape}; drop missing entries first"
        )
    means = np.empty(resamples)
    for start in range(0, resamples, 1_000):
        count = min(1_000, resamples - start)
        draws = generator.integers(len(values), size=(count, len(values)))
        means[start : start + count] = values[draws].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(values.mean()), float(low), float(high)


def effective_sample_size(weights):
    """(sum w)^2 / sum w^2, of weights in any scale."""
    weights = np.asarray(weights, dtype=np.float64)
    return float(weights.sum() ** 2 / (weights**2).sum())


def weight_statistics(margins, weights):
    """What MADPO's weights do to the pairs; margins are the reward model's, toward the label."""
    return {
        "pairs": len(weights),
        "ess": effective_sample_size(weights),
        "suppressed": float((weights < 0.5).mean()),
        "mean": float(weights.mean()),
        "min": float(weights.min()),
        "max": float(weights.max()),
        "disputed": float((margins < 0).mean()),
        "margin_std": float(margins.std()),
    }
