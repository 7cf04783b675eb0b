"""Reward-aware preference optimization by the squared distance: offline REBEL."""

from dataclasses import dataclass

from .reward_aware import RewardAware

__all__ = ["RewardAwareSquared"]


@dataclass(frozen=True)
class RewardAwareSquared(RewardAware):
    """(z - eta h)^2: NeMo's rpo_sq, and REBEL's regression offline (arXiv 2404.16767), which reward
    distillation is as well (arXiv 2405.19316). Source: arXiv 2502.00203."""

    name, label, source = "reward_aware_squared", "reward-aware, squared", "arXiv 2502.00203"

    def margin_loss(self, xp, z, h):
        return (z - self.wanted(xp, h)) ** 2
