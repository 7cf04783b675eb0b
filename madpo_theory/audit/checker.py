"""Check a bound of the verdict sheet without the code that found it.

    python -m madpo_theory.audit.checker FILE...

A certificate says that ``statement <= upper`` for all points of a domain, of which `zero` and
`positive` may leave out some. The statement speaks of derivatives of the traced formula f that the
certificate holds; `method` and `row` only say what it is called. This module shares no code with
the search. It refuses a certificate, by a ValueError of one line, unless

1. it is JSON without a key twice, of at most 64 MiB, has exactly the keys and the types of
   :data:`FORM`, a finite `upper`, names of variables that are identifiers, and graphs of at most
   100,000 nodes, of known kinds, in order, on those variables, with numbers as exact text;
2. the `expression` that is bounded is the statement: at points, both agree to 2^-150, the statement
   by Taylor series of the formula in Arb, at 300 bits;
3. the boxes are a partition of the domain, with no gap and no overlap;
4. on every box the expression stays below `upper`, or a constraint leaves the box out: by interval
   arithmetic rounded outward, elementary functions by Arb, and, where no branch may jump, the
   mean-value form, cutting boxes in two up to 14 times where that takes it, and looking at no
   more than 60,000 of them;
5. the expression is the statement in every combination of branches, the formula's and its own, that
   decided a box: at the middle of one such box, as in rule 2;
6. the `witness`, where there is one, lies in the domain, satisfies `positive`, and reaches `lower`.

So upper is certified of the expression everywhere; that the expression is the statement is tested,
on each of its analytic pieces. `lower` is certified at the witness; where there is none, nothing is
said of it.
"""

import functools
import itertools
import json
import math
import re
import sys
from fractions import Fraction

import numpy as np
from flint import arb, ctx, fmpq

from ..certify.checker import MAX_ITEMS, at_most, read, shown, typed

__all__ = ["check", "main", "said"]

FORMAT = "madpo audit bound 1"
FORM = {
    "format": str, "method": str, "row": str, "formula": list, "variables": [str],
    "statement": list, "expression": list, "zero": (list, list), "positive": (list, list),
    "order": [str], "domain": {str: (str, str)}, "lower": float, "witness": {str: float},
    "upper": float, "boxes": [[(float, float)]],
}  # fmt: skip
"""Keys and types, as :func:`~madpo_theory.certify.checker.typed` has them; graphs are lists."""
NULL = ("zero", "positive", "witness")
"""Keys that may be null."""
UNARY = ("exp", "log", "sigmoid", "softplus", "sinh", "asinh", "held", "pulse")
BITS = 300
ROUNDS = 14
"""How often a box may be cut in two."""
LARGE = np.finfo(float).max
MOST = 60_000
"""Boxes that one certificate may take."""


def check(certificate):
    """Raise ValueError, with the rule, unless the certificate proves what it says."""
    _exact(certificate)
    formula, statement, expression = (
        _graph(certificate[name]) for name in ("formula", "statement", "expression")
    )
    order = certificate["order"]
    _on(formula, certificate["variables"], "the formula")
    domain = [tuple(float(end) for end in certificate["domain"][name]) for name in order]
    limits = {
        kind: None if certificate[kind] is None else tuple(map(_graph, certificate[kind]))
        for kind in ("zero", "positive")
    }
    pairs = [(statement, expression), *filter(None, limits.values())]
    for said_, bounded in pairs:
        _on(said_, [*order, *certificate["variables"]], "a statement")
        _on(bounded, order, "an expression")
    with ctx.workprec(BITS):
        for said_, bounded in pairs:
            _same(formula, tuple(certificate["variables"]), said_, bounded, tuple(order))
    boxes = np.array(certificate["boxes"]).reshape(-1, len(order), 2)
    _partition(boxes, domain)
    with ctx.workprec(80):
        decided = _below(expression, limits, order, boxes, certificate["upper"])
        if certificate["witness"] is not None:
            _reached(expression, limits["positive"], order, domain, certificate)
    with ctx.workprec(BITS):
        _same_in_branches(formula, certificate["variables"], pairs, order, decided)


# ------------------------------------------------------------------------------- 1. types


