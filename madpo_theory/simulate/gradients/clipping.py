"""BAPO: PPO's surrogate whose clip range moves until positive advantages contribute enough.

arXiv 2510.18927, equations 5 to 8, algorithm 1 and appendix B, read in the paper; the released code
(recipe/bapo/policy_loss.py of the authors' repository), read there, is another search by another
share: :class:`BapoReleased`.

Of samples with ratios r = pi/behaviour, advantages A and masses (behaviour's probabilities, or 1 a
sample, or token counts), the surrogate is ``sum mass min(r A, clip(r, c_low, c_high) A)``. The
value is bounded by c_high where A > 0 and by c_low where A < 0; the gradient is cut there.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from ...ops import check_number, elementwise
from ...ops.checks import check_positive, finite_array
from .bandit import covariance, score_gradient

__all__ = [
    "Bapo",
    "BapoReleased",
    "ClipSearch",
    "clipped_surrogate",
    "contributions",
    "entropy_rule",
    "entropy_slope",
    "flowing",
    "flowing_contributions",
    "net_share",
    "share",
]


@elementwise("ratio", "advantage", same_shape=True)
def clipped_surrogate(xp, ratio, advantage, c_low, c_high):
    """min(r A, clip(r, c_low, c_high) A): A min(r, c_high) where A > 0, else A max(r, c_low)."""
    low, high = xp.number(c_low, ratio), xp.number(c_high, ratio)
    capped, floored = xp.minimum(ratio, high), -xp.minimum(-ratio, -low)
    return advantage * xp.where_greater(advantage, 0, capped, floored)


@elementwise("ratio", "advantage", same_shape=True)
def flowing(xp, ratio, advantage, c_low, c_high):
    """X of equation 7: 1 where the surrogate has a gradient, else 0.

    r < c_high where A > 0, r > c_low where A < 0; 0 where A = 0.
    """
    low, high = xp.number(c_low, ratio), xp.number(c_high, ratio)
    one = 1 + 0 * ratio
    below, above = (
        xp.where_greater(-ratio, -high, one, 0 * one),
        xp.where_greater(ratio, low, one, 0 * one),
    )
    negative = xp.where_greater(-advantage, 0, above, 0 * one)
    return xp.where_greater(advantage, 0, below, negative)


def _signed(terms, advantage):
    return float(terms[advantage > 0].sum()), float(-terms[advantage < 0].sum())


def contributions(ratio, advantage, masses, c_low, c_high):
    """(positive, negative) parts >= 0 of the surrogate's value: the sums of equation 8."""
    return _signed(masses * clipped_surrogate(ratio, advantage, c_low, c_high), advantage)


def flowing_contributions(ratio, advantage, masses, c_low, c_high):
    """(positive, negative) parts >= 0 of what has a gradient, mass r |A| X: equation 5's sums."""
    flow = flowing(ratio, advantage, c_low, c_high)
    return _signed(masses * ratio * advantage * flow, advantage)


def share(positive, negative):
    """positive/(positive + negative): the text's "positive token contribution"; 0 of nothing."""
    total = positive + negative
    return positive / total if total > 0 else 0.0


def net_share(positive, negative):
    """|positive|/|positive - negative|: equation 8 as printed, whose denominator is a signed sum.

    Infinite where they balance. It reaches rho iff ``share`` reaches rho/(1 + 2 rho), for rho <= 1.
    """
    net = abs(positive - negative)
    return positive / net if net > 0 else (math.inf if positive > 0 else 0.0)


# ----------------------------------------------------------------------------------------- search


@dataclass(frozen=True)
class ClipSearch:
    """Where a search ended.

    c_low, c_high : the clip range.
    reached : the target that was sought, there.
    raised : how often each was raised, (low, high).
    """

    c_low: float
    c_high: float
    reached: bool
    raised: tuple[int, int]


@functools.cache
def _grid(name, ends, step):
    """start, start + step, ... up to end: in decimals, so that 0.6 + 15 * 0.02 is 0.9."""
    start, end = (Fraction(repr(float(check_positive(name, v)))) for v in ends)
    width = Fraction(repr(float(check_positive(f"{name}_step", step))))
    if start > end:
        raise ValueError(
            f"{name} = {ends} breaks the rule start <= end; the bounds only rise, order them"
        )
    return tuple(float(start + k * width) for k in range(math.floor((end - start) / width) + 1))


def _grids(settings):
    """The values that c_low and c_high of a Bapo or BapoReleased take, or its settings' error."""
    return (
        _grid("low", tuple(settings.low), settings.low_step),
        _grid("high", tuple(settings.high), settings.high_step),
    )


