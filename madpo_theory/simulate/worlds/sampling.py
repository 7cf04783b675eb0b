"""Which pairs are compared: laws of the comparisons, each a config in SAMPLINGS."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
from scipy.special import softmax

from ...ops import check_number
from ...ops.checks import check_kind, finite_array

__all__ = [
    "SAMPLINGS",
    "AllPairs",
    "GapSampled",
    "OnPolicySampled",
    "ReferenceSampled",
    "check_sampling",
    "pair_sampling",
]


class _Sampling(ABC):
    @abstractmethod
    def log_mass(self, worlds, log_policy):
        """Logarithm of a mass of each pair, up to a constant of the prompt; symmetric."""


@dataclass(frozen=True)
class AllPairs(_Sampling):
    """Every pair alike."""

    kind: str = field(default="all", init=False)
    """Its name in SAMPLINGS."""

    def log_mass(self, worlds, log_policy):
        return np.zeros((*worlds.shape, worlds.shape[-1]))


@dataclass(frozen=True)
class ReferenceSampled(_Sampling):
    """Two draws from the reference policy, given that they differ: pi_ref(i) pi_ref(j)."""

    kind: str = field(default="reference", init=False)
    """Its name in SAMPLINGS."""

    def log_mass(self, worlds, log_policy):
        return worlds.log_reference[..., :, None] + worlds.log_reference[..., None, :]


@dataclass(frozen=True)
class GapSampled(_Sampling):
    """Mass e^(tilt |h*|): pairs adjacent in true reward (tilt < 0) or far apart (tilt > 0)."""

    tilt: float = -1.0
    """Per nat of true margin."""
    kind: str = field(default="gap", init=False)
    """Its name in SAMPLINGS."""

    def __post_init__(self):
        check_number("tilt", self.tilt, "tilt finite", lambda v: True)

    def log_mass(self, worlds, log_policy):
        return self.tilt * np.abs(worlds.margins)


@dataclass(frozen=True)
class OnPolicySampled(_Sampling):
    """Two draws from a given policy, given that they differ."""

    kind: str = field(default="policy", init=False)
    """Its name in SAMPLINGS."""

    def log_mass(self, worlds, log_policy):
        if log_policy is None:
            raise ValueError("log_policy is missing: OnPolicySampled needs it, (W, P, K); pass it")
        log_policy = finite_array("log_policy", log_policy, shape=worlds.shape)
        return log_policy[..., :, None] + log_policy[..., None, :]


SAMPLINGS = {cls.kind: cls for cls in (AllPairs, ReferenceSampled, GapSampled, OnPolicySampled)}


def pair_sampling(config, worlds, log_policy=None):
    """Share of the comparisons that each pair gets, (W, P, K, K): symmetric, sums to 1 a prompt.

    The diagonal is 0, and a pair counts in both orders with half of its share each. A pair whose
    share is below the smallest float64 is never compared.

    Parameters
    ----------
    config : one of the configs in SAMPLINGS.
    log_policy : log-probabilities (W, P, K), for OnPolicySampled alone.
    """
    check_kind("config", config, *SAMPLINGS.values())
    if log_policy is not None and not isinstance(config, OnPolicySampled):
        raise ValueError(f"log_policy is given but {type(config).__name__} asks for none; drop it")
    log_mass = config.log_mass(worlds, log_policy)
    size = worlds.shape[-1]
    log_mass = np.where(np.eye(size, dtype=bool), -np.inf, log_mass)
    flat = log_mass.reshape(*log_mass.shape[:2], size * size)
    return softmax(flat, axis=-1).reshape(log_mass.shape)


def check_sampling(sampling, worlds):
    """`sampling` as (W, P, K, K) shares: >= 0, symmetric, no pair of a response with itself."""
    sampling = finite_array("sampling", sampling, shape=(*worlds.shape, worlds.shape[-1]))
    if (sampling < 0).any() or (sampling != np.swapaxes(sampling, -1, -2)).any():
        raise ValueError("sampling must be >= 0 and symmetric; make it with pair_sampling")
    # The shares of K^2 pairs round to 1 within so many ulp; more than 1e-9 is a mistake.
    total = sampling.sum(axis=(-1, -2))
    if np.trace(sampling, axis1=-2, axis2=-1).any() or not (np.abs(total - 1) <= 1e-9).all():
        raise ValueError(
            "sampling must have a zero diagonal and sum to 1 a prompt; make it with pair_sampling"
        )
    return sampling
