"""AMaPO: a margin to exceed that grows with the distance below the batch's mean margin."""

from dataclasses import dataclass

from ..ops import check_number, elementwise
from ..registry import setting
from .slots import Slots
from .watching import Watching, check_spread, sample_deviation

__all__ = ["Amapo", "amapo_offset"]

LARGEST = 80.0
"""Exponent at which gamma is cut: float32 would overflow, and the slope is 1 long before."""


@elementwise("power")
def amapo_offset(xp, power, *, beta):
    """AMaPO's offset h_gamma, nats of z, held in the gradient: beta e^power if power > 0, else 0.

    `power` is gamma = mu (mu - r)/s before it is cut at 0. It jumps from 0 to beta there.
    """
    check_number("beta", beta, "beta > 0", lambda v: v > 0)
    grown = xp.number(beta, power) * xp.exp(xp.minimum(power, LARGEST))
    return xp.where_greater(power, 0, grown, 0 * power)


@dataclass(frozen=True)
class Amapo(Watching):
    """AMaPO: l(r - h), h = beta e^gamma if gamma > 0 else 0, gamma = mu (mu - r)/s, held.

    r = beta (log pi(chosen)/|chosen| - log pi(rejected)/|rejected|); mu and s are its mean and
    standard deviation over the batch (n - 1 degrees of freedom; ValueError for a single pair). With
    margins all alike gamma is 0. With mu < 0 the formula gives the margin to the pairs above the
    mean (RM1). The formula is a secondary source's; what the authors released is `amapo_released`.
    Source: arXiv 2511.09385.
    """

    name, label, source = "amapo", "AMaPO", "arXiv 2511.09385"
    needs = frozenset({"length", "batch"})
    per_token = True

    beta: float = setting(2.0, "beta > 0", lambda v: v > 0, "code", kw_only=True)

    def watched(self, xp, z, pairs):
        check_spread(self, z)
        # Of margins all alike a mean may round to above them, and a deviation to above 0.
        mean = xp.minimum(z.mean(), z.max())
        spread = xp.where_greater(z.max() - z.min(), 0, sample_deviation(z), xp.infinity)
        return Slots(offset=self.offset(xp, z, mean, spread))

    def offset(self, xp, z, mean, spread):
        """h_gamma of margins z at a batch's mean and standard deviation, nats of z."""
        return amapo_offset.formula(xp, steepness(xp, z, mean, spread), beta=self.beta)


def steepness(xp, z, mean, spread):
    """The exponent mu (mu - r)/s."""
    return mean * (mean - z) / spread
