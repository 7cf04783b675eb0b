"""How a question is asked: what is known of a subject, and how an answer is made."""

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .. import graph
from ..boxes import enclosures
from ..examiner import RESOLUTION, Examiner, Found, constant, maximum
from ..graph import mapped, number, substitute, topological
from ..subject import Formula

ASKED = {}
"""{id: (question, function)}, in the order in which the rooms were entered."""
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
        ASKED[name] = asked, function
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
    def in_closed_form(self):
        """Whether the targets are a formula, of slots or the method's own."""
        return self.subject.states_target

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
        if self.in_closed_form:
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
        even, fine = (1201, 600) if self.in_closed_form else (241, 60)
        margins = np.concatenate([np.linspace(0, 60, even), np.geomspace(1e-3, 60, fine)])
        margins = np.unique(margins)
        with np.errstate(all="ignore"):
            targets = np.asarray(self.subject.method.target(margins, margins))
        # A search that ended knows of no infinite target, only of none so near.
        return margins, targets if self.in_closed_form else _told(targets)

    @cached_property
    def endless(self):
        """A true margin of an infinite exact target, or None."""
        margins, targets = self.sampled
        inside = (margins > 0) & (margins <= 30) & np.isinf(targets)
        return float(margins[inside][0]) if inside.any() else None

    @property
    def all_endless(self):
        """Whether every exact target is infinite, which a formula of them says."""
        return self.endless is not None and self.curve[3]["sides"]["h"][1] == 0

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
        return self.in_closed_form or all(n.kind != "pulse" for n in topological(bend))

    @cached_property
    def analytic(self):
        """Whether the loss is one formula without branches: level nowhere unless everywhere."""
        branches = ("where", "minimum", "pulse")
        return all(n.kind not in branches for n in topological(self.loss.node))

    @cached_property
    def forward(self):
        """Whether the curve may be drawn: a loss without a model must push forward at the start."""
        return self.in_closed_form or self.uses_model or slopes_at(self, 0.0, 0.0)[1][0] < 0

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
        if self.in_closed_form:
            hard = self.has_slots and self.subject.slots[0].label is None
            if hard or self.endless is not None:
                return Found(math.inf, math.inf, kind="proved")
            node = at_certain_label(self)
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
        if found.lower >= 200 and _always_pushed(self):
            return Found(math.inf, math.inf, found.witness, kind=found.kind)
        return Found(found.lower, math.inf, found.witness, "up to 240 nats", found.kind)


def _always_pushed(q):
    """Whether a sure label pushes a pair on, however far it is, at ĥ = 0: f_1(z) < 0 for z > 240.

    The tail's enclosure excludes a push back; that there is one forward, a formula without branches
    says, or else points up to 1e300 nats.
    """
    node = q.loss.resolved(q.slope())
    if node.kind == "number":
        return node.value < 0
    tail = np.array([[(240.0, math.inf), (0.0, 0.0)][: len(q.loss.names)]])
    pushed = enclosures([node], tail, q.loss.names)[0][1][0] <= 0
    if not pushed or q.analytic:
        return bool(pushed)
    return bool((slopes_at(q, np.geomspace(240, 1e300, 1201), 0.0)[0] < 0).all())


def _told(targets):
    """Targets, NaN for what is infinite."""
    return np.where(np.isinf(targets), np.nan, targets)


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


def slopes_at(q, z, h):
    """The loss's slope at points, as intervals; numbers broadcast."""
    node = q.loss.resolved(q.slope())
    z = np.atleast_1d(np.asarray(z, dtype=float))
    if not node.names:
        value = np.full(len(z), constant(node))
        return value, value
    points = np.stack([z, np.full(len(z), float(h))], axis=1)[:, : len(q.loss.names)]
    return enclosures([node], np.stack([points, points], axis=2), q.loss.names)[0]


def at_certain_label(q):
    """The stated target for h* -> inf, as a graph of h."""
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
