"""Losses that fit the implicit margin to the reward model's: what NVIDIA's RPO has in common."""

from dataclasses import dataclass

from ..registry import setting
from .base import Method

__all__ = ["RewardAware"]


@dataclass(frozen=True)
class RewardAware(Method):
    """A distance between z = beta m and eta h, least at z = eta h, whatever the label.

    Swapping the responses and h leaves it as it was, so the target is eta h for every true margin:
    the labels count for nothing. `eta` is NeMo's gt_reward_scale. (The name RPO is also that of
    :class:`~.rpo.Rpo`, another loss.) Source: arXiv 2502.00203.
    """

    needs = frozenset({"reference", "margin"})

    eta: float = setting(1.0, "eta > 0", lambda v: v > 0, "code")

    def wanted(self, xp, h):
        """eta h, nats."""
        return xp.number(self.eta, h) * h

    def target_formula(self, xp, h_true, h_model):
        return self.wanted(xp, h_model) + 0 * h_true
