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
from .evidence import certified, enclosed, must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import OUTSIDE, OUTSIDE_MARGIN, C, in_c, sigma
from .settings import CLASS, LABELS, RELEASED, margins, schedules, target_scores

EASY = 8.0


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
        "dampening = log(1 + e^-ch) - log(1 + e^-h) < log(1 + e^(-c_min tau)) <= log 2",
        sp.exp(far - target),
        (1 + sp.exp(-C * far)) / (1 + sp.exp(-far)),
    )
    yield (
        "the claim c h* differs from it by the factor",
        sp.exp(target - C * far),
        (1 + sp.exp(far)) / (1 + sp.exp(C * far)),
    )


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


@enclosed("counterexample at h* = 8", "z* differs from c h*")
def t3_counterexample():
    with precision():
        h = arb(8)
        target, claimed = effective_target(h, h, RELEASED), coefficient(h, RELEASED) * h
        text = f"z* = {target.str(10, radius=False)}, c h* = {claimed.str(10, radius=False)}"
        return text, target - claimed > 2


@simulated("trained target of an easy pair", "h* + log[sigma(ch*)/sigma(h*)]; c h* is refuted")
def t3_trained():
    s, h = MarginSchedule.released(), np.full(8, EASY)
    fit = fit_pairs(madpo, h, LABELS, 4, margin=h, weighting=s)
    scores = target_scores(fit, h, effective_target(h, h, s), 0.1)
    claimed = target_scores(fit, h, coefficient(h, s) * h, 0.1)
    if np.abs(claimed).min() < 20:
        raise RuntimeError("the simulation cannot tell c h* from the target")
    text = f"mean z = {0.1 * fit.m.mean():.3f} at h* = 8, c h* = {coefficient(8.0, s) * 8:.3f}"
    return text, scores


CLAIM = Claim(
    id="T3",
    statement=r"With an exact reward model an easy pair, $h^* \geq \tau$, gets the dampened "
    r"target $c(h^*) h^*$.",
    reading="Easy pairs are not dampened to c h*: they lose at most log 2 nats, and 0.0052 "
    "at the released schedule.",
    source="arXiv 2510.05342 (A2, as a formula); refuted here",
    assumptions="exact reward model",
    figure="effective_target",
    verdict="fails",
    counterexample=r"released schedule, h* = 8: c h* = 5.722, but the target is 7.997"
    r" (z* = h* + log[sigma(c h*)/sigma(h*)])",
    uses=("S1", "S2", "T1"),
    evidence=(
        t3_target,
        certified(
            "largest dampening, released, nats",
            "dampening",
            RELEASED,
            above=0.0051,
            below=0.0052,
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
