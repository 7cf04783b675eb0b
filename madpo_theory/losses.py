"""Losses of preference optimization, one per pair, in the field's signature.

Every loss takes ``(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps,
reference_rejected_logps)``: log-probabilities of whole responses, nats, one entry a pair, all
of one shape, kind and floating type; and returns ``(losses, chosen_rewards,
rejected_rewards)``, of the same shape. Nothing is reduced: the caller takes the mean. The
implicit rewards are ``beta * (policy - reference)`` and carry no gradient. Log-probabilities
must be finite and all arguments of one shape, else ValueError; mixed kinds or floating types
are a TypeError.

These are the functional faces of :data:`madpo_theory.methods.METHODS`: every method is here by its
name, with its settings as keywords and, where it asks for them, `margin` (the reward model's score
of the chosen response minus that of the rejected one, nats; no gradient flows through it),
`chosen_lengths` and `rejected_lengths` (tokens). What a method does not ask for may be None.

The implicit margin is m = (policy - reference)(chosen) - (policy - reference)(rejected), and
l(z) = log(1 + e^-z).
"""

import functools
import inspect
from dataclasses import MISSING, fields

from .methods import METHODS
from .methods.base import pairs_of
from .methods.beta_dpo import (
    BetaDPOState,
    beta_dpo_beta,
    beta_dpo_keep,
    beta_dpo_margins,
    beta_dpo_update,
)
from .ops import elementwise

__all__ = [
    "BetaDPOState",
    "beta_dpo_beta",
    "beta_dpo_keep",
    "beta_dpo_margins",
    "beta_dpo_update",
]
__all__ += METHODS

_LOGPS = (
    "policy_chosen_logps",
    "policy_rejected_logps",
    "reference_chosen_logps",
    "reference_rejected_logps",
)


def __getattr__(name):
    if name.startswith("_") or name not in METHODS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return preference_loss(METHODS[name])


def __dir__():
    return sorted((*globals(), *METHODS))


@functools.cache
def preference_loss(cls):
    """The function ``(four log-probabilities, *, what it needs, settings)`` of a Method class.

    Settings that are objects, such as a weighting, have no default here; those of training alone
    are none of the loss's.
    """
    taken = [f for f in fields(cls) if not f.metadata.get("training")]
    context = list(inspect.signature(cls.evaluate).parameters.values())[3:]

    def loss(xp, *logps, **given):
        pairs = dict(zip(_LOGPS, logps, strict=True))
        pairs |= {name: given.pop(name) for name in needed}
        around = {p.name: given.pop(p.name) for p in context}
        return cls(**given).evaluate(xp, pairs_of(pairs), **around)

    def keyword(name, default=inspect.Parameter.empty):
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)

    needed = [name for name in cls.arguments() if name not in _LOGPS]
    rows = [*map(keyword, needed), *context]
    rows += [keyword(f.name, *([] if f.default is MISSING else [f.default])) for f in taken]
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    first = [inspect.Parameter(name, positional) for name in ("xp", *_LOGPS)]
    loss.__signature__ = inspect.Signature([*first, *rows])
    loss.__name__ = loss.__qualname__ = cls.name
    loss.__doc__, loss.__module__ = cls.__doc__, __name__
    return elementwise(*cls.arguments(), same_shape=True)(loss)
