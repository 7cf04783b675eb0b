"""APO-zero: the chosen response up, the rejected one down, each by itself."""

from dataclasses import dataclass

from ..registry import setting
from .base import Method

__all__ = ["ApoZero"]


@dataclass(frozen=True)
class ApoZero(Method):
    """APO-zero: [1 - sigma(r_w)] + sigma(r_l), TRL's `apo_zero`.

    r = beta (log pi - log pi_ref) of the chosen and of the rejected response: two log-ratios, so
    that a pair has no target. For chosen responses better than the policy's own. Bounded, within
    (0, 2), so not convex; what is far off is hardly pushed. The paper's equation 7 lacks the
    constant 1 that TRL adds. On a table a response counts by how often it won less how often it
    lost, and no finite policy is best (derived here). Source: arXiv 2408.06266.
    """

    name, label, source = "apo_zero", "APO-zero", "arXiv 2408.06266"

    beta: float = setting(0.1, "beta > 0", lambda v: v > 0, "code", kw_only=True)

    def pair_loss(self, xp, chosen, rejected, h):
        return 1 - xp.sigmoid(self.beta * chosen) + xp.sigmoid(self.beta * rejected)
