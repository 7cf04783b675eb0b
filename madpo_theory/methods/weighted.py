"""DPO with weights: what MADPO and its relatives share."""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from ..schedule import MarginSchedule
from ..weights import Weighting, log_weight
from .base import Method
from .slots import Slots

__all__ = ["Scheduled", "Weighted"]


@dataclass(frozen=True)
class Weighted(Method):
    """w(h) l(beta m) with a :class:`~madpo_theory.Weighting`. Target z* = h* + delta(h) (T1)."""

    needs = frozenset({"reference", "margin"})

    def __post_init__(self):
        super().__post_init__()
        _ = self.slot_weighting  # refuses what is none

    @property
    @abstractmethod
    def slot_weighting(self):
        """The Weighting."""

    def slots(self, xp, h):
        return Slots(log_weight=log_weight.formula(xp, h, self.slot_weighting))


@dataclass(frozen=True)
class Scheduled(Weighted):
    """MADPO with the weight `kind` of a schedule; it is called and looks as that weight does."""

    kind: ClassVar[type[Weighting]]

    schedule: MarginSchedule = field(default_factory=MarginSchedule)

    def __init_subclass__(cls, **options):
        if "kind" in cls.__dict__:
            for shown in {"name", "label", "source", "look"} - cls.__dict__.keys():
                setattr(cls, shown, getattr(cls.kind, shown))
        super().__init_subclass__(**options)

    @property
    def slot_weighting(self):
        return self.kind.of(self.schedule)
