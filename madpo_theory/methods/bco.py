"""BCO: a binary classifier whose threshold is the mean reward."""

from dataclasses import dataclass, replace

from ..registry import setting
from .bco_pair import BcoPair

__all__ = ["Bco"]


@dataclass(frozen=True)
class Bco(BcoPair):
    """BCO: l(r_w - delta) + l(-(r_l - delta)), delta the running mean of the rewards, held.

    r = beta (log pi - log pi_ref). In training delta is the mean over all batches so far, the
    present one among them, of a batch's mean reward of its chosen and rejected responses; TRL's
    trainer of unpaired data counts so. A shift of all rewards moves delta along; TRL's `bco_pair`
    is delta = 0. A pair has no target. Source: arXiv 2404.04656; how the mean runs is from memory.

    Parameters
    ----------
    delta : nats of reward, where it is held fixed; training keeps its own.
    """

    name, label, source = "bco", "BCO", "arXiv 2404.04656"
    needs = frozenset({"reference", "batch"})

    delta: float = setting(0.0, "delta finite", lambda v: True, "here")

    def shift(self):
        return self.delta

    def start(self):
        return {"delta": 0.0, "batches": 0.0}

    def train_loss(self, pairs, *, state, generator):
        from ..ops import torch_world

        chosen, rejected = self.log_ratios(torch_world, pairs)
        mean = self.beta * (chosen + rejected).detach().mean().item() / 2
        batches = state["batches"] + 1
        delta = state["delta"] + (mean - state["delta"]) / batches
        losses = replace(self, delta=delta).losses(torch_world, pairs)
        return losses.mean(), {"delta": delta, "batches": batches}, {"delta": delta}
