"""B1: DPO's target."""

import math

import numpy as np
import sympy as sp
import torch

from ..losses import dpo
from ..simulate import fit_pairs
from ..targets import dpo_target
from .evidence import property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import beta, expected_loss, h_true, m, sigma
from .settings import LABELS, margins, target_scores


@symbolic("DPO's expected loss is stationary exactly at beta m = h*")
def b1_stationary():
    slope = sp.diff(expected_loss(dpo), m)
    yield (
        "dR/dm = beta (sigma(beta m) - sigma(h*))",
        slope,
        beta * (sigma(beta * m) - sigma(h_true)),
    )
    yield "at the target", slope.subs(m, dpo_target(h_true) / beta), sp.Integer(0)
    certain = dpo(m, 0, 0, 0, beta=beta)[0]
    yield (
        "certain label: slope -beta sigma(-beta m) < 0 for every m, so no minimum",
        sp.diff(certain, m),
        -beta * sigma(-beta * m),
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


CLAIM = Claim(
    id="B1",
    statement=r"DPO's target is the true margin, $z^* = h^*$; a certain label has none.",
    reading="DPO neither amplifies nor dampens, and runs away on certain labels.",
    source="arXiv 2305.18290; derived here",
    assumptions="Bradley-Terry labels",
    figure="effective_target",
    verdict="holds",
    evidence=(
        b1_stationary,
        b1_numeric,
        b1_trained,
        proved("Baselines", "B1_target", "B1_certain"),
    ),
)