def _exact(certificate):
    """Refuse what is not of the form, before anything is computed."""
    form = FORM
    if type(certificate) is dict:
        form = FORM | {k: type(None) for k in NULL if certificate.get(k, "") is None}
    typed(certificate, form, "a certificate")
    if certificate["format"] != FORMAT:
        raise ValueError(f"format = {shown(certificate['format'])}, expected {FORMAT!r}")
    if not math.isfinite(certificate["upper"]):
        raise ValueError(f"upper = {certificate['upper']} must be finite")
    for key in ("method", "row"):
        at_most(200, len(certificate[key]), f"characters of {key}")
        if not certificate[key].isprintable():
            raise ValueError(f"{key} = {shown(certificate[key])} is not one line of text")
    names = {key: certificate[key] for key in ("order", "variables")}
    for key, found in names.items():
        if not found or len(set(found)) < len(found):
            raise ValueError(f"{key} must be at least one name, none of them twice")
        for name in found:
            if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]{0,40}", name):
                raise ValueError(f"{key}: {shown(name)} is no name")
    at_most(2, len(names["variables"]), "variables of a formula")
    for key in ("domain", "witness"):
        given = certificate[key]
        if given is not None and set(given) != set(names["order"]):
            raise ValueError(f"the {key} must give each variable of `order`, and no other")
    for name, ends in certificate["domain"].items():
        for end in ends:
            if not re.fullmatch("-?(inf|[0-9][0-9.e+-]*)", end) or str(float(end)) != end:
                raise ValueError(f"domain of {name}: {shown(end)} is no float as Python prints it")
        if not float(ends[0]) <= float(ends[1]):
            raise ValueError(f"domain of {name}: {ends} is no interval")
    at_most(MAX_ITEMS, len(certificate["boxes"]), "boxes")
    if any(len(box) != len(names["order"]) for box in certificate["boxes"]):
        raise ValueError("a box must have one pair of ends for each variable of `order`")


def _on(graph, names, what):
    """Refuse a graph on other variables than those named."""
    for kind, value, _ in graph:
        if kind == "variable" and value not in names:
            raise ValueError(f"{what} speaks of {shown(value)}, expected {', '.join(names)}")


class _Graph(tuple):
    """(kind, value, args) of each node, arguments first.

    Of one text there is one object, and it is known by that: certificates share their graphs, and
    what was seen of one need not be seen again.
    """

    __hash__, __eq__ = object.__hash__, object.__eq__

    @functools.cached_property
    def balls(self):
        """The numbers of each node as balls of BITS bits."""
        with ctx.workprec(BITS):
            return [
                (_arb(value[0]), list(map(_arb, value[1])))
                if kind == "sum"
                else _arb(value)
                if kind == "number"
                else None
                for kind, value, _ in self
            ]


def _graph(data):
    """The :class:`_Graph` given as data; refuses what it does not know."""
    at_most(100_000, len(data), "nodes of a graph")
    if not data:
        raise ValueError("a graph is a list of at least one node")
    try:
        return _read(json.dumps(data))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"a graph is plain data, and flat: {type(error).__name__}") from None


@functools.lru_cache(maxsize=512)
def _read(text):
    nodes = []
    for k, node in enumerate(json.loads(text)):
        if type(node) is not list or len(node) != 3:
            raise ValueError(f"node {k} is not [kind, value, arguments]")
        kind, value, args = node
        if type(kind) is not str:
            raise ValueError(f"node {k} is of the unknown kind {shown(kind)}")
        if type(args) is not list or not all(type(a) is int and 0 <= a < k for a in args):
            raise ValueError(f"node {k} has arguments that do not stand before it")
        nodes.append((kind, _value(kind, value, len(args), k), tuple(args)))
    return _Graph(nodes)


def _value(kind, value, count, k):
    right = {"number": 0, "variable": 0, "derivative": 0, "power": 1, "minimum": 2, "where": 3}
    if kind in UNARY:
        good = value is None and count == 1
    elif kind == "sum":
        good = (
            type(value) is list and len(value) == 2 and type(value[1]) is list
            and len(value[1]) == count >= 1
        )  # fmt: skip
        if good:
            return _number(value[0]), tuple(map(_number, value[1]))
    elif kind == "product":
        good = value is None and count >= 2
    elif kind not in right:
        raise ValueError(f"node {k} is of the unknown kind {shown(kind)}")
    else:
        good = count == right[kind] and {
            "number": type(value) is str,
            "variable": type(value) is str,
            "power": type(value) is int and value not in (0, 1) and abs(value) <= 1000,
            "minimum": value is None,
            "where": type(value) is bool,
            "derivative": type(value) is list and [type(x) for x in value] == [int, int, bool]
            and min(value[:2]) >= 0 and sum(value[:2]) <= 4,
        }[kind]  # fmt: skip
        if good and kind == "number":
            return _number(value)
    if not good:
        raise ValueError(
            f"node {k}, a {kind}, has a wrong value {shown(value)}, or {count} arguments"
        )
    return tuple(value) if kind == "derivative" else value


