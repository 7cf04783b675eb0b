"""The hinge loss of SLiC and RSO, with a reference."""

from dataclasses import dataclass

from ..registry import Look
from .base import Method

__all__ = ["Hinge"]


@dataclass(frozen=True)
class Hinge(Method):
    """max(0, 1 - beta m). Of the true margin only the sign is kept: z* = 1 for h* > 0.

    TRL's `hinge`; RSO calls it hinge-norm (:class:`~.hinge_norm.HingeNorm`). Source: arXiv
    2309.06657.
    """

    name, label, source = "hinge", "hinge", "arXiv 2309.06657"
    look = Look("#888888", "v", (0, (6, 1.5, 1, 1.5)))

    def margin_loss(self, xp, z, h):
        return -xp.minimum(z - 1, 0)

    def target_formula(self, xp, h_true, h_model):
        side = xp.where_greater(h_true, 0, 1.0, xp.where_greater(-h_true, 0, -1.0, 0.0))
        return side + 0 * h_true + 0 * h_model
