"""R5: what a wrong target costs in regularized reward."""

import math

import numpy as np
import sympy as sp
from flint import arb
from hypothesis import strategies as st
from scipy.special import log_softmax

from ..certify.enclosure import precision
from ..ops import arb_world
from ..theory.value import (
    kl_divergence,
    optimal_policy,
    policy_value,
    regret,
    regret_bound,
    score_error,
)
from .evidence import enclosed, foil, must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import sigma
from .settings import SEEDS, margins, scaled

EIGHT = 8  # Hoeffding's
BETA, CROSSING = 0.1, 0.8  # a beta, and the e up to which the square is the smaller bound
QUARTER = sp.Rational(1, 4)  # of the square of a range: what a variance is at most


def divergence(policy, logs, other):
    """KL(policy || other), of probabilities, their logarithms and those of the other policy."""
    return sum(p * (log - base) for p, log, base in zip(policy, logs, other, strict=True))


@foil(
    "beta KL(pi* || pi)",
    divergence=lambda true: (
        lambda policy, logs, other: true([sp.exp(log) for log in other], other, logs)
    ),
)
@symbolic("J(pi*) - J(pi) = beta KL(pi || pi*), three responses")
def r5_identity():
    beta = sp.Symbol("beta", positive=True)
    rewards = sp.symbols("r_1:4", real=True)
    (a, b), (c, d) = (
        sp.symbols("pi_1 pi_2", positive=True),
        sp.symbols("rho_1 rho_2", positive=True),
    )
    policy, reference = (a, b, 1 - a - b), (c, d, 1 - c - d)
    partition = sum(q * sp.exp(r / beta) for q, r in zip(reference, rewards, strict=True))
    logs, base = (list(map(sp.log, masses)) for masses in (policy, reference))
    earned = sum(p * r for p, r in zip(policy, rewards, strict=True))
    value = earned - beta * divergence(policy, logs, base)
    optimum = [b + r / beta - sp.log(partition) for b, r in zip(base, rewards, strict=True)]
    yield (
        "beta log Z - J(pi) = beta KL(pi || pi*)",
        beta * sp.log(partition) - value,
        beta * divergence(policy, logs, optimum),
    )
    best = [q * sp.exp(r / beta) / partition for q, r in zip(reference, rewards, strict=True)]
    at_best = sum(
        p * (r - beta * (r / beta - sp.log(partition))) for p, r in zip(best, rewards, strict=True)
    )
    yield "J(pi*) = beta log Z", at_best, beta * sp.log(partition)


@foil("a variance is at most 0.95/4 of the squared range", QUARTER=scaled(sp.Rational(19, 20)))
@symbolic("KL(pi || pi*) <= range^2/8 by Taylor, and the range of a two-response error")
def r5_hoeffding():
    s, step, t = sp.symbols("s Delta t", real=True)
    log_odds = sp.log(sigma(s) / sigma(s + step))
    divergence = sigma(s) * log_odds + sigma(-s) * sp.log(sigma(-s) / sigma(-s - step))
    yield "two responses: KL = 0 at Delta = 0", divergence.subs(step, 0), sp.Integer(0)
    first = sp.diff(divergence, step)
    yield "dKL/dDelta = sigma(s + Delta) - sigma(s)", first, sigma(s + step) - sigma(s)
    second = sigma(s + step) * sigma(-s - step)
    yield "d2KL/dDelta2 = sigma(s + Delta) sigma(-s - Delta)", sp.diff(first, step), second
    yield (
        "1/4 less it is a square",
        QUARTER - second,
        (sigma(s + step) - sp.Rational(1, 2)) ** 2,
    )
    errors = sp.symbols("e_1:4", real=True)
    a, b = sp.symbols("pi_1 pi_2", positive=True)
    masses = (a, b, 1 - a - b)
    tilted = [p * sp.exp(t * e) for p, e in zip(masses, errors, strict=True)]
    total = sum(tilted)
    mean = sum(p * e for p, e in zip(tilted, errors, strict=True)) / total
    spread = sum(p * (e - mean) ** 2 for p, e in zip(tilted, errors, strict=True)) / total
    yield "K responses: d2/dt2 log E e^(te) is a variance", sp.diff(sp.log(total), t, 2), spread
    top, low = sp.symbols("M m", real=True)
    inner = sum(p * (top - e) * (e - low) for p, e in zip(tilted, errors, strict=True)) / total
    yield (
        "variance = (M - m)^2/4 - (mean - (M + m)/2)^2 - E (M - e)(e - m) <= (M - m)^2/4",
        spread,
        QUARTER * (top - low) ** 2 - (mean - (top + low) / 2) ** 2 - inner,
    )


def random_policies(seed, size, responses):
    """(log_policy, rewards, log_reference): a row each, logits of standard deviation `size`."""
    rng = np.random.default_rng(seed)
    policy, reference = log_softmax(rng.normal(0, size, (2, responses)), axis=-1)
    return policy, rng.normal(0, 3, responses), reference


def nearly_optimal(rng, beta):
    """The same of two responses: a policy near 1/2 that is nearly the best one."""
    policy, reference = log_softmax(rng.normal(0, 0.01, (2, 2)), axis=-1)
    return policy, beta * (policy - reference) + rng.normal(0, 0.1 * beta, 2), reference


