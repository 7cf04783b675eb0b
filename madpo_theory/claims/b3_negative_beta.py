"""B3: beta-DPO's batch temperature, and when it is negative."""

import math
from fractions import Fraction

import sympy as sp
import torch
from hypothesis import strategies as st

from ..losses import BetaDPOState, beta_dpo, beta_dpo_beta, beta_dpo_keep, beta_dpo_margins
from ..methods import METHODS, Pairs
from .evidence import foil, must, observed, property_test, proved, symbolic
from .ledger import Claim
from .regimes import beta
from .settings import margins, scaled

MEAN, RUNNING = sp.symbols("M M_0", real=True)
ALPHA = sp.Symbol("alpha", positive=True)


CLAMP = 1e-3
DECAY = 0.9
UNCLAMPED = "madpo"


def edge(running, alpha):
    """M0 - 1/alpha: the mean margin at which the batch's temperature is 0."""
    return running - 1 / alpha


AVERAGED = {  # the margins whose mean is M, by variant
    "authors": lambda m, kept: m[kept],
    "madpo": lambda m, kept: m,
}
ABOVE = "iff M < M0 + 1/alpha"


@foil(ABOVE, edge=lambda true: lambda running, alpha: true(running, -alpha))
@foil("the slope in M is 5 % more", beta_dpo_beta=scaled(1.05))
@symbolic("beta_batch < 0 iff M < M0 - 1/alpha")
def b3_sign():
    batch = beta_dpo_beta(MEAN, beta=beta, alpha=ALPHA, running_mean=RUNNING, variant="madpo")
    yield (
        "beta_batch = beta alpha (M - (M0 - 1/alpha))",
        batch,
        beta * ALPHA * (MEAN - edge(RUNNING, ALPHA)),
    )


@foil(ABOVE, edge=lambda true: lambda running, alpha: true(running, -alpha))
@foil("it turns at 1.05 (M0 - 1/alpha)", edge=scaled(1.05))
@foil("the clamp is 0.95e-3", CLAMP=scaled(0.95))
@property_test(
    "sign of beta_batch, both variants", "negative iff M < M0 - 1/alpha; max(it, 1e-3) if clamped"
)
def b3_numeric(
    away=margins(5.0),
    running=margins(50.0),
    alpha=st.floats(0.05, 5),
    beta=st.floats(0.01, 2),
):
    settings = {"beta": beta, "alpha": alpha, "running_mean": running}
    turns = edge(Fraction(running), Fraction(alpha))
    mean = float(turns) + away
    batch = beta_dpo_beta(mean, variant="madpo", **settings)
    if abs(gap := Fraction(mean) - turns) > 1e-12 * (1 + 1 / alpha + abs(running)):
        must((batch < 0) == (gap < 0), float(gap))
    must(beta_dpo_beta(mean, variant="authors", **settings) == max(batch, CLAMP))


@foil("M is of all pairs, or of the kept, in both", AVERAGED=lambda true: _exchanged(true))
@foil("decay and its complement exchanged", DECAY=lambda true: 1 - true)
@foil("the decay is 0.89", DECAY=lambda true: true - 0.01)
@property_test(
    "M is the mean of the kept margins m in the authors' code, of all beta m in the MADPO "
    "author's; M0 follows it by M0 <- 0.9 M0 + 0.1 M",
    "a batch's loss and what training keeps, of either variant",
)
def b3_statistics(
    m=st.lists(margins(50.0), min_size=4, max_size=8),
    running=st.floats(-5, 5),
    variant=st.sampled_from(("authors", "madpo")),
    beta=st.floats(0.05, 1),
    seed=st.integers(0, 2**31),
):
    m = torch.tensor(m, dtype=torch.float64)
    zero, state, (first, again) = (
        torch.zeros_like(m),
        BetaDPOState(mean=running, std=30.0),
        (torch.Generator().manual_seed(seed) for _ in range(2)),
    )
    counted = beta_dpo_margins(m, beta=beta, variant=variant)
    kept = beta_dpo_keep(counted, state, generator=first)
    mean = AVERAGED[variant](counted, kept).mean()
    batch = beta_dpo_beta(mean, beta=beta, running_mean=running, variant=variant)
    method = METHODS["beta_dpo"](beta=beta, variant=variant)
    loss, after, _ = method.train_loss(
        Pairs(m, zero, zero, zero), state=vars(state), generator=again
    )
    wanted = -torch.nn.functional.logsigmoid(batch * m)[kept].sum() / kept.sum()
    must(math.isclose(loss, wanted, rel_tol=1e-12, abs_tol=1e-12))
    wanted = DECAY * running + (1 - DECAY) * float(mean)
    must(math.isclose(after["mean"], wanted, rel_tol=1e-12, abs_tol=1e-12))


def _exchanged(averaged):
    return dict(zip(averaged, reversed(averaged.values()), strict=True))


@foil("with the clamp, too", UNCLAMPED=lambda true: "authors")
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

    batch = float(beta_dpo_beta(0.1 * m.detach().mean(), variant=UNCLAMPED))
    unclamped, clamped = slope(UNCLAMPED), slope("authors")
    text = (
        f"margins {m.tolist()}, M0 = 0, beta = {batch:.3f}: slopes "
        f"{[round(x, 4) for x in unclamped.tolist()]}, clamped {clamped.tolist()}"
    )
    return text, batch < 0 and bool((unclamped > 0).all()) and bool((clamped < 0).all())


CLAIM = Claim(
    id="B3",
    title="beta-DPO's temperature can turn negative, unless it is clamped",
    statement=r"$\beta$-DPO's batch temperature $\beta_0 (1 + \alpha (M - M_0))$ can be "
    r"negative, and then trains every margin of the batch the wrong way. $M$ is the mean margin of "
    rf"the batch, of its kept pairs in the authors' code, and $M_0$ follows it: {DECAY:.1f} of its "
    r"last value and the rest of $M$.",
    reading=f"True of the formula and of the MADPO author's code; the clamp at {CLAMP:.0e} in the "
    "beta-DPO authors' own code prevents it.",
    source="arXiv 2510.05342 (A6); arXiv 2407.08639; derived here",
    assumptions="the formula as printed",
    verdict="conditional",
    condition=r"$M < M_0 - 1/\alpha$ and no clamp",
    evidence=(
        b3_sign,
        b3_numeric,
        b3_statistics,
        b3_batch,
        proved("Baselines", "B3_sign", "B3_wrong_way"),
    ),
)
