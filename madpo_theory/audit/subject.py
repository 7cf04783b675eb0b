"""What is audited: any method, weight, schedule or function, as graphs that were tested.

A user's formula is untrusted. Before anything is asked of it, it is evaluated in several number
worlds and must give finite values of the right shape, the same each time, and the graph's.
"""

import inspect
from dataclasses import fields, is_dataclass
from functools import cached_property

import numpy as np
from flint import arb, ctx

from ..methods import Method, method_from
from ..methods.base import settings_of
from ..ops import PRIMITIVES, arb_world, numpy_world
from ..ops.checks import check_signature
from ..registry import class_of_file
from ..weights.base import check_log_weight
from . import graph
from .boxes import enclosures
from .graph import at_point, branch_points, diff, number, released, substitute, text, topological

__all__ = ["Formula", "Subject", "subject_of"]

POINTS = np.array([-60.0, -20.0, -5.5, -1.25, -0.75, 0.0, 0.3125, 1.5, 4.0, 17.0, 60.0])
"""Nats at which a formula is tried, all of z with all of h."""


class Formula:
    """A graph in two variables, the second of which may be missing, and its derivatives.

    Attributes
    ----------
    node, names : the graph and its variables, in order.
    shift : how often `node` is derived in the first variable already: 1 for the gradient of a loss
        that holds something constant.
    """

    def __init__(self, node, names, shift=0):
        self.node, self.names, self.shift = node, tuple(names), shift
        self._known = {(0, 0): node}

    def leaf(self, i, j=0, mirrored=False):
        """Of a statement: the derivative of order (i, j) of the loss or target, see `shift`."""
        return graph.derivative(i - self.shift, j, mirrored)

    def derived(self, i, j):
        if (i, j) not in self._known:
            below = (i - 1, j) if i else (i, j - 1)
            name = self.names[0] if i else self.names[1]
            self._known[i, j] = diff(self.derived(*below), name)
        return self._known[i, j]

    def resolved(self, statement):
        """A statement, with the derivatives it speaks of in their places."""

        def leaf(node):
            if node.kind != "derivative":
                return None
            i, j, mirrored = node.value
            found = self.derived(i, j)
            if mirrored:
                found = substitute(found, {n: -graph.variable(n) for n in self.names})
            return found

        return graph.mapped(statement, leaf)


class _Function(Method):
    """A plain function f(xp, z, h) as a method; it stands at the end of this module's door only."""

    def __init__(self, function, label):
        object.__setattr__(self, "function", function)
        object.__setattr__(self, "beta", 1.0)
        object.__setattr__(self, "shown", label)

    def margin_loss(self, xp, z, h):
        return self.function(xp, z, h)

    __repr__ = object.__repr__


def subject_of(method, assignments=()):
    """The :class:`Subject` that an argument stands for: what `method_from` takes, a function
    f(xp, z, h) of z = beta m and the reward model's margin in nats, or the file:name of one."""
    if isinstance(method, str) and ".py:" in method:
        found = class_of_file(method)
        if not isinstance(found, type) and inspect.isroutine(found):
            return _of_function(found, assignments, spec=method)
    if inspect.isroutine(method):
        return _of_function(method, assignments)
    return Subject(method_from(method, assignments))


def _of_function(function, assignments, spec=None):
    _no_settings(assignments, function)
    name = getattr(function, "__name__", "function")
    check_signature(name, function, "xp", "z", "h")
    return Subject(_Function(function, name), spec=spec)


def _no_settings(assignments, function):
    if assignments:
        raise ValueError(
            f"{assignments[0]!r}: {function.__name__} is a plain function and has no settings; "
            "write a Method with fields to give it some"
        )


