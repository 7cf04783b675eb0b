"""Traced formulas: a loss as a graph of a dozen kinds of nodes, one more number world.

A formula ``f(xp, z, h)`` called with this module as `xp` and two variables returns a
:class:`Node`. What is asked of a loss is asked of its graph: derivatives, enclosures over boxes,
and the text that a certificate carries. Equal graphs are one object, sums are kept as linear
combinations with exact coefficients, so that what cancels is gone.

=========== ====================================== ========================================
kind        args, value                            stands for
=========== ====================================== ========================================
number      value: Fraction, or +-inf              itself
variable    value: its name                        itself
sum         terms; value: (constant, coefficients) constant + sum of coefficient * term
product     factors                                their product
power       base; value: integer n, not 0 or 1     base^n
exp log     one                                    themselves
sigmoid     x                                      1/(1 + e^-x)
softplus    x                                      log(1 + e^x)
sinh asinh  one                                    hyperbolic sine and its inverse
minimum     two                                    the smaller
where       gap, above, below; value: joined       above where gap > 0, else below
held        x                                      x, which no gradient sees
pulse       gap                                    Dirac's delta of the gap (derivatives only)
derivative  value: (i, j, mirrored)                of another formula (statements only)
=========== ====================================== ========================================
"""

import functools
import hashlib
import math
import weakref
from collections import Counter
from fractions import Fraction

from flint import arb, ctx, fmpq

from ..ops import of_sympy

__all__ = ["Node", "derivative", "diff", "number", "substitute", "text", "to_data", "variable"]

BITS = 400
"""Bits of :func:`at_point`, and of the test whether two branches meet."""
LARGEST = 20_000
"""Nodes that a formula may have."""

_known = weakref.WeakValueDictionary()


class Node:
    """One operation on others; made by arithmetic and by the functions of this module."""

    __slots__ = ("__weakref__", "args", "key", "kind", "names", "size", "value")
    __array_ufunc__ = None  # numpy.exp(node) is an error, not an array of objects

    def __add__(self, other):
        return _linear((1, self), (1, _node(other)))

    def __sub__(self, other):
        return _linear((1, self), (-1, _node(other)))

    def __rsub__(self, other):
        return _linear((-1, self), (1, _node(other)))

    def __neg__(self):
        return _negative(self)

    def __mul__(self, other):
        return _product(self, _node(other))

    def __truediv__(self, other):
        return _product(self, _power(_node(other), -1))

    def __rtruediv__(self, other):
        return _product(_node(other), _power(self, -1))

    def __pow__(self, exponent):
        if isinstance(exponent, Node) and exponent.kind == "number":
            exponent = exponent.value
        if not isinstance(exponent, Node) and exponent == int(exponent):
            return _power(self, int(exponent))
        return exp(_node(exponent) * log(self))

    def __abs__(self):
        return where_greater(self, 0, self, -self)

    __radd__, __rmul__ = __add__, __mul__

    def __bool__(self):
        raise TypeError(
            "a formula is evaluated for all numbers at once and cannot ask whether one is true; "
            "write xp.where_greater(x, threshold, above, below)"
        )

    def _compared(self, other):
        raise TypeError(
            "a formula is evaluated for all numbers at once and cannot compare; write "
            "xp.where_greater(x, threshold, above, below) or xp.minimum(x, y)"
        )

    __lt__ = __le__ = __gt__ = __ge__ = _compared

    def __float__(self):
        raise TypeError("a formula cannot turn its argument into a float; use xp's primitives")

    __int__ = __index__ = __float__

    def __repr__(self):
        return text(self)


def _make(kind, args=(), value=None):
    key = (kind, tuple(map(id, args)), value)
    node = _known.get(key)
    if node is None:
        node = Node()
        node.kind, node.args, node.value = kind, tuple(args), value
        spelled = f"{kind} {value} {[arg.key for arg in args]}"
        node.key = hashlib.blake2b(spelled.encode(), digest_size=8).hexdigest()  # orders terms
        node.names = frozenset({value} if kind == "variable" else ()).union(
            *(arg.names for arg in args)
        )
        node.size = 1 + max((arg.size for arg in args), default=0)
        if node.size > LARGEST:
            raise ValueError(
                f"the formula is more than {LARGEST} operations deep; write it without a loop"
            )
        _known[key] = node
    return node


