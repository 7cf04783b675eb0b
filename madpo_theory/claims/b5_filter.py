"""B5: what beta-DPO's filter leaves, and what that does to a margin."""

import math

import numpy as np
import sympy as sp
import torch
from hypothesis import strategies as st

from ..losses import BetaDPOState, beta_dpo, beta_dpo_keep
from .evidence import must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import beta, h_true, m
from .settings import margins

KEPT_MEAN, KEPT_STD = sp.symbols("M_0 s", positive=True)


@symbolic("the filter's log-odds between the two labels of a pair: 2 m M0/s^2")
def b5_filter():
    def log_keep(margin):
        return -((margin - KEPT_MEAN) ** 2) / (2 * KEPT_STD**2)

    shift = log_keep(m) - log_keep(-m)
    yield "log keep(m) - log keep(-m)", shift, 2 * m * KEPT_MEAN / KEPT_STD**2
    settled = h_true / (beta - 2 * KEPT_MEAN / KEPT_STD**2)
    yield (
        "beta m = h* + shift settles at m = h*/(beta - 2 M0/s^2): a lower temperature",
        beta * settled,
        h_true + shift.subs(m, settled),
    )


@property_test("exactly max(1, floor(rho n)) pairs stay, the others weigh nothing", "B5")
def b5_discards(
    m=st.lists(margins(50.0), min_size=1, max_size=40),
    fraction=st.floats(0.05, 1),
    seed=st.integers(0, 2**31),
):
    m = torch.tensor(m, dtype=torch.float64, requires_grad=True)
    kept = beta_dpo_keep(
        m, BetaDPOState(), fraction=fraction, generator=torch.Generator().manual_seed(seed)
    )
    must(int(kept.sum()) == max(1, int(fraction * len(m))))
    zero = torch.zeros_like(m)
    losses, *_ = beta_dpo(m, zero, zero, zero, kept=kept)
    (slope,) = torch.autograd.grad(losses.sum(), m)
    must(bool((slope[~kept] == 0).all()) and bool((losses[~kept] == 0).all()))


@simulated("how often the filter keeps a pair, one of two kept", "the odds of the two densities")
def b5_frequencies():
    state, draws = BetaDPOState(mean=1.0, std=2.0), 8_000
    m, generator = torch.tensor([2.0, -2.0], dtype=torch.float64), torch.Generator().manual_seed(82)
    kept = sum(
        beta_dpo_keep(m, state, fraction=0.5, generator=generator)[0].item() for _ in range(draws)
    )
    odds = math.exp(2 * 2.0 * state.mean / state.std**2)
    p = odds / (1 + odds)
    text = f"the label with m = 2 kept {kept / draws:.4f} of the time against the one with m = -2"
    return text, np.array([(kept / draws - p) / math.sqrt(p * (1 - p) / draws)])


CLAIM = Claim(
    id="B5",
    statement=r"$\beta$-DPO's filter gives the share $1 - \rho$ of every batch no gradient; "
    r"and it keeps the two labels of a pair with odds $e^{2 m M_0/s^2}$, so that few of many "
    r"kept settle at $m = h^*/(\beta - 2 M_0/s^2)$.",
    reading="The filter does discard data, and not evenly: it favours the label that the "
    "policy already prefers, which acts like a lower temperature.",
    source="arXiv 2510.05342 (A6); arXiv 2407.08639; the shift derived here",
    assumptions=r"second half: a small share kept, raw margins, $\beta s^2 > 2 M_0$",
    verdict="holds",
    uses=("B1",),
    evidence=(
        b5_filter,
        b5_discards,
        b5_frequencies,
        proved("Baselines", "B5_settles"),
    ),
)
