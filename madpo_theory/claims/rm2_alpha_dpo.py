"""RM2: alpha-DPO's margin for every pair, and where it leads."""

import numpy as np
import sympy as sp
import torch
from flint import arb
from hypothesis import assume
from hypothesis import strategies as st
from scipy.special import expit

from ..certify.enclosure import precision
from ..methods import METHODS, Slots, slot_target
from ..methods.amapo import steepness
from ..ops import arb_world, numpy_world, sympy_world
from ..risk import logistic_slope
from .evidence import foil, must, property_test, simulated, symbolic
from .ledger import Claim
from .settings import LABELS, lone_target, margins, scaled

alpha_dpo, simpo = METHODS["alpha_dpo"], METHODS["simpo"]


@foil("the margin is SimPO's", alpha_dpo=lambda true: lambda **rule: true(**rule | {"alpha": 0}))
@symbolic("alpha-DPO: who is asked for more, and the temperature that it amounts to")
def rm2_margin():
    margin, mean = sp.symbols("M mu", real=True)
    alpha, gamma, spread, of_targets = sp.symbols("alpha gamma s S", positive=True)
    rule = {"alpha": alpha, "gamma": gamma, "running_mean": mean, "running_std": spread}
    made = alpha_dpo(**rule)
    yield (
        "the margin grows with M, by alpha/s",
        sp.diff(made.offset(margin), margin),
        alpha / spread,
    )
    nu, below = sp.symbols("nu d", positive=True)
    hardness = steepness(sympy_world, nu - below, nu, spread)
    yield (
        "AMaPO's log margin, mean nu > 0, grows with the distance below, by nu/s",
        sp.diff(hardness, below),
        nu / spread,
    )
    yield "alpha = 0: SimPO's margin", alpha_dpo(**rule | {"alpha": 0}).offset(margin), gamma
    # Statistics that follow the policy: margins z = T/(1 - alpha/s) spread by s = S/(1 - alpha/s).
    settled = of_targets + alpha
    yield "spread of the margins: s = S + alpha", of_targets / (1 - alpha / settled), settled
    yield "so 1/(1 - a) = 1 + alpha/S", 1 / (1 - alpha / settled), 1 + alpha / of_targets
    yield "and a < 1 whatever alpha is", sp.Gt(sp.simplify(1 - alpha / settled), 0)


@foil("SimPO's target is 5 % more", lone_target=scaled(1.05))
@property_test(
    "the two labels' gradients cancel at z = (T_g(h*) - a z_ref)/(1 - a), g = gamma - a mu, alone; "
    "descent leads there iff a < 1; the method's target is that of z_ref = 0",
    "RM2, statistics held, a up to 3, z_ref up to 5, h* up to 20 nats",
)
def rm2_stationary(
    a=st.floats(0.01, 3),
    spread=st.floats(0.1, 3),
    gamma=st.floats(0, 3),
    mean=st.floats(-2, 2),
    reference=st.floats(-5, 5),
    h=margins(20.0),
    away=st.floats(1e-3, 50),
):
    assume(abs(a - 1) > 0.01)
    with precision(800):
        a, spread, gamma, mean, reference, h, away = map(
            arb, (a, spread, gamma, mean, reference, h, away)
        )
        rule = {"gamma": gamma, "running_mean": mean, "running_std": spread}
        made = alpha_dpo(alpha=a * spread, **rule)
        p, q = arb_world.sigmoid(h), arb_world.sigmoid(-h)
        simpos = lone_target(arb_world, h, *[Slots(arb(0), offset=gamma - a * mean)] * 2)
        fixed = (simpos - a * reference) / (1 - a)
        for step in (away, -away, away * arb("1e-20"), -away * arb("1e-20")):
            z = fixed + step
            offsets = tuple(made.offset(s * (z - reference)) for s in (1, -1))
            slope = logistic_slope(arb_world, z, p, q, offsets) * step
            must(slope > 0 if a < 1 else slope < 0)
        if a < 1:
            must(made.target(h).overlaps(simpos / (1 - a)))
        elif h != 0:
            must(not made.target(h).is_finite())


def loss_and_push(method, policy, reference):
    """(losses, -d loss/du) of pairs of one token each, by the method's own loss."""
    zero, one = torch.zeros(len(policy), dtype=torch.float64), torch.ones(len(policy)).double()
    chosen = torch.tensor(policy / method.beta, requires_grad=True)
    held = torch.tensor(reference / method.beta)
    lengths = {"chosen_lengths": one, "rejected_lengths": one}
    loss, *_ = method(chosen, zero, held, zero, **lengths)
    (slope,) = torch.autograd.grad(loss.sum(), chosen)
    return loss.detach().numpy(), -slope.numpy() / method.beta


