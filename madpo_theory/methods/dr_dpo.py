"""Dr.DPO: DPO against the friendliest of the batches near the one at hand."""

from dataclasses import dataclass

from ..registry import setting
from .slots import Slots
from .watching import Watching, log_mean_exp

__all__ = ["DrDpo"]


@dataclass(frozen=True)
class DrDpo(Watching):
    """Dr.DPO: -b log mean e^(-l_i/b) over a batch of l_i = l(beta m_i), b = beta_prime.

    It is the least of mean(w_i l_i) + b mean(w_i log w_i) over weights w of mean 1, at w_i
    proportional to e^(-l_i/b): it trusts the pairs of low loss. A pair's loss here is w_i l_i, w
    held, plus that second mean: their mean is Dr.DPO's in value and gradient. beta_prime without
    end is DPO, and so is a single pair. Source: arXiv 2407.07880.
    """

    name, label, source = "dr_dpo", "Dr.DPO", "arXiv 2407.07880"
    needs = frozenset({"reference", "batch"})

    beta_prime: float = setting(1.0, "beta_prime > 0", lambda v: v > 0, "code")

    def watched(self, xp, z, pairs):
        power = -xp.softplus(-z) / self.beta_prime
        return Slots(log_weight=power - log_mean_exp(xp, power))

    def losses(self, xp, pairs):
        chosen, rejected = self.log_ratios(xp, pairs)
        z = xp.stop_gradient(self.beta * (chosen - rejected))
        weighted = super().losses(xp, pairs)
        log_weight = self.watched(xp, z, pairs).log_weight
        return weighted + self.beta_prime * (xp.exp(log_weight) * log_weight).mean()
