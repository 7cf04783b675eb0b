"""RSO's hinge-norm loss."""

from dataclasses import dataclass

from ..registry import setting
from .hinge import Hinge

__all__ = ["HingeNorm"]


@dataclass(frozen=True)
class HingeNorm(Hinge):
    """RSO's hinge-norm, max(0, 1 - gamma m): the hinge at the paper's gamma for beta.

    Source: arXiv 2309.06657.
    """

    name, label = "hinge_norm", "RSO hinge-norm"
    look = None

    beta: float = setting(0.05, "beta > 0", lambda v: v > 0, "paper", kw_only=True)
