"""Weights alike for both labels of a pair."""

from .base import Weighting

__all__ = ["EvenWeight"]


class EvenWeight(Weighting):
    """w(h) = w(-h): no lone pair's target moves, only the compromise between pairs (C4).

    Where w(h) = 0 a pair has no loss and no target; its shift is the 0 of all others.
    """

    def log_ratio(self, xp, h):
        return 0 * h

    def tail(self, xp, quantity, far):
        """Of what depends on the ratio alone: it is 1, and T(h) = h."""
        return {
            "sensitivity": 0,
            "influence": 0,
            "dampening": 0,
            "target_slope_min": -1,
            "target_slope_max": 1,
        }.get(quantity)
