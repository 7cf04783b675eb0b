"""DPO-Shift: the rejected response's reward counts for less."""

from dataclasses import dataclass

from ..registry import setting
from .base import Method

__all__ = ["DpoShift"]


@dataclass(frozen=True)
class DpoShift(Method):
    """DPO-Shift: l(beta rho_w - lam beta rho_l), of log-ratios rho; lam = 1 is DPO.

    `lam` is the paper's f(lambda), held fixed (its code can also let it grow or shrink during
    training). It is no function of the margin: raising both log-ratios by c raises the argument by
    (1 - lam) beta c. Source: arXiv 2502.07599.
    """

    name, label, source = "dpo_shift", "DPO-Shift", "arXiv 2502.07599"

    lam: float = setting(0.95, "0 < lam <= 1", lambda v: (v > 0) & (v <= 1), "paper")

    def pair_loss(self, xp, chosen, rejected, h):
        return xp.softplus(-self.beta * (chosen - self.lam * rejected))
