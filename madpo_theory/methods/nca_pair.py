"""NCA on pairs: the chosen response is told from noise, both are held down."""

from dataclasses import dataclass

from ..registry import setting
from .base import Method

__all__ = ["NcaPair"]


@dataclass(frozen=True)
class NcaPair(Method):
    """NCA of pairs: l(r_w) + [l(-r_w) + l(-r_l)]/2, TRL's `nca_pair`.

    r = beta (log pi - log pi_ref) of the chosen and of the rejected response: two log-ratios, each
    compared with 0, so that a pair has no target. Convex in both, bounded below: in the first the
    least is at sigma(r_w) = 2/3, r_w = log 2, where the chosen response stops gaining; the second
    falls without end. The paper's loss of K responses with the label as a one-hot preference.
    Source: arXiv 2402.05369.
    """

    name, label, source = "nca_pair", "NCA, pairs", "arXiv 2402.05369"

    beta: float = setting(0.1, "beta > 0", lambda v: v > 0, "code", kw_only=True)

    def pair_loss(self, xp, chosen, rejected, h):
        won, lost = self.beta * chosen, self.beta * rejected
        return xp.softplus(-won) + 0.5 * xp.softplus(won) + 0.5 * xp.softplus(lost)
