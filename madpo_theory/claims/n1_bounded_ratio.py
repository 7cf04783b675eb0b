"""N1: the weight that delivers the targets that the paper promises."""

from dataclasses import replace

import numpy as np
import sympy as sp
from flint import arb
from hypothesis import strategies as st

from ..certify import ScheduleBox
from ..certify.enclosure import precision
from ..losses import madpo
from ..order import amplified_limit
from ..schedule import MarginSchedule, coefficient
from ..simulate import fit_pairs
from ..targets import effective_target
from ..weights import BoundedRatioWeight, log_weight, log_weight_ratio, weight
from ..weights.capped import CappedRatio
from .evidence import (
    certified,
    certified_box,
    foil,
    must,
    property_test,
    proved,
    simulated,
    symbolic,
)
from .ledger import Claim
from .regimes import REGIMES, C, in_c, sigma, turning_point
from .settings import (
    CLASS,
    CLASS_BOX,
    LABELS,
    POSITIVE_C_MIN,
    RELEASED,
    margin_of,
    margins,
    scaled,
    schedules,
    target_scores,
)

DELTA = sp.Symbol("delta", real=True)
H = sp.Symbol("h", real=True)
MORE = sp.Symbol("|c - 1| h", positive=True)


class AnyRatio(CappedRatio):
    """A capped weight whose delta is a symbol: what is proved of it holds for N1 and N2."""

    delta = DELTA

    def log_ratio(self, xp, h):
        return self.delta if h == H else -self.delta


class Amplified(AnyRatio):
    """At 0 < h < tau, where delta > 0."""

    delta = MORE


class Dampened(AnyRatio):
    """At h > tau, where delta < 0."""

    delta = -MORE


def absolute(expression):
    """Minima written with absolute values, which SymPy can cancel."""
    return expression.replace(lambda e: isinstance(e, sp.Min), lambda e: e.rewrite(sp.Abs))


@foil("the target is 5 % larger", effective_target=scaled(1.05))
@foil("the ratio is 5 % larger", log_weight_ratio=scaled(1.05))
@symbolic("N1: the ratio of the two weights, and the target c h in every regime")
def n1_target():
    up, down = (absolute(log_weight(h, AnyRatio())) for h in (H, -H))
    yield "min(0, delta) - min(0, -delta) = delta", up - down, DELTA
    for name, h, s in REGIMES:
        w = BoundedRatioWeight(s)
        yield f"{name}: delta = (c - 1) h", in_c(log_weight_ratio(h, w), s), (C - 1) * h
        yield f"{name}: z* = c h*", in_c(effective_target(h, h, w), s), C * h


def twice_tanh_half(target):
    """2 tanh(T/2), as a textbook writes it."""
    return 2 * (sp.exp(target) - 1) / (sp.exp(target) + 1)


@foil("5 % steeper", twice_tanh_half=scaled(1.05))
@foil("of h, not of the target c h", twice_tanh_half=lambda true: lambda target: true(H))
@symbolic("N1: first-step slope -A tanh(c h/2)/2, of a target T = c h with delta = T - h")
def n1_first_step():
    for name, w, mass in (
        ("0 < h < tau, w(h) = 1", Amplified(), lambda h, t: sigma(h) / sigma(t)),
        ("h > tau, w(-h) = 1", Dampened(), lambda h, t: sigma(-h) / sigma(-t)),
    ):
        target = H + w.delta
        p, q = (sigma(h) * weight(h, w) for h in (H, -H))
        yield f"{name}: A = p + q", p + q, mass(H, target)
        yield f"{name}: (q - p)/2 = -A tanh(T/2)/2", q - p, -(p + q) * twice_tanh_half(target) / 2


@foil("z* is 1.05 c h*", coefficient=scaled(1.05))
@foil("w = e^delta", BoundedRatioWeight=lambda true: lambda s: s)
@property_test("0 < w <= 1, continuous, delta odd, z* = c h* for every h*", "N1")
def n1_numeric(s=schedules(), h=margins(60.0)):
    w = BoundedRatioWeight(s)
    must(log_weight(h, w) <= 0)
    must(max(weight(h, w), weight(-h, w)) == 1)
    must(log_weight_ratio(-h, w) == -log_weight_ratio(h, w))
    target = coefficient(h, s) * h
    # h + (c - 1) h in floats: the rounding is that of h, not of the smaller c h
    must(abs(effective_target(h, h, w) - target) <= 4e-16 * (abs(h) + abs(target)) * 4)


