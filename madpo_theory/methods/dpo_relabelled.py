"""DPO on labels turned round where the reward model disputes them."""

from dataclasses import dataclass

from ..registry import Look
from .base import Method
from .slots import Slots

__all__ = ["DpoRelabelled"]


@dataclass(frozen=True)
class DpoRelabelled(Method):
    """l(beta m) of the response that the reward model prefers: q = 1 for h >= 0, else 0.

    The label counts for nothing, and the target is infinite: every pair is certain.
    """

    name, label, source = "dpo_relabelled", "DPO, relabelled", "derived here"
    look = Look("#56b4e9", ">", (0, (6, 1.5, 1, 1.5)))
    needs = frozenset({"reference", "margin"})

    def slots(self, xp, h):
        disputed = xp.where_greater(-h, 0, 1.0, 0.0)
        return Slots(label=(1 - disputed, disputed), exact=True)
