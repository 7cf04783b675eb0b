"""APO-down: both responses down, the rejected one further."""

from dataclasses import dataclass

from ..registry import setting
from .base import Method

__all__ = ["ApoDown"]


@dataclass(frozen=True)
class ApoDown(Method):
    """APO-down: sigma(r_w) + [1 - sigma(r_w - r_l)], TRL's `apo_down`.

    r = beta (log pi - log pi_ref) of the chosen and of the rejected response: two log-ratios, so
    that a pair has no target. For chosen responses worse than the policy's own: the chosen one is
    pushed down by sigma'(r_w) and up by sigma'(r_w - r_l), which is the stronger where r_l lies
    between 0 and 2 r_w; from the reference the two cancel. Bounded, within (0, 2), so not convex.
    The paper's equation 8 lacks the constant 1 that TRL adds. Source: arXiv 2408.06266.
    """

    name, label, source = "apo_down", "APO-down", "arXiv 2408.06266"

    beta: float = setting(0.1, "beta > 0", lambda v: v > 0, "code", kw_only=True)

    def pair_loss(self, xp, chosen, rejected, h):
        won = xp.sigmoid(self.beta * chosen)
        return won + (1 - xp.sigmoid(self.beta * (chosen - rejected)))
