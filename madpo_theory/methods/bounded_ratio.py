"""MADPO with the weight of the same name."""

from dataclasses import dataclass, field

from ..schedule import MarginSchedule
from ..weights import BoundedRatioWeight
from .weighted import Weighted

__all__ = ["BoundedRatio"]


@dataclass(frozen=True)
class BoundedRatio(Weighted):
    """MADPO with :class:`~madpo_theory.weights.BoundedRatioWeight`."""

    name, label, source = (
        BoundedRatioWeight.name,
        BoundedRatioWeight.label,
        BoundedRatioWeight.source,
    )
    look = BoundedRatioWeight.look

    schedule: MarginSchedule = field(default_factory=MarginSchedule)

    @property
    def slot_weighting(self):
        return BoundedRatioWeight(self.schedule)
