"""R1: what a nat of reward-model error can do to a target."""

import functools

import numpy as np
import sympy as sp

from ..certify import supremum
from ..certify.quantities import QUANTITIES
from ..losses import madpo
from ..schedule import MarginSchedule, coefficient
from ..simulate import fit_pairs
from ..targets import effective_target
from ..weights import log_weight_ratio
from .evidence import certified, must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import INSIDE, OUTSIDE, C, in_c, inside, u
from .settings import CLASS, LABELS, RELEASED, RELEASED_4, certified_boxes, margins, target_scores


@symbolic("delta' = c - 1 + u c' inside the knee")
def r1_slope():
    c = coefficient(u, OUTSIDE)
    yield "delta = (c - 1) u", in_c(log_weight_ratio(u, INSIDE), INSIDE), (C - 1) * u
    slope = sp.diff(inside(log_weight_ratio(u, OUTSIDE)), u)
    yield "delta' = c - 1 + u c'", slope, c - 1 + u * sp.diff(c, u)


@functools.cache
def released_sensitivity():
    """Certified upper end of L at the released schedule."""
    return supremum(QUANTITIES["sensitivity"], RELEASED).upper


@property_test("|z*(h) - z*(h')| <= L |h - h'|, released", "R1, with the certified L")
def r1_lipschitz(h=margins(20.0), first=margins(20.0), second=margins(20.0)):
    s = MarginSchedule.released()
    moved = abs(effective_target(h, first, s) - effective_target(h, second, s))
    must(moved <= released_sensitivity() * abs(first - second) + 1e-13)


@simulated("trained targets under a wrong reward model", "h* + delta(h + error), 30 pairs")
def r1_trained():
    rng = np.random.default_rng(np.random.SeedSequence(6))
    h = rng.uniform(-4, 4, 30)
    wrong = h + rng.uniform(-6, 6, 30)
    s = MarginSchedule.released()
    fit = fit_pairs(madpo, h, LABELS, 7, margin=wrong, weighting=s)
    scores = target_scores(fit, h, effective_target(h, wrong, s), 0.1)
    moved = np.abs(0.1 * fit.m - effective_target(h, h, s)) / np.abs(wrong - h)
    if not moved.max() <= released_sensitivity():
        raise RuntimeError(f"a target moved {moved.max()} nats per nat of error, beyond L")
    return f"largest shift per nat of error {moved.max():.3f}, below the certified L", scores


CLAIM = Claim(
    id="R1",
    statement=r"A reward-model error moves the target by at most $L$ times itself, $L = "
    r"\sup |\delta'| = 2.30677$ at the released schedule (DPO: $0$).",
    reading="A nat of reward-model error can cost up to 2.31 nats of target; DPO pays none.",
    source="arXiv 2510.05342 (A4); derived here",
    assumptions="any true margin; c_max = 2, c_min = 1/2, lam = 1, tau = log 999; "
    "class defaults, c_max = 4, and every schedule of three boxes, each with its own L",
    figure="target_shift",
    verdict="holds",
    uses=("S1", "T1", "T4"),
    evidence=(
        r1_slope,
        certified("L, released", "sensitivity", RELEASED, above=2.306765, below=2.306767),
        certified("L, class defaults", "sensitivity", CLASS, above=0.680478, below=0.680480),
        certified("L, c_max = 4", "sensitivity", RELEASED_4, above=4.67869, below=4.678692),
        *certified_boxes(
            "L", "sensitivity", (0.915, 0.917, 0.001), (2.615, 2.617, 0.001), (4.7, 4.9, 0.1)
        ),
        r1_lipschitz,
        r1_trained,
        proved("Released", "R1_released", "R1_released_tight"),
    ),
)
