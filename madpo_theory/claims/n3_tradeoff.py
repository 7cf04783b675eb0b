"""N3: dampening against bounded influence."""

import numpy as np

from ..losses import distillation
from ..schedule import MarginSchedule, coefficient
from ..simulate import fit_pairs
from ..targets import effective_target
from ..theory.comparison import distillation_profile, weight_profile
from ..weights import (
    BoundedRatioWeight,
    EfficientWeight,
    PowerTarget,
    TargetShapedWeight,
    log_weight_ratio,
)
from .evidence import must, observed, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import OUTSIDE, OUTSIDE_MARGIN, REGIMES, C, in_c
from .settings import margins, schedules


@symbolic("an exact reward model is dampened by -delta(h), so D is at least that")
def n3_tradeoff():
    for name, h, s in REGIMES[:1] + REGIMES[2:3]:
        for w in (s, BoundedRatioWeight(s)):
            kind = type(w).__name__
            yield (
                f"{name}, {kind}: h - T(h) = -delta(h)",
                in_c(h - effective_target(h, h, w), s),
                -in_c(log_weight_ratio(h, w), s),
            )
    far = OUTSIDE_MARGIN
    yield (
        "N1 beyond tau: -delta = (1 - c) h, unbounded as h grows (c < 1)",
        -in_c(log_weight_ratio(far, BoundedRatioWeight(OUTSIDE)), OUTSIDE),
        (1 - C) * far,
    )


@property_test("what a weight dampens, a wrong reward model can move", "D >= h - T(h)")
def n3_influence(s=schedules(), h=margins(60.0), h_true=margins(20.0)):
    for w in (s, BoundedRatioWeight(s), EfficientWeight(s)):
        dampened = abs(h) - effective_target(abs(h), abs(h), w)
        moved = abs(effective_target(h_true, abs(h), w) - h_true)
        must(moved >= dampened - 1e-14 * (abs(h) + abs(h_true)) * s.c_max)


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


@observed(
    "simulation",
    "the table: L, D, weights, ESS, dampening, order, efficiency",
    "published: D < 3.48, hardly dampens, not monotone; N1: dampens (1 - c_min) h, D as large; "
    "N2 monotone; N4 efficiency 1",
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
        published.influence < 3.48
        and published.dampening < 0.006
        and not published.monotone
        and 9.9 < bounded.dampening < 10.0 <= bounded.influence + 0.1
        and shaped.monotone
        and class_bounded.monotone
        and abs(efficient.efficiency - 1) < 1e-12
        and max(published.efficiency, bounded.efficiency, shaped.efficiency) < 1
    )
    return text, agrees


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
    statement=r"Dampening and bounded influence exclude each other: a weight that gives an "
    r"exact reward model the target $T(h)$ lets a wrong one move a target by $h - T(h)$, so "
    r"$D \geq \sup (h - T(h))$. The published weight has $D \leq 3.48$ at the released "
    r"schedule because it does not dampen; N1, N2 and distillation have $D = \infty$.",
    reading="A weight that tames easy pairs trusts the reward model on them without limit: "
    "choose which you need.",
    source="derived here",
    assumptions="any weight; table at the released schedule, normal margins of 2 nats",
    verdict="holds",
    figure="corrected_weights",
    uses=("T1", "T3", "T5", "R2", "N1", "N2", "N4"),
    evidence=(
        n3_tradeoff,
        n3_influence,
        n3_table,
        n3_distilled,
        proved("AnyWeight", "N3_general"),
    ),
)
