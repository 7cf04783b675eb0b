"""What the labels say about the reward model: do they agree with it as often as it predicts?

With h the margin toward the observed label, a Bradley-Terry model gives the response that it
prefers the probability sigma(|h|), and the label agrees where h > 0.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtri

from ..ops.numpy_world import softplus
from .sketch import WIDTH

__all__ = ["Calibration", "ReliabilityBin", "calibration"]

# Ten bins of equal width in confidence; their edges, as margins, moved to an edge of the sketch's
# grid, by less than 0.0002 in confidence, so that every count is exact.
EDGES = np.concatenate(
    [[0.0], np.round(logit(np.linspace(0.55, 0.95, 9)) / WIDTH) * WIDTH, [np.inf]]
)


@dataclass(frozen=True)
class ReliabilityBin:
    """Pairs whose preferred response has a probability between two bounds.

    Attributes
    ----------
    low, high : the bounds. pairs : how many.
    confidence : their mean probability. agreement : share of their labels that agree with the
        reward model, a tie being half an agreement; agreement_low, agreement_high : its 95 %
        interval (Wilson 1927).
    """

    low: float
    high: float
    pairs: int
    confidence: float
    agreement: float
    agreement_low: float
    agreement_high: float


@dataclass(frozen=True)
class Calibration:
    """Labels against the reward model's probabilities.

    Attributes
    ----------
    disputed : share of the labels that contradict the reward model (h < 0); exact.
    disputed_expected : share that would, were it calibrated.
    log_loss : mean of -log sigma(h), nats.
    error : expected calibration error, the mean of |agreement - confidence| over the bins.
    scale : a that maximizes the likelihood of sigma(a h); None if none does, as the labels agree
        with the reward model always or never. temperature : 1/a; None if a is not positive.
    scale_error : standard error of the scale; None if the labels hold no information on it.
    log_loss_scaled, error_scaled : with margins a h.
    bins : the reliability curve, one entry for every occupied bin.

    Means are over the cells of the sketch: within 1e-6 of those over the pairs.
    """

    disputed: float
    disputed_expected: float
    log_loss: float
    error: float
    scale: float | None
    temperature: float | None
    scale_error: float | None
    log_loss_scaled: float | None
    error_scaled: float | None
    bins: tuple


def calibration(sketch):
    """The :class:`Calibration` of margins toward observed labels."""
    h, n = sketch.margins, sketch.counts
    scale = _fitted_scale(h, n)
    information = 0.0 if scale is None else float(n @ (h**2 * expit(scale * h) * expit(-scale * h)))
    bins = _bins(sketch, 1.0)
    return Calibration(
        disputed=sketch.count_below(0.0) / sketch.pairs,
        disputed_expected=sketch.mean(expit(-np.abs(h))),
        log_loss=sketch.mean(softplus(-h)),
        error=_error(bins, sketch),
        scale=scale,
        temperature=1 / scale if scale is not None and scale > 0 else None,
        scale_error=1 / math.sqrt(information) if information > 0 else None,
        log_loss_scaled=None if scale is None else sketch.mean(softplus(-scale * h)),
        error_scaled=None if not scale or scale < 0 else _error(_bins(sketch, scale), sketch),
        bins=bins,
    )


def _fitted_scale(h, n):
    """The root of the likelihood's slope, sum of n h sigma(-a h), which falls with a."""
    if h[0] >= 0 or h[-1] <= 0:
        return None

    def slope(a):
        return float(n @ (h * expit(-a * h)))

    step = 1 / float(np.abs(h).max())
    low, high = -step, step
    while slope(low) <= 0:
        low *= 2
    while slope(high) >= 0:
        high *= 2
    return float(brentq(slope, low, high, xtol=1e-300, rtol=1e-13))


def _bins(sketch, scale):
    h, n = scale * sketch.margins, sketch.counts
    place = np.searchsorted(EDGES, np.abs(h), side="right") - 1
    agreeing = np.where(sketch.margins < 0, 0.0, n)
    # Ties lie in the cell of the smallest margins that are not negative.
    if sketch.ties:
        agreeing[np.searchsorted(sketch.margins, 0.0)] -= sketch.ties / 2
    found = []
    for b in range(len(EDGES) - 1):
        inside = place == b
        pairs = int(n[inside].sum())
        if pairs:
            share = float(agreeing[inside].sum() / pairs)
            low, high = (float(expit(edge)) for edge in EDGES[b : b + 2])
            confidence = float(n[inside] @ expit(np.abs(h[inside])) / pairs)
            found.append(
                ReliabilityBin(low, high, pairs, confidence, share, *_wilson(share, pairs))
            )
    return tuple(found)


def _wilson(share, n):
    """95 % score interval of a share of n."""
    z = float(ndtri(0.975))
    middle = share + z**2 / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    low, high = ((middle + sign * half) / (1 + z**2 / n) for sign in (-1, 1))
    return min(max(low, 0.0), share), max(min(high, 1.0), share)  # at 0 and 1 up to rounding


def _error(bins, sketch):
    return sum(b.pairs * abs(b.agreement - b.confidence) for b in bins) / sketch.pairs
