"""gamma-PO: a margin to exceed that is shared out among a batch's pairs."""

from dataclasses import dataclass

from ..registry import setting
from .slots import Slots
from .watching import Watching, log_mean_exp

__all__ = ["GammaPo"]

STEPS = 19
"""Steps that count: the released loop takes 20, and reads the margins before the last."""


@dataclass(frozen=True)
class GammaPo(Watching):
    """gamma-PO: l(beta m_i - (gamma_i - gamma)), gamma_i = gamma n p_i over a batch of n, held.

    p minimizes mean l(beta m_i - gamma n p_i) + tau KL(p || uniform) over the simplex, by
    exponentiated-gradient steps of size min(1/(2 tau), 1): confident pairs get the larger margin,
    and the mean of all is gamma. gamma = 0 and tau without end are DPO, and so is a single pair.
    The released code shares out among up to 256 pairs, margins drawn at random from earlier batches
    beside the batch's own; here it is the batch alone. `gamma` is in nats of z (its code's
    gamma_beta_ratio times beta). Source: arXiv 2506.03690, as its code has it.
    """

    name, label, source = "gamma_po", "γ-PO", "arXiv 2506.03690"
    needs = frozenset({"reference", "batch"})

    beta: float = setting(0.1, "beta > 0", lambda v: v > 0, "here", kw_only=True)
    gamma: float = setting(0.5, "gamma >= 0", lambda v: v >= 0, "code")
    tau: float = setting(1.0, "tau > 0", lambda v: v > 0, "code")

    def watched(self, xp, z, pairs):
        rate = min(0.5 / self.tau, 1.0)
        shares = 0 * z  # log of n p
        for _ in range(STEPS):
            pull = self.gamma * xp.sigmoid(self.gamma * xp.exp(shares) - z)
            shares = shares - rate * (self.tau * (1 + shares) + pull)
            shares = shares - log_mean_exp(xp, shares)
        return Slots(offset=self.gamma * (xp.exp(shares) - 1))
