"""C1: where hard labels with any weight, offset and temperature send a pair."""

import numpy as np
import sympy as sp
from flint import arb
from hypothesis import strategies as st

from ..certify.enclosure import precision
from ..methods import METHODS, Slots
from ..ops import arb_world, sympy_world
from .evidence import (
    certified_slopes,
    enclosed,
    foil,
    must,
    property_test,
    proved,
    simulated,
    symbolic,
)
from .ledger import Claim
from .regimes import EVEN, ODD, W_DOWN, W_UP, h_true, quadratic, slot_symbols
from .settings import (
    EverySlot,
    by_form,
    falls_up_to_its_target,
    label_scores,
    lone_risk,
    lone_slope,
    lone_target,
    margins,
    scaled,
    slot_pairs,
    wrong_forms,
)

HARD = ("log_weight", "offset", "temperature")
UNHEEDED = "labels are unheeded"  # hard ones are none
simpo = METHODS["simpo"]
UNEVEN = (2, 1)  # temperatures at h and at -h
SETTLES = 0.42  # where a pair of h* = 0 settles then, nats


@wrong_forms(UNHEEDED)
@symbolic("C1: the slope is a quadratic in e^y over positive numbers, e^y* its one positive root")
def c1_minimizer():
    yield from quadratic(lone_target, *slot_symbols(soft=False))


@foil("the target is 5 % larger", lone_target=scaled(1.05))
@symbolic("C1: weights alone, odd offsets, an even offset at 0 and far out")
def c1_cases():
    w, v, g, odd = W_UP, W_DOWN, EVEN, ODD
    d = h_true + sp.log(w) - sp.log(v)

    def target(offset, mirrored):
        sides = (Slots(sp.log(x), offset=o) for x, o in ((w, offset), (v, mirrored)))
        return lone_target(sympy_world, h_true, *sides)

    yield "g = 0: h* + delta", target(sp.S(0), sp.S(0)).replace(sp.asinh, _identity), d
    yield "odd g: h* + delta + g", target(odd, -odd).replace(sp.asinh, _identity), d + odd
    even = target(g, g)
    slope = sp.diff(even, h_true).subs(h_true, sp.log(v) - sp.log(w))
    yield "even g: slope (1 + e^g)/2 where h* + delta = 0", slope, (1 + sp.exp(g)) / 2
    x = sp.Symbol("x", positive=True)
    steep = sp.diff(target(g, g).subs({w: 1, v: 1}), h_true).subs(h_true, 2 * x)
    root = sp.sqrt(1 + sp.exp(2 * g) * sp.sinh(x) ** 2)
    yield (
        "its slope 1/2 + e^g cosh x/(2 sqrt(1 + (e^g sinh x)^2)), x = d/2",
        (steep),
        sp.Rational(1, 2) + sp.exp(g) * sp.cosh(x) / (2 * root),
    )
    # e^(y - d) = [e^g (1 - r) + sqrt(e^2g (1 - r)^2 + 4 r)]/2 with r = e^-d: e^g at r = 0.
    r = sp.Symbol("r", positive=True)
    far = (sp.exp(g) * (1 - r) + sp.sqrt(sp.exp(2 * g) * (1 - r) ** 2 + 4 * r)) / 2
    yield (
        "(e^(y* - d))^2 - e^g (1 - r) e^(y* - d) - r = 0: the quadratic",
        (far**2 - sp.exp(g) * (1 - r) * far - r).expand(),
        sp.S(0),
    )
    yield "far out, r -> 0: y* - d -> g", sp.log(far.subs(r, 0)), g


def _identity(v):
    """asinh(sinh x) = x; anything else stays as it is."""
    return v.args[0] if isinstance(v, sp.sinh) else sp.asinh(v)


@wrong_forms(UNHEEDED)
@property_test(
    "the training loss falls up to the closed form and rises from there, to 1e-30 nats",
    "C1, |log w|, |g| <= 20, 0.01 <= b <= 10, |h*| <= 30",
)
def c1_lowest(sides=slot_pairs(soft=False, even=True), h=margins(30.0), away=st.floats(1e-3, 5)):
    with precision(1200):
        h, target = falls_up_to_its_target(lone_target, h, sides, away)
        lowest = lone_risk(arb_world, target, h, *sides)
        must(all(lone_risk(arb_world, target + s * away, h, *sides) > lowest for s in (-1, 1)))


