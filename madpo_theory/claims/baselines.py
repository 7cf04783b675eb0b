"""B1-B3: what the same questions answer for DPO, IPO and beta-DPO."""

import math

import numpy as np
import sympy as sp
import torch
from hypothesis import strategies as st

from ..losses import beta_dpo, beta_dpo_beta, dpo, ipo
from ..simulate import fit_pairs
from ..targets import dpo_target, ipo_target
from .kinds import margins, observed, property_test, simulated, symbolic
from .ledger import Claim
from .regimes import h_true, sigma
from .targets import LABELS, target_scores

BETA = sp.Symbol("beta", positive=True)
M = sp.Symbol("m", real=True)


def expected(loss):
    """Expected loss of a pair with implicit margin m over its Bradley-Terry label."""
    first, second = loss(M, 0, 0, 0, beta=BETA)[0], loss(0, M, 0, 0, beta=BETA)[0]
    return sigma(h_true) * first + sigma(-h_true) * second


@symbolic("DPO's expected loss is stationary exactly at beta m = h*")
def b1_stationary():
    slope = sp.diff(expected(dpo), M)
    yield (
        "dR/dm = beta (sigma(beta m) - sigma(h*))",
        slope,
        BETA * (sigma(BETA * M) - sigma(h_true)),
    )
    yield "at the target", slope.subs(M, dpo_target(h_true) / BETA), sp.Integer(0)
    certain = dpo(M, 0, 0, 0, beta=BETA)[0]
    yield (
        "certain label: slope -beta sigma(-beta m) < 0 for every m, so no minimum",
        sp.diff(certain, M),
        -BETA * sigma(-BETA * M),
    )


@property_test("DPO's slope vanishes at h* and nowhere else", "B1")
def b1_numeric(h=margins(30.0), away=margins(5.0)):
    def slope(m):
        m = torch.tensor(m, dtype=torch.float64, requires_grad=True)
        zero = torch.zeros((), dtype=torch.float64)
        p = 1 / (1 + math.exp(-h))
        risk = p * dpo(m, zero, zero, zero, beta=1.0)[0]
        risk = risk + (1 - p) * dpo(zero, m, zero, zero, beta=1.0)[0]
        return torch.autograd.grad(risk, m)[0].item()

    assert abs(slope(h)) < 1e-15
    if abs(away) > 1e-3 and abs(h) < 15:
        assert math.copysign(1, slope(h + away)) == math.copysign(1, away)


@simulated("DPO trained on labels", "h*, 30 pairs")
def b1_trained():
    h = np.linspace(-5, 5, 30)
    fit = fit_pairs(dpo, h, LABELS, 8)
    return "dpo", target_scores(fit, h, dpo_target(h), 0.1)


@symbolic("IPO's expected loss is stationary exactly at m = tanh(h*/2)/(2 beta)")
def b2_stationary():
    risk = expected(ipo)
    target = ipo_target(h_true, BETA)
    yield "dR/dm = 2 (m - m*)", sp.diff(risk, M), 2 * (M - target.rewrite(sp.exp))
    bound = 1 / (2 * BETA)
    yield (
        "bound: 1/(2 beta) - m* = sigma(-h*)/beta > 0",
        bound - target.rewrite(sp.exp),
        sigma(-h_true) / BETA,
    )


@property_test("|m*| <= 1/(2 beta), increasing in h*", "B2")
def b2_bounded(h=margins(700.0), step=margins(10.0), beta=st.floats(1e-3, 10)):
    target = ipo_target(h, beta)
    assert abs(target) <= 1 / (2 * beta)
    assert ipo_target(h + abs(step), beta) >= target


@simulated("IPO trained on labels", "tanh(h*/2)/(2 beta), 30 pairs")
def b2_trained():
    h, beta = np.linspace(-5, 5, 30), 0.1
    fit = fit_pairs(ipo, h, LABELS, 9, beta=beta)
    p = 1 / (1 + np.exp(-h))
    error = np.sqrt(p * (1 - p) / LABELS) / beta  # m is linear in the win rate
    return "ipo", (fit.m - ipo_target(h, beta)) / error


