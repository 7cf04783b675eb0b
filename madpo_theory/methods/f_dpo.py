"""DPO under another divergence from the reference: what the f-DPO methods share."""

from abc import abstractmethod
from dataclasses import dataclass

from ..registry import setting
from .base import Method

__all__ = ["FDpo"]


@dataclass(frozen=True)
class FDpo(Method):
    """f-DPO: l(beta [f'(u_w) - f'(u_l)]), u = pi/pi_ref of a response, f the divergence's.

    ``D_f(pi || pi_ref) = E_ref f(u)``. f'(u) = log u + 1 is the reverse KL, and DPO. A subclass
    gives f' by the log-ratio; the loss is then no function of the margin, so that a pair has no
    target. Bounded below by 0. TRL's f_divergence_type with its loss `sigmoid`; TRL also puts the
    f' into its other losses of the margin, which are not here. Source: arXiv 2309.16240.
    """

    beta: float = setting(0.1, "beta > 0", lambda v: v > 0, "paper", kw_only=True)

    @abstractmethod
    def score(self, xp, rho):
        """f'(e^rho), up to a constant, of a log-ratio rho in nats."""

    def pair_loss(self, xp, chosen, rejected, h):
        return xp.softplus(-self.beta * (self.score(xp, chosen) - self.score(xp, rejected)))
