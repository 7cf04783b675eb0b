"""T5: on which schedules an easier pair never gets a smaller target."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import sympy as sp
from flint import arb, arb_series, ctx
from hypothesis import strategies as st
from sympy.core.relational import Relational

from ..certify import section_cells
from ..certify.enclosure import precision
from ..losses import madpo
from ..order import (
    amplified_limit,
    beyond_limit,
    monotone_limit,
    safe_lam,
    safe_tau,
    scaled_slope,
)
from ..schedule import MarginSchedule, coefficient
from ..simulate import fit_pairs
from ..targets import effective_target
from .evidence import (
    certified,
    certified_box,
    enclosed,
    foil,
    must,
    observed,
    property_test,
    proved,
    simulated,
    symbolic,
)
from .ledger import Claim
from .regimes import (
    INSIDE,
    KAPPA,
    KNEE_SLOPE,
    OUTSIDE,
    OUTSIDE_MARGIN,
    C,
    c_max,
    c_min,
    d,
    in_c,
    inside,
    knee_slope,
    lam,
    sigma,
    tau,
    turning_point,
    u,
)
from .settings import (
    CLASS,
    CLASS_BOX,
    LABELS,
    RELEASED,
    RELEASED_BOX,
    margin_of,
    schedules,
    target_scores,
)

PEAK = 5.26  # at the released schedule: where the target peaks below tau, nats
PEAKED = 8.325  # the target there
AT_TAU = 6.907  # tau, and the target at it
LOST = 1.42  # their difference
SAFE = 3  # safe_tau at c_max = 2, c_min = 1/2, lam = 1
BINDS = 1.486  # at a larger c_max monotone_limit is the lesser limit, whatever c_min


def larger(true):
    """What a function returns, 5 % off."""
    return lambda *values: 1.05 * true(*values)


@foil("T = 1.05 c u", effective_target=larger)
@symbolic("T' on [0, tau] and at its end")
def t5_slope():
    yield "T = c u", in_c(effective_target(u, u, INSIDE), INSIDE), C * u
    c = coefficient(u, OUTSIDE)
    slope = sp.diff(inside(effective_target(u, u, OUTSIDE)), u)
    yield "T' = c + u c'", slope, c + u * sp.diff(c, u)
    yield "T'(tau-) = 1 - lam tau kappa'", slope.subs(u, tau), 1 - lam * tau * KNEE_SLOPE


def bound_on_lam_tau(c, e=0):
    """-t - (e + c)/c'(t) at t = lam (u - tau), by c: e + c + u c' >= 0 iff lam tau is less."""
    ends = (e + c_min) / (c - c_min) + (e + c_max) / (c_max - c)
    return ends + sp.log(KAPPA * (c - c_min) / (c_max - c))


def branch(expression, truth):
    """A Piecewise with its relation decided."""
    return expression.replace(lambda e: isinstance(e, Relational), lambda e: sp.sympify(truth))


@foil("the limit is 5 % more", monotone_limit=larger)
@symbolic("left of tau: T increases iff lam tau <= monotone_limit(c_max, c_min)")
def t5_left():
    t = sp.Symbol("t", real=True)
    at = tau + t / lam
    c = inside(coefficient(u, OUTSIDE)).subs(u, at)
    # c and t determine each other
    yield (
        "t = log[(c_max - c)/(kappa (c - c_min))]",
        sp.exp(t),
        (c_max - c) / (KAPPA * (c - c_min)),
    )
    slope = -(C - c_min) * (c_max - C) / (c_max - c_min)  # dc/dt, S1
    yield "dc/dt", sp.diff(c, t), slope.subs(C, c)
    yield (
        "T' = c + (t + lam tau) dc/dt = -dc/dt (g(c) - lam tau), g = -t - c/(dc/dt)",
        C + (t + lam * tau) * slope,
        -slope * (-t - C / slope - lam * tau),
    )
    g = bound_on_lam_tau(C)
    yield (
        "g = c_min/(c - c_min) + c_max/(c_max - c) - t",
        -C / slope,
        g - sp.log(KAPPA * (C - c_min) / (c_max - C)),
    )
    mean = turning_point(OUTSIDE)
    yield (
        "g' has one zero, the harmonic mean of c_min and c_max, where it turns from - to +",
        sp.diff(g, C),
        (c_max**2 - c_min**2) * (C - mean) / ((C - c_min) ** 2 * (c_max - C) ** 2),
    )
    yield "harmonic mean > c_min", mean - c_min, c_min * (c_max - c_min) / (c_max + c_min)
    yield "harmonic mean < c_max", c_max - mean, c_max * (c_max - c_min) / (c_max + c_min)
    limit = monotone_limit(c_max, c_min)
    yield "least g over c >= 1, mean <= 1: g(1) = 1/kappa'", g.subs(C, 1), branch(limit, False)
    yield "least g over c >= 1, mean > 1: g(mean)", g.subs(C, mean), branch(limit, True)
    yield "least g over every c (N1)", g.subs(C, mean), amplified_limit(c_max, c_min)
    yield (
        "mean - 1 has the sign of 2 c_min c_max - (c_min + c_max)",
        mean - 1,
        (2 * c_min * c_max - (c_min + c_max)) / (c_min + c_max),
    )
    paired = branch(monotone_limit(c_max, 1 / c_max), False)
    yield "c_min = 1/c_max, mean <= 1: the limit", paired, (c_max + 1) / (c_max - 1)


@foil("the limit is 5 % more", beyond_limit=larger)
@symbolic("right of tau: T increases if lam tau <= beyond_limit(c_max, c_min) or lam <= sigma(tau)")
def t5_right():
    far = OUTSIDE_MARGIN
    target = effective_target(far, far, OUTSIDE)
    yield (
        "scaled_slope = T'/sigma(-c u)",
        in_c(scaled_slope(far, OUTSIDE), OUTSIDE),
        in_c(sp.diff(target, d), OUTSIDE) / sigma(-C * far),
    )
    fall = lam * far * (C - c_min) * (c_max - C) / (c_max - c_min)  # -u c'
    slope = C - fall + (1 + sp.exp(C * far)) * sigma(far)
    yield "scaled_slope in C", in_c(scaled_slope(far, OUTSIDE), OUTSIDE), slope
    yield (
        "it exceeds 1 + c + u c' by (e^cu - e^-u) sigma(u) > 0",
        slope - (1 + C - fall),
        (sp.exp(C * far) - sp.exp(-far)) * sigma(far),
    )
    g, turn = bound_on_lam_tau(C, 1), 2 * (1 + c_min) * (1 + c_max) / (2 + c_min + c_max) - 1
    rate = (c_max - c_min) * (2 + c_min + c_max) / ((C - c_min) ** 2 * (c_max - C) ** 2)
    yield "its bound on lam tau has one turn, from - to +", sp.diff(g, C), rate * (C - turn)
    limit = beyond_limit(c_max, c_min)
    below, above = turn - c_min, c_max - turn
    ends = (1 + c_min) / (1 + c_max)
    yield "at the turn (c - c_min)/(c_max - c)", below / above, ends
    least = (1 + c_min) / below + (1 + c_max) / above + sp.log(KAPPA * ends)
    yield "least over c <= 1, turn < 1: g(turn)", least, branch(limit, True)
    yield "least over c <= 1, turn >= 1: g(1)", g.subs(C, 1), branch(limit, False)
    yield (
        "1 - turn has the sign of 1 - c_min c_max",
        1 - turn,
        2 * (1 - c_min * c_max) / (2 + c_min + c_max),
    )
    yield (
        "lam <= sigma(tau) < sigma(u): sigma(u) e^cu > lam c u, and every other term is positive",
        slope,
        C
        + sigma(far)
        + (sigma(far) * sp.exp(C * far) - lam * C * far)
        + lam * far * ((C - c_min) ** 2 + c_min * (c_max - c_min)) / (c_max - c_min),
    )


def enclosed_slope(at, schedule):
    """Arb ball around T'(at)."""
    cap, ctx.cap = ctx.cap, 2
    try:
        x = arb_series([at, 1], prec=2)
        return effective_target(x, x, schedule)[1]
    finally:
        ctx.cap = cap