MEAN, RUNNING = sp.symbols("M M_0", real=True)
ALPHA = sp.Symbol("alpha", positive=True)


@symbolic("beta_batch < 0 iff M < M0 - 1/alpha")
def b3_sign():
    batch = beta_dpo_beta(MEAN, beta=BETA, alpha=ALPHA, running_mean=RUNNING, variant="madpo")
    yield (
        "beta_batch = beta alpha (M - (M0 - 1/alpha))",
        batch,
        BETA * ALPHA * (MEAN - (RUNNING - 1 / ALPHA)),
    )


@property_test(
    "sign of beta_batch, both variants", "negative iff M < M0 - 1/alpha; never if clamped"
)
def b3_numeric(mean=margins(20.0), running=margins(20.0), alpha=st.floats(0.05, 5)):
    settings = {"beta": 0.1, "alpha": alpha, "running_mean": running}
    batch = float(beta_dpo_beta(mean, variant="madpo", **settings))
    gap = mean - (running - 1 / alpha)
    if abs(gap) > 1e-9:
        assert (batch < 0) == (gap < 0), (batch, gap)
    assert float(beta_dpo_beta(mean, variant="authors", **settings)) >= 1e-3


@observed(
    "simulation",
    "one batch with negative beta",
    "descent lowers every margin of the batch; with the clamp it raises them",
    "gradient of the loss on a batch of four, torch float64",
)
def b3_batch():
    m = torch.tensor([-30.0, -24.0, -20.0, 2.0], dtype=torch.float64, requires_grad=True)
    zero = torch.zeros_like(m)

    def slope(variant):
        losses, *_ = beta_dpo(m, zero, zero, zero, running_mean=0.0, variant=variant)
        return torch.autograd.grad(losses.mean(), m)[0]

    batch = float(beta_dpo_beta(0.1 * m.detach().mean(), variant="madpo"))
    unclamped, clamped = slope("madpo"), slope("authors")
    text = (
        f"margins {m.tolist()}, M0 = 0, beta = {batch:.3f}: slopes "
        f"{[round(x, 4) for x in unclamped.tolist()]}, clamped {clamped.tolist()}"
    )
    return text, batch < 0 and bool((unclamped > 0).all()) and bool((clamped < 0).all())


CLAIMS = (
    Claim(
        id="B1",
        statement=r"DPO's target is the true margin, $z^* = h^*$; a certain label has none.",
        reading="DPO neither amplifies nor dampens, and runs away on certain labels.",
        source="arXiv 2305.18290; derived here",
        assumptions="Bradley-Terry labels",
        verdict="holds",
        evidence=(b1_stationary, b1_numeric, b1_trained),
    ),
    Claim(
        id="B2",
        statement=r"IPO's target is $m^* = \tanh(h^*/2)/(2\beta)$: finite, and at most "
        r"$1/(2\beta)$ however large the margin.",
        reading="IPO caps every pair's margin at 1/(2 beta) nats of log-ratio.",
        source="arXiv 2310.12036; arXiv 2510.05342 (A5)",
        assumptions="Bradley-Terry labels; beta is IPO's tau; summed or length-averaged log-probs",
        verdict="holds",
        evidence=(b2_stationary, b2_bounded, b2_trained),
    ),
    Claim(
        id="B3",
        statement=r"$\beta$-DPO's batch temperature $\beta_0 (1 + \alpha (M - M_0))$ can be "
        r"negative, and then trains every margin of the batch the wrong way.",
        reading="True of the formula and of the MADPO author's code; the clamp at 1e-3 in the "
        "beta-DPO authors' own code prevents it.",
        source="arXiv 2510.05342 (A6); arXiv 2407.08639; derived here",
        assumptions="the formula as printed",
        verdict="conditional",
        condition=r"$M < M_0 - 1/\alpha$ and no clamp",
        evidence=(b3_sign, b3_numeric, b3_batch),
    ),
)
