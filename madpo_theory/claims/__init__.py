"""Every claim about MADPO with its evidence and verdict; ``madpo verify`` prints them.

A claim is one file of this folder, its id in the name: ``t5_order.py`` holds the :class:`Claim` T5
as ``CLAIM``, and its evidence. One that rests on an experiment is registered with it.
"""

import functools
import pkgutil
import re
from importlib import import_module

from ..extensions import CLAIMS as REGISTERED
from ..ops.checks import check_choice
from .ledger import Claim, Evidence, Ledger, verify

__all__ = ["CLAIMS", "FILES", "Claim", "Evidence", "Ledger", "select", "verify"]

_GROUPS = "s c t l r b n rm a".split()
"""Schedule, calculus of targets, targets, landscape, robustness, baselines, new weights, related
methods, what the paper claims."""


def _place(name):
    """Where the file of a claim stands in the ledger; None if it holds none."""
    found = re.match(r"([a-z]+)(\d+)_", name)
    return found and (_GROUPS.index(found[1]), int(found[2]))


@functools.cache
def _found():
    """{name of its file: claim} of this folder and of those registered, in the ledger's order."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    own = [import_module(f"{__name__}.{n}") for n in names if _place(n)]
    claims = {m.__name__.rpartition(".")[2]: m.CLAIM for m in (*own, *REGISTERED.values())}
    return {name: claims[name] for name in sorted(claims, key=_place)}


def __getattr__(name):  # found when asked for: a registered claim imports this package
    if name == "CLAIMS":
        return tuple(_found().values())
    if name == "FILES":
        return {claim.id: file for file, claim in _found().items()}
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def select(ids):
    """The claims of the given ids and the parts of those that are roll-ups, in the ledger's order.

    Raises ValueError for an unknown id.
    """
    known = {claim.id: claim for claim in _found().values()}
    for wanted in ids:
        check_choice("claim", wanted, known)
    wanted = {part for i in ids for part in (i, *known[i].parts)}
    return tuple(claim for claim in _found().values() if claim.id in wanted)
