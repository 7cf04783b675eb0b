"""The theorems that hold of every method in slots, put to the test on one of the user's.

:func:`theorems` makes claims of a Method, numbers included, for :func:`~.ledger.verify`. The
ledger shows them of all methods at once, symbol by symbol (C1 to C6, T1, T6, L1, R1, R2); what is
looked at here is whether a method's own formulas do as it says: in every number world, odd where
they must be, the closed form where its training loss is lowest.
"""

from dataclasses import fields, replace

import numpy as np
import torch
from flint import arb, arb_series, ctx
from hypothesis import strategies as st
from scipy.special import expit

from ..certify.enclosure import precision
from ..methods.base import check_formulas, method_of
from ..methods.search import searched_target
from ..ops import arb_world, numpy_world, torch_world
from ..simulate import PairProblem, solve
from ..weights.base import check_log_weight
from .evidence import REACH, TargetBounds, covered, must, observed, property_test, simulated
from .ledger import Claim
from .settings import label_scores, margins

__all__ = ["theorems"]

NEAR = 8.0
"""Nats of a margin up to which float64 resolves a search of the risk's slope."""


def theorems(method, called=None):
    """(claims, what does not apply): the theorems of a method, to be verified on its own formulas.

    Parameters
    ----------
    method : a :class:`Method`, or the name of one. ValueError for one without slots, of which no
        theorem here speaks.
    called : what its claims call it; by default its name, or its class's.

    `what does not apply` is a list of "ids: why". The certified ranges are searched for here.
    """
    method = method_of(method)
    called = called or type(method).name or type(method).__qualname__
    if not method.has_slots:
        raise ValueError(
            f"{called} has no slots (weight, soft label, offset, temperature), so C1 to "
            "C4, T1, T5, T6, L1, R1, R2, L5 and C6 say nothing of it; give its loss as "
            "slots(xp, h) if it can be one"
        )
    check_formulas(method)
    if (weighting := method.slot_weighting) is not None:
        check_log_weight(method.title, weighting.log_weight)
    makers = (_target, _shift, _order, _first_step, _landscape, _errors, _scale, _tables)
    made = [make(method) for make in makers]
    return (
        tuple(
            replace(claim, reading=f"{called}: {claim.reading}")
            for claim in made
            if isinstance(claim, Claim)
        ),
        [reason for reason in made if not isinstance(reason, Claim)],
    )


def models(largest):
    """Margins of the reward model but 0, where a weight may jump."""
    return margins(largest).filter(bool)


def _claim(id, statement, reading, evidence, assumptions="slots constant in z"):
    return Claim(
        id=id,
        statement=statement,
        reading=reading,
        source="derived here",
        assumptions=assumptions,
        verdict="holds",
        evidence=tuple(evidence),
    )


# ------------------------------------------------------------------- the training loss, by series


def _risk(method, z, h_true, h_model):
    won, lost = arb_world.sigmoid(h_true), arb_world.sigmoid(-h_true)
    chosen = method.margin_loss(arb_world, z, h_model)
    return won * chosen + lost * method.margin_loss(arb_world, -z, -h_model)


def _slope(method, z, h_true, h_model):
    return _risk(method, arb_series([z, 1], prec=2), h_true, h_model)[1]


def _at(method, h_true, h_model=None):
    """The target of numbers, or of arrays, in floats."""
    found = method.target(h_true, h_true if h_model is None else h_model)
    return np.asarray(found, dtype=float)


def _searched(method, h_true, h_model):
    """(minima of the risk found by bisection, what rounding leaves open), arrays.

    The slope's terms round at 2^-52 and its curvature falls as e^-|z|.
    """
    h_true, h_model = np.broadcast_arrays(h_true, h_model)
    found = searched_target(numpy_world, h_true, h_model, method)
    size = np.where(np.isfinite(found), np.minimum(np.abs(found), 100.0), 0.0)
    return found, 1e-14 * (1 + np.exp(size))


def _drawn(name, theory):
    """Evidence from a function of a random generator that returns (text, truths)."""

    def decorate(trial):
        def evidence():
            text, truths = trial(np.random.default_rng(np.random.SeedSequence(170)))
            return text, np.all(truths)

        evidence.__name__ = trial.__name__
        return observed("property", name, theory, "drawn at random, all at once")(evidence)

    return decorate


# ---------------------------------------------------------------------------------- the theorems


