"""S1-S4: the schedule and the weight."""

import math

import numpy as np
import sympy as sp

from ..certify import ScheduleBox
from ..schedule import MarginSchedule, coefficient, excess
from ..weights import log_weight, weight
from .kinds import certified, certified_box, margins, property_test, proved, schedules, symbolic
from .ledger import Claim
from .regimes import (
    INSIDE,
    KNEE_SLOPE,
    OUTSIDE,
    OUTSIDE_MARGIN,
    C,
    c_max,
    c_min,
    in_c,
    lam,
    sigma,
    tau,
    u,
)

RELEASED = MarginSchedule.released(exact=True)
RELEASED_4 = MarginSchedule.released(4, exact=True)
CLASS = MarginSchedule.class_defaults(exact=True)
# Boxes of schedules: around the class defaults, around the released ones (log 999 = 6.9068), and
# one that holds every schedule a user is likely to set at lam = 1.
CLASS_BOX = ScheduleBox(("1.8", "2.2"), ("0.45", "0.55"), ("0.9", "1.1"), ("1.8", "2.2"))
RELEASED_BOX = ScheduleBox(("1.9", "2.1"), ("0.48", "0.52"), ("0.95", "1.05"), ("6.8", "7"))
WIDE_BOX = ScheduleBox(("1.5", "4"), ("0.25", "0.6"), 1, (2, 7))


@symbolic("slope, value at tau, ends")
def s1_slope():
    c = coefficient(u, OUTSIDE)
    yield (
        "c' = -lam (c - c_min)(c_max - c)/(c_max - c_min)",
        sp.diff(c, u),
        -lam * (c - c_min) * (c_max - c) / (c_max - c_min),
    )
    yield "c(tau) = 1", coefficient(tau, OUTSIDE), sp.Integer(1)
    yield (
        "c - c_min = (c_max - c_min)/(1 + kappa E), positive",
        c - c_min,
        (c_max - c_min) / (1 + (c_max - 1) / (1 - c_min) * sp.exp(lam * (u - tau))),
    )
    yield "stable form of c - 1", excess(u, OUTSIDE), c - 1


@property_test("c falls strictly from below c_max to c_min and is 1 at tau", "S1")
def s1_falls(s=schedules(), h=margins(), step=margins(5.0)):
    u, v = sorted((abs(h), abs(h) + abs(step)))
    cu, cv = coefficient(u, s), coefficient(v, s)
    assert s.c_min <= cv <= cu <= s.c_max, (cu, cv)
    visible = abs(coefficient((u + v) / 2, s) - 1) < 0.99 * min(1 - s.c_min, s.c_max - 1)
    if visible and s.lam * (v - u) > 1e-9:
        assert cv < cu, (cu, cv)
    assert math.isclose(coefficient(s.tau, s), 1.0, rel_tol=1e-15)


@symbolic("stable weight = ratio of sigmoids, branch by branch; kink at -tau")
def s2_forms():
    c = C
    ratio = sigma(c * u) / sigma(u)
    yield "0 < h < tau: w = sigma(ch)/sigma(h)", in_c(weight(u, INSIDE), INSIDE), ratio
    yield (
        "-tau < h < 0: w = sigma(ch)/sigma(h)",
        in_c(weight(-u, INSIDE), INSIDE),
        sigma(-c * u) / sigma(-u),
    )
    far = OUTSIDE_MARGIN
    yield (
        "h > tau: w = sigma(ch)/sigma(h)",
        in_c(weight(far, OUTSIDE), OUTSIDE),
        sigma(c * far) / sigma(far),
    )
    yield "h < -tau: w = 1", weight(-far, OUTSIDE), sp.Integer(1)
    yield "w(0) = 1", weight(sp.Integer(0), OUTSIDE), sp.Integer(1)
    inner = sp.log(sigma(-coefficient(u, OUTSIDE) * u) / sigma(-u))  # log w(-u), u < tau
    yield "continuity: log w(-tau+) = 0", inner.subs(u, tau), sp.Integer(0)
    yield (
        "right slope at -tau = -sigma(tau) lam tau kappa'",
        -sp.diff(inner, u).subs(u, tau),
        -sigma(tau) * lam * tau * KNEE_SLOPE,
    )


