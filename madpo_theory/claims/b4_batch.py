"""B4: inside a batch beta-DPO is DPO."""

import numpy as np
import sympy as sp
import torch
from hypothesis import strategies as st
from scipy.special import expit

from ..losses import beta_dpo, beta_dpo_beta, beta_dpo_margins, dpo
from .evidence import foil, must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import beta, m, sigma
from .settings import margins, scaled

PAIR = sp.symbols("h_1 h_2", positive=True)
ALPHA = sp.Symbol("alpha", positive=True)
RUNNING = sp.Symbol("M_0", real=True)
LABELS = 2_000  # to a pair: each is an entry of the batch
RESTED = 1e-9  # of a margin: what descent may leave


def settled(h, batch):
    """Where the pairs of a batch rest at its temperature."""
    return h / batch


def settled_temperature(mean, beta, alpha, running, root):
    """That of a batch at rest, of mean margin M = `mean`/b: b = beta (1 + alpha (M - M0))."""
    free = beta * (1 - alpha * running)
    return (free + root(free**2 + 4 * beta * alpha * mean)) / 2


@foil("the pairs rest 5 % further out", settled=scaled(1.05))
@foil("the batch's temperature is 5 % higher", beta_dpo_beta=scaled(1.05))
@symbolic("B4: two pairs and their temperature at rest: m_i = h_i/b, one b > 0 for both")
def b4_rest():
    mean = sum(PAIR) / 2  # of the margins times b
    rule = {"beta": beta, "alpha": ALPHA, "running_mean": RUNNING}
    b, other = (settled_temperature(mean, *rule.values(), root) for root in (sp.sqrt, _negative))
    at_rest = sum(settled(h, b) for h in PAIR) / 2
    batch = beta_dpo_beta(at_rest, variant="madpo", **rule)  # raw margins, no clamp
    yield "b = beta (1 + alpha (M - M0)) of the margins h/b", sp.expand((batch - b) * b), sp.S(0)
    yield "the other root b' has b b' = -beta alpha M b", sp.expand(b * other), -beta * ALPHA * mean
    yield "so that one is positive", sp.Gt(beta * ALPHA * mean, 0)
    held = sp.Symbol("b", positive=True)
    for h in PAIR:
        win, loss = dpo(m, 0, 0, 0, beta=held)[0], dpo(0, m, 0, 0, beta=held)[0]
        slope = sp.diff(sigma(h) * win + sigma(-h) * loss, m)
        yield f"stationary at m = {h}/b", slope.subs(m, settled(h, held)), sp.S(0)
        yield (
            "and nowhere else: dR/dm = b (sigma(b m) - sigma(h))",
            slope,
            held * (sigma(held * m) - sigma(h)),
        )


def _negative(x):
    return -sp.sqrt(x)


@foil("the batch's temperature is 5 % higher", beta_dpo_beta=scaled(1.05))
@foil("the slopes vanish 5 % further out", settled=scaled(1.05))
@property_test(
    "the batch's loss is DPO's at one beta, whose slopes vanish at h/beta", "B4", examples=100
)
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
        m = settled(h, batch).requires_grad_(True)
        won, lost = (dpo(*pair, zero, zero, beta=batch)[0] for pair in ((m, zero), (zero, m)))
        (slope,) = torch.autograd.grad((p * won + (1 - p) * lost).sum(), m)
        must(slope.abs().max() <= 1e-14 * (1 + batch))


RULE = {"beta": 0.1, "alpha": 0.6, "running_mean": 1.0}


def rests(h, p):
    """Margins of a batch at rest: `h` are the logits of its labels' frequencies `p`."""
    return settled(h, settled_temperature(np.mean((2 * p - 1) * h), *RULE.values(), np.sqrt))


def _own_temperatures(true):
    """For a foil: every pair has the temperature that its own margin would give a batch."""
    return lambda h, p: np.array([true(*one)[0] for one in np.transpose([h, p])[..., None]])


@foil("the loss is plain DPO's", beta_dpo=lambda true: lambda *lp, **rule: dpo(*lp, beta=0.1))
@foil("every pair has a temperature of its own", rests=_own_temperatures)
@foil("the pairs rest 5 % further out", settled=scaled(1.05))
@simulated(
    "beta-DPO's loss descended on one batch, 20 pairs of 2000 labels each, from m = 0",
    "m_i = h_i/b at the batch's one temperature",
)
def b4_trained():
    h = np.linspace(0.5, 3, 20)
    p = expit(h)
    wins = np.random.default_rng(np.random.SeedSequence(81)).binomial(LABELS, p)
    label = torch.as_tensor(np.arange(LABELS) < wins[:, None])  # an entry a label
    m = torch.zeros(len(h), dtype=torch.float64)
    zero = torch.zeros(label.numel(), dtype=torch.float64)
    rate = torch.as_tensor(6 / (p * (1 - p)))  # over curvatures b^2 p (1 - p), b < 0.4
    for _ in range(80):
        m.requires_grad_(True)
        entries = torch.where(label, m[:, None], -m[:, None]).ravel()
        loss = beta_dpo(entries, zero, zero, zero, **RULE)[0].sum() / LABELS
        (slope,) = torch.autograd.grad(loss, m)
        m = m.detach() - rate * slope
    share = wins / LABELS
    must(np.abs(m.numpy() / rests(np.log(share / (1 - share)), share) - 1).max() < RESTED)
    step = 1e-5 * np.eye(len(h))
    moved = [rests(h + e, expit(h + e)) - rests(h - e, expit(h - e)) for e in step]
    error = np.sqrt((np.array(moved) ** 2 / 4e-10 / (LABELS * p * (1 - p))[:, None]).sum(0))
    b = settled_temperature(np.mean((2 * p - 1) * h), *RULE.values(), np.sqrt)
    return f"b = {b:.3f}, beta = {RULE['beta']}", (m.numpy() - rests(h, p)) / error


CLAIM = Claim(
    id="B4",
    title="beta-DPO adapts to batches, not to pairs",
    statement=r"Within a batch $\beta$-DPO's targets are proportional to the margins, "
    r"$m_i/m_j = h_i/h_j$ for every $\beta$: no batch temperature amplifies one pair and "
    r"dampens another.",
    reading="beta-DPO adapts to batches, not to pairs: inside a batch it is DPO.",
    source="arXiv 2510.05342 (A6); derived here",
    assumptions="beta_batch > 0, held constant in the gradient; no filter",
    verdict="holds",
    uses=("B1", "C1"),
    evidence=(
        b4_rest,
        b4_numeric,
        b4_trained,
        proved("Baselines", "B4_proportional"),
    ),
)
