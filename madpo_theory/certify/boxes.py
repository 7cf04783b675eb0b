"""Suprema over boxes of schedules: branch and bound over the margin and the four parameters.

The margin is measured in taus, h = s tau: in s the branch points -1, 0, 1 are the same for every
schedule of the box, so a box between integers lies in one branch. Two steps shrink a box: halving
it in one dimension, and, where the gradient has one sign in a dimension, keeping only the face
on which the quantity is largest. What is left is bounded by the mean-value form

    f(box) <= f(middle) + sum over dimensions of max |f_p| (width of p)/2.

All is computed at 64 bits, half of what the checker takes.
"""

import heapq
import itertools
import math
from dataclasses import dataclass, fields
from fractions import Fraction

from flint import arb, fmpq

from ..schedule import MarginSchedule
from . import jets
from .enclosure import above as _above
from .enclosure import below as _below
from .enclosure import precision
from .quantities import checked_weight, quantity_of

__all__ = ["BoxSupremum", "ExceedsBound", "ScheduleBox", "box_supremum"]

PARAMETERS = ("c_max", "c_min", "lam", "tau")
# The proof tree, in preorder: halved in dimension d, cut down to its lower or upper face, proved.
HALVE, LOWER, UPPER, LEAF = "01234", "abcde", "ABCDE", "."
_BITS = 64
_ZERO, _ONE = arb(0), arb(1)


@dataclass(frozen=True)
class ScheduleBox:
    """Every schedule with each parameter in its interval [low, high], exact.

    Each field is a pair of rationals, or one for a parameter that does not vary; strings such
    as "2.2" and Fractions are exact, floats are refused unless integers. ValueError or TypeError
    with the rule that a bound breaks.
    """

    c_max: tuple
    c_min: tuple
    lam: tuple
    tau: tuple

    def __post_init__(self):
        for name in PARAMETERS:
            value = getattr(self, name)
            low, high = value if isinstance(value, (tuple, list)) else (value, value)
            pair = _exact(name, low), _exact(name, high)
            if pair[0] > pair[1]:
                raise ValueError(f"{name} = {value} is no interval; give (low, high), low <= high")
            object.__setattr__(self, name, pair)
        for end in (0, 1):
            MarginSchedule(*(side[end] for side in self.sides))  # names the bound that is off

    @property
    def sides(self):
        """The four intervals, in the order of :class:`~madpo_theory.MarginSchedule`."""
        return tuple(getattr(self, field.name) for field in fields(self))

    def __str__(self):
        return " x ".join(
            f"{name} {low}" if low == high else f"{name} [{low}, {high}]"
            for name, (low, high) in zip(PARAMETERS, self.sides, strict=True)
        )


def _exact(name, value):
    if isinstance(value, float) and not value.is_integer():
        raise TypeError(
            f"{name} = {value!r} is a rounded float; give a Fraction, or a string such as '1.9'"
        )
    try:
        return Fraction(value)
    except (TypeError, ValueError, ArithmeticError):  # 1/0 and infinity are of the last
        raise TypeError(
            f"{name} must be rational, got {value!r}; enclose an irrational one by an interval"
        ) from None


class ExceedsBound(ValueError):
    """The bound is false: `schedule` exceeds it at `margin` (in taus); `value` is a lower bound."""

    def __init__(self, message, schedule, margin, value):
        super().__init__(message)
        self.schedule, self.margin, self.value = schedule, margin, value


@dataclass(frozen=True)
class BoxSupremum:
    """lower <= sup <= upper over the box and all margins (or those `within`).

    `witness` is (s, c_max, c_min, lam, tau): at h = s tau that schedule attains `lower`.
    `trees` maps each sign of the quantity to the proof trees of the unit intervals of s.
    """

    lower: float
    upper: float
    witness: tuple
    trees: dict

    @property
    def leaves(self):
        """Number of boxes on which the bound was proved."""
        return sum(tree.count(LEAF) for trees in self.trees.values() for tree in trees)


class _Node:
    """A box with the sides (s, c_max, c_min, lam, tau) and what is known of it.

    `top` bounds the quantity; `faces` were cut away first; then it was split in the dimension
    `split`, or proved. `effects` is what the width of each dimension costs the bound.
    """

    __slots__ = ("children", "effects", "faces", "sides", "split", "top")

    def __init__(self, sides):
        self.sides = sides
        self.faces, self.split, self.children, self.effects = "", None, (), None
        self.top = math.inf

    def tree(self):
        """The proof tree in preorder (iteratively: it may be deeper than Python's stack)."""
        parts, stack = [], [self]
        while stack:
            node = stack.pop()
            parts += [node.faces, LEAF if node.split is None else HALVE[node.split]]
            stack.extend(reversed(node.children))
        return "".join(parts)


