"""DPO without the pairs that the reward model disputes."""

from dataclasses import dataclass

from ..registry import Look
from .base import Method
from .slots import Slots

__all__ = ["DpoFiltered"]


@dataclass(frozen=True)
class DpoFiltered(Method):
    """l(beta m) of the pairs whose label the reward model shares, h >= 0; the others weigh 0.

    What is left of a pair has one label: the target is infinite unless h = 0.
    """

    name, label, source = "dpo_filtered", "DPO, filtered", "derived here"
    look = Look("#56b4e9", "<", (0, (1, 1.4)))
    needs = frozenset({"reference", "margin"})

    def slots(self, xp, h):
        return Slots(log_weight=xp.where_greater(-h, 0, -xp.infinity, 0.0))
