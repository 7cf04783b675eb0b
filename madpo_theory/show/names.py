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
    "madpo_class": ("MADPO, class defaults", Look(SKY, "d", DOT)),
    "madpo_flat": ("MADPO, c = 2 throughout", Look(SKY, "*", LONG)),
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
    their order, and what is not registered one that depends on the name alone.
    """
    found = next((registry[name] for registry in REGISTRIES if name in registry), None)
    label, given = VARIANTS.get(name, (name.replace("_", " "), None))
    if found is not None:
        label, given = found.label or label, found.look
    if given is None:
        plain = sorted(n for registry in REGISTRIES for n, c in registry.items() if c.look is None)
        free = spare()
        # From the other end: what is registered elsewhere changes no look of what is not.
        place = plain.index(name) if name in plain else -1 - zlib.crc32(name.encode())
        given = free[place % len(free)]
    return Shown(label, given.color, given.marker, given.dash)


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
