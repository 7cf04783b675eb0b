"""The methods as a Markdown table, for pages."""

import inspect
import re
from dataclasses import MISSING, fields

from ..markdown import markdown_table
from ..methods import METHODS
from ..weights import WEIGHTS
from .names import is_ours

__all__ = ["loss_example", "methods_table", "weights_table"]

_NEEDS = {
    "reference": "reference",
    "margin": "reward margin",
    "length": "lengths",
    "batch": "whole batches",
    "token": "single tokens",
}


def methods_table():
    """One row a method: name, paper, what it asks of a pair, its loss, its settings."""
    rows = (
        (
            cls.label,
            f"`{name}`",
            _linked(cls.source),
            _asked(cls),
            _first_sentence(cls),
            ", ".join(_setting(field) for field in fields(cls)),
        )
        for name, cls in _ours(METHODS)
    )
    head = ("method", "name", "source", "asks for", "loss", "settings")
    return "\n".join(markdown_table(head, rows))


def loss_example(name):
    """Python that takes the loss of two pairs under the method of that name, and prints it."""
    from .. import losses

    values = _PER_TOKEN if "token" in METHODS[name].needs else _PER_PAIR
    wanted = inspect.signature(getattr(losses, name)).parameters.values()
    given = [p.name for p in wanted if p.default is p.empty]
    arguments = [
        f"    {values[n]}," if n in _POSITIONAL else f"    {n}={values[n]}," for n in given
    ]
    imports = ["import torch", ""] + (
        ["from madpo_theory import MarginSchedule"]
        if {"schedule", "weighting", "base"} & {*given}
        else []
    )
    call = [f"losses, chosen_rewards, rejected_rewards = {name}(", *arguments, ")", "print(losses)"]
    return "\n".join([*imports, f"from madpo_theory.losses import {name}", "", *call, ""])


_POSITIONAL = (
    "policy_chosen_logps",
    "policy_rejected_logps",
    "reference_chosen_logps",
    "reference_rejected_logps",
)
_SCHEDULE = "MarginSchedule.released(c_max=2)"
_PER_PAIR = {
    "policy_chosen_logps": "torch.tensor([-4.0, -6.0])",
    "policy_rejected_logps": "torch.tensor([-5.0, -5.5])",
    "reference_chosen_logps": "torch.tensor([-4.5, -6.0])",
    "reference_rejected_logps": "torch.tensor([-4.5, -5.8])",
    "chosen_lengths": "torch.tensor([8.0, 9.0])",
    "rejected_lengths": "torch.tensor([9.0, 7.0])",
    "margin": "torch.tensor([2.0, -1.0])",
    "schedule": _SCHEDULE,
    "weighting": _SCHEDULE,
    "base": _SCHEDULE,
}
_PER_TOKEN = _PER_PAIR | {  # two tokens a response
    "policy_chosen_logps": "torch.tensor([[-1.0, -3.0], [-2.0, -4.0]])",
    "policy_rejected_logps": "torch.tensor([[-1.0, -4.0], [-2.0, -3.5]])",
    "reference_chosen_logps": "torch.tensor([[-1.0, -3.5], [-2.0, -4.0]])",
    "reference_rejected_logps": "torch.tensor([[-1.0, -3.5], [-2.0, -3.8]])",
    "chosen_changed": "torch.tensor([[0.0, 1.0], [0.0, 1.0]])",
    "rejected_changed": "torch.tensor([[0.0, 1.0], [0.0, 1.0]])",
}


def weights_table():
    """One row a weight: label, name, source, what it is."""
    rows = (
        (cls.label, f"`{name}`", _linked(cls.source), _first_sentence(cls))
        for name, cls in _ours(WEIGHTS)
    )
    return "\n".join(markdown_table(("weight", "name", "source", "w(h)"), rows))


def _ours(registry):
    """(name, class) of what the library brings; a page lists no user's classes."""
    return [(n, cls) for n, cls in registry.items() if is_ours(cls)]


def _asked(cls):
    """What a method asks of a pair beside the policy."""
    return ", ".join(text for need, text in _NEEDS.items() if need in cls.needs)


def _linked(source):
    """A source with its arXiv number as a link."""
    return re.sub(r"arXiv (\d{4}\.\d{5})", r"[\1](https://arxiv.org/abs/\1)", source)


def _first_sentence(cls):
    """The first sentence of a docstring, roles as code."""
    text = " ".join(cls.__doc__.split("\n\n")[0].split())
    text = re.sub(r":\w+:`~?\.?(?:\w+\.)*(\w+)`", r"`\1`", text).replace("*", "\\*")
    return re.split(r"(?<=[^.]\.) (?=[A-Z])", text)[0]


def _setting(field):
    """name = default (where it comes from)."""
    origin = field.metadata.get("origin")
    shown = f"{field.default:.4g}" if isinstance(field.default, float) else str(field.default)
    default = "" if field.default is MISSING else f" = {shown}"
    return f"`{field.name}{default}`" + (f" ({origin})" if origin else "")
