"""The quantities whose suprema the theory needs."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from flint import arb

from ..ops import arb_world
from ..ops.checks import check_choice
from ..targets import effective_target
from ..weights import OF_RATIO, WEIGHTS, log_weight, log_weight_ratio, weight, weighting_of

__all__ = [
    "CHECKED",
    "QUANTITIES",
    "InfiniteSupremum",
    "Quantity",
    "checked_weight",
    "quantity_of",
    "weighting_kind",
]

CHECKED = ("published", "bounded_ratio")
"""The weights whose formulas the independent checker states: certificates are of these."""


class InfiniteSupremum(ValueError):
    """The weight says that the quantity has no finite supremum."""


@dataclass(frozen=True)
class Quantity:
    """What is maximized: a derivative of `formula` over all margins, under one sign or both.

    Attributes
    ----------
    formula : (xp, h, weighting) -> value, in any world.
    derivative : 0 for the value, 1 for the slope in h.
    signs : 1 for a maximum, -1 for the negative of a minimum, both for an absolute value.
    """

    name: str
    formula: Callable
    derivative: int
    signs: tuple

    @property
    def two_sided(self):
        """Whether negative margins are searched too; what the ratio alone decides is even in h."""
        return self.name not in OF_RATIO

    def signed(self, ball):
        """The value as it enters the maximum."""
        return abs(ball) if len(self.signs) == 2 else self.signs[0] * ball

    def tail(self, weighting, far):
        """A ball above the quantity at all |h| >= far, or None where the weight knows none.

        InfiniteSupremum, a ValueError, where the weight says that there is none.
        """
        bound = weighting_of(weighting).tail(arb_world, self.name, far)
        if bound is None:
            return None
        if bound == math.inf:
            raise InfiniteSupremum(
                f"{self.name} of {type(weighting).__name__} is infinite: log w or its ratio is not "
                "bounded when h grows; ask for another quantity, such as sensitivity"
            )
        return arb(bound)


def quantity_of(name):
    """The quantity called `name`; ValueError if there is none."""
    return QUANTITIES[check_choice("name", name, sorted(QUANTITIES))]


def checked_weight(kind):
    """The class of the weight called `kind`; ValueError unless the checker knows its formula."""
    if kind not in CHECKED:
        raise ValueError(
            f"the weight must be one of {', '.join(CHECKED)}, whose formulas the checker knows, "
            f"got {kind!r}; supremum() encloses those of any weight"
        )
    return WEIGHTS[kind]


def weighting_kind(weighting):
    """(name, schedule) of a weighting whose formula the checker knows; TypeError for another."""
    known = weighting_of(weighting)
    for kind in CHECKED:
        if type(known) is WEIGHTS[kind]:
            return kind, known.schedule
    raise TypeError(
        f"certificates are of {' and '.join(CHECKED)} weights, whose formulas the checker knows, "
        f"got {type(known).__qualname__}; supremum(quantity, weighting) encloses those of any "
        "weight, without a file"
    )


def _dampening(xp, h, weighting):
    """max(-delta(h), 0): how far an easy pair's target falls below its margin."""
    return -xp.minimum(log_weight_ratio.formula(xp, h, weighting), 0)


def _target(xp, h, weighting):
    return effective_target.formula(xp, h, h, weighting)


_ALL = (
    Quantity("sensitivity", log_weight_ratio.formula, derivative=1, signs=(1, -1)),
    Quantity("influence", log_weight_ratio.formula, derivative=0, signs=(1, -1)),
    Quantity("dampening", _dampening, derivative=0, signs=(1,)),
    Quantity("log_weight_max", log_weight.formula, derivative=0, signs=(1,)),
    Quantity("log_weight_min", log_weight.formula, derivative=0, signs=(-1,)),
    Quantity("target_slope_min", _target, derivative=1, signs=(-1,)),
    Quantity("target_slope_max", _target, derivative=1, signs=(1,)),
    Quantity("weight_slope", weight.formula, derivative=1, signs=(1, -1)),
)
QUANTITIES = {quantity.name: quantity for quantity in _ALL}
