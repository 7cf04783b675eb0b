"""What the labels say about the reward model: do they agree with it as often as it predicts?

With h the margin toward the observed label, a Bradley-Terry model gives the response that it
prefers the probability sigma(|h|), and the label agrees where h > 0.
"""

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from ..ops.numpy_world import sigmoid, softplus
from .fits import Fits, fits, fitted_scale, probability
from .sketch import WIDTH

__all__ = ["Calibration", "ReliabilityBin", "calibration"]

MISCALIBRATED = 1.25
"""Factor between fitted and calibrated scale above which, beyond doubt, it is a warning."""
# Ten bins of equal width in confidence; their edges, as margins, moved to an edge of the sketch's
# grid, by less than 0.0002 in confidence, so that every count is exact.
CONFIDENCES = np.linspace(0.55, 0.95, 9)
EDGES = np.concatenate(
    [[0.0], np.round(np.log(CONFIDENCES / (1 - CONFIDENCES)) / WIDTH) * WIDTH, [np.inf]]
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
    error_by_chance : what it would be of a calibrated model, about: a share of n labels is off by
        sqrt(2 p (1 - p)/(pi n)) on average.
    scale, flip_rate : a and eps that together maximize the likelihood of eps + (1 - 2 eps)
        sigma(a h), with standard errors scale_error and flip_rate_error, see :class:`~.fits.Fit`;
        all None if none do. fits : those of each alone, and the tests between them.
    kind : what is wrong, see :class:`~.fits.Fits`.
    log_loss_fitted, error_fitted : with the probabilities of the fit that is believed; None
        where none is.
    points_away : whether margins point to the rejected response, or nowhere: they dispute labels,
        and no positive scale is better than none.
    bins : the reliability curve, one entry for every occupied bin.
    repeated : :class:`~.repeated.Repeated` where the labels say nothing of the scale and pairs are
        judged more than once, else None. scale and flip_rate are then those of their fits.

    Means are over the cells of the sketch: within 1e-6 of those over the pairs.
    """

    disputed: float
    disputed_expected: float
    log_loss: float
    error: float
    error_by_chance: float
    scale: float | None
    scale_error: float | None
    flip_rate: float | None
    flip_rate_error: float | None
    kind: str
    fits: Fits
    log_loss_fitted: float | None
    error_fitted: float | None
    points_away: bool
    bins: tuple
    repeated: object = None

    @property
    def says(self):
        """The :class:`~.fits.Fits` that tell the scale: of labels, or of repeated judgements."""
        again = self.repeated and self.repeated.fits
        return again if again and again.both else self.fits

    def judged_again(self, repeated):
        """The same, with what repeated judgements say of the scale."""
        both = repeated and repeated.fits.both
        if not both:
            return replace(self, repeated=repeated)
        return replace(
            self, repeated=repeated, scale=both.scale, scale_error=both.scale_error,
            flip_rate=both.flip_rate, flip_rate_error=both.flip_rate_error,
        )  # fmt: skip

    @property
    def needed_scale(self):
        """The scale of the fit that is believed, if it is a warning, else 1."""
        scale = self.says.believed.scale if self.says.believed else 1.0
        return scale if max(scale, 1 / scale) > MISCALIBRATED else 1.0


def calibration(sketch):
    """The :class:`Calibration` of margins toward observed labels."""
    h, n = sketch.margins, sketch.counts
    scale_alone = fitted_scale(h, n)
    found = fits(h, n, scale_alone)
    both, believed, bins = found.both, found.believed, _bins(sketch, 1.0, 0.0)
    disputed = sketch.count_below(0.0) / sketch.pairs
    return Calibration(
        disputed=disputed,
        disputed_expected=sketch.mean(sigmoid(-np.abs(h))),
        log_loss=sketch.mean(softplus(-h)),
        error=_error(bins, sketch),
        error_by_chance=sum(
            math.sqrt(2 / math.pi * b.confidence * (1 - b.confidence) * b.pairs) for b in bins
        )
        / sketch.pairs,
        scale=both and both.scale,
        scale_error=both and both.scale_error,
        flip_rate=both and both.flip_rate,
        flip_rate_error=both and both.flip_rate_error,
        kind=found.kind,
        fits=found,
        log_loss_fitted=believed and -believed.log_likelihood / sketch.pairs,
        error_fitted=believed and _error(_bins(sketch, believed.scale, believed.flip_rate), sketch),
        points_away=both is None
        and (disputed == 1 or (scale_alone is not None and scale_alone <= 0)),
        bins=bins,
    )


def _bins(sketch, scale, flip_rate):
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
            low, high = (float(sigmoid(edge)) for edge in EDGES[b : b + 2])
            sure = probability(np.abs(h[inside]), 1.0, flip_rate)
            confidence = float((n[inside] * sure).sum() / pairs)
            found.append(
                ReliabilityBin(low, high, pairs, confidence, share, *_wilson(share, pairs))
            )
    return tuple(found)


def _wilson(share, n):
    """95 % score interval of a share of n."""
    z = NormalDist().inv_cdf(0.975)
    middle = share + z**2 / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    low, high = ((middle + sign * half) / (1 + z**2 / n) for sign in (-1, 1))
    return min(max(low, 0.0), share), max(min(high, 1.0), share)  # at 0 and 1 up to rounding


def _error(bins, sketch):
    return sum(b.pairs * abs(b.agreement - b.confidence) for b in bins) / sketch.pairs