def _number(text):
    exact = r"-?[0-9]{1,1200}(/(?=0*[1-9])[0-9]{1,1200})?|-?inf"
    if type(text) is not str or not re.fullmatch(exact, text):
        raise ValueError(f"a number is the text of an integer or a ratio, got {shown(text)}")
    value = float(text) if text in ("inf", "-inf") else Fraction(text)
    if LARGE < abs(value) < math.inf:
        raise ValueError(f"a number is at most {LARGE}, got {shown(text)}")
    return value


# --------------------------------------------------------- 2. the statement, at points


@functools.lru_cache(maxsize=256)
def _same(formula, variables, statement, expression, order):
    """Refuse an expression that is not what the statement says, at 16 points."""
    draw = np.random.default_rng(len(formula))
    told = 0
    for scale in (12.0, 1.0, 0.2) * 24:
        point = {n: float(draw.uniform(-scale, scale)) for n in sorted({*order, *variables})}
        there = _at(expression, {n: arb(x) for n, x in point.items()})
        jets = _jets(formula, variables, tuple(point.items()))
        said = _at(statement, jets.point, jets)
        if not (there.is_finite() and said.is_finite()):
            continue  # outside of what the formula is defined for
        told += 1
        _agree(there, said, point)
        if told == 16:
            return
    if not told:
        raise ValueError("the statement could be evaluated nowhere")


def _agree(there, said, point):
    if not abs(there - said) <= arb(2) ** -150 * (1 + abs(said)):
        where = ", ".join(f"{n} = {x:.6g}" for n, x in point.items())
        raise ValueError(f"the expression is not the statement at {where}")


def _at(graph, point, jets=None):
    """A graph's value at a point, in Arb; `jets` for the derivatives that a statement names."""
    found = []
    for (kind, value, args), numbers in zip(graph, graph.balls, strict=True):
        x = [found[a] for a in args]
        if kind == "number":
            found.append(numbers)
        elif kind == "variable":
            found.append(point[value])
        elif kind == "derivative":
            if jets is None:
                raise ValueError("an expression that is bounded must not name derivatives")
            found.append(jets.derivative(*value))
        elif kind == "sum":
            total, factors = numbers
            for factor, term in zip(factors, x, strict=True):
                total = total + factor * term
            found.append(total)
        elif kind == "product":
            found.append(functools.reduce(lambda a, b: a * b, x))
        elif kind == "power":
            found.append(x[0] ** value)
        elif kind == "minimum":
            found.append(x[0].min(x[1]))
        elif kind == "where":
            found.append(x[1] if x[0] > 0 else x[2])
        elif kind == "pulse":
            found.append(arb(0))
        else:
            found.append(_POINT[kind](x[0]))
    return found[-1]


_POINT = {
    "exp": arb.exp,
    "log": arb.log,
    "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "softplus": lambda x: x.exp().log1p() if x < 100 else x + (-x).exp().log1p(),
    "sinh": arb.sinh,
    "cosh": arb.cosh,
    "asinh": arb.asinh,
    "held": lambda x: x,
}


def _arb(value):
    """A number of a graph as a ball of the precision that holds."""
    if isinstance(value, Fraction):
        return arb(fmpq(value.numerator, value.denominator))
    return arb(value)


@functools.lru_cache(maxsize=1024)
def _jets(formula, variables, point):
    return _Jets(formula, variables, {name: arb(x) for name, x in point})


class _Jets:
    """Taylor coefficients of a formula at a point and at minus the point, up to order 4."""

    ORDER = 4

    def __init__(self, formula, variables, point):
        self.formula, self.variables, self.point = formula, variables, point
        self.known = {}

    def derivative(self, i, j, mirrored):
        if mirrored not in self.known:
            sign = -1 if mirrored else 1
            at = [sign * self.point[name] for name in self.variables]
            self.known[mirrored] = self._series(at)
        return self.known[mirrored].get((i, j), arb(0)) * (math.factorial(i) * math.factorial(j))

    def _series(self, at):
        found = []
        for (kind, value, args), numbers in zip(self.formula, self.formula.balls, strict=True):
            x = [found[a] for a in args]
            if kind == "number":
                found.append({(0, 0): numbers})
            elif kind == "variable":
                k = self.variables.index(value)
                found.append({(0, 0): at[k], (1 - k, k): arb(1)})
            elif kind == "sum":
                constant, factors = numbers
                total = {(0, 0): constant}
                for c, series in zip(factors, x, strict=True):
                    for n, coefficient in series.items():
                        total[n] = total.get(n, arb(0)) + c * coefficient
                found.append(total)
            elif kind == "product":
                found.append(functools.reduce(self._times, x))
            elif kind == "minimum":
                found.append(x[0] if x[0][0, 0] < x[1][0, 0] else x[1])
            elif kind == "where":
                found.append(x[1] if x[0][0, 0] > 0 else x[2])
            elif kind in ("pulse", "derivative"):
                raise ValueError(f"a formula must not hold a {kind}")
            elif kind == "held":
                raise ValueError("a formula that holds something constant is given by its gradient")
            else:
                found.append(self._through(kind, value, x[0]))
        return found[-1]

    def _times(self, a, b):
        product = {}
        for (i, j), x in a.items():
            for (k, n), y in b.items():
                if i + j + k + n <= self.ORDER:
                    product[i + k, j + n] = product.get((i + k, j + n), arb(0)) + x * y
        return product

    def _through(self, kind, power, series):
        """The series of f(u) from those of f at u's value: sum of f_k (u - u_0)^k."""
        start, rest = series.get((0, 0), arb(0)), {n: c for n, c in series.items() if n != (0, 0)}
        taylor = _taylor(kind, power, start, self.ORDER)
        total, term = {(0, 0): taylor[0]}, {(0, 0): arb(1)}
        for k in range(1, self.ORDER + 1):
            term = self._times(term, rest)
            for n, c in term.items():
                total[n] = total.get(n, arb(0)) + taylor[k] * c
        return total


