"""RPO, regularized preference optimization: DPO and the chosen response's likelihood."""

from dataclasses import dataclass

from ..registry import setting
from .base import Method

__all__ = ["Rpo"]


@dataclass(frozen=True)
class Rpo(Method):
    """RPO: l(beta m) - eta beta log pi(chosen)/|chosen|, the likelihood averaged over tokens.

    Summed over tokens it is :class:`~.rpo_summed.RpoSummed`, of another default. On a table, where
    responses have a token each, :meth:`pair_loss` has log-ratios in place of log pi: the two differ
    by the reference's own likelihood, which no policy changes. (NVIDIA's RPO is
    :class:`~.reward_aware.RewardAware`.) Source: arXiv 2405.16436.
    """

    name, label, source = "rpo", "RPO", "arXiv 2405.16436"
    needs = frozenset({"reference", "length"})
    is_pair_loss = True  # up to that constant

    eta: float = setting(0.2, "eta >= 0", lambda v: v >= 0, "paper")
    beta: float = setting(0.5, "beta > 0", lambda v: v > 0, "paper", kw_only=True)

    def likelihood(self, pairs):
        """log pi(chosen), nats a token."""
        return pairs.policy_chosen / pairs.chosen_length

    def regularized(self, xp, m, likelihood):
        """l(beta m) - eta beta likelihood."""
        return xp.softplus(-self.beta * m) - self.eta * self.beta * likelihood

    def pair_loss(self, xp, chosen, rejected, h):
        return self.regularized(xp, chosen - rejected, chosen)

    def losses(self, xp, pairs):
        chosen, rejected = self.log_ratios(xp, pairs)
        return self.regularized(xp, chosen - rejected, self.likelihood(pairs))
