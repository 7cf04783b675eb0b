"""Questions about where an exact reward model sends a pair."""

import itertools
import math

import numpy as np

from .. import graph
from ..boxes import enclosures
from ..examiner import RESOLUTION, Found, magnitude, maximum
from ..graph import _positive, topological
from ..subject import Formula
from .inquiry import (
    HALF_LINE,
    NEAR,
    NO_TARGET,
    OPPOSITE,
    Answer,
    answer,
    nats,
    proved,
    question,
    sign_then_size,
    slopes_at,
    spelled,
    undecided,
    verdict_of,
    wider,
)
from .loss import least_label


@question("target_unique", "a pair has one target, for every h* and ĥ")
def target_unique(q):
    reading = "Every pair has one finite margin at which it comes to rest."
    if q.has_slots:
        return _unique_slots(q, reading)
    # Every stationary point a strict minimum: at most one. Where a am > 0 its curvature has the
    # sign of (am c + a cm)/(a + am).
    a, am, c, cm = q.slope(), q.slope(True), q.bend(), q.bend(True)
    wrong = -maximum(-a * am, (am * c + a * cm) * (a + am))  # > 0 where neither holds
    strongly = q.answers["convex"]
    whole = {n: (-60.0, 60.0) if n == "h" else (-240.0, 240.0) for n in q.loss.names}
    if strongly.verdict == "yes" and (strongly.lower or 0) > 0:
        return Answer(
            "yes", strongly.kind, reading, domain=strongly.domain,
            certificates=strongly.certificates,
        )  # fmt: skip
    several = _several_targets(q)
    if several is not None:
        return several
    found = q.ask.sup(q.loss, wrong, {**whole, "z": (0.0, 240.0)}, goal=-1e-300, seconds=2.0)
    reach = _reach(q)
    # One valley in all: what lies between 240 nats and far out need not be looked at.
    if strongly.verdict == "yes" and strongly.domain == "every margin" and q.analytic:
        reach = max(reach, _reach(q, 1e30))
    if found.upper < 0 and reach > 0:
        limit = "every h*" if reach == math.inf else f"|h*| <= {min(reach, 180):.0f}"
        domain = limit + (", |ĥ| <= 60 nats" if q.uses_model else "")
        return answer(
            found, "yes", reading, domain=domain, value=None, lower=None, upper=None
        )  # fmt: skip
    return undecided("Whether a pair can have two targets, or none, was not decided.")


def _unique_slots(q, reading):
    first, second = q.subject.slots
    positive = []
    if first.log_weight is not None and _infinite(first.log_weight):
        return _endless(
            q,
            "Some pairs weigh nothing in one of the two orders, so that the other order's label is "
            "trusted without limit.",
        )
    if first.label is not None:
        for k in (0, 1):
            positive.append(graph._node(first.label[k]) + graph._node(second.label[1 - k]))
        least = least_label(q)
        if least.upper < 0:
            return _endless(q, "Pairs with a sure enough label have no finite target.")
        if not (least.lower >= 0):
            return undecided("Whether every pair has a target was not decided.")
    if all(map(_positive, positive)):
        return proved("yes", reading)
    found = q.ask.inf(Formula(-maximum(*(-p for p in positive)), ("h",)), graph.derivative(0))
    if found.lower > 0:
        return answer(found, "yes", reading, value=None, lower=None, upper=None)
    if q.endless is not None:
        return _endless(
            q, "Some pairs' labels are trusted without limit: they have no finite target."
        )
    return undecided("Whether every pair has a target was not decided.")


def _infinite(node):
    return any(
        n.kind == "number" and abs(n.value) == math.inf for n in topological(graph._node(node))
    )


def _endless(q, reading):
    h = q.endless
    if h is None:
        return undecided("Whether every pair has a target was not decided.")
    shown = f"assert abs(method.target({spelled(h)}, {spelled(h)})) == float('inf')"
    return Answer("no", "proved", reading, shown=shown)


