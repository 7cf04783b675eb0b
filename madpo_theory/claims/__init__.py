"""Every claim about MADPO with its evidence and verdict; ``madpo verify`` prints them.

A claim is one file of this folder, its id in the name: ``t5_order.py`` holds the :class:`Claim` T5
as ``CLAIM``, and its evidence. One that rests on an experiment is registered with it.
"""

import functools
import pkgutil
import re
from importlib import import_module

from ..extensions import CLAIMS as REGISTERED
from .ledger import VERDICTS, Claim, Evidence, Ledger, verify

__all__ = ["CLAIMS", "VERDICTS", "Claim", "Evidence", "Ledger", "select", "verify"]

_LETTERS = "STLRBNA"  # the order of theory: schedule, targets, landscape, robustness, ...


def _claims():
    for module in pkgutil.iter_modules(__path__):
        named = re.fullmatch(r"([a-z]+\d+)_\w+", module.name)
        if named:
            claim = import_module(f"{__name__}.{module.name}").CLAIM
            if claim.id.lower() != named[1]:
                raise ValueError(f"{module.name}.py holds the claim {claim.id}; name it after it")
            yield claim
    yield from REGISTERED.values()


@functools.cache
def _ledger():
    def place(claim):
        return _LETTERS.index(claim.id[0]), int(claim.id[1:])

    return tuple(sorted(_claims(), key=place))


def __getattr__(name):  # found when asked for: a registered claim imports this package
    if name == "CLAIMS":
        return _ledger()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def select(ids):
    """The claims of the given ids and the parts of those that are roll-ups, in the ledger's order.

    Raises ValueError for an unknown id.
    """
    known = {claim.id: claim for claim in _ledger()}
    unknown = [i for i in ids if i not in known]
    if unknown:
        raise ValueError(f"no claim {', '.join(unknown)}; the ledger has {', '.join(known)}")
    wanted = {part for i in ids for part in (i, *known[i].parts)}
    return tuple(claim for claim in _ledger() if claim.id in wanted)
