"""C2: soft labels, with offsets that change sign with the label."""

import numpy as np
import sympy as sp
from flint import arb
from hypothesis import strategies as st
from scipy.special import expit, logit

from ..certify.enclosure import precision
from ..methods import METHODS, Slots, slot_loss
from ..ops import arb_world, numpy_world, sympy_world
from ..targets import effective_target
from .evidence import (
    certified_slopes,
    foil,
    must,
    property_test,
    proved,
    simplified,
    simulated,
    symbolic,
)
from .ledger import Claim
from .regimes import (
    MASSES,
    B,
    h_true,
    quadratic,
    sigma,
    slot_symbols,
    z,
)
from .settings import (
    WRONG_FORMS,
    EverySlot,
    by_form,
    falls_up_to_its_target,
    label_scores,
    lone_slope,
    lone_target,
    margins,
    scaled,
    slot_pairs,
    wrong_forms,
)

cdpo, rdpo, distillation = (METHODS[name] for name in ("cdpo", "rdpo", "distillation"))
SOFT = ("log_weight", "label", "temperature")
FLIPS = 0.1  # of labels, and of rDPO
CERTAIN = (1.0, 0.0)
EPSILON, REST = sp.symbols("epsilon r", positive=True)


@wrong_forms()
@symbolic("C2: slope of the risk and its one zero, every slot a symbol")
def c2_minimizer():
    sides = slot_symbols(soft=True, even=sp.S(0))
    yield from quadratic(lone_target, *sides, even=sp.S(0))
    up, down, x = sp.symbols("A B X", positive=True)
    yield (
        "g_e = 0: M = Q - P, the positive root is P/Q = A/B",
        down * x**2 + (down - up) * x - up,
        (x + 1) * (down * x - up),
    )


@foil("labels are unheeded", lone_target=WRONG_FORMS["labels are unheeded"])
@symbolic("C2: cDPO, rDPO, and soft labels of the reward model alone")
def c2_cases():
    p = sigma(h_true)
    flipped = p * (1 - EPSILON) + (1 - p) * EPSILON
    clean = lone_target(sympy_world, h_true, *_labelled(1 - EPSILON, EPSILON))
    yield "cDPO: e^z* = [p (1 - eps) + (1 - p) eps]/[...]", _odds(clean), flipped / (1 - flipped)
    far = _odds(clean).subs(h_true, -sp.log(REST)).subs(REST, 0)
    yield "cDPO, e^-h* = 0: (1 - eps)/eps", far, (1 - EPSILON) / EPSILON
    unbiased = lone_target(sympy_world, h_true, *_labelled(1 - EPSILON, -EPSILON))
    yield "rDPO: e^z* = (p - eps)/(1 - p - eps)", _odds(unbiased), (p - EPSILON) / (1 - p - EPSILON)
    met = _odds(unbiased).subs(h_true, sp.log(flipped / (1 - flipped)))
    yield "on labels flipped at rate eps: h*", met, sp.exp(h_true)
    slope = sp.diff(slot_loss(sympy_world, z, Slots(label=(1 - EPSILON, -EPSILON))), z)
    far = simplified(slope.subs(z, -sp.log(REST))).subs(REST, 0)
    yield "rDPO's loss, e^-z = 0: slope -eps", far, -EPSILON
    # q(-h) = 1 - q(h): label and weights cancel
    k, n, *_ = MASSES
    mirrored = [
        Slots(side.log_weight, label, temperature=B, total=k + n)
        for side, label in zip(slot_symbols(soft=False), ((k, n), (n, k)), strict=True)
    ]
    yield (
        "q(-h) = 1 - q(h): e^(b z*) = q/(1 - q), whatever labels and weights",
        sp.exp(sp.expand(B * lone_target(sympy_world, h_true, *mirrored))),
        k / n,
    )


def _labelled(agreed, disputed):
    """Both sides with the same label and no other slot."""
    return (Slots(sp.S(0), (agreed, disputed)),) * 2


def _odds(target):
    """e^z*, where the masses of the label are positive."""
    return sp.exp(target.replace(lambda e: isinstance(e, sp.Piecewise), lambda e: e.args[0][0]))


@wrong_forms()
@property_test(
    "the training loss falls up to the closed form and rises from there, to 1e-30 nats",
    "C2, |log w|, |g| <= 20, q within 1e-6 of 0 and 1, 0.01 <= b <= 10, |h*| <= 30",
)
def c2_lowest(sides=slot_pairs(soft=True, even=False), h=margins(30.0), away=st.floats(1e-3, 5)):
    with precision(1200):
        falls_up_to_its_target(lone_target, h, sides, away)


@foil("epsilon is 5 % less", cdpo=lambda true: lambda epsilon: true(epsilon=0.95 * epsilon))
@property_test("cDPO's target stays within log((1 - eps)/eps), and rises", "C2, all eps and h*")
def c2_saturates(epsilon=st.floats(1e-6, 0.499), h=margins(200.0), step=st.floats(1e-3, 5)):
    with precision(600):
        method, h = cdpo(epsilon=epsilon), arb(abs(h))
        near, far = method.target(h), method.target(h + step)
        must(near < far < ((1 - arb(epsilon)) / arb(epsilon)).log())


