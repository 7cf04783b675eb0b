"""MADPO's amplification alone."""

from dataclasses import dataclass

from ..weights import AmpOnlyWeight
from .weighted import Scheduled

__all__ = ["AmpOnly"]


@dataclass(frozen=True)
class AmpOnly(Scheduled):
    """MADPO's amplification alone: :class:`~madpo_theory.weights.AmpOnlyWeight`."""

    kind = AmpOnlyWeight
