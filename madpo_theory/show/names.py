"""One label, colour, marker and dash for every method and weight, in every figure and page.

They stand with the method or weight, as its ``label`` and ``look``. Here are the settings that
studies and figures compare under names of their own, and what is left for names without a look.
"""

import functools
import itertools
import zlib
from typing import NamedTuple

from ..methods import METHODS
from ..registry import Look
from ..weights import WEIGHTS

__all__ = ["BLACK", "BLUE", "GREEN", "GREY", "INK", "ORANGE", "PINK", "RED", "SKY", "Shown", "look"]

# Okabe and Ito's palette: distinct under every common colour blindness. Markers and dashes carry
# the same information in black and white.
BLACK, ORANGE, SKY, GREEN, BLUE, RED, PINK = (
    "#000000", "#e69f00", "#56b4e9", "#009e73", "#0072b2", "#d55e00", "#cc79a7",
)  # fmt: skip
INK, GREY = "#222222", "#888888"
SOLID, DASH, LONG = "-", (0, (4, 1.6)), (0, (9, 2.5))
DOT, DASHDOT = (0, (1, 1.4)), (0, (6, 1.5, 1, 1.5))

REGISTRIES = (METHODS, WEIGHTS)
_MADPO = METHODS["madpo"].look
VARIANTS = {  # name: label and look; what no registry knows
    "sft": ("SFT", Look(INK, "*")),
    "madpo_2": ("MADPO, c_max = 2", _MADPO),
    "madpo_1.5": ("MADPO, c_max = 1.5", Look("#88ccee", "s", DOT)),
    "madpo_3": ("MADPO, c_max = 3", Look("#7777cc", "^", DASH)),
    "madpo_4": ("MADPO, c_max = 4", Look("#332288", "h", DASHDOT)),
    "madpo_yours": ("MADPO, yours", Look(RED, "X")),
    "madpo_class": ("MADPO, class defaults", Look(SKY, "d", DOT)),
    "madpo_flat": ("MADPO, c = 2 throughout", Look(SKY, "*", LONG)),
    "efficient_4": ("efficient, c_max = 4", Look("#aa4499", "d", DASHDOT)),
    "offset_madpo_4": ("offset MADPO, c_max = 4", Look("#117733", "h", DASHDOT)),
    "offset_madpo_clipped": ("the same, clipped at 1 nat", Look("#117733", "v", DOT)),
    "recommended": ("recommended", Look(ORANGE, "d", LONG)),
}


class Shown(NamedTuple):
    """How a name is shown: plain text, "#rrggbb", and matplotlib's marker and dash."""

    label: str
    color: str
    marker: str
    dash: object


def look(name):
    """The :class:`Shown` of a method, a weight, or one of :data:`VARIANTS`.

    Names that have no look take a combination that no other has: registered ones the first in
    their order, the library's before a user's, and what is not registered one that depends on the
    name alone.
    """
    found = next((registry[name] for registry in REGISTRIES if name in registry), None)
    label, given = VARIANTS.get(name, (name.replace("_", " "), None))
    if found is not None:
        label, given = found.label or label, found.look
    if given is None:
        plain = [item for r in REGISTRIES for item in r.items() if item[1].look is None]
        # Ours first: what a user adds changes no look of the library's.
        plain = [name for _, name in sorted((not is_ours(cls), name) for name, cls in plain)]
        free = spare()
        # From the other end: what is registered elsewhere changes no look of what is not.
        place = plain.index(name) if name in plain else -1 - zlib.crc32(name.encode())
        given = free[place % len(free)]
    return Shown(label, given.color, given.marker, given.dash)


def is_ours(cls):
    """Whether a class is one that the library brings."""
    return cls.__module__.partition(".")[0] == __name__.partition(".")[0]


@functools.cache
def spare():
    """Combinations that none of the library's own names has; neighbours differ in colour."""
    looks = {cls.look for registry in REGISTRIES for cls in registry.values() if cls.look}
    taken = looks | {given for _, given in VARIANTS.values()}
    every = itertools.product(
        (DASHDOT, LONG, DOT, DASH, SOLID), "XPpdv<>sDo", (PINK, GREEN, RED, GREY, BLACK, ORANGE)
    )
    free = (Look(color, marker, dash) for dash, marker, color in every)
    return tuple(given for given in free if given not in taken)
