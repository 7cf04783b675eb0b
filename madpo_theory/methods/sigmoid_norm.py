"""DPO on mean log-probabilities of tokens."""

from dataclasses import dataclass

from ..registry import setting
from .dpo import Dpo

__all__ = ["SigmoidNorm"]


@dataclass(frozen=True)
class SigmoidNorm(Dpo):
    """DPO of log-ratios divided by the length of their response: TRL's `sigmoid_norm`.

    l(z) with z = beta (rho(chosen)/|chosen| - rho(rejected)/|rejected|), rho = log pi - log pi_ref;
    Tulu 3's length-normalized DPO. SimPO at gamma = 0, with a reference. Target z* = h*. RSO's
    sigmoid-norm is another loss: DPO with its gamma for beta. Convex, bounded below by 0. Source:
    arXiv 2411.15124.
    """

    name, label, source = "sigmoid_norm", "DPO, per token", "arXiv 2411.15124"
    look = None
    needs = frozenset({"reference", "length"})
    per_token = True

    beta: float = setting(5.0, "beta > 0", lambda v: v > 0, "paper", kw_only=True)
