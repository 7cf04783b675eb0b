"""RM11: whom a loss pushes, hard pairs or easy ones."""

import math

import numpy as np
import sympy as sp
from hypothesis import strategies as st

from ..methods import METHODS
from ..schedule import MarginSchedule
from ..weights import WEIGHTS
from .evidence import foil, must, property_test, simulated, symbolic
from .ledger import Claim
from .settings import LABELS, label_scores, schedules

H = sp.Symbol("h", positive=True)
ALPHA, GAMMA = sp.symbols("alpha gamma", positive=True)
CONFIDENT = ("confidence", "reward_magnitude")


@foil(
    "ODPO's offset counts twice",
    METHODS=lambda true: {**true, "odpo": lambda alpha: true["odpo"](2 * alpha)},
)
@symbolic("C1 read as a gain: T(h)/h with an exact reward model")
def rm11_gains():
    weighted = METHODS["madpo"](WEIGHTS["reward_probability"]())
    yield "w = sigma(h): 2 for every pair", weighted.target(H) / H, sp.Integer(2)
    offset = METHODS["odpo"](ALPHA).target(H).replace(sp.asinh, lambda sinh: sinh.args[0])
    yield "ODPO: 1 + alpha for every pair", offset / H, 1 + ALPHA
    for name in CONFIDENT:
        even = METHODS["madpo"](WEIGHTS[name]())
        yield f"{WEIGHTS[name].label}: 1 for every pair", even.target(H) / H, sp.Integer(1)
    target = METHODS["simpo"](GAMMA).target(H)
    yield "SimPO at h = 0", sp.diff(target, H).subs(H, 0), (1 + sp.exp(GAMMA)) / 2
    # e^gamma sinh(h/2) is e^(gamma + h/2)/2 less what vanishes, and asinh u = log 2u likewise
    (arc,) = target.atoms(sp.asinh)
    leading = sp.expand(arc.args[0].rewrite(sp.exp)).as_independent(sp.exp(-H / 2), as_Add=True)[0]
    far = sp.expand_log(sp.log(2 * leading), force=True)
    yield "SimPO far out: T - h", sp.expand(target.subs(arc, far) - H), GAMMA


MARGINS = np.array([0.01, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0])


def gains(method, margins=MARGINS):
    """T(h)/h with an exact reward model."""
    return method.target(margins) / margins


ROUNDING = 1e-12  # of a target of a few nats over a margin of 0.01


@foil("SimPO is DPO", METHODS=lambda true: {**true, "simpo": lambda gamma: true["dpo"]()})
@property_test("gains: MADPO's and SimPO's fall from hard pairs to easy ones", "C1, T1, L5")
def rm11_hard(schedule=schedules(), gamma=st.floats(0.01, 4)):
    inside = MARGINS[MARGINS < schedule.tau]
    found = gains(METHODS["madpo"](schedule), np.append(inside, schedule.tau))
    must((np.diff(found) <= ROUNDING).all() and abs(found[-1] - 1) <= ROUNDING)
    found = gains(METHODS["simpo"](gamma))
    must((np.diff(found) < 0).all() and (found > 1).all())


@foil(
    "ODPO's offset is 5 % more",
    METHODS=lambda true: {**true, "odpo": lambda alpha: true["odpo"](0.05 + alpha)},
)
@property_test("gains: ODPO's, of w = sigma(h) and of even weights are alike for all pairs", "C4")
def rm11_alike(alpha=st.floats(0, 4), margin=st.floats(0.01, 30)):
    at = np.array([margin, 2 * margin])
    must(np.allclose(gains(METHODS["odpo"](alpha), at), 1 + alpha, rtol=1e-14, atol=0))
    for name, gain in (("reward_probability", 2.0), *((name, 1.0) for name in CONFIDENT)):
        found = gains(METHODS["madpo"](WEIGHTS[name]()), at)
        must(np.allclose(found, gain, rtol=1e-14, atol=0))


@foil("rDPO is cDPO", METHODS=lambda true: {**true, "rdpo": true["cdpo"]})
@property_test("gains: cDPO's and IPO's fall, rDPO's rises where it is finite", "C2, B2")
def rm11_saturating(epsilon=st.floats(0.01, 0.4), beta=st.floats(0.01, 4)):
    must((np.diff(gains(METHODS["cdpo"](epsilon))) < 0).all())
    must((np.diff(gains(METHODS["ipo"](beta=beta))) < 0).all())
    finite = MARGINS[MARGINS < 0.9 * math.log((1 - epsilon) / epsilon)]
    rising = gains(METHODS["rdpo"](epsilon), finite)
    must((np.diff(rising) > 0).all() and (rising > 1).all())


@foil("all gains are those of DPO", gains=lambda _: lambda method, margins: np.ones(len(margins)))
@simulated("pairs of 0.5 and of 8 nats trained alone", "each at its own gain, 6 losses")
def rm11_trained():
    h = np.tile([0.5, 8.0], 40)
    methods = (
        METHODS["madpo"](MarginSchedule.released()),
        METHODS["simpo"](1.0),
        METHODS["odpo"](1.0),
        METHODS["cdpo"](0.1),
        *(METHODS["madpo"](WEIGHTS[name]()) for name in ("reward_probability", "confidence")),
    )
    scores = np.concatenate(
        [label_scores(method, h, h, seed=1100 + k) for k, method in enumerate(methods)]
    )
    falls = [gains(m, np.array([0.5, 8.0])) for m in methods[:2]]
    told_apart = all(hard > 1.1 * easy for hard, easy in falls)
    must(told_apart, "the pairs do not tell hard from easy")
    return f"{LABELS} labels a pair, gains of MADPO {falls[0][0]:.2f} and {falls[0][1]:.2f}", scores


CLAIM = Claim(
    id="RM11",
    title="losses said to push confident pairs push none of them further",
    statement=r"The field disagrees about whom to push: hard pairs (MADPO, AMaPO, SimPO) or those "
    r"that the reward model is sure of (CW-PO, the scaled loss, ODPO, $w = \sigma(h)$). With an "
    r"exact reward model the gain $T(h)/h$ decides. It falls from hard to easy pairs for MADPO "
    r"($c(h)$, from $c_{max}$ to 1 at $\tau$), for SimPO (from $(1 + e^\gamma)/2$ to 1), and for "
    r"cDPO and IPO, which saturate. It is $1 + \alpha$ for every pair of ODPO, 2 of $w = "
    r"\sigma(h)$, 1 of every even weight: a temperature. It rises for rDPO alone.",
    reading="Losses that are said to push confident pairs push none of them further than the "
    "others: they are DPO at another beta, plus one helping of the reward model's errors where "
    "weight or offset is odd, or, where it is even, DPO's targets with labels wasted. Only those "
    "that push hard pairs bend targets, and those cannot be met together (C6).",
    source="derived here, from C1, C2 and C4; the losses' own papers",
    assumptions="an exact reward model, labels of both orders, one pair alone",
    figure="field_targets",
    verdict="holds",
    uses=("C1", "C2", "C4", "C6", "B2"),
    evidence=(rm11_gains, rm11_hard, rm11_alike, rm11_saturating, rm11_trained),
)