def _target(method):
    slots = method.slots(numpy_world, np.ones(1))
    soft, offset = slots.label is not None, slots.offset is not None
    id = "C3" if soft and offset else "C2" if soft else "C1"

    @property_test(
        "the training loss falls up to the closed form and rises from there, to 1e-20 nats; where "
        "that is infinite it falls on",
        f"{id}, margins up to 20 nats",
    )
    def lowest(h=margins(20.0), model=models(20.0), away=st.floats(1e-3, 5)):
        with precision(1200):
            h, model = arb(h), arb(model)
            target = method.target(h, model)
            if not target.is_finite():
                slopes = [_slope(method, arb(z), h, model) for z in (-400, 0, 400)]
                must(all(s < 0 for s in slopes) or all(s > 0 for s in slopes) or not any(slopes))
                return
            for step in (arb("1e-20"), arb(away)):
                below, above = (_slope(method, target + s * step, h, model) for s in (-1, 1))
                must(below < 0 < above, f"h* = {h}, h = {model}: not lowest at {target}")

    @_drawn("a search of the training loss finds the same", f"{id}, 400 pairs up to 8 nats")
    def searched(rng):
        h, model = rng.uniform(-NEAR, NEAR, (2, 400))
        closed = _at(method, h, model)
        found, blur = _searched(method, h, model)
        endless = ~np.isfinite(closed)
        gap = np.abs(np.where(endless, 0.0, closed) - np.where(endless, 0.0, found))
        gone = np.sign(closed) * found > 500  # where e^-z underflows the slope is 0 in floats
        same = np.where(endless, gone, gap <= blur)
        return f"{(~endless).sum()} of a finite target", same

    @simulated("labels drawn, its loss solved", "its targets, 40 pairs, a wrong model")
    def trained():
        rng = np.random.default_rng(np.random.SeedSequence(171))
        h = rng.uniform(-3, 3, 40)
        model = h + rng.normal(0, 2, 40)
        kept = np.isfinite(_at(method, h, model))
        if not kept.any():
            return "no pair has a finite target", np.zeros(1)
        scores = label_scores(method, h[kept], model[kept], 172)
        return f"{kept.sum()} pairs of a finite target", scores

    return _claim(
        id,
        "The pair's target is the closed form of its slots.",
        f"a pair of h* = 1 is sent to {_at(method, 1.0):.4g} by an exact model, to "
        f"{_at(method, 1.0, -1.0):.4g} by one that disputes it.",
        (lowest, searched, trained),
    )


def _shift(method):
    if not method.is_weighting:
        return "T1: not weights alone"
    weighting = method.slot_weighting

    @property_test("z* - h* = delta(h), odd, whatever the true margin", "T1, margins up to 30 nats")
    def shifted(h=margins(30.0), other=margins(30.0), model=models(30.0)):
        with precision(400):
            delta = _delta(weighting, arb(model))
            must((delta + _delta(weighting, arb(-model))).contains(0))
            for x in (arb(h), arb(other)):
                must((method.target(x, arb(model)) - x - delta).contains(0))

    @property_test("R'(0) = -(p + q) tanh(z*/2)/2 of the training loss", "T6, up to 20 nats")
    def first(h=margins(20.0), model=models(20.0)):
        with precision(400):
            h, model = arb(h), arb(model)
            mass = (
                sum(
                    arb_world.sigmoid(s * h) * method.slots(arb_world, s * model).log_weight.exp()
                    for s in (1, -1)
                )
                if weighting is not None
                else arb(1)
            )
            target = method.target(h, model)
            expected = -mass * (target / 2).tanh() / 2
            found = _slope(method, arb(0), h, model)
            must(found.overlaps(expected), f"h* = {h}, h = {model}")

    at = np.array([0.5, 2.0, 6.0])
    told = ", ".join(f"{d:+.3g} at {h:g}" for h, d in zip(at, _at(method, 0 * at, at), strict=True))
    return _claim(
        "T1",
        "Weights alone: z* = h* + delta(h), and the first step has slope -(p + q) tanh(z*/2)/2.",
        f"delta is {told} nats.",
        (shifted, first),
    )


def _delta(weighting, h):
    return 0 * h if weighting is None else weighting.log_ratio(arb_world, h)


