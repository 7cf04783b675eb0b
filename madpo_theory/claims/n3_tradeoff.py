"""N3: dampening against bounded influence."""

from dataclasses import dataclass

import numpy as np
import sympy as sp
from hypothesis import strategies as st

from ..losses import distillation
from ..methods import METHODS
from ..ops import sympy_world
from ..schedule import MarginSchedule, coefficient
from ..simulate import fit_pairs
from ..targets import effective_target
from ..theory.comparison import distillation_profile, weight_profile
from ..weights import (
    BoundedRatioWeight,
    EfficientWeight,
    PowerTarget,
    TargetShapedWeight,
    Weighting,
    log_weight_ratio,
)
from .evidence import (
    certified,
    foil,
    must,
    observed,
    property_test,
    proved,
    simulated,
    symbolic,
)
from .ledger import Claim
from .regimes import OUTSIDE, OUTSIDE_MARGIN, C, in_c, u
from .settings import RELEASED, margins, scaled, schedules, to_digit

INFLUENCE = 3.47  # nats, released schedule
DAMPENING = 0.0051
SHRINKS = (1 - C) * OUTSIDE_MARGIN
GAMMA, LIMIT = sp.Rational(1, 2), sp.S(0)  # of T(u)/u of that gamma


@foil("N1's target is 5 % larger", effective_target=scaled(1.05))
@foil("N1 dampens by less", SHRINKS=scaled(sp.Rational(1, 2)))
@foil("N2's T(u)/u -> 1", LIMIT=lambda true: sp.S(1))
@symbolic("what N1 and N2 dampen has no bound; D = sup |delta| is no less")
def n3_unbounded():
    far, w = OUTSIDE_MARGIN, BoundedRatioWeight(OUTSIDE)
    target = in_c(effective_target(far, far, w), OUTSIDE)
    yield "N1 beyond tau: h - T(h) = (1 - c) h, c < 1", far - target, SHRINKS
    yield "which is -delta", -in_c(log_weight_ratio(far, w), OUTSIDE), SHRINKS
    grown = sp.Symbol("g", positive=True)  # (1 + u/s), so that u = s (g - 1)
    target = PowerTarget(sp.Rational(3), GAMMA, sp.Rational(1))(sympy_world, u)
    share = sp.simplify(target.rewrite(sp.exp).subs(u, grown - 1) / (grown - 1))
    yield "N2, gamma = 1/2, tau = 3, s = 1: T(u)/u -> 0", sp.limit(share, grown, sp.oo), LIMIT


def bound(most):
    """What a weight of influence D dampens at most."""
    return most


@dataclass(frozen=True)
class Opposite(Weighting):
    """-delta of a weight: what it amplifies is dampened."""

    base: object

    def log_weight(self, xp, h):
        return -log_weight_ratio.formula(xp, h, self.base) / 2


def clipped(weighting, most):
    """The method of delta clipped to +-most nats (N5's offset, which a weight of that delta is)."""
    return METHODS["offset_madpo"](weighting, clip=most)


@foil("T(h) >= h - 0.95 D", bound=scaled(0.95))
@foil("for the opposite weight", clipped=lambda true: lambda w, most: true(Opposite(w), most))
@foil("unclipped", clipped=lambda true: lambda w, most: METHODS["offset_madpo"](w))
@property_test(
    "delta clipped to [-D, D]: T(h) >= h - D, met where more is wanted; no model moves a target by "
    "more than D; each target is the nearest to the wanted one",
    "the published weight, N1 and N4, D from 0.01 to 3",
)
def n3_clipped(s=schedules(), h=margins(60.0), h_true=margins(20.0), most=st.floats(0.01, 3)):
    size = abs(h)
    for w in (s, BoundedRatioWeight(s), EfficientWeight(s)):
        wanted, method = effective_target(size, size, w), clipped(w, most)
        found, rounding = method.target(size, size), 1e-14 * (size + abs(h_true)) * s.c_max
        must(found >= size - bound(most) - rounding)
        must(abs(method.target(h_true, h) - h_true) <= bound(most) + rounding)
        must(abs(abs(found - wanted) - max(abs(wanted - size) - most, 0)) <= rounding)
        if size - wanted > most + rounding:
            must(abs(found - (size - most)) <= rounding)


COMPARED = {
    "published": lambda s: s,
    "bounded ratio (N1)": BoundedRatioWeight,
    "target shaped (N2)": lambda s: TargetShapedWeight(
        PowerTarget.with_slope(float(s.tau), 0.5, float(s.c_max))
    ),
    "efficient (N4)": EfficientWeight,
    "efficient, N1's targets": lambda s: EfficientWeight(BoundedRatioWeight(s)),
}


