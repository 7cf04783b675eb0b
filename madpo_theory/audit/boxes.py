"""Suprema of traced expressions over boxes: interval branch and bound on many boxes at once.

Intervals are pairs of float64 arrays, rounded outward after each operation; their ends may be
infinite, so that a tail is a box like any other. What is found here is believed only after
:mod:`~madpo_theory.audit.checker` has gone over the boxes.
"""

import functools
import itertools
import math
import time
from dataclasses import dataclass

import numpy as np

from .graph import Node, diff, number, topological

__all__ = ["Bound", "Domain", "enclosures", "supremum"]

REACH = 60.0
"""Nats of the reward model's and of the true margin that boxes cover; tails lie beyond."""
TINY, LARGE = 5e-324, np.finfo(float).max
OUTWARD = np.array([[-1e-15], [1e-15]])
WAVE = 4096
"""Boxes that are looked at together."""
FEW = 512
"""Boxes below which what an operation costs is its call."""


@dataclass(frozen=True)
class Domain:
    """A box: (low, high) of each variable, the ends possibly infinite."""

    sides: dict

    def __str__(self):
        def end(x):
            return ("-" if x < 0 else "") + ("∞" if math.isinf(x) else f"{abs(x):g}")

        return ", ".join(
            f"{name} in [{end(low)}, {end(high)}]" for name, (low, high) in self.sides.items()
        )


@dataclass
class Bound:
    """lower <= sup <= upper over the domain.

    `witness` attains `lower`; below `upper` stay all of `boxes`, (n, variables, 2), which cover the
    domain.
    """

    lower: float
    upper: float
    witness: dict | None
    boxes: np.ndarray


def _finite(ends):
    """Whether all are; False, too, of some that are nearly too large."""
    return math.isfinite(np.add.reduce(ends, axis=None))


def _out(ends):
    """Outward by what an operation, and numpy's functions, may be rounded; NaN is no bound."""
    wider = ends + np.abs(ends) * OUTWARD
    if _finite(wider):
        return wider
    low, high = ends
    # What overflowed is beyond the largest float, not infinite.
    low = np.where(np.isinf(low), np.minimum(low, LARGE), wider[0])
    high = np.where(np.isinf(high), np.maximum(high, -LARGE), wider[1])
    return np.stack([np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)])


def _times(a, b):
    """0 times an end at infinity is 0: the end itself is not attained. An underflow is no 0."""
    corners = a[:, None] * b
    ends = np.empty_like(a)
    np.minimum.reduce(corners, axis=(0, 1), out=ends[0])
    np.maximum.reduce(corners, axis=(0, 1), out=ends[1])
    if _finite(ends) and ends.all():
        return _out(ends)
    x, y = np.repeat(a, 2, axis=0), np.concatenate([b, b])
    corners = corners.reshape(4, -1)
    corners = np.where(np.isnan(corners), 0.0, corners)
    lost = np.where((corners == 0) & (x != 0) & (y != 0), np.sign(x) * np.sign(y), 0)
    lows, highs = np.where(lost < 0, -TINY, corners), np.where(lost > 0, TINY, corners)
    return _out(np.stack([lows.min(0), highs.max(0)]))


def _reciprocal(a):
    """1/a; an end at 0 is an open one, so that the reciprocal keeps its sign."""
    low, high = a
    below, above = 1 / high, 1 / low
    below = np.where((low < 0) & (high >= 0), -np.inf, below)
    above = np.where((low <= 0) & (high > 0), np.inf, above)
    both = (low == 0) & (high == 0)
    return _out(np.stack([np.where(both, -np.inf, below), np.where(both, np.inf, above)]))


def _powered(a, n):
    if n < 0:
        return _reciprocal(_powered(a, -n)) if n < -1 else _reciprocal(a)
    ends = a**n
    if n % 2:
        return _out(ends)
    least = np.where((a[0] <= 0) & (a[1] >= 0), 0.0, ends.min(0))
    return _out(np.stack([least, ends.max(0)]))


def _sum_of(terms, constant, like):
    """constant + sum of factor * interval; the numbers are floats, and their rounding is."""
    found = None
    if constant is not None or not terms:
        found = np.empty_like(like)
        found[:] = 0.0 if constant is None else constant
    for c, x in terms:
        if c == -1:
            x = -x[::-1]
        elif c != 1:
            x = _out(c * x if c > 0 else c * x[::-1])
        # A sum of two floats that is 0 is so exactly: an edge at a branch point stays on it.
        found = x if found is None else _out(found + x)
    return found


def _ends(number):
    """An exact number as an interval (2, 1); None for 0."""
    near = float(number)
    ends = np.full((2, 1), near)
    return None if number == 0 else ends if near == number else _out(ends)