def _several_targets(q):
    """A pair with two minima, with none, or with a level stretch: an Answer; None if unseen."""
    z = np.unique(np.concatenate([np.linspace(-60, 60, 1921), np.linspace(-240, 240, 481)]))
    models = (0.0, 1.0, -1.0, 4.0, -4.0, 12.0) if q.uses_model else (0.0,)
    for h_true in (1.0, 0.0, 0.25, 3.0, 6.0, 10.0, -2.0):
        p = 1 / (1 + math.exp(-h_true))
        for h in models:
            a, b = slopes_at(q, z, h), slopes_at(q, -z, -h)
            low = p * a[0] - (1 - p) * b[1]
            high = p * a[1] - (1 - p) * b[0]
            sign = np.where(low > 1e-14, 1, np.where(high < -1e-14, -1, 0))
            told = sign[sign != 0]
            text = f"h* = {h_true:g}" + (f", ĥ = {h:g} nats" if q.uses_model else " nats")
            # level because two pushes cancel, or because there is none; not because both fade
            flat = (sign == 0) & ((p * np.abs(a[0]) > 1e-6) | ((a[0] == 0) & (b[0] == 0)))
            if flat.sum() > 8 and (flat.all() or not q.analytic):
                first, last = z[flat][0], z[flat][-1]
                return _without_one(
                    q, h_true, h, (first, last), "level",
                    f"At {text} the risk is level over a stretch: the optimizer's path decides "
                    "where a pair ends.",
                )  # fmt: skip
            changes = told[1:] != told[:-1]
            falls = [k for k in np.flatnonzero(changes) if told[k] > 0 > told[k + 1]]
            if falls:
                where = z[sign != 0]
                k = falls[0]
                return _without_one(
                    q, h_true, h, (where[k], where[k + 1]), "hump",
                    f"At {text} the risk falls, rises and falls again: where a pair ends depends "
                    "on where it starts.",
                )  # fmt: skip
            if len(told) and (told == told[0]).all() and h_true:
                side = -float(told[0])
                far = _falls_to(q, h_true, h, side)
                if far > 0:
                    how_far = "without end" if far == math.inf else f"as far as {far:.3g} nats"
                    return _without_one(
                        q, h_true, h, (0.0, 240.0 * side), "endless",
                        f"At {text} the risk falls {how_far}: such a pair is never done.",
                    )  # fmt: skip
    return None


def _falls_to(q, h_true, h, side):
    """How far from 240 nats on the risk falls toward `side`, 1 or -1, as it does up to there.

    inf where its slope keeps its sign in an enclosure of the whole tail; else the farthest of
    points up to 1e300 nats at which it is told from 0, all of which fall; 0 where it turns.
    """
    p = 1 / (1 + math.exp(-h_true))
    node = q.loss.resolved(side * (p * q.slope() - (1 - p) * q.slope(True)))  # rises where > 0
    if node.kind == "number":
        return math.inf if node.value < 0 else 0.0
    z = side * np.geomspace(240.0, 1e300, 1201)
    ends = np.stack([z, z], axis=1)
    ends = np.concatenate([ends, [sorted((240.0 * side, math.inf * side))]])
    boxes = np.stack([ends, np.full_like(ends, h)], axis=1)[:, : len(q.loss.names)]
    ((low, high),) = enclosures([node], boxes, q.loss.names)
    if (low[:-1] > 0).any():
        return 0.0
    if high[-1] <= 0:
        return math.inf
    told = high[:-1] < 0
    return float(np.abs(z[told]).max()) if told.any() else 240.0


def _without_one(q, h_true, h, between, how, reading):
    first, last = map(spelled, between)
    check = {
        "level": f"assert abs(risk({first}) - risk({last})) < 1e-9 * (1 + abs(risk({first})))",
        "hump": f"a, b = {first}, {last}\n"
        "slope = lambda z: (risk(z + 1e-5) - risk(z - 1e-5)) / 2e-5\n"
        "assert slope(a) > 0 > slope(b)",
        "endless": f"side = {spelled(math.copysign(1.0, between[1]))}\n"
        "falling = [risk(side * z) for z in (0.0, 10.0, 60.0, 240.0, 1e4, 1e6)]\n"
        "assert falling[0] > falling[1] and falling == sorted(falling, reverse=True)",
    }[how]
    shown = (
        "from madpo_theory.ops import numpy_world as xp\n"
        f"h_true, h = {spelled(h_true)}, {spelled(h)}\n"
        "risk = lambda z: float(xp.sigmoid(h_true) * method.margin_loss(xp, z, h) + "
        "xp.sigmoid(-h_true) * method.margin_loss(xp, -z, -h))\n" + check
    )
    return Answer("no", "searched", reading, domain=f"h* = {h_true:g} nats", shown=shown)