@foil("the target peaks 0.01 later", PEAK=lambda true: true + 0.01)
@foil("the target there is 5 % more", effective_target=larger)
@enclosed(
    "released: an easier pair with the smaller target",
    f"T peaks at {PEAK} with {PEAKED}, {LOST} above T(log 999) = {AT_TAU}",
)
def t5_refuted():
    with precision():
        tau = arb(999).log()  # T(tau) = tau, where a ball around tau cannot pick its branch
        high = effective_target(arb(PEAK), arb(PEAK), RELEASED)
        before, after = (enclosed_slope(arb(PEAK) + x, RELEASED) for x in (-0.005, 0.005))
        text = f"T({PEAK}) = {high.str(8, radius=False)} > T({tau.str(8, radius=False)}) = tau"
        return text, (
            before > 0 > after
            and abs(high - PEAKED) < 5e-4
            and abs(tau - AT_TAU) < 5e-4
            and abs(high - tau - LOST) < 5e-3
        )


@foil(
    "the limit is that of the slope at tau",
    monotone_limit=lambda true: lambda a, b: (a - b) / ((1 - b) * (a - 1)),
)
@enclosed("lam tau kappa' <= 1 does not suffice", "knee condition met, yet T' < 0")
def t5_not_sufficient():
    with precision():
        s = MarginSchedule(*(sp.Rational(v) for v in ("7.1637", "0.9666", "1.28006", "6.49202")))
        knee = s.lam * s.tau * knee_slope(s)
        slopes = [enclosed_slope(arb(k) / 16, s) for k in range(32, 104)]
        worst = min(slopes, key=lambda ball: float(ball.mid()))
        limit = monotone_limit(arb("7.1637"), arb("0.9666"))
        text = (
            f"lam tau kappa' = {float(knee):.4f}, T' = {worst.str(5, radius=False)}; lam tau = "
            f"{float(s.lam * s.tau):.3f}, limit {limit.str(5, radius=False)}"
        )
        return text, knee <= 1 and worst < 0 and limit < arb(float(s.lam * s.tau))


