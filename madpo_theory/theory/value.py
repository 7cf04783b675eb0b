"""The KL-regularized value of a policy, and what an error of its scores costs.

Policies are rows of log-probabilities (..., responses), one row a prompt; rewards have the same
shape, in nats. Every function returns one number a row; the caller takes the mean over prompts.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import logsumexp

from ..ops import check_number, elementwise, shape_error
from ..ops.checks import finite_array
from ..ops.stable import magnitude

__all__ = [
    "NearestDPO",
    "RewardAndKL",
    "divergence_terms",
    "kl_divergence",
    "nearest_dpo",
    "optimal_policy",
    "policy_value",
    "regret",
    "regret_bound",
    "reward_and_kl",
    "score_error",
]


def policy_value(log_policy, rewards, log_reference, *, beta=0.1):
    """J(pi) = E_pi[r] - beta KL(pi || pi_ref), nats (...,).

    Parameters
    ----------
    log_policy, log_reference : log-probabilities (..., responses); finite, each row sums to 1.
    rewards : r (..., responses), nats; finite.
    beta : > 0, price of a nat of divergence.

    Raises ValueError or TypeError with the argument, its value and the rule.
    """
    policy, reference, rewards = _rows(
        log_policy=log_policy, log_reference=log_reference, rewards=rewards
    )
    _check_beta(beta)
    return (np.exp(policy) * rewards).sum(axis=-1) - beta * _divergence(policy, reference)


def optimal_policy(rewards, log_reference, *, beta=0.1):
    """log pi*, the maximizer of :func:`policy_value`: pi* proportional to pi_ref e^(r/beta).

    Shapes, units and errors as there. Source: arXiv 2305.18290.
    """
    reference, rewards = _rows(log_reference=log_reference, rewards=rewards)
    _check_beta(beta)
    return _optimum(rewards, reference, beta)


def kl_divergence(log_policy, log_other):
    """KL(pi || other), nats (...,), >= 0; shapes and errors as in :func:`policy_value`."""
    return _divergence(*_rows(log_policy=log_policy, log_other=log_other))


def regret(log_policy, rewards, log_reference, *, beta=0.1):
    """J(pi*) - J(pi), nats (...,): equal to beta KL(pi || pi*), and computed as such.

    The difference of the two values, each of the size of the rewards, would lose the digits of a
    small regret. Shapes, units and errors as in :func:`policy_value`. Statement R5.
    """
    policy, reference, rewards = _rows(
        log_policy=log_policy, log_reference=log_reference, rewards=rewards
    )
    _check_beta(beta)
    return beta * _divergence(policy, _optimum(rewards, reference, beta))


def score_error(log_policy, rewards, log_reference, *, beta=0.1):
    """Range over responses of beta log(pi/pi_ref) - r: how wrong a policy's own scores are.

    Nats (...,); 0 for pi*. With two responses it is |dz|, the error of z = beta m against the
    true margin r(y1) - r(y2). Shapes and errors as in :func:`policy_value`. Statement R5.
    """
    policy, reference, rewards = _rows(
        log_policy=log_policy, log_reference=log_reference, rewards=rewards
    )
    _check_beta(beta)
    return np.ptp(beta * (policy - reference) - rewards, axis=-1)


@elementwise("error")
def regret_bound(xp, error, *, beta=0.1):
    """Bound on :func:`regret` from :func:`score_error` e = |error|: min(e^2/(8 beta), e), nats.

    The square is Hoeffding's lemma for the range e/beta of log(pi/pi*), and 1/8 is the best
    constant; the line is that a KL divergence never exceeds that range. They cross at
    e = 8 beta. Source: Hoeffding (1963) for the lemma; statement R5, derived here.
    """
    _check_beta(beta)
    size = magnitude(xp, error)
    return xp.minimum(size**2 / (8 * beta), size)


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
    _check_beta(beta)
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


def _optimum(rewards, reference, beta):
    tilted = rewards / beta + reference
    return tilted - logsumexp(tilted, axis=-1, keepdims=True)


def _divergence(p, q):
    return divergence_terms(p - q, np.exp(p), np.exp(q)).sum(axis=-1)


def divergence_terms(log_ratio, policy, other):
    """The terms of KL(pi || other), nats: pi (t - 1 + e^-t) with t = log(pi/other).

    Each is >= 0, so that their sum does not cancel as that of pi t does. Derived here.

    Parameters
    ----------
    log_ratio, policy, other : t, pi and other, arrays of one shape; probabilities sum to 1 a row.
    """
    near = np.clip(log_ratio, -1, 1)
    close = policy * (near + np.expm1(-near))
    return np.where(log_ratio == near, close, policy * (log_ratio - 1) + other)


def _check_beta(beta):
    check_number("beta", beta, "beta > 0", lambda v: v > 0)


def _rows(**values):
    """Finite arrays of one shape; those called log_... are log-probabilities, renormalized."""
    arrays = {name: finite_array(name, value) for name, value in values.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        raise shape_error(shapes)
    for name, array in arrays.items():
        if array.ndim == 0 or array.shape[-1] < 1:
            raise ValueError(f"{name} must have a last axis of responses, got shape {array.shape}")
        if name.startswith("log_"):
            total = logsumexp(array, axis=-1, keepdims=True)
            # Rounding of float32 log-probabilities stays below 1e-4 up to 1,000 nats.
            if not (np.abs(total) <= 1e-4).all():
                worst = float(total.flat[np.abs(total).argmax()])
                raise ValueError(
                    f"{name} must hold log-probabilities: each row sums to 1, got a log-sum of "
                    f"{worst:.6g}; subtract scipy.special.logsumexp of the row"
                )
            arrays[name] = array - total
    return tuple(arrays.values())