def _reach(q, far=240.0):
    """The largest |h*| for which R' is known to be positive beyond z = far, whatever h."""
    nodes = [q.loss.resolved(s) for s in (q.slope(), q.slope(True))]
    edges = np.linspace(-60, 60, 241)
    names = q.loss.names
    if "h" in names:
        boxes = np.array([[(far, math.inf), (a, b)] for a, b in itertools.pairwise(edges)])
    else:
        boxes = np.array([[(far, math.inf)]])
    (a, _), (_, bm) = (
        enclosures(
            [n if n.kind != "number" else 0 * graph.variable("z") + n for n in nodes], boxes, names
        )
        if all(n.kind != "number" for n in nodes)
        else ((np.zeros(1), None), (None, np.zeros(1)))
    )
    if (bm >= 0).any():
        return 0.0
    with np.errstate(divide="ignore", over="ignore"):
        limits = np.where(a >= 0, np.inf, np.log(-bm) - np.log(np.maximum(-a, 1e-320)))
    return float(limits.min())


@question("calibrated", "with an exact model the target is h*")
def calibrated(q):
    if not q.determined:
        return undecided(NO_TARGET)
    _, h, target, _ = q.curve
    found = wider(sign_then_size(q, target - h), sign_then_size(q, h - target))
    endless = q.endless is not None or (not q.in_closed_form and q.saturation.upper < math.inf)
    if endless and found.kind != "proved":
        found = Found(math.inf, math.inf, found.witness, kind=found.kind)
    far, size = _worst(q, lambda t, h: abs(t - h))
    verdict = OPPOSITE[verdict_of(found)]
    if verdict == "undecided" and size > 1e-6:
        found.lower, found.kind, verdict = max(found.lower, size), "searched", "no"
    if verdict == "undecided":
        return answer(found, verdict, "Whether a right reward model gives the true margin is open.")
    if verdict == "yes":
        return answer(
            found, verdict, "With a right reward model the policy learns the true margins."
        )
    return answer(
        found, verdict,
        f"Even a right reward model does not give the true margin: at {far:.3g} nats the target "
        f"is off by {nats(size)}.",
        shown=f"assert abs(method.target({spelled(far)}, {spelled(far)}) - {spelled(far)}) > "
        f"{spelled(min(0.99 * size, 1e300))}" if verdict == "no" else None,
    )  # fmt: skip


def _worst(q, measure):
    """(margin, size) of the largest measure(target, margin) on the grid."""
    margins, targets = q.sampled
    with np.errstate(all="ignore"):
        sizes = measure(targets, margins)
    sizes = np.where(np.isnan(sizes), -np.inf, sizes)
    largest = sizes.max()
    near = largest * (1 - 5e-4) if largest > 0 else largest
    k = int(np.argmax(sizes >= near))  # where it is first seen
    return float(margins[k]), float(sizes[k])


@question("order", "with an exact model the target never falls as the margin grows")
def order(q):
    if not q.determined:
        return undecided(NO_TARGET)
    formula, _, _, options = q.curve
    if q.all_endless:
        return proved("yes", "Every target is infinite alike.", 0.0)
    if q.in_closed_form:
        falling = -graph.derivative(1)
    else:
        a, am, c, cm = q.slope(), q.slope(True), q.bend(), q.bend(True)
        if not q.uses_model:
            falling = a + am  # R' rises with h* where this is positive, whatever z is
            options = {"sides": {"z": HALF_LINE}}
        else:
            p, n = graph.sigmoid(graph.variable("h")), graph.sigmoid(-graph.variable("h"))
            by_h = p * n * (a + am) + p * q.loss.leaf(1, 1) + n * q.loss.leaf(1, 1, True)
            falling = by_h / (p * c + n * cm)
    found = q.ask.sup(formula, falling, **options | {"goal": RESOLUTION})
    lost, pair = _largest_fall(q)
    if found.upper <= RESOLUTION:
        return answer(
            found, "yes", "An easier pair never gets a smaller target than a harder one.",
            value=0.0, lower=0.0, upper=0.0,
        )  # fmt: skip
    if lost > 1e-6:
        a, b = pair
        return answer(
            found, "no",
            f"Pairs at {b:.3g} nats get {lost:.3g} nats less than pairs at {a:.3g}: lower the "
            "setting that dampens, or the margin at which it begins.",
            value=lost, lower=lost * (1 - 1e-9), upper=_fall_limit(q, lost),
            shown=f"assert method.target({spelled(a)}) > method.target({spelled(b)}) + "
            f"{spelled(0.99 * lost)}",
        )  # fmt: skip
    return answer(
        found, "undecided", "Whether some target falls was not decided.",
        value=None, lower=None, upper=None,
    )  # fmt: skip