@foil("the slope at tau is negative too", monotone_limit=lambda true: lambda a, b: true(a, b) / 2)
@enclosed("T also falls right of tau", "(1.2, 0, 10, 0.52): T' > 0 at tau-, T' < 0 at u = 0.6")
def t5_falls_right():
    with precision():
        s = MarginSchedule(*(sp.Rational(v) for v in ("1.2", "0", "10", "0.52")))
        before = arb("5.2") / monotone_limit(arb("1.2"), arb(0))  # lam tau kappa'
        after = min((enclosed_slope(arb(k) / 100, s) for k in range(53, 90)), key=arb.mid)
        return (
            f"T'(tau-) = {(1 - before).str(5, radius=False)}, T' = {after.str(5, radius=False)}",
            before < 1 and after < 0,
        )


def limit_at_half(c_max):
    """monotone_limit at c_min = 1/2; it falls with c_max."""
    return 2 * (c_max - sp.Rational(1, 2)) / (c_max - 1)


@foil("the limit is 5 % more", limit_at_half=larger)
@observed(
    "certified",
    "192 boxes of schedules, c_min = 1/2, lam = 1, beside the closed form",
    "increases only where all of the box obeys the limit, falls only where none of it does",
    "interval branch and bound over c_max, tau and every margin, each certificate checked",
)
def t5_cells():
    cells = section_cells().ravel().tolist()
    counts = {verdict: 0 for verdict in ("increases", "falls", "undecided")}
    agrees = True
    for cell in cells:
        (low, high), _, _, (near, far) = cell.box.sides
        counts[cell.verdict] += 1
        least, most = (limit_at_half(c) for c in map(sp.Rational, (high, low)))
        if cell.verdict == "increases":
            agrees &= sp.Rational(far) <= least
        elif cell.verdict == "falls":
            agrees &= sp.Rational(near) >= most
    text = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
    return text, agrees and counts["undecided"] <= 22


