"""MADPO with the weight of the same name."""

from dataclasses import dataclass, field

from ..schedule import MarginSchedule
from ..weights import AmpOnlyWeight
from .weighted import Weighted

__all__ = ["AmpOnly"]


@dataclass(frozen=True)
class AmpOnly(Weighted):
    """MADPO with :class:`~madpo_theory.weights.AmpOnlyWeight`."""

    name, label, source = AmpOnlyWeight.name, AmpOnlyWeight.label, AmpOnlyWeight.source
    look = AmpOnlyWeight.look

    schedule: MarginSchedule = field(default_factory=MarginSchedule)

    @property
    def slot_weighting(self):
        return AmpOnlyWeight(self.schedule)