@property_test("w is positive, finite, continuous at -tau, 1 at 0", "S2")
def s2_positive(s=schedules(), h=margins(1e4)):
    w = weight(h, s)
    assert math.isfinite(log_weight(h, s)) and 0 <= w < 2, w
    assert weight(0.0, s) == 1.0
    slope = s.lam * s.tau * (s.c_max - 1) * (1 - s.c_min) / (s.c_max - s.c_min)
    gap = 1e-7 * s.tau
    assert abs(log_weight(-s.tau + gap, s)) <= 2 * slope * gap + 1e-12


@symbolic("w(h) < 1 + e^-h <= 2 for h >= 0, and w < 1 for -tau < h < 0")
def s3_below_two():
    w = in_c(weight(u, INSIDE), INSIDE)
    yield (
        "h > 0: (1 + e^-h) - w = w e^-ch > 0",
        (1 + sp.exp(-u)) - w,
        w * sp.exp(-C * u),
    )
    w = in_c(weight(-u, INSIDE), INSIDE)
    yield (
        "-tau < h < 0: 1 - w = (1 - e^-(c-1)u) sigma(cu) > 0 as c > 1",
        1 - w,
        (1 - sp.exp(-(C - 1) * u)) * sigma(C * u),
    )


@property_test("w(h) < 2", "S3, every valid schedule")
def s3_bound(s=schedules(), h=margins(1e3)):
    assert weight(h, s) < 2


@symbolic("importance ratio and label mass A")
def s4_mass():
    w_up, w_down = in_c(weight(u, INSIDE), INSIDE), in_c(weight(-u, INSIDE), INSIDE)
    yield "|h| < tau: sigma(h) w(h) = sigma(ch)", sigma(u) * w_up, sigma(C * u)
    yield "|h| < tau: sigma(-h) w(-h) = sigma(-ch)", sigma(-u) * w_down, sigma(-C * u)
    yield "|h| < tau: A = 1", sigma(u) * w_up + sigma(-u) * w_down, sp.Integer(1)
    far = OUTSIDE_MARGIN
    w_up, w_down = in_c(weight(far, OUTSIDE), OUTSIDE), weight(-far, OUTSIDE)
    yield (
        "h > tau: 1 - A = sigma(h) - sigma(ch) > 0 as c < 1",
        1 - sigma(far) * w_up - sigma(-far) * w_down,
        sigma(far) - sigma(C * far),
    )


@property_test("A = 1 inside the knee, A < 1 outside", "S4")
def s4_mass_numeric(s=schedules(), h=margins()):
    both = np.array([h, -h])
    mass = float((weight(both, s) / (1 + np.exp(-both))).sum())
    if abs(h) <= s.tau:
        assert abs(mass - 1) < 1e-13, mass
    else:
        assert mass <= 1 + 1e-15, mass


