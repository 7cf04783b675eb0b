"""Cal-DPO as its authors' code has it."""

from dataclasses import dataclass
from typing import ClassVar

from .cal_dpo import CalDpo

__all__ = ["CalDpoReleased"]


@dataclass(frozen=True)
class CalDpoReleased(CalDpo):
    """-log sigma(m) + [(rho_w - 1/(2 beta))^2 + (rho_l + 1/(2 beta))^2]/2, read in the code.

    The squares count half as much beside the logistic term as in the paper. Source: arXiv
    2412.14516.
    """

    name, label, source = "cal_dpo_released", "Cal-DPO, released", "arXiv 2412.14516"
    calibration: ClassVar[float] = 0.5