@foil("amplified_limit is 5 % larger", amplified_limit=scaled(1.05))
@foil("amplified_limit is 5 % smaller", amplified_limit=scaled(0.95))
@property_test("c(u) u increases everywhere iff lam tau <= amplified_limit", "N1, monotone")
def n1_monotone(
    s=schedules(c_min=POSITIVE_C_MIN), share=st.sampled_from((None, 0.97, 0.999, 1.01, 1.03))
):
    limit = float(amplified_limit(s.c_max, s.c_min))
    if share and limit > 0:  # near the limit as the code has it
        s = replace(s, lam=share * limit / s.tau)
    product = s.lam * s.tau
    w = BoundedRatioWeight(s)
    turn = margin_of(turning_point(s), s)
    if product <= limit * (1 - 1e-9):
        at = np.linspace(0, s.tau + 40 / s.lam, 1001)
        must(np.diff(effective_target(at, at, w)).min() >= -1e-13 * s.c_max * at[-1])
    elif product >= limit + 1e-3 * (1 + abs(limit)) and turn > 0:
        near = turn * np.array([1 - 1e-4, 1 + 1e-4])
        with precision():
            low, high = (effective_target(arb(x), arb(x), w) for x in near)
            must(high < low, (product, limit))


@foil("z* is 1.01 c h*", coefficient=scaled(1.01))
@simulated("trained with N1: amplified and dampened", "z* = c(|h*|) h*, 30 pairs")
def n1_trained():
    h, s = np.linspace(-6, 6, 30), MarginSchedule.class_defaults()
    fit = fit_pairs(madpo, h, LABELS, 71, margin=h, weighting=BoundedRatioWeight(s))
    return "class defaults, tau = 2", target_scores(fit, h, coefficient(h, s) * h, 0.1)


CLAIM = Claim(
    id="N1",
    title="one changed line keeps the paper's promise",
    statement=r"With $w(h) = \min(1, e^{(c(|h|) - 1) h})$ an exact reward model gives "
    r"$z^* = c(|h^*|) h^*$ for every margin: amplified below $\tau$ and dampened above, as A2 "
    r"says. $w \in (0, 1]$ is continuous; the target increases on $[0, \infty)$ iff "
    r"$\lambda \tau \leq 2 \frac{c_{max} + c_{min}}{c_{max} - c_{min}} + \log \frac{(c_{max} "
    r"- 1) c_{min}}{(1 - c_{min}) c_{max}}$; the first step has slope $-\frac12 A "
    r"\tanh(c h/2)$.",
    reading="One changed line, BoundedRatioWeight, delivers the targets that the paper "
    "promises; its weights are at most 1, so scale them to mean 1 over the data.",
    source="derived here",
    assumptions="exact reward model; any valid schedule (monotone: c_min > 0)",
    verdict="holds",
    figure="corrected_weights",
    uses=("S1", "C1", "T1", "T5", "T6"),
    evidence=(
        n1_target,
        n1_first_step,
        certified(
            "L of N1, class defaults",
            "sensitivity",
            BoundedRatioWeight(CLASS),
            above=0.85777,
            below=0.85778,
        ),
        certified(
            "L of N1, released",
            "sensitivity",
            BoundedRatioWeight(RELEASED),
            above=2.306765,
            below=2.306767,
        ),
        certified(
            "-min T' of N1, class defaults: monotone",
            "target_slope_min",
            BoundedRatioWeight(CLASS),
            above=-0.14223,
            below=-0.14222,
        ),
        certified_box(
            "L of N1, box around the class defaults",
            "sensitivity",
            CLASS_BOX,
            kind="bounded_ratio",
            above=1.046,
            below=1.097,
            tolerance=0.05,
        ),
        certified_box(
            "-min T' <= 0 of N1, every schedule of a box monotone",
            "target_slope_min",
            ScheduleBox(("1.8", "2.2"), ("0.48", "0.55"), ("0.9", "1.1"), ("1.8", "2.1")),
            kind="bounded_ratio",
            below=0,
        ),
        n1_numeric,
        n1_monotone,
        n1_trained,
        proved("Tails", "tail_ratio_slope", "tail_ratio_weight_slope"),
        proved(
            "Corrected",
            "N1_formula",
            "N1_range",
            "N1_ratio",
            "N1_odds",
            "N1_target",
            "N1_unique_target",
            "N1_amplified",
            "N1_dampened",
            "N1_continuous",
        ),
        proved("Region", "N1_order"),
    ),
)
