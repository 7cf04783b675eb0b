"""Cal-DPO: implicit rewards pulled to a scale of their own."""

from dataclasses import dataclass
from typing import ClassVar

from ..registry import setting
from .base import Method

__all__ = ["CalDpo"]


@dataclass(frozen=True)
class CalDpo(Method):
    """Cal-DPO: -log sigma(m) + (rho_w - 1/(2 beta))^2 + (rho_l + 1/(2 beta))^2, of log-ratios rho.

    beta is in the calibration alone: the logistic term is of m, not of beta m. The squares fix the
    sum rho_w + rho_l, which a margin loss leaves free. Source: arXiv 2412.14516; the released code
    halves the squares (:class:`~.cal_dpo_released.CalDpoReleased`).
    """

    name, label, source = "cal_dpo", "Cal-DPO", "arXiv 2412.14516"
    calibration: ClassVar[float] = 1.0

    beta: float = setting(0.002, "beta > 0", lambda v: v > 0, "code", kw_only=True)

    def pair_loss(self, xp, chosen, rejected, h):
        wanted = 1 / (2 * self.beta)
        squares = (chosen - wanted) ** 2 + (rejected + wanted) ** 2
        return xp.softplus(rejected - chosen) + self.calibration * squares
