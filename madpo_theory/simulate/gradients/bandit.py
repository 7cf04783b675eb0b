"""A softmax bandit, its exact policy gradient, and the exact law of GRPO's groups."""

import itertools
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import log_softmax

from ...ops import check_number
from ...ops.checks import check_count, finite_array

__all__ = [
    "GrpoGroups",
    "Moments",
    "SoftmaxBandit",
    "check_law",
    "check_outcomes",
    "covariance",
    "group_advantages",
    "grpo_groups",
    "moments",
    "score_gradient",
]

OUTCOMES = 1_000_000
"""Most outcomes that are enumerated."""


def check_outcomes(what, count):
    """Refuse an enumeration of more than OUTCOMES outcomes."""
    if count > OUTCOMES:
        raise ValueError(
            f"{what} have {count} outcomes, which breaks the rule outcomes <= {OUTCOMES}; take "
            "fewer actions or a smaller group, or sample"
        )


def check_law(name, value, shape=None):
    """`value` as probabilities >= 0 that sum to 1, or the error it earns."""
    law = finite_array(name, value, shape=shape)
    if (law < 0).any() or abs(law.sum() - 1) > 1e-9:  # sums of roundings are far below
        raise ValueError(
            f"{name} breaks the rule of a law, {name} >= 0 with sum 1: its least entry is "
            f"{law.min():g}, its sum {law.sum():g}; divide by the sum"
        )
    return law


# ------------------------------------------------------------------------- moments of an estimator


@dataclass(frozen=True, eq=False)
class Moments:
    """Of an estimator of a vector.

    mean : (d,).
    variance : trace of its covariance, E|g - mean|^2.
    """

    mean: np.ndarray
    variance: float

    def bias(self, target):
        """mean - target, (d,)."""
        return self.mean - target

    def error(self, target):
        """Mean squared error |bias|^2 + variance."""
        return float((self.bias(target) ** 2).sum() + self.variance)


def moments(probabilities, values):
    """:class:`Moments` of a vector that takes values (M, d) with probabilities (M,)."""
    mean = probabilities @ values
    return Moments(mean, float(probabilities @ ((values - mean) ** 2).sum(axis=1)))


def covariance(policy, first, second):
    """Cov_pi(first, second) over the last axis; arrays of any numbers, of SymPy's and Arb's too."""
    mean = (policy * first).sum(axis=-1)
    return (policy * first * second).sum(axis=-1) - mean * (policy * second).sum(axis=-1)


def score_gradient(policy, values):
    """Gradient (..., K) in the logits of E_pi[f], f held: pi (f - E_pi f)."""
    return policy * (values - (policy * values).sum(axis=-1, keepdims=True))


# ----------------------------------------------------------------------------------------- bandit


@dataclass(frozen=True, eq=False)
class SoftmaxBandit:
    """One state, K actions, pi(a) proportional to e^logit.

    Parameters
    ----------
    logits : (K,), K >= 2, nats.
    rewards : (K,), of each action, without noise.
    behaviour : (K,) law, > 0, that the actions are drawn from; None: the policy itself.
    """

    logits: np.ndarray
    rewards: np.ndarray
    behaviour: np.ndarray | None = None

    def __post_init__(self):
        logits = finite_array("logits", self.logits, ndim=1)
        if len(logits) < 2:
            raise ValueError(
                f"logits has {len(logits)} actions, which breaks the rule K >= 2; add one"
            )
        object.__setattr__(self, "logits", logits)
        object.__setattr__(
            self, "rewards", finite_array("rewards", self.rewards, shape=(len(self),))
        )
        if self.behaviour is not None:
            behaviour = check_law("behaviour", self.behaviour, shape=(len(self),))
            if not (behaviour > 0).all():
                raise ValueError(
                    "behaviour breaks the rule behaviour > 0: an action that is never drawn has "
                    "no ratio; drop it"
                )
            object.__setattr__(self, "behaviour", behaviour)

    def __len__(self):
        return len(self.logits)

    @property
    def log_policy(self):
        """log pi, (K,)."""
        return log_softmax(self.logits)

    @property
    def policy(self):
        """pi, (K,)."""
        return np.exp(self.log_policy)

    @property
    def sampler(self):
        """The law that actions are drawn from, (K,)."""
        return self.policy if self.behaviour is None else self.behaviour

    @property
    def ratio(self):
        """Importance ratio pi/behaviour, (K,)."""
        return self.policy / self.sampler

    @property
    def value(self):
        """E_pi[R]."""
        return float(self.policy @ self.rewards)

    @property
    def advantages(self):
        """R - E_behaviour[R], (K,): PPO's advantages are those of the policy that sampled."""
        return self.rewards - self.sampler @ self.rewards

    @property
    def scores(self):
        """grad log pi(a) = e_a - pi, one row an action, (K, K)."""
        return np.eye(len(self)) - self.policy

    @property
    def gradient(self):
        """Exact policy gradient of the value, (K,)."""
        return score_gradient(self.policy, self.rewards)

    @property
    def entropy(self):
        """-E_pi[log pi], nats."""
        return float(-self.policy @ self.log_policy)

    @property
    def entropy_gradient(self):
        """Gradient of the entropy in the logits, (K,): -pi (log pi + H)."""
        return score_gradient(self.policy, -self.log_policy)

    def stepped(self, direction, step):
        """The bandit after a step of that size in its logits along `direction` (K,)."""
        direction = finite_array("direction", direction, shape=(len(self),))
        check_number("step", step, "step is a number", lambda v: True)
        return replace(self, logits=self.logits + step * direction)


# ----------------------------------------------------------------------------------------- groups


def group_advantages(rewards, *, normalize=True):
    """GRPO's advantages of groups (..., G): (r - mean)/std within the group; r - mean if not.

    A group of equal rewards has advantages 0. The std is the population's, no epsilon is added.
    arXiv 2402.03300.
    """
    rewards = finite_array("rewards", rewards)
    centred = rewards - rewards.mean(axis=-1, keepdims=True)
    if not normalize:
        return centred
    equal = (rewards == rewards[..., :1]).all(axis=-1, keepdims=True)
    std = np.sqrt((centred**2).mean(axis=-1, keepdims=True))
    return np.where(equal, 0.0, centred / np.where(equal, 1.0, std))


@dataclass(frozen=True, eq=False)
class GrpoGroups:
    """Every group of G actions that the policy can draw.

    actions : (M, G).
    probabilities : (M,).
    advantages : (M, G).
    gradients : (M, G, K): each sample's part of the gradient, A grad log pi; GRPO's estimate is
        their mean over the group.
    """

    actions: np.ndarray
    probabilities: np.ndarray
    advantages: np.ndarray
    gradients: np.ndarray

    @property
    def moments(self):
        """:class:`Moments` of GRPO's estimate from one group."""
        return moments(self.probabilities, self.gradients.mean(axis=1))


def grpo_groups(bandit, size, *, normalize=True):
    """:class:`GrpoGroups` of `size` >= 2 samples, on policy: ratio 1, nothing clipped, no KL."""
    size = check_count("size", size, 2)
    check_outcomes("groups", len(bandit) ** size)
    actions = np.array(list(itertools.product(range(len(bandit)), repeat=size)))
    probabilities = np.exp(bandit.log_policy[actions].sum(axis=1))
    advantages = group_advantages(bandit.rewards[actions], normalize=normalize)
    return GrpoGroups(
        actions, probabilities, advantages, advantages[..., None] * bandit.scores[actions]
    )