def _check_samples(ratio, advantage, masses):
    ratio = finite_array("ratio", ratio, ndim=1)
    advantage = finite_array("advantage", advantage, shape=ratio.shape)
    masses = finite_array("masses", masses, shape=ratio.shape)
    if not ((ratio > 0).all() and (masses >= 0).all()):
        raise ValueError(
            "ratio > 0 and masses >= 0 are the rules; a ratio is pi/behaviour, drop samples that "
            "either cannot draw"
        )
    return ratio, advantage, masses


@dataclass(frozen=True)
class Bapo:
    """Algorithm 1: c_high rises to its end first, then c_low, until the share is rho.

    Parameters
    ----------
    rho : target share, 0 < rho < 1; 0.4, in appendix A 0.45, in the README 0.5.
    low, high : (start, end) of c_low and c_high.
    low_step, high_step : 0.02, 0.05.
    part : ``contributions`` (equation 8) or ``flowing_contributions`` (equation 5).
    of : ``share`` or ``net_share`` (equation 8 as printed).
    """

    rho: float = 0.4
    low: tuple[float, float] = (0.6, 0.9)
    high: tuple[float, float] = (1.2, 3.0)
    low_step: float = 0.02
    high_step: float = 0.05
    part: Callable = contributions
    of: Callable = share

    def __post_init__(self):
        check_number("rho", self.rho, "0 < rho < 1", lambda v: 0 < v < 1)
        _grids(self)

    def search(self, ratio, advantage, masses):
        """:class:`ClipSearch` of samples (n,)."""
        ratio, advantage, masses = _check_samples(ratio, advantage, masses)
        lows, highs = _grids(self)
        path = [(0, k) for k in range(len(highs))]
        path += [(k, len(highs) - 1) for k in range(1, len(lows))]
        return _first(
            path,
            (lows, highs),
            lambda c: self.of(*self.part(ratio, advantage, masses, *c)) >= self.rho,
        )


@dataclass(frozen=True)
class BapoReleased:
    """The released code: c_low rises to its end first, then c_high, until positive/negative is 1.

    The sums are those of :func:`contributions`, as in the code (`min` of the ratio and c_high where
    A >= 0, `max` of it and c_low where A < 0); a step that passes an end stops at it. The ranges
    are the README's, the steps the configuration's. The surrogate there is also cut at r = 3 where
    A < 0, which the search does not see. Read in the code.
    """

    target: float = 1.0
    low: tuple[float, float] = (0.6, 0.9)
    high: tuple[float, float] = (1.2, 3.0)
    low_step: float = 0.05
    high_step: float = 0.05
    eps: float = 1e-8

    def __post_init__(self):
        check_positive("target", self.target)
        self._stops()

    def _stops(self):
        ends = float(self.low[1]), float(self.high[1])
        return [g if g[-1] == end else (*g, end) for g, end in zip(_grids(self), ends, strict=True)]

    def search(self, ratio, advantage, masses):
        """:class:`ClipSearch` of samples (n,)."""
        ratio, advantage, masses = _check_samples(ratio, advantage, masses)
        lows, highs = self._stops()
        path = [(k, 0) for k in range(len(lows))]
        path += [(len(lows) - 1, k) for k in range(1, len(highs))]

        def holds(clips):
            positive, negative = contributions(ratio, advantage, masses, *clips)
            return negative <= 0 or positive / (negative + self.eps) >= self.target

        return _first(path, (lows, highs), holds)


def _first(path, grids, holds):
    """The first place of a path of (low, high) indices where `holds` of the clips; or its end."""
    for raised in path:
        clips = tuple(grid[k] for grid, k in zip(grids, raised, strict=True))
        if holds(clips):
            return ClipSearch(*clips, True, raised)
    return ClipSearch(*clips, False, raised)


# ---------------------------------------------------------------------------------------- entropy


def entropy_rule(policy, log_policy, values):
    """The entropy-clip rule, equation 6, per unit of step: -Cov_pi(log pi, f), f = A X (+ C).

    It is the entropy's slope along the natural gradient, whose step in the logits is f itself.
    """
    return -covariance(policy, log_policy, values)


def entropy_slope(policy, log_policy, values):
    """dH/d eta along the gradient of E_pi[f], f = A X: -Cov_pi(log pi, pi (f - E_pi f)).

    PPO's step in the logits is pi (f - E_pi f), as proposition 1 of the paper's appendix says; its
    proposition 2, the rule, leaves the factor pi out.
    """
    return entropy_rule(policy, log_policy, score_gradient(policy, values))
