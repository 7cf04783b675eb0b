"""Questions about first steps, what a label tells, and tables of responses."""

import math

import numpy as np

from ...methods import Method
from .. import graph
from ..examiner import RESOLUTION, Found, constant, magnitude
from ..graph import mapped, number, substitute
from ..subject import Formula
from .inquiry import (
    HALF_LINE,
    NO_TARGET,
    OTHER,
    Answer,
    answer,
    nats,
    proved,
    question,
    spelled,
    undecided,
    unknown,
)


@question("first_step", "at z = 0 every pair is pushed at least as hard as by DPO")
def first_step(q):
    found = q.ask.inf(q.start, -2 * graph.derivative(0), tolerance=1e-6)
    lower, upper = found.lower, found.upper
    if lower >= 1 - RESOLUTION:
        return answer(found, "yes", "No pair starts slower than under DPO at the same β.")
    h = (found.witness or {}).get("h", 0.0)
    if upper < 1 - RESOLUTION:
        most = (1 + upper) / 2
        if upper <= RESOLUTION:
            most = max(upper / 2, -1.0) if upper < -RESOLUTION else 1e-6
        shown = (
            "from madpo_theory.ops import numpy_world as xp\n"
            f"h, step = {spelled(h)}, 1e-6\n"
            "push = -(method.margin_loss(xp, step, h) - method.margin_loss(xp, -step, h)) / step\n"
            f"assert push < {spelled(most)}"
        )
        return answer(found, "no", _slowest(upper), shown=shown)
    return answer(found, "undecided", "Whether some pair starts slower than under DPO is open.")


def _slowest(push):
    """What a smallest first push below DPO's, which is 1, means for its pairs."""
    if push == -math.inf:
        return "Some pairs are first pushed against their label, without bound."
    if push < -RESOLUTION:
        return f"Some pairs are first pushed against their label, at {nats(-push)} of DPO's push."
    if push <= RESOLUTION:
        return "Some pairs are not pushed at all at first."
    return f"Some pairs start at {nats(push)} of DPO's push: they need more steps."


@question("information", "it uses all of a label's information at its own target (N4)")
def information(q):
    if not q.determined:
        return undecided(NO_TARGET)
    if not q.smooth:
        between = mapped(
            q.loss.resolved(q.bend()), lambda n: number(0, None) if n.kind == "pulse" else None
        )
        if between.kind != "number" or between.value != 0:
            return undecided("What a label counts at a kink was not decided.")
        return proved(
            "no",
            "Between its kinks it has no curvature: sizes of margins are not learned from labels.",
            0.0,
        )
    if not q.forward:
        return undecided(NO_TARGET)
    a, am, c, cm = q.slope(), q.slope(True), q.bend(), q.bend(True)
    # variance of a label's slope over its curvature, at the target
    share = a * am * (a + am) / (am * c + a * cm)
    if q.in_closed_form and not q.has_slots:
        target = q.subject.exact_target.node
        pushes = [substitute(q.loss.resolved(x), {"z": target}) for x in (a, am)]
        if all(x.kind == "number" and x.value == 0 for x in pushes):
            return proved("no", "At its target neither label counts for anything.", 0.0)
        return undecided("What a label counts at its target was not decided.")
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
    apart = seen is None or seen[1] / seen[0] > 1 + 1e-3  # finite differences are good to 1e-5
    for tolerance in (1e-3, 2e-5) if apart else (2e-5,):  # the share is second order in it
        found = options | {"tolerance": tolerance, "seconds": 0.7}
        most = q.ask.sup(formula, statement, **found)
        least = q.ask.inf(formula, statement, **found)
        lower = _efficiency(max(least.lower, 0.0), most.upper)
        upper = _efficiency(least.upper, most.lower)
        if seen is not None and apart:
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
    """The share as a graph of h; its inverse p/w(-h) + (1 - p)/w(h) of a weight alone, which is
    bounded in fewer boxes: only the ratio of the extremes is asked for. An odd offset moves target
    and labels alike, and changes no share (N5)."""
    first, second = q.subject.slots
    if first.label is None and (first.offset is None or first.odd):
        if first.log_weight is None:
            return number(1, None)
        h = graph.variable("h")
        up, down = first.log_weight, second.log_weight
        return graph.sigmoid(h) * graph.exp(-down) + graph.sigmoid(-h) * graph.exp(-up)
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


def label_shares(method, margins):
    """Variance of a label's slope over its curvature at the exact target, by finite differences."""
    from ...ops import numpy_world as xp

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
    """(smallest, largest) of the shares at some margins; the row's number is at most theirs. None
    where some are not positive numbers."""
    margins = np.linspace(0.1, 8, 80)
    with np.errstate(all="ignore"):
        found = label_shares(q.subject.method, margins)
    if not np.isfinite(found).all() or (found <= 0).any():
        return None
    return float(found.min()), float(found.max())


def _share_shown():
    return (
        "import numpy as np\nfrom madpo_theory.audit.questions import label_shares\n"
        "shares = label_shares(method, np.linspace(0.1, 8.0, 80))\n"
        "assert shares.max() > 1.0001 * shares.min()"
    )


@question("additive", "three responses' targets can always be met together")
def additive(q):
    if not q.determined:
        return undecided(NO_TARGET)
    found = unknown()
    if q.in_closed_form and q.endless is None:
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
    if q.in_closed_form and q.endless is None:
        found = q.ask.sup(
            mismatch, magnitude(graph.derivative(0)), {"a": (-60.0, 60.0), "b": (-60.0, 60.0)},
            goal=RESOLUTION, seconds=1.0,
        )  # fmt: skip
    if found.upper <= RESOLUTION:
        return answer(found, "yes", "Three responses' targets always add up.")
    return answer(found, "undecided", "Whether three responses' targets add up was not decided.")


def _worst_triple(q):
    """((a, b), size) of the largest |T(a) + T(b) - T(a + b)| on a grid."""
    sizes = np.geomspace(0.05, 30, 60 if q.in_closed_form else 16)
    grid = np.concatenate([sizes, -sizes])
    a, b = (x.ravel() for x in np.meshgrid(grid, grid))
    with np.errstate(all="ignore"):
        ta, tb, tab = (np.asarray(q.subject.method.target(x, x)) for x in (a, b, a + b))
        sizes = np.abs(ta + tb - tab)
    # Infinite targets do not add up; a search that ended knows of none.
    sizes = np.where(np.isfinite(sizes), sizes, math.inf if q.in_closed_form else -math.inf)
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

    from ...methods import Pairs
    from ...ops import torch_world as xp

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