def _node(value):
    return value if isinstance(value, Node) else number(value, None)


def variable(name):
    """The variable called `name`."""
    return _make("variable", value=name)


def derivative(i, j=0, mirrored=False):
    """The derivative of order i in the first and j in the second argument of whichever formula a
    statement is about, taken there; `mirrored` at minus both arguments."""
    return _make("derivative", value=(i, j, mirrored))


# ------------------------------------------------------------------------------- the world


infinity = math.inf


def number(value, like):
    """A setting as an exact number: int, float, Fraction, or SymPy's sums, products and powers of
    rationals, log and exp."""
    if isinstance(value, Node):
        return value
    if isinstance(value, (int, float, Fraction)) or hasattr(value, "__float__"):
        if hasattr(value, "args") and hasattr(value, "func"):
            return of_sympy(value, lambda p, q: _make("number", value=Fraction(p, q)), exp, log)
        value = value if isinstance(value, Fraction) else float(value)
        if value != value:
            raise ValueError("a number in the formula is NaN; every setting must be finite")
        return _make("number", value=value if value in (math.inf, -math.inf) else Fraction(value))
    raise TypeError(
        f"a formula holds numbers and xp's primitives, got {type(value).__qualname__}; arrays and "
        "tensors of other libraries have no place in it"
    )


def exp(x):
    """e^x."""
    x = _node(x)
    return number(1, None) if _is_number(x, 0) else _make("exp", (x,))


def expm1(x):
    """e^x - 1."""
    return exp(x) - 1


def log(x):
    """log x."""
    x = _node(x)
    if x.kind == "exp":
        return x.args[0]
    if x.kind == "sigmoid":
        return -softplus(-x.args[0])
    if x.kind == "product" and _positive(x):
        return _linear(*((1, log(factor)) for factor in x.args))
    return number(0, None) if _is_number(x, 1) else _make("log", (x,))


def log1p(x):
    """log(1 + x)."""
    return log(1 + _node(x))


def sigmoid(x):
    """1/(1 + e^-x)."""
    x = _node(x)
    return number(Fraction(1, 2), None) if _is_number(x, 0) else _make("sigmoid", (x,))


def softplus(x):
    """log(1 + e^x)."""
    return _make("softplus", (_node(x),))


def tanh(x):
    """Hyperbolic tangent."""
    return 2 * sigmoid(2 * _node(x)) - 1


def sinh(x):
    """Hyperbolic sine."""
    x = _node(x)
    return x if _is_number(x, 0) else _make("sinh", (x,))


def asinh(x):
    """Inverse hyperbolic sine; of a hyperbolic sine its argument."""
    x = _node(x)
    if x.kind == "sinh":
        return x.args[0]
    return x if _is_number(x, 0) else _make("asinh", (x,))


def exp_difference(a, b, x):
    """e^-a - e^-b, with x = b - a given."""
    return exp(-_node(a)) - exp(-_node(b))


def logistic(a, k):
    """1/(1 + k e^a), k > 0."""
    return sigmoid(-(_node(a) + log(k)))


def mobius_exp(a, k):
    """(1 - e^a)/(1 + k e^a), k > 0: ((1 + k) logistic(a, k) - 1)/k."""
    k = _node(k)
    return ((1 + k) * logistic(a, k) - 1) / k


def minimum(x, y):
    """min(x, y)."""
    x, y = _node(x), _node(y)
    return x if x is y else _make("minimum", (x, y))


def where_greater(x, threshold, above, below):
    """`above` where x > threshold, else `below`; knows whether the two meet at the threshold."""
    return _where(_node(x) - _node(threshold), _node(above), _node(below))


def stop_gradient(x):
    """The value, held constant."""
    x = _node(x)
    return x if not x.names else _make("held", (x,))


# ------------------------------------------------------------------------ canonical forms


def _is_number(node, value):
    return node.kind == "number" and node.value == value


@functools.lru_cache(maxsize=8192)
def _negative(node):
    """-node, which is asked for whenever two factors may be each other's."""
    return _linear((-1, node))