CLAIMS = (
    Claim(
        id="S1",
        statement=r"The coefficient $c$ decreases strictly from $c(0) < c_{max}$ to $c_{min}$, "
        r"with $c(\tau) = 1$ and $c' = -\lambda (c - c_{min})(c_{max} - c)/(c_{max} - c_{min})$.",
        reading="Small margins get a coefficient above 1, margins above tau one below 1.",
        source="arXiv 2510.05342 (definition); derived here",
        assumptions=r"any valid schedule",
        figure="weight_and_coefficient",
        verdict="holds",
        evidence=(
            s1_slope,
            s1_falls,
            proved(
                "Schedule",
                "S1_formula",
                "S1_at_tau",
                "S1_range",
                "S1_decreasing",
                "S1_slope",
                "S1_limit",
                "S1_excess",
            ),
        ),
    ),
    Claim(
        id="S2",
        statement=r"The weight $w$ is positive, bounded and continuous, $w(0) = 1$, with a kink "
        r"at $h = -\tau$: right slope $-\sigma(\tau) \lambda \tau \kappa'$, left slope $0$.",
        reading="No pair is thrown away, and the weight has no jump; but it has a corner.",
        source="arXiv 2510.05342 (A1); slope derived here",
        assumptions="any valid schedule",
        figure="weight_and_coefficient",
        verdict="holds",
        evidence=(
            s2_forms,
            s2_positive,
            proved(
                "Weight",
                "S2_published",
                "S2_disputed",
                "S2_positive",
                "S2_zero",
                "S2_continuous",
                "S2_corner",
            ),
        ),
    ),
    Claim(
        id="S3",
        statement=r"$w < 2$. At the released schedule $w \in [0.0313, 1.2061]$: the weight acts by "
        r"suppressing labels that the reward model disputes, $-\tau < h < 0$.",
        reading="No pair weighs 2 or more. At the released schedule hard pairs gain 21 % at most, "
        "while labels that the reward model disputes lose up to 97 %.",
        source="derived here",
        assumptions="bound: any valid schedule; interval: released c_max = 2, class defaults, "
        "released c_max = 4; and every schedule of three boxes",
        figure="weight_and_coefficient",
        verdict="holds",
        evidence=(
            s3_below_two,
            certified(
                "log of the largest weight, released",
                "log_weight_max",
                RELEASED,
                above=0.18729,
                below=0.18730,
            ),
            certified(
                "-log of the smallest weight, released",
                "log_weight_min",
                RELEASED,
                above=3.46285,
                below=3.46286,
            ),
            certified(
                "log of the largest weight, class defaults",
                "log_weight_max",
                CLASS,
                above=0.0979,
                below=0.0980,
            ),
            certified(
                "-log of the smallest weight, class defaults",
                "log_weight_min",
                CLASS,
                above=0.2815,
                below=0.2816,
            ),
            certified(
                "log of the largest weight, c_max = 4",
                "log_weight_max",
                RELEASED_4,
                above=0.3494,
                below=0.3496,
            ),
            certified_box(
                "log of the largest weight, box around the class defaults",
                "log_weight_max",
                CLASS_BOX,
                above=0.134,
                below=0.137,
                tolerance=0.002,
            ),
            certified_box(
                "-log of the smallest weight, box around the class defaults",
                "log_weight_min",
                CLASS_BOX,
                above=0.452,
                below=0.455,
                tolerance=0.002,
            ),
            certified_box(
                "log of the largest weight, box around the released schedule",
                "log_weight_max",
                RELEASED_BOX,
                above=0.200,
                below=0.203,
                tolerance=0.002,
            ),
            certified_box(
                "-log of the smallest weight, box around the released schedule",
                "log_weight_min",
                RELEASED_BOX,
                above=3.970,
                below=3.973,
                tolerance=0.002,
            ),
            certified_box(
                "-log of the smallest weight, wide box",
                "log_weight_min",
                WIDE_BOX,
                above=9.5,
                below=9.6,
                tolerance=0.05,
            ),
            s3_bound,
            proved("Weight", "S3_below_two"),
            proved("Released", "S3_released"),
        ),
    ),
    Claim(
        id="S4",
        statement=r"For $|h| < \tau$ the weight is the importance ratio from labels drawn with "
        r"$\sigma(h)$ to labels drawn with $\sigma(c h)$, so $A(h) = \sigma(h) w(h) + \sigma(-h) "
        r"w(-h) = 1$; and $A(h) < 1$ for $|h| > \tau$.",
        reading="Below tau MADPO is DPO on labels sharpened to c times the model's margin.",
        source="derived here",
        assumptions="any valid schedule; the reward model's margin is the true one",
        figure="weight_and_coefficient",
        verdict="holds",
        evidence=(
            s4_mass,
            s4_mass_numeric,
            proved("Weight", "S4_importance", "S4_mass_one", "S4_mass_below_one"),
        ),
    ),
)
