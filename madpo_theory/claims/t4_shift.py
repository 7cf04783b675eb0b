"""T4: the shift of a target below tau, whatever the true margin."""

import math

import sympy as sp

from ..schedule import excess
from ..targets import effective_target
from ..weights import log_weight, log_weight_ratio
from .evidence import foil, must, property_test, proved, symbolic
from .ledger import Claim
from .regimes import INSIDE, OUTSIDE, OUTSIDE_MARGIN, C, in_c, u
from .settings import margins, scaled, scheduled_margins


@foil("the shift is (1.05 c - 1) h", C=scaled(sp.Rational(21, 20)))
@symbolic("|h| < tau: z* = h* + (c - 1) h for any true margin")
def t4_shift():
    for sign in (1, -1):
        h = sign * u
        weights = in_c(log_weight(h, INSIDE) - log_weight(-h, INSIDE), INSIDE)
        yield f"e^(log w(h) - log w(-h)), h = {h}", sp.exp(weights), sp.exp((C - 1) * h)
        yield f"delta(h), h = {h}", in_c(log_weight_ratio(h, INSIDE), INSIDE), (C - 1) * h
    far = OUTSIDE_MARGIN
    for sign in (1, -1):
        yield (
            f"h = {sign * far}: delta is the difference of the log weights",
            log_weight_ratio(sign * far, OUTSIDE),
            log_weight(sign * far, OUTSIDE) - log_weight(-sign * far, OUTSIDE),
        )


@foil("the shift is 1.05 (c - 1) h", excess=scaled(1.05))
@property_test("z* - h* = (c - 1) h inside the knee, odd in h", "T4")
def t4_shift_numeric(case=scheduled_margins(1e4), h=margins(30.0)):
    s, h_model = case
    shift = log_weight_ratio(h_model, s)
    must(shift == -log_weight_ratio(-h_model, s))
    if abs(h_model) <= s.tau:
        must(math.isclose(shift, excess(h_model, s) * h_model, rel_tol=1e-15, abs_tol=1e-300))
    must(math.isclose(effective_target(h, h_model, s), h + shift, rel_tol=1e-15, abs_tol=0))
    difference = log_weight(h_model, s) - log_weight(-h_model, s)
    must(math.isclose(shift, difference, rel_tol=1e-12, abs_tol=1e-300))


CLAIM = Claim(
    id="T4",
    title="the reward model's margin is added to the target c - 1 times",
    statement=r"For $|h| < \tau$ the target is $z^* = h^* + (c(|h|) - 1) h$, whatever the "
    r"true margin.",
    reading="The reward model's margin, right or wrong, is added to the target c - 1 times.",
    source="derived here",
    assumptions="any reward model",
    figure="target_shift",
    verdict="holds",
    uses=("S2", "T1"),
    evidence=(
        t4_shift,
        t4_shift_numeric,
        proved("Target", "T4_shift"),
    ),
)
