"""RPO with the likelihood of whole responses."""

from dataclasses import dataclass

from ..registry import setting
from .rpo import Rpo

__all__ = ["RpoSummed"]


@dataclass(frozen=True)
class RpoSummed(Rpo):
    """l(beta m) - eta beta log pi(chosen), summed over the response's tokens.

    Its eta is the paper's; the beta that went with it is not known here, so that of :class:`Rpo`
    stands. Source: arXiv 2405.16436.
    """

    name, label, source = "rpo_summed", "RPO, summed", "arXiv 2405.16436"
    needs = frozenset({"reference"})

    eta: float = setting(0.005, "eta >= 0", lambda v: v >= 0, "paper")

    def likelihood(self, pairs):
        """log pi(chosen), nats."""
        return pairs.policy_chosen
