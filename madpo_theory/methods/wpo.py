"""WPO: DPO weighted by how likely the policy itself is to write the pair."""

from dataclasses import dataclass

from ..registry import setting
from .slots import Slots
from .watching import Watching

__all__ = ["Wpo"]


@dataclass(frozen=True)
class Wpo(Watching):
    """WPO: w l(beta m), w = min(1, e^(log pi(chosen)/|chosen| + log pi(rejected)/|rejected|)) held.

    Log-probabilities are not positive, so that the minimum binds for none. TRL's `use_weighting`
    is another weight: it subtracts from each token's log-probability that of its place,
    log sum_v pi(v)^2 over the vocabulary, which no sum over responses knows, and has no bound at 1:
    its weights are larger, and above 1 where the tokens are likelier than the policy's own usual
    ones. Source: arXiv 2406.11827.
    """

    name, label, source = "wpo", "WPO", "arXiv 2406.11827"
    needs = frozenset({"reference", "length"})

    beta: float = setting(0.1, "beta > 0", lambda v: v > 0, "here", kw_only=True)

    def watched(self, xp, z, pairs):
        chosen = pairs.policy_chosen / pairs.chosen_length
        rejected = pairs.policy_rejected / pairs.rejected_length
        return Slots(log_weight=xp.minimum(chosen + rejected, 0.0))
