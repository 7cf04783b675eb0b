"""The methods as a Markdown table, for the README."""

import re

from ..markdown import markdown_table
from ..methods import METHODS

__all__ = ["methods_table"]

_NEEDS = {
    "reference": "reference",
    "margin": "reward margin",
    "length": "lengths",
    "batch": "whole batches",
}


def methods_table():
    """One row a method that the library brings: label, name, source, what it asks of a pair."""
    house = __name__.partition(".")[0]
    rows = (
        (cls.label, f"`{name}`", _linked(cls.source), _asked(cls))
        for name, cls in METHODS.items()
        if cls.__module__.partition(".")[0] == house
    )
    return "\n".join(markdown_table(("method", "name", "source", "asks for"), rows))


def _asked(cls):
    """What a method asks of a pair beside the policy."""
    return ", ".join(text for need, text in _NEEDS.items() if need in cls.needs)


def _linked(source):
    """A source with its arXiv number as a link."""
    return re.sub(r"arXiv (\d{4}\.\d{5})", r"[\1](https://arxiv.org/abs/\1)", source)
