"""S3: no pair weighs 2 or more; how far the weight reaches at named schedules and boxes of them."""

import math

import sympy as sp
from hypothesis import strategies as st

from ..weights import log_weight, weight
from .evidence import certified, certified_box, foil, must, property_test, proved, symbolic
from .ledger import Claim
from .regimes import INSIDE, C, in_c, sigma, u
from .settings import (
    CLASS,
    CLASS_BOX,
    RELEASED,
    RELEASED_4,
    RELEASED_BOX,
    WIDE_BOX,
    minus_log,
    scaled,
    schedules,
    to_digit,
)

# The weights' range, and that of the settings of the released script, c_max = 4.
LEAST, MOST = 0.0313, 1.2060
LEAST_4 = 9e-5
BOUND = 2


@foil("the surplus over w falls with 1.05 c", C=scaled(sp.Rational(21, 20)))
@symbolic("w(h) < 1 + e^-h <= 2 for h >= 0, and w < 1 for -tau < h < 0")
def s3_below_two():
    w = in_c(weight(u, INSIDE), INSIDE)
    yield (
        "h > 0: (1 + e^-h) - w = w e^-ch, positive as w is (Coq's S2_positive)",
        (1 + sp.exp(-u)) - w,
        w * sp.exp(-C * u),
    )
    w = in_c(weight(-u, INSIDE), INSIDE)
    yield (
        "-tau < h < 0: 1 - w = (1 - e^-(c-1)u) sigma(cu), positive as c > 1 (Coq's S1_decreasing)",
        1 - w,
        (1 - sp.exp(-(C - 1) * u)) * sigma(C * u),
    )


@foil("no pair weighs 1.9", BOUND=scaled(0.95))
@property_test("w(h) < 2", "S3")
def s3_bound(
    s=schedules(c_max=(1.5, 1e6), tau=(5, 100)), h=st.floats(1e-3, 1.0)
):  # small, at a large c: near 2
    must(weight(h, s) < BOUND and log_weight(h, s) < math.log(BOUND))


LARGEST = "log of the largest weight", "log_weight_max"
SMALLEST = "-log of the smallest weight", "log_weight_min"


CLAIM = Claim(
    id="S3",
    title="no pair weighs as much as 2",
    statement=rf"$w < 2$. At the released schedule $w \in [{LEAST:.4f}, {MOST:.4f}]$: the "
    r"weight acts by suppressing labels that the reward model disputes, $-\tau < h < 0$.",
    reading="No pair weighs 2 or more. At the released schedule hard pairs gain "
    f"{MOST - 1:.0%} at most, while labels that the reward model disputes lose up to "
    f"{1 - LEAST:.0%}; with the released script's c_max = 4 such a label can weigh as little as "
    f"{LEAST_4:.5f}.",
    source="derived here",
    assumptions="bound: any valid schedule; interval: released c_max = 2, class defaults, "
    "released c_max = 4; and every schedule of three boxes",
    figure="weight_and_coefficient",
    verdict="holds",
    uses=("S1", "S2"),
    evidence=(
        s3_below_two,
        certified(
            "log of the largest weight, released",
            "log_weight_max",
            RELEASED,
            **to_digit(MOST, 1e-4, math.log),
        ),
        certified(
            "-log of the smallest weight, released",
            "log_weight_min",
            RELEASED,
            **to_digit(LEAST, 1e-4, minus_log),
        ),
        certified(
            "log of the largest weight, class defaults",
            "log_weight_max",
            CLASS,
            above=0.0979,
            below=0.0980,
        ),
        certified(
            "-log of the smallest weight, class defaults",
            "log_weight_min",
            CLASS,
            above=0.2815,
            below=0.2816,
        ),
        certified(
            "log of the largest weight, c_max = 4",
            "log_weight_max",
            RELEASED_4,
            above=0.3494,
            below=0.3496,
        ),
        certified(
            "-log of the smallest weight, c_max = 4",
            "log_weight_min",
            RELEASED_4,
            **to_digit(LEAST_4, 1e-5, minus_log),
        ),
        *(
            certified_box(f"{what}, {name}", quantity, box, above=low, below=high, tolerance=width)
            for (what, quantity), name, box, low, high, width in (
                (LARGEST, "box around the class defaults", CLASS_BOX, 0.134, 0.137, 0.002),
                (SMALLEST, "box around the class defaults", CLASS_BOX, 0.452, 0.455, 0.002),
                (LARGEST, "box around the released schedule", RELEASED_BOX, 0.200, 0.203, 0.002),
                (SMALLEST, "box around the released schedule", RELEASED_BOX, 3.970, 3.973, 0.002),
                (LARGEST, "wide box", WIDE_BOX, 0.349, 0.364, None),
                (SMALLEST, "wide box", WIDE_BOX, 9.5, 9.6, 0.05),
            )
        ),
        s3_bound,
        proved("Weight", "S3_below_two"),
        proved("Released", "S3_released"),
    ),
)
