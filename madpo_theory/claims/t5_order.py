"""T5: on which schedules an easier pair never gets a smaller target."""

from fractions import Fraction

import numpy as np
import sympy as sp
from flint import arb, arb_series, ctx
from hypothesis import strategies as st
from sympy.core.relational import Relational

from ..certify import section_cells
from ..certify.enclosure import precision
from ..losses import madpo
from ..order import amplified_limit, monotone_limit, safe_lam, safe_tau, scaled_slope
from ..schedule import MarginSchedule, coefficient
from ..simulate import fit_pairs
from ..targets import effective_target
from .evidence import (
    certified,
    certified_box,
    enclosed,
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


@symbolic("T' on [0, tau] and at its end")
def t5_slope():
    yield "T = c u", in_c(effective_target(u, u, INSIDE), INSIDE), C * u
    c = coefficient(u, OUTSIDE)
    slope = sp.diff(inside(effective_target(u, u, OUTSIDE)), u)
    yield "T' = c + u c'", slope, c + u * sp.diff(c, u)
    yield "T'(tau-) = 1 - lam tau kappa'", slope.subs(u, tau), 1 - lam * tau * KNEE_SLOPE


def bound_on_lam_tau(c):
    """-t - c/c'(t) as a function of c: T' >= 0 at t = lam (u - tau) iff lam tau is at most this."""
    return c_min / (c - c_min) + c_max / (c_max - c) + sp.log(KAPPA * (c - c_min) / (c_max - c))


def branch(expression, truth):
    """A Piecewise with its relation decided."""
    return expression.replace(lambda e: isinstance(e, Relational), lambda e: sp.sympify(truth))


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


@symbolic("right of tau: T' by its sign, which falls with lam")
def t5_right():
    far = OUTSIDE_MARGIN
    target = effective_target(far, far, OUTSIDE)
    yield (
        "scaled_slope = T'/sigma(-c u)",
        in_c(scaled_slope(far, OUTSIDE), OUTSIDE),
        in_c(sp.diff(target, d), OUTSIDE) / sigma(-C * far),
    )
    t, g = sp.symbols("t g", positive=True)  # g = -dc/dt > 0, c = C: both given by t alone
    at = tau + t / lam
    grown = (1 + sp.exp(C * at)) * sigma(at)
    slope = C - (t + lam * tau) * g + grown
    rise = sp.exp(C * at) * sigma(at) * (C + (1 + sp.exp(-C * at)) * sigma(-at))
    yield (
        "at fixed t and tau it falls: d/dlam = -tau g - (t/lam^2) (d/du)(1 + e^cu) sigma(u) < 0",
        sp.diff(slope, lam),
        -tau * g - t / lam**2 * rise,
    )


@enclosed("released: an easier pair with the smaller target", "T(5.26) > T(log 999)")
def t5_refuted():
    with precision():
        easier = arb(999).log()
        high = effective_target(arb("5.26"), arb("5.26"), RELEASED)
        low = easier  # T(tau) = tau, where a ball around tau cannot pick its branch
        text = f"T(5.26) = {high.str(8, radius=False)} > T({easier.str(8, radius=False)}) = tau"
        return text, high > low and easier > arb("5.26")


def enclosed_slope(at, schedule):
    """Arb ball around T'(at)."""
    cap, ctx.cap = ctx.cap, 2
    try:
        x = arb_series([at, 1], prec=2)
        return effective_target(x, x, schedule)[1]
    finally:
        ctx.cap = cap


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
        # at c_min = 1/2 the limit 2 (c_max - 1/2)/(c_max - 1) falls with c_max
        least, most = (2 * (c - sp.Rational(1, 2)) / (c - 1) for c in map(sp.Rational, (high, low)))
        if cell.verdict == "increases":
            agrees &= sp.Rational(far) <= least
        elif cell.verdict == "falls":
            agrees &= sp.Rational(near) >= most
    text = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
    return text, agrees and counts["increases"] > 30 and counts["falls"] > 90


@property_test("T falls left of tau iff lam tau > monotone_limit", "T5, sufficient and necessary")
def t5_limit(s=schedules()):
    limit = float(monotone_limit(s.c_max, s.c_min))
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


@property_test("T is increasing for every lam <= safe_lam, and for none above", "T5", examples=60)
def t5_safe_lam(s=schedules(), share=st.floats(0.01, 0.999)):
    safe = safe_lam(s.c_max, s.c_min, s.tau)
    below = MarginSchedule(s.c_max, s.c_min, share * safe, s.tau)
    at = np.concatenate([np.linspace(0, s.tau, 301), s.tau + np.linspace(0, 40, 301) / below.lam])
    rounding = 1e-13 * s.c_max * at[-1]
    must(np.diff(effective_target(at, at, below)).min() >= -rounding)
    above = MarginSchedule(s.c_max, s.c_min, min(1.001 * safe, 1e8), s.tau)
    if above.lam * above.tau <= monotone_limit(s.c_max, s.c_min):  # then it falls beyond tau
        must(scaled_slope(s.tau + np.linspace(0, 40, 4001) / above.lam, above).min() < 0)


@property_test("T is increasing for every tau <= safe_tau, and falls just above", "T5", examples=25)
def t5_safe_tau(s=schedules(), share=st.floats(0.01, 0.999)):
    safe = safe_tau(s.c_max, s.c_min, s.lam)
    if safe > 0:
        below = MarginSchedule(s.c_max, s.c_min, s.lam, share * safe)
        tail = below.tau + np.linspace(0, 40, 301) / s.lam
        at = np.concatenate([np.linspace(0, below.tau, 301), tail])
        rounding = 1e-13 * s.c_max * at[-1]
        must(np.diff(effective_target(at, at, below)).min() >= -rounding)
    above = MarginSchedule(s.c_max, s.c_min, s.lam, 1.0001 * safe + 1e-9)
    if above.lam * above.tau <= monotone_limit(s.c_max, s.c_min):
        must(scaled_slope(above.tau + np.linspace(0, 40, 40001) / s.lam, above).min() < 0)


@simulated("two trained pairs change places", "T(5.26) = 8.33 above T(6.9) = 6.92")
def t5_trained():
    h, s = np.array([5.26, 6.9]), MarginSchedule.released()
    fit = fit_pairs(madpo, h, LABELS, 5, margin=h, weighting=s)
    scores = target_scores(fit, h, effective_target(h, h, s), 0.1)
    first, second = 0.1 * fit.m
    if not first > second + 1:
        raise RuntimeError(f"the order is not reversed: {first} and {second}")
    return f"h* = 5.26 settles at {first:.3f}, h* = 6.9 at {second:.3f}", scores


CLAIM = Claim(
    id="T5",
    statement=r"The effective target $T(h) = h + \delta(h)$ increases with the true margin: "
    r"an easier pair never gets a smaller target.",
    reading="At the released schedule pairs between 5.3 and 6.9 nats get smaller targets the "
    "easier they are, and up to 1.4 nats of order are lost; with c_max = 2 and lam = 1 a tau "
    "of at most 3 keeps the order (safe_tau), as the class defaults do.",
    source="implicit in arXiv 2510.05342 (A2); derived here",
    assumptions="exact reward model",
    verdict="conditional",
    condition=r"$\lambda \tau \leq \frac{c_{max} - c_{min}}{(c_{max} - 1)(1 - c_{min})}$ where "
    r"$2 c_{min} c_{max} \leq c_{min} + c_{max}$, else $\lambda \tau \leq 2 \frac{c_{max} + "
    r"c_{min}}{c_{max} - c_{min}} + \log \frac{(c_{max} - 1) c_{min}}{(1 - c_{min}) c_{max}}$ "
    r"(exact left of $\tau$); and $1 + (\log w)' \geq 0$ beyond, which fails only for large "
    r"$\lambda$ with $c_{max}$ near 1 or $c_{min}$ near 0",
    counterexample="released schedule: T(5.26) = 8.33 but T(log 999) = log 999 = 6.907",
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
            below=-0.5,
            within=Fraction(9, 10),
        ),
        t5_cells,
        t5_refuted,
        t5_not_sufficient,
        t5_falls_right,
        t5_limit,
        t5_safe_lam,
        t5_safe_tau,
        t5_trained,
        proved("Counterexamples", "T5_released", "T5_released_peak", "T5_not_sufficient"),
    ),
)
