"""alpha-DPO: SimPO whose margin to exceed follows the policy's own margin over the reference."""

from dataclasses import dataclass, replace

from ..registry import setting
from .base import Method
from .slots import Slots, slot_loss, slot_target
from .watching import Watching, check_spread, sample_deviation

__all__ = ["AlphaDpo"]

DECAY = 0.9
"""Share of the running statistics that a batch leaves as it was."""


@dataclass(frozen=True)
class AlphaDpo(Watching):
    """alpha-DPO: l(u - gamma - alpha M*), M* = (M - running_mean)/running_std, held.

    u = beta (log pi(chosen)/|chosen| - log pi(rejected)/|rejected|) and M = beta times the same of
    log pi - log pi_ref. alpha = 0 is SimPO. In training the statistics are exponential averages of
    the batches' mean and standard deviation with decay 0.9, from 0 and without bias correction, a
    batch folded in before it is used: in the first batch M* is ten times a standardized one, of
    rounding alone where training starts at the reference. While the deviation is 0, M* is 0 (the
    released code divides by it). ValueError for a batch of one pair.

    `alpha` and `gamma` are in nats of z: beta times the released code's alpha and gamma_beta_ratio.

    With the statistics held, and a reference that prefers neither response, a = alpha/running_std
    divides SimPO's target: z* = T_g(h*)/(1 - a) with g = gamma - a running_mean; for a >= 1 the
    policy runs away on the side of h* (C5). Source: arXiv 2410.10148.
    """

    name, label, source = "alpha_dpo", "α-DPO", "arXiv 2410.10148"
    needs = frozenset({"reference", "length", "batch"})
    per_token = True

    beta: float = setting(2.5, "beta > 0", lambda v: v > 0, "code", kw_only=True)
    alpha: float = setting(0.5, "alpha >= 0", lambda v: v >= 0, "code")
    gamma: float = setting(1.5, "gamma >= 0", lambda v: v >= 0, "code")
    running_mean: float = setting(0.0, "running_mean finite", lambda v: True, "here")
    running_std: float = setting(1.0, "running_std > 0", lambda v: v > 0, "here")

    def log_ratios(self, xp, pairs):
        """Per token and without the reference, which only the margin to exceed sees."""
        chosen = pairs.policy_chosen / pairs.chosen_length
        return chosen, pairs.policy_rejected / pairs.rejected_length

    def implicit_margin(self, xp, pairs):
        """M of each pair, nats of z."""
        chosen, rejected = Method.log_ratios(self, xp, pairs)
        return self.beta * (chosen - rejected)

    def offset(self, margin):
        """gamma + alpha M*, nats of z."""
        return self.gamma + self.alpha * (margin - self.running_mean) / self.running_std

    def watched(self, xp, z, pairs):
        return Slots(offset=self.offset(self.implicit_margin(xp, pairs)))

    def margin_loss(self, xp, z, h):
        """Of a pair whose reference prefers neither response, the statistics held."""
        return slot_loss(xp, z, Slots(offset=self.offset(xp.stop_gradient(z))))

    def target_formula(self, xp, h_true, h_model):
        share = self.alpha / self.running_std
        even = Slots(offset=xp.number(self.gamma - share * self.running_mean, h_true))
        if share < 1:
            return slot_target(xp, h_true, 0, even, even) / (1 - share) + 0 * h_model
        side = xp.where_greater(-h_true, 0, -xp.infinity, 0.0)
        return xp.where_greater(h_true, 0, xp.infinity, side) + 0 * (h_true + h_model)

    def start(self):
        return {"running_mean": 0.0, "running_std": 0.0}

    def train_loss(self, pairs, *, state, generator):
        from ..ops import torch_world

        margin = self.implicit_margin(torch_world, pairs).detach()
        check_spread(self, margin)
        seen = {"running_mean": margin.mean(), "running_std": sample_deviation(margin)}
        state = {n: DECAY * state[n] + (1 - DECAY) * value.item() for n, value in seen.items()}
        held = replace(self, **state) if state["running_std"] > 0 else replace(self, alpha=0.0)
        return held.losses(torch_world, pairs).mean(), state, dict(state)
