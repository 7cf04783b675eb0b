"""B1: DPO's target."""

import numpy as np
import sympy as sp
from flint import arb, arb_series
from hypothesis import strategies as st

from ..certify.enclosure import precision
from ..losses import dpo
from ..ops.arb_world import sigmoid
from ..simulate import fit_pairs
from ..targets import dpo_target
from .evidence import foil, must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import beta, expected_loss, h_true, m, sigma
from .settings import LABELS, margins, scaled, target_scores

LARGER = "the target is 5 % larger"


@foil(LARGER, dpo_target=scaled(1.05))
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


@foil(LARGER, dpo_target=scaled(1.05))
@property_test("DPO's slope vanishes at h* and nowhere else", "B1")
def b1_numeric(h=margins(30.0), away=st.floats(1e-3, 5), beta=st.floats(0.01, 10)):
    with precision(300):  # enough to see e^-35 beside 1
        h, none = arb(h), arb(0)

        def risk(z):
            m = arb_series([z, 1], prec=2) / beta
            won, lost = dpo(m, none, none, none, beta=beta), dpo(none, m, none, none, beta=beta)
            return sigmoid(h) * won[0] + sigmoid(-h) * lost[0]

        z = dpo_target(h)
        left, least, right = (risk(at) for at in (z - away, z, z + away))
        must(left[0] > least[0] < right[0])
        must(left[1] < 0 < right[1] and least[1].contains(0))


@foil("the target is 1 % larger", dpo_target=scaled(1.01))
@simulated("DPO trained on labels", "h*, 30 pairs")
def b1_trained():
    h = np.linspace(-5, 5, 30)
    fit = fit_pairs(dpo, h, LABELS, 8)
    return "dpo", target_scores(fit, h, dpo_target(h), 0.1)


CLAIM = Claim(
    id="B1",
    title="DPO neither amplifies nor dampens",
    statement=r"DPO's target is the true margin, $z^* = h^*$; a certain label has none.",
    reading="DPO neither amplifies nor dampens, and runs away on certain labels.",
    source="arXiv 2305.18290; derived here",
    assumptions="Bradley-Terry labels",
    figure="effective_target",
    verdict="holds",
    uses=("C1",),
    evidence=(
        b1_stationary,
        b1_numeric,
        b1_trained,
        proved("Baselines", "B1_target", "B1_certain"),
    ),
)
