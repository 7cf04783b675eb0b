"""C3: weight, soft label, offset and temperature at once."""

import numpy as np
from flint import arb
from hypothesis import strategies as st

from ..certify.enclosure import precision
from ..methods import Slots
from ..ops import arb_world, numpy_world
from .evidence import certified_slopes, foil, must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import quadratic, slot_symbols
from .settings import (
    EverySlot,
    by_form,
    falls_up_to_its_target,
    label_scores,
    lone_risk,
    lone_slope,
    lone_target,
    margins,
    slot_pairs,
    wrong_forms,
)

NUMBER = float


@wrong_forms()
@symbolic("C3: the slope is a quadratic in e^y over positive numbers, e^y* its one positive root")
def c3_minimizer():
    yield from quadratic(lone_target, *slot_symbols(soft=True))


@wrong_forms()
@property_test(
    "the training loss falls up to the closed form and rises from there, to 1e-30 nats",
    "C3, |log w|, |g| <= 20, q within 1e-6 of 0 and 1, 0.01 <= b <= 10, |h*| <= 30",
)
def c3_lowest(sides=slot_pairs(soft=True, even=True), h=margins(30.0), away=st.floats(1e-3, 5)):
    with precision(1200):
        h, target = falls_up_to_its_target(lone_target, h, sides, away)
        lowest = lone_risk(arb_world, target, h, *sides)
        must(all(lone_risk(arb_world, target + s * away, h, *sides) > lowest for s in (-1, 1)))


@foil("so have 32-bit ones", NUMBER=lambda true: lambda x: true(np.float32(x)))
@property_test("floats have the closed form's digits", "error <= 1e-13 of its largest term")
def c3_floats(sides=slot_pairs(soft=True, even=True), h=margins(30.0)):
    with precision(1200):
        exact = lone_target(arb_world, arb(h), *sides)
        plain = [
            Slots(
                NUMBER(s.log_weight),
                tuple(map(NUMBER, s.label)),
                NUMBER(s.offset),
                NUMBER(s.temperature),
                total=NUMBER(s.total),
            )
            for s in sides
        ]
        found = lone_target(numpy_world, h, *plain)
        largest = 1 + abs(h) + sum(abs(s.log_weight) + abs(s.offset) for s in plain)
        must(abs(arb(float(found)) - exact) * plain[0].temperature <= 1e-13 * largest)


SIGNED = st.tuples(*[st.floats(-1, 2)] * 2)


@wrong_forms("the temperature is unheeded", "delta is unheeded")  # there are none
@property_test(
    "labels outside [0, 1]: one minimum while P, Q > 0, else the risk falls without end",
    "C3, -1 <= q <= 2, |g| <= 3; the loss need not be convex",
)
def c3_signed(
    labels=SIGNED,
    offsets=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
    h=margins(10.0),
    z=margins(60.0),
):
    with precision(600):
        h, labels = arb(h), [(arb(q), 1 - arb(q)) for q in labels]
        sides = tuple(
            Slots(arb(0), label, arb(g)) for label, g in zip(labels, offsets, strict=True)
        )
        (a1, a2), (b1, b2) = (
            [arb_world.sigmoid(s * h) * q for q in label]
            for s, label in zip((1, -1), labels, strict=True)
        )
        up, down = a1 + b2, a2 + b1
        target = lone_target(arb_world, h, *sides)
        if up > 0 and down > 0:
            gap = arb(z) - target
            must(gap.contains(0) or (lone_slope(arb(z), h, sides) > 0) == (gap > 0))
            for step in (arb("-1e-20"), arb("1e-20")):
                must(lone_slope(target + step, h, sides) * step > 0)
        elif up < 0 or down < 0:
            side = 1 if down < 0 else -1
            must(lone_slope(arb(side * 500), h, sides) * side < 0)
            must(target == side * arb.pos_inf())


@wrong_forms()
@simulated("labels drawn, the loss of every slot solved", "C3's target, 40 pairs, a wrong model")
def c3_trained():
    rng = np.random.default_rng(np.random.SeedSequence(121))
    h = rng.uniform(-3, 3, 40)
    method = EverySlot()
    model, target = h + rng.normal(0, 2, 40), by_form(lone_target, method)
    return "all four slots filled", label_scores(method, h, model, 122, target=target)


CLAIM = Claim(
    id="C3",
    title="every target in one line",
    statement=r"With all four slots, $A_1 = p w_+ q_+$, $A_2 = p w_+ (1 - q_+)$, $B_1 = (1-p) w_- "
    r"q_-$, $B_2 = (1-p) w_- (1 - q_-)$, $P = A_1 + B_2$, $Q = A_2 + B_1$, the number $X = "
    r"e^{b z^* - g_o}$ is the one positive root of $Q X^2 + [(B_1 - A_1) e^{g_e} + (A_2 - B_2) "
    r"e^{-g_e}] X - P$, so $b z^* = g_o + \frac12 \log\frac{P}{Q} + \operatorname{arsinh} "
    r"\frac{(A_1 - B_1) e^{g_e} + (B_2 - A_2) e^{-g_e}}{2 \sqrt{P Q}}$, a unique minimum wherever "
    r"$P, Q > 0$, even of a loss that is not convex; where $P$ or $Q$ is negative the "
    r"risk falls without end.",
    reading="Every logistic preference loss of weight, soft label, offset and temperature has its "
    "target in one line: no run is needed to know what a pair is sent to.",
    source="derived here",
    assumptions="slots constant in z; b alike for both labels",
    figure="field_targets",
    verdict="holds",
    uses=("C1", "C2"),
    evidence=(
        c3_minimizer,
        certified_slopes(
            "a method with every slot filled keeps the order: T' from 0.266 to 2.676",
            EverySlot(),
            least=(0.265, 0.267),
            most=(2.675, 2.677),
        ),
        c3_lowest,
        c3_floats,
        c3_signed,
        c3_trained,
        proved("Calculus", "C3_quadratic"),
    ),
)
