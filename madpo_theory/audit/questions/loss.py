"""Questions about the loss itself: its form, floor, convexity, slope and curvature."""

import math
from itertools import product

import numpy as np

from ...methods import Method
from ...ops import numpy_world
from .. import graph
from ..boxes import enclosures
from ..examiner import RESOLUTION, Found, grows, magnitude, maximum
from ..graph import number, released
from ..subject import Formula
from .inquiry import (
    OTHER,
    Answer,
    answer,
    nats,
    proved,
    question,
    spelled,
    undecided,
)


@question("margin_form", "it sees the two log-probabilities only through their margin")
def margin_form(q):
    if q.subject.form != "other":
        return proved("yes", "Only the margin is trained; where the pair drifts together is open.")
    return _other_margin_form(q)


@question("bounded_below", "the pair's risk is bounded below for every h*")
def bounded_below(q):
    if q.has_slots:
        return _bounded_slots(q)
    whole = released(q.subject.loss)
    found = q.ask.inf(Formula(whole, q.loss.names), graph.derivative(0), seconds=1.0)
    if found.lower > -math.inf and found.whole:
        reading = "No pair can be driven to an infinitely negative loss."
        return answer(found, "yes", reading)
    if found.upper == -math.inf:
        falls = _endless_fall(q)
        if falls:
            return falls
    return undecided("Whether a pair's risk has a floor was not decided.", domain=found.domain)


def _bounded_slots(q):
    least = least_label(q)
    if least is None or (least.kind == "proved" and least.lower >= 0):
        return proved("yes", "No pair can be driven to an infinitely negative loss.")
    if least.lower >= 0:
        return answer(
            least, "yes", "No pair can be driven to an infinitely negative loss.",
            value=None, lower=None, upper=None,
        )  # fmt: skip
    if least.upper < 0:
        h = (least.witness or {}).get("h", 0.0)
        shown = (
            "from madpo_theory.ops import numpy_world as xp\n"
            f"h_true, h, z = 40.0, {spelled(h)}, 1e9\n"
            "risk = lambda z: xp.sigmoid(h_true) * method.margin_loss(xp, z, h) + "
            "xp.sigmoid(-h_true) * method.margin_loss(xp, -z, -h)\n"
            "assert min(risk(z), risk(-z)) < -1e3"
        )
        return Answer(
            "no", least.kind, "A pair with a sure label is pushed without end; its loss has no "
            "floor, so train it briefly or clip it.", domain=least.domain, shown=shown,
        )  # fmt: skip
    return undecided("Whether a pair's risk has a floor was not decided.", domain=least.domain)


def least_label(q):
    """inf over h of the smaller part of the label over its total; None for hard labels."""
    slots = q.subject.slots[0]
    if slots.label is None:
        return None
    total = number(1 if slots.total is None else slots.total, None)
    parts = [graph._node(part) / total for part in slots.label]
    return q.ask.inf(Formula(-maximum(*(-p for p in parts)), ("h",)), graph.derivative(0))


def _endless_fall(q):
    """A risk whose slope stays negative in the tail of z, at one true margin; or None."""
    for h_true in (2.0, 20.0, -2.0, -20.0):
        for h in (0.0, h_true) if q.uses_model else (0.0,):
            p = 1 / (1 + math.exp(-h_true))
            statement = p * q.slope() - (1 - p) * q.slope(True)
            names = q.loss.names
            box = np.array([[(240.0, math.inf), (h, h)][: len(names)]])
            node = q.loss.resolved(statement)
            if node.kind == "number":
                high = float(node.value)
            else:
                high = float(enclosures([node], box, names)[0][1][0])
            if high < -1e-6:
                shown = (
                    "from madpo_theory.ops import numpy_world as xp\n"
                    f"h_true, h = {spelled(h_true)}, {spelled(h)}\n"
                    "risk = lambda z: xp.sigmoid(h_true) * method.margin_loss(xp, z, h) + "
                    "xp.sigmoid(-h_true) * method.margin_loss(xp, -z, -h)\n"
                    "assert risk(1e9) < risk(1e6) < risk(1e3) < 0"
                )
                return Answer(
                    "no", "certified", "A pair is pushed without end; its loss has no floor, so "
                    "train it briefly or clip it.", domain=f"h* = {h_true:g}, ĥ = {h:g} nats",
                    shown=shown,
                )  # fmt: skip
    return None


