"""The methods and weights that the library brings, without those that tests define."""

from madpo_theory import METHODS, WEIGHTS


def ours(registry):
    return {
        name: cls for name, cls in registry.items() if cls.__module__.startswith("madpo_theory.")
    }


METHODS, WEIGHTS = ours(METHODS), ours(WEIGHTS)