def _linear(*terms):
    """Sum of coefficient * node, flattened; exact."""
    constant, found = Fraction(0), {}
    for factor, node in terms:
        if node.kind == "number":
            constant += factor * node.value
        elif node.kind == "sum":
            if node.value[0]:
                constant += factor * node.value[0]
            for c, term in zip(node.value[1], node.args, strict=True):
                c = c if factor == 1 else -c if factor == -1 else factor * c
                found[term] = found[term] + c if term in found else c
        else:
            found[node] = found.get(node, 0) + factor
    if constant in (math.inf, -math.inf):
        return _make("number", value=constant)
    if constant != constant:
        raise ValueError("the formula holds inf - inf; its settings must be finite")
    found = _halves_joined(found) if len(found) > 1 else found
    constant += found.pop(None, 0)
    kept = [(c if type(c) is Fraction else Fraction(c), t) for t, c in found.items() if c]
    if not kept:
        return _make("number", value=constant)
    if constant == 0 and len(kept) == 1 and kept[0][0] == 1:
        return kept[0][1]
    if len(kept) == 1 and _is_step(kept[0][1]) and (constant or kept[0][0] != 1):
        (factor, step), whole = kept[0], number(constant, None)
        sides = (_linear((1, whole), (factor, side)) for side in step.args[1:])
        return _where(step.args[0], *sides, joined=step.value)
    kept.sort(key=lambda pair: pair[1].key)
    return _make("sum", [term for _, term in kept], (constant, tuple(c for c, _ in kept)))


def _halves_joined(terms):
    """{node: coefficient} with c sigma(x) A + c sigma(-x) A written as c A, and
    c softplus(x) - c softplus(-x) as c x; None stands for 1."""
    factors = {node: _factors(node, whole=False) for node in terms if node is not None}
    by_factors = {frozenset(Counter(found).items()): node for node, found in factors.items()}
    for node, found in factors.items():
        c = terms[node]
        for half in found:
            if half.kind == "sigmoid":
                rest = list(found)
                rest.remove(half)
                other = frozenset(Counter([*rest, sigmoid(-half.args[0])]).items())
                partner = by_factors.get(other)
                if c and partner not in (None, node) and terms[partner] == c:
                    whole = math.prod(rest[1:], start=rest[0]) if rest else None
                    del terms[node], terms[partner]
                    return _halves_joined(_with_terms(terms, whole, c))
        if c and node.kind == "softplus" and terms.get(softplus(-node.args[0])) == -c:
            del terms[node], terms[softplus(-node.args[0])]
            return _halves_joined(_with_terms(terms, node.args[0], c))
    return terms


def _factors(node, *, whole=True):
    """The factors of a product; small powers of sigmoids one by one, unless `whole`."""
    found = node.args if node.kind == "product" else (node,)
    if whole:
        return found
    return tuple(
        part
        for x in found
        for part in (
            [x.args[0]] * x.value
            if x.kind == "power" and x.args[0].kind == "sigmoid" and 1 < x.value < 5
            else [x]
        )
    )


def _with_terms(terms, node, c):
    """`terms` and c times a node, or c times 1 for None."""
    parts = {node: 1}
    if node is not None and node.kind == "number":
        parts = {None: node.value}
    elif node is not None and node.kind == "sum":
        parts = {None: node.value[0], **dict(zip(node.args, node.value[1], strict=True))}
    for part, factor in parts.items():
        terms[part] = terms.get(part, 0) + c * factor
    return terms


def _led_by_minus(node):
    """Whether the first coefficient of a sum is negative: one of x and -x is, not both."""
    return node.kind == "sum" and node.value[1][0] < 0


def _product(a, b):
    if b.kind == "number":
        a, b = b, a
    if a.kind == "number":
        if a.value in (math.inf, -math.inf):
            raise ValueError("the formula multiplies by infinity; write the limit itself")
        return _linear((a.value, b)) if a.value else _make("number", value=Fraction(0))
    factor, factors = Fraction(1), []
    for node in (a, b):
        if node.kind == "sum" and len(node.args) == 1 and not node.value[0]:
            factor, node = factor * node.value[1][0], node.args[0]  # numbers stand in front
        factors += _factors(node)
    kept = []
    for place, node in enumerate(factors):
        for k, other in enumerate(kept):
            merged = _merged(other, node)
            if merged is not None:
                del kept[k]
                rest = merged
                for more in kept:
                    rest = _product(rest, more)
                for more in factors[place + 1 :]:
                    rest = _product(rest, more)
                return _linear((factor, rest))
        kept.append(node)
    kept.sort(key=lambda node: node.key)
    return _linear((factor, kept[0] if len(kept) == 1 else _make("product", kept)))


