"""AOT on unpaired data: the chosen responses' log-ratios, sorted, against the rejected ones'."""

from dataclasses import dataclass

from .aot import Aot

__all__ = ["AotUnpaired"]


@dataclass(frozen=True)
class AotUnpaired(Aot):
    """AOT, unpaired: (1 - epsilon) l(y) + epsilon l(-y), TRL's `aot_unpaired`.

    y = beta (k-th smallest log-ratio of a chosen response, less the k-th smallest of a rejected
    one), log-ratios to the reference, over a batch: which rejected response belongs to which
    chosen one is not asked. The loss stands in the place of the pair whose chosen response it is. A
    lone pair gets DPO's loss (cDPO's at epsilon > 0). A pair alone has no target. Source: arXiv
    2406.05882.
    """

    name, label, source = "aot_unpaired", "AOT, unpaired", "arXiv 2406.05882"

    def compared(self, pairs):
        return (
            pairs.policy_chosen - pairs.reference_chosen,
            pairs.policy_rejected - pairs.reference_rejected,
        )