def _largest_fall(q):
    """(nats, (h1, h2)): the largest T(h1) - T(h2), h1 < h2, on a grid."""
    margins, targets = q.sampled
    told = np.isfinite(targets)
    margins, targets = margins[told], targets[told]
    if not len(targets):
        return 0.0, (0.0, 0.0)
    highest = np.maximum.accumulate(targets)
    fall = highest - targets
    k = int(np.argmax(fall))
    first = int(np.argmax(targets[: k + 1]))
    return float(fall[k]), (float(margins[first]), float(margins[k]))


def _fall_limit(q, lost):
    """An upper bound on the fall between margins up to 60 nats; inf if none is stated."""
    if not q.in_closed_form:
        return math.inf
    edges = np.unique(np.concatenate([np.linspace(0, 60, 30001), q.subject.breaks["h"]]))
    edges = edges[(edges >= 0) & (edges <= 60)]
    boxes = np.stack([edges[:-1], edges[1:]], axis=1)[:, None, :]
    ((low, high),) = enclosures([q.subject.exact_target.node], boxes, ("h",))
    limit = float((np.maximum.accumulate(high) - low).max())
    return max(limit, lost) if math.isfinite(limit) else math.inf


@question("amplifies", "some margins get abs T > abs h")
def amplifies(q):
    if not q.determined:
        return undecided(NO_TARGET)
    if q.all_endless:
        return proved("yes", "Every pair is trained toward an infinite target.", math.inf)
    _, h, target, _ = q.curve
    over = sign_then_size(q, target - h)
    if over.kind == "proved" and over.upper == 0:
        return proved("no", "No pair is pushed beyond its margin.", 1.0)
    over = wider(over, sign_then_size(q, -target - h))
    at, size = _worst(q, lambda t, h: np.abs(t) - h)
    ratio = _largest_ratio(q)
    found = Found(ratio.lower, ratio.upper, over.witness, over.domain, over.kind, over.whole)
    found.certificates = over.certificates + ratio.certificates
    verdict = verdict_of(over)
    if verdict == "undecided" and size > RESOLUTION:
        verdict, found.kind = "yes", "searched"
    if q.endless is not None:
        found.lower = found.upper = math.inf
        verdict = "yes"
    reading = {
        "yes": f"Pairs near {at:.3g} nats are trained toward {nats(at + size)}.",
        "no": "No pair is pushed beyond its margin.",
        "undecided": "Whether any pair is pushed beyond its margin was not decided.",
    }[verdict]
    shown = f"h = {spelled(max(at, 1e-3))}\nassert abs(method.target(h)) <= h + 1e-9"
    return answer(found, verdict, reading, shown=shown if verdict == "no" else None)


