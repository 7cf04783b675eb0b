"""R1: what a nat of reward-model error can do to a target."""

import functools
import math

import numpy as np
import sympy as sp
from hypothesis import strategies as st

from ..certify import supremum
from ..certify.quantities import QUANTITIES
from ..losses import madpo
from ..schedule import MarginSchedule, coefficient
from ..simulate import fit_pairs
from ..targets import effective_target
from ..weights import log_weight_ratio
from .evidence import certified, foil, must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import INSIDE, OUTSIDE, C, in_c, inside, u
from .settings import (
    CLASS,
    LABELS,
    RELEASED,
    RELEASED_4,
    certified_boxes,
    margins,
    scaled,
    target_scores,
    to_digit,
)

L, L_4 = 2.30677, 4.68  # released, and its c_max = 4
STEEPEST = math.log(999) - 0.0886  # where: a tenth of a nat below tau


@foil("c is 5 % larger", C=scaled(sp.Rational(21, 20)))
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


def near_the_steepest():
    """Margins of either sign within 0.05 nats of where the shift is steepest."""
    near = st.floats(-0.05, 0.05).map(lambda off: STEEPEST + off)
    return st.one_of(near, near.map(lambda h: -h))


@foil("L is 5 % smaller", released_sensitivity=scaled(0.95))
@property_test("|z*(h) - z*(h')| <= L |h - h'|, released", "R1, with the certified L")
def r1_lipschitz(
    h=margins(20.0),
    first=near_the_steepest() | margins(20.0),
    step=st.floats(-0.05, 0.05) | margins(40.0),
):
    s = MarginSchedule.released()
    moved = abs(effective_target(h, first, s) - effective_target(h, first + step, s))
    must(moved <= released_sensitivity() * abs(step) + 1e-13)


@foil("L is 5 % smaller", released_sensitivity=scaled(0.95))
@simulated(
    "two fits to the same labels, by reward models that differ", "h* + delta(h); at most L apart"
)
def r1_trained():
    """Half of the pairs lie anywhere, half where the shift is steepest."""
    rng = np.random.default_rng(np.random.SeedSequence(6))
    h = rng.uniform(-4, 4, 30)
    models = h + rng.uniform(-6, 6, (2, 30))
    models[:, :15] = STEEPEST + np.array([[-0.05], [0.05]]) * rng.uniform(size=15)
    s = MarginSchedule.released()
    first, second = (fit_pairs(madpo, h, LABELS, 7, margin=model, weighting=s) for model in models)
    steepness = np.abs(0.1 * (second.m - first.m) / (models[1] - models[0])).max()
    must(steepness <= released_sensitivity() * (1 + 1e-6), f"{steepness} nats per nat, beyond L")
    text = f"up to {steepness:.4f} nats of target per nat, the certified L {L}"
    return text, target_scores(second, h, effective_target(h, models[1], s), 0.1)


CLAIM = Claim(
    id="R1",
    title="a nat of reward-model error moves a target by a bounded amount",
    statement=r"A reward-model error moves the target by at most $L$ times itself, $L = "
    rf"\sup |\delta'| = {L:.5f}$ at the released schedule (DPO: $0$).",
    reading="At the released schedule a nat of reward-model error can cost up to "
    f"{L:.2f} nats of target, at its c_max = 4 up to {L_4:.2f}; DPO pays none.",
    source="arXiv 2510.05342 (A4); derived here",
    assumptions="any true margin; c_max = 2, c_min = 1/2, lam = 1, tau = log 999; "
    "class defaults, c_max = 4, and every schedule of three boxes, each with its own L",
    figure="target_shift",
    verdict="holds",
    uses=("S1", "T1", "T4"),
    evidence=(
        r1_slope,
        certified("L, released", "sensitivity", RELEASED, **to_digit(L, 1e-5)),
        certified("L, class defaults", "sensitivity", CLASS, above=0.680478, below=0.680480),
        certified("L, c_max = 4", "sensitivity", RELEASED_4, **to_digit(L_4, 1e-2)),
        *certified_boxes(
            "L", "sensitivity", (0.915, 0.917, 0.001), (2.615, 2.617, 0.001), (4.7, 4.9, 0.1)
        ),
        r1_lipschitz,
        r1_trained,
        proved("Released", "R1_released", "R1_released_tight"),
        proved("Tails", "tail_stretch", "tail_slope", "tail_sensitivity"),
    ),
)
