"""Bounds of statements over all margins: the boxes first, then the tails, with certificates."""

import math
import time
from dataclasses import dataclass, field, replace
from functools import partial, reduce

import numpy as np
from flint import ctx

from ..ops import stable
from . import graph
from .boxes import REACH, Domain, enclosures, supremum
from .graph import at_point, diff, number, to_data

__all__ = ["RESOLUTION", "Examiner", "Found"]

FORMAT = "madpo audit bound 1"
RESOLUTION = 1e-9
"""What counts as none, in nats, ratios and shares: smaller differences are rounding."""
LINE = (-math.inf, math.inf)


def reach(name):
    """Nats of a variable that boxes cover. Tails lie beyond, and are covered where they can be."""
    return 240.0 if name == "z" else REACH


def clipped(name, low, high):
    """A side of a box, no farther than that."""
    return max(low, -reach(name)), min(high, reach(name))


@dataclass
class Found:
    """lower <= sup <= upper of a statement over `domain`, in words; where `witness` attains it.

    `kind` is "proved" for an identity, "certified" for enclosed boxes, "searched" for points.
    """

    lower: float
    upper: float
    witness: dict | None = None
    domain: str = "every margin"
    kind: str = "certified"
    whole: bool = True
    certificates: list = field(default_factory=list)


class Examiner:
    """Bounds statements about one formula after another, in the time given.

    Parameters
    ----------
    seconds : for all statements together.
    quick : look at points only; what is found is "searched".
    breaks : {variable: branch points}.
    """

    def __init__(self, *, seconds, quick, breaks):
        self.stop, self.scale = time.monotonic() + seconds, seconds / 10
        self.quick, self.breaks = quick, breaks
        self.known = {}

    def left(self, seconds):
        """What a search may take that is worth `seconds` of ten in all."""
        return max(0.02, min(seconds * self.scale, self.stop - time.monotonic()))

    def sup(self, formula, statement, sides=None, **options):
        """:meth:`_sup`, searched for once; what it returns may be written to."""
        statement = graph._node(statement)
        key = formula.node, statement, repr(sides), tuple(sorted(options.items()))
        if key not in self.known:
            self.known[key] = self._sup(formula, statement, sides, **options)
        return replace(self.known[key])

    def _sup(
        self, formula, statement, sides, *, zero=None, positive=None, goal=None,
        tolerance=1e-6, seconds=1.0,
    ):  # fmt: skip
        """:class:`Found` of the supremum of a statement about a :class:`~.subject.Formula`.

        `sides` are (low, high) of its variables, all numbers by default; `zero` and `positive` are
        statements that restrict them. Infinite, and known to be, where the statement's slope stays
        away from 0 in a tail.
        """
        node = formula.resolved(statement)
        limits = [None if c is None else formula.resolved(c) for c in (zero, positive)]
        if not node.names:
            value = constant(node)
            return Found(value, value, None, kind="proved")
        names = sorted(node.names.union(*(c.names for c in limits if c is not None)))
        wanted = {name: (sides or {}).get(name, LINE) for name in names}
        if self.quick:
            return self._points(node, wanted, *limits)
        core = {name: clipped(name, *side) for name, side in wanted.items()}
        options = {"zero": limits[0], "positive": limits[1], "at": self.breaks.items()}
        bound = supremum(
            node,
            Domain(core),
            goal=goal,
            tolerance=tolerance,
            seconds=self.left(seconds),
            **options,
        )
        lower, upper, witness = bound.lower, bound.upper, bound.witness
        pieces, whole = [(core, bound)], True
        if goal is not None and lower > goal:
            return Found(lower, math.inf, witness, kind="certified")
        for tail in _tails(wanted, core):
            if limits == [None, None] and grows(node, tail):
                return Found(math.inf, math.inf, _far(tail), kind="certified")
            more = supremum(
                node, Domain(tail), goal=goal, known=max(lower, upper if goal is None else lower),
                tolerance=tolerance, seconds=self.left(0.1), limit=20_000, **options,
            )  # fmt: skip
            if more.upper == math.inf or (goal is not None and more.upper > goal):
                whole = False
                if goal is not None and more.lower > goal:
                    return Found(more.lower, math.inf, more.witness)
                continue
            if more.lower > lower:
                lower, witness = more.lower, more.witness
            upper = max(upper, more.upper)
            pieces.append((tail, more))
        kept = core if not whole else {n: s for n, s in core.items() if wanted[n][1] < math.inf}
        known = f"{Domain(kept)} nats" if kept else "every margin"
        if goal is not None:
            upper = max(upper, goal)
        elif 0 < abs(upper) < math.inf:
            upper += 1e-12 * abs(upper)  # room for the checker's own rounding
        found = Found(lower, max(upper, lower), witness, known, whole=not kept)
        if math.isfinite(upper):
            found.certificates = [
                {
                    "format": FORMAT,
                    "method": "",
                    "row": "",
                    "formula": to_data(formula.node),
                    "variables": list(formula.names),
                    "statement": to_data(statement),
                    "expression": to_data(node),
                    "zero": _pair(zero, limits[0]),
                    "positive": _pair(positive, limits[1]),
                    "order": names,
                    "domain": {n: [str(float(a)), str(float(b))] for n, (a, b) in piece.items()},
                    "lower": float(lower),
                    "witness": witness if zero is None and _inside(witness, lower, piece) else None,
                    "upper": float(found.upper),
                    "boxes": b.boxes.tolist(),
                }
                for piece, b in pieces
            ]
        return found

    def inf(self, formula, statement, sides=None, **options):
        """The same of the infimum: `lower` and `upper` enclose it."""
        found = self.sup(formula, -graph._node(statement), sides, **options)
        found.lower, found.upper = -found.upper, -found.lower
        return found

    def _points(self, node, sides, zero, positive):
        """The largest value on a grid; nothing is known between its points."""
        names = tuple(sorted(sides))
        count = {1: 4001, 2: 301}.get(len(names), 41)
        axes = []
        for name in names:
            low, high = clipped(name, *sides[name])
            fine = np.sinh(np.linspace(np.arcsinh(low), np.arcsinh(high), count))
            axes.append(np.unique(np.concatenate([fine, np.linspace(low, high, count)])))
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(names))
        thin = np.stack([points, points], axis=2)
        nodes = [node, *([positive] if positive is not None else [])]
        found = enclosures(nodes, thin, names)
        values = np.where(np.isfinite(found[0][0]), found[0][0], -np.inf)
        if positive is not None:
            values = np.where(found[1][0] > 0, values, -np.inf)
        if zero is not None:
            return Found(-math.inf, math.inf, None, "points alone", "searched", whole=False)
        best = int(np.argmax(values))
        value = float(values[best])
        witness = dict(zip(names, map(float, points[best]), strict=True))
        return Found(value, value, witness, "points up to 60 nats", "searched", whole=False)


