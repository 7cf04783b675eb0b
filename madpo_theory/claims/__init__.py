"""Every claim about MADPO with its evidence and verdict; ``madpo verify`` prints them.

A claim is one file of this folder, its id in the name: ``t5_order.py`` holds the :class:`Claim` T5
as ``CLAIM``, and its evidence.
"""

import pkgutil
import re
from importlib import import_module

from .ledger import VERDICTS, Claim, Evidence, Ledger, verify

__all__ = ["CLAIMS", "FILES", "VERDICTS", "Claim", "Evidence", "Ledger", "select", "verify"]

_LETTERS = "STLRBNA"  # the order of theory: schedule, targets, landscape, robustness, ...


def _place(name):
    """Where the file of a claim stands in the ledger."""
    return _LETTERS.index(name[0].upper()), int(re.match(r"\d+", name[1:])[0])


_NAMES = (module.name for module in pkgutil.iter_modules(__path__))
_NAMES = sorted((name for name in _NAMES if re.match(r"[a-z]\d+_", name)), key=_place)

CLAIMS = tuple(import_module(f"{__name__}.{name}").CLAIM for name in _NAMES)
FILES = {claim.id: name for claim, name in zip(CLAIMS, _NAMES, strict=True)}


def select(ids):
    """The claims of the given ids and the parts of those that are roll-ups, in the ledger's order.

    Raises ValueError for an unknown id.
    """
    known = {claim.id: claim for claim in CLAIMS}
    unknown = [i for i in ids if i not in known]
    if unknown:
        raise ValueError(f"no claim {', '.join(unknown)}; the ledger has {', '.join(known)}")
    wanted = {part for i in ids for part in (i, *known[i].parts)}
    return tuple(claim for claim in CLAIMS if claim.id in wanted)
