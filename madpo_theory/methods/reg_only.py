"""MADPO with the weight of the same name."""

from dataclasses import dataclass, field

from ..schedule import MarginSchedule
from ..weights import RegOnlyWeight
from .weighted import Weighted

__all__ = ["RegOnly"]


@dataclass(frozen=True)
class RegOnly(Weighted):
    """MADPO with :class:`~madpo_theory.weights.RegOnlyWeight`."""

    name, label, source = RegOnlyWeight.name, RegOnlyWeight.label, RegOnlyWeight.source
    look = RegOnlyWeight.look

    schedule: MarginSchedule = field(default_factory=MarginSchedule)

    @property
    def slot_weighting(self):
        return RegOnlyWeight(self.schedule)
