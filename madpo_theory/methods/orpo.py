"""ORPO: likelihood and an odds ratio."""

from dataclasses import dataclass

from ..ops.stable import log1mexp
from ..registry import setting
from .base import Method

__all__ = ["Orpo"]


@dataclass(frozen=True)
class Orpo(Method):
    """ORPO: -log p_w - lam log sigma(o_w - o_l), p = pi^(1/|y|), o = log p/(1 - p).

    Without a reference. Never above ASFT's loss: the difference is lam log[p_w (1 - p_l) +
    p_l (1 - p_w)] (RM3). `lam` is TRL's beta; beta is in the rewards alone. Source: arXiv
    2403.07691.
    """

    name, label, source = "orpo", "ORPO", "arXiv 2403.07691"
    needs = frozenset({"length"})
    per_token = True

    lam: float = setting(0.1, "lam >= 0", lambda v: v >= 0, "paper")

    def pair_loss(self, xp, chosen, rejected, h):
        odds_won, odds_lost = (p - log1mexp(xp, p) for p in (chosen, rejected))
        return -chosen + self.lam * xp.softplus(odds_lost - odds_won)
