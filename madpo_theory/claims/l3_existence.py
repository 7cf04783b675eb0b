"""L3: when a table's minimizer exists: the weights have no say."""

import itertools
import math

import numpy as np
import sympy as sp
from hypothesis import strategies as st
from scipy.special import expit

from ..losses import dpo, ipo
from ..schedule import MarginSchedule
from ..simulate.solve.table import (
    maximum_posterior,
    sampled_wins,
    table_certificate,
    weigh_wins,
)
from ..theory.realizability import cycle_residual, ford_condition
from ..weights import log_weight
from .evidence import foil, must, property_test, simulated, symbolic
from .ledger import Claim
from .regimes import beta
from .settings import offdiagonal, rewards_of, schedules


@foil("IPO's loss is DPO's", ipo=lambda true: lambda *logps, beta: dpo(*logps, beta=1))
@symbolic("a win bounds the loss in one direction only, with any positive weight; IPO's in both")
def l3_directions():
    t, x = sp.symbols("t x", positive=True)
    win = dpo(t, 0, 0, 0, beta=1)[0]
    slope = sp.diff(win, t)
    yield "d/dt l(t x) -> 0 as the winner's gap grows", sp.limit(slope, t, sp.oo), sp.Integer(0)
    losing = sp.diff(dpo(-x * t, 0, 0, 0, beta=1)[0], t)
    yield "d/dt l(-t x) -> x as it falls", sp.limit(losing, t, sp.oo), x
    mass = sp.Symbol("w", positive=True)
    yield (
        "so along v the slope of sum w_ij l(s_i - s_j) tends to sum w_ij max(v_j - v_i, 0): 0 iff "
        "v never falls from a winner to its loser",
        sp.limit(mass * losing, t, sp.oo),
        mass * x,
    )
    yield "w x > 0 for every positive w", sp.Gt(mass * x, 0)
    square = ipo(x * t, 0, 0, 0, beta=beta)[0]
    yield "IPO curves upward along any gap, win or loss", sp.diff(square, t, 2), 2 * x**2


def without_disputed(true):
    """Weighted wins of which those that the reward model disputes by a nat have weight 0."""

    def weighed(wins, model, s):
        return true(wins, model, s) * (model[:, None] - model[None, :] > -1)

    return weighed


@foil("a weight of 0 on disputed labels is no matter", weigh_wins=without_disputed)
@property_test("the weighted wins have the digraph of the wins", "same edges, same Ford condition")
def l3_same_digraph(
    s=schedules(),
    wins=offdiagonal(st.integers(0, 1), 5),
    model=rewards_of(5, 15.0),
):
    model = model * min(1.0, 20 / s.c_max)  # |c h| <= 600: no mass underflows
    gaps = model[:, None] - model[None, :]
    must(np.isfinite(log_weight(gaps, s)).all())  # a finite logarithm: the weight is positive
    weighted = weigh_wins(wins, model, s)
    must(((weighted > 0) == (wins > 0)).all())
    must(ford_condition(weighted) == ford_condition(wins))


def certified_radius(wins):
    """How far a table's minimizer is from where Newton's method ends, nats; inf if unproved.

    The digraph is not asked. Slope and curvature at one point prove that a minimizer exists, and
    where none does they cannot.
    """
    wins = wins / wins.max()
    scores, *_ = maximum_posterior(wins[None], steps=40)
    return table_certificate(wins, scores[0])[2]


def log_masses():
    return offdiagonal(st.floats(-4, 4), 4)


