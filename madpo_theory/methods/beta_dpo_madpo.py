"""beta-DPO as the MADPO author reimplemented it."""

from dataclasses import dataclass

from ..registry import Look
from .beta_dpo import BetaDpo

__all__ = ["BetaDpoMadpo"]


@dataclass(frozen=True)
class BetaDpoMadpo(BetaDpo):
    """beta-DPO with margins times beta, means over all pairs, and no clamp."""

    name, label, source = "beta_dpo_madpo", "β-DPO, MADPO's author's", "code of arXiv 2510.05342"
    look = Look("#e69f00", "X", (0, (1, 1.4)))

    variant: str = "madpo"
