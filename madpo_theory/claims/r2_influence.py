"""R2: what any reward-model error can do to a target."""

import math

import sympy as sp

from ..targets import effective_target, influence_bound
from ..weights import log_weight_ratio
from .evidence import certified, must, property_test, proved, symbolic
from .ledger import Claim
from .regimes import INSIDE, OUTSIDE, OUTSIDE_MARGIN, C, c_max, d, in_c, u
from .settings import (
    CLASS,
    RELEASED,
    RELEASED_4,
    certified_boxes,
    margins,
    scheduled_margins,
    schedules,
)


@symbolic("both pieces of the bound")
def r2_outside():
    far = OUTSIDE_MARGIN
    delta = in_c(log_weight_ratio(far, OUTSIDE), OUTSIDE)
    yield "e^-delta", sp.exp(-delta), (1 + sp.exp(-C * far)) / (1 + sp.exp(-far))
    knee = u + d
    yield (
        "inside: (c_max - 1) tau - delta = (c_max - c) tau + (c - 1)(tau - u) > 0",
        (c_max - 1) * knee - in_c(log_weight_ratio(u, INSIDE), INSIDE),
        (c_max - C) * knee + (C - 1) * d,
    )


@property_test("|delta(h)| <= max((c_max - 1) tau, log(1 + e^(-c_min tau)))", "R2")
def r2_bound(case=scheduled_margins(1e4), h_true=margins(30.0)):
    s, h = case
    bound = influence_bound(s) * (1 + 1e-14)
    must(abs(log_weight_ratio(h, s)) <= bound)
    rounding = 1e-15 * (abs(h_true) + bound)
    must(abs(effective_target(h_true, h, s) - h_true) <= bound + rounding)


@property_test("the target keeps the true sign if h* > D", "R2, consequence")
def r2_sign(s=schedules(), beyond=margins(10.0), h_model=margins(1e3)):
    h = influence_bound(s) + abs(beyond) + 1e-9
    must(effective_target(h, h_model, s) > 0)
    must(math.isfinite(effective_target(h, h_model, s)))


CLAIM = Claim(
    id="R2",
    statement=r"However wrong the reward model, $|z^* - h^*| \leq D = \sup |\delta| \leq "
    r"\max((c_{max} - 1) \tau, \log(1 + e^{-c_{min} \tau}))$; $D = 3.475$ at the released "
    r"schedule.",
    reading="However wrong the reward model, it shifts a target by at most 3.5 nats at the "
    "released schedule; DPO's targets do not depend on one.",
    source="arXiv 2510.05342 (A4); derived here",
    assumptions="any reward model; any valid schedule for the bound; D for three schedules and "
    "over three boxes of schedules",
    figure="target_shift",
    verdict="holds",
    uses=("S1", "S2", "T1", "T4"),
    evidence=(
        r2_outside,
        certified("D, released", "influence", RELEASED, above=3.47468, below=3.47469),
        certified("D, class defaults", "influence", CLASS, above=0.36417, below=0.36418),
        certified("D, c_max = 4", "influence", RELEASED_4, above=9.31188, below=9.31189),
        *certified_boxes(
            "D", "influence", (0.561, 0.563, 0.001), (3.981, 3.983, 0.001), (9.5, 9.6, 0.05)
        ),
        r2_bound,
        r2_sign,
        proved("Robustness", "R2_closed_form", "R2_influence", "R2_shift", "R2_sign"),
        proved("Released", "R2_released_upper", "R2_released_lower"),
    ),
)
