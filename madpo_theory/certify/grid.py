"""A map of schedules: where the effective target is certified to increase, and where to fall."""

import functools
import itertools
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..schedule import MarginSchedule
from ..targets import effective_target
from .boxes import ScheduleBox
from .certificate import certify_box, check
from .quantities import checked_weight

__all__ = ["Cell", "monotone_cells", "section_cells"]

_STRICTLY = -1e-9  # T' <= this proves that T falls


@dataclass(frozen=True)
class Cell:
    """A box of schedules, what is proved of T on all of it, and the certificate of that.

    `verdict` is "increases" (T' >= 0 at all margins asked for, for every schedule), "falls" (every
    schedule has T' < 0 at the margin `at`, in taus) or "undecided" (then no certificate).
    """

    box: ScheduleBox
    verdict: str
    certificate: dict | None = None
    at: Fraction | None = None


def monotone_cells(c_max, c_min, lam, tau, *, kind="published", within=None, limit=300):
    """Classify every cell of a grid of schedule boxes by the monotonicity of the target T (T5).

    Parameters
    ----------
    c_max, c_min, lam, tau : edges of the cells, exact (as in ScheduleBox) and increasing; a
        single number for a parameter that does not vary, a pair of edges for one interval.
    kind : the weight, "published" or "bounded_ratio".
    within : (low, high) in taus, e.g. (0, 1) for T on [0, tau]; None for every margin.
    limit : boxes to spend on a cell before it counts as undecided.

    Returns an object array of :class:`Cell` of shape (cells in c_max, c_min, lam, tau). The
    checker has accepted every certificate in it.
    """
    intervals = [_intervals(edges) for edges in (c_max, c_min, lam, tau)]
    cells = np.empty([len(side) for side in intervals], dtype=object)
    for index in np.ndindex(cells.shape):
        box = ScheduleBox(*(side[i] for side, i in zip(intervals, index, strict=True)))
        cells[index] = _cell(box, kind, within, limit)
    return cells


@functools.cache
def section_cells():
    """The cells of the section c_min = 1/2, lam = 1 that the region map shows, over every margin.

    12 in c_max, from 1.2 to 4.2, by 16 in tau, from 0.5 to 8.5; as :func:`monotone_cells` returns
    them.
    """
    c_max = [Fraction("1.2") + Fraction(k, 4) for k in range(13)]
    tau = [Fraction(k, 2) for k in range(1, 18)]
    return monotone_cells(c_max, "1/2", 1, tau).squeeze()


def _intervals(edges):
    if not isinstance(edges, (tuple, list, range, np.ndarray)):
        return [edges]
    if len(edges) == 1:
        return list(edges)
    return list(itertools.pairwise(edges))


def _cell(box, kind, within, limit):
    at = _lowest(box, kind, within)  # a guess: what is proved does not depend on it
    name, verdict, bound = "target_slope_min", "increases", 0.0
    if at is not None:
        name, verdict, bound, within = "target_slope_max", "falls", _STRICTLY, at
    try:
        found = certify_box(name, box, kind=kind, bound=bound, within=within, limit=limit)
        check(found)
    except (ValueError, RuntimeError):  # the bound is false, out of reach, or exactly attained
        return Cell(box, "undecided")
    return Cell(box, verdict, found, at)


def _lowest(box, kind, within):
    """The margin, in taus, at which T of the middle schedule falls fastest; None if nowhere."""
    schedule = MarginSchedule(*(float(low + high) / 2 for low, high in box.sides))
    low, high = (0, 4) if within is None else within
    edges = np.linspace(float(low), float(high), 64 * int(np.ceil(float(high - low))) + 1)
    h, weighting = edges * schedule.tau, checked_weight(kind).of(schedule)
    target = effective_target(h, h, weighting)
    slopes = np.diff(target)
    worst = int(np.argmin(slopes))
    return Fraction(edges[worst] + edges[worst + 1]) / 2 if slopes[worst] < 0 else None