@foil("so is cDPO", rdpo=lambda true: cdpo)
@foil("the risk rises", lone_slope=scaled(-1))
@property_test(
    "rDPO: finite iff eps < p < 1 - eps; beyond, the risk falls at every z",
    "C2, all eps, h* and z",
)
def c2_endless(epsilon=st.floats(1e-3, 0.49), h=margins(10.0), z=margins(60.0)):
    with precision(300):
        eps, h, method = arb(epsilon), arb(h), rdpo(epsilon=epsilon)
        p, target = arb_world.sigmoid(h), method.target(h)
        inside = bool(p > eps) and bool(p < 1 - eps)
        must(target.is_finite() == inside)
        sides = (method.slots(arb_world, h),) * 2
        if inside:
            for step in (-1e-20, 1e-20):
                must((lone_slope(target + arb(step), h, sides) > 0) == (step > 0))
        elif (p - eps) * (1 - p - eps) < 0:
            falls = lone_slope(arb(z), h, sides) * (1 if p > 1 - eps else -1)
            must(falls < 0 and target * (1 if p > 1 - eps else -1) > 0)


@foil("so have those of q = 0.95", CERTAIN=lambda true: (0.95, 0.05))
@property_test("labels of q = 1 and q(-h) = 0 have no minimizer", "C2, the edge A B = 0")
def c2_relabelled(weights=st.tuples(*[st.floats(-5, 5)] * 2), h=margins(30.0), z=margins(60.0)):
    with precision(300):
        certain = tuple(map(arb, CERTAIN))
        sides = tuple(
            Slots(arb(w), label) for w, label in zip(weights, (certain, certain[::-1]), strict=True)
        )
        must(lone_slope(arb(z), arb(h), sides) < 0)
    sides = tuple(
        Slots(w, label) for w, label in zip(weights, (CERTAIN, CERTAIN[::-1]), strict=True)
    )
    must(lone_target(numpy_world, h, *sides) == np.inf)


@foil("the target is 5 % larger", effective_target=scaled(1.05))
@property_test("q = sigma(T(h)): the target is T(h) for every label", "C2, distillation")
def c2_distilled(h=margins(30.0), model=margins(20.0)):
    with precision(300):
        method = distillation()
        own = effective_target(arb(model), arb(model), method.weighting)
        sides = tuple(method.slots(arb_world, arb(s * model)) for s in (1, -1))
        for step in (-1e-20, 1e-20):
            must((lone_slope(own + arb(step), arb(h), sides) > 0) == (step > 0))
        must(method.target(arb(h), arb(model)).overlaps(own))


@wrong_forms("offsets change sign", "one label's offset is the other's")  # there are none
@foil("labels flipped 5 % less often", FLIPS=scaled(0.95))
@simulated("labels drawn, soft losses solved", "C2's target; rDPO on flipped labels: h*")
def c2_trained():
    rng = np.random.default_rng(np.random.SeedSequence(111))
    h = rng.uniform(-3, 3, 40)
    method = EverySlot(SOFT)
    model, target = h + rng.normal(0, 2, 40), by_form(lone_target, method)
    soft = label_scores(method, h, model, 112, target=target)
    p, method = expit(h), rdpo(epsilon=0.1)
    seen = logit((1 - FLIPS) * p + FLIPS * (1 - p))
    flipped = label_scores(method, seen, h, 113)
    unbiased = np.abs(method.target(seen) - h).max()
    must(unbiased < 1e-13, f"rDPO's targets are {unbiased} off h*")  # ulps of 3 nats
    text = f"weight, soft label and temperature filled; rDPO's targets h* to {unbiased:.0e}"
    return text, np.array([*soft, *flipped])


CLAIM = Claim(
    id="C2",
    title="soft labels of one constant cap the target",
    statement=r"Where a soft label $q(\hat h)$ is given and the offset is odd, a pair's target is "
    r"$z^* = (g_o + \log\frac{A}{B})/b$, with $p = \sigma(h^*)$, $A = p w_+ q_+ + (1-p) w_- (1 - "
    r"q_-)$, $B = p w_+ (1 - q_+) + (1-p) w_- q_-$, $\pm$ for $\pm\hat h$; there is a minimizer "
    r"iff $A, B > 0$. cDPO's stays below $\log\frac{1-\epsilon}{\epsilon}$. rDPO's is "
    r"$\log\frac{p-\epsilon}{1-p-\epsilon}$: $h^*$ on labels flipped at rate $\epsilon$, infinite "
    r"for $p \geq 1 - \epsilon$, its loss unbounded below. With $q_- = 1 - q_+$ it is the logit of "
    r"$q_+$, whatever the labels and the weights.",
    reading="Soft labels of one constant cap the target; those of a reward model replace the "
    "data's; hard labels of a reward model (q = 1 and 0) leave no finite target.",
    source="derived here; arXiv 2403.00409 (rDPO)",
    assumptions="slots constant in z; b alike for both labels",
    verdict="holds",
    uses=("C1",),
    evidence=(
        c2_minimizer,
        c2_cases,
        certified_slopes(
            "cDPO at eps = 0.1: T' from 1 - 2 eps at 0 down to 0",
            cdpo(epsilon=0.1),
            most=(0.799, 0.801),
            least=(-1e-3, 1e-3),
        ),
        c2_lowest,
        c2_saturates,
        c2_endless,
        c2_relabelled,
        c2_distilled,
        c2_trained,
        proved(
            "Calculus",
            "C2_target",
            "C2_cdpo",
            "C2_rdpo",
            "C2_rdpo_unbounded",
            "C2_distillation",
        ),
    ),
)
