"""RPO: a bandit of which the pairs cover some arms only (arXiv 2405.16436).

A policy is pi_r ~ pi_ref e^(r/beta), one reward an arm. RPO adds the chosen arms' negative
log-likelihood to DPO:

    F(r) = sum_ij wins[i, j] l(r_i - r_j) + eta beta sum_i chosen_i (-log pi_r(i))

with l(z) = log(1 + e^-z), wins of sum 1 and chosen_i = sum_j wins[i, j]: the expected loss of
:class:`~madpo_theory.methods.rpo.Rpo` on a table. By r the second term has the gradient
``eta (pi_r - chosen)``. So an arm that no pair holds leaves DPO's loss as it is, and RPO's rises
with its reward: eta pi_r > 0. F is convex; over rewards in [0, R]^K, the paper's class, it has a
minimizer, in which such arms have the reward 0; over all rewards it has none.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from ...methods.rpo import Rpo
from ...ops import check_number, numpy_world
from ...ops.checks import (
    check_count,
    check_kind,
    check_nonnegative,
    check_positive,
    finite_array,
)
from ...risk import logistic_curvature, logistic_slope
from ...theory.realizability import check_wins, reachable
from ..solve.table import expected_wins
from .laws import check_log_law

__all__ = [
    "CoverageFit",
    "TheoremSettings",
    "draw_wins",
    "fit_rewards",
    "flat_directions",
    "rpo_gradient",
    "rpo_risk",
    "theorem_settings",
]

RIDGE = 1e-12  # of the largest curvature: directions flatter than that are left where they are


def flat_directions(wins):
    """(n, K) directions of the rewards along which DPO's loss is constant, the common shift aside.

    The indicators of all parts of the comparison graph but the one that holds arm 0: an arm in no
    pair is a part by itself. `wins` are (K, K) masses.
    """
    wins = _masses(wins)
    linked = reachable(((wins + wins.T) > 0) | np.eye(len(wins), dtype=bool))
    parts = np.unique(np.asarray(linked), axis=0)
    return parts[~parts[:, 0]].astype(float)


def rpo_risk(rewards, wins, log_reference, method):
    """F(r), nats (...,), of rewards (..., K) and wins (..., K, K); an Rpo of eta = 0 is DPO."""
    gaps = rewards[..., :, None] - rewards[..., None, :]
    log_policy = log_softmax(log_reference + rewards / method.beta, axis=-1)
    losses = method.regularized(numpy_world, gaps / method.beta, log_policy[..., :, None])
    return (wins * losses).sum(axis=(-1, -2))


def rpo_gradient(rewards, wins, log_reference, method):
    """Gradient (..., K) of :func:`rpo_risk` by the rewards."""
    gaps = rewards[..., :, None] - rewards[..., None, :]
    slope = logistic_slope(numpy_world, gaps, wins, np.swapaxes(wins, -1, -2)).sum(axis=-1)
    policy = np.exp(log_softmax(log_reference + rewards / method.beta, axis=-1))
    return slope + method.eta * (policy * wins.sum(axis=(-1, -2))[..., None] - wins.sum(axis=-1))


@dataclass(frozen=True, eq=False)
class CoverageFit:
    """Minimizers of F over [0, R]^K.

    Attributes
    ----------
    rewards : (B, K), nats.
    log_policy : (B, K), of pi_r.
    residual : (B,), largest entry of r - clip(r - gradient), 0 at a minimizer.
    """

    rewards: np.ndarray
    log_policy: np.ndarray
    residual: np.ndarray


def fit_rewards(wins, log_reference, method, *, bound, tolerance=1e-10, steps=500):
    """Rewards in [0, bound]^K that minimize F, one problem for each table of wins.

    Newton's method on the rewards that no side of the box holds, with a search along the projected
    step. Where pi_r of an arm is below rounding its reward is undetermined, and its mass is not.

    Parameters
    ----------
    wins : (B, K, K) counts or masses >= 0, zero diagonal; each table is scaled to the sum 1.
    log_reference : (K,) log-probabilities.
    method : an Rpo of eta > 0.
    bound : R > 0, nats.

    Returns :class:`CoverageFit`. RuntimeError if the residual does not come down to `tolerance`.
    """
    log_reference = _arms(log_reference)
    size = len(log_reference)
    wins = finite_array("wins", wins, ndim=3)
    wins = np.stack([_masses(table) for table in wins])
    if wins.shape[-1] != size:
        raise ValueError(f"wins must have {size} arms like log_reference, got {wins.shape[-1]}")
    check_kind("method", method, Rpo)
    check_positive("eta", method.eta)
    check_positive("bound", bound)
    compared = (wins + np.swapaxes(wins, -1, -2)).any(axis=-1)
    rewards = np.where(compared, bound / 2, 0.0)
    residual = np.full(len(wins), np.inf)
    active = np.arange(len(wins))
    for _ in range(steps):
        now, of = rewards[active], wins[active]
        gradient = rpo_gradient(now, of, log_reference, method)
        residual[active] = np.abs(now - np.clip(now - gradient, 0, bound)).max(axis=-1)
        moving = residual[active] > tolerance
        active, now, of, gradient = active[moving], now[moving], of[moving], gradient[moving]
        if not len(active):
            break
        held = ((now <= 0) & (gradient > 0)) | ((now >= bound) & (gradient < 0))
        free = ~held[..., :, None] & ~held[..., None, :]
        hessian = np.where(free, _hessian(now, of, log_reference, method), 0.0)
        diagonal = np.einsum("bii->bi", hessian)
        diagonal += np.where(held, 1.0, RIDGE * diagonal.max(axis=-1, keepdims=True))
        change = np.linalg.solve(hessian, np.where(held, 0.0, -gradient)[..., None])[..., 0]
        rewards[active] = _searched(now, change, gradient, of, log_reference, bound, method)
    if len(active):
        raise RuntimeError(
            f"{len(active)} of {len(wins)} fits are not at their minimum after {steps} steps, "
            f"residual {residual[active].max():.1e}; allow more steps or a larger tolerance"
        )
    return CoverageFit(
        rewards, log_softmax(log_reference + rewards / method.beta, axis=-1), residual
    )


def _hessian(rewards, wins, log_reference, method):
    gaps = rewards[..., :, None] - rewards[..., None, :]
    link = logistic_curvature(numpy_world, gaps, wins, np.swapaxes(wins, -1, -2))
    policy = np.exp(log_softmax(log_reference + rewards / method.beta, axis=-1))
    eye = np.eye(rewards.shape[-1])
    spread = policy[..., None] * (eye - policy[..., None, :])
    return link.sum(axis=-1)[..., None] * eye - link + method.eta / method.beta * spread


def _searched(start, change, gradient, wins, log_reference, bound, method):
    """The longest of the steps 1, 1/2, 1/4, ... that lowers F by a tenth of what it promises."""
    risk = rpo_risk(start, wins, log_reference, method)
    length, reached = np.ones((len(start), 1)), start.copy()
    searching = np.ones(len(start), dtype=bool)
    for _ in range(60):
        moved = np.clip(start + length * change, 0, bound)
        promised = -(gradient * (moved - start)).sum(axis=-1)
        lowered = risk - rpo_risk(moved, wins, log_reference, method)
        # a few ulp of the risk: near the minimum it no longer tells
        good = searching & (lowered >= promised / 10 - 1e-15 * np.abs(risk))
        reached[good] = moved[good]
        searching &= ~good
        if not searching.any():
            break
        length = np.where(searching[:, None], length / 2, length)
    return reached


def draw_wins(rewards, sampling, size, rng, *, runs=1):
    """(runs, K, K) counts of `size` Bradley-Terry labels over the pairs; a numpy Generator draws.

    `sampling` (K, K) are symmetric shares of the pairs, 0 for those never compared; `rewards` (K,)
    the true ones, nats.
    """
    check_count("size", size, 1)
    check_count("runs", runs, 1)
    chance = expected_wins(rewards, sampling)
    drawn = rng.multinomial(size, (chance / chance.sum()).ravel(), size=runs)
    return drawn.reshape(runs, *chance.shape).astype(float)


@dataclass(frozen=True)
class TheoremSettings:
    """Theorem 5.3's eta and beta at a size of the data, and what it promises there."""

    size: int
    """N, pairs."""
    bound: float
    """R, nats: rewards lie in [0, R]."""
    eta: float
    beta: float
    iota: float
    """sqrt(log(N_eps/delta)), N_eps the covering number of [0, R]^K."""

    @property
    def method(self):
        """RPO with these settings."""
        return Rpo(eta=self.eta, beta=self.beta)

    def gap(self, coverage, divergence):
        """``[sqrt(6) (1 + e^R)^2 (C^2 + 1) iota + 4 KL]/(4 sqrt(N))``, nats: the reward of the
        compared policy less that of RPO's is at most this, with probability 1 - delta."""
        check_nonnegative("coverage", coverage)
        check_nonnegative("divergence", divergence)
        first = math.sqrt(6) * (1 + math.exp(self.bound)) ** 2 * (coverage**2 + 1) * self.iota
        return (first + 4 * divergence) / (4 * math.sqrt(self.size))


