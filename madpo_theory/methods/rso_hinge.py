"""RSO's hinge loss, without a reference: SLiC's."""

from dataclasses import dataclass

from .hinge_norm import HingeNorm

__all__ = ["RsoHinge"]


@dataclass(frozen=True)
class RsoHinge(HingeNorm):
    """RSO's hinge, max(0, 1 - gamma (log pi(chosen) - log pi(rejected))), gamma for beta.

    SLiC's calibration loss (arXiv 2305.10425), without its likelihood term. Source: arXiv
    2309.06657.
    """

    name, label = "rso_hinge", "RSO hinge"
    needs = frozenset()