def _bounded(ids, method, search):
    """(TargetBounds, what a search of it returns), or "ids: why not"."""
    try:
        bounds = TargetBounds(method)
        return bounds, search(bounds)
    except (RuntimeError, ValueError, TypeError) as error:
        return f"{ids}: no enclosure over |h| <= {REACH:g} ({type(error).__name__}: {error})"


def _order(method):
    if not np.isfinite(_at(method, np.linspace(-20.25, 20.25, 82))).all():
        return "T5: some targets are infinite"
    found = _bounded("T5", method, TargetBounds.slopes)
    if isinstance(found, str):
        return found
    bounds, (lowest, highest) = found
    least, most = lowest.lower, highest.upper
    ends = {"inf T'": lowest, "sup T'": highest}
    cover = covered("range of T' with an exact model", "slope", "finite", bounds, ends)

    @_drawn(
        "inf T' (v - u) <= T(v) - T(u) <= sup T' (v - u) of minima found by search",
        "T5, 400 pairs of margins up to 8 nats",
    )
    def between(rng):
        h = np.sort(rng.uniform(-NEAR, NEAR, (2, 400)), 0)
        found, blur = _searched(method, h, h)
        step, rise, blur = h[1] - h[0], found[1] - found[0], blur.sum(0)
        inside = (rise >= least * step - blur) & (rise <= most * step + blur)
        return f"{(rise < 0).sum()} fall", inside

    at = (lowest.witness or {"h": 0.0})["h"]
    fall = f"an easier pair gets a smaller target near h = {at:.3g}, T' = {lowest.upper:.3g}"
    kept = f"no easier pair gets a smaller target, T' >= {least:.3g}"
    near = f"T' >= {least:.1g}: no target falls by more than {-least * REACH:.1g} nats"
    return _claim(
        "T5",
        "With an exact model T(v) - T(u) lies between inf T' and sup T' times v - u.",
        f"{fall if lowest.upper < 0 else kept if least >= 0 else near} (|h| <= {REACH:g}).",
        (cover, between),
        "exact reward model",
    )


def _first_step(method):
    @property_test("the first step goes toward the target: R'(0) z* <= 0", "C3, up to 20 nats")
    def toward(h=margins(20.0), model=models(20.0)):
        with precision(600):
            target = method.target(arb(h), arb(model))
            slope = _slope(method, arb(0), arb(h), arb(model))
            must(not target * slope > 0, f"h* = {h}, h = {model}: {slope} toward {target}")

    @observed(
        "property", "the same by automatic differentiation, in floats", "equal slopes", "torch"
    )
    def differentiated():
        h = torch.linspace(-6, 6, 24, dtype=torch.float64)
        z = torch.zeros_like(h, requires_grad=True)
        (found,) = torch.autograd.grad(method.margin_loss(torch_world, z, h).sum(), z)
        with precision(200):
            series = arb_series([arb(0), 1], prec=2)
            exact = [
                float(method.margin_loss(arb_world, series, arb(float(x)))[1].mid()) for x in h
            ]
        gap = np.abs(found.detach().numpy() - exact).max()
        return f"largest difference {gap:.1e}", gap <= 1e-12 * (1 + np.abs(exact).max())

    h = np.array([0.5, 4.0])
    z = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    model = torch.as_tensor(h)
    risk = torch.sigmoid(model) * method.margin_loss(torch_world, z, model)
    risk = risk + torch.sigmoid(-model) * method.margin_loss(torch_world, -z, -model)
    (slope,) = torch.autograd.grad(risk.sum(), z)
    ratio = -slope.numpy() / (np.tanh(h / 2) / 2)
    return _claim(
        "T6",
        "In the first step a pair moves toward its own target.",
        f"at first a pair of 0.5 nats is pushed {ratio[0]:.3g} times as hard as by DPO, one of 4 "
        f"nats {ratio[1]:.3g} times.",
        (toward, differentiated),
    )