@question("convex", "it is convex in z")
def convex(q):
    if q.has_slots:
        return proved("yes", "Every pair's loss has one valley; no start is a trap.", 0.0)
    found = q.ask.inf(q.loss, q.bend(), seconds=1.5)
    if found.lower >= 0:
        return answer(found, "yes", "Every pair's loss has one valley; no start is a trap.")
    if found.upper < -RESOLUTION:
        at = found.witness
        shown = (
            "from madpo_theory.ops import numpy_world as xp\n"
            f"z, h, step = {spelled(at['z'])}, {spelled(at.get('h', 0.0))}, 1e-3\n"
            "middle = method.margin_loss(xp, z, h)\n"
            "ends = method.margin_loss(xp, z - step, h) + method.margin_loss(xp, z + step, h)\n"
            "assert middle > ends / 2"
        )
        return answer(
            found, "no", "It bends downward somewhere: steps there grow away from the optimum.",
            shown=shown,
        )  # fmt: skip
    return answer(found, "undecided", "Whether it bends downward anywhere was not decided.")


def _slot_scale(q, *, squared):
    """w b, or w b^2, as a graph of h."""
    slots = q.subject.slots[0]
    scale = number(1, None) if slots.log_weight is None else graph.exp(slots.log_weight)
    b = number(1 if slots.temperature is None else slots.temperature, None)
    return scale * b * b if squared else scale * b


@question("slope", "its gradient is bounded")
def slope(q):
    if q.has_slots:
        slots, scale = q.subject.slots[0], _slot_scale(q, squared=False)
        if slots.label is not None:
            total = number(1 if slots.total is None else slots.total, None)
            scale = scale * maximum(*(magnitude(graph._node(p) / total) for p in slots.label))
        found = q.ask.sup(Formula(scale, ("h",)), graph.derivative(0))
    else:
        found = q.ask.sup(q.loss, magnitude(q.slope()), seconds=1.0)
        if not found.whole and _grows_both(q):
            found = Found(math.inf, math.inf, {"z": 1e3})
    return bounded(
        q, found, "No pair pushes harder than {value} times its margin's change.",
        "A pair can push as hard as it likes: one outlier may rule a batch.",
        "from madpo_theory.ops import numpy_world as xp\n"
        "slope = lambda z, h: (method.margin_loss(xp, z + 0.5, h) - "
        "method.margin_loss(xp, z - 0.5, h))\n"
        "assert any(abs(slope(z, h)) > 1e3 for z in (-50.0, 50.0, -1e7, 1e7) "
        "for h in (-1e7, 0.0, 1e7))",
    )  # fmt: skip


def _grows_both(q):
    """Whether the slope itself goes to infinity with z, on either side."""
    node = q.loss.resolved(q.slope())
    sides = {n: (-math.inf, math.inf) for n in node.names}
    tails = [sides | {"z": (240.0, math.inf)}]
    return "z" in node.names and any(grows(n, t) for t in tails for n in (node, -node))


def bounded(q, found, yes, no, shown, **given):
    """yes if the supremum is finite, no if it is known to be infinite."""
    if found.upper < math.inf and (found.whole or q.quick):
        reading = yes.format(value=nats(found.upper))
        return answer(found, "yes", reading, **given)
    if found.lower == math.inf:
        return answer(found, "no", no, shown=shown, **given)
    reading = "Whether there is a bound for all margins was not decided."
    return answer(found, "undecided", reading, **given)


