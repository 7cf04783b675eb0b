"""MADPO with the bounded-ratio weight (N1)."""

from dataclasses import dataclass

from ..weights import BoundedRatioWeight
from .weighted import Scheduled

__all__ = ["BoundedRatio"]


@dataclass(frozen=True)
class BoundedRatio(Scheduled):
    """MADPO with the :class:`~madpo_theory.weights.BoundedRatioWeight` (N1)."""

    kind = BoundedRatioWeight