def _is_step(node):
    """Whether the node is one number on one side and another on the other."""
    return node.kind == "where" and node.args[1].kind == node.args[2].kind == "number"


def _merged(a, b):
    """One node for the product of two, where they have one; else None."""
    for step, gap in ((a, b), (b, a)):
        if _is_step(step) and step.args[0] is gap:
            return _where(gap, step.args[1] * gap, step.args[2] * gap, joined=True)
    if a.kind == "exp" and b.kind == "exp":
        return exp(a.args[0] + b.args[0])
    for x, y in ((a, b), (b, a)):
        if x.kind == "exp" and y.kind == "power" and _has_log(x.args[0], y.args[0]):
            return exp(x.args[0] + y.value * log(y.args[0]))
    (base, n), (other, m) = ((x.args[0], x.value) if x.kind == "power" else (x, 1) for x in (a, b))
    if base is other:
        return _power(base, n + m)
    if base.kind == "sum" and other is -base:
        return (-1) ** m * _power(base, n + m)
    return None


def _has_log(exponent, base):
    return any(n.kind == "log" and n.args[0] is base for n in (exponent, *exponent.args))


def _power(base, n):
    if n == 0:
        return number(1, None)
    if n == 1:
        return base
    if base.kind == "number":
        if base.value == 0 and n < 0:
            raise ValueError("the formula divides by 0; its settings must not vanish there")
        return number(base.value**n, None)
    if base.kind == "power":
        return _power(base.args[0], n * base.value)
    if base.kind == "exp":
        return exp(n * base.args[0])
    if base.kind == "product":
        parts = [_power(factor, n) for factor in base.args]
        return math.prod(parts[1:], start=parts[0])
    if base.kind == "sum" and len(base.args) == 1 and not base.value[0]:
        return _linear((base.value[1][0] ** n, _power(base.args[0], n)))
    return _make("power", (base,), n)


def _where(gap, above, below, joined=None):
    if gap.kind == "number":
        return above if gap.value > 0 else below
    if above is below or _positive(gap):
        return above
    above, below = _on_side(above, gap, 1), _on_side(below, gap, 2)
    if above is below:
        return above
    if above.kind == "log" and _is_number(below, -math.inf):
        inner = above.args[0]
        if inner.kind == "where" and inner.args[:2] == (gap, gap):
            return log(gap)  # which is -inf where its argument is not positive
    if joined is None:
        joined = _meet(gap, above, below)
    if joined and _led_by_minus(gap):
        gap, above, below = -gap, below, above
    if _led_by_minus(above):  # never of numbers: sums of one number and a step become steps
        return -_make("where", (gap, -above, -below), joined)
    return _make("where", (gap, above, below), joined)


def _on_side(node, gap, side):
    """The graph where a gap is positive (side 1) or negative (side 2): its branches are decided."""
    other = -gap

    def leaf(n):
        if n.kind != "where" or n.args[0] not in (gap, other):
            return None
        return _on_side(n.args[side if n.args[0] is gap else 3 - side], gap, side)

    return mapped(node, leaf)


def _positive(node):
    """Whether the node is positive whatever the variables are, as far as its form shows it."""
    if node.kind == "number":
        return node.value > 0
    if node.kind == "sum":
        constant, factors = node.value
        return constant >= 0 and all(c > 0 for c in factors) and all(map(_positive, node.args))
    if node.kind in ("product", "power", "minimum", "held"):
        return all(map(_positive, node.args))
    return node.kind in ("exp", "sigmoid", "softplus")


def _meet(gap, above, below):
    """Whether the two sides agree wherever the gap is 0, at points, to 2^-200."""
    if {above.kind, below.kind} == {"number"}:
        return False
    difference = above - below
    with ctx.workprec(BITS):
        return all(
            abs(at_point(difference, point)) < arb(2) ** -200 for point in branch_points(gap)
        )


_GRID = [Fraction(k) for k in range(-250, 251)]
_OTHERS = (Fraction(-7, 5), Fraction(3, 11), Fraction(9, 4))


