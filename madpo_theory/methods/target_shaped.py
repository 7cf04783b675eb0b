"""MADPO with the weight of a target map (N2)."""

from dataclasses import dataclass

from ..registry import setting
from ..weights import TargetShapedWeight
from .weighted import Scheduled

__all__ = ["TargetShaped"]


@dataclass(frozen=True)
class TargetShaped(Scheduled):
    """MADPO with the :class:`~madpo_theory.TargetShapedWeight` that goes with a schedule (N2).

    The target map is concave, through (tau, tau), with slope c_max at 0 and exponent `gamma`. For
    another map give :class:`~.madpo.Madpo` the weight itself.
    """

    kind = TargetShapedWeight

    gamma: float = setting(0.5, "0 < gamma < 1", lambda v: (v > 0) & (v < 1), "here")

    @property
    def slot_weighting(self):
        return self.kind.of(self.schedule, gamma=self.gamma)
