"""Questions about what a wrong reward model does to a target."""

import math

from .. import graph
from ..examiner import Found, magnitude
from ..graph import number, substitute, topological
from ..subject import Formula
from .inquiry import (
    HALF_LINE,
    NO_TARGET,
    proved,
    question,
    spelled,
    undecided,
    wider,
)
from .loss import bounded


@question("influence", "a wrong reward model moves a target, from what it is at ĥ = 0, by a "
          "bounded amount")  # fmt: skip
def influence(q):
    if not q.uses_model:
        return proved("yes", "It asks no reward model: none can mislead it.", 0.0)
    if not q.determined:
        return undecided(NO_TARGET)
    if q.in_closed_form:
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
    return bounded(
        q, found, "A wrong reward model moves a target by at most {value} nats.",
        "A wrong reward model can move a target as far as it likes: clip its margins.",
        "moved = lambda h: abs(method.target(0.0, h) - method.target(0.0, 0.0))\n"
        f"assert moved(1e6) > moved(1e4) > 5.0 or float('inf') in map(moved, "
        f"(1e6, 1e4, {spelled(at)}))",
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
    return Found(found, math.inf, {"h": 60.0}, "searched up to |ĥ| = 60 nats", "searched")


@question("sensitivity", "the target is Lipschitz in the reward model's margin")
def sensitivity(q):
    if not q.uses_model:
        return proved("yes", "It asks no reward model: none can mislead it.", 0.0)
    if not q.determined:
        return undecided(NO_TARGET)
    if q.in_closed_form:
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
    return bounded(
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