def _landscape(method):
    grid = np.linspace(-20, 20, 401)
    label = method.slots(numpy_world, grid).label
    if label is not None and min(np.min(q) for q in label) < 0:
        return "L1: a label below 0, the loss is not convex"

    @property_test("0 <= f'' <= b^2 w/4, |f'''| <= b f''", "L1, margins and z up to 20 nats")
    def curved(z=margins(20.0), h=models(20.0)):
        with precision(400):
            cap, ctx.cap = ctx.cap, 4
            try:
                f = method.margin_loss(arb_world, arb_series([arb(z), 1], prec=4), arb(h))
            finally:
                ctx.cap = cap
            slots = method.slots(arb_world, arb(h))
            b = arb(1) if slots.temperature is None else slots.temperature
            w = arb(1) if slots.log_weight is None else slots.log_weight.exp()
            bend, third = 2 * f[2], 6 * f[3]
            must(not bend < 0 and not bend > b * b * w / 4, f"z = {z}, h = {h}")
            must(not abs(third) > b * bend + arb("1e-60"))

    @observed("property", "the same by automatic differentiation, in floats", "f'' >= 0", "torch")
    def differentiated():
        z, h = (torch.linspace(-6, 6, 49, dtype=torch.float64),) * 2
        z, h = (x.clone() for x in torch.meshgrid(z, h, indexing="ij"))
        z.requires_grad_()
        (slope,) = torch.autograd.grad(
            method.margin_loss(torch_world, z, h).sum(), z, create_graph=True
        )
        (bend,) = torch.autograd.grad(slope.sum(), z)
        return f"smallest {bend.min():.3g}, largest {bend.max():.3g}", bool((bend >= 0).all())

    return _claim(
        "L1",
        "The loss is convex in z, its curvature at most b^2 w/4, |f'''| <= b f''.",
        "each pair's loss is convex, and Newton's method is safe on it.",
        (curved, differentiated),
        "labels in [0, 1]",
    )


def _errors(method):
    slots = [method.slots(numpy_world, s * np.linspace(-20, 20, 401)) for s in (1, -1)]
    offsets = [0.0 if s.offset is None else s.offset for s in slots]
    if slots[0].label is not None or np.any(offsets[0] + offsets[1]):
        return "R1, R2: soft labels or an even offset, the shift depends on h*"
    if np.size(1.0 if slots[0].temperature is None else slots[0].temperature) > 1:
        return "R1, R2: a temperature of the reward model, the shift depends on h*"
    found = _bounded("R1, R2", method, TargetBounds.influence)
    if isinstance(found, str):
        return found
    bounds, (influence, sensitivity) = found
    cover = covered(
        "D and L, what a reward model moves targets by", "shift", "finite", bounds,
        {"D": influence, "L": sensitivity},
    )  # fmt: skip

    @_drawn(
        "|z*(h) - z*(g)| <= L |h - g| and <= D from 0, of minima found by search",
        "R1, R2, 400 pairs, margins up to 8 nats",
    )
    def bounded(rng):
        truth, h, g = rng.uniform(-NEAR, NEAR, (3, 400))
        least = 1e-9 * h  # at 0 itself a weight may leave the pair out
        found, blur = _searched(method, truth, np.stack([h, g, least]))
        blur = blur.sum(0)
        near = np.abs(found[0] - found[1]) <= sensitivity.upper * np.abs(h - g) + blur
        far = np.abs(found[0] - found[2])
        text = f"moved by up to {far.max():.3g} nats"
        return text, near & (far <= influence.upper + sensitivity.upper * np.abs(least) + blur)

    return _claim(
        "R2",
        "No reward model moves a target by more than D, or by more than L for each nat of error.",
        f"a wrong reward model moves no target by more than {influence.upper:.3g} nats (|h| <= "
        f"{REACH:g}), a nat of error by {sensitivity.upper:.3g} at most.",
        (cover, bounded),
        "any reward model",
    )


