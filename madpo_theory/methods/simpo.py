"""SimPO: no reference, mean log-probabilities, a margin to exceed."""

from dataclasses import dataclass

from ..registry import Look, setting
from .base import Method
from .slots import Slots

__all__ = ["Simpo"]


@dataclass(frozen=True)
class Simpo(Method):
    """SimPO: l(z - gamma), z = beta (log pi(chosen)/|chosen| - log pi(rejected)/|rejected|).

    `gamma` is the paper's, in nats of z (its code sets gamma/beta, 0.25 by default). Target: slope
    (1 + e^gamma)/2 at h* = 0, h* + gamma far out (C1). Source: arXiv 2405.14734.
    """

    name, label, source = "simpo", "SimPO", "arXiv 2405.14734"
    look = Look("#cc79a7", "*", (0, (9, 2.5)))
    needs = frozenset({"length"})
    per_token = True

    beta: float = setting(2.0, "beta > 0", lambda v: v > 0, "code", kw_only=True)
    gamma: float = setting(0.5, "gamma >= 0", lambda v: v >= 0, "code")

    def slots(self, xp, h):
        return Slots(offset=xp.number(self.gamma, h))
