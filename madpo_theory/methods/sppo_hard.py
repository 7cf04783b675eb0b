"""SPPO with hard probabilities, as TRL has it."""

from dataclasses import dataclass

from ..registry import setting
from .base import Method

__all__ = ["SppoHard"]


@dataclass(frozen=True)
class SppoHard(Method):
    """SPPO of hard labels: (rho_w - 1/(2 beta))^2 + (rho_l + 1/(2 beta))^2, TRL's `sppo_hard`.

    rho = log pi - log pi_ref, nats: two log-ratios, so that a pair has no target; beta is the
    paper's 1/eta. Convex in both, bounded below by 0; it grows as a square. The paper regresses on
    a probability of winning, :class:`~madpo_theory.methods.sppo.Sppo`; here that is 1 for the
    chosen response and 0 for the rejected one. Source: arXiv 2405.00675.
    """

    name, label, source = "sppo_hard", "SPPO, hard", "TRL"

    beta: float = setting(0.1, "beta > 0", lambda v: v > 0, "code", kw_only=True)

    def lead(self, xp, h):
        """Twice the chosen response's probability of winning, less 1."""
        return 1.0

    def pair_loss(self, xp, chosen, rejected, h):
        wanted = 0.5 / self.beta * self.lead(xp, h)
        return (chosen - wanted) ** 2 + (rejected + wanted) ** 2
