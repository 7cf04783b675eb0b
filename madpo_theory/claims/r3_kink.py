"""R3: the weight's corner at -tau, seen by a reward model that errs there."""

import sympy as sp
from flint import arb
from scipy.special import expit

from ..certify.enclosure import precision
from ..schedule import coefficient
from ..weights import weight
from .evidence import certified, enclosed, foil, must, property_test, symbolic
from .ledger import Claim
from .regimes import INSIDE, KNEE_SLOPE, OUTSIDE, in_c, knee_slope, lam, sigma, tau, u
from .settings import CLASS, RELEASED, minus_log, scaled, schedules, to_digit

L_W = 2.29995  # released
STEP, KEPT = 0.3, 0.50  # at the released schedule a weight falls from 1 to KEPT in STEP nats
LEAST_CLASS = 0.75  # weight, class defaults


@foil("the kink is 5 % steeper", KNEE_SLOPE=scaled(sp.Rational(21, 20)))
@symbolic("one-sided slopes of the weight at -tau")
def r3_slopes():
    right = -sp.diff(inside_weight(), u).subs(u, tau)
    yield "w'(-tau+) = -sigma(tau) lam tau kappa'", right, -sigma(tau) * lam * tau * KNEE_SLOPE
    left = sp.diff(weight(-(tau + u), OUTSIDE), u)
    yield "w' = 0 left of -tau", left, sp.Integer(0)


def inside_weight():
    """w(-u) for u < tau, with tau free."""
    return sigma(-coefficient(u, OUTSIDE) * u) / sigma(-u)


@foil(
    "the branch is that of a weight 5 % larger",
    inside_weight=lambda true: lambda: sp.Rational(21, 20) * true(),
)
@symbolic("the branch that the slope is taken of is the library's weight")
def r3_branch():
    own = inside_weight().subs(tau, INSIDE.tau)
    yield (
        "w(-u) = sigma(-c u)/sigma(-u), u < tau",
        in_c(weight(-u, INSIDE), INSIDE),
        in_c(own, INSIDE),
    )


@foil("the kink is 5 % steeper", knee_slope=scaled(1.05))
@property_test("(w(-tau) - w(-tau + e))/e tends to sigma(tau) lam tau kappa'", "R3")
def r3_quotient(s=schedules()):
    knee = s.lam * s.tau * knee_slope(s)
    # |w''| <= 8 (1 + lam + 1/tau + knee) |w'| near the kink: the quotient is off by half of
    # that times the step, and by the rounding of a weight near 1 (4 ulp) over the step.
    step = 1e-6 / (1 + s.lam + 1 / s.tau + knee)
    step = s.tau - (s.tau - step)  # the step that -tau + step really takes
    fall = weight(-s.tau, s) - weight(-s.tau + step, s)
    slope = knee * expit(s.tau)
    must(abs(fall - slope * step) <= 4e-6 * slope * step + 1e-15, (fall, slope * step))
    must(weight(-s.tau - step, s) == 1.0)


@foil("in half of that step", STEP=scaled(0.5))
@enclosed(f"{STEP} nats across the kink, released", f"w falls from 1 to {KEPT:.2f}")
def r3_fall():
    with precision():
        kept = weight(arb(STEP) - arb(999).log(), RELEASED)
        return f"w(-tau + {STEP}) = {kept.str(6, radius=False)}", abs(kept - KEPT) < 5e-3


CLAIM = Claim(
    id="R3",
    title="at the corner a small error doubles a label's weight, or halves it",
    statement=r"At $h = -\tau$ a reward-model error moves the weight by $\sigma(\tau) \lambda "
    r"\tau \kappa'$ per nat toward $0$, and not at all away from it: "
    rf"${L_W:.5f}$ at the released schedule, where no margin has a steeper weight.",
    reading="At the released schedule a label that the reward model disputes by about tau keeps "
    f"its full weight or {KEPT:.2f} of it, on {STEP:.1f} nats of reward-model error; at the class "
    f"defaults no label falls below {LEAST_CLASS:.2f}.",
    source="derived here",
    assumptions="slope at the kink: any valid schedule; steepest anywhere: released",
    figure="weight_and_coefficient",
    verdict="holds",
    uses=("S1", "S2"),
    evidence=(
        r3_slopes,
        r3_branch,
        r3_quotient,
        r3_fall,
        certified("L_w, released", "weight_slope", RELEASED, **to_digit(L_W, 1e-5)),
        certified("L_w, class defaults", "weight_slope", CLASS, above=0.587197, below=0.5872),
        certified(
            "-log of the smallest weight, class defaults",
            "log_weight_min",
            CLASS,
            **to_digit(LEAST_CLASS, 1e-2, minus_log),
        ),
    ),
)
