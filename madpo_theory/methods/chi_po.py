"""chi-PO: DPO with a link that is not the logarithm."""

from dataclasses import dataclass

from ..ops.stable import maximum
from ..registry import setting
from .base import Method

__all__ = ["ChiPo"]

LARGEST = 80.0
"""Nats of a log-ratio whose exponential still is a number in float32."""


@dataclass(frozen=True)
class ChiPo(Method):
    """chi-PO: l(clip(beta [phi(u_w) - phi(u_l)])), phi(u) = u + gamma log u, u = pi/pi_ref.

    phi is the link of the mixed regularization chi-squared + gamma KL; the paper's algorithm has
    gamma = 1. The clip is to [-2 r_max, 2 r_max], with no gradient beyond; r_max, nats, stands for
    the largest reward. As gamma grows at a fixed beta gamma it becomes DPO, clipped. Not certain:
    that link and clip are the paper's is known from memory and a secondary source; the defaults of
    beta and r_max are ours. Source: arXiv 2407.13399.
    """

    name, label, source = "chi_po", "χPO", "arXiv 2407.13399"

    gamma: float = setting(1.0, "gamma > 0", lambda v: v > 0, "paper")
    r_max: float = setting(5.0, "r_max > 0", lambda v: v > 0, "here")

    def pair_loss(self, xp, chosen, rejected, h):
        m = chosen - rejected
        capped = (-xp.minimum(rho, LARGEST) for rho in (chosen, rejected))
        y = self.beta * (self.gamma * m + xp.exp_difference(*capped, m))
        return xp.softplus(-xp.minimum(maximum(xp, y, -2 * self.r_max), 2 * self.r_max))
