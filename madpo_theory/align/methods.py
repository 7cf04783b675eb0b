"""The methods compared: each with its settings and the margins that it is told."""

from dataclasses import dataclass

from ..methods import Method, method_named
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
    known = {
        "beta": config.beta,
        "weight": config.weight,
        "c_max": config.c_max,
        "c_min": 1 / config.c_max,
        "lam": config.lam,
        "tau": config.tau,
        "alpha": config.alpha,
        "fraction": config.fraction,
    } | dict(config.settings)
    rows = ((name, method_named(name, **known)) for name in config.methods)
    return tuple(
        Trained(name, method, config.margins if "margin" in method.needs else None)
        for name, method in rows
    )
