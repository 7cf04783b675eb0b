"""MADPO with the weight of a target map."""

from dataclasses import dataclass, field

from ..registry import setting
from ..schedule import MarginSchedule
from ..weights import TargetShapedWeight
from .weighted import Weighted

__all__ = ["TargetShaped"]


@dataclass(frozen=True)
class TargetShaped(Weighted):
    """MADPO with the :class:`~madpo_theory.TargetShapedWeight` that goes with a schedule (N2).

    The target map is concave, through (tau, tau), with slope c_max at 0 and exponent `gamma`. For
    another map give :class:`~.madpo.Madpo` the weight itself.
    """

    name, label = TargetShapedWeight.name, TargetShapedWeight.label
    source, look = TargetShapedWeight.source, TargetShapedWeight.look

    schedule: MarginSchedule = field(default_factory=MarginSchedule)
    gamma: float = setting(0.5, "0 < gamma < 1", lambda v: (v > 0) & (v < 1), "here")

    @property
    def slot_weighting(self):
        return TargetShapedWeight.of(self.schedule, gamma=self.gamma)