@foil("the bound is 5 % less", regret_bound=scaled(0.95))
@foil("J(pi*) - J(pi) = 1.05 beta KL", regret=scaled(1.05))
@property_test("J(pi*) - J(pi) = beta KL(pi || pi*) <= min(e^2/(8 beta), e)", "R5")
def r5_random(
    seed=SEEDS,
    size=st.floats(0.01, 20),
    responses=st.integers(2, 12),
    beta=st.floats(0.05, 5),
    near=st.booleans(),
):
    drawn = random_policies(seed, size, responses)
    policy, rewards, reference = (
        nearly_optimal(np.random.default_rng(seed), beta) if near else drawn
    )
    best = optimal_policy(rewards, reference, beta=beta)
    top, own = (policy_value(p, rewards, reference, beta=beta) for p in (best, policy))
    lost = regret(policy, rewards, reference, beta=beta)
    # The values cancel: their rounding is a few ulp of the largest reward or log-ratio in them.
    scale = np.abs(rewards).max() + beta * (np.abs(policy).max() + np.abs(reference).max())
    must(abs(top - own - lost) <= 1e-14 * responses * (scale + np.abs(best).max() * beta))
    error = score_error(policy, rewards, reference, beta=beta)
    must(0 <= lost <= regret_bound(float(error), beta=beta) * (1 + 1e-12), (lost, error))


@foil("the bound is 5 % less", regret_bound=scaled(0.95))
@property_test("two responses: KL <= (dz/beta)^2/8, dz the error of z = beta m", "R5")
def r5_pair(
    base=margins(20.0),
    at=margins(20.0),
    dz=margins(5.0),
    beta=st.floats(0.05, 5),
    near=st.booleans(),
):
    if near:  # a policy near 1/2: the bound is nearly met
        base, at, dz = 0.0, beta / 16, -beta / 8

    def logs(m):
        return log_softmax([base + m, 0.0])

    gap = np.array([at, 0.0])  # rewards: the best z is their difference
    policy, bound = logs((at + dz) / beta), regret_bound(dz, beta=beta)
    found = kl_divergence(policy, logs(at / beta))
    must(beta * found <= bound * (1 + 1e-9) + 1e-14 * beta)
    lost = regret(policy, gap, logs(0.0), beta=beta)
    must(lost <= bound * (1 + 1e-9) + 1e-13)


@foil("it is 5 % less", regret_bound=scaled(0.95))
@foil("it is twice as large", regret_bound=scaled(2))
@enclosed("1/8 is the best constant", "beta KL is over 0.999 of the bound, and below it")
def r5_sharp():
    with precision():
        step = arb(1) / 16
        up, down = arb_world.sigmoid(step / 2), arb_world.sigmoid(-step / 2)
        bound = regret_bound(BETA * step, beta=BETA)
        share = BETA * (up - down) * (up / down).log() / bound
        text = f"beta KL/bound = {share.str(8, radius=False)}"
        same = bound.overlaps(BETA * step**2 / EIGHT)
        return text, share > arb("0.999") and share < 1 and same


@foil("at twice the beta", BETA=scaled(2))
@enclosed("where the square stops being the smaller bound", f"e = {CROSSING} at beta {BETA}")
def r5_crossing():
    with precision():
        line, square = (
            regret_bound(arb(e), beta=BETA) / arb(e) for e in (CROSSING + 0.05, CROSSING - 0.05)
        )
        text = f"bound/e = {square.str(5, radius=False)} just below, {line.str(5, radius=False)}"
        return f"{text} just above", line.overlaps(arb(1)) and square < 1


@foil("the divergence is KL(pi* || pi)", kl_divergence=lambda true: lambda p, q: true(q, p))
@simulated("value of a policy from its own responses", "J(pi*) - beta KL(pi || pi*), 20 problems")
def r5_sampled(draws=40_000, beta=0.3):
    scores = []
    for index, child in enumerate(np.random.SeedSequence(9).spawn(20)):
        policy, rewards, reference = random_policies(index, 1.0, 6)
        responses = np.random.default_rng(child).choice(6, size=draws, p=np.exp(policy))
        gains = (rewards - beta * (policy - reference))[responses]
        best = optimal_policy(rewards, reference, beta=beta)
        claimed = policy_value(best, rewards, reference, beta=beta)
        claimed -= beta * kl_divergence(policy, best)
        scores.append((gains.mean() - claimed) / (gains.std() / math.sqrt(draws)))
    return f"{draws:,} responses each", np.array(scores)


CLAIM = Claim(
    id="R5",
    title="what a wrong target costs in reward",
    statement=r"$J(\pi^*) - J(\pi) = \beta\, KL(\pi \| \pi^*) \leq \min(e^2/("
    rf"{EIGHT}\beta), e)$, "
    r"$e$ the range of the error of $\beta \log(\pi/\pi_{ref})$ over the responses; with two "
    r"responses $e = |\Delta z|$.",
    reading=f"A target that is off by dz nats costs at most dz^2/({EIGHT} beta) of regularized "
    f"reward, and never more than dz: at beta = {BETA:.2f} the square is the smaller below "
    f"{CROSSING:.1f} nats.",
    source="derived here; Hoeffding (1963) for the lemma",
    assumptions=r"any policy, reference and reward over finitely many responses, by prompt; "
    r"$\pi^* \propto \pi_{ref} e^{r/\beta}$",
    verdict="holds",
    evidence=(
        r5_identity,
        r5_hoeffding,
        r5_random,
        r5_pair,
        r5_sharp,
        r5_crossing,
        r5_sampled,
        proved("Finite", "R5_identity", "R5_pair"),
    ),
)
