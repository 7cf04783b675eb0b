"""f-DPO with an alpha-divergence, as the paper counts alpha."""

from dataclasses import dataclass

from ..registry import setting
from .f_dpo import FDpo

__all__ = ["FDpoAlpha"]


@dataclass(frozen=True)
class FDpoAlpha(FDpo):
    """f-DPO with an alpha-divergence, f'(u) = (1 - u^-alpha)/alpha, 0 < alpha < 1.

    alpha to 0 is the reverse KL (DPO), alpha to 1 the forward KL. TRL counts alpha from the other
    end and clamps: :class:`~madpo_theory.methods.f_dpo_alpha_trl.FDpoAlphaTrl`; with its alpha at
    1/2, the default, the two are one. Overflows where alpha rho < -700 nats (float32: -88).
    """

    name, label, source = "f_dpo_alpha", "f-DPO, α", "arXiv 2309.16240"

    alpha: float = setting(0.5, "0 < alpha < 1", lambda v: (v > 0) & (v < 1), "code")

    def score(self, xp, rho):
        return -xp.expm1(-self.alpha * rho) / self.alpha
