"""S3: no pair weighs 2 or more; how far the weight reaches at named schedules and boxes of them."""

import math

import sympy as sp

from ..weights import log_weight, weight
from .evidence import certified, certified_box, must, property_test, proved, symbolic
from .ledger import Claim
from .regimes import INSIDE, C, in_c, sigma, u
from .settings import (
    CLASS,
    CLASS_BOX,
    RELEASED,
    RELEASED_4,
    RELEASED_BOX,
    WIDE_BOX,
    scheduled_margins,
)


@symbolic("w(h) < 1 + e^-h <= 2 for h >= 0, and w < 1 for -tau < h < 0")
def s3_below_two():
    w = in_c(weight(u, INSIDE), INSIDE)
    yield (
        "h > 0: (1 + e^-h) - w = w e^-ch > 0",
        (1 + sp.exp(-u)) - w,
        w * sp.exp(-C * u),
    )
    w = in_c(weight(-u, INSIDE), INSIDE)
    yield (
        "-tau < h < 0: 1 - w = (1 - e^-(c-1)u) sigma(cu) > 0 as c > 1",
        1 - w,
        (1 - sp.exp(-(C - 1) * u)) * sigma(C * u),
    )


@property_test("w(h) < 2", "S3, every valid schedule")
def s3_bound(case=scheduled_margins(1e4)):
    s, h = case
    must(weight(h, s) < 2 and log_weight(h, s) < math.log(2))


LARGEST = "log of the largest weight", "log_weight_max"
SMALLEST = "-log of the smallest weight", "log_weight_min"


CLAIM = Claim(
    id="S3",
    statement=r"$w < 2$. At the released schedule $w \in [0.0313, 1.2061]$: the weight acts by "
    r"suppressing labels that the reward model disputes, $-\tau < h < 0$.",
    reading="No pair weighs 2 or more. At the released schedule hard pairs gain 21 % at most, "
    "while labels that the reward model disputes lose up to 97 %.",
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
            above=0.18729,
            below=0.18730,
        ),
        certified(
            "-log of the smallest weight, released",
            "log_weight_min",
            RELEASED,
            above=3.46285,
            below=3.46286,
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
        *(
            certified_box(f"{what}, {name}", quantity, box, above=low, below=high, tolerance=width)
            for (what, quantity), name, box, low, high, width in (
                (LARGEST, "box around the class defaults", CLASS_BOX, 0.134, 0.137, 0.002),
                (SMALLEST, "box around the class defaults", CLASS_BOX, 0.452, 0.455, 0.002),
                (LARGEST, "box around the released schedule", RELEASED_BOX, 0.200, 0.203, 0.002),
                (SMALLEST, "box around the released schedule", RELEASED_BOX, 3.970, 3.973, 0.002),
                (SMALLEST, "wide box", WIDE_BOX, 9.5, 9.6, 0.05),
            )
        ),
        s3_bound,
        proved("Weight", "S3_below_two"),
        proved("Released", "S3_released"),
    ),
)
