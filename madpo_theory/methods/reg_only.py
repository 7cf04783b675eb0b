"""MADPO's dampening alone."""

from dataclasses import dataclass

from ..weights import RegOnlyWeight
from .weighted import Scheduled

__all__ = ["RegOnly"]


@dataclass(frozen=True)
class RegOnly(Scheduled):
    """MADPO's dampening alone: :class:`~madpo_theory.weights.RegOnlyWeight`."""

    kind = RegOnlyWeight
