"""cDPO: DPO that expects some labels to be wrong."""

from dataclasses import dataclass

from ..registry import Look, setting
from .base import Method
from .slots import Slots

__all__ = ["Cdpo"]


@dataclass(frozen=True)
class Cdpo(Method):
    """cDPO: (1 - epsilon) l(z) + epsilon l(-z); a clean label has sigma(z*) = 1 - epsilon.

    Source: E. Mitchell, "A note on DPO with noisy preferences and relationship to IPO", 2023.
    """

    name, label, source = "cdpo", "cDPO", "Mitchell 2023"
    look = Look("#888888", "X", (0, (4, 1.6)))

    epsilon: float = setting(0.1, "0 <= epsilon <= 1/2", lambda v: (v >= 0) & (v <= 0.5), "here")

    def slots(self, xp, h):
        epsilon = xp.number(self.epsilon, h)
        return Slots(label=(1 - epsilon, epsilon))