class Subject:
    """A method, its name and settings, and its graphs.

    Attributes
    ----------
    form : "slots", "margin", or "other" for a loss that is no function of the margin.
    """

    def __init__(self, method, spec=None):
        self.method, self.spec = method, spec
        self.is_function = isinstance(method, _Function)
        if self.is_function:
            self.name = self.label = method.shown
            self.settings = {}
        else:
            self.name = type(method).name or type(method).__name__
            self.label = method.title
            self.settings = {
                n: v if isinstance(v, (int, str, bool)) else float(v)
                for n, v in settings_of(method).items()
                if isinstance(v, (int, str, bool)) or hasattr(v, "__float__")
            }
        self.form = "slots" if method.has_slots else "margin" if method.is_margin_loss else "other"
        if self.form != "other":
            self._tried()

    # ---------------------------------------------------------------- the graphs

    @cached_property
    def loss(self):
        """phi(z; h), its gradient's held parts still held."""
        return _traced(self, self.method.margin_loss, "z", "h")

    @cached_property
    def formula(self):
        """The loss as a :class:`Formula` whose derivatives are those of its gradient."""
        names = ("z", "h") if "h" in self.loss.names else ("z",)
        if any(node.kind == "held" for node in topological(self.loss)):
            return Formula(released(diff(self.loss, "z")), names, shift=1)
        return Formula(self.loss, names)

    @cached_property
    def slots(self):
        """(Slots at h, Slots at -h), of graphs."""
        h = graph.variable("h")
        return self.method.slots(graph, h), self.method.slots(graph, -h)

    @cached_property
    def states_target(self):
        """Whether T(t; h) is known as a formula: of slots, or the method's own where the risk's
        slope there, sigma(t) phi'(T; h) - sigma(-t) phi'(-T; -h), cancels to 0 in the graph."""
        if self.form != "margin":
            return self.form == "slots"
        if type(self.method).target_formula is Method.target_formula:
            return False
        t, h = graph.variable("t"), graph.variable("h")
        slope, target = released(diff(self.loss, "z")), self.target.node
        won = substitute(slope, {"z": target})
        lost = substitute(slope, {"z": -target, "h": -h})
        left = graph.sigmoid(t) * won - graph.sigmoid(-t) * lost
        return left.kind == "number" and left.value == 0

    @cached_property
    def target(self):
        """T(t; h), t the true margin, where it is stated: a :class:`Formula`."""
        node = _traced(self, self.method.target_formula, "t", "h")
        return Formula(released(node), ("t", "h"))

    @cached_property
    def exact_target(self):
        """T(h; h), where the target is stated: a :class:`Formula` of one variable."""
        h = graph.variable("h")
        return Formula(substitute(self.target.node, {"t": h}), ("h",))

    @cached_property
    def breaks(self):
        """{variable: values} at which a branch point of a graph lies, rounded to float64."""
        nodes = [self.loss, *([self.target.node] if self.states_target else [])]
        found = {"z": set(), "h": set(), "t": set()}
        for node in topological(*nodes):
            if node.kind in ("where", "minimum"):
                gap = node.args[0] if node.kind == "where" else node.args[0] - node.args[1]
                if len(gap.names) == 1:
                    (name,) = gap.names
                    for point in branch_points(gap):
                        value = float(point[name].mid())
                        found[name] |= {value, -value}
        found["t"] |= found["h"]
        return {name: sorted(values) for name, values in found.items()}

    # ---------------------------------------------------------------- what is tried first

    def _tried(self):
        if (weighting := self.method.slot_weighting) is not None:
            check_log_weight(self.label, weighting.log_weight)
        f = self.method.margin_loss
        z, h = (a.ravel().copy() for a in np.meshgrid(POINTS, POINTS))
        with np.errstate(all="ignore"):
            value, again = _called(self, f, numpy_world, z, h), _called(self, f, numpy_world, z, h)
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
            raise TypeError(
                f"{self.label} returns {type(value).__qualname__} for arrays; it must return one "
                "float a pair: write it with xp's primitives and its arguments"
            )
        if value.shape != z.shape:
            raise ValueError(
                f"{self.label} returns shape {value.shape} for {len(z)} pairs; it must return one "
                "loss a pair, without a mean or a sum over them"
            )
        bad = np.flatnonzero(~np.isfinite(value))
        if len(bad):
            k = bad[0]
            raise ValueError(
                f"{self.label} is {value[k]} at z = {z[k]:g}, h = {h[k]:g} nats; a loss must be "
                "finite at every margin: use xp.softplus, xp.log1p and the like, which do not "
                "overflow"
            )
        if not np.array_equal(value, again):
            k = int(np.argmax(value != again))
            raise ValueError(
                f"{self.label} is {value[k]!r} and then {again[k]!r} at z = {z[k]:g}, h = {h[k]:g} "
                "nats; a loss must be the same at every call: draw no random numbers and keep no "
                "state in it"
            )
        if self.loss is not _traced(self, f, "z", "h"):
            raise ValueError(
                f"{self.label} has another formula at its second call; it must be the same at "
                "every call: keep no state in it"
            )
        self._agrees(z, h, value)
        self._finite()
        self._smooth()
        if self.form == "slots":
            self._sound_slots()

    def _agrees(self, z, h, value):
        """The graph against numpy's values, and against the formula in Arb."""
        with ctx.workprec(graph.BITS):
            for k in range(len(z)):
                point = {"z": arb(float(z[k])), "h": arb(float(h[k]))}
                own = at_point(self.loss, point)
                if not abs(own - arb(float(value[k]))) < 1e-9 * (1 + abs(own)):
                    raise ValueError(
                        f"{self.label} is {value[k]!r} at z = {z[k]:g}, h = {h[k]:g} nats in NumPy "
                        f"and {float(own.mid())!r} exactly; use xp's primitives alone, and mind "
                        "cancellation"
                    )
            for zk, hk in zip((-3.25, 0.4375, 2.5), (1.125, -4.75, 0.375), strict=True):
                point = {"z": arb(zk), "h": arb(hk)}
                found = _called(self, self.method.margin_loss, arb_world, point["z"], point["h"])
                if not arb(found).overlaps(at_point(self.loss, point)):
                    raise ValueError(
                        f"{self.label} differs between two number worlds at z = {zk}, h = {hk} "
                        "nats; the formula must not depend on which xp it is given"
                    )

    def _finite(self):
        """No infinity between the points: boxes of z shrink until each is bounded."""
        names = tuple(sorted(self.loss.names))
        if "z" not in names:
            return
        edges = np.arange(-60.0, 60.25, 0.25)
        low, h = (a.ravel() for a in np.meshgrid(edges[:-1], POINTS))
        boxes = np.stack([np.stack([h, h], 1), np.stack([low, low + 0.25], 1)], 1)
        boxes = boxes[:, [("h", "z").index(name) for name in names]]
        side = names.index("z")
        for _ in range(40):
            ((bottom, top),) = enclosures([self.loss], boxes, names)
            boxes = boxes[~(np.isfinite(bottom) & np.isfinite(top))][:200]
            if not len(boxes):
                return
            middle = boxes[:, side].mean(1)
            left, right = boxes.copy(), boxes.copy()
            left[:, side, 1] = right[:, side, 0] = middle
            boxes = np.concatenate([left, right])
        place = ", ".join(f"{n} = {boxes[0, k, 0]:.6g}" for k, n in enumerate(names))
        raise ValueError(
            f"{self.label} is not bounded near {place} nats; a loss must be finite at every "
            "margin: do not divide by what can be 0"
        )

    def _smooth(self):
        """No jump in z: no gradient sees one."""
        for node in topological(self.loss):
            if node.kind == "where" and not node.value and "z" in node.args[0].names:
                for point in branch_points(node.args[0]):
                    jump = at_point(node.args[1] - node.args[2], point)
                    where = ", ".join(f"{n} = {float(x.mid()):.6g}" for n, x in point.items())
                    raise ValueError(
                        f"{self.label} jumps by {float(jump.mid()):.6g} where "
                        f"{text(node.args[0], 60)} = 0, at {where} nats; a gradient cannot see a "
                        "jump: let both sides of xp.where_greater meet there"
                    )

    def _sound_slots(self):
        for side in self.slots:
            if side.label is not None:
                total = 1 if side.total is None else side.total
                left = side.label[0] + side.label[1] - total
                for h in POINTS:
                    value = at_point(graph._node(left), {"h": arb(float(h))})
                    if not abs(value) < 1e-12:
                        raise ValueError(
                            f"{self.label}: its label's two parts add up to "
                            f"{float((value + float(total)).mid()):.6g} at h = {h:g} nats, not to "
                            "`total` (1 unless given); mend slots()"
                        )
        first, second = (s.temperature for s in self.slots)
        for h in POINTS if first is not None else ():
            point = {"h": arb(float(h))}
            one, two = (at_point(graph._node(b), point) for b in (first, second))
            if not one > 0 or not abs(one - two) < 1e-12 * one:
                raise ValueError(
                    f"{self.label}: its temperature is {float(one.mid()):.6g} at h = {h:g} nats "
                    f"and {float(two.mid()):.6g} at {-h:g}; it must be > 0 and the same for both"
                )

    # ---------------------------------------------------------------- as text

    @property
    def title(self):
        """Label and settings, in one line."""
        shown = ", ".join(
            f"{n} {v:.6g}" if isinstance(v, float) else f"{n} {v}" for n, v in self.settings.items()
        )
        return f"{self.label} ({shown})" if shown else self.label

    @cached_property
    def code(self):
        """Python that makes `method`, for the counterexamples."""
        if self.is_function:
            name = self.method.function.__name__
            if self.spec:
                return (
                    "from madpo_theory.registry import class_of_file\n"
                    f"{name} = class_of_file({self.spec!r})\n"
                    f"from madpo_theory.audit import method_of_function\n"
                    f"method = method_of_function({name})"
                )
            return (
                "from madpo_theory.audit import method_of_function\n"
                f"method = method_of_function({name})"
            )
        lines = []
        for cls in sorted(_classes(self.method), key=lambda cls: cls.__qualname__):
            if cls.__dict__.get("_file"):
                lines.append("from madpo_theory.registry import class_of_file")
                lines.append(f"{cls.__qualname__} = class_of_file({cls._file!r})")
            else:
                lines.append(f"from {cls.__module__} import {cls.__qualname__}")
        return "\n".join([*lines, f"method = {self.method!r}"])


def _classes(value):
    """The dataclasses that an instance's repr names."""
    found = {type(value)}
    for field in fields(value):
        inner = getattr(value, field.name)
        if is_dataclass(inner):
            found |= _classes(inner)
    return found


def method_of_function(function):
    """A plain function f(xp, z, h) as a Method of temperature 1."""
    return _Function(function, getattr(function, "__name__", "function"))


def _called(subject, f, xp, *values):
    try:
        return f(xp, *values)
    except (ValueError, TypeError, AttributeError, ArithmeticError, NameError) as error:
        world = xp.__name__.rpartition(".")[2].removesuffix("_world")
        raise type(error)(
            f"{subject.label} cannot be evaluated in the {world} world: {error}; the primitives "
            f"of a world are {PRIMITIVES}"
        ) from error


def _traced(subject, f, *names):
    """The graph of f at variables of the given names; a constant too is a graph."""
    found = _called(subject, f, graph, *map(graph.variable, names))
    if isinstance(found, graph.Node):
        return found
    if isinstance(found, (int, float)):
        return number(found, None)
    raise TypeError(
        f"{subject.label} returns {type(found).__qualname__} for a traced argument; it must return "
        "what xp's primitives and arithmetic make of its arguments"
    )