@foil("SimPO's offset is 5 % larger", simpo=lambda true: lambda gamma: true(gamma=1.05 * gamma))
@property_test("an even offset: d < y* < d + g, y* < (1 + e^g) d/2", "C1 for g, d > 0; by SimPO")
def c1_even(gamma=st.floats(1e-3, 10), h=st.floats(1e-3, 60)):
    with precision(300):
        h, gamma = arb(h), arb(gamma)
        target = simpo(gamma=gamma).target(h)
        must(h < target < h + gamma and target < (1 + gamma.exp()) / 2 * h)
        must((target + simpo(gamma=gamma).target(-h)).contains(0))


@foil("the label of the smaller temperature wins", lone_slope=scaled(-1))
@property_test(
    "a temperature that differs between the labels has no such form",
    "b z* depends on b(h)/b(-h), too: w = 1, g = 0, h* = 0",
)
def c1_temperature(up=st.floats(0.1, 10), down=st.floats(0.1, 10), away=st.floats(1e-3, 5)):
    with precision(300):
        sides = tuple(Slots(arb(0), offset=arb(0), temperature=arb(b)) for b in (up, down))
        at_zero = lone_slope(arb(0), arb(0), sides)
        must((up > down) == (at_zero < 0) and (up < down) == (at_zero > 0))


@foil("one temperature is enough", UNEVEN=lambda true: (1, 1))
@enclosed(
    "b = 2 at h and 1 at -h, no weight, no offset, h* = 0: where the pair settles",
    f"the slope turns positive within half of 0.01 nats of {SETTLES:.2f}",
)
def c1_uneven():
    with precision():
        sides = tuple(Slots(arb(0), offset=arb(0), temperature=arb(b)) for b in UNEVEN)
        slopes = [lone_slope(arb(SETTLES) + arb(step), arb(0), sides) for step in (-0.005, 0.005)]
        text = ", ".join(slope.str(4, radius=False) for slope in slopes)
        return f"slopes {text}", slopes[0] < 0 < slopes[1]


@wrong_forms(UNHEEDED)
@simulated("labels drawn, the loss of hard slots solved", "C1's target, 40 pairs, a wrong model")
def c1_trained():
    rng = np.random.default_rng(np.random.SeedSequence(101))
    h = rng.uniform(-4, 4, 40)
    method = EverySlot(HARD)
    model, target = h + rng.normal(0, 2, 40), by_form(lone_target, method)
    scores = label_scores(method, h, model, 102, target=target)
    return "weight, offset and temperature filled", scores


CLAIM = Claim(
    id="C1",
    title="what weight, offset and temperature do to a target",
    statement=r"Of a loss $w(\hat h) \ell(b z - g(\hat h))$ with any weight $w > 0$, any offset "
    r"$g = g_o + g_e$ (odd and even part) and any temperature $b(\hat h) = b(-\hat h) > 0$ a "
    r"pair's risk has the unique minimizer $z^* = \left(g_o + \frac{d}{2} + "
    r"\operatorname{arsinh}(e^{g_e} \sinh\frac{d}{2})\right)/b$, $d = h^* + \delta(\hat h)$. "
    r"Weights alone: $h^* + \delta$. An odd offset adds itself. An even one, "
    r"$\gamma$, gives slope $(1 + e^\gamma)/2$ at $d = 0$ and $d + \gamma$ far out.",
    reading="A weight or an odd offset shifts a target, a temperature divides it, and SimPO's "
    "constant offset amplifies hard pairs by a factor and easy ones by a constant.",
    source="derived here; one-offset cases arXiv 2402.10571, 2405.14734",
    assumptions=f"hard labels; slots constant in z; b alike for both labels: with b = {UNEVEN[0]} "
    f"at h and {UNEVEN[1]} at -h, no weight and no offset a pair of h* = 0 settles at z = "
    f"{SETTLES:.2f}",
    figure="effective_target",
    verdict="holds",
    evidence=(
        c1_minimizer,
        c1_cases,
        certified_slopes(
            "SimPO at gamma = 1.6: T' from (1 + e^1.6)/2 = 2.9765 at 0 down to 1",
            simpo(gamma=1.6),
            most=(2.9755, 2.9775),
            least=(0.999, 1.0001),
        ),
        c1_lowest,
        c1_even,
        c1_temperature,
        c1_uneven,
        c1_trained,
        proved(
            "Calculus",
            "C1_unique_minimizer",
            "C1_odd",
            "C1_weights",
            "C1_even_slope_at_zero",
            "C1_even_far",
        ),
    ),
)
