"""ASFT: the likelihood of the chosen response, and that of not the rejected one."""

from dataclasses import dataclass

from ..ops.stable import log1mexp
from ..registry import setting
from .base import Method

__all__ = ["Asft"]


@dataclass(frozen=True)
class Asft(Method):
    """ASFT: -log p_w - lam [log sigma(o_w) + log sigma(-o_l)], p = pi^(1/|y|), o = log p/(1 - p).

    That is ``-(1 + lam) log p_w - lam log(1 - p_l)`` (RM3). Without a reference; infinite where the
    rejected response is certain. beta is in the rewards alone. Source: arXiv 2409.10571; the
    default of lam is ours.
    """

    name, label, source = "asft", "ASFT", "arXiv 2409.10571"
    needs = frozenset({"length"})
    per_token = True

    lam: float = setting(0.1, "lam >= 0", lambda v: v >= 0, "here")

    def pair_loss(self, xp, chosen, rejected, h):
        return -(1 + self.lam) * chosen - self.lam * log1mexp(xp, rejected)