@functools.lru_cache(maxsize=1024)
def branch_points(gap):
    """Points {variable: value} at which a gap vanishes: along its first variable, to 2^-350, with
    the others at three values each."""
    first, *others = sorted(gap.names)
    found = []
    with ctx.workprec(BITS):
        for value in _OTHERS if others else (None,):
            point = {name: _arb(value) for name in others}

            def f(x, point=point):
                return at_point(gap, point | {first: _arb(x)})

            values = [f(x) for x in _GRID]
            for low, high, a, b in zip(_GRID, _GRID[1:], values, values[1:], strict=False):
                if a == 0:
                    found.append(point | {first: _arb(low)})
                elif (a < 0 and b > 0) or (a > 0 and b < 0):
                    found.append(point | {first: _root(f, low, high, a, b)})
    return tuple(found)


def _root(f, low, high, a, b):
    """Where f changes its sign: by its chord if it is straight there, else by bisection."""
    chord = _arb(low) - a * _arb(high - low) / (b - a)
    if abs(f(chord)) < arb(2) ** -350:
        return chord.mid()
    for _ in range(350):
        middle = (low + high) / 2
        value = f(middle)
        if not (value > 0 or value < 0):
            break
        low, high = (middle, high) if (value < 0) == (a < 0) else (low, middle)
    return _arb((low + high) / 2)


def _arb(value):
    if isinstance(value, Fraction):
        return arb(fmpq(value.numerator, value.denominator))
    return arb(value)


# ---------------------------------------------------------------------------- what is asked


def topological(*nodes):
    """Every node below the given ones, arguments first."""
    order, seen, stack = [], set(), [(node, False) for node in reversed(nodes)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(arg, False) for arg in node.args if arg not in seen]
    return order


_POINT = {
    "exp": arb.exp,
    "log": arb.log,
    "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "softplus": lambda x: x.exp().log1p() if x < 0 else x + (-x).exp().log1p(),
    "sinh": arb.sinh,
    "asinh": arb.asinh,
    "held": lambda x: x,
    "minimum": arb.min,
    "product": lambda *factors: math.prod(factors[1:], start=factors[0]),
}


def at_point(node, values):
    """The value where the variables have the given ones, as an Arb ball."""
    found = {}
    for n in topological(node):
        args = [found[arg] for arg in n.args]
        if n.kind == "number":
            found[n] = _arb(n.value)
        elif n.kind == "variable":
            found[n] = arb(values[n.value])
        elif n.kind == "sum":
            found[n] = sum(
                (_arb(c) * x for c, x in zip(n.value[1], args, strict=True)), _arb(n.value[0])
            )
        elif n.kind == "power":
            found[n] = args[0] ** n.value
        elif n.kind == "where":
            found[n] = args[1] if args[0] > 0 else args[2]
        else:
            found[n] = _POINT[n.kind](*args)
    return found[node]


def mapped(node, leaf):
    """The graph with `leaf(node)` in the place of each leaf for which that is not None."""
    found = {}
    for n in topological(node):
        put = leaf(n)
        if put is not None:
            found[n] = put
        elif not n.args:
            found[n] = n
        else:
            found[n] = _rebuilt(n, [found[arg] for arg in n.args])
    return found[node]


def _rebuilt(node, args):
    if all(a is b for a, b in zip(args, node.args, strict=True)):
        return node
    if node.kind == "sum":
        constant, factors = node.value
        return _linear((1, number(constant, None)), *zip(factors, args, strict=True))
    if node.kind == "where":
        return _where(*args, joined=node.value)
    if node.kind == "power":
        return _power(args[0], node.value)
    if node.kind == "product":
        return math.prod(args[1:], start=args[0])
    made = (
        globals()["stop_gradient" if node.kind == "held" else node.kind]
        if (node.kind != "pulse")
        else (lambda gap: _make("pulse", (gap,)))
    )
    return made(*args)


def substitute(node, values):
    """The graph with expressions in the place of variables, by name."""
    return mapped(node, lambda n: values.get(n.value) if n.kind == "variable" else None)


def released(node):
    """The graph with what was held constant free again."""
    found = {}
    for n in topological(node):
        args = [found[arg] for arg in n.args]
        found[n] = args[0] if n.kind == "held" else (_rebuilt(n, args) if args else n)
    return found[node]


_SLOPES = {
    "exp": lambda n, x: n,
    "log": lambda n, x: 1 / x,
    "sigmoid": lambda n, x: n * sigmoid(-x),
    "softplus": lambda n, x: sigmoid(x),
    "sinh": lambda n, x: exp(x) / 2 + exp(-x) / 2,
    "asinh": lambda n, x: exp(-log(1 + x * x) / 2),
}