@foil("the limit is 5 % more", monotone_limit=larger)
@property_test("T falls left of tau iff lam tau > monotone_limit", "T5, sufficient and necessary")
def t5_limit(s=schedules(), share=st.floats(0.8, 1.2)):
    limit = float(monotone_limit(s.c_max, s.c_min))
    s = replace(s, lam=min(share * limit / s.tau, 1e8))
    product = s.lam * s.tau
    if product <= limit * (1 - 1e-9):
        at = np.linspace(0, s.tau, 401)
        rounding = 1e-13 * s.c_max * s.tau
        must(np.diff(effective_target(at, at, s)).min() >= -rounding, (product, limit))
    elif product >= limit * (1 + 1e-6):
        turn = max(1.0, turning_point(s))  # c where T' is lowest
        at = min(margin_of(turn, s), s.tau * (1 - 1e-12))
        with precision():
            must(enclosed_slope(arb(at), s) < 0, (product, limit))


def rises(s):
    """Whether T rises from margin to margin of a grid, to 40/lam beyond tau."""
    tail = s.tau + np.linspace(0, 40, 301) / s.lam
    at = np.concatenate([np.linspace(0, s.tau, 301), tail])
    rounding = 1e-13 * s.c_max * at[-1]
    return np.diff(effective_target(at, at, s)).min() >= -rounding


@foil("5 % more is safe", safe_lam=larger)
@foil("5 % more is safe", safe_tau=larger)
@property_test("T increases for every lam <= safe_lam and for every tau <= safe_tau", "T5")
def t5_safe(s=schedules(), share=st.sampled_from((0.03, 0.5, 1.0))):
    must(rises(replace(s, lam=share * safe_lam(s.c_max, s.c_min, s.tau))))
    if (safe := safe_tau(s.c_max, s.c_min, s.lam)) > 0:
        must(rises(replace(s, tau=share * safe)))
    must(safe_tau(2.0, 0.5, 1.0) == SAFE)


@foil("the limit is 5 % less", beyond_limit=lambda true: lambda *ends: 0.95 * true(*ends))
@property_test("right of tau, steep: T falls if lam tau > beyond_limit", "T5, sharp as lam grows")
def t5_beyond(s=schedules(), more=st.floats(0.01, 0.5)):
    limit = float(beyond_limit(s.c_max, s.c_min))
    lam_tau = (1 + more) * max(limit, 0.0) + more
    steep = replace(s, lam=1e8, tau=lam_tau / 1e8)
    turn = 2 * (1 + s.c_min) * (1 + s.c_max) / (2 + s.c_min + s.c_max) - 1
    lowest = scaled_slope(margin_of(min(turn, 1.0), steep), steep)
    must(lowest < 0, (limit, lam_tau))


@foil("it is 0.001 less", BINDS=lambda true: true - 1e-3)
@observed(
    "property",
    "right of tau the limit is never the lesser from a c_max on",
    f"{BINDS} at c_min = 0, and less at any other",
    "a grid of c_min in [0, 1)",
)
def t5_binds():
    def excess(c_max, c_min=0.0):
        return beyond_limit(c_max, c_min) - monotone_limit(c_max, c_min)

    near, far = BINDS - 5e-4, BINDS + 5e-4
    rest = excess(np.geomspace(far, 1e4, 200)[:, None], np.linspace(0, 0.999, 200))
    text = f"excess {excess(near):.5f} at {near:.4f}, {excess(far):.5f} at {far:.4f}"
    return text, excess(near) < 0 < excess(far) and rest.min() > 0