class _Search:
    """Best-first branch and bound on one quantity over one box of schedules."""

    def __init__(self, quantity, kind, box, bound, tolerance, limit):
        self.quantity, self.weight, self.box = quantity, checked_weight(kind), box
        self.bound = None if bound is None else float(bound)
        self.tolerance, self.limit = tolerance, limit
        self.sides = tuple(tuple(map(_rational, side)) for side in box.sides)
        self.inside = [arb((low + high) / 2) for low, high in self.sides]
        self.lower, self.witness = -math.inf, None
        self.heap, self.order = [], itertools.count()
        self.roots = {sign: [] for sign in quantity.signs}
        self.schedules = MarginSchedule(*(_ball(*side) for side in self.sides))
        self.tail(1)  # refuses a quantity without a finite supremum

    @property
    def upper(self):
        return self.heap[0][0] * -1

    @property
    def threshold(self):
        """What a box must stay below to need no further splitting."""
        return self.lower + self.tolerance if self.bound is None else self.bound

    def tail(self, far):
        """Bound on the quantity beyond `far` taus for every schedule of the box; inf if unknown."""
        ball = self.quantity.tail(self.weight.of(self.schedules), far * self.schedules.tau)
        return math.inf if ball is None else _above(ball)

    def add(self, low, high):
        """Search the margins low tau <= h <= high tau, between two integers, and below."""
        for sign in self.quantity.signs:
            node = _Node(((low, high), *self.sides))
            self.roots[sign].append(node)
            self._try([(x + y) / 2 for x, y in node.sides], math.floor(low), sign)
            self._push(node, math.floor(low), sign)

    def run(self):
        while self.upper > self.threshold:
            self._refuse_false_bound()
            if len(self.heap) > self.limit:
                raise RuntimeError(
                    f"{self.quantity.name} over {self.box}: {self.limit} boxes leave "
                    f"[{self.lower}, {self.upper}]; raise bound, tolerance or limit, or take a "
                    "smaller box"
                )
            *_, node, region, sign = heapq.heappop(self.heap)
            node.split = d = _split(node)
            low, high = node.sides[d]
            middle = (low + high) / 2
            node.children = tuple(
                _Node((*node.sides[:d], side, *node.sides[d + 1 :]))
                for side in ((low, middle), (middle, high))
            )
            for child in node.children:
                self._push(child, region, sign)
        self._refuse_false_bound()

    def add_tail(self, start):
        """Extend the search to the right until the proved tail bound decides nothing."""
        far, first = start, None  # the first multiple of tau from which a bound is known
        while (tail := self.tail(far)) > max(self.threshold, self.upper):
            if first is None and tail < math.inf:
                first = far
            if far > (64 * first if first else self.limit):
                raise RuntimeError(
                    f"{self.quantity.name} over {self.box}: beyond {far} tau only <= {tail} is "
                    f"known, which is above {self.threshold}; raise bound or tolerance"
                )
            self.add(fmpq(far), fmpq(far + 1))
            self.run()
            far += 1
        return tail

    def _push(self, node, region, sign):
        while True:
            value, gradient = self._evaluate(node.sides, region, sign)
            node.top = _above(value)
            if node.top <= self.threshold:
                break
            faces = _faces(node.sides, gradient)
            if not faces:
                self._mean_value(node, gradient, region, sign)
                break
            node.faces += faces
            node.sides = _onto(node.sides, faces)
        heapq.heappush(self.heap, (-node.top, next(self.order), node, region, sign))

    def _mean_value(self, node, gradient, region, sign):
        value = self._try([(low + high) / 2 for low, high in node.sides], region, sign)
        radii = [arb((high - low) / 2) for low, high in node.sides]
        costs = [
            abs(g) * radius if radius > 0 else _ZERO
            for g, radius in zip(gradient, radii, strict=True)
        ]
        node.effects = [_above(cost) for cost in costs]
        node.top = min(node.top, _above(sum(costs, value)))

    def _try(self, point, region, sign):
        """The quantity at a point, which may be the best yet."""
        value, _ = self._evaluate([(x, x) for x in point], region, sign)
        if _below(value) > self.lower:
            self.lower, self.witness = _below(value), point
        return value

    def _refuse_false_bound(self):
        if self.bound is not None and self.lower > self.bound:
            margin, *schedule = map(_fraction, self.witness)
            raise ExceedsBound(
                f"sup {self.quantity.name} over {self.box} is not <= {self.bound}: schedule "
                f"{tuple(map(str, schedule))} reaches {self.lower} at h = {margin} tau",
                tuple(schedule),
                margin,
                self.lower,
            )

    def _evaluate(self, sides, region, sign):
        """(value, gradient) over a box, as balls; a dimension that is a point has gradient 0."""
        s, *balls = (_ball(*side) for side in sides)
        varies = [low != high for low, high in sides]
        c_max, c_min, lam, tau = (
            jets.parameter(d, ball, inside, varies=varies[d])
            for d, ball, inside in zip(range(1, 5), balls, self.inside, strict=True)
        )
        h = jets.Jet(
            s * tau.f,
            _ONE,
            f_p={4: (s, _ZERO)} if varies[4] else None,
            inside=arb(fmpq(2 * region + 1, 2)) * tau.inside,
        )
        weighting = self.weight.of(jets.JetSchedule(c_max, c_min, lam, tau))
        found = self.quantity.formula(jets, h, weighting)
        derivative = self.quantity.derivative
        value, slope = (found.f_h, found.f_hh) if derivative else (found.f, found.f_h)
        gradient = [slope * tau.f if varies[0] else _ZERO]
        gradient += [found.f_p.get(d, (_ZERO, _ZERO))[derivative] for d in range(1, 5)]
        return sign * value, [sign * g for g in gradient]


