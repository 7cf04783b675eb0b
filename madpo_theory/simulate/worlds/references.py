"""Reference policies: laws that their log-probabilities are drawn from, each in REFERENCES."""

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.special import log_softmax

from ...ops import check_number
from ...ops.checks import check_positive

__all__ = [
    "REFERENCES",
    "DirichletReference",
    "DominantReference",
    "SoftmaxReference",
    "UniformReference",
]


@dataclass(frozen=True)
class UniformReference:
    """Every response alike."""

    kind: str = field(default="uniform", init=False)
    """Its name in REFERENCES."""

    def draw(self, rng, rewards):
        return np.full(rewards.shape, -math.log(rewards.shape[-1]))


@dataclass(frozen=True)
class SoftmaxReference:
    """Softmax of a score that knows something of the reward.

    The score is ``rho s + sqrt(1 - rho^2) g``: s the rewards less their mean over the world's
    standard deviation, g standard normal noise.
    """

    rho: float = 0.5
    """Correlation of score and reward, in [-1, 1]."""
    temperature: float = 1.0
    """What the score is divided by, > 0."""
    kind: str = field(default="softmax", init=False)
    """Its name in REFERENCES."""

    def __post_init__(self):
        check_number("rho", self.rho, "-1 <= rho <= 1", lambda v: (v >= -1) & (v <= 1))
        check_positive("temperature", self.temperature)

    def draw(self, rng, rewards):
        spread = rewards.std()
        standard = (rewards - rewards.mean()) / spread if spread > 0 else np.zeros(rewards.shape)
        noise = rng.standard_normal(rewards.shape)
        score = self.rho * standard + math.sqrt(1 - self.rho**2) * noise
        return log_softmax(score / self.temperature, axis=-1)


@dataclass(frozen=True)
class DirichletReference:
    """A draw from a symmetric Dirichlet distribution for every prompt."""

    concentration: float = 0.5
    """> 0 (from 1e-3: below, log-probabilities no longer mean anything); small is peaked."""
    kind: str = field(default="dirichlet", init=False)
    """Its name in REFERENCES."""

    def __post_init__(self):
        rule = "concentration >= 1e-3"
        check_number("concentration", self.concentration, rule, lambda v: v >= 1e-3)

    def draw(self, rng, rewards):
        # Gamma(a) is Gamma(a + 1) U^(1/a) in law, and the logarithm of that never underflows.
        a = self.concentration
        larger = np.log(rng.standard_gamma(a + 1, rewards.shape))
        return log_softmax(larger + np.log1p(-rng.random(rewards.shape)) / a, axis=-1)


@dataclass(frozen=True)
class DominantReference:
    """One response, drawn at random, has most of the mass; the others share the rest."""

    mass: float = 0.9
    """Its probability, in (0, 1)."""
    kind: str = field(default="dominant", init=False)
    """Its name in REFERENCES."""

    def __post_init__(self):
        check_number("mass", self.mass, "0 < mass < 1", lambda v: (v > 0) & (v < 1))

    def draw(self, rng, rewards):
        prompts, responses = rewards.shape
        log_reference = np.full(rewards.shape, math.log1p(-self.mass) - math.log(responses - 1))
        log_reference[np.arange(prompts), rng.integers(responses, size=prompts)] = math.log(
            self.mass
        )
        return log_reference


REFERENCES = {
    cls.kind: cls
    for cls in (UniformReference, SoftmaxReference, DirichletReference, DominantReference)
}