@foil("the targets are 5 % more", effective_target=larger)
@simulated("two trained pairs change places", f"T({PEAK}) = {PEAKED} above T(6.9) = 6.92")
def t5_trained():
    h, s = np.array([PEAK, 6.9]), MarginSchedule.released()
    fit = fit_pairs(madpo, h, LABELS, 5, margin=h, weighting=s)
    scores = target_scores(fit, h, effective_target(h, h, s), 0.1)
    first, second = 0.1 * fit.m
    must(first > second + 1, f"the order is not reversed: {first} and {second}")
    return f"h* = {PEAK} settles at {first:.3f}, h* = 6.9 at {second:.3f}", scores


CLAIM = Claim(
    id="T5",
    title="just below tau an easier pair gets a smaller target",
    statement=r"The effective target $T(h) = h + \delta(h)$ increases with the true margin: "
    r"an easier pair never gets a smaller target.",
    reading=f"At the released schedule pairs between {PEAK:.2f} and {AT_TAU:.3f} nats get smaller "
    f"targets the easier they are, and up to {LOST:.2f} nats of order are lost; with c_max = 2, "
    f"c_min = 1/2 and lam = 1 a tau of at most {SAFE} keeps the order (safe_tau), as the class "
    "defaults do.",
    source="implicit in arXiv 2510.05342 (A2); derived here",
    assumptions="exact reward model",
    verdict="conditional",
    condition=r"left of $\tau$ exactly if $\lambda \tau \leq \frac{c_{max} - c_{min}}{(c_{max} - 1)"
    r"(1 - c_{min})}$ where $2 c_{min} c_{max} \leq c_{min} + c_{max}$, else $\lambda \tau \leq 2 "
    r"\frac{c_{max} + c_{min}}{c_{max} - c_{min}} + \log \frac{(c_{max} - 1) c_{min}}{(1 - "
    r"c_{min}) c_{max}}$; right of it at every $\lambda$ exactly if $c_{min} c_{max} \geq 1$ or "
    r"$\lambda \tau \leq 2 \frac{2 + c_{max} + c_{min}}{c_{max} - c_{min}} + \log \frac{(c_{max} - "
    r"1)(1 + c_{min})}{(1 - c_{min})(1 + c_{max})}$, which asks for more only below $c_{max} = "
    rf"{BINDS:.3f}$, and never where $\lambda \leq \sigma(\tau)$. With $c_{{min}} = 1/c_{{max}}$: "
    r"if and only if $\lambda \tau \leq (c_{max} + 1)/(c_{max} - 1)$",
    counterexample=f"released schedule: T({PEAK:.2f}) = {PEAKED:.3f} but T(log 999) = log 999 = "
    f"{AT_TAU:.3f}",
    figure="monotone_region",
    uses=("S1", "S2", "T1", "T2"),
    evidence=(
        t5_slope,
        t5_left,
        t5_right,
        certified(
            "-min T', class defaults: monotone",
            "target_slope_min",
            CLASS,
            above=-0.33334,
            below=-0.33333,
        ),
        certified(
            "-min T', released: falls",
            "target_slope_min",
            RELEASED,
            above=1.30676,
            below=1.30677,
        ),
        certified_box(
            "-min T' <= 0, box around the class defaults: every schedule monotone",
            "target_slope_min",
            CLASS_BOX,
            below=-0.0869,
            above=-0.0874,
            tolerance=0.0005,
        ),
        certified_box(
            "T' at h = 0.9 tau, box around the released schedule: every schedule falls",
            "target_slope_max",
            RELEASED_BOX,
            below=-0.7896,
            above=-0.7897,
            tolerance=0.0001,
            within=Fraction(9, 10),
        ),
        t5_cells,
        t5_refuted,
        t5_not_sufficient,
        t5_falls_right,
        t5_limit,
        t5_safe,
        t5_beyond,
        t5_binds,
        t5_trained,
        proved("Region", "T5_left", "T5_right", "T5_region", "T5_released_family"),
        proved("Counterexamples", "T5_released", "T5_released_peak", "T5_not_sufficient"),
    ),
)
