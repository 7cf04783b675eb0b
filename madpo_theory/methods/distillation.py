"""Soft labels of the reward model."""

from dataclasses import dataclass, field

from ..registry import Look
from ..schedule import MarginSchedule
from ..targets import effective_target
from ..weights import Weighting, weighting_of
from .base import Method, schedule_of
from .slots import Slots

__all__ = ["Distillation"]


@dataclass(frozen=True)
class Distillation(Method):
    """Soft-label distillation: sigma(T) l(beta m) + sigma(-T) l(-beta m), T = h + delta(h).

    The control that asks what weighting by a reward model adds to imitating it: h is the margin,
    the target is the reward model's own T(h), and the label counts for nothing (swapping the
    responses and the margin's sign leaves the loss as it was). T is the target map of `weighting`;
    with a BoundedRatioWeight it is c h. Statement N3; derived here.
    """

    name, label, source = "distillation", "distillation", "derived here"
    look = Look("#882255", "p", (0, (6, 1.5, 1, 1.5)))
    needs = frozenset({"reference", "margin"})

    weighting: MarginSchedule | Weighting = field(default_factory=MarginSchedule)

    def __post_init__(self):
        super().__post_init__()
        weighting_of(self.weighting)

    @classmethod
    def of(cls, *, weighting=None, **known):
        """With the targets of `weighting`, or of the known schedule's published weight."""
        return super().of(weighting=weighting or schedule_of(known), **known)

    def slots(self, xp, h):
        target = effective_target.formula(xp, h, h, self.weighting)
        return Slots(label=(xp.sigmoid(target), xp.sigmoid(-target)))
