"""B3: beta-DPO's batch temperature, and when it is negative."""

from fractions import Fraction

import sympy as sp
import torch
from hypothesis import strategies as st

from ..losses import beta_dpo, beta_dpo_beta
from .evidence import must, observed, property_test, proved, symbolic
from .ledger import Claim
from .regimes import beta
from .settings import margins

MEAN, RUNNING = sp.symbols("M M_0", real=True)
ALPHA = sp.Symbol("alpha", positive=True)


@symbolic("beta_batch < 0 iff M < M0 - 1/alpha")
def b3_sign():
    batch = beta_dpo_beta(MEAN, beta=beta, alpha=ALPHA, running_mean=RUNNING, variant="madpo")
    yield (
        "beta_batch = beta alpha (M - (M0 - 1/alpha))",
        batch,
        beta * ALPHA * (MEAN - (RUNNING - 1 / ALPHA)),
    )


@property_test(
    "sign of beta_batch, both variants", "negative iff M < M0 - 1/alpha; never if clamped"
)
def b3_numeric(
    mean=margins(50.0),
    running=margins(50.0),
    alpha=st.floats(0.05, 5),
    beta=st.floats(0.01, 2),
):
    settings = {"beta": beta, "alpha": alpha, "running_mean": running}
    gap = 1 + Fraction(alpha) * (Fraction(mean) - Fraction(running))
    if abs(gap) > 1e-12:
        must((beta_dpo_beta(mean, variant="madpo", **settings) < 0) == (gap < 0), float(gap))
    must(beta_dpo_beta(mean, variant="authors", **settings) >= 1e-3)


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


CLAIM = Claim(
    id="B3",
    statement=r"$\beta$-DPO's batch temperature $\beta_0 (1 + \alpha (M - M_0))$ can be "
    r"negative, and then trains every margin of the batch the wrong way.",
    reading="True of the formula and of the MADPO author's code; the clamp at 1e-3 in the "
    "beta-DPO authors' own code prevents it.",
    source="arXiv 2510.05342 (A6); arXiv 2407.08639; derived here",
    assumptions="the formula as printed",
    verdict="conditional",
    condition=r"$M < M_0 - 1/\alpha$ and no clamp",
    evidence=(
        b3_sign,
        b3_numeric,
        b3_batch,
        proved("Baselines", "B3_sign", "B3_wrong_way"),
    ),
)