def _monotone(f, positive=False):
    """An increasing function; a `positive` one may underflow, and is 0 at -inf alone."""

    def enclosed(a):
        ends = f(a)
        if positive and not ends[1].all():
            ends[1] = np.where((ends[1] < TINY) & (a[1] > -np.inf), TINY, ends[1])
        return _out(ends)

    return enclosed


def _sigmoid(x):
    return np.where(x < 0, np.exp(np.minimum(x, 0)), 1.0) / (1 + np.exp(-np.abs(x)))


def _log(x):
    return np.log(np.maximum(x, 0.0))  # of nothing positive: -inf, an open end


_MONOTONE = {
    "exp": _monotone(np.exp, positive=True),
    "log": _monotone(_log),
    "sigmoid": _monotone(_sigmoid, positive=True),
    "softplus": _monotone(lambda x: np.logaddexp(0.0, x), positive=True),
    "sinh": _monotone(np.sinh),
    "asinh": _monotone(np.arcsinh),
    "held": lambda a: a,
}


def _where(gap, a, b):
    over, under = gap[0] >= 0, gap[1] <= 0
    if over.all():
        return a
    both = np.stack([np.minimum(a[0], b[0]), np.maximum(a[1], b[1])])
    return np.where(over, a, np.where(under, b, both))


def _pulse(a):
    inside = (a[0] <= 0) & (a[1] >= 0)
    return np.stack([np.zeros(len(inside)), np.where(inside, np.inf, 0.0)])


def _fading(node, product, found):
    """A product in a tail: u^n falls behind e^-ku. With u >= low >= n/k, u^n e^(r - k u) falls in
    u, and sigma(x) <= e^x."""
    if not np.isinf(product).any():
        return product
    low, high = product
    for fast in node.args:
        if fast.kind not in ("exp", "sigmoid") or fast.args[0].kind != "sum":
            continue
        exponent = fast.args[0]
        for slow in node.args:
            u, n = (slow.args[0], slow.value) if slow.kind == "power" else (slow, 1)
            if n < 1 or u not in exponent.args:
                continue
            constant, factors = exponent.value
            k = -float(factors[exponent.args.index(u)])
            start = found[u][0]
            fades = (k > 0) & (start > 0) & (start >= n / k)
            if not fades.any():
                continue
            others = zip(factors, exponent.args, strict=True)
            rest = _sum_of(
                [(float(c), found[x]) for c, x in others if x is not u], _ends(constant), product
            )
            top = start**n * np.exp(rest[1] - k * start) * (1 + 1e-12)
            top = _out(np.stack([top, top]))[1]
            top = np.maximum(np.where(np.isnan(top), np.inf, top), TINY)
            others = [found[x] for x in node.args if x is not fast and x is not slow]
            better = functools.reduce(_times, others, np.stack([np.zeros_like(top), top]))
            low = np.where(fades, np.maximum(low, better[0]), low)
            high = np.where(fades, np.minimum(high, better[1]), high)
    return np.stack([low, high])


@functools.lru_cache(maxsize=512)
def _steps(nodes):
    """[(node, its numbers as floats)] below the nodes, arguments first."""
    made = []
    for n in topological(*nodes):
        numbers = None
        if n.kind == "number":
            infinite = math.isinf(float(n.value))
            numbers = np.full((2, 1), float(n.value))
            numbers = numbers if infinite else _out(numbers)
        elif n.kind == "sum":
            constant, factors = n.value
            numbers = _ends(constant), tuple(map(float, factors))
        made.append((n, numbers))
    return made


SILENT = {"divide": "ignore", "invalid": "ignore", "over": "ignore", "under": "ignore"}
"""What is infinite or NaN is seen to, so that NumPy need not warn of it."""


@np.errstate(**SILENT)
def enclosures(nodes, boxes, names):
    """Intervals (2, n), low and high, of each node over boxes (n, variables, 2)."""
    found, like = {}, np.empty((2, len(boxes)))
    for n, numbers in _steps(tuple(nodes)):
        args = [found[arg] for arg in n.args]
        if n.kind == "number":
            found[n] = np.broadcast_to(numbers, like.shape)
        elif n.kind == "variable":
            found[n] = boxes[:, names.index(n.value)].T
        elif n.kind == "sum":
            constant, factors = numbers
            found[n] = _sum_of(list(zip(factors, args, strict=True)), constant, like)
        elif n.kind == "product":
            found[n] = _fading(n, functools.reduce(_times, args), found)
        elif n.kind == "power":
            found[n] = _powered(args[0], n.value)
        elif n.kind == "minimum":
            found[n] = np.minimum(*args)
        elif n.kind == "where":
            found[n] = _where(*args)
        elif n.kind == "pulse":
            found[n] = _pulse(args[0])
        else:
            found[n] = _MONOTONE[n.kind](args[0])
    return [found[node] for node in nodes]


