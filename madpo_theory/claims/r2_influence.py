"""R2: what any reward-model error can do to a target."""

import math

import sympy as sp
from hypothesis import strategies as st

from ..targets import effective_target, influence_bound
from ..weights import log_weight_ratio
from .evidence import certified, foil, must, property_test, proved, symbolic
from .ledger import Claim
from .regimes import INSIDE, OUTSIDE, OUTSIDE_MARGIN, C, c_max, d, in_c, u
from .settings import (
    CLASS,
    RELEASED,
    RELEASED_4,
    certified_boxes,
    margins,
    scaled,
    scheduled_margins,
    schedules,
    to_digit,
)

D, D_4 = 3.475, 9.31  # released, and its c_max = 4


@foil("c is 5 % larger", C=scaled(sp.Rational(21, 20)))
@symbolic("both pieces of the bound")
def r2_outside():
    far = OUTSIDE_MARGIN
    delta = in_c(log_weight_ratio(far, OUTSIDE), OUTSIDE)
    yield "e^-delta", sp.exp(-delta), (1 + sp.exp(-C * far)) / (1 + sp.exp(-far))
    knee = u + d
    yield (
        "inside: (c_max - 1) tau - delta = (c_max - c) tau + (c - 1)(tau - u), positive as "
        "1 < c < c_max (Coq's S1_range)",
        (c_max - 1) * knee - in_c(log_weight_ratio(u, INSIDE), INSIDE),
        (c_max - C) * knee + (C - 1) * d,
    )


@foil("the bound is 5 % less", influence_bound=scaled(0.95))
@property_test("|delta(h)| <= max((c_max - 1) tau, log(1 + e^(-c_min tau)))", "R2")
def r2_bound(case=scheduled_margins(1e4), h_true=margins(30.0), steps=st.floats(2, 10)):
    s, anywhere = case
    bound = influence_bound(s) * (1 + 1e-14)
    rounding = 1e-15 * (abs(h_true) + bound)
    for h in (anywhere, s.tau - min(steps / s.lam, s.tau)):  # a steep schedule comes nearest there
        must(abs(log_weight_ratio(h, s)) <= bound)
        must(abs(effective_target(h_true, h, s) - h_true) <= bound + rounding)


@foil("if h* > 0.95 D", influence_bound=scaled(0.95))
@property_test("the target keeps the true sign if h* > D", "R2, consequence")
def r2_sign(
    s=schedules(lam=(1, 20), tau=(1, 100)),
    beyond=st.floats(0, 10),
    h_model=margins(1e3),
    steps=st.floats(2, 10),
):
    h = influence_bound(s) + beyond + 1e-9
    for wrong in (h_model, steps / s.lam - s.tau):  # just above -tau it comes nearest
        must(effective_target(h, wrong, s) > 0)
        must(math.isfinite(effective_target(h, wrong, s)))


CLAIM = Claim(
    id="R2",
    title="no reward model moves a target further than a certified bound",
    statement=r"However wrong the reward model, $|z^* - h^*| \leq D = \sup |\delta| \leq "
    r"\max((c_{max} - 1) \tau, \log(1 + e^{-c_{min} \tau}))$; "
    rf"$D = {D:.3f}$ at the released schedule.",
    reading=f"However wrong the reward model, it shifts a target by at most {D:.3f} nats at the "
    f"released schedule, {D_4:.2f} at its c_max = 4; DPO's targets do not depend on one.",
    source="arXiv 2510.05342 (A4); derived here",
    assumptions="any reward model; any valid schedule for the bound; D for three schedules and "
    "over three boxes of schedules",
    figure="target_shift",
    verdict="holds",
    uses=("S1", "S2", "T1", "T4"),
    evidence=(
        r2_outside,
        certified("D, released", "influence", RELEASED, **to_digit(D, 1e-3)),
        certified("D, class defaults", "influence", CLASS, above=0.36417, below=0.36418),
        certified("D, c_max = 4", "influence", RELEASED_4, **to_digit(D_4, 1e-2)),
        *certified_boxes(
            "D", "influence", (0.561, 0.563, 0.001), (3.981, 3.983, 0.001), (9.5, 9.6, 0.05)
        ),
        r2_bound,
        r2_sign,
        proved("Robustness", "R2_closed_form", "R2_influence", "R2_shift", "R2_sign"),
        proved("Released", "R2_released_upper", "R2_released_lower"),
        proved("Tails", "tail_value", "tail_influence"),
    ),
)
