"""IPO on mean log-probabilities of tokens."""

from dataclasses import dataclass

from ..registry import Look
from .ipo import Ipo

__all__ = ["IpoPerToken"]


@dataclass(frozen=True)
class IpoPerToken(Ipo):
    """IPO of log-ratios divided by the length of their response, as TRL has it."""

    name, label, source = "ipo_per_token", "IPO, per token", "TRL"
    look = Look("#009e73", "d", (0, (1, 1.4)))
    needs = frozenset({"reference", "length"})
    per_token = True
