"""The methods compared: a loss with the hyper-parameters that it uses."""

from dataclasses import dataclass

__all__ = ["Method", "methods_of"]


@dataclass(frozen=True)
class Method:
    """One row of the result: a loss with its hyper-parameters (None: the loss has no such)."""

    name: str
    loss: str
    beta: float
    c_max: float | None = None
    c_min: float | None = None
    lam: float | None = None
    tau: float | None = None
    alpha: float | None = None
    fraction: float | None = None
    variant: str | None = None


def methods_of(config):
    """The methods of an AlignConfig, each with the hyper-parameters that it uses and no others."""
    schedule = dict(c_max=config.c_max, c_min=1 / config.c_max, lam=config.lam, tau=config.tau)
    batch = dict(alpha=config.alpha, fraction=config.fraction, variant=config.variant)
    known = {
        "dpo": Method("dpo", "dpo", config.beta),
        "ipo": Method("ipo", "ipo", config.beta),
        "beta_dpo": Method("beta_dpo", "beta_dpo", config.beta, **batch),
        "madpo": Method("madpo", "madpo", config.beta, **schedule),
        "dpo_matched": Method("dpo_matched", "dpo", config.beta / config.c_max),
    }
    return tuple(known[name] for name in config.methods)
