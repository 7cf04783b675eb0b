"""BMC: DPO of log-probabilities that count more at the tokens which tell two responses apart."""

import math
from dataclasses import dataclass

from ..ops import check_number, elementwise
from ..registry import setting
from .slots import Slots
from .watching import Watching

__all__ = ["Bmc", "bmc_weights"]


@elementwise("logps", "changed", same_shape=True)
def bmc_weights(xp, logps, changed, *, delta=2.0):
    """Weight of each token, held in the gradient: 1 + min(1/p, delta) where it `changed`, else 1.

    Parameters
    ----------
    logps : log-probabilities of the tokens, nats; any shape.
    changed : 1 at tokens that differ from the other response, else 0; of that shape.
    delta : largest extra weight.

    Source: arXiv 2408.07471.
    """
    check_number("delta", delta, "delta >= 0", lambda v: v >= 0)
    largest = math.log(delta) if delta > 0 else -xp.infinity
    return 1 + changed * xp.exp(xp.minimum(-xp.stop_gradient(logps), largest))


@dataclass(frozen=True)
class Bmc(Watching):
    """BMC: l(beta m), m of log-ratios sum_t lambda_t (log pi - log pi_ref)(y_t) over the tokens.

    lambda_t = 1 + min(1/pi(y_t), delta), held, at the tokens that differ between the responses,
    else 1 (:func:`bmc_weights`); the reference's tokens have the policy's weights. delta = 0 is
    DPO. Log-probabilities are (pairs, tokens), 0 where a response has ended. That the reference
    takes the policy's weights is not certain of the paper; `bmc_released` is its code. Source:
    arXiv 2408.07471.
    """

    name, label, source = "bmc", "BMC", "arXiv 2408.07471"
    needs = frozenset({"reference", "token"})

    beta: float = setting(0.05, "beta > 0", lambda v: v > 0, "code", kw_only=True)
    delta: float = setting(2.0, "delta >= 0", lambda v: v >= 0, "code")

    def log_ratios(self, xp, pairs):
        """Weighted sums over the tokens, (pairs,), nats."""
        return tuple(
            self.weighted_ratio(xp, *side)
            for side in (
                (pairs.policy_chosen, pairs.reference_chosen, pairs.chosen_changed),
                (pairs.policy_rejected, pairs.reference_rejected, pairs.rejected_changed),
            )
        )

    def weighted_ratio(self, xp, policy, reference, changed):
        """log pi - log pi_ref of responses (pairs, tokens), weighted and summed over tokens."""
        weights = bmc_weights.formula(xp, policy, changed, delta=self.delta)
        theirs = self.reference_weights(xp, weights, reference, changed)
        return (weights * policy - theirs * reference).sum(-1)

    def reference_weights(self, xp, weights, reference, changed):
        """Those of the reference's tokens: the policy's `weights`."""
        return weights

    def watched(self, xp, z, pairs):
        return Slots()
