"""T2: what a hard pair gets from an exact reward model."""

import math

import numpy as np
import sympy as sp

from ..losses import madpo
from ..schedule import MarginSchedule, coefficient
from ..simulate import fit_pairs
from ..targets import effective_target
from .evidence import foil, must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import INSIDE, C, in_c, u
from .settings import LABELS, scaled, scheduled_margins, target_scores


@foil("the target is 1.05 c h*", C=scaled(sp.Rational(21, 20)))
@symbolic("exact reward model, |h*| < tau: z* = c h*")
def t2_amplified():
    for sign in (1, -1):
        target = in_c(effective_target(sign * u, sign * u, INSIDE), INSIDE)
        yield f"h* = {'+' if sign > 0 else '-'}u", target, sign * C * u


@foil("the target is 1.05 c h*", coefficient=scaled(1.05))
@property_test("z* = c(|h*|) h* up to tau, and |z*| >= |h*|", "T2")
def t2_amplified_numeric(case=scheduled_margins(100.0)):
    s, h = case
    h = math.copysign(min(abs(h), s.tau), h)
    target = effective_target(h, h, s)
    must(math.isclose(target, coefficient(h, s) * h, rel_tol=1e-13, abs_tol=1e-300))
    must(abs(target) >= abs(h))


@foil("the target is 1.05 c h*", coefficient=scaled(1.05))
@simulated("trained targets of pairs below tau", "c(|h*|) h*")
def t2_trained():
    h, s = np.linspace(-3, 3, 24), MarginSchedule.class_defaults()
    h = h[np.abs(h) < s.tau]
    fit = fit_pairs(madpo, h, LABELS, 3, margin=h, weighting=s)
    scores = target_scores(fit, h, coefficient(h, s) * h, 0.1)
    return "exact reward model, class defaults", scores


CLAIM = Claim(
    id="T2",
    title="hard pairs are amplified",
    statement=r"With an exact reward model a pair with $|h^*| < \tau$ gets the target "
    r"$z^* = c(|h^*|) h^*$, amplified.",
    reading="Hard pairs are amplified as the paper says.",
    source="arXiv 2510.05342 (A2); derived here",
    assumptions="exact reward model",
    figure="effective_target",
    verdict="holds",
    uses=("S1", "T1", "T4"),
    evidence=(
        t2_amplified,
        t2_amplified_numeric,
        t2_trained,
        proved("Target", "T2_target", "T2_amplified"),
    ),
)
