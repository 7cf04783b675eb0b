"""AOT: the policy's margins, sorted, against the reference's, sorted."""

from dataclasses import dataclass

from ..registry import setting
from .base import Method

__all__ = ["Aot", "beside"]


def beside(values, others):
    """Of each value of a batch the one of `others` that has its rank.

    Both are arrays or tensors of one shape: what optimal transport on the line pairs, for any
    convex cost of the difference.
    """
    flat = others.reshape(-1)
    return flat[flat.argsort()][values.reshape(-1).argsort().argsort()].reshape(values.shape)


@dataclass(frozen=True)
class Aot(Method):
    """AOT, paired: (1 - epsilon) l(y) + epsilon l(-y), TRL's `aot`.

    y = beta [k-th smallest log pi(chosen) - log pi(rejected), less the k-th smallest of the
    reference's] over the pairs of a batch: the distribution of the policy's margins is to lie above
    the reference's, pair by rank and not pair by pair. The loss stands in the place of the pair
    whose policy margin it is. A lone pair, and a batch whose reference margins are all alike, gets
    DPO's loss (cDPO's at epsilon > 0). Of all ways to pair the policy's margins with the
    reference's this has the least mean, so it is never above DPO's. A pair alone has no target.

    epsilon is TRL's label_smoothing, by default 0. Source: arXiv 2406.05882, which also has other
    convex losses.
    """

    name, label, source = "aot", "AOT", "arXiv 2406.05882"
    needs = frozenset({"reference", "batch"})

    beta: float = setting(0.1, "beta > 0", lambda v: v > 0, "code", kw_only=True)
    epsilon: float = setting(0.0, "0 <= epsilon <= 1/2", lambda v: (v >= 0) & (v <= 0.5), "code")

    def compared(self, pairs):
        """The two samples (pairs,), nats, of which the first is to lie above the second."""
        return (
            pairs.policy_chosen - pairs.policy_rejected,
            pairs.reference_chosen - pairs.reference_rejected,
        )

    def losses(self, xp, pairs):
        upper, lower = self.compared(pairs)
        if 0 in upper.shape:
            raise ValueError(f"{self.own_name} needs at least one pair in a batch, got none")
        y = self.beta * (upper - beside(upper, lower))
        return xp.softplus(-y) * (1 - self.epsilon) + xp.softplus(y) * self.epsilon