def _pair(statement, node):
    """A constraint as a certificate has it."""
    return None if statement is None else [to_data(statement), to_data(node)]


def _inside(point, value, sides):
    """Whether a piece holds the witness, of a value that is no underflow."""
    return (
        point is not None
        and abs(value) > 1e-200
        and all(low <= point[name] <= high for name, (low, high) in sides.items())
    )


def constant(node):
    """The float nearest to a graph without variables; an exact number is itself."""
    if node.kind == "number":
        return float(node.value)
    with ctx.workprec(128):
        return float(at_point(node, {}).mid())


def _tails(wanted, core):
    """Boxes that cover what the core does not: one variable far out, the others anywhere."""
    for name, (low, high) in wanted.items():
        if high > core[name][1]:
            yield wanted | {name: (core[name][1], high)}
        if low < core[name][0]:
            yield wanted | {name: (low, core[name][0])}


def grows(node, tail):
    """Whether the node goes to infinity in the tail: its slope stays away from 0 there."""
    names = tuple(sorted(tail))
    for name in names:
        low, high = tail[name]
        if math.isinf(low) == math.isinf(high):
            continue
        far = {name: (max(low, 1e3), high) if high == math.inf else (low, min(high, -1e3))}
        box = np.array([[(far | {k: v for k, v in tail.items() if k != name})[n] for n in names]])
        try:
            ((a, b),) = enclosures([diff(node, name)], box, names)
        except ValueError:
            return False
        if (high == math.inf and a[0] > 1e-3) or (low == -math.inf and b[0] < -1e-3):
            return True
    return False


def _far(tail):
    """A point in a tail."""
    return {
        name: (1e3 if high == math.inf else -1e3) if math.isinf(low) != math.isinf(high) else 0.0
        for name, (low, high) in tail.items()
    }


def maximum(*nodes):
    """The largest, as a graph."""
    return reduce(partial(stable.maximum, graph), map(graph._node, nodes))


def magnitude(node):
    """|node|, as a graph without a branch."""
    node = graph._node(node)
    return number(abs(node.value), None) if node.kind == "number" else maximum(node, -node)