@foil("connected is enough", ford_condition=lambda true: lambda wins: true(wins + wins.T))
@property_test("a minimizer is certified iff Ford's condition holds", "L3, any positive weights")
def l3_ford(wins=offdiagonal(st.integers(0, 2), 4), log_mass=log_masses(), at=rewards_of(4)):
    masses = wins * np.exp(log_mass)
    ford = ford_condition(masses)
    if ford.holds:
        must(certified_radius(masses) < 1e-6)
        return
    above = np.isin(np.arange(4), ford.undefeated)
    if masses.any():
        must(certified_radius(masses) == np.inf)
    must(above.any() and not above.all() and not masses[np.ix_(~above, above)].any())
    scores = [at + rise * above for rise in (0.0, 1.0, 2.0)]
    losses = [(masses * np.logaddexp(0, s[None, :] - s[:, None])).sum() for s in scores]
    if ford.attained:  # two parts without a comparison: the loss does not see the rise
        must(np.allclose(losses, losses[0], rtol=1e-14))
    else:
        must(losses[0] > losses[1] > losses[2])


@foil(
    "its minimizer does not depend on the weights",
    cycle_residual=lambda true: (
        lambda edges, gaps, weights: true(edges, gaps, np.ones_like(weights))
    ),
)
@property_test("IPO has a minimizer on every comparison graph", "its gradient can always be 0")
def l3_ipo(wins=offdiagonal(st.integers(0, 2), 4), log_mass=log_masses()):
    masses = wins * np.exp(log_mass)
    winner, loser = np.nonzero(masses)
    if len(winner):
        # IPO at beta = 1/2 asks of every win the gap 1: weighted least squares.
        edges, weights = np.stack([winner, loser], axis=1), masses[winner, loser]
        fit = cycle_residual(edges, np.ones(len(edges)), weights)
        slope = np.bincount(winner, weights * fit.residual, 4)
        slope -= np.bincount(loser, weights * fit.residual, 4)
        # Rounding of a least-squares solve whose condition number is e^4 at most.
        must(np.abs(slope).max() <= 1e-12 * weights.sum())


@foil("a weight of 0 on disputed labels is no matter", weigh_wins=without_disputed)
@simulated(
    "one label a pair: how often MADPO has a minimizer",
    "the probability that a tournament is strong, over all 64 outcomes by Landau's condition",
)
def l3_tournaments():
    draws, size, s = 400, 4, MarginSchedule.released()
    seeds = np.random.SeedSequence(31)
    rng = np.random.default_rng(seeds)
    rewards = np.array([0.0, 0.5, 1.0, 1.5])
    pairs = list(itertools.combinations(range(size), 2))
    probability = 0.0
    for outcome in itertools.product((True, False), repeat=len(pairs)):
        won = np.zeros(size, int)
        chance = 1.0
        for (i, j), first in zip(pairs, outcome, strict=True):
            won[i if first else j] += 1
            chance *= expit(rewards[i] - rewards[j] if first else rewards[j] - rewards[i])
        lowest = np.cumsum(np.sort(won))[:-1]
        strong = all(lowest[k - 1] > math.comb(k, 2) for k in range(1, size))
        probability += chance * strong
    found = 0
    for seed in seeds.spawn(draws):
        wins = sampled_wins(rewards, 1, seed)
        weighted = weigh_wins(wins, rewards + rng.normal(0, 2, size), s)
        own, dpos = (certified_radius(w) < np.inf for w in (weighted, wins))
        must(own == dpos, f"DPO and MADPO disagree on {wins.tolist()}")
        found += own
    error = math.sqrt(probability * (1 - probability) / draws)
    text = f"{found} of {draws} tournaments, the same ones as DPO; expected {probability:.3f}"
    return text, np.array([(found / draws - probability) / error])


CLAIM = Claim(
    id="L3",
    title="reweighting cures no separable data",
    statement=r"A table's finite-sample minimizer exists, and is unique up to one constant a "
    r"prompt, iff the comparison digraph of each prompt is strongly connected (Ford), whatever "
    r"the positive weights: for MADPO exactly when for DPO. IPO always has a minimizer.",
    reading="Reweighting cures no separable data: where DPO's scores run away, so do MADPO's, "
    "and with two responses and one label a prompt they always do.",
    source="Ford (1957) for the unweighted case; derived here",
    assumptions="one free score a response; weights that are positive and finite",
    verdict="holds",
    uses=("S2", "L1"),
    evidence=(l3_directions, l3_same_digraph, l3_ford, l3_ipo, l3_tournaments),
)
