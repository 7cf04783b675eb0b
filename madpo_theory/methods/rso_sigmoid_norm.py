"""RSO's sigmoid-norm loss."""

from dataclasses import dataclass

from ..registry import setting
from .dpo import Dpo

__all__ = ["RsoSigmoidNorm"]


@dataclass(frozen=True)
class RsoSigmoidNorm(Dpo):
    """RSO's sigmoid-norm, l(gamma m): DPO, at the paper's gamma for beta.

    "norm" is by the reference, not by length (TRL's sigmoid_norm). RSO trains it on pairs that it
    has sampled by rejection. Source: arXiv 2309.06657.
    """

    name, label, source = "rso_sigmoid_norm", "RSO sigmoid-norm", "arXiv 2309.06657"
    look = None

    beta: float = setting(0.05, "beta > 0", lambda v: v > 0, "paper", kw_only=True)
