"""T3: what an easy pair gets from an exact reward model, which is not what the paper says."""

import math

import numpy as np
import sympy as sp
from flint import arb

from ..certify.enclosure import precision
from ..losses import madpo
from ..schedule import MarginSchedule, coefficient
from ..simulate import fit_pairs
from ..targets import effective_target
from ..weights import log_weight_ratio
from .evidence import certified, enclosed, foil, must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import OUTSIDE, OUTSIDE_MARGIN, C, in_c, sigma
from .settings import (
    CLASS,
    LABELS,
    RELEASED,
    margins,
    scaled,
    schedules,
    target_scores,
    to_digit,
)

EASY = 8
TARGET, CLAIMED = 7.997, 5.722  # of an easy pair, at the released schedule
MOST = 0.0051  # dampening there


def as_claimed(true):
    """The target that the paper claims."""
    return lambda h, h_model, s: coefficient(h_model, s) * h


@foil("the target is c h*", effective_target=as_claimed)
@symbolic("exact reward model, h* > tau: z* = h* + log[sigma(ch)/sigma(h)], not c h*")
def t3_target():
    far = OUTSIDE_MARGIN
    target = in_c(effective_target(far, far, OUTSIDE), OUTSIDE)
    yield (
        "z* = h* + log[sigma(c h*)/sigma(h*)]",
        sp.exp(target - far),
        sigma(C * far) / sigma(far),
    )
    yield (
        "dampening = log(1 + e^-ch) - log(1 + e^-h), below log(1 + e^(-c_min tau)) <= log 2 by "
        "Coq's T3_bound and T3_log_two",
        sp.exp(far - target),
        (1 + sp.exp(-C * far)) / (1 + sp.exp(-far)),
    )
    yield (
        "the claim c h* differs from it by the factor",
        sp.exp(target - C * far),
        (1 + sp.exp(far)) / (1 + sp.exp(C * far)),
    )


@foil("easy pairs lose 5 % more", log_weight_ratio=scaled(1.05))
@property_test("0 <= h* - z* < log(1 + e^(-c_min tau)) <= log 2 for h* >= tau", "T3")
def t3_small(s=schedules(), beyond=margins(1e4)):
    h = s.tau + abs(beyond)
    dampening = -log_weight_ratio(h, s)
    here, bound = (math.log1p(math.exp(-s.c_min * u)) for u in (h, s.tau))
    must(-1e-15 <= dampening <= here * (1 + 1e-15))  # it vanishes with h where c_min > 0
    must(here <= bound <= math.log(2) * (1 + 1e-15))
    must(math.isclose(effective_target(h, h, s), h - dampening, rel_tol=1e-15))
    flat = MarginSchedule(s.c_max, 0.0, s.lam, s.tau)
    must(math.isclose(-log_weight_ratio(s.tau + 700 / s.lam, flat), math.log(2), rel_tol=1e-12))


@foil("the target is c h*", effective_target=as_claimed)
@enclosed(f"counterexample at h* = {EASY}", f"z* = {TARGET}, c h* = {CLAIMED}")
def t3_counterexample():
    with precision():
        h = arb(EASY)
        target, claimed = effective_target(h, h, RELEASED), coefficient(h, RELEASED) * h
        text = f"z* = {target.str(10, radius=False)}, c h* = {claimed.str(10, radius=False)}"
        return text, abs(target - TARGET) < 5e-4 and abs(claimed - CLAIMED) < 5e-4


@foil("the target is c h*", effective_target=as_claimed)
@simulated("trained target of an easy pair", "h* + log[sigma(ch*)/sigma(h*)]; c h* is refuted")
def t3_trained():
    s, h = MarginSchedule.released(), np.full(8, float(EASY))
    fit = fit_pairs(madpo, h, LABELS, 4, margin=h, weighting=s)
    scores = target_scores(fit, h, effective_target(h, h, s), 0.1)
    claimed = target_scores(fit, h, coefficient(h, s) * h, 0.1)
    must(np.abs(claimed).min() > 20, "the simulation cannot tell c h* from the target")
    text = f"mean z = {0.1 * fit.m.mean():.3f} at h* = {EASY}, c h* = {CLAIMED}"
    return text, scores


CLAIM = Claim(
    id="T3",
    title="easy pairs are hardly dampened",
    statement=r"With an exact reward model an easy pair, $h^* \geq \tau$, gets the dampened "
    r"target $c(h^*) h^*$.",
    reading=f"Easy pairs are not dampened to c h*: they lose less than log 2 nats, at the "
    f"released schedule {MOST:.4f}.",
    source="arXiv 2510.05342 (A2, as a formula); refuted here",
    assumptions="exact reward model",
    figure="effective_target",
    verdict="fails",
    counterexample=f"released schedule, h* = {EASY}: c h* = {CLAIMED:.3f}, but the target is "
    f"{TARGET:.3f} (z* = h* + log[sigma(c h*)/sigma(h*)])",
    uses=("S1", "S2", "T1"),
    evidence=(
        t3_target,
        certified(
            "largest dampening, released, nats",
            "dampening",
            RELEASED,
            **to_digit(MOST, 1e-4),
        ),
        certified(
            "largest dampening, class defaults, nats",
            "dampening",
            CLASS,
            above=0.0704,
            below=0.0705,
        ),
        t3_counterexample,
        t3_small,
        t3_trained,
        proved(
            "Target",
            "T3_target",
            "T3_dampened",
            "T3_bound",
            "T3_log_two",
            "T3_above_claimed",
            "T3_vanishes",
            "T3_lasts",
        ),
        proved("Counterexamples", "T3_counterexample", "T3_released"),
    ),
)