def _drawn_triples(count, seed):
    """(rewards (count, 3) rising from 0, their margins (count, 3, 3))."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    steps = rng.uniform(0.2, 5.0, (count, 2))
    rewards = np.cumsum(np.concatenate([np.zeros((count, 1)), steps], 1), 1)
    return rewards, rewards[:, :, None] - rewards[:, None, :]


def _solved(method, h, sampling):
    """Solution of tables of exact margins h (B, 3, 3), pairs weighted by sampling (3,)."""
    masses = np.zeros((3, 3))
    for (i, j), mass in zip(((0, 1), (1, 2), (0, 2)), sampling, strict=True):
        masses[i, j] = masses[j, i] = mass
    labels = expit(h) * masses
    return solve(method, PairProblem(torch.as_tensor(labels), torch.as_tensor(h)))


def _same_slots(one, other):
    h = np.linspace(-6, 6, 49)
    pairs = zip(
        *([getattr(m.slots(numpy_world, h), f.name) for f in fields(m.slots(numpy_world, h))]
          for m in (one, other)),
        strict=True,
    )  # fmt: skip
    return all(np.array_equal(np.asarray(a, float), np.asarray(b, float)) for a, b in pairs
               if a is not None)  # fmt: skip


def _scale(method):
    hot = replace(method, beta=4 * method.beta)
    if not _same_slots(method, hot):
        return "L5: its slots depend on beta"
    _, h = _drawn_triples(40, 173)

    @observed("property", "tables of three at beta and at 4 beta", "m at 4 beta is m/4", "solved")
    def scaled():
        cold, warm = (_solved(m, h, (1, 2, 3)) for m in (method, hot))
        kept = (cold.converged & warm.converged).numpy()
        gap = (cold.m - 4 * warm.m).abs().amax(1).numpy()
        error = ((cold.error_bound + warm.error_bound) / method.beta).numpy()
        return f"{kept.sum()} tables", bool((gap <= error + 1e-9)[kept].all())

    @observed("property", "its function at z and beta, in floats", "of z = beta m alone", "NumPy")
    def of_z():
        z, x = np.linspace(-5, 5, 41), np.linspace(3, -3, 41)
        if not method.is_margin_loss:
            return "not a margin loss", True
        one, other = (m.pair_loss(numpy_world, z / m.beta, 0 * z, x) for m in (method, hot))
        return "41 pairs", bool(np.allclose(one, other, rtol=1e-12, atol=1e-14))

    return _claim(
        "L5",
        "Beta divides every implicit margin alike: m = z/beta.",
        "beta is a temperature, of every pair the same; compare methods at equal KL.",
        (scaled, of_z),
    )


def _tables(method):
    rewards, h = _drawn_triples(60, 174)
    steps = np.diff(rewards, axis=1)
    path, direct = _at(method, steps).sum(1), _at(method, rewards[:, 2])
    samplings = ((1, 1, 1), (10, 10, 1), (1, 1, 10))
    fits = [_solved(method, h, sampling) for sampling in samplings]
    kept = np.logical_and.reduce([f.converged.numpy() for f in fits])
    kept &= np.isfinite(path) & np.isfinite(direct)
    if not kept.any():
        return "C6: no table of three responses has a minimizer"
    gaps = np.stack([(f.scores[:, 2] - f.scores[:, 0]).numpy()[kept] for f in fits])
    error = np.stack([2 * f.error_bound.numpy()[kept] for f in fits]).max(0)
    path, direct = path[kept], direct[kept]
    error = error + 1e-12 * (1 + np.abs(path) + np.abs(direct))
    mismatch = path - direct
    worst = int(np.abs(mismatch).argmax())

    @observed(
        "property",
        "tables of three under three samplings of the pairs",
        "the outer gap between T(a + b) and T(a) + T(b), nearer to its own target when drawn more",
        "solved",
    )
    def moved():
        low, high = np.minimum(path, direct) - error, np.maximum(path, direct) + error
        inside = ((gaps >= low) & (gaps <= high)).all()
        away = np.abs(gaps - direct)
        ordered = (away[2] <= away[0] + 2 * error).all() and (away[0] <= away[1] + 2 * error).all()
        spread = np.ptp(gaps, axis=0)
        apart = ((np.abs(mismatch) <= 1e3 * error) | (spread > error)).all()
        text = f"{len(path)} tables, gaps differ by up to {spread.max():.3g} nats"
        return text, bool(inside and ordered and apart)

    @_drawn("T(a) + T(b) - T(a + b), of minima found by search", "the same")
    def added(rng):
        first, second = steps[kept].T
        at = np.stack([first, second, first + second])
        found, blur = _searched(method, at, at)
        gap = np.abs(found[0] + found[1] - found[2] - mismatch)
        return f"to {gap.max():.0e}", gap <= blur.sum(0)

    a, b = steps[kept][worst]
    if (np.abs(mismatch) <= error).all():
        told = (
            f"the targets of all {len(path)} triples looked at add up, so their tables have one "
            "optimum whatever is sampled"
        )
    else:
        told = (
            f"T({a:.2f}) + T({b:.2f}) is {mismatch[worst]:+.3g} nats off T({a + b:.2f}), so what a "
            "table of three is fitted to depends on which pairs are sampled"
        )
    return _claim(
        "C6",
        "A table of three responses has one optimum for every sampling iff its targets add up.",
        f"{told}.",
        (moved, added),
        "exact reward model",
    )
