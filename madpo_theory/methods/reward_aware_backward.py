"""Reward-aware preference optimization by the backward KL divergence."""

from dataclasses import dataclass

from .reward_aware import RewardAware
from .slots import Slots

__all__ = ["RewardAwareBackward"]


@dataclass(frozen=True)
class RewardAwareBackward(RewardAware):
    """KL(Bern sigma(eta h) || Bern sigma(z)), the reward model's first: NeMo's rpo_bwd_kl.

    Soft-label distillation less the label's entropy, which no policy changes: of T = eta h it is
    :class:`~.distillation.Distillation` up to a constant. Convex in z. Source: arXiv 2502.00203;
    which divergence is called backward is read in the authors' code.
    """

    name, label, source = "reward_aware_backward", "reward-aware, backward KL", "arXiv 2502.00203"

    def slots(self, xp, h):
        wanted = self.wanted(xp, h)
        label = xp.sigmoid(wanted), xp.sigmoid(-wanted)
        entropy = label[0] * xp.softplus(-wanted) + label[1] * xp.softplus(wanted)
        return Slots(label=label, constant=entropy)
