"""BMC as its authors released it."""

from dataclasses import dataclass

from .bmc import Bmc, bmc_weights

__all__ = ["BmcReleased"]


@dataclass(frozen=True)
class BmcReleased(Bmc):
    """BMC as released: the reference's tokens are weighted by the reference's own 1/p.

    Source: code of arXiv 2408.07471.
    """

    name, label, source = "bmc_released", "BMC, released", "code of arXiv 2408.07471"

    def reference_weights(self, xp, weights, reference, changed):
        return bmc_weights.formula(xp, reference, changed, delta=self.delta)
