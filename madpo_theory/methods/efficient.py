"""MADPO with the least-variance weight of any targets."""

from dataclasses import dataclass, field

from ..schedule import MarginSchedule
from ..weights import EfficientWeight, Weighting
from .base import schedule_of
from .weighted import Weighted

__all__ = ["Efficient"]


@dataclass(frozen=True)
class Efficient(Weighted):
    """MADPO with the :class:`~madpo_theory.EfficientWeight` of `base` (N4)."""

    name, label = EfficientWeight.name, EfficientWeight.label
    source, look = EfficientWeight.source, EfficientWeight.look

    base: MarginSchedule | Weighting = field(default_factory=MarginSchedule)

    @classmethod
    def of(cls, *, base=None, **known):
        """With the targets of `base`, or of the known schedule's published weight."""
        return super().of(base=base or schedule_of(known), **known)

    @property
    def slot_weighting(self):
        return EfficientWeight(self.base)
