"""A weight of a user: outside the house, its targets and constants known in closed form."""

from dataclasses import dataclass

from madpo_theory.registry import setting
from madpo_theory.weights import Weighting


@dataclass(frozen=True)
class SoftStep(Weighting):
    """log w(h) = size tanh(h/2): delta = 2 size tanh(h/2), so D = 2 size and L = size.

    log w lies in (-size, size), and T' = 1 + size (1 - tanh^2(h/2)) in (1, 1 + size].
    """

    name, label = "soft_step", "soft step"

    size: float = setting(0.5, "size > 0", lambda v: v > 0, "here")

    def log_weight(self, xp, h):
        return xp.number(self.size, h) * xp.tanh(h / 2)


@dataclass(frozen=True)
class BoundedSoftStep(SoftStep):
    """The same, which says what it knows of its tail."""

    name, label = "bounded_soft_step", "bounded soft step"

    def tail(self, xp, quantity, far):
        size = xp.number(self.size, far)
        slope = size * (1 - xp.tanh(far / 2)) * 2  # 1 - tanh^2 <= 2 (1 - tanh), and it falls
        return {
            "sensitivity": slope,
            "influence": 2 * size,
            "dampening": 0 * size,
            "log_weight_max": size,
            "log_weight_min": size,
            "target_slope_min": 0 * size - 1,
            "target_slope_max": 1 + slope,
        }.get(quantity)


CONSTANTS = {
    "sensitivity": lambda size: size,
    "influence": lambda size: 2 * size,
    "dampening": lambda size: 0.0,
    "log_weight_max": lambda size: size,
    "log_weight_min": lambda size: size,
    "target_slope_min": lambda size: -1.0,
    "target_slope_max": lambda size: 1 + size,
}
"""Supremum of each quantity of both, by their size."""
