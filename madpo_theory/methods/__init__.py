"""Methods of preference optimization; each is one file here, found by :data:`METHODS`.

A file says everything about its method, once: name, label and look, paper, settings with their
ranges, what it asks of a pair, and its loss, where it can as :class:`Slots`. From that follow the
functional face in :mod:`madpo_theory.losses`, targets, the exact optimum of tables, training here
and with TRL, and every figure's legend.
"""

from .base import (
    METHODS,
    Method,
    Pairs,
    SlotWeight,
    check_needs,
    method_from,
    method_named,
    method_of,
    settings_of,
)
from .slots import Slots, slot_loss, slot_target

__all__ = [
    "METHODS",
    "Method",
    "Pairs",
    "SlotWeight",
    "Slots",
    "check_needs",
    "method_from",
    "method_named",
    "method_of",
    "settings_of",
    "slot_loss",
    "slot_target",
]


def __getattr__(name):
    """The class of a registered method: ``from madpo_theory.methods import Dpo``."""
    return METHODS.named(name)
