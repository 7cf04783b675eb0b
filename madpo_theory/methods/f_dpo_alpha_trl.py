"""f-DPO with an alpha-divergence, as TRL has it."""

from dataclasses import dataclass

from ..registry import setting
from .f_dpo import FDpo

__all__ = ["FDpoAlphaTrl"]

CLAMP = 80.0
"""Largest exponent, in TRL for float32 and bfloat16; float16 has 11, float64 an error."""


@dataclass(frozen=True)
class FDpoAlphaTrl(FDpo):
    """TRL's `alpha_divergence`: f'(u) = (u^(alpha - 1) - 1)/(alpha - 1), the power at most e^80.

    alpha is TRL's f_alpha_divergence_coef: one minus the paper's, although TRL describes it as the
    alpha of u^-alpha. At 0 it is the forward KL, at 1 the reverse KL (refused here: that is `dpo`);
    above 1, which the paper leaves out, the score grows as a power of u. Beyond the clamp, for
    alpha = 1/2 at rho < -160 nats, a response has no gradient, however large the loss.
    """

    name, label, source = "f_dpo_alpha_trl", "f-DPO, α (TRL)", "TRL"

    alpha: float = setting(
        0.5, "|alpha - 1| >= 1e-6 (nearer it is dpo)", lambda v: abs(v - 1) >= 1e-6, "code"
    )

    def score(self, xp, rho):
        power = self.alpha - 1
        return (xp.exp(xp.minimum(power * rho, CLAMP)) - 1) / power
