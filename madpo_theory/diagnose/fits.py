"""Two kinds of wrong: margins off by a scale, labels flipped at random; told apart by likelihood.

With h the margin toward the observed label, ``P(label) = eps + (1 - 2 eps) sigma(a h)``: a scales
the margins to log-odds, eps is the share of labels that were flipped. Flips alone, fitted by a
scale alone, look like an overconfident reward model. Derived here.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..ops.numpy_world import sigmoid, softplus
from ..roots import least, root

__all__ = ["Fit", "Fits", "LikelihoodRatio", "fits", "fitted_scale", "probability"]

LEVEL = 0.01
"""Level of the likelihood-ratio tests."""


@dataclass(frozen=True)
class Fit:
    """A scale and a flip rate by maximal likelihood, with standard errors.

    Attributes
    ----------
    scale : a > 0. flip_rate : eps in [0, 1/2).
    scale_error, flip_rate_error : of the observed information, 0 of what is held; None where the
        labels hold none. On the boundary, eps = 0, the scale's is that of the scale alone, and the
        flip rate's that of an estimate that may go below 0.
    log_likelihood : of all labels, nats.
    """

    scale: float
    scale_error: float | None
    flip_rate: float
    flip_rate_error: float | None
    log_likelihood: float


@dataclass(frozen=True)
class LikelihoodRatio:
    """Twice the log-likelihood that the fit of both gains, and how often chance gains as much."""

    statistic: float
    p: float

    @property
    def rejected(self):
        return self.p < LEVEL


@dataclass(frozen=True)
class Fits:
    """The fits, and what tells them apart.

    Attributes
    ----------
    both : :class:`Fit` of scale and flip rate; None where no positive scale is the best: labels
        that say nothing of the sizes of the margins, or point to the rejected response.
    scale_alone : eps held at 0; flips_alone : a held at 1. Both None where `both` is.
    against_scale, against_flips, against_none : :class:`LikelihoodRatio` of `both` against each
        alone, and against margins and labels as they are. Where eps = 0 is at stake, which bounds
        it, the null is a mixture (Self and Liang 1987): of chi2_0 and chi2_1 against the scale
        alone, of chi2_1 and chi2_2 against neither, half of each.
    kind : "calibrated", where neither is needed; "scale", "flips" or "both"; "untold" where
        something is wrong and either alone would explain it; "unknown" where there is no fit.
    """

    both: Fit | None
    scale_alone: Fit | None
    flips_alone: Fit | None
    against_scale: LikelihoodRatio | None
    against_flips: LikelihoodRatio | None
    against_none: LikelihoodRatio | None
    kind: str

    @property
    def believed(self):
        """The simplest :class:`Fit` that no test rejects; None where none is to be believed."""
        return {
            "calibrated": self.flips_alone and Fit(1.0, 0.0, 0.0, 0.0, self.none),
            "scale": self.scale_alone,
            "flips": self.flips_alone,
            "both": self.both,
        }.get(self.kind)

    @property
    def none(self):
        """The log-likelihood of margins and labels as they are."""
        return self.both.log_likelihood - self.against_none.statistic / 2


def probability(h, scale, flip_rate):
    """``eps + (1 - 2 eps) sigma(a h)`` of the label that h, (n,) nats, points to."""
    return flip_rate + (1 - 2 * flip_rate) * sigmoid(scale * h)


def fitted_scale(h, n):
    """The scale a of margins h that occur n times each: the root of sum of n h sigma(-a h), the
    slope of the likelihood, which falls with a; None where it has none."""
    if h[0] >= 0 or h[-1] <= 0:
        return None

    def slope(a):
        return float((n * (h * sigmoid(-a * h))).sum())

    step = 1 / float(np.abs(h).max())
    low, high = -step, step
    while slope(low) <= 0:
        low *= 2
    while slope(high) >= 0:
        high *= 2
    return root(slope, low, high)


def fits(h, n, scale_alone):
    """The :class:`Fits` to margins h toward observed labels, (cells,), that occur n times each.

    `scale_alone` is the scale that is best without flips, or None where none is.
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # of a h beyond 700
        found = _most_likely(h, n)
        if found is None:
            return Fits(*[None] * 6, "unknown")
        a, e = found
        scale_alone = max(scale_alone or 0.0, 0.0)
        if e == 0:
            a = scale_alone
        both = _fit(h, n, a, e, "ae")
        alone = _fit(h, n, scale_alone, 0.0, "a")
        flips = _fit(h, n, 1.0, _flip_rate(n, sigmoid(h)), "e")
        gains = [
            max(2 * (both.log_likelihood - other), 0.0)
            for other in (alone.log_likelihood, flips.log_likelihood, _value(h, n, 1.0, 0.0))
        ]
    # How often chi2_1 and chi2_2 are larger; chi2_0 is the number 0.
    chi1, chi2 = (lambda x: math.erfc(math.sqrt(x / 2))), (lambda x: math.exp(-x / 2))
    nulls = (lambda x: ((x <= 0) + chi1(x)) / 2), chi1, (lambda x: (chi1(x) + chi2(x)) / 2)
    tests = [LikelihoodRatio(g, float(null(g))) for g, null in zip(gains, nulls, strict=True)]
    return Fits(both, alone, flips, *tests, _kind(*(test.rejected for test in tests)))