@foil("the push is 5 % more", expit=scaled(1.05))
@property_test(
    "alpha-DPO's own gradients: log-odds above SimPO's by alpha M*, so the more, the better the "
    "policy ranks a pair beside the reference; alpha = 0 is SimPO",
    "RM2, batches of 2 to 8, margins up to 4 nats, alpha up to 2",
    examples=100,
)
def rm2_direction(
    pairs=st.lists(st.tuples(margins(4.0), margins(4.0)), min_size=2, max_size=8),
    alpha=st.floats(0.01, 2),
    gamma=st.floats(0, 3),
):
    policy, reference = np.array(pairs).T
    implicit = policy - reference
    made = alpha_dpo(alpha=alpha, gamma=gamma, running_mean=0.5, running_std=1.5)
    _, push = loss_and_push(made, policy, reference)
    expected = expit(gamma + alpha * (implicit - 0.5) / 1.5 - policy)
    must(np.allclose(push, expected, rtol=1e-12))
    loss, push = loss_and_push(alpha_dpo(alpha=0.0, gamma=gamma), policy, reference)
    simpos, pushed = loss_and_push(simpo(gamma=gamma, beta=alpha_dpo().beta), policy, reference)
    must(np.allclose(loss, simpos, rtol=1e-14) and np.allclose(push, pushed, rtol=1e-14))


def statistics(z, p):
    """Mean and deviation of label-side margins: z of a pair at the label's frequency p, else -z."""
    mean = np.mean((2 * p - 1) * z)
    return mean, np.sqrt(np.mean(z * z) - mean * mean)


def settled(h, alpha, gamma):
    """Margins of pairs whose statistics follow the policy: (1 + alpha/S) T_g(h)."""
    p, z = expit(h), h
    for _ in range(80):
        mean, spread = statistics(z, p)
        even = Slots(offset=gamma - alpha / spread * mean)
        targets = slot_target(numpy_world, h, 0, even, even)
        z = (1 + alpha / statistics(targets, p)[1]) * targets
    return z


def trained(p, alpha, gamma, steps=3000):
    """Margins descended at label frequencies p, statistics averaged as alpha-DPO does."""
    z, mean, spread = np.log(p / (1 - p)), 0.0, 0.0
    for _ in range(steps):
        fresh = statistics(z, p)
        mean, spread = 0.9 * mean + 0.1 * fresh[0], 0.9 * spread + 0.1 * fresh[1]
        made = alpha_dpo(alpha=alpha, gamma=gamma, running_mean=mean, running_std=spread)
        offsets = made.offset(z), made.offset(-z)
        z = z - logistic_slope(numpy_world, z, p, 1 - p, offsets)
    return z


@foil("targets are 5 % more", settled=scaled(1.05))
@simulated(
    "alpha-DPO, 20 pairs descended on drawn labels, running statistics that follow the policy",
    "(1 + alpha/S) T_g(h*), S the spread of the T_g, for alpha = 1/2 and 3: no policy runs away",
)
def rm2_trained():
    h, gamma, scores = np.linspace(0.3, 3, 20), 1.0, []
    for k, alpha in enumerate((0.5, 3.0)):
        rng = np.random.default_rng(np.random.SeedSequence(180 + k))
        p = expit(h)
        found = trained(rng.binomial(LABELS, p) / LABELS, alpha, gamma)
        step = 1e-4 * np.eye(len(h))
        slopes = np.array(
            [(settled(h + e, alpha, gamma) - settled(h - e, alpha, gamma)) / 2e-4 for e in step]
        ).T
        error = np.sqrt((slopes**2 / (LABELS * p * (1 - p))).sum(1))  # delta method
        scores.append((found - settled(h, alpha, gamma)) / error)
    return "gamma = 1", np.concatenate(scores)


CLAIM = Claim(
    id="RM2",
    title="alpha-DPO is SimPO, pushed away from the reference",
    statement=r"$\alpha$-DPO balances policy and reference by a margin for every pair, $\gamma + "
    r"\alpha (M - \mu)/s$. It asks the more of a pair, the better the policy ranks it beside the "
    r"reference (AMaPO at a positive mean: the worse it is ranked); $\alpha = 0$ is SimPO. A pair "
    r"settles at $z = (T_g(h^*) - a\, z_\mathrm{ref})/(1 - a)$, $a = \alpha/s$, $g = \gamma - a "
    r"\mu$, $T_g$ SimPO's target, $z_\mathrm{ref}$ the reference's own margin; with $\mu$, $s$ "
    r"held, iff $a < 1$. Of a reference without preferences no margin of its own is left to a "
    r"pair: statistics that follow the policy settle at $s = S + \alpha$, $S$ the spread of the "
    r"$T_g$, so that $a < 1$ whatever $\alpha$ is and every target is $(1 + \alpha/S)\, T_g$.",
    reading="In the end alpha-DPO is SimPO at a lower temperature, pushed away from what the "
    "reference prefers: a larger alpha goes further from the reference, not nearer. Use it instead "
    "of MADPO when there is no reward model and the reference's own ranking is to be unlearned.",
    source="arXiv 2410.10148 and its released code; derived here",
    assumptions="hard labels; one gamma and one alpha for all pairs",
    verdict="conditional",
    condition="the reference prefers one response of a pair: else all pairs share one gamma and "
    "one temperature",
    uses=("C1", "C5"),
    evidence=(
        rm2_margin,
        rm2_stationary,
        rm2_direction,
        rm2_trained,
    ),
)
