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
WAVE = 4096
"""Boxes that are looked at together."""


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


def _out(low, high):
    """Outward by what an operation, and numpy's functions, may be rounded; NaN is no bound."""
    with np.errstate(invalid="ignore"):
        wider = low - np.abs(low) * 1e-15, high + np.abs(high) * 1e-15
    # What overflowed is beyond the largest float, not infinite.
    low = np.where(np.isinf(low), np.minimum(low, LARGE), wider[0])
    high = np.where(np.isinf(high), np.maximum(high, -LARGE), wider[1])
    return np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)


def _times(a, b):
    """0 times an end at infinity is 0: the end itself is not attained. An underflow is no 0."""
    lows, highs = [], []
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        for x in a:
            for y in b:
                corner = x * y
                corner = np.where(np.isnan(corner), 0.0, corner)
                lost = np.where((corner == 0) & (x != 0) & (y != 0), np.sign(x) * np.sign(y), 0)
                lows.append(np.where(lost < 0, -TINY, corner))
                highs.append(np.where(lost > 0, TINY, corner))
    return _out(np.minimum.reduce(lows), np.maximum.reduce(highs))


def _reciprocal(a):
    """1/a; an end at 0 is an open one, so that the reciprocal keeps its sign."""
    low, high = a
    with np.errstate(divide="ignore", over="ignore"):
        below, above = 1 / high, 1 / low
    below = np.where((low < 0) & (high >= 0), -np.inf, below)
    above = np.where((low <= 0) & (high > 0), np.inf, above)
    both = (low == 0) & (high == 0)
    return _out(np.where(both, -np.inf, below), np.where(both, np.inf, above))


def _powered(a, n):
    if n < 0:
        return _reciprocal(_powered(a, -n)) if n < -1 else _reciprocal(a)
    low, high = a
    with np.errstate(over="ignore"):
        first, second = low**n, high**n
    if n % 2:
        return _out(first, second)
    least = np.where((low <= 0) & (high >= 0), 0.0, np.minimum(first, second))
    return _out(least, np.maximum(first, second))


def _sum(node, args):
    constant, factors = node.value
    return _sum_of(list(zip(factors, args, strict=True)), constant, args[0][0])


def _sum_of(terms, constant, like):
    """constant + sum of factor * interval."""
    low = high = None
    if constant or not terms:
        low = high = np.full_like(like, float(constant))
        if float(constant) != constant:
            low, high = _out(low, high)
    for factor, (al, ah) in terms:
        c = float(factor)
        if abs(c) == 1:
            ends = (al, ah) if c > 0 else (-ah, -al)
        else:
            with np.errstate(over="ignore"):
                ends = _out(*((c * al, c * ah) if c > 0 else (c * ah, c * al)))
        with np.errstate(invalid="ignore", over="ignore"):
            # A sum of two floats that is 0 is so exactly: an edge at a branch point stays on it.
            low, high = ends if low is None else _out(low + ends[0], high + ends[1])
    return low, high


def _monotone(f, positive=False):
    """An increasing function; a `positive` one may underflow, and is 0 at -inf alone."""

    def enclosed(a):
        with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
            low, high = f(a[0]), f(a[1])
        if positive:
            high = np.where((high < TINY) & (a[1] > -np.inf), TINY, high)
        return _out(low, high)

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


def _where(args):
    (gl, gh), (al, ah), (bl, bh) = args
    over, under = gl >= 0, gh <= 0
    return (
        np.where(over, al, np.where(under, bl, np.minimum(al, bl))),
        np.where(over, ah, np.where(under, bh, np.maximum(ah, bh))),
    )


def _pulse(a):
    low, high = a
    inside = (low <= 0) & (high >= 0)
    return np.zeros_like(low), np.where(inside, np.inf, 0.0)


