"""AMaPO as its authors released it."""

from dataclasses import dataclass

from .amapo import LARGEST, Amapo, steepness

__all__ = ["AmapoReleased"]


@dataclass(frozen=True)
class AmapoReleased(Amapo):
    """AMaPO as released: l(r - g), g = beta e^[(mu - m) mu/s] for pairs with m < mu, else 0, held.

    m = r/beta, mu and s its batch mean and standard deviation: the exponent is 1/beta of the
    paper's formula, and grows with the unit of m. No guard for the sign of mu: below 0 the margin
    falls as a pair is harder, and lies under beta (RM1). Source: code of arXiv 2511.09385.
    """

    name, label, source = "amapo_released", "AMaPO, released", "code of arXiv 2511.09385"

    def offset(self, xp, z, mean, spread):
        power = steepness(xp, z / self.beta, mean / self.beta, spread / self.beta)
        grown = xp.number(self.beta, z) * xp.exp(xp.minimum(power, LARGEST))
        return xp.where_greater(mean - z, 0, grown, 0 * z)
