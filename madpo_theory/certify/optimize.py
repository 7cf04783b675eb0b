"""Best-first branch and bound: the certified supremum of a quantity over all margins."""

import heapq
import math
from dataclasses import dataclass
from itertools import count

from flint import arb

from ..ops import arb_world
from .enclosure import Box, above, at_middle, below, enclose, precision
from .quantities import quantity_of, weighting_kind

__all__ = ["Supremum", "supremum"]


@dataclass(frozen=True)
class Supremum:
    """lower <= sup <= upper over [lo, hi] and the tail beyond it.

    The middle of `witness` attains at least `lower`; on each of `boxes`, which cover [lo, hi],
    the quantity stays below `upper`, and so it does in the tail.
    """

    lower: float
    upper: float
    lo: int
    hi: int
    witness: Box
    boxes: tuple


def supremum(quantity, weighting, *, tolerance=1e-6, bits=128, limit=100_000):
    """Supremum of a :class:`~madpo_theory.certify.quantities.Quantity`, tails included.

    Parameters
    ----------
    weighting : MarginSchedule with exact parameters (the published weight), or a
        BoundedRatioWeight of one. ValueError where the quantity is infinite.
    tolerance : absolute width upper - lower to stop at.
    limit : number of boxes after which to give up, with RuntimeError.

    Returns a :class:`Supremum`; whoever doubts it checks the boxes without this module
    (:mod:`madpo_theory.certify.checker`).
    """

    kind, schedule = weighting_kind(weighting)
    tail_bound = quantity_of(quantity.name, kind).tails[kind]

    def f(h):
        return quantity.formula(arb_world, h, weighting)

    with precision(bits):
        *_, lam, tau, _ = schedule.in_world(arb_world, arb(0))
        near = math.ceil(max(above(tau), above(1 / lam))) + 1
        heap, order, lower, witness = [], count(), -math.inf, None

        def push(box):
            nonlocal lower, witness
            value = below(quantity.signed(at_middle(f, box, quantity.derivative)))
            if value > lower:
                lower, witness = value, box
            top = above(quantity.signed(enclose(f, box, quantity.derivative)))
            heapq.heappush(heap, (-top, next(order), box))

        lo, hi = -near if quantity.two_sided else 0, near
        for index in range(lo, hi):
            push(Box(0, index))
        # Walk right until the proved tail bound can no longer decide the supremum.
        while (tail := above(tail_bound(schedule, arb(hi)))) > lower + tolerance / 2:
            if hi > 64 * near:
                break
            push(Box(0, hi))
            hi += 1
        while -heap[0][0] - lower > tolerance:
            if len(heap) > limit:
                raise RuntimeError(
                    f"{quantity.name}: {limit} boxes do not reach tolerance {tolerance} (lower "
                    f"{lower}, upper {-heap[0][0]}); raise limit or tolerance"
                )
            for half in heapq.heappop(heap)[2].halves():
                push(half)
    boxes = sorted((box for _, _, box in heap), key=lambda box: box.index / 2**box.level)
    return Supremum(lower, max(-heap[0][0], tail), lo, hi, witness, tuple(boxes))
