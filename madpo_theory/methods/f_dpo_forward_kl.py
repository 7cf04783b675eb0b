"""f-DPO with the forward KL."""

from dataclasses import dataclass

from .f_dpo import FDpo

__all__ = ["FDpoForwardKl"]


@dataclass(frozen=True)
class FDpoForwardKl(FDpo):
    """f-DPO with KL(pi_ref || pi): f(u) = -log u, f'(u) = -1/u, TRL's `forward_kl`.

    l(beta [e^-rho_l - e^-rho_w]): what gains probability hardly counts, what loses it counts
    exponentially, so that floating point overflows where rho < -700 nats (float32: -88).
    """

    name, label, source = "f_dpo_forward_kl", "f-DPO, forward KL", "arXiv 2309.16240"

    def score(self, xp, rho):
        return 1 - xp.exp(-rho)