def comparison_table(schedule, margins_of_data):
    """Rows of :func:`weight_profile` for the weights of N3, distillation last."""
    rows = {
        name: weight_profile(make(schedule), margins_of_data) for name, make in COMPARED.items()
    }
    rows["distillation"] = distillation_profile(BoundedRatioWeight(schedule), margins_of_data)
    return rows


def _published_for(name):
    """For a foil: the published weight in place of a named one."""
    return lambda true: true | {name: true["published"]}


@foil("N1 is the published weight", COMPARED=_published_for("bounded ratio (N1)"))
@foil("N2 is the published weight", COMPARED=_published_for("target shaped (N2)"))
@foil("N4 is the published weight", COMPARED=_published_for("efficient (N4)"))
@observed(
    "simulation",
    "the table: L, D, weights, ESS, dampening, order, efficiency",
    "published: D as certified, not monotone; N1: dampens (1 - c_min) h, D as large; N2 monotone; "
    "N4 efficiency 1",
    "released schedule (monotone for N1 at class defaults), margins N(0, 2^2) nats, |h| <= 20",
)
def n3_table():
    data = np.random.default_rng(np.random.SeedSequence(73)).normal(0, 2, 4000)
    rows = comparison_table(MarginSchedule.released(), data)
    text = "; ".join(
        f"{name}: L {r.sensitivity:.2f}, D {r.influence:.2f}, w {r.smallest_weight:.2g} to "
        f"{r.largest_weight:.3g}, ESS {r.ess:.0%}, dampening {r.dampening:.3f}, "
        f"{'monotone' if r.monotone else 'not monotone'}, efficiency {r.efficiency:.1%}"
        for name, r in rows.items()
    )
    published, bounded, shaped, efficient = (rows[name] for name in list(COMPARED)[:4])
    class_bounded = weight_profile(BoundedRatioWeight(MarginSchedule.class_defaults()), data)
    agrees = (
        abs(published.influence - INFLUENCE) <= 0.005
        and not published.monotone
        and 9.9 < bounded.dampening < 10.0 <= bounded.influence + 0.1
        and shaped.monotone
        and class_bounded.monotone
        and abs(efficient.efficiency - 1) < 1e-12
        and max(published.efficiency, bounded.efficiency, shaped.efficiency) < 1
    )
    return text, agrees


@foil("5 % more", coefficient=scaled(1.05))
@foil("what labels say", coefficient=lambda true: lambda h, s: -true(h, s))
@simulated("distillation, trained", "the reward model's c h, whatever the labels; 30 pairs")
def n3_distilled():
    h, s = np.linspace(-5, 5, 30), MarginSchedule.class_defaults()
    wrong = h[::-1].copy()  # a reward model with every sign wrong
    fit = fit_pairs(distillation, h, 1000, 74, margin=wrong, weighting=BoundedRatioWeight(s))
    # no sampling error at all: the deviation is that of the solver, against its own tolerance
    target = coefficient(wrong, s) * wrong
    return "every sign of the reward model wrong", (0.1 * fit.m - target) / 1e-9


CLAIM = Claim(
    id="N3",
    title="to tame easy pairs is to trust the reward model without limit",
    statement=r"A weight under which an exact reward model gives the target $T(h)$ lets a wrong "
    r"one move targets by $|T(h) - h|$: $T(h) \geq h - D$ at every margin, $D = \sup |\delta|$. "
    r"So unbounded dampening and bounded influence exclude each other, and of all weights of "
    r"influence $D$ the $\delta$ clipped to $[-D, D]$ is at every margin the nearest to a wanted "
    r"target. The "
    rf"published weight has $D = {INFLUENCE:.2f}$ at the released schedule, all of it "
    rf"amplification: it dampens by at most {DAMPENING:.4f} nats. N1, N2 with a $T$ that grows "
    rf"less than linearly, "
    r"and distillation have $D = \infty$.",
    reading="A weight that tames easy pairs by as many nats as they have trusts the reward model "
    "on them without limit; clip delta at what you would let a wrong one do: nothing comes nearer.",
    source="derived here",
    assumptions="any weight; table at the released schedule, normal margins of 2 nats",
    verdict="holds",
    figure="corrected_weights",
    uses=("T1", "T3", "T5", "R2", "N1", "N2", "N4"),
    evidence=(
        n3_unbounded,
        n3_clipped,
        certified("D, released", "influence", RELEASED, **to_digit(INFLUENCE, 1e-2)),
        certified("most dampened, released", "dampening", RELEASED, **to_digit(DAMPENING, 1e-4)),
        n3_table,
        n3_distilled,
        proved("AnyWeight", "N3_general"),
        proved("Offset", "clip_odd", "clip_best", "clip_lipschitz"),
    ),
)
