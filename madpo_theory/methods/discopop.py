"""DiscoPOP: the loss that a language model found, logistic here and exponential there."""

from dataclasses import dataclass

from ..registry import setting
from .base import Method

__all__ = ["Discopop"]


@dataclass(frozen=True)
class Discopop(Method):
    """DiscoPOP, the log-ratio modulated loss: (1 - s) l(z) + s e^-z, s = sigma(z/tau).

    Bounded below by 0; for tau < 1 logistic far below z = 0 and exponential far above, and for a
    small tau not convex between, where it steps from log 2 up to 1. Its slope at the reference is
    (1 - log 2)/(4 tau) - 3/4, positive for tau < 0.102: the first step of every pair is toward the
    rejected response. A pair whose labels are a coin's has two targets, at tau = 0.05 near -0.48
    and 0.48 (derived here). No target has a closed form; of two the search returns one.

    The paper's equation 5, and TRL's `discopop` (tau is its discopop_tau). TRL multiplies e^-z,
    which overflows, by s: in float32 NaN for z < -88, where this is the logistic loss. The program
    that the paper prints modulates by sigma(m), which is tau = beta (from memory); the two meet at
    its beta of 0.05. Source: arXiv 2406.08414.
    """

    name, label, source = "discopop", "DiscoPOP", "arXiv 2406.08414"

    beta: float = setting(0.05, "beta > 0", lambda v: v > 0, "paper", kw_only=True)
    tau: float = setting(0.05, "tau > 0", lambda v: v > 0, "paper")

    def margin_loss(self, xp, z, h):
        scaled = z / self.tau
        return xp.softplus(-z) * xp.sigmoid(-scaled) + xp.exp(-z - xp.softplus(-scaled))
