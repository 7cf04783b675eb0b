"""DPO."""

from dataclasses import dataclass

from ..registry import Look
from .base import Method
from .slots import Slots

__all__ = ["Dpo"]


@dataclass(frozen=True)
class Dpo(Method):
    """DPO: l(beta m), the labels as they are. Target z* = h* (B1). Source: arXiv 2305.18290."""

    name, label, source = "dpo", "DPO", "arXiv 2305.18290"
    look = Look("#000000", "^", (0, (4, 1.6)))

    def slots(self, xp, h):
        return Slots()
