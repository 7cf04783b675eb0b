"""The questions of the sheet, in their order, and how each is answered.

A question is a function of an :class:`Inquiry`. Losses with slots are answered by their closed
forms, others by boxes of (z, h) with the risk's slope

    R'(z) = sigma(h*) f_1(z; h) - sigma(-h*) f_1(-z; -h),

stationary where h* = Lambda(z; h) = log[f_1(-z; -h)/f_1(z; h)].
"""

import itertools
import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..methods import Method
from . import graph
from .boxes import enclosures
from .examiner import RESOLUTION, Examiner, Found, constant, grows, magnitude, maximum
from .graph import _positive, mapped, number, released, substitute, topological
from .subject import Formula

__all__ = ["QUESTIONS", "Answer", "Inquiry"]

QUESTIONS = {}
"""{id: (question, function)}."""
HALF_LINE = (0.0, math.inf)
NEAR = 1 / 64
"""Nats of the margin below which a ratio T/h is bounded by the slope of T."""


@dataclass
class Answer:
    """What a question was answered: the sheet's row without its question.

    `shown` is the body of the counterexample, Python after `method = ...`.
    """

    verdict: str
    kind: str
    reading: str
    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    domain: str = "every margin"
    shown: str | None = None
    certificates: list = field(default_factory=list)


def question(name, asked):
    """Decorator: the function answers the question `asked`."""

    def decorate(function):
        QUESTIONS[name] = asked, function
        return function

    return decorate


def verdict_of(found, limit=RESOLUTION):
    """Whether sup > limit: "yes", "no", or "undecided"."""
    if found.lower > limit:
        return "yes"
    return "no" if found.upper <= limit else "undecided"


OPPOSITE = {"yes": "no", "no": "yes", "undecided": "undecided"}


def numbers(found):
    """Value, lower and upper of what was found, by name."""
    if found.lower == -math.inf and found.upper == math.inf:
        return {"value": None, "lower": None, "upper": None}
    value = found.lower if math.isfinite(found.lower) else found.upper
    if found.lower == found.upper:
        value = found.lower
    value, lower, upper = (0.0 if x == 0 else float(x) for x in (value, found.lower, found.upper))
    if found.kind != "proved" and abs(value) < RESOLUTION / 10:
        value = 0.0
    return {"value": value, "lower": lower, "upper": upper}


def answer(found, verdict, reading, *, shown=None, **given):
    """An :class:`Answer` with the numbers, kind, domain and certificates of what was found."""
    return Answer(
        **{
            "verdict": verdict,
            "kind": found.kind,
            "reading": reading,
            "domain": found.domain,
            "shown": shown,
            "certificates": found.certificates,
            **numbers(found),
            **given,
        }
    )


def proved(verdict, reading, value=None, **given):
    """An answer that the slots' formula gives."""
    return Answer(verdict, "proved", reading, value, value, value, **given)


