"""The weight of a wanted target map (N2)."""

import math
from dataclasses import dataclass
from typing import Protocol

from ..ops import check_number
from ..ops.stable import magnitude
from ..registry import Look
from ..roots import root
from ..schedule import check_schedule
from .capped import CappedRatio

__all__ = ["PowerTarget", "TargetMap", "TargetShapedWeight"]


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
        return cls(tau, gamma, tau / math.exp(root(excess_slope, low, high)))

    def __call__(self, xp, u):
        tau, gamma, smoothing = (xp.number(v, u) for v in (self.tau, self.gamma, self.smoothing))
        share = xp.expm1(gamma * xp.log1p(tau / smoothing + 0 * u))
        return tau * xp.expm1(gamma * xp.log1p(u / smoothing)) / share


@dataclass(frozen=True)
class TargetShapedWeight(CappedRatio):
    """w(h) = min(1, e^(T(h) - h)): an exact reward model gives the target T(h*), odd in h*.

    With T increasing, easier pairs never get smaller targets; with T concave and T(tau) = tau, it
    amplifies left of tau and dampens right of it, by construction. Statement N2; derived here.
    """

    name, label, source = "target_shaped", "target shaped", "derived here"
    look = Look("#009e73", "h", (0, (6, 1.5, 1, 1.5)))

    target: TargetMap

    @classmethod
    def of(cls, schedule, *, gamma=0.5):
        """The concave target through (tau, tau) that amplifies by c_max at 0, exponent `gamma`."""
        check_schedule(schedule)
        return cls(PowerTarget.with_slope(float(schedule.tau), gamma, float(schedule.c_max)))

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

    def tail(self, xp, quantity, far):
        """For a PowerTarget, which rises, is concave, and meets the diagonal at tau.

        Beyond tau T' is in (0, 1), so that delta = T - u, which is log w(u), is negative and falls,
        without bound, at a rate below 1, while w(-u) = 1.
        """
        if type(self.target) is not PowerTarget:
            return None
        if quantity in ("influence", "dampening", "log_weight_min"):
            return math.inf
        if not far >= xp.number(self.target.tau, far):
            return None
        return {
            "sensitivity": 1,
            "log_weight_max": 0,
            "target_slope_min": 0,
            "target_slope_max": 1,
            "weight_slope": xp.exp(self.log_ratio(xp, far)),
        }.get(quantity)
