"""IPO."""

from dataclasses import dataclass

from ..registry import Look
from ..targets import ipo_target
from .base import Method

__all__ = ["Ipo"]


@dataclass(frozen=True)
class Ipo(Method):
    """IPO: (m - 1/(2 beta))^2, with beta the paper's tau. Source: arXiv 2310.12036.

    Log-probabilities are summed over a response's tokens, as in the paper and by the MADPO author;
    TRL's are :class:`~madpo_theory.methods.ipo_per_token.IpoPerToken`. Target
    z* = tanh(h*/2)/2 (B2).
    """

    name, label, source = "ipo", "IPO", "arXiv 2310.12036"
    look = Look("#009e73", "D", (0, (9, 2.5)))

    def margin_loss(self, xp, z, h):
        return self._square(z / self.beta)

    def pair_loss(self, xp, chosen, rejected, h):
        return self._square(chosen - rejected)

    def _square(self, m):
        return (m - 1 / (2 * self.beta)) ** 2

    def target_formula(self, xp, h_true, h_model):
        return (
            xp.number(self.beta, h_true) * ipo_target.formula(xp, h_true, self.beta) + 0 * h_model
        )
