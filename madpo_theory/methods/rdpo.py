"""rDPO: DPO unbiased under labels flipped at a known rate."""

from dataclasses import dataclass

from ..registry import Look, setting
from .base import Method
from .slots import Slots

__all__ = ["Rdpo"]


@dataclass(frozen=True)
class Rdpo(Method):
    """rDPO: [(1 - epsilon) l(z) - epsilon l(-z)]/(1 - 2 epsilon), 0 <= epsilon < 1/2.

    Unbiased under labels flipped at rate epsilon. Labels cleaner than that may leave no minimizer:
    the loss is unbounded below, and a target infinite. Source: arXiv 2403.00409.
    """

    name, label, source = "rdpo", "rDPO", "arXiv 2403.00409"
    look = Look("#888888", "P", (0, (1, 1.4)))

    epsilon: float = setting(0.1, "0 <= epsilon < 1/2", lambda v: (v >= 0) & (v < 0.5), "here")

    def slots(self, xp, h):
        epsilon = xp.number(self.epsilon, h)
        return Slots(label=(1 - epsilon, -epsilon), total=1 - 2 * epsilon)