@functools.lru_cache(maxsize=4096)
def diff(node, name):
    """The derivative in the variable called `name`; what is held constant has none.

    Where two branches do not meet, and of slopes at kinks, it holds a `pulse`.
    """
    zero, found = number(0, None), {}
    for n in topological(node):
        if n.kind == "variable":
            found[n] = number(1, None) if n.value == name else zero
        elif name not in n.names or n.kind == "held":
            found[n] = zero
        else:
            found[n] = _slope(n, [found[arg] for arg in n.args])
    return found[node]


def _slope(n, slopes):
    if n.kind == "sum":
        return _linear(*zip(n.value[1], slopes, strict=True))
    if n.kind == "product":
        parts = []
        for k, slope in enumerate(slopes):
            rest = [*n.args[:k], *n.args[k + 1 :]]
            parts.append((1, math.prod(rest, start=slope)))
        return _linear(*parts)
    if n.kind == "power":
        return n.value * _power(n.args[0], n.value - 1) * slopes[0]
    if n.kind == "minimum":
        x, y = n.args
        return _where(x - y, slopes[1], slopes[0], joined=slopes[0] is slopes[1])
    if n.kind == "where":
        gap, above, below = n.args
        smooth = _where(gap, slopes[1], slopes[2], joined=False)
        if n.value:
            return smooth
        jump = above - below
        if jump.kind == "number":
            jump = number(1 if jump.value > 0 else -1, None)  # a pulse has no size of its own
        return smooth + slopes[0] * jump * _make("pulse", (gap,))
    if n.kind == "pulse":
        raise ValueError(
            f"the formula is not smooth enough where {text(n.args[0])} = 0: a second derivative "
            "across a jump is asked for"
        )
    return _SLOPES[n.kind](n, n.args[0]) * slopes[0]


def text(node, limit=400):
    """The formula as a reader would write it, shortened to `limit` characters."""
    found = {}
    for n in topological(node):
        args = [found[arg] for arg in n.args]
        found[n] = _text(n, args)[: 2 * limit]
    whole = _bare(found[node]) if node.kind == "sum" else found[node]
    return whole if len(whole) <= limit else whole[: limit - 1] + "…"


def _text(n, args):
    if n.kind == "number":
        return f"{float(n.value):.15g}"
    if n.kind == "variable":
        return n.value
    if n.kind == "derivative":
        i, j, mirrored = n.value
        order = ",".join("1" * i + "2" * j)
        return f"f{'_' + order if order else ''}{'(-)' if mirrored else ''}"
    if n.kind == "where":
        return f"({args[1]} if {args[0]} > 0 else {args[2]})"
    if n.kind == "sum":
        constant, factors = n.value
        parts = [f"{float(constant):.15g}"] if constant else []
        for c, arg in zip(factors, args, strict=True):
            size = "" if abs(c) == 1 else f"{float(abs(c)):.15g} "
            sign = "-" if c < 0 else "+"
            parts.append(f"{sign} {size}{arg}" if parts else f"{'-' * (c < 0)}{size}{arg}")
        return f"({' '.join(parts)})"
    args = [
        arg if arg[0] == "(" or arg.isalnum() or arg.endswith(")") else f"({arg})" for arg in args
    ]
    if n.kind == "product":
        return " ".join(args)
    if n.kind == "power":
        return f"{args[0]}^{n.value}"
    return f"{n.kind}({', '.join(_bare(arg) for arg in args)})"


def _bare(written):
    """Without a pair of brackets around the whole."""
    depth = 0
    for k, character in enumerate(written):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return written[1:-1] if k and k == len(written) - 1 else written
    return written


def to_data(node):
    """The graph as plain data: a list of [kind, value, indices of args], arguments first."""
    order = topological(node)
    index = {n: k for k, n in enumerate(order)}
    return [[n.kind, _plain(n), [index[arg] for arg in n.args]] for n in order]


def _plain(n):
    if n.kind == "number":
        return str(n.value)
    if n.kind == "sum":
        return [str(n.value[0]), [str(c) for c in n.value[1]]]
    return list(n.value) if isinstance(n.value, tuple) else n.value
