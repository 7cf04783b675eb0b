"""Weights whose larger one of the two labels is 1."""

from abc import abstractmethod

from .base import Weighting

__all__ = ["CappedRatio"]


class CappedRatio(Weighting):
    """w(h) = min(1, e^delta(h)) for an odd delta: the larger weight of the two labels is 1."""

    @abstractmethod
    def log_ratio(self, xp, h): ...

    def log_weight(self, xp, h):
        return xp.minimum(self.log_ratio(xp, h), 0)
