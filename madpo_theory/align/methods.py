"""The methods compared: a loss with the hyper-parameters that it uses."""

from dataclasses import dataclass

from ..schedule import MarginSchedule
from ..weights import BoundedRatioWeight, OneSidedWeight, PowerTarget, TargetShapedWeight
from .config import MarginConfig

__all__ = ["Method", "methods_of", "weighting_of"]


@dataclass(frozen=True)
class Method:
    """One row of the result: a loss with its hyper-parameters (None: the loss has no such)."""

    name: str
    loss: str
    """dpo, ipo, beta_dpo, madpo or distillation."""
    beta: float
    weight: str | None = None
    """published, amp_only, reg_only, bounded_ratio or target_shaped."""
    c_max: float | None = None
    c_min: float | None = None
    lam: float | None = None
    tau: float | None = None
    alpha: float | None = None
    fraction: float | None = None
    variant: str | None = None
    labels: str = "observed"
    """observed; relabelled: turned round where the reward model disputes them; filtered: such
    pairs are left out."""
    per_token: bool = False
    """Log-probabilities divided by the length of their response."""
    margins: MarginConfig | None = None
    """Errors put into the reward model's margins, for methods that use them."""


GAMMA = 0.5  # exponent of the concave target map of target_shaped


def weighting_of(method):
    """The library's weight (a MarginSchedule or a Weighting) that a method trains with."""
    schedule = MarginSchedule(
        c_max=method.c_max, c_min=method.c_min, lam=method.lam, tau=method.tau
    )
    if method.weight == "bounded_ratio":
        return BoundedRatioWeight(schedule)
    if method.weight == "target_shaped":  # slope c_max at 0, through (tau, tau)
        return TargetShapedWeight(PowerTarget.with_slope(method.tau, GAMMA, method.c_max))
    if method.weight in ("amp_only", "reg_only"):
        return OneSidedWeight(schedule, "amplify" if method.weight == "amp_only" else "dampen")
    return schedule


def methods_of(config):
    """The methods of an AlignConfig, each with the hyper-parameters that it uses and no others."""
    c, margins = config, {"margins": config.margins}
    schedule = dict(c_max=c.c_max, c_min=1 / c.c_max, lam=c.lam, tau=c.tau) | margins
    batch = dict(alpha=c.alpha, fraction=c.fraction)
    known = {
        "dpo": Method("dpo", "dpo", c.beta),
        "dpo_matched": Method("dpo_matched", "dpo", c.beta / c.c_max),
        "dpo_relabelled": Method("dpo_relabelled", "dpo", c.beta, labels="relabelled", **margins),
        "dpo_filtered": Method("dpo_filtered", "dpo", c.beta, labels="filtered", **margins),
        "ipo": Method("ipo", "ipo", c.beta),
        "ipo_per_token": Method("ipo_per_token", "ipo", c.beta, per_token=True),
        "beta_dpo": Method("beta_dpo", "beta_dpo", c.beta, variant="authors", **batch),
        "beta_dpo_madpo": Method("beta_dpo_madpo", "beta_dpo", c.beta, variant="madpo", **batch),
        "madpo": Method("madpo", "madpo", c.beta, "published", **schedule),
        "distillation": Method("distillation", "distillation", c.beta, "published", **schedule),
    }
    for name in ("amp_only", "reg_only", "bounded_ratio", "target_shaped"):
        known[name] = Method(name, "madpo", c.beta, name, **schedule)
    return tuple(known[name] for name in c.methods)
