"""T6: the slope of a pair in the first step."""

import numpy as np
import sympy as sp
import torch
from flint import arb
from hypothesis import strategies as st
from scipy.special import expit

from ..certify.enclosure import precision
from ..losses import madpo
from ..risk import risk_slope
from ..schedule import MarginSchedule, coefficient
from .evidence import foil, must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import INSIDE, REGIMES, C, both_weights, h_true, in_c, sigma
from .settings import scaled, schedules


@foil("the slope is 5 % steeper", risk_slope=scaled(sp.Rational(21, 20)))
@symbolic("slope of the risk at z = 0, for any weight and for the published one")
def t6_slope():
    for name, h, s in REGIMES:
        up, down = both_weights(h, s)
        p, q = sigma(h_true) * up, sigma(-h_true) * down
        first = in_c(risk_slope(sp.Integer(0), h_true, h, s), s)
        # tanh(z*/2) = (e^z* - 1)/(e^z* + 1) with e^z* = p/q (T1)
        yield (
            f"{name}: R'(0) = -(p + q) tanh(z*/2)/2",
            first,
            -(p + q) * (p / q - 1) / (p / q + 1) / 2,
        )
        exact = first.subs(h_true, h)
        if s is INSIDE:
            grown = sp.exp(C * h)
            yield (
                f"{name}, h* = h: p + q = 1, -tanh(c h/2)/2",
                exact,
                -(grown - 1) / (grown + 1) / 2,
            )


@foil("at most 0.95 c times DPO's", coefficient=scaled(0.95))
@foil("5 % steeper than DPO's at the least", risk_slope=scaled(0.95))
@property_test("tanh(h/2) <= tanh(c h/2) <= c tanh(h/2) below tau, equality at h = 0 alone", "T6")
def t6_between(s=schedules(), share=st.floats(1e-6, 0.9999)):
    with precision(4000):  # enough to see e^-h beside 1
        h = arb(share) * arb(s.tau)
        c = coefficient(h, s)
        signal, dpo_signal = -risk_slope(arb(0), h, h, s), (h / 2).tanh() / 2
        must(dpo_signal < signal < c * dpo_signal)
        must(signal.overlaps((c * h / 2).tanh() / 2))
        must(signal.overlaps(risk_slope(arb(0), -h, -h, s)))  # odd in the margin


@foil("c is 5 % larger", coefficient=scaled(1.05))
@simulated("first-step gradient of the real loss on sampled labels", "-tanh(c h*/2)/2, 30 pairs")
def t6_sampled():
    h, s, labels = np.linspace(-4, 4, 30), MarginSchedule.released(), 400_000
    wins = np.random.default_rng(np.random.SeedSequence(61)).binomial(labels, expit(h))
    m = torch.zeros(len(h), dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(len(h), dtype=torch.float64)
    margin = torch.as_tensor(h)

    def slope(chosen, rejected, margin):
        losses, *_ = madpo(chosen, rejected, zero, zero, margin=margin, weighting=s, beta=1.0)
        return torch.autograd.grad(losses.sum(), m)[0].numpy()

    slopes = slope(m, zero, margin), slope(zero, m, -margin)
    mean = (wins * slopes[0] + (labels - wins) * slopes[1]) / labels
    theory = -np.tanh(coefficient(h, s) * h / 2) / 2
    p = expit(h)
    error = np.abs(slopes[0] - slopes[1]) * np.sqrt(p * (1 - p) / labels)
    amplified = theory / (-np.tanh(h / 2) / 2)
    text = f"signal {amplified.min():.2f} to {amplified.max():.2f} times DPO's"
    return text, (mean - theory) / error


CLAIM = Claim(
    id="T6",
    title="the first step pushes hard pairs up to c times as strongly",
    statement=r"In the first step, at $z = 0$, the expected slope of a pair is "
    r"$-\frac12 A(h) \tanh(z^*/2)$; with an exact reward model and $|h| < \tau$ it is "
    r"$-\frac12 \tanh(c h/2)$, between DPO's $-\frac12 \tanh(h/2)$ and $c$ times that.",
    reading="With an exact reward model the first step pushes a hard pair up to c times as "
    "strongly as DPO's does, but a pair whose labels are certain hardly more, and beyond tau "
    "less.",
    source="derived here",
    assumptions="first form: any weight and reward model; second: exact reward model",
    figure="pair_risk",
    verdict="holds",
    uses=("S1", "S4", "T1", "T2"),
    evidence=(
        t6_slope,
        t6_between,
        t6_sampled,
        proved("AnyWeight", "T6_first_step", "T6_published"),
    ),
)