def _fading(node, product, found):
    """A product in a tail: u^n falls behind e^-ku. With u >= low >= n/k, u^n e^(r - k u) falls in
    u, and sigma(x) <= e^x."""
    low, high = product
    if not (np.isinf(low) | np.isinf(high)).any():
        return product
    for fast in node.args:
        if fast.kind not in ("exp", "sigmoid") or fast.args[0].kind != "sum":
            continue
        exponent = fast.args[0]
        for slow in node.args:
            u, n = (slow.args[0], slow.value) if slow.kind == "power" else (slow, 1)
            if n < 1 or u not in exponent.args:
                continue
            k = -float(exponent.value[1][exponent.args.index(u)])
            start = found[u][0]
            with np.errstate(invalid="ignore", divide="ignore"):
                fades = (k > 0) & (start > 0) & (start >= n / k)
            if not fades.any():
                continue
            others = zip(exponent.value[1], exponent.args, strict=True)
            rest = _sum_of(
                [(c, found[x]) for c, x in others if x is not u], exponent.value[0], start
            )
            with np.errstate(invalid="ignore", over="ignore", under="ignore"):
                _, top = _out(start, start**n * np.exp(rest[1] - k * start) * (1 + 1e-12))
            top = np.maximum(np.where(np.isnan(top), np.inf, top), TINY)
            others = [found[x] for x in node.args if x is not fast and x is not slow]
            better = functools.reduce(_times, others, (np.zeros_like(top), top))
            low = np.where(fades, np.maximum(low, better[0]), low)
            high = np.where(fades, np.minimum(high, better[1]), high)
    return low, high


def enclosures(nodes, boxes, names):
    """Intervals (low, high) of each node over boxes (n, variables, 2)."""
    order, found = topological(*nodes), {}
    shape = boxes.shape[0]
    for n in order:
        args = [found[arg] for arg in n.args]
        if n.kind == "number":
            value = np.full(shape, float(n.value))
            found[n] = (value, value) if np.isinf(float(n.value)) else _out(value, value)
        elif n.kind == "variable":
            k = names.index(n.value)
            found[n] = boxes[:, k, 0], boxes[:, k, 1]
        elif n.kind == "sum":
            found[n] = _sum(n, args)
        elif n.kind == "product":
            found[n] = _fading(n, functools.reduce(_times, args), found)
        elif n.kind == "power":
            found[n] = _powered(args[0], n.value)
        elif n.kind == "minimum":
            (al, ah), (bl, bh) = args
            found[n] = np.minimum(al, bl), np.minimum(ah, bh)
        elif n.kind == "where":
            found[n] = _where(args)
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
    low, high = middle
    for k, (sl, sh) in enumerate(slopes):
        radius = (boxes[:, k, 1] - boxes[:, k, 0]) / 2
        with np.errstate(invalid="ignore", over="ignore"):
            reach = np.where(radius > 0, np.maximum(np.abs(sl), np.abs(sh)) * radius, 0.0)
            low, high = _out(low - reach, high + reach)
    return np.maximum(values[0], low), np.minimum(values[1], high)


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
    found = enclosures(nodes + extra, wave, names)
    middles = _middles(wave)
    thin = np.stack([middles, middles], axis=2)
    at_middle = enclosures([expression, *extra[:1]], thin, names)
    value, rest = found[0], found[len(nodes) :]
    finite = np.isfinite(wave).all(axis=(1, 2))
    if slopes:
        better = _mean_value(value, found[1 : len(nodes)], wave, at_middle[0])
        value = tuple(np.where(finite, b, v) for b, v in zip(better, value, strict=True))
    keep = np.ones(len(wave), dtype=bool)
    allowed = np.ones(len(wave), dtype=bool)
    if extra:
        inside = rest[0]
        if constraint_slopes:
            better = _mean_value(inside, rest[1:], wave, at_middle[1])
            inside = tuple(np.where(finite, b, v) for b, v in zip(better, inside, strict=True))
        if zero is not None:
            keep = (inside[0] <= 0) & (inside[1] >= 0)
            allowed[:] = False
        else:
            keep = inside[1] > 0
            allowed = at_middle[1][0] > 0
    sizes = [np.maximum(np.abs(a), np.abs(b)) for a, b in found[1 : len(nodes)]]
    sizes = np.stack(sizes, axis=1) if sizes else np.ones(wave.shape[:2])
    lows = np.where(allowed & np.isfinite(at_middle[0][0]), at_middle[0][0], -np.inf)
    best = int(np.argmax(lows))
    return value[1], keep, float(lows[best]), tuple(map(float, middles[best])), sizes


def _middles(boxes):
    low, high = boxes[:, :, 0], boxes[:, :, 1]
    with np.errstate(invalid="ignore"):
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
    with np.errstate(invalid="ignore", over="ignore"):
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