def _kind(scale_falls_short, flips_fall_short, wrong):
    if scale_falls_short and flips_fall_short:
        return "both"
    if scale_falls_short or flips_fall_short:
        return "flips" if scale_falls_short else "scale"
    return "untold" if wrong else "calibrated"


def _value(h, n, a, e):
    """The log-likelihood, nats."""
    return float((n * (-softplus(-a * h) if e == 0 else np.log(probability(h, a, e)))).sum())


def _flip_rate(n, s):
    """The best eps in [0, 1/2] at agreements s = sigma(a h): the likelihood is concave in it."""

    def slope(e):
        return float((n * ((1 - 2 * s) / (e + (1 - 2 * e) * s))).sum())

    if slope(0.0) <= 0:
        return 0.0
    if slope(0.5) >= 0:
        return 0.5
    return root(slope, 0.0 if math.isfinite(slope(0.0)) else 1e-300, 0.5)


def _most_likely(h, n):
    """(a, eps) at the maximum; None where a is 0 or infinite there, or eps is 1/2.

    There may be several maxima in a: every factor of 2 is tried, from where all margins are next
    to 0 to where all are next to certain.
    """
    sizes = np.abs(h[h != 0])
    if not len(sizes):
        return None

    def best(log_a):
        """(log-likelihood, eps) of the best eps."""
        e = _flip_rate(n, sigmoid(math.exp(log_a) * h))
        return _value(h, n, math.exp(log_a), e), e

    grid = np.arange(-math.log(sizes.max()) - 3, 4 - math.log(sizes.min()), math.log(2))
    top = int(np.argmax([best(at)[0] for at in grid]))
    if not 0 < top < len(grid) - 1:
        return None
    at, _ = least(lambda at: -best(at)[0], grid[top - 1], grid[top + 1], 1e-10)
    e = best(at)[1]
    return None if e == 0.5 else (math.exp(at), e)


def _fit(h, n, a, e, free):
    """The :class:`Fit` at a and eps, of which those named in `free` were fitted."""
    s, p = sigmoid(a * h), probability(h, a, e)
    bend = s * sigmoid(-a * h)
    by_a, by_e = (1 - 2 * e) * h * bend, 1 - 2 * s
    of_a = (n * ((by_a / p) ** 2 - h * by_a * by_e / p)).sum()
    of_e = (n * (by_e / p) ** 2).sum()
    shared = (n * (by_a * by_e / p**2 + 2 * h * bend / p)).sum() if free == "ae" else 0.0
    a_error = _error(of_a, shared if e > 0 else 0.0, of_e)
    e_error = _error(of_e, shared, of_a)
    return Fit(
        a, a_error if "a" in free else 0.0, e, e_error if "e" in free else 0.0, _value(h, n, a, e)
    )


def _error(own, shared, other):
    """The standard error of one of two parameters from its information, and the other's."""
    left = own - shared**2 / other if shared else own
    return float(1 / np.sqrt(left)) if left > 0 else None
