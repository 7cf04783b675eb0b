"""Best-first branch and bound: the certified supremum of a quantity over all margins."""

import heapq
import math
from dataclasses import dataclass
from itertools import count

from flint import arb, arb_series

from ..ops import PRIMITIVES, arb_world, check_number
from .enclosure import Box, above, at_middle, below, enclose, precision

__all__ = ["OtherWorld", "Supremum", "supremum"]

REACH = 60.0
"""Nats within which a quantity is searched where no bound on its tail is known."""
FARTHEST = 64
"""Powers of 2, of nats, at which a weight is asked for such a bound."""


class OtherWorld(TypeError):
    """A weight's formula is one of NumPy's, say, and says nothing of balls."""


@dataclass(frozen=True)
class Supremum:
    """lower <= sup <= upper over the margins of `domain`.

    The middle of `witness` attains at least `lower`; on each of `boxes`, which cover [lo, hi],
    the quantity stays below `upper`, and so it does in the tail beyond, if `tail` says that the
    weight knows a bound there. Of a quantity that is even in h, lo is 0.
    """

    lower: float
    upper: float
    lo: int
    hi: int
    witness: Box
    boxes: tuple
    tail: bool

    @property
    def domain(self):
        """(low, high): the margins over which the supremum is enclosed, nats."""
        return (-math.inf, math.inf) if self.tail else (-float(self.hi), float(self.hi))


def supremum(quantity, weighting, *, tolerance=1e-6, bits=128, limit=100_000, reach=REACH):
    """Supremum of a :class:`~madpo_theory.certify.quantities.Quantity` for any weight.

    Parameters
    ----------
    weighting : MarginSchedule (the published weight) or Weighting, of the very parameters given: a
        float stands for itself. InfiniteSupremum, a ValueError, where the weight says that there is
        none; OtherWorld, a TypeError, where its formula is not written in the primitives of xp.
    tolerance : absolute width upper - lower to stop at.
    limit : number of boxes after which to give up, with RuntimeError.
    reach : nats, > 0; a weight that knows no bound on the tail (:meth:`~.Weighting.tail`) is
        searched over |h| <= reach alone, rounded up, and the result says so.

    Returns a :class:`Supremum`; whoever doubts it checks the boxes without this module
    (:mod:`madpo_theory.certify.checker`).
    """
    check_number("reach", reach, "reach > 0", lambda v: v > 0)

    def f(h):
        return in_arb(quantity.formula, h, weighting)

    with precision(bits):
        start = _start(quantity, weighting, limit)
        heap, order, lower, witness = [], count(), -math.inf, None

        def push(box):
            nonlocal lower, witness
            value = below(quantity.signed(at_middle(f, box, quantity.derivative)))
            if value > lower:
                lower, witness = value, box
            top = above(quantity.signed(enclose(f, box, quantity.derivative)))
            heapq.heappush(heap, (-top, next(order), box))

        def search(low, high):
            """Search the margins low <= |h| <= high, between two integers, too."""
            for k in range(low, high):
                push(Box(0, k))
                if quantity.two_sided:
                    push(Box(0, -k - 1))
            while -heap[0][0] - lower > tolerance:
                if len(heap) > limit:
                    raise RuntimeError(
                        f"{quantity.name}: {limit} boxes do not reach tolerance {tolerance} (lower "
                        f"{lower}, upper {-heap[0][0]}); raise limit or tolerance"
                    )
                for half in heapq.heappop(heap)[2].halves():
                    push(half)

        hi, tail = start or math.ceil(reach), -math.inf
        search(0, hi)
        if start is not None:
            # Walk outward until the proved tail bound can no longer decide the supremum.
            while (tail := above(quantity.tail(weighting, arb(hi)))) > lower + tolerance / 2:
                if hi >= 64 * start:
                    break
                search(hi, hi + 1)
                hi += 1
    boxes = sorted((box for _, _, box in heap), key=lambda box: box.index / 2**box.level)
    return Supremum(
        lower,
        upper=max(-heap[0][0], tail),
        lo=-hi if quantity.two_sided else 0,
        hi=hi,
        witness=witness,
        boxes=tuple(boxes),
        tail=start is not None,
    )


def in_arb(formula, h, weighting):
    """formula(arb_world, h, weighting), a ball or a series; OtherWorld for anything else."""
    try:
        found = formula(arb_world, h, weighting)
    except (TypeError, AttributeError) as error:
        why, cause = str(error), error
    else:
        if isinstance(found, (arb, arb_series)):
            return found
        why, cause = f"returns {type(found).__qualname__}", None
    raise OtherWorld(
        f"{type(weighting).__qualname__} cannot be evaluated in the arb world: {why}; what its "
        f"formula computes with must be the primitives of xp, {PRIMITIVES}"
    ) from cause


def _start(quantity, weighting, limit):
    """The first power of 2 beyond which the weight bounds the quantity; None if it does nowhere."""
    starts = (2**k for k in range(FARTHEST))
    start = next((s for s in starts if quantity.tail(weighting, arb(s)) is not None), None)
    if start is not None and start > limit:
        raise RuntimeError(
            f"{quantity.name}: a bound on the tail is known beyond {start} nats only, farther than "
            f"{limit} boxes of 1 nat reach; raise limit"
        )
    return start
