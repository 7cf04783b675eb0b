"""Weights that deliver what the published one promises, behind the same protocol.

A target depends on the ratio w(h)/w(-h) alone. :class:`BoundedRatioWeight` (N1) and
:class:`TargetShapedWeight` (N2) fix that ratio and set the larger of the two weights to 1;
:class:`EfficientWeight` (N4) keeps the targets of any weight and spends the remaining freedom, the
common scale of w(h) and w(-h), on the least variance; :class:`ScaledWeight` multiplies by a
constant. Pass them wherever a MarginSchedule is taken as `weighting`.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .ops import check_number
from .schedule import MarginSchedule, excess, magnitude
from .weight import Weighting, check_schedule, log_weight, weighting_of

__all__ = [
    "BoundedRatioWeight",
    "EfficientWeight",
    "PowerTarget",
    "ScaledWeight",
    "TargetMap",
    "TargetShapedWeight",
]


class _CappedRatio(Weighting):
    """w(h) = min(1, e^delta(h)) for an odd delta: the larger weight of the two labels is 1."""

    @abstractmethod
    def log_ratio(self, xp, h): ...

    def log_weight(self, xp, h):
        return xp.minimum(self.log_ratio(xp, h), 0)


@dataclass(frozen=True)
class BoundedRatioWeight(_CappedRatio):
    """w(h) = min(1, e^((c(|h|) - 1) h)): an exact reward model gives z* = c(|h*|) h* everywhere.

    In (0, 1], continuous, Lipschitz. Its shift delta = (c - 1) h is not bounded: dampening that
    grows with the margin cannot be (N3). Statement N1; derived here. TypeError unless `schedule`
    is a MarginSchedule.
    """

    schedule: MarginSchedule

    def __post_init__(self):
        check_schedule(self.schedule)

    def log_ratio(self, xp, h):
        return excess.formula(xp, h, self.schedule) * h


class TargetMap(Protocol):
    """An odd target map by its half h >= 0: called with (xp, u), returns T(u), T(0) = 0.

    T must not be negative; increasing and concave is what :class:`TargetShapedWeight` is for.
    """

    def __call__(self, xp, u): ...


@dataclass(frozen=True)
class PowerTarget:
    """Concave target T(u) = K ((1 + u/smoothing)^gamma - 1), with K such that T(tau) = tau.

    Increasing, above the diagonal left of tau and below it on the right, with the finite slope
    K gamma/smoothing > 1 at 0; for smoothing -> 0 it tends to tau (u/tau)^gamma. Statement N2;
    derived here.

    Parameters
    ----------
    tau : the margin that keeps its target, nats, > 0.
    gamma : exponent, 0 < gamma < 1.
    smoothing : > 0, nats.
    """

    tau: float
    gamma: float
    smoothing: float

    def __post_init__(self):
        check_number("tau", self.tau, "tau > 0", lambda v: v > 0)
        check_number("gamma", self.gamma, "0 < gamma < 1", lambda v: (v > 0) & (v < 1))
        check_number("smoothing", self.smoothing, "smoothing > 0", lambda v: v > 0)

    @classmethod
    def with_slope(cls, tau, gamma, slope):
        """The PowerTarget whose slope at 0, its largest amplification, is `slope` > 1."""
        from scipy.optimize import brentq

        check_number("slope", slope, "slope > 1", lambda v: v > 1)
        cls(tau, gamma, 1.0)  # names the parameter that breaks a rule

        def excess_slope(log_ratio):  # of tau over smoothing; the slope rises with it from 1
            ratio = math.exp(log_ratio)
            return math.log(gamma * ratio / math.expm1(gamma * math.log1p(ratio)) / slope)

        high = 1.0
        while excess_slope(high) < 0:
            high *= 2
            if high > 600:
                raise ValueError(f"slope = {slope} is out of reach at gamma = {gamma}; lower one")
        low = -1.0
        while excess_slope(low) > 0:
            low *= 2
            if low < -40:
                raise ValueError(f"slope = {slope} is too close to 1; choose it above 1 + 1e-12")
        return cls(tau, gamma, tau / math.exp(brentq(excess_slope, low, high, xtol=1e-14)))

    def __call__(self, xp, u):
        tau, gamma, smoothing = (xp.number(v, u) for v in (self.tau, self.gamma, self.smoothing))
        share = xp.expm1(gamma * xp.log1p(tau / smoothing + 0 * u))
        return tau * xp.expm1(gamma * xp.log1p(u / smoothing)) / share


@dataclass(frozen=True)
class TargetShapedWeight(_CappedRatio):
    """w(h) = min(1, e^(T(h) - h)): an exact reward model gives the target T(h*), odd in h*.

    With T increasing, easier pairs never get smaller targets; with T concave and T(tau) = tau, it
    amplifies left of tau and dampens right of it, by construction. Statement N2; derived here.
    """

    target: TargetMap

    def __post_init__(self):
        if not callable(self.target):
            raise TypeError(
                f"target must be a TargetMap such as PowerTarget(tau, gamma, smoothing), got "
                f"{type(self.target).__qualname__}"
            )

    def log_ratio(self, xp, h):
        u = magnitude(xp, h)
        delta = self.target(xp, u) - u
        return xp.where_greater(h, 0, delta, -delta)


@dataclass(frozen=True)
class EfficientWeight(Weighting):
    """The targets of `base` at the least variance: w(h) = sigma(h) e^delta(h) + sigma(-h).

    Equal to sigma(-h)/sigma(-T(h)), T = h + delta. Among all weights with the same ratio
    w(h)/w(-h) it alone, up to a constant, reaches the information sigma(h) sigma(-h) of every
    pair when pairs share parameters (N4; exact reward model, realizable targets). With
    D = sup |delta| it lies between min(1/2, e^-D) and e^D. `base` is a MarginSchedule or
    Weighting with T(h) >= 0 for h >= 0, as all here have. Derived here.
    """

    base: Weighting

    def __post_init__(self):
        weighting_of(self.base)

    def log_weight(self, xp, h):
        u = magnitude(xp, h)
        delta = self.log_ratio(xp, u)
        # (1 + e^-T)/(1 + e^-u) = 1 + sigma(u) (e^-T - e^-u), for T = u + delta
        g = xp.log1p(xp.sigmoid(u) * xp.exp_difference(u + delta, u, -delta))
        return xp.where_greater(h, 0, delta + g, g)

    def log_ratio(self, xp, h):
        return weighting_of(self.base).log_ratio(xp, h)


@dataclass(frozen=True)
class ScaledWeight(Weighting):
    """e^log_scale times another weight: the same targets, another step size. Derived here."""

    base: Weighting
    log_scale: float

    def __post_init__(self):
        weighting_of(self.base)
        check_number("log_scale", self.log_scale, "log_scale finite", lambda v: True)

    @classmethod
    def mean_one(cls, base, margins, counts=None):
        """`base` scaled so that its mean over the data is 1: one constant, never per batch.

        Parameters
        ----------
        margins : the reward model's margins toward the observed labels, nats, 1-D, not empty.
        counts : how many pairs have each of the margins, > 0; default one.
        """
        margins = np.asarray(margins, dtype=np.float64)
        if margins.ndim != 1 or margins.size == 0:
            raise ValueError(
                f"margins must be 1-D with at least one entry, got shape {margins.shape}; pass "
                "one margin for each labelled pair of the data"
            )
        counts = np.ones(len(margins)) if counts is None else np.asarray(counts, dtype=np.float64)
        if counts.shape != margins.shape or not (counts > 0).all():
            raise ValueError(
                f"counts must be > 0 and one for each of the {len(margins)} margins; drop margins "
                "that do not occur"
            )
        logs = log_weight(margins, base) + np.log(counts)
        return cls(base, -float(np.logaddexp.reduce(logs) - math.log(counts.sum())))

    def log_weight(self, xp, h):
        return weighting_of(self.base).log_weight(xp, h) + xp.number(self.log_scale, h)

    def log_ratio(self, xp, h):
        return weighting_of(self.base).log_ratio(xp, h)
