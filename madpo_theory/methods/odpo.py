"""ODPO: a margin to exceed that grows with the reward model's."""

from dataclasses import dataclass

from ..registry import setting
from .base import Method
from .slots import Slots

__all__ = ["Odpo"]


@dataclass(frozen=True)
class Odpo(Method):
    """ODPO: l(z - alpha h), an odd offset. Target h* + alpha h: DPO at beta/(1 + alpha) where the
    reward model is exact (C1).

    The paper's offset is alpha f(s_w - s_l) for an increasing f; here f is the identity, for which
    h may have either sign. The released code takes f = log, which has no value where the reward
    model disputes a label or is indifferent. Source: arXiv 2402.10571.
    """

    name, label, source = "odpo", "ODPO", "arXiv 2402.10571"
    needs = frozenset({"reference", "margin"})

    alpha: float = setting(1.0, "alpha >= 0", lambda v: v >= 0, "code")

    def slots(self, xp, h):
        return Slots(offset=xp.number(self.alpha, h) * h, odd=True)
