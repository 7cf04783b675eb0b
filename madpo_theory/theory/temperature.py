"""MADPO against a change of temperature: which DPO(beta / rho) it is closest to, and how close.

DPO at the temperature beta / rho sends z = beta m to rho h. So a weighting whose effective target
T(h) is proportional to h on the margins that occur is DPO at another temperature (L5), and what is
not proportional is all that it adds. The reward model is taken to be exact.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import logsumexp

from ..ops import check_number
from ..ops.checks import finite_array
from ..targets import effective_target
from .value import kl_divergence, optimal_policy

__all__ = [
    "NearestDPO",
    "RewardAndKL",
    "TemperatureMatch",
    "gaussian_temperature",
    "match_temperature",
    "matched_temperature",
    "nearest_dpo",
    "reward_and_kl",
    "temperature_distance",
]


@dataclass(frozen=True)
class TemperatureMatch:
    """The nearest change of temperature, in least squares of targets.

    Attributes
    ----------
    rho : DPO(beta / rho) has the nearest targets to MADPO(beta).
    distance : what is left of the targets, relative, in [0, 1]: 0 iff MADPO's optimum is DPO's at
        the temperature beta / rho on these margins.
    """

    rho: float
    distance: float


def match_temperature(margins, weighting, weights=None):
    """Nearest DPO target rho h to MADPO's T(h): ``min over rho of sum w (T(h) - rho h)^2``.

    ``rho = sum w h T / sum w h^2`` and ``distance = |T - rho h| / |T| = sqrt(1 - cos^2)``, cos that
    of the angle between h and T, computed from the residual so that it does not cancel.

    Parameters
    ----------
    margins : (n,) true margins, nats, not all 0.
    weighting : what :func:`~madpo_theory.effective_target` takes.
    weights : (n,) nonnegative, default 1.

    Returns a :class:`TemperatureMatch`. Raises ValueError or TypeError naming the argument.
    Statement L5; derived here.
    """
    margins = finite_array("margins", margins, ndim=1)
    weights = np.ones(len(margins)) if weights is None else finite_array("weights", weights, ndim=1)
    if weights.shape != margins.shape:
        raise ValueError(f"weights must have shape {margins.shape} like margins: {weights.shape}")
    if (weights < 0).any():
        raise ValueError(f"weights = {weights.min():g} breaks the rule weights >= 0; choose it so")
    root = np.sqrt(weights)
    h, target = root * margins, root * effective_target(margins, margins, weighting)
    if not h.any():
        raise ValueError("margins must hold one that is not 0 and has weight; 0 has no temperature")
    rho = float(h @ target / (h @ h))
    length = np.linalg.norm(target)
    # Cauchy-Schwarz up to rounding: T orthogonal to h is at the distance 1.
    return TemperatureMatch(rho, min(float(np.linalg.norm(target - rho * h) / (length or 1)), 1.0))


def matched_temperature(margins, weighting, weights=None):
    """rho of :func:`match_temperature`: MADPO(beta) is nearest to DPO(beta / rho)."""
    return match_temperature(margins, weighting, weights).rho


def temperature_distance(margins, weighting, weights=None):
    """Distance of :func:`match_temperature`: 0 iff MADPO only changes the temperature."""
    return match_temperature(margins, weighting, weights).distance


def gaussian_temperature(scale, weighting, *, panels=8192):
    """:func:`match_temperature` for margins of a centred Gaussian law.

    T is odd, so half the line counts, up to 12 standard deviations: `panels` Gauss-Legendre panels
    of 4 nodes. T's kinks limit the accuracy: 1e-7 at the released schedules.

    Parameters
    ----------
    scale : standard deviation of the margins, nats, > 0.
    """
    check_number("scale", scale, "scale > 0", lambda v: v > 0)
    nodes, node_weights = np.polynomial.legendre.leggauss(4)
    at = (12 / panels) * (np.arange(panels)[:, None] + (nodes + 1) / 2).ravel()
    density = np.tile(node_weights, panels) * np.exp(-(at**2) / 2)
    return match_temperature(scale * at, weighting, density)


@dataclass(frozen=True)
class RewardAndKL:
    """Expected reward of a policy and its KL divergence from the reference, both in nats."""

    reward: float
    kl: float


def _table(scores, rewards, beta, reference):
    """The checked arguments of a table policy: scores, rewards, log-reference."""
    scores, rewards = (
        finite_array("scores", scores, ndim=1),
        finite_array("rewards", rewards, ndim=1),
    )
    check_number("beta", beta, "beta > 0", lambda v: v > 0)
    if reference is None:
        reference = np.full(len(scores), 1 / len(scores))
    reference = finite_array("reference", reference, ndim=1)
    if not scores.shape == rewards.shape == reference.shape:
        raise ValueError(
            "scores, rewards and reference must have one entry a response, got shapes "
            f"{scores.shape}, {rewards.shape}, {reference.shape}"
        )
    # A sum of K probabilities rounds to within K ulp of 1; more than 1e-9 is a mistake.
    if (reference <= 0).any() or abs(reference.sum() - 1) > 1e-9:
        raise ValueError(f"reference must be positive and sum to 1, got {reference}; normalize it")
    if not float(np.abs(scores).max()) / float(beta) < float("inf"):
        raise ValueError(f"scores/beta overflows float64 at beta = {beta:g}; choose a larger beta")
    return scores, rewards, np.log(reference)


def reward_and_kl(scores, rewards, beta, reference=None):
    """Reward and KL from the reference of the table policy pi ~ reference e^(scores/beta).

    Parameters
    ----------
    scores : (K,) z-scale scores, nats, such as those of :func:`~madpo_theory.simulate.fit_table`.
    rewards : (K,) true rewards, nats.
    beta : temperature, > 0.
    reference : (K,) positive probabilities, default uniform.
    """
    scores, rewards, log_reference = _table(scores, rewards, beta, reference)
    log_policy = optimal_policy(scores, log_reference, beta=beta)
    kl = float(kl_divergence(log_policy, log_reference))
    return RewardAndKL(float(np.exp(log_policy) @ rewards), kl)


@dataclass(frozen=True)
class NearestDPO:
    """The DPO optimum nearest to a policy in KL.

    Attributes
    ----------
    beta : its temperature.
    policy : reward and KL of the policy; dpo : those of the DPO optimum, of the same reward.
    divergence : KL(policy || DPO optimum), nats: exactly the KL that the policy spends beyond what
        its reward costs, ``policy.kl - dpo.kl``.
    """

    beta: float
    policy: RewardAndKL
    dpo: RewardAndKL
    divergence: float


def nearest_dpo(scores, rewards, beta, reference=None):
    """The DPO temperature whose optimum is nearest to a table policy in KL(policy || optimum).

    DPO's optima pi_b ~ reference e^(rewards/b) are an exponential family in 1/b, where the nearest
    point has the policy's mean reward: one root of an increasing function, and by the Pythagorean
    identity the divergence is the excess of KL at that reward. Arguments as in
    :func:`reward_and_kl`.

    Returns a :class:`NearestDPO`. Raises ValueError if the policy earns no more than the reference,
    as then no temperature does it. Derived here, L5.
    """
    scores, rewards, log_reference = _table(scores, rewards, beta, reference)
    log_policy = optimal_policy(scores, log_reference, beta=beta)
    shortfall = rewards.max() - rewards  # relative precision, however greedy the policy

    def regret(log_probabilities):
        return logsumexp(log_probabilities, b=shortfall)

    if not (shortfall.any() and regret(log_policy) < regret(log_reference)):
        raise ValueError(
            "scores: the policy earns no more than the reference, so no DPO temperature is nearest"
        )

    def surplus(inverse):
        return regret(log_policy) - regret(optimal_policy(rewards, log_reference, beta=1 / inverse))

    low, high = (1 / beta,) * 2
    while surplus(low) > 0:
        low /= 2
    while surplus(high) < 0:
        high *= 2
    # Relative precision of the root: brentq's own floor is 4 ulp.
    inverse = brentq(surplus, low, high, xtol=1e-300, rtol=1e-15) if low < high else low
    nearest = optimal_policy(rewards, log_reference, beta=1 / inverse)
    return NearestDPO(
        beta=float(1 / inverse),
        policy=reward_and_kl(scores, rewards, beta, np.exp(log_reference)),
        dpo=reward_and_kl(rewards, rewards, 1 / inverse, np.exp(log_reference)),
        divergence=float(kl_divergence(log_policy, nearest)),
    )