class Inquiry:
    """A subject, an examiner, and what several questions need."""

    def __init__(self, subject, *, seconds=10.0, quick=False):
        self.subject, self.quick = subject, quick
        breaks = {} if subject.form == "other" else subject.breaks
        self.ask = Examiner(seconds=seconds, quick=quick, breaks=breaks)
        self.answers = {}

    @property
    def has_slots(self):
        return self.subject.form == "slots"

    @property
    def uses_model(self):
        """Whether the loss depends on the reward model's margin."""
        return "h" in self.subject.loss.names

    # ------------------------------------------------- slopes of the loss, as statements

    @cached_property
    def loss(self):
        return self.subject.formula

    def slope(self, mirrored=False):
        return self.loss.leaf(1, 0, mirrored)

    def bend(self, mirrored=False):
        return self.loss.leaf(2, 0, mirrored)

    @cached_property
    def start(self):
        """The slope at z = 0 as a formula of h."""
        slope = self.loss.resolved(self.slope())
        return Formula(substitute(slope, {"z": number(0, None)}), ("h",))

    def first_slopes(self, h):
        """The loss's slope at z = 0 at margins h, as numbers."""
        node = self.start.node
        if not node.names:
            return np.full(len(h), constant(node))
        low, high = enclosures([node], np.stack([h, h], axis=1)[:, None, :], ("h",))[0]
        return (low + high) / 2

    # ------------------------------------------------------- the curve of exact targets

    @cached_property
    def curve(self):
        """Formula, statements of the true margin and of the target, and the options of `sup`."""
        if self.has_slots:
            formula = self.subject.exact_target
            options = {"sides": {"h": HALF_LINE}}
            if self.endless is not None:
                last = [t for t in self.subject.breaks["t"] if 0 < t]
                options["sides"] = {"h": (0.0, (last[0] if last else 0.0) * (1 - 1e-9))}
            return formula, graph.variable("h"), graph.derivative(0), options
        z = graph.variable("z")
        if not self.uses_model:
            a, am = -self.slope(), -self.slope(True)
            options = {"sides": {"z": HALF_LINE}, "positive": graph.minimum(a, am)}
            return self.loss, graph.log(am) - graph.log(a), z, options
        h = graph.variable("h")
        balance = graph.sigmoid(h) * self.slope() - graph.sigmoid(-h) * self.slope(True)
        options = {"sides": {"h": HALF_LINE}, "zero": balance, "tolerance": 1e-4, "seconds": 0.4}
        return self.loss, h, z, options

    def target(self, h_true, h_model=None):
        """A target as a number."""
        with np.errstate(all="ignore"):
            return float(
                self.subject.method.target(
                    float(h_true), float(h_true if h_model is None else h_model)
                )
            )

    @cached_property
    def sampled(self):
        """(margins, exact targets) on a grid, for examples; they prove nothing."""
        even, fine = (1201, 600) if self.has_slots else (241, 60)
        margins = np.concatenate([np.linspace(0, 60, even), np.geomspace(1e-3, 60, fine)])
        margins = np.unique(margins)
        with np.errstate(all="ignore"):
            return margins, np.asarray(self.subject.method.target(margins, margins))

    @cached_property
    def endless(self):
        """A true margin of an infinite exact target, or None."""
        margins, targets = self.sampled
        inside = (margins > 0) & (margins <= 30) & np.isinf(targets)
        return float(margins[inside][0]) if inside.any() else None

    @property
    def determined(self):
        """Whether pairs are known to have one target, so that a curve of them may be drawn; a
        convex loss with kinks may leave open where a pair of equal odds comes to rest."""
        if self.has_slots or self.answers["target_unique"].verdict == "yes":
            return True
        return self.answers["convex"].verdict == "yes" and not self.smooth and not self.uses_model

    @cached_property
    def smooth(self):
        """Whether no target sits at a kink, which a curve of stationary points would not show."""
        bend = self.loss.resolved(self.bend())
        return self.has_slots or all(n.kind != "pulse" for n in topological(bend))

    @cached_property
    def forward(self):
        """Whether the curve may be drawn: a loss without a model must push forward at the start."""
        return self.has_slots or self.uses_model or _slopes_at(self, 0.0, 0.0)[1][0] < 0

    def excess(self, statement, **more):
        """`sup` of a statement over the curve of exact targets."""
        if not (self.smooth and self.forward):
            return unknown()
        formula, _, _, options = self.curve
        found = self.ask.sup(formula, statement, **options | more)
        if found.upper == -math.inf:  # nothing on the curve: nothing is known
            return unknown()
        if "zero" in options and not self.quick and found.lower == -math.inf:
            found.witness = None
        return found

    @cached_property
    def saturation(self):
        """How far a target can go, whatever the labels and the reward model: a :class:`Found`."""
        if self.has_slots:
            slots = self.subject.slots[0]
            if slots.label is None or self.endless is not None:
                return Found(math.inf, math.inf, kind="proved")
            node = _at_certain_label(self)
            if node is None:
                return Found(-math.inf, math.inf)
            if node.kind == "number":
                value = float(node.value)
                return Found(value, value, kind="proved")
            return self.ask.sup(Formula(node, ("h",)), graph.derivative(0))
        # Beyond z the risk rises, whatever the labels, if f_1(z) >= 0 > f_1(-z).
        found = self.ask.sup(
            self.loss, graph.variable("z"), {"z": HALF_LINE},
            positive=maximum(-self.slope(), self.slope(True)), tolerance=1e-6, seconds=0.7,
        )  # fmt: skip
        if found.whole or self.quick:
            return found
        reached = math.inf if found.lower >= 200 else found.lower
        return Found(reached, math.inf, found.witness, "up to 240 nats", found.kind)


def unknown():
    """What is found where nothing is known between points."""
    return Found(-math.inf, math.inf, kind="searched", domain="points up to 60 nats")


def spelled(x):
    """A number as Python text that gives it back."""
    return repr(float(x)) if math.isfinite(x) else f"float('{x}')"


def nats(x):
    """A number of nats for a reader."""
    return "∞" if x == math.inf else f"{x:.3g}"


def undecided(reading, **given):
    return Answer("undecided", "searched", reading, **given)


