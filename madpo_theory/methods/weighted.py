"""DPO with weights: what MADPO and its relatives share."""

from abc import abstractmethod
from dataclasses import dataclass

from ..weights import log_weight
from .base import Method
from .slots import Slots

__all__ = ["Weighted"]


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