def _slopes(node, names):
    """Derivatives by variable; None for a graph too rough to have them."""
    try:
        return [diff(node, name) for name in names]
    except ValueError:
        return None


def _mean_value(values, slopes, boxes, middle):
    """The interval at the middle, and what the slopes may add on the way to the sides."""
    ends = middle
    for k, slope in enumerate(slopes):
        radius = (boxes[:, k, 1] - boxes[:, k, 0]) / 2
        away = np.where(radius > 0, np.abs(slope).max(0) * radius, 0.0)
        ends = _out(ends + np.stack([-away, away]))
    return np.stack([np.maximum(values[0], ends[0]), np.minimum(values[1], ends[1])])


@np.errstate(**SILENT)
def supremum(
    expression,
    domain,
    *,
    zero=None,
    positive=None,
    goal=None,
    tolerance=1e-6,
    known=-math.inf,
    seconds=2.0,
    limit=400_000,
    at=(),
):
    """Enclose the supremum of an expression over a box, where constraints hold.

    Parameters
    ----------
    expression : graph Node in the domain's variables.
    zero, positive : Node, or None: only points at which it is 0, or > 0, count.
    goal : stop once sup <= goal is shown, or refuted by a point; without it, at width `tolerance`,
        absolute, or relative where sup is above 1.
    known : a value that the supremum is known to exceed elsewhere; boxes below it are settled.
    seconds, limit : of time and of boxes, after which the bound is what it is.
    at : {variable: values} at which boxes are cut first, such as branch points.

    Returns a :class:`Bound`. With `zero`, `lower` is -inf: a middle need not lie on the curve.
    """
    expression = expression if isinstance(expression, Node) else number(expression, None)
    names = tuple(domain.sides)
    pending = _first_boxes(domain, dict(at))
    slopes = _slopes(expression, names)
    lower, witness = -math.inf, None
    settled, stop = [], time.monotonic() + seconds
    constraint = zero if zero is not None else positive
    constraint_slopes = None if constraint is None else _slopes(constraint, names)
    tops = np.full(len(pending), np.inf)
    count = 0

    def threshold():
        if goal is not None:
            return goal
        best = max(lower, known)
        return best + tolerance * max(1.0, abs(best)) if best > -math.inf else best

    while len(pending):
        if goal is not None and lower > goal:
            break
        # Best first: the boxes with the highest tops.
        order = np.argsort(-tops, kind="stable")
        pending, tops = pending[order], tops[order]
        wave, pending, tops = pending[:WAVE], pending[WAVE:], tops[WAVE:]
        count += len(wave)
        high, keep, value, point, sizes = _look(
            expression, slopes, wave, names, zero, positive, constraint, constraint_slopes
        )
        if value > lower:
            lower, witness = value, dict(zip(names, point, strict=True))
        open_ = keep & (high > threshold())
        settled.append((wave[~open_], np.where(keep, high, -np.inf)[~open_]))
        wave, high, sizes = wave[open_], high[open_], sizes[open_]
        if time.monotonic() > stop or count > limit:
            settled.append((wave, high))
            settled.append((pending, tops))
            break
        pieces, parts, unable = _cut(wave, sizes)
        if unable.any():
            settled.append((wave[unable], high[unable]))
            high = high[~unable]
        pending = np.concatenate([pending, pieces])
        tops = np.concatenate([tops, np.repeat(high, parts)])
        # What an improved lower bound settles needs no second look.
        done = tops <= threshold()
        if done.any():
            settled.append((pending[done], tops[done]))
            pending, tops = pending[~done], tops[~done]
    boxes = np.concatenate([b for b, _ in settled]) if settled else pending
    highs = np.concatenate([h for _, h in settled]) if settled else tops
    refuted = goal is not None and lower > goal
    upper = math.inf if refuted else float(highs.max(initial=-math.inf))
    return Bound(lower, upper, witness, boxes)