@question("curvature", "its curvature is bounded")
def curvature(q):
    if q.has_slots:
        node = _slot_scale(q, squared=True) / 4
        found = q.ask.sup(Formula(node, ("h",)), graph.derivative(0))
    else:
        found = q.ask.sup(q.loss, q.bend(), seconds=1.0)
        if found.upper == math.inf and not q.analytic:
            kinks = _kinks(q)
            if len(kinks):
                found = Found(math.inf, math.inf, {"z": kinks[-1]})
    z = (found.witness or {}).get("z", 0.0)
    return bounded(
        q, found,
        f"Plain gradient steps up to {nats(2 / max(found.upper, 1e-300))} in z are stable.",
        "It has a kink or bends without bound: no step size is safe everywhere.",
        "from madpo_theory.ops import numpy_world as xp\n"
        "bend = lambda z, s: (method.margin_loss(xp, z + s, 0.0) + method.margin_loss(xp, z - s, "
        "0.0) - 2 * method.margin_loss(xp, z, 0.0)) / s**2\n"
        f"places = {spelled(z)}, {spelled(-z)}, -50.0, 50.0, 1e3\n"
        "assert any(abs(bend(z, s)) > 1e2 for z in places for s in (1e-4, 1e-3))",
    )  # fmt: skip


def _kinks(q):
    """Branch points in z at which the slope jumps, at ĥ = 0: a second difference over a step grows
    as the step shrinks."""
    z = np.array(q.subject.breaks["z"] or [0.0])

    def bend(s):
        here, *there = (
            q.subject.method.margin_loss(numpy_world, x, 0 * x) for x in (z, z - s, z + s)
        )
        return (sum(there) - 2 * here) / s**2

    return z[bend(1e-4) > 3 * np.maximum(bend(1e-3), 1e-3)].tolist()


def _other_margin_form(q):
    method = q.subject.method
    if "batch" in method.needs:
        return proved("no", "A pair's loss depends on the pairs beside it in its batch.")
    found = _drift(method)
    if found is None:
        return undecided(OTHER)
    drift, (chosen, rejected, h) = found
    if abs(drift) < 1e-12:
        return undecided(
            "At points it sees the margin alone: say so with margin_loss, and the sheet answers."
        )
    shown = (
        "import torch\nfrom madpo_theory.ops import torch_world as xp\n"
        f"at = lambda x: torch.tensor([x], dtype=torch.float64)\n"
        f"f = lambda c: float(method.pair_loss(xp, at({chosen!r} + c), at({rejected!r} + c), "
        f"at({h!r})))\n"
        "assert abs(f(0.01) - f(0.0)) > 1e-15"
    )
    return Answer(
        "no", "searched", "It also pushes the two log-probabilities "
        f"{'down' if drift > 0 else 'up'} together.", drift, drift, drift,
        f"log-ratios {chosen:g} and {rejected:g}, ĥ = {h:g} nats", shown,
    )  # fmt: skip


def _drift(method):
    """(slope, where) of a pair's loss as both log-ratios rise together, where it is steepest of a
    few places, nats; None for a loss that is no function of one pair's log-ratios."""
    import torch

    from ...ops import torch_world as xp

    if type(method).pair_loss is Method.pair_loss:
        return None
    top = 0.0 if "reference" in method.needs else -4.0  # log-probabilities are below 0
    sides = product((0.0, -2.0, 1.5), (0.0, -1.0, 2.0), (0.5, -3.0))
    places = [(top + a, top + b, h) for a, b, h in sides]
    chosen, rejected, h = torch.tensor(places, dtype=torch.float64).T
    common = torch.zeros_like(h, requires_grad=True)
    loss = method.pair_loss(xp, chosen + common, rejected + common, h)
    if not (torch.is_tensor(loss) and loss.shape == h.shape and torch.isfinite(loss).all()):
        raise ValueError(
            f"{type(method).__name__}.pair_loss must return one finite float a pair; it does not "
            f"for log-ratios {places[0][:2]} and {len(places) - 1} more places"
        )
    (slopes,) = torch.autograd.grad(loss.sum(), common)
    k = int(slopes.abs().argmax())
    return float(slopes[k]), places[k]