def wider(one, two):
    """The larger of two suprema, as of a statement and of its negative."""
    both = Found(max(one.lower, two.lower), max(one.upper, two.upper))
    both.witness = one.witness if one.lower >= two.lower else two.witness
    both.whole = one.whole and two.whole
    both.domain = two.domain if one.whole else one.domain
    both.kind = (
        "proved"
        if one.kind == two.kind == "proved"
        else (one.kind if two.kind == "proved" else two.kind)
    )
    both.certificates = one.certificates + two.certificates
    return both


def sign_then_size(q, statement):
    """`excess` of a statement: whether it passes RESOLUTION first, then by how much."""
    first = q.excess(statement, goal=RESOLUTION)
    return first if first.upper <= RESOLUTION else q.excess(statement, tolerance=1e-4)


NO_TARGET = "It has no target that this sheet can follow, so this is not answered."
OTHER = "Its loss is no function of the margin, so this is not answered."


# ------------------------------------------------------------------------------ the loss


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
    least = _least_label(q)
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


def _least_label(q):
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
    return _bounded(
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


def _bounded(q, found, yes, no, shown, **given):
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
        kink = next((n for n in topological(q.loss.resolved(q.bend())) if n.kind == "pulse"), None)
        if found.upper == math.inf and kink is not None:
            found = Found(math.inf, math.inf, {"z": (q.subject.breaks["z"] or [0.0])[-1]})
    z = (found.witness or {}).get("z", 0.0)
    return _bounded(
        q, found,
        f"Plain gradient steps up to {nats(2 / max(found.upper, 1e-300))} in z are stable.",
        "It has a kink or bends without bound: no step size is safe everywhere.",
        "from madpo_theory.ops import numpy_world as xp\n"
        "bend = lambda z, s: (method.margin_loss(xp, z + s, 0.0) + method.margin_loss(xp, z - s, "
        "0.0) - 2 * method.margin_loss(xp, z, 0.0)) / s**2\n"
        f"places = {spelled(z)}, {spelled(-z)}, -50.0, 50.0, 1e3\n"
        "assert any(abs(bend(z, s)) > 1e2 for z in places for s in (1e-4, 1e-3))",
    )  # fmt: skip


# ------------------------------------------------------------------------------ targets


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
        least = _least_label(q)
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


def _slopes_at(q, z, h):
    """The loss's slope at points, as intervals; numbers broadcast."""
    node = q.loss.resolved(q.slope())
    z = np.atleast_1d(np.asarray(z, dtype=float))
    if not node.names:
        value = np.full(len(z), constant(node))
        return value, value
    points = np.stack([z, np.full(len(z), float(h))], axis=1)[:, : len(q.loss.names)]
    return enclosures([node], np.stack([points, points], axis=2), q.loss.names)[0]


def _several_targets(q):
    """A pair with two minima, with none, or with a level stretch: an Answer; None if unseen."""
    z = np.unique(np.concatenate([np.linspace(-60, 60, 1921), np.linspace(-240, 240, 481)]))
    models = (0.0, 1.0, -1.0, 4.0, -4.0, 12.0) if q.uses_model else (0.0,)
    for h_true in (1.0, 0.0, 0.25, 3.0, 6.0, 10.0, -2.0):
        p = 1 / (1 + math.exp(-h_true))
        for h in models:
            a, b = _slopes_at(q, z, h), _slopes_at(q, -z, -h)
            low = p * a[0] - (1 - p) * b[1]
            high = p * a[1] - (1 - p) * b[0]
            sign = np.where(low > 1e-14, 1, np.where(high < -1e-14, -1, 0))
            told = sign[sign != 0]
            text = f"h* = {h_true:g}" + (f", ĥ = {h:g} nats" if q.uses_model else " nats")
            # level because two pushes cancel, or because there is none; not because both fade
            flat = (sign == 0) & ((p * np.abs(a[0]) > 1e-6) | ((a[0] == 0) & (b[0] == 0)))
            if flat.sum() > 8:
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
            if len(told) and (told == told[0]).all() and abs(h_true) <= 10 and h_true:
                return _without_one(
                    q, h_true, h, (-240.0, 240.0), "endless",
                    f"At {text} the risk falls as far as 240 nats: such a pair is never done.",
                )  # fmt: skip
    return None


def _without_one(q, h_true, h, between, how, reading):
    first, last = map(spelled, between)
    check = {
        "level": f"assert abs(risk({first}) - risk({last})) < 1e-9 * (1 + abs(risk({first})))",
        "hump": f"a, b = {first}, {last}\n"
        "slope = lambda z: (risk(z + 1e-5) - risk(z - 1e-5)) / 2e-5\n"
        "assert slope(a) > 0 > slope(b)",
        "endless": "assert risk(240.0) <= risk(60.0) <= risk(10.0) < risk(0.0) or "
        "risk(-240.0) <= risk(-60.0) <= risk(-10.0) < risk(0.0)",
    }[how]
    shown = (
        "from madpo_theory.ops import numpy_world as xp\n"
        f"h_true, h = {spelled(h_true)}, {spelled(h)}\n"
        "risk = lambda z: float(xp.sigmoid(h_true) * method.margin_loss(xp, z, h) + "
        "xp.sigmoid(-h_true) * method.margin_loss(xp, -z, -h))\n" + check
    )
    return Answer("no", "searched", reading, domain=f"h* = {h_true:g} nats", shown=shown)


def _reach(q):
    """The largest |h*| for which R' is known to be positive beyond z = 240, whatever h."""
    nodes = [q.loss.resolved(s) for s in (q.slope(), q.slope(True))]
    edges = np.linspace(-60, 60, 241)
    names = q.loss.names
    if "h" in names:
        boxes = np.array([[(240.0, math.inf), (a, b)] for a, b in itertools.pairwise(edges)])
    else:
        boxes = np.array([[(240.0, math.inf)]])
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
    endless = q.endless is not None or (not q.has_slots and q.saturation.upper < math.inf)
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
    if q.endless is not None and options["sides"]["h"][1] == 0:
        return proved("yes", "Every target is infinite alike.", 0.0)
    if q.has_slots:
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
    """An upper bound on the fall between margins up to 60 nats; inf without slots."""
    if not q.has_slots:
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
    if q.endless is not None and q.curve[3]["sides"]["h"][1] == 0:
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
    if q.has_slots:
        rise = graph.derivative(1) if size is target else magnitude(graph.derivative(1))
        near = q.ask.sup(formula, rise, **options | {"sides": {"h": (0.0, NEAR)}})
        far = q.ask.sup(
            formula, size / h, **options | {"sides": {"h": (NEAR, math.inf)}}, seconds=0.5
        )
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
    lower = max(far.lower, float(np.nanmax(seen)) * (1 - 1e-12))
    return Found(lower, max(near.upper, far.upper), far.witness,
                 certificates=near.certificates + far.certificates)  # fmt: skip


@question("dampens", "some margins get abs T < abs h")
def dampens(q):
    if not q.determined:
        return undecided(NO_TARGET)
    _, h, target, _ = q.curve
    if q.endless is not None and q.curve[3]["sides"]["h"][1] == 0:
        return proved("no", "No pair is held below its margin: targets are infinite.", 0.0)
    least = sign_then_size(q, -target)  # a target of the label's sign is its own size
    found = sign_then_size(q, h - (target if least.upper <= RESOLUTION else magnitude(target)))
    if found.kind == "proved" and found.upper == 0:
        return proved("no", "No pair is held below its margin.", 0.0)
    if not q.has_slots and q.saturation.upper < math.inf:
        found = Found(math.inf, math.inf, found.witness, kind=found.kind)
    at, size = _worst(q, lambda t, h: h - np.abs(t))
    verdict = verdict_of(found)
    if verdict == "undecided" and size > RESOLUTION:
        verdict, found.kind, found.lower = "yes", "searched", max(found.lower, size)
    reading = {
        "yes": f"Pairs near {at:.3g} nats are held {nats(size)} nats short of their margin.",
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
            shown="import numpy as np\nassert abs(method.target(np.array([700.0]), "
            f"np.array([{spelled(_certain_model(q))}]))[0]) > 50",
        )  # fmt: skip
    return answer(found, "undecided", "How far a sure label pushes was not decided.")


def _certain_model(q):
    return 700.0 if q.has_slots and q.subject.slots[0].label is not None else 0.0


def _at_certain_label(q):
    """The target of slots for h* -> inf, as a graph of h."""
    t = graph.variable("t")

    def leaf(node):
        if node.kind in ("sigmoid", "softplus") and "t" in node.args[0].names:
            slope = graph.diff(node.args[0], "t")
            if slope.kind == "number" and node.kind == "sigmoid":
                return number(1 if slope.value > 0 else 0, None)
        return None

    node = mapped(q.subject.target.node, leaf)
    if t in topological(node):
        return None
    return node


# ------------------------------------------------------------------- the reward model's errors


@question("influence", "a wrong reward model moves a target, from what it is at ĥ = 0, by a "
          "bounded amount")  # fmt: skip
def influence(q):
    if not q.uses_model:
        return proved("yes", "It asks no reward model: none can mislead it.", 0.0)
    if not q.determined:
        return undecided(NO_TARGET)
    if q.has_slots:
        node = q.subject.target.node
        if "h" not in node.names:
            return proved("yes", "The reward model moves no lone pair's target.", 0.0)
        shift = node - substitute(node, {"h": number(0, None)})
        if graph.diff(shift, "t").kind == "number":
            shift = substitute(shift, {"t": number(0, None)})
        sides = {"h": HALF_LINE} if "t" not in shift.names else {}
        names = [n for n in ("t", "h") if n in shift.names]
        moved, options = Formula(shift, names), {"sides": sides, "tolerance": 1e-5}
        found = wider(
            q.ask.sup(moved, graph.derivative(0), **options),
            q.ask.sup(moved, -graph.derivative(0), **options),
        )
        if q.endless is not None and found.upper == math.inf:
            found = Found(math.inf, math.inf, {"h": q.endless}, kind="proved")
    else:
        found = _influence_searched(q)
    at = (found.witness or {}).get("h", 50.0)
    return _bounded(
        q, found, "A wrong reward model moves a target by at most {value} nats.",
        "A wrong reward model can move a target as far as it likes: clip its margins.",
        f"import math\nfar = max(abs(method.target(0.0, h) - method.target(0.0, 0.0)) for h in "
        f"(1e4, {spelled(max(abs(at), 1e4))}, 10.0))\nassert far > 5.0 or math.isinf(far)",
    )  # fmt: skip


def _influence_searched(q):
    found = max(
        (
            abs(q.target(t, h) - q.target(t, 0.0))
            for t in (0.0, 1.0, 4.0)
            for h in (-60.0, -8, 8, 60)
        ),
        default=0.0,
    )
    nearer = max(abs(q.target(t, h) - q.target(t, 0.0)) for t in (0.0, 1.0, 4.0) for h in (-30, 30))
    if found > 1.5 * nearer > 5:
        return Found(found, math.inf, {"h": 60.0}, "searched up to |ĥ| = 60 nats", "searched")
    return Found(found, math.inf, {"h": 60.0}, "searched up to |ĥ| = 60 nats", "searched")


@question("sensitivity", "the target is Lipschitz in the reward model's margin")
def sensitivity(q):
    if not q.uses_model:
        return proved("yes", "It asks no reward model: none can mislead it.", 0.0)
    if not q.determined:
        return undecided(NO_TARGET)
    if q.has_slots:
        formula = q.subject.target
        slope = formula.resolved(graph.derivative(0, 1))
        if slope.kind == "number" and slope.value == 0:
            return proved("yes", "The reward model moves no lone pair's target.", 0.0)
        if any(n.kind == "pulse" for n in topological(slope)) or q.endless is not None:
            found = Found(math.inf, math.inf, {"h": 0.0}, kind="proved")
        else:
            found = q.ask.sup(  # the slope is the same at (-t, -h)
                formula, magnitude(graph.derivative(0, 1)), {"h": HALF_LINE}, seconds=1.5
            )
    else:
        t = graph.variable("t")
        p, n = graph.sigmoid(t), graph.sigmoid(-t)
        a, am = q.slope(), q.slope(True)
        statement = magnitude(
            (p * q.loss.leaf(1, 1) + n * q.loss.leaf(1, 1, True))
            / (p * q.bend() + n * q.bend(True))
        )
        found = q.ask.sup(
            q.loss, statement, {"t": (-60.0, 60.0), "h": (-60.0, 60.0), "z": (-240.0, 240.0)},
            zero=p * a - n * am, tolerance=0.02, seconds=2.0,
        )  # fmt: skip
        found.lower = max(found.lower, _steepest(q))
    return _bounded(
        q, found, "An error of 1 nat in the reward model moves a target by at most {value} nats.",
        "A tiny change of the reward model's margin can move a target by a leap.",
        "steep = max(abs(method.target(1.0, h + s) - method.target(1.0, h - s)) / (2 * s) for h in "
        "(0.0, 1.0, 5.0) for s in (1e-6, 1e-4))\nassert steep > 1e2 or steep != steep",
    )  # fmt: skip


def _steepest(q):
    return max(
        abs(q.target(t, h + 1e-4) - q.target(t, h - 1e-4)) / 2e-4
        for t in (0.0, 2.0, 5.0)
        for h in (-5.0, -1.0, 0.5, 2.0, 6.0)
    )


# --------------------------------------------------------------------- steps, labels, triples


@question("first_step", "at z = 0 every pair is pushed at least as hard as by DPO")
def first_step(q):
    found = q.ask.inf(q.start, -2 * graph.derivative(0), tolerance=1e-6)
    lower, upper = found.lower, found.upper
    if lower >= 1 - RESOLUTION:
        return answer(found, "yes", "No pair starts slower than under DPO at the same β.")
    h = (found.witness or {}).get("h", 0.0)
    if upper < 1 - RESOLUTION:
        shown = (
            "from madpo_theory.ops import numpy_world as xp\n"
            f"h, step = {spelled(h)}, 1e-6\n"
            "push = -(method.margin_loss(xp, step, h) - method.margin_loss(xp, -step, h)) / step\n"
            f"assert push < 1 - {spelled(min(0.5, (1 - upper) / 2))}"
        )
        return answer(
            found, "no", f"Some pairs start at {nats(max(upper, 0))} of DPO's push: they need more "
            "steps.", shown=shown,
        )  # fmt: skip
    return answer(found, "undecided", "Whether some pair starts slower than under DPO is open.")


@question("information", "it uses all of a label's information at its own target (N4)")
def information(q):
    if not q.determined:
        return undecided(NO_TARGET)
    if not q.smooth:
        return answer(
            Found(0.0, 0.0, kind="proved"), "no",
            "Between its kinks it has no curvature: sizes of margins are not learned from labels.",
        )  # fmt: skip
    if not q.forward:
        return undecided(NO_TARGET)
    a, am, c, cm = q.slope(), q.slope(True), q.bend(), q.bend(True)
    # variance of a label's slope over its curvature, at the target
    share = a * am * (a + am) / (am * c + a * cm)
    if q.has_slots:
        if q.endless is not None:
            return undecided("Pairs without a finite target have no share to speak of.")
        formula, options = Formula(_slot_share(q, share), ("h",)), {"sides": {"h": HALF_LINE}}
        statement = graph.derivative(0)
        if not formula.node.names and constant(formula.node) == 0:
            return proved("no", "At its target the label counts for nothing.", 0.0)
        if not formula.node.names:
            return proved("yes", "No label is wasted.", 1.0)
    else:
        formula, _, _, options = q.curve
        statement = share
        try:
            formula.resolved(share)
        except ValueError:  # curvatures that cancel: no weighing of labels
            return undecided("At its target a label has no curvature to be weighed by.")
    seen = _seen_shares(q)
    for tolerance in (1e-3, 2e-5):  # the share is second order in it
        found = options | {"tolerance": tolerance, "seconds": 0.7}
        most = q.ask.sup(formula, statement, **found)
        least = q.ask.inf(formula, statement, **found)
        lower = _efficiency(max(least.lower, 0.0), most.upper)
        upper = _efficiency(least.upper, most.lower)
        if seen is not None:
            upper = min(upper, _efficiency(*seen))
        if upper < 1 - RESOLUTION or lower >= 1 - RESOLUTION:
            break
    found = Found(
        lower, max(upper, lower), least.witness, least.domain if not least.whole else most.domain,
        most.kind, certificates=most.certificates + least.certificates,
    )  # fmt: skip
    numbers_ = {
        "value": found.upper if found.upper < 1 else 1.0,
        "lower": lower,
        "upper": found.upper,
    }
    if lower >= 1 - RESOLUTION:
        return answer(found, "yes", "No label is wasted.", **numbers_)
    if found.upper < 1 - RESOLUTION:
        return answer(
            found, "no",
            f"Where pairs share parameters, labels can count as little as {found.upper:.3g} of "
            "themselves.", shown=_share_shown(), **numbers_,
        )  # fmt: skip
    return answer(found, "undecided", "Whether a label is wasted was not decided.", **numbers_)


def _slot_share(q, share):
    """The share as a graph of h: w(h) w(-h)/(p w(h) + (1 - p) w(-h)) of a weight alone."""
    first, second = q.subject.slots
    if first.label is None and first.offset is None:
        if first.log_weight is None:
            return number(1, None)
        h = graph.variable("h")
        up, down = first.log_weight, second.log_weight
        mean = graph.sigmoid(h) * graph.exp(up) + graph.sigmoid(-h) * graph.exp(down)
        return graph.exp(up + down) / mean
    return substitute(q.loss.resolved(share), {"z": q.subject.exact_target.node})


def _efficiency(low, high):
    """The least efficiency of weighted estimates whose variances over curvatures lie in [low, high]
    (Kantorovich): 4 r/(1 + r)^2, r = low/high."""
    if math.isinf(low) or high == -math.inf:
        return 1.0  # nothing is known
    if not (high > 0 and low > 0) or math.isinf(high):
        return 0.0
    r = min(low / high, 1.0)
    return 4 * r / (1 + r) ** 2


def _shares(method, margins):
    """Variance of a label's slope over its curvature at the exact target, by finite differences."""
    from ..ops import numpy_world as xp

    t = np.asarray(method.target(margins, margins))
    s = 1e-5
    p = xp.sigmoid(margins)

    def slope(z, h):
        return (method.margin_loss(xp, z + s, h) - method.margin_loss(xp, z - s, h)) / (2 * s)

    def bend(z, h):
        return (slope(z + 1e-3, h) - slope(z - 1e-3, h)) / 2e-3

    variance = p * slope(t, margins) ** 2 + (1 - p) * slope(-t, -margins) ** 2
    return variance / (p * bend(t, margins) + (1 - p) * bend(-t, -margins))


def _seen_shares(q):
    """(smallest, largest) of the shares at some margins; the row's number is at most theirs."""
    margins = np.linspace(0.1, 8, 80)
    with np.errstate(all="ignore"):
        found = _shares(q.subject.method, margins)
    if not np.isfinite(found).all() or (found <= 0).any():
        return None
    # finite differences are good to about 1e-5
    low, high = float(found.min()), float(found.max())
    return (low, high) if high / low > 1 + 1e-3 else None


def _share_shown():
    return (
        "import numpy as np\nfrom madpo_theory.audit.questions import _shares\n"
        "shares = _shares(method, np.linspace(0.1, 8.0, 80))\n"
        "assert shares.max() > 1.0001 * shares.min()"
    )


@question("additive", "three responses' targets can always be met together")
def additive(q):
    if not q.determined:
        return undecided(NO_TARGET)
    found = unknown()
    if q.has_slots and q.endless is None:
        node = q.subject.exact_target.node
        a, b = graph.variable("a"), graph.variable("b")
        parts = [substitute(node, {"h": x}) for x in (a, b, a + b)]
        mismatch = Formula(parts[0] + parts[1] - parts[2], ("a", "b"))
        if not mismatch.node.names:
            return proved("yes", "Three responses' targets always add up.", 0.0)
    at, size = _worst_triple(q)
    if size > RESOLUTION:
        # T(a) + T(b) - T(a + b) is the same of T - h: at most three times what either reaches.
        limits = [q.answers[name] for name in ("calibrated", "saturates")]
        known = [3 * x.upper for x in limits if x.upper is not None and x.domain == "every margin"]
        upper = max(size, min(known, default=math.inf))
        a, b = at
        return answer(
            found, "no",
            f"Three responses {a:.3g} and {b:.3g} nats apart ask for margins that do not add up, "
            f"by {nats(size)} nats: a compromise that depends on which pairs are sampled.",
            value=size, lower=size * (1 - 1e-9), upper=upper,
            shown=f"a, b = {spelled(a)}, {spelled(b)}\n"
            "mismatch = method.target(a) + method.target(b) - method.target(a + b)\n"
            f"assert not abs(mismatch) < {spelled(0.99 * size if size < math.inf else 1e9)}",
        )  # fmt: skip
    if q.has_slots and q.endless is None:
        found = q.ask.sup(
            mismatch, magnitude(graph.derivative(0)), {"a": (-60.0, 60.0), "b": (-60.0, 60.0)},
            goal=RESOLUTION, seconds=1.0,
        )  # fmt: skip
    if found.upper <= RESOLUTION:
        return answer(found, "yes", "Three responses' targets always add up.")
    return answer(found, "undecided", "Whether three responses' targets add up was not decided.")


def _worst_triple(q):
    """((a, b), size) of the largest |T(a) + T(b) - T(a + b)| on a grid."""
    sizes = np.geomspace(0.05, 30, 60 if q.has_slots else 16)
    grid = np.concatenate([sizes, -sizes])
    a, b = (x.ravel() for x in np.meshgrid(grid, grid))
    with np.errstate(all="ignore"):
        ta, tb, tab = (np.asarray(q.subject.method.target(x, x)) for x in (a, b, a + b))
        sizes = np.abs(ta + tb - tab)
    sizes = np.where(np.isnan(sizes), math.inf, sizes)  # infinite targets do not add up
    k = int(np.argmax(sizes))
    return (float(a[k]), float(b[k])), float(sizes[k])


@question("displacement", "in the first step on tables of two and three responses the chosen one "
          "always gains probability")  # fmt: skip
def displacement(q):
    if q.subject.form == "other":
        return _other_displacement(q)

    def push(h):
        """Toward the better response, in the first step, per unit of its margin's slope."""
        p = 1 / (1 + np.exp(-h))
        return -p * q.first_slopes(h) + (1 - p) * q.first_slopes(-h)

    grid = np.geomspace(0.05, 40, 60)
    pushes = push(grid)
    if (pushes < -1e-9).any():
        h = float(grid[int(np.argmin(pushes))])
        return _displaced(q, [h, 0.0], [0.5, 0.5], 0, 1)
    # The middle one of three responses: chosen over the lowest, it yields to the highest.
    near, far = (x.ravel() for x in np.meshgrid(grid, grid))
    highest, middle = push(far) + push(near + far), push(near) - push(far)
    gain = middle - (highest + middle - push(near) - push(near + far)) / 3
    k = int(np.argmin(gain))
    if gain[k] >= -1e-9:
        return undecided("No table was found on which a chosen response loses, and none excluded.")
    return _displaced(q, [float(near[k] + far[k]), float(near[k]), 0.0], [1 / 3] * 3, 1, 2)


def _displaced(q, scores, reference, chosen, rejected):
    shown = (
        "from madpo_theory.audit.questions import first_step_gains\n"
        f"gains = first_step_gains(method, {scores!r}, {reference!r})\n"
        f"assert {scores[chosen]!r} > {scores[rejected]!r} and gains[{chosen}] < 0"
    )
    with_better = len(scores) == 3
    return Answer(
        "no", "searched",
        "A chosen response loses probability in the first step when a better one stands beside it."
        if with_better
        else "Even of two responses the better one loses probability in the first step.",
        domain=f"true scores {', '.join(f'{s:.3g}' for s in scores)} nats",
        shown=shown,
    )  # fmt: skip


def first_step_gains(method, scores, reference):
    """d log pi of each response in the first step of descent on a table's risk.

    All couples are labelled alike often by Bradley-Terry with the given true scores (nats), the
    reward model is exact, the logits start at those of `reference` and move against the gradient.
    Per unit of step, in units of the loss; exact but for rounding.
    """
    import torch

    from ..methods import Pairs
    from ..ops import torch_world as xp

    scores = torch.tensor(scores, dtype=torch.float64)
    reference = torch.tensor(reference, dtype=torch.float64)
    logits = reference.log().clone().requires_grad_()
    logs = torch.log_softmax(logits, 0)
    winner, loser = map(
        torch.tensor,
        zip(
            *((i, j) for i in range(len(scores)) for j in range(len(scores)) if i != j), strict=True
        ),
    )
    margin = scores[winner] - scores[loser]
    ones = torch.ones_like(margin)
    pairs = Pairs(
        logs[winner],
        logs[loser],
        reference.log()[winner],
        reference.log()[loser],
        margin,
        ones,
        ones,
    )
    if method.is_margin_loss:
        chosen, rejected = method.log_ratios(xp, pairs)
        chosen = chosen - chosen.detach()  # a table starts at z = 0, whatever is left out
        rejected = rejected - rejected.detach()
        losses = method.margin_loss(xp, method.beta * (chosen - rejected), margin)
    else:
        losses = method.losses(xp, pairs)
    (gradient,) = torch.autograd.grad((torch.sigmoid(margin) * losses).sum(), logits)
    step = -gradient
    return (step - (reference * step).sum()).tolist()


# ------------------------------------------------------------- losses of two log-ratios


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

    from ..ops import torch_world as xp

    if type(method).pair_loss is Method.pair_loss:
        return None
    places = [(a, b, h) for a in (0.0, -2.0, 1.5) for b in (0.0, -1.0, 2.0) for h in (0.5, -3.0)]
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


def _other_displacement(q):
    """A table on which a loss of two log-ratios takes from the better response, if one is seen."""
    if "batch" in q.subject.method.needs or type(q.subject.method).pair_loss is Method.pair_loss:
        return undecided(OTHER)
    sizes = (0.1, 0.5, 1.0, 3.0, 8.0)
    for scores, references in (
        ([[s, 0.0] for s in sizes], ([0.5, 0.5], [0.9, 0.1], [0.1, 0.9])),
        ([[s + t, s, 0.0] for s in sizes for t in sizes], ([1 / 3] * 3, [0.1, 0.8, 0.1])),
    ):
        for table in scores:
            for reference in references:
                gains = first_step_gains(q.subject.method, table, reference)
                place = len(table) - 2  # the better of two, the middle one of three
                if gains[place] < -1e-9:
                    return _displaced(q, table, list(reference), place, place + 1)
    return undecided("No table was found on which a chosen response loses, and none excluded.")


def ask(inquiry, progress=None):
    """{id: Answer} of every question, in order."""
    for name, (_, function) in QUESTIONS.items():
        if inquiry.subject.form == "other" and name not in ("margin_form", "displacement"):
            inquiry.answers[name] = undecided(OTHER)
        else:
            inquiry.answers[name] = function(inquiry)
        if progress is not None:
            progress(name)
    return inquiry.answers
