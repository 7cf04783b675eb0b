"""The methods compared: each with its settings and the margins that it is told."""

from dataclasses import dataclass

from ..methods import METHODS, Method, method_named
from ..methods.beta_dpo import BetaDpo
from ..schedule import MarginSchedule
from .config import MarginConfig

__all__ = ["Trained", "methods_of"]


@dataclass(frozen=True)
class Trained:
    """One row of the result: a method, by its name in the settings, and how its margins err."""

    name: str
    method: Method
    margins: MarginConfig | None = None
    """Errors put into the reward model's margins, for methods that use them."""


def methods_of(config):
    """The methods of an AlignConfig, each with the settings that it has and no others."""
    changed = dict(config.settings)
    parts = {"c_max": config.c_max, "c_min": 1 / config.c_max, "lam": config.lam, "tau": config.tau}
    parts |= {name: changed[name] for name in parts if name in changed}
    # As a whole, and alpha and fraction for beta-DPO alone: other methods have an alpha or a tau of
    # their own, which only `settings` may set.
    known = {"beta": config.beta, "weight": config.weight, "c_max": parts["c_max"]}
    known |= {"schedule": MarginSchedule(**parts)}
    filters = {"alpha": config.alpha, "fraction": config.fraction}

    def made(name):
        of_batches = filters if issubclass(METHODS.find(name), BetaDpo) else {}
        return method_named(name, **(known | of_batches | changed))

    rows = ((name, made(name)) for name in config.methods)
    return tuple(
        Trained(name, method, config.margins if "margin" in method.needs else None)
        for name, method in rows
    )
