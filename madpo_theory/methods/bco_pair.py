"""BCO on pairs, as TRL has it: two classifications around 0."""

from dataclasses import dataclass

from ..registry import setting
from .base import Method

__all__ = ["BcoPair"]


@dataclass(frozen=True)
class BcoPair(Method):
    """BCO of pairs without its reward shift: l(r_w) + l(-r_l), TRL's `bco_pair`.

    r = beta (log pi - log pi_ref) of the chosen and of the rejected response: two log-ratios, each
    compared with 0, so that a pair has no target. Convex in both, bounded below by 0. It bounds
    DPO from above: l(r_w - r_l) < l(r_w) + l(-r_l), since 1 + a b < (1 + a)(1 + b). The paper
    subtracts a running mean of the rewards from both: :class:`~madpo_theory.methods.bco.Bco`.
    Source: arXiv 2404.04656.
    """

    name, label, source = "bco_pair", "BCO, pairs", "TRL"

    beta: float = setting(0.1, "beta > 0", lambda v: v > 0, "code", kw_only=True)

    def shift(self):
        """Nats of reward that separate the two classes."""
        return 0.0

    def pair_loss(self, xp, chosen, rejected, h):
        won, lost = self.beta * chosen - self.shift(), self.beta * rejected - self.shift()
        return xp.softplus(-won) + xp.softplus(lost)
