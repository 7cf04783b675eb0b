"""B4: inside a batch beta-DPO is DPO."""

import numpy as np
import sympy as sp
import torch
from hypothesis import strategies as st
from scipy.special import expit

from ..losses import beta_dpo, beta_dpo_beta, beta_dpo_margins, dpo
from .evidence import must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import m, sigma
from .settings import LABELS, margins

PAIR = sp.symbols("h_1 h_2", positive=True)


@symbolic("within a batch every beta gives m_i/m_j = h_i/h_j")
def b4_ratio():
    batch = sp.Symbol("beta_batch", positive=True)
    for h in PAIR:
        win, loss = dpo(m, 0, 0, 0, beta=batch)[0], dpo(0, m, 0, 0, beta=batch)[0]
        slope = sp.diff(sigma(h) * win + sigma(-h) * loss, m)
        yield f"stationary at m = {h}/beta_batch", slope.subs(m, h / batch), sp.Integer(0)
        yield (
            "and nowhere else: dR/dm = beta (sigma(beta m) - sigma(h))",
            slope,
            batch * (sigma(batch * m) - sigma(h)),
        )
    yield "m_1/m_2", (PAIR[0] / batch) / (PAIR[1] / batch), PAIR[0] / PAIR[1]


@property_test("the batch's loss is DPO's at one beta, whose slopes vanish at h/beta", "B4")
def b4_numeric(
    h=st.lists(margins(8.0), min_size=2, max_size=6),
    alpha=st.floats(0, 2),
    running=margins(5.0),
    variant=st.sampled_from(("authors", "madpo")),
    beta=st.floats(0.05, 4),
):
    h = torch.tensor(h, dtype=torch.float64)
    p, zero = torch.sigmoid(h), torch.zeros_like(h)
    m = h / beta
    settings = {"alpha": alpha, "running_mean": running, "variant": variant}
    held = beta_dpo_margins(m, beta=beta, variant=variant).mean()
    batch = float(beta_dpo_beta(held, beta=beta, **settings))
    losses, *_ = beta_dpo(m, zero, zero, zero, beta=beta, **settings)
    must(torch.equal(losses, -torch.nn.functional.logsigmoid(batch * m)))
    if batch > 1e-2:
        m = (h / batch).requires_grad_(True)
        won, lost = (dpo(*pair, zero, zero, beta=batch)[0] for pair in ((m, zero), (zero, m)))
        (slope,) = torch.autograd.grad((p * won + (1 - p) * lost).sum(), m)
        must(slope.abs().max() <= 1e-14 * (1 + batch))


@simulated("a batch trained with beta-DPO's loss", "m_i/m_j = h_i/h_j, 20 pairs in one batch")
def b4_trained():
    h = np.linspace(0.5, 5, 20)
    p = expit(h)
    wins = np.random.default_rng(np.random.SeedSequence(81)).binomial(LABELS, p) / LABELS
    share, zero = torch.as_tensor(wins), torch.zeros(len(h), dtype=torch.float64)
    m, batch = zero.clone(), 0.1
    for _ in range(200):  # alternate: the batch's beta from its margins, margins from that beta
        m = torch.logit(share) / batch
        fresh = beta_dpo_beta(m.mean(), beta=0.1, alpha=0.01, running_mean=20.0)
        batch = 0.5 * batch + 0.5 * float(fresh)
    m.requires_grad_(True)
    settings = {"alpha": 0.01, "running_mean": 20.0}
    won, *_ = beta_dpo(m, zero, zero, zero, **settings)
    (slope_won,) = torch.autograd.grad(won.sum(), m)
    used = float(beta_dpo(m, zero, zero, zero, **settings)[1][0] / m.detach()[0])
    expected = -used * torch.sigmoid(-used * m)
    if not torch.allclose(slope_won, expected.detach(), rtol=1e-12, atol=0):
        raise RuntimeError("the loss does not hold one temperature for the batch")
    # ratios to the last pair, and the sampling error of a logit (delta method)
    ratio = (m / m[-1]).detach().numpy()
    error = np.sqrt(1 / (p * (1 - p) * LABELS))
    spread = np.sqrt((error / h[-1]) ** 2 + (error[-1] * h / h[-1] ** 2) ** 2)
    return f"beta_batch settles at {used:.4f}", ((ratio - h / h[-1]) / spread)[:-1]


CLAIM = Claim(
    id="B4",
    statement=r"Within a batch $\beta$-DPO's targets are proportional to the margins, "
    r"$m_i/m_j = h_i/h_j$ for every $\beta$: no batch temperature amplifies one pair and "
    r"dampens another.",
    reading="beta-DPO adapts to batches, not to pairs: inside a batch it is DPO.",
    source="arXiv 2510.05342 (A6); derived here",
    assumptions="beta_batch > 0, held constant in the gradient; no filter",
    verdict="holds",
    uses=("B1", "C1"),
    evidence=(
        b4_ratio,
        b4_numeric,
        b4_trained,
        proved("Baselines", "B4_proportional"),
    ),
)