def box_supremum(
    name, box, *, kind="published", bound=None, tolerance=1e-3, within=None, limit=100_000
):
    """Supremum of a quantity over all margins and all schedules of a box.

    Parameters
    ----------
    name : a key of :data:`~madpo_theory.certify.quantities.QUANTITIES`.
    box : ScheduleBox.
    kind : "published" or "bounded_ratio", the weight.
    bound : prove sup <= bound, and stop there; without it, enclose the supremum.
    tolerance : absolute width upper - lower to stop at, if there is no bound.
    within : (low, high) in taus, exact: only the margins low tau <= h <= high tau.
        None for all of them, tails included.
    limit : number of boxes after which to give up, with RuntimeError.

    Returns a :class:`BoxSupremum`. Raises :class:`ExceedsBound`, with a schedule and a margin,
    if the bound is false.
    """
    quantity = quantity_of(name)
    with precision(_BITS):
        search = _Search(quantity, kind, box, bound, tolerance, limit)
        for low, high in unit_intervals(quantity.two_sided, within):
            search.add(_rational(low), _rational(high))
        search.run()
        tail = search.add_tail(2) if within is None else -math.inf
    upper = max(search.upper, tail) if bound is None else search.bound
    trees = {sign: tuple(node.tree() for node in nodes) for sign, nodes in search.roots.items()}
    return BoxSupremum(search.lower, upper, tuple(map(_fraction, search.witness)), trees)


def unit_intervals(two_sided, within):
    """The margins to search, in taus, cut at the integers; with no limits, up to 2."""
    low, high = (Fraction(-1 if two_sided else 0), Fraction(2)) if within is None else within
    last = max(math.ceil(high), math.floor(low) + 1)
    return [
        (max(low, Fraction(k)), min(high, Fraction(k + 1))) for k in range(math.floor(low), last)
    ]


def _faces(sides, gradient):
    """For every dimension in which the quantity is monotone, the face on which it is largest."""
    faces = ""
    for d, ((low, high), g) in enumerate(zip(sides, gradient, strict=True)):
        if low != high and (g >= 0 or g <= 0):
            faces += UPPER[d] if g >= 0 else LOWER[d]
    return faces


def _onto(sides, faces):
    sides = list(sides)
    for face in faces:
        d, end = (UPPER.index(face), 1) if face in UPPER else (LOWER.index(face), 0)
        sides[d] = (sides[d][end], sides[d][end])
    return tuple(sides)


def _split(node):
    """The dimension whose width costs the bound most; the widest where that is not known."""
    if node.effects and all(map(math.isfinite, node.effects)):
        return max(range(5), key=node.effects.__getitem__)

    def width(d):
        low, high = node.sides[d]
        return (high - low) / high if d and low != high else high - low  # parameters are >= 0

    return max(range(5), key=width)


def _ball(low, high):
    return arb(low) if low == high else arb(low).union(arb(high))


def _rational(fraction):
    return fmpq(fraction.numerator, fraction.denominator)


def _fraction(rational):
    return Fraction(int(rational.p), int(rational.q))
