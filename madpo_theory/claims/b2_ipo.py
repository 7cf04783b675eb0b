"""B2: IPO's target."""

import numpy as np
import sympy as sp
import torch
from hypothesis import strategies as st
from scipy.special import expit

from ..losses import ipo
from ..simulate import fit_pairs
from ..targets import ipo_target
from .evidence import foil, must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import beta, expected_loss, h_true, m, sigma
from .settings import LABELS, margins, scaled

LARGER = "the target is 5 % larger"


@foil(LARGER, ipo_target=scaled(1.05))
@symbolic("IPO's expected loss is stationary exactly at m = tanh(h*/2)/(2 beta)")
def b2_stationary():
    risk = expected_loss(ipo)
    target = ipo_target(h_true, beta)
    yield "dR/dm = 2 (m - m*)", sp.diff(risk, m), 2 * (m - target.rewrite(sp.exp))
    bound = 1 / (2 * beta)
    yield (
        "bound: 1/(2 beta) - m* = sigma(-h*)/beta > 0",
        bound - target.rewrite(sp.exp),
        sigma(-h_true) / beta,
    )


@foil(LARGER, ipo_target=scaled(1.05))
@property_test("|m*| <= 1/(2 beta), increasing in h*", "B2")
def b2_bounded(h=margins(1e4), step=margins(10.0), beta=st.floats(1e-3, 10)):
    target = ipo_target(h, beta)
    must(abs(target) <= 1 / (2 * beta))
    must(ipo_target(h + abs(step), beta) >= target)
    m = torch.tensor(target, dtype=torch.float64, requires_grad=True)
    won, lost = ipo(m, 0, 0, 0, beta=beta)[0], ipo(0, m, 0, 0, beta=beta)[0]
    (slope,) = torch.autograd.grad(expit(h) * won + expit(-h) * lost, m)
    must(abs(slope) <= 16 * 2**-52 / beta)  # of two slopes of up to 2/beta that cancel


@foil("the target is 1 % larger", ipo_target=scaled(1.01))
@simulated("IPO trained on labels", "tanh(h*/2)/(2 beta), 30 pairs")
def b2_trained():
    h, beta = np.linspace(-5, 5, 30), 0.1
    fit = fit_pairs(ipo, h, LABELS, 9, beta=beta)
    p = 1 / (1 + np.exp(-h))
    error = np.sqrt(p * (1 - p) / LABELS) / beta  # m is linear in the win rate
    return "ipo", (fit.m - ipo_target(h, beta)) / error


@foil(LARGER, ipo_target=scaled(1.05))
@symbolic("IPO in both conventions: summed, and averaged over the response's tokens")
def b2_conventions():
    n_1, n_2 = sp.symbols("n_1 n_2", positive=True)
    first, second = sp.symbols("s_1 s_2", real=True)  # log-ratios, summed over tokens

    def risk(a, b):
        win, loss = ipo(a, b, 0, 0, beta=beta)[0], ipo(b, a, 0, 0, beta=beta)[0]
        return sigma(h_true) * win + sigma(-h_true) * loss

    target = ipo_target(h_true, beta).rewrite(sp.exp)
    yield (
        "summed: dR/ds_1 = 2 (s_1 - s_2 - m*)",
        sp.diff(risk(first, second), first),
        2 * (first - second - target),
    )
    averaged = risk(first / n_1, second / n_2)
    yield (
        "averaged: dR/ds_1 = (2/n_1)(s_1/n_1 - s_2/n_2 - m*)",
        sp.diff(averaged, first),
        2 / n_1 * (first / n_1 - second / n_2 - target),
    )
    yield (
        "equal lengths n: the summed margin settles at n m*, as summed IPO at beta/n",
        n_1 * target,
        ipo_target(h_true, beta / n_1).rewrite(sp.exp),
    )


CLAIM = Claim(
    id="B2",
    title="IPO caps every margin alike",
    statement=r"IPO's target is $m^* = \tanh(h^*/2)/(2\beta)$: finite, and at most "
    r"$1/(2\beta)$ however large the margin.",
    reading="IPO caps every pair's margin at 1/(2 beta) nats of log-ratio.",
    source="arXiv 2310.12036; arXiv 2510.05342 (A5)",
    assumptions="Bradley-Terry labels; beta is IPO's tau; summed or length-averaged log-probs",
    figure="effective_target",
    verdict="holds",
    evidence=(
        b2_stationary,
        b2_conventions,
        b2_bounded,
        b2_trained,
        proved("Baselines", "B2_target", "B2_formula", "B2_bound"),
    ),
)
