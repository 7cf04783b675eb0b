"""B5: what beta-DPO's filter leaves, and what that does to a margin."""

import math

import numpy as np
import sympy as sp
import torch
from flint import arb
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import expit

from ..certify.enclosure import precision
from ..losses import BetaDPOState, beta_dpo, beta_dpo_keep
from ..methods.beta_dpo import log_keep
from ..ops import arb_world, numpy_world
from .evidence import enclosed, foil, must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import beta, h_true, m
from .settings import margins, scaled

MEAN = sp.Symbol("M_0", real=True)
STD = sp.Symbol("s", positive=True)

H = 1  # h* of all pairs of a batch
BETA = 0.1
KEPT_MEAN = 2  # M0 is this, or minus this
KEPT_STD = 10
FRACTION = 0.8  # kept by the code
PLAIN = 10.0  # m without the filter
SMALL = 16.7  # of few kept
OF_CODE = 12.1  # at FRACTION
SMALL_BELOW = 7.1  # at M0 = -KEPT_MEAN
OF_CODE_BELOW = 8.7
RESTS = {
    (0.0, 0): PLAIN,
    (1e-6, KEPT_MEAN): SMALL,
    (FRACTION, KEPT_MEAN): OF_CODE,
    (1e-6, -KEPT_MEAN): SMALL_BELOW,
    (FRACTION, -KEPT_MEAN): OF_CODE_BELOW,
}


def log_odds(margin, mean, std):
    """Log-odds of drawing a pair labelled as it ranks it against one labelled otherwise."""
    return 2 * margin * mean / std**2


def settled(h, beta, mean, std):
    """Where a pair rests of whose batch few are kept."""
    return h / (beta - 2 * mean / std**2)


@foil("half of that", log_odds=scaled(sp.Rational(1, 2)))
@foil("it rests 5 % further out", settled=scaled(1.05))
@symbolic("the filter's log-odds between the two labels of a pair: 2 m M0/s^2")
def b5_filter():
    shift = log_keep(m, MEAN, STD) - log_keep(-m, MEAN, STD)
    yield "log keep(m) - log keep(-m)", shift, log_odds(m, MEAN, STD)
    rest = settled(h_true, beta, MEAN, STD)
    yield (
        "beta m = h* + shift settles at m = h*/(beta - 2 M0/s^2)",
        beta * rest,
        h_true + shift.subs(m, rest),
    )


def pull(xp, m, fraction, mean):
    """Above 0 where the pairs of a large batch, all of h* = H and margin m, have m fall.

    A pair is kept with probability K(m) = 1 - e^(-x keep(m)) if it is labelled as m says (as the
    largest of Gumbel draws are), x so that the share is `fraction`. At rest sigma(beta m) of the
    kept are, so K(m) = fraction sigma(beta m)/sigma(h*), K(-m) likewise, and x falls out.
    """
    won, lost = (
        -xp.log1p(-fraction * xp.sigmoid(s * BETA * m) / xp.sigmoid(xp.number(s * H, m)))
        for s in (1, -1)
    )
    return xp.log(won / lost) - log_odds(m, mean, KEPT_STD)


@foil("without the filter's odds", log_odds=scaled(0))
@foil("all are kept alike", FRACTION=lambda true: 0.4)
@foil("the odds are 5 % larger", log_odds=scaled(1.05))
@enclosed(
    "h* = 1, beta = 0.1, s = 10: where the pairs of a large batch rest, M0 = 2 and -2",
    "the pull changes sign within half of the last digit of each",
)
def b5_rests():
    text, agrees = [], True
    with precision():
        for (share, mean), rest in RESTS.items():
            fraction = arb(FRACTION if share == FRACTION else 1e-6)
            ends = [pull(arb_world, arb(rest) + arb(s) / 20, fraction, mean) for s in (-1, 1)]
            agrees &= bool(ends[0] < 0 < ends[1])
            text.append(f"M0 = {mean}, share {float(fraction):g}: {rest}")
    return "; ".join(text), agrees


def kept_of(fraction, size):
    """Pairs that stay of a batch."""
    return max(1, int(fraction * size))


@foil("one more pair stays", kept_of=lambda true: lambda *of: true(*of) + 1)
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
    must(int(kept.sum()) == kept_of(fraction, len(m)))
    zero = torch.zeros_like(m)
    losses, *_ = beta_dpo(m, zero, zero, zero, kept=kept)
    (slope,) = torch.autograd.grad(losses.sum(), m)
    must(bool((slope[~kept] == 0).all()) and bool((losses[~kept] == 0).all()))