def _look(expression, slopes, wave, names, zero, positive, constraint, constraint_slopes):
    nodes = [expression, *(slopes or [])]
    extra = [] if constraint is None else [constraint, *(constraint_slopes or [])]
    middles = _middles(wave)
    thin, count = np.stack([middles, middles], axis=2), len(wave)
    if count < FEW:  # an operation costs the same on twice as many
        found = enclosures(nodes + extra, np.concatenate([wave, thin]), names)
        at_middle = [found[k][:, count:] for k in [0, *range(len(nodes), len(nodes + extra[:1]))]]
        found = [ends[:, :count] for ends in found]
    else:
        found = enclosures(nodes + extra, wave, names)
        at_middle = enclosures([expression, *extra[:1]], thin, names)
    value, rest = found[0], found[len(nodes) :]
    finite = np.isfinite(wave).all(axis=(1, 2))
    if slopes:
        better = _mean_value(value, found[1 : len(nodes)], wave, at_middle[0])
        value = np.where(finite, better, value)
    keep = np.ones(count, dtype=bool)
    allowed = np.ones(count, dtype=bool)
    if extra:
        inside = rest[0]
        if constraint_slopes:
            better = _mean_value(inside, rest[1:], wave, at_middle[1])
            inside = np.where(finite, better, inside)
        if zero is not None:
            keep = (inside[0] <= 0) & (inside[1] >= 0)
            allowed[:] = False
        else:
            keep = inside[1] > 0
            allowed = at_middle[1][0] > 0
    sizes = [np.abs(slope).max(0) for slope in found[1 : len(nodes)]]
    sizes = np.stack(sizes, axis=1) if sizes else np.ones(wave.shape[:2])
    lows = np.where(allowed & np.isfinite(at_middle[0][0]), at_middle[0][0], -np.inf)
    best = int(np.argmax(lows))
    return value[1], keep, float(lows[best]), tuple(map(float, middles[best])), sizes


def _middles(boxes):
    low, high = boxes[:, :, 0], boxes[:, :, 1]
    middle = low + (high - low) / 2
    middle = np.where(np.isinf(high) & np.isfinite(low), 2 * np.maximum(low, 1.0), middle)
    middle = np.where(np.isinf(low) & np.isfinite(high), 2 * np.minimum(high, -1.0), middle)
    return np.where(np.isinf(low) & np.isinf(high), 0.0, middle)


FARTHEST = 1e6
"""Nats beyond which a tail is not cut any further."""


def _cut(boxes, sizes):
    """Each box in `parts`, along the side that costs the bound most; and which could not be cut.

    Few boxes are cut finer, since a wave costs the same whether it holds ten or a thousand.
    """
    parts = int(np.clip(512 // max(len(boxes), 1), 2, 16))
    low, high = boxes[:, :, 0], boxes[:, :, 1]
    middles = _middles(boxes)
    finite = np.isfinite(low) & np.isfinite(high)
    width = np.minimum(np.where(finite, high - low, FARTHEST), FARTHEST)
    cost = np.where(np.isnan(sizes), 0, np.minimum(sizes, 1e12)) * width + 1e-9 * width
    can = (middles > low) & (middles < high) & (np.abs(middles) <= FARTHEST)
    side = np.argmax(np.where(can, cost, -1.0), axis=1)
    rows = np.arange(len(boxes))
    able = can[rows, side]
    rows, side = rows[able], side[able]
    bottom, top, middle = low[rows, side], high[rows, side], middles[rows, side]
    share = np.arange(1, parts) / parts
    # A tail is cut once, at its "middle", and its finite part evenly.
    start = np.where(np.isinf(bottom), middle, bottom)
    stop = np.where(np.isinf(top), middle, top)
    inner = start[:, None] + share * (stop - start)[:, None]
    tail = np.isinf(bottom) | np.isinf(top)
    spread = np.sort(np.concatenate([inner[:, 1:], middle[:, None]], axis=1), axis=1)
    cuts = np.where(tail[:, None], spread, inner)
    edges = np.concatenate([bottom[:, None], cuts, top[:, None]], axis=1)
    pieces = np.repeat(boxes[rows], parts, axis=0)
    each = np.arange(len(pieces))
    pieces[each, np.repeat(side, parts), 0] = edges[:, :-1].ravel()
    pieces[each, np.repeat(side, parts), 1] = edges[:, 1:].ravel()
    return pieces, parts, ~able


def _first_boxes(domain, at):
    """The domain cut at REACH, where a tail begins, and at the points of `at`."""
    edges = []
    for name, (low, high) in domain.sides.items():
        inner = {-REACH, 0.0, REACH, *map(float, at.get(name, ()))}
        edges.append([low, *sorted(x for x in inner if low < x < high), high])
    grids = [
        list(itertools.pairwise(e)) if len(e) > 2 or e[0] < e[1] else [(e[0], e[0])] for e in edges
    ]
    boxes = (
        np.array(np.meshgrid(*(range(len(g)) for g in grids), indexing="ij"))
        .reshape(len(grids), -1)
        .T
    )
    return np.array([[grids[k][i] for k, i in enumerate(row)] for row in boxes], dtype=float)
