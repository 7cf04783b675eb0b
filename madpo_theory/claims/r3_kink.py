"""R3: the weight's corner at -tau, seen by a reward model that errs there."""

import sympy as sp
from flint import arb
from scipy.special import expit

from ..certify.enclosure import precision
from ..schedule import coefficient
from ..weights import weight
from .evidence import certified, enclosed, must, property_test, symbolic
from .ledger import Claim
from .regimes import INSIDE, KNEE_SLOPE, OUTSIDE, in_c, knee_slope, lam, sigma, tau, u
from .settings import CLASS, RELEASED, schedules


@symbolic("one-sided slopes of the weight at -tau")
def r3_slopes():
    right = -sp.diff(inside_weight(), u).subs(u, tau)
    yield "w'(-tau+) = -sigma(tau) lam tau kappa'", right, -sigma(tau) * lam * tau * KNEE_SLOPE
    left = sp.diff(weight(-(tau + u), OUTSIDE), u)
    yield "w' = 0 left of -tau", left, sp.Integer(0)


def inside_weight():
    """w(-u) for u < tau, with tau free."""
    return sigma(-coefficient(u, OUTSIDE) * u) / sigma(-u)


@symbolic("the branch that the slope is taken of is the library's weight")
def r3_branch():
    own = inside_weight().subs(tau, INSIDE.tau)
    yield (
        "w(-u) = sigma(-c u)/sigma(-u), u < tau",
        in_c(weight(-u, INSIDE), INSIDE),
        in_c(own, INSIDE),
    )


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


@enclosed("a tenth of a nat across the kink, released", "w falls from 1 by more than 0.2")
def r3_tenth():
    with precision():
        knee = arb(999).log()
        fall = 1 - weight(arb("0.1") - knee, RELEASED)
        text = f"1 - w(-tau + 0.1) = {fall.str(6, radius=False)}"
        return text, fall > arb("0.2")


CLAIM = Claim(
    id="R3",
    statement=r"At $h = -\tau$ a reward-model error moves the weight by $\sigma(\tau) \lambda "
    r"\tau \kappa'$ per nat toward $0$, and not at all away from it: $2.29995$ at the "
    r"released schedule, where no margin has a steeper weight.",
    reading="A label that the reward model disputes by about tau keeps its full weight or "
    "loses most of it, on a few tenths of a nat of reward-model error.",
    source="derived here",
    assumptions="slope at the kink: any valid schedule; steepest anywhere: released",
    figure="weight_and_coefficient",
    verdict="holds",
    uses=("S1", "S2"),
    evidence=(
        r3_slopes,
        r3_branch,
        r3_quotient,
        r3_tenth,
        certified("L_w, released", "weight_slope", RELEASED, above=2.299948, below=2.299951),
        certified("L_w, class defaults", "weight_slope", CLASS, above=0.587197, below=0.5872),
    ),
)