def _taylor(kind, power, x, order):
    """Taylor coefficients at x of one of the functions, by power series in Arb."""
    from flint import arb_series

    u = arb_series([x, 1], prec=order + 1)
    if kind == "power":
        found = u**power if power > 0 else 1 / u ** (-power)
    elif kind == "sinh":
        found = (u.exp() - (-u).exp()) / 2
    elif kind == "asinh":
        found = (u + (1 + u * u).sqrt()).log()
        if x < 0:  # asinh is odd: no cancellation
            v = arb_series([-x, -1], prec=order + 1)
            found = -((v + (1 + v * v).sqrt()).log())
    elif kind == "sigmoid":
        found = 1 / (1 + (-u).exp())
    elif kind == "softplus":
        found = (1 + u.exp()).log()
    else:
        found = getattr(u, kind)()
    return [found[k] for k in range(order + 1)]


# --------------------------------------------------------------------------- 3. partition


def _partition(boxes, domain):
    """Refuse boxes that leave a gap, overlap, or reach beyond the domain."""
    if not len(boxes):
        raise ValueError("the boxes do not cover the domain: there is none")
    stack = [(boxes, [list(side) for side in domain])]
    while stack:
        inside, region = stack.pop()
        if len(inside) == 1:
            if not np.array_equal(inside[0], np.array(region)):
                raise ValueError(f"the boxes do not cover {region}")
            continue
        for axis in range(inside.shape[1]):
            rows = inside[np.argsort(inside[:, axis, 0], kind="stable")]
            reach = np.maximum.accumulate(rows[:, axis, 1])
            cuts = np.flatnonzero(rows[1:, axis, 0] >= reach[:-1]) + 1
            if len(cuts):
                break
        else:
            raise ValueError(f"the boxes overlap within {region}")
        edges = [0, *cuts.tolist(), len(rows)]
        for k, (first, last) in enumerate(itertools.pairwise(edges)):
            part = [list(side) for side in region]
            part[axis][0] = region[axis][0] if k == 0 else float(rows[first, axis, 0])
            part[axis][1] = region[axis][1] if last == len(rows) else float(rows[last, axis, 0])
            stack.append((rows[first:last], part))


# ------------------------------------------------------------------------------ 4. bounds


