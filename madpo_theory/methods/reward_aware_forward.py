"""Reward-aware preference optimization by the forward KL divergence."""

from dataclasses import dataclass

from .reward_aware import RewardAware

__all__ = ["RewardAwareForward"]


@dataclass(frozen=True)
class RewardAwareForward(RewardAware):
    """KL(Bern sigma(z) || Bern sigma(eta h)), the policy's first: NeMo's rpo_fwd_kl.

    Its slope in z is sigma(z) sigma(-z) (z - eta h): one minimum, but not convex, and a pair far
    from its target is hardly pushed. Source: arXiv 2502.00203; which divergence is called forward
    is read in the authors' code.
    """

    name, label, source = "reward_aware_forward", "reward-aware, forward KL", "arXiv 2502.00203"

    def margin_loss(self, xp, z, h):
        wanted = self.wanted(xp, h)
        won = xp.sigmoid(z) * (xp.softplus(-wanted) - xp.softplus(-z))
        return won + xp.sigmoid(-z) * (xp.softplus(wanted) - xp.softplus(z))