def theorem_settings(size, arms, *, bound, delta=0.05):
    """:class:`TheoremSettings`: eta = (1 + e^R)^-2 sqrt(24 log(N_eps/delta)/N), beta = 1/sqrt(N).

    N_eps = ceil(R/(2 eps))^K cubes of side 2 eps cover [0, R]^K; eps = 1/(6 (1 + e^R) N), which is
    from memory of the paper and counts by its logarithm alone. Source: arXiv 2405.16436.
    """
    check_count("size", size, 1)
    check_count("arms", arms, 2)
    check_positive("bound", bound)
    check_number("delta", delta, "0 < delta < 1", lambda v: (v > 0) & (v < 1))
    grown = 1 + math.exp(bound)
    cubes = arms * math.log(math.ceil(bound * 3 * grown * size)) - math.log(delta)
    eta = math.sqrt(24 * cubes / size) / grown**2
    return TheoremSettings(size, bound, eta, 1 / math.sqrt(size), math.sqrt(cubes))


def _masses(wins):
    """(K, K) masses >= 0 of zero diagonal and sum 1."""
    wins = check_wins("wins", wins)
    if not wins.any():
        raise ValueError("wins must hold one that is positive; give the pairs their masses")
    return wins / wins.sum()


def _arms(log_reference):
    log_reference = check_log_law("log_reference", log_reference)
    if log_reference.ndim != 1:
        raise ValueError(
            f"log_reference must be (K,), one entry an arm, got shape {log_reference.shape}"
        )
    return log_reference