def _largest_ratio(q):
    """:class:`Found` of sup T/h over h > 0."""
    formula, h, target, options = q.curve
    if q.endless is not None:
        return Found(math.inf, math.inf)
    least = sign_then_size(q, -target)
    size = target if least.upper <= RESOLUTION else magnitude(target)
    if q.in_closed_form:
        rise = graph.derivative(1) if size is target else magnitude(graph.derivative(1))
        near = q.ask.sup(formula, rise, **options | {"sides": {"h": (0.0, NEAR)}})
        inner = options | {"sides": {"h": (NEAR, math.inf)}, "seconds": 0.5}
        # T/h <= c where T <= c h, which takes fewer boxes: is the largest ratio that near 0?
        c = near.lower * (1 + 1e-6)
        far = q.ask.sup(formula, size - c * h, **inner, goal=0.0) if 0 < c < math.inf else near
        if far.upper <= 0:
            far = Found(-math.inf, c, certificates=far.certificates)
        else:  # (T - h)/h and not T/h: far out both grow, and their difference does not
            far = q.ask.sup(formula, 1 + (size - h) / h, **inner)
    elif not q.uses_model and q.smooth and q.forward:
        a, am, c, cm = q.slope(), q.slope(True), q.bend(), q.bend(True)
        inner = options | {"sides": {"z": (0.0, NEAR)}}
        near = q.ask.sup(formula, magnitude(1 / (c / a + cm / am)), **inner, seconds=0.3)
        far = q.ask.sup(
            formula, magnitude(target / h), **options | {"sides": {"z": (NEAR, math.inf)}},
            seconds=0.5,
        )  # fmt: skip
    else:
        near = Found(-math.inf, math.inf)
        far = near
    margins, targets = q.sampled
    with np.errstate(all="ignore"):
        seen = np.abs(targets[margins > 0]) / margins[margins > 0]
    lower = max(far.lower, float(np.nanmax(seen, initial=-np.inf)) * (1 - 1e-12))
    return Found(lower, max(near.upper, far.upper), far.witness,
                 certificates=near.certificates + far.certificates)  # fmt: skip


@question("dampens", "some margins get abs T < abs h")
def dampens(q):
    if not q.determined:
        return undecided(NO_TARGET)
    _, h, target, _ = q.curve
    if q.all_endless:
        return proved("no", "No pair is held below its margin: targets are infinite.", 0.0)
    least = sign_then_size(q, -target)  # a target of the label's sign is its own size
    found = sign_then_size(q, h - (target if least.upper <= RESOLUTION else magnitude(target)))
    if found.kind == "proved" and found.upper == 0:
        return proved("no", "No pair is held below its margin.", 0.0)
    if not q.in_closed_form and q.saturation.upper < math.inf:
        found = Found(math.inf, math.inf, found.witness, kind=found.kind)
    at, size = _worst(q, lambda t, h: h - np.abs(t))
    verdict = verdict_of(found)
    if verdict == "undecided" and size > RESOLUTION:
        verdict, found.kind, found.lower = "yes", "searched", max(found.lower, size)
    reading = {
        "yes": f"Pairs near {at:.3g} nats are held {nats(size)} nats short of their margin."
        if size > RESOLUTION
        else "Pairs of margins beyond 60 nats are held short of them.",
        "no": "No pair is held below its margin.",
        "undecided": "Whether any pair is held below its margin was not decided.",
    }[verdict]
    if verdict == "no":  # nothing is lost at h = 0, and no more elsewhere
        shown = f"h = {spelled(max(at, 1e-3))}\nassert abs(method.target(h)) >= h - 1e-9"
        limit = max(found.upper, 0.0)
        return answer(found, verdict, reading, shown=shown, value=0.0, lower=0.0, upper=limit)
    return answer(found, verdict, reading)


@question("saturates", "the target stays finite at a certain label")
def saturates(q):
    if not q.determined:
        return undecided(NO_TARGET)
    found = q.saturation
    if found.upper < math.inf:
        return answer(
            found, "yes", f"No label, however sure, asks for more than {nats(found.upper)} nats: "
            "the policy stays near the reference.",
        )  # fmt: skip
    if found.lower == math.inf:
        return answer(
            found, "no", "A sure label asks for an infinite margin: with few labels a pair, the "
            "step count and not the loss decides how far it goes.",
            shown="import numpy as np\nh = np.array([100.0, 300.0, 700.0])\n"
            f"near, far, farther = abs(method.target(h, {_certain_model(q)}))\n"
            "assert farther == float('inf') or 50 < near < far < farther",
        )  # fmt: skip
    return answer(found, "undecided", "How far a sure label pushes was not decided.")


def _certain_model(q):
    """As Python, the reward model's margins with which targets grow as the label becomes sure."""
    soft = q.subject.slots[0].label is not None if q.has_slots else q.in_closed_form
    return "h" if soft and q.uses_model else "0 * h"