@foil("half of that", log_odds=scaled(0.5))
@foil("a quarter less", log_odds=scaled(0.75))
@simulated("how often the filter keeps a pair, one of two kept", "the odds of the two densities")
def b5_frequencies():
    state, draws = BetaDPOState(mean=1.0, std=2.0), 4_000
    m, generator = torch.tensor([2.0, -2.0], dtype=torch.float64), torch.Generator().manual_seed(82)
    kept = sum(
        beta_dpo_keep(m, state, fraction=0.5, generator=generator)[0].item() for _ in range(draws)
    )
    p = expit(log_odds(2.0, state.mean, state.std))
    text = f"the label with m = 2 kept {kept / draws:.4f} of the time against the one with m = -2"
    return text, np.array([(kept / draws - p) / math.sqrt(p * (1 - p) / draws)])


BATCH = 100_000
BETWEEN = 6.9, 17.0  # nats


def rest_of(fraction, mean):
    """Where the pairs of a large batch rest."""
    return brentq(lambda m: pull(numpy_world, m, fraction, mean), *BETWEEN)


def _of_few(true):
    return lambda fraction, mean: settled(H, BETA, mean, KEPT_STD)


@foil("where they do when few are kept", rest_of=_of_few)
@foil("the filter does nothing", rest_of=lambda true: lambda *_: PLAIN)
@simulated(
    "one batch of 100 000 pairs of h* = 1, filtered and descended to where the loss has no slope",
    "m where the pull is 0, at shares of 0.8 and 0.2, M0 = 2 and -2",
)
def b5_trained():
    p, text, scores = expit(H), [], []
    label = np.random.default_rng(np.random.SeedSequence(83)).random(BATCH) < p
    sign, zero = torch.as_tensor(2.0 * label - 1), torch.zeros(BATCH, dtype=torch.float64)
    for fraction in (FRACTION, 0.2):
        for mean in (KEPT_MEAN, -KEPT_MEAN):
            state = BetaDPOState(mean=mean, std=KEPT_STD)

            def slope(m, fraction=fraction, state=state):
                draw = torch.Generator().manual_seed(84)
                m = torch.tensor(m, dtype=torch.float64, requires_grad=True)
                kept = beta_dpo_keep(sign * m.detach(), state, fraction=fraction, generator=draw)
                losses, *_ = beta_dpo(sign * m, zero, zero, zero, alpha=0.0, kept=kept)
                return torch.autograd.grad(losses.sum() / kept.sum(), m)[0].item()

            found = brentq(slope, *BETWEEN, xtol=1e-3)
            theory = rest_of(fraction, mean)
            steep = [pull(numpy_world, theory + s * 1e-4, fraction, mean) for s in (-1, 1)]
            won = expit(BETA * theory)
            # of the kept, whose logit it is; sampling without replacement varies less
            error = 1 / math.sqrt(BATCH * fraction * won * (1 - won))
            scores.append((found - theory) * (steep[1] - steep[0]) / 2e-4 / error)
            text.append(f"share {fraction}, M0 = {mean}: {found:.2f} by {theory:.2f}")
    return "; ".join(text), np.array(scores)


CLAIM = Claim(
    id="B5",
    title="beta-DPO's filter discards data, and not evenly",
    statement=r"$\beta$-DPO's filter gives the share $1 - \rho$ of every batch no gradient; and it "
    r"draws the two labels of a pair with odds $e^{2 m M_0/s^2}$, so that pairs of which few of "
    r"many are kept settle at $m = h^*/(\beta - 2 M_0/s^2)$: further out than DPO's $h^*/\beta$ "
    r"iff $M_0 > 0$. A larger share shifts less: the pairs of a large batch, all of one $h^*$, "
    r"rest where $\log\frac{\log(1 - \rho \sigma(\beta m)/\sigma(h^*))}{\log(1 - \rho "
    r"\sigma(-\beta m)/\sigma(-h^*))} = 2 m M_0/s^2$.",
    reading="The filter does discard data, and not evenly: at a positive running mean it favours "
    "the label that the policy already prefers, like a lower temperature, at a negative one the "
    f"other. At h* = {H}, beta = {BETA:.1f}, s = {KEPT_STD} DPO's margin of {PLAIN:.1f} becomes "
    f"{SMALL:.1f} at M0 = {KEPT_MEAN} if few are kept, but {OF_CODE:.1f} at the code's share of "
    f"{FRACTION:.1f}; at M0 = -{KEPT_MEAN}, {SMALL_BELOW:.1f} and {OF_CODE_BELOW:.1f}.",
    source="arXiv 2510.05342 (A6); arXiv 2407.08639; the shift derived here",
    assumptions=r"second half: raw margins, one temperature $\beta$, $M_0$ and $s$ held, "
    r"$\beta s^2 > 2 M_0$",
    verdict="holds",
    uses=("B1",),
    evidence=(
        b5_filter,
        b5_rests,
        b5_discards,
        b5_frequencies,
        b5_trained,
        proved("Baselines", "B5_settles"),
    ),
)