class _Range:
    """Intervals [low, high], arrays of floats; ends at infinity are not attained."""

    def __init__(self, low, high):
        if np.isfinite(low).all() and np.isfinite(high).all():
            self.low, self.high = low, high
            return
        # What overflowed is beyond the largest float, not infinite.
        self.low = np.minimum(np.where(np.isnan(low), -np.inf, low), LARGE)
        self.high = np.maximum(np.where(np.isnan(high), np.inf, high), -LARGE)

    @classmethod
    def of(cls, value, like):
        """A number as intervals."""
        near = float(value)
        exact = math.isinf(near) or Fraction(near) == value
        low, high = (near, near) if exact else (_down(near), _up(near))
        return cls(np.full(like, low), np.full(like, high))

    def __neg__(self):
        return _Range(-self.high, -self.low)

    def __add__(self, other):
        with np.errstate(invalid="ignore", over="ignore"):
            low, high = self.low + other.low, self.high + other.high
        # a sum that is 0 is exact; infinite ends stay
        return _Range(
            np.where((low == 0) | np.isinf(low), low, _down(low)),
            np.where((high == 0) | np.isinf(high), high, _up(high)),
        )

    def __mul__(self, other):
        with np.errstate(invalid="ignore", over="ignore", under="ignore"):
            corners = np.stack(
                [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
            )
        low, high = corners.min(0), corners.max(0)
        if np.isfinite(low).all() and np.isfinite(high).all():
            low, high = _down(low), _up(high)
        else:
            corners = np.where(np.isnan(corners), 0.0, corners)
            low, high = corners.min(0), corners.max(0)
            low = np.where(np.isinf(low), low, _down(low))
            high = np.where(np.isinf(high), high, _up(high))
        # The sign of a product is exact: rounding must not take it away.
        up = ((self.low >= 0) & (other.low >= 0)) | ((self.high <= 0) & (other.high <= 0))
        down = ((self.low >= 0) & (other.high <= 0)) | ((self.high <= 0) & (other.low >= 0))
        return _Range(
            np.where(up, np.maximum(low, 0), low), np.where(down, np.minimum(high, 0), high)
        )

    def inverse(self):
        """1/x; an end at 0 is open."""
        with np.errstate(divide="ignore", over="ignore"):
            low, high = _down(1 / self.high), _up(1 / self.low)
        low = np.where((self.low < 0) & (self.high >= 0), -np.inf, low)
        high = np.where((self.low <= 0) & (self.high > 0), np.inf, high)
        nothing = (self.low == 0) & (self.high == 0)
        keep = self.low >= 0
        low = np.where(keep & ~nothing, np.maximum(low, 0), low)
        high = np.where((self.high <= 0) & ~nothing, np.minimum(high, 0), high)
        return _Range(np.where(nothing, -np.inf, low), np.where(nothing, np.inf, high))

    def power(self, n):
        if n < 0:
            return self.power(-n).inverse()
        found = functools.reduce(lambda a, b: a * b, [self] * n)
        if n % 2:
            return found
        crosses = (self.low < 0) & (self.high > 0)
        size = np.maximum(np.abs(self.low), np.abs(self.high))
        top = functools.reduce(lambda a, b: a * b, [_Range(size, size)] * n).high
        return _Range(
            np.where(crosses, 0, np.maximum(found.low, 0)), np.where(crosses, top, found.high)
        )

    def hull(self, other):
        return _Range(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    def size(self):
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def choose(self, mask, other):
        return _Range(np.where(mask, self.low, other.low), np.where(mask, self.high, other.high))


def _down(x):
    return np.nextafter(x, -np.inf)


def _up(x):
    return np.nextafter(x, np.inf)


_LIMITS = {  # at -inf and inf
    "exp": (0.0, math.inf), "log": (-math.inf, math.inf), "sigmoid": (0.0, 1.0),
    "softplus": (0.0, math.inf), "sinh": (-math.inf, math.inf), "asinh": (-math.inf, math.inf),
    "cosh": (math.inf, math.inf),
}  # fmt: skip
_FLOORS = {"exp": 0.0, "sigmoid": 0.0, "softplus": 0.0, "cosh": 1.0}


def _monotone(kind, x):
    """Enclosures of an increasing function, by Arb at the ends."""
    values, where = np.unique(np.concatenate([x.low, x.high]), return_inverse=True)
    lows, highs = np.array([_image(kind, value) for value in values.tolist()]).T
    n = len(x.low)
    low = np.maximum(lows[where[:n]], _FLOORS.get(kind, -np.inf))
    high = highs[where[n:]]
    return _Range(low, np.minimum(high, 1.0) if kind == "sigmoid" else high)


@functools.lru_cache(maxsize=200_000)
def _image(kind, value):
    """Floats around a function's value; boxes share their ends, and certificates their boxes."""
    if math.isinf(value) or (kind == "log" and value <= 0):
        return (_LIMITS[kind][value > 0],) * 2
    with ctx.workprec(80):
        found = _POINT[kind](arb(value))
    low, high = float(found.lower()), float(found.upper())
    return math.nextafter(low, -math.inf), math.nextafter(high, math.inf)


def _slope(kind, x, value):
    """f'(x) as intervals."""
    if kind == "exp":
        return value
    if kind == "log":
        return _Range(np.maximum(x.low, 0), np.maximum(x.high, 0)).inverse()
    if kind == "sigmoid":
        return value * _monotone("sigmoid", -x)
    if kind == "softplus":
        return _monotone("sigmoid", x)
    if kind == "sinh":
        least = np.maximum(np.maximum(x.low, -x.high), 0)  # of |x|
        return _monotone("cosh", _Range(least, x.size()))
    one = _Range(np.ones(len(x.low)), np.ones(len(x.low)))
    root = _monotone("log", one + x.power(2))
    half = _Range(np.full(len(x.low), -0.5), np.full(len(x.low), -0.5))
    return _monotone("exp", half * root)


def _ranges(graph, order, boxes, slopes=False, sides=None):
    """(value, [slope by each variable]) of a graph over boxes; slopes are None if not wanted.

    Of each branch, its side is appended to `sides`: 1, -1, or 0 where it has none.
    """
    n, zero = len(boxes), _Range(np.zeros(len(boxes)), np.zeros(len(boxes)))
    all_ = _Range(np.full(n, -np.inf), np.full(n, np.inf))
    found = []
    for kind, value, args in graph:
        x = [found[a][0] for a in args]
        d = [found[a][1] for a in args]
        if kind == "number":
            made = _Range.of(value, n), {}
        elif kind == "variable":
            k = order.index(value)
            made = _Range(boxes[:, k, 0], boxes[:, k, 1]), {k: _Range(np.ones(n), np.ones(n))}
        elif kind == "sum":
            made = (
                _sum(value, x, n),
                _combined([(d[m], _Range.of(c, n)) for m, c in enumerate(value[1])]),
            )
        elif kind == "product":
            total = _faded(graph, args, found, functools.reduce(lambda a, b: a * b, x), n)
            made = total, _combined([
                (d[m], functools.reduce(lambda a, b: a * b, x[:m] + x[m + 1 :]))
                for m in range(len(x))
            ]) if slopes else {}  # fmt: skip
        elif kind == "power":
            slope = _Range.of(Fraction(value), n) * x[0].power(value - 1)
            made = x[0].power(value), _combined([(d[0], slope)])
        elif kind in ("minimum", "where"):
            made = _branch(kind, x, d, all_, sides)
        elif kind == "pulse":
            inside = (x[0].low <= 0) & (x[0].high >= 0)
            made = _Range(np.zeros(n), np.where(inside, np.inf, 0)), {k: all_ for k in d[0]}
        elif kind == "held":
            made = x[0], d[0]
        else:
            y = _monotone(kind, x[0])
            made = y, _combined([(d[0], _slope(kind, x[0], y))]) if slopes else {}
        found.append(made)
    value, by = found[-1]
    return value, [by.get(k, zero) for k in range(len(order))] if slopes else None


def _sum(value, terms, n):
    constant, factors = value
    total = _Range.of(constant, n) if constant else None
    for c, x in zip(factors, terms, strict=True):
        term = x if c == 1 else -x if c == -1 else _Range.of(c, n) * x
        total = term if total is None else total + term
    return total


def _combined(parts):
    """Sum of slope * factor over the parts, by variable."""
    found = {}
    for slopes, factor in parts:
        for k, slope in slopes.items():
            term = slope * factor
            found[k] = found[k] + term if k in found else term
    return found


def _branch(kind, x, d, all_, sides):
    """Value and slopes of a minimum or a branch: of one side, or of both where the gap has no
    sign."""
    if kind == "minimum":
        gap, (above, below), (da, db) = x[0] + -x[1], (x[1], x[0]), (d[1], d[0])
        gaps = {**d[0], **d[1]}
    else:
        gap, (above, below), (da, db), gaps = x[0], x[1:], d[1:], d[0]
    over, under = gap.low >= 0, gap.high <= 0
    if sides is not None:
        sides.append(over.astype(np.int8) - (under & ~over))
    zero = _Range(np.zeros(len(over)), np.zeros(len(over)))

    def put(a, b, between):
        return a.choose(over, b.choose(under, between))

    middle = above.hull(below)
    if kind == "minimum":
        middle = _Range(np.minimum(above.low, below.low), np.minimum(above.high, below.high))
    slopes = {}
    for k in {**da, **db, **gaps}:
        a, b = da.get(k, zero), db.get(k, zero)
        loose = kind == "where" and k in gaps  # the branches need not meet
        slopes[k] = put(a, b, all_ if loose else a.hull(b))
    return put(above, below, middle), slopes


def _faded(graph, args, found, product, n):
    """A product u^m e^(r - k u), or with sigma in the place of e^: for u >= low >= m/k > 0 it falls
    in u, and sigma(x) <= e^x; other factors stand outside."""
    if not (np.isinf(product.low) | np.isinf(product.high)).any():
        return product
    for fast in args:
        kind, _, (inner,) = graph[fast] if graph[fast][0] in ("exp", "sigmoid") else ("", 0, (0,))
        if not kind or graph[inner][0] != "sum":
            continue
        (constant, factors), terms = graph[inner][1], graph[inner][2]
        for slow in args:
            u, m = (graph[slow][2][0], graph[slow][1]) if graph[slow][0] == "power" else (slow, 1)
            if m < 1 or u not in terms:
                continue
            k = -factors[terms.index(u)]
            if k <= 0:
                continue
            start = found[u][0].low
            least = Fraction(m) / k
            least = _up(float(least)) if least <= LARGE else math.inf
            fades = (start > 0) & (start >= least) & np.isfinite(start)
            at = np.where(fades, start, 1.0)
            rest = [(c, found[t][0]) for c, t in zip(factors, terms, strict=True) if t != u]
            exponent = _Range.of(constant, n) + _Range.of(-k, n) * _Range(at, at)
            for c, x in rest:
                exponent = exponent + _Range.of(c, n) * x
            top = _Range(at, at).power(m) * _monotone("exp", exponent)
            bound = _Range(np.zeros(n), top.high)
            for other in args:
                if other not in (fast, slow):
                    bound = bound * found[other][0]
            product = _Range(
                np.where(fades, np.maximum(product.low, bound.low), product.low),
                np.where(fades, np.minimum(product.high, bound.high), product.high),
            )
    return product


def _bounded(graph, order, boxes):
    """Enclosures of a graph over boxes, as it stands and by the mean-value form; its slopes; and
    what it reaches at each middle."""
    finite = np.isfinite(boxes).all(axis=(1, 2))
    value, slopes = _ranges(graph, order, boxes, slopes=True)
    if not finite.any():
        return value, slopes, np.full(len(boxes), -np.inf)
    with np.errstate(invalid="ignore"):
        middles = np.where(np.isfinite(boxes).all(2), boxes.mean(2), 0.0)
    centre, _ = _ranges(graph, order, np.stack([middles, middles], 2))
    reached = np.where(finite, centre.low, -np.inf)
    for k, slope in enumerate(slopes):
        with np.errstate(invalid="ignore"):
            radius = _up(np.maximum(boxes[:, k, 1] - middles[:, k], middles[:, k] - boxes[:, k, 0]))
        radius = np.where(boxes[:, k, 0] == boxes[:, k, 1], 0.0, radius)
        away = _Range(slope.size(), slope.size()) * _Range(radius, radius)
        centre = centre + _Range(-away.high, away.high)
    low = np.where(finite, np.maximum(value.low, centre.low), value.low)
    high = np.where(finite, np.minimum(value.high, centre.high), value.high)
    return _Range(low, high), slopes, reached


def _below(expression, limits, order, boxes, upper):
    """The boxes that decide that the expression is <= upper wherever the constraints hold.

    ValueError if it may not be.
    """
    seen, decided = 0, []
    for _ in range(ROUNDS + 1):
        seen += len(boxes)
        if seen > MOST:
            break
        plain, _ = _ranges(expression, order, boxes)
        decided.append(boxes[plain.high <= upper])
        boxes = boxes[~(plain.high <= upper)]
        if not len(boxes):
            return np.concatenate(decided)
        value, slopes, reached = _bounded(expression, order, boxes)
        open_ = ~(value.high <= upper)
        if not any(limits.values()) and (reached > upper).any():
            break
        for kind, pair in limits.items():
            if pair is not None and open_.any():
                inside, _, _ = _bounded(pair[1], order, boxes)
                open_ &= (
                    (inside.low <= 0) & (inside.high >= 0) if kind == "zero" else inside.high > 0
                )
        decided.append(boxes[~open_])
        if not open_.any():
            return np.concatenate(decided)
        boxes = _halves(boxes[open_], [slope.size()[open_] for slope in slopes])
    raise ValueError(f"cannot confirm the bound {upper} on {boxes[0].tolist()}")


def _halves(boxes, sizes):
    """Each box in two, along the side that costs most; a tail at twice its end."""
    low, high = boxes[:, :, 0], boxes[:, :, 1]
    with np.errstate(invalid="ignore"):
        middle = low + (high - low) / 2
    middle = np.where(np.isinf(high) & np.isfinite(low), 2 * np.maximum(low, 1), middle)
    middle = np.where(np.isinf(low) & np.isfinite(high), 2 * np.minimum(high, -1), middle)
    middle = np.where(np.isinf(low) & np.isinf(high), 0.0, middle)
    with np.errstate(invalid="ignore", over="ignore"):
        width = np.minimum(np.where(np.isfinite(high - low), high - low, 1e6), 1e6)
        cost = np.minimum(np.stack(sizes, 1), 1e12) * width + 1e-9 * width
    side = np.argmax(np.where((middle > low) & (middle < high), cost, -1), axis=1)
    rows = np.arange(len(boxes))
    left, right = boxes.copy(), boxes.copy()
    left[rows, side, 1] = right[rows, side, 0] = middle[rows, side]
    return np.concatenate([left, right])


# ------------------------------------------------------------------------- 5. all branches


def _same_in_branches(formula, variables, pairs, order, boxes):
    """Refuse expressions that differ from their statements in some combination of branches."""
    sides, whole = [], np.full(len(boxes), np.inf)
    for _, bounded in pairs:
        _ranges(bounded, order, boxes, sides=sides)
    for sign in (1, -1):  # a statement speaks of the formula at minus the point, too
        ends = [
            boxes[:, order.index(name)] if name in order else np.stack([-whole, whole], 1)
            for name in variables
        ]
        mirrored = np.stack([sign * side[:, ::sign] for side in ends], 1)
        _ranges(formula, variables, mirrored, sides=sides)
    if not sides:
        return
    with np.errstate(invalid="ignore"):
        middles = boxes.mean(2)
    low, high = boxes[:, :, 0], boxes[:, :, 1]
    middles = np.where(np.isinf(high), np.where(np.isinf(low), 1.0, low + 1.0), middles)
    middles = np.where(np.isinf(low) & np.isfinite(high), high - 1.0, middles)
    _, first = np.unique(np.stack(sides, 1), axis=0, return_index=True)
    for k in first:
        point = dict(zip(order, middles[k].tolist(), strict=True))
        point |= {name: 0.75 for name in variables if name not in point}
        jets = _jets(formula, tuple(variables), tuple(point.items()))
        for statement, bounded in pairs:
            there, said_ = _at(bounded, jets.point), _at(statement, jets.point, jets)
            if there.is_finite() and said_.is_finite():
                _agree(there, said_, point)


# ---------------------------------------------------------------------------- 6. witness


def _reached(expression, positive, order, domain, certificate):
    point = np.array([certificate["witness"][name] for name in order])
    inside = all(low <= x <= high for x, (low, high) in zip(point, domain, strict=True))
    if not (inside and np.isfinite(point).all()):
        raise ValueError(f"the witness {certificate['witness']} lies outside the domain")
    box = np.stack([point, point], 1)[None]
    value, _ = _ranges(expression, order, box)
    if positive is not None and not _ranges(positive[1], order, box)[0].low[0] > 0:
        raise ValueError(f"the witness {certificate['witness']} breaks the constraint")
    if certificate["zero"] is not None or not value.low[0] >= certificate["lower"]:
        raise ValueError(f"the witness does not reach {certificate['lower']}")


def _words(graph):
    """A graph as a formula on one line: f{i,j} a derivative, f-{i,j} the one at minus the point."""
    found = []
    for kind, value, args in graph:
        x = [found[a] for a in args]
        if kind == "number":
            text = str(value)
        elif kind == "variable":
            text = value
        elif kind == "derivative":
            text = f"f{'-' * value[2]}{{{value[0]},{value[1]}}}"
        elif kind == "sum":
            terms = [f"{c} {term}" for c, term in zip(value[1], x, strict=True)]
            text = "(" + " + ".join([str(value[0])] * (value[0] != 0) + terms) + ")"
        elif kind == "product":
            text = "(" + " ".join(x) + ")"
        elif kind == "power":
            text = f"{x[0]}^{value}"
        else:
            text = f"{kind}({', '.join(x)})"
        found.append(text if len(text) <= 400 else text[:400] + "...")
    return found[-1]


def said(certificate):
    """What an accepted certificate proves, in a line; f{i,j} is a derivative of the formula."""
    domain = ", ".join(f"{n} in [{a}, {b}]" for n, (a, b) in certificate["domain"].items())
    for kind, relation in (("zero", "="), ("positive", ">")):
        if certificate[kind] is not None:
            domain += f", where {_words(_graph(certificate[kind][0]))} {relation} 0"
    attained = ""
    if certificate["witness"] is not None:
        at = ", ".join(f"{n} = {x!r}" for n, x in certificate["witness"].items())
        attained = f"at least {certificate['lower']!r}, attained at {at}; "
    return (
        f"{certificate['row']} of {certificate['method']}: sup "
        f"{_words(_graph(certificate['statement']))}: {attained}at most {certificate['upper']!r}, "
        f"for {domain}; f({', '.join(certificate['variables'])}) = "
        f"{_words(_graph(certificate['formula']))}"
    )


def main(paths):
    """Check each file, a line each; the exit status: 1 if one was refused, 2 if none was given."""
    if not paths:
        print("usage: python -m madpo_theory.audit.checker FILE...", file=sys.stderr)
        return 2
    refused = 0
    for path in paths:
        try:
            certificate = read(path)
            check(certificate)
            print(f"accepted {path}: {said(certificate)}")
        except (OSError, ValueError) as error:
            refused = 1
            print(f"REFUSED {path}: {error}")
    return refused


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
