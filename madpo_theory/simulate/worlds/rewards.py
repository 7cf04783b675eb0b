"""True rewards: laws that a world's rewards are drawn from, each a config in REWARDS."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax

from ...ops.checks import check_count, check_nonnegative, check_positive
from ..reward_file import content_of, read_cached

__all__ = [
    "REWARDS",
    "ClusteredRewards",
    "Drawn",
    "FileRewards",
    "GaussianRewards",
    "LinearRewards",
    "StudentRewards",
]


class Drawn(NamedTuple):
    """One world's rewards (P, K), features (P, K, D) and its file's log-probabilities (P, K)."""

    rewards: np.ndarray
    features: np.ndarray | None = None
    log_reference: np.ndarray | None = None


@dataclass(frozen=True)
class GaussianRewards:
    """Independent rewards N(0, scale^2)."""

    scale: float = 1.0
    """Standard deviation of a reward, nats, >= 0; of a margin, sqrt(2) times as much."""
    kind: str = field(default="gaussian", init=False)
    """Its name in REWARDS."""

    def __post_init__(self):
        check_nonnegative("scale", self.scale)

    def draw(self, rng, prompts, responses):
        return Drawn(self.scale * rng.standard_normal((prompts, responses)))


@dataclass(frozen=True)
class StudentRewards:
    """Independent rewards with heavy tails: scale times Student's t."""

    df: float = 3.0
    """Degrees of freedom, > 0; the variance is infinite up to 2."""
    scale: float = 1.0
    """Factor of the standard t, nats, >= 0."""
    kind: str = field(default="student", init=False)
    """Its name in REWARDS."""

    def __post_init__(self):
        check_positive("df", self.df)
        check_nonnegative("scale", self.scale)

    def draw(self, rng, prompts, responses):
        return Drawn(self.scale * rng.standard_t(self.df, (prompts, responses)))


@dataclass(frozen=True)
class ClusteredRewards:
    """Groups of responses of nearly the same reward: easy pairs across them, hard ones within."""

    groups: int = 3
    """Groups of a prompt, >= 1; each response falls into one of them at random."""
    between: float = 3.0
    """Standard deviation of the groups' means, nats, >= 0."""
    within: float = 0.3
    """Standard deviation of a reward about its group's mean, nats, >= 0."""
    kind: str = field(default="clustered", init=False)
    """Its name in REWARDS."""

    def __post_init__(self):
        check_count("groups", self.groups, 1)
        check_nonnegative("between", self.between)
        check_nonnegative("within", self.within)

    def draw(self, rng, prompts, responses):
        means = self.between * rng.standard_normal((prompts, self.groups))
        group = rng.integers(self.groups, size=(prompts, responses))
        about = self.within * rng.standard_normal((prompts, responses))
        return Drawn(np.take_along_axis(means, group, axis=-1) + about)


@dataclass(frozen=True)
class LinearRewards:
    """Rewards linear in standard normal features, one direction for the whole world."""

    dimension: int = 4
    """Features of a response, >= 1; they are kept in Worlds.features."""
    scale: float = 1.0
    """Length of the direction: the standard deviation of a reward, nats, >= 0."""
    kind: str = field(default="linear", init=False)
    """Its name in REWARDS."""

    def __post_init__(self):
        check_count("dimension", self.dimension, 1)
        check_nonnegative("scale", self.scale)

    def draw(self, rng, prompts, responses):
        direction = rng.standard_normal(self.dimension)
        features = rng.standard_normal((prompts, responses, self.dimension))
        return Drawn(features @ (self.scale * direction / np.linalg.norm(direction)), features)


@dataclass(frozen=True)
class FileRewards:
    """Rewards of the user's own responses: each world is a subset of the file (read_rewards).

    A world takes `prompts` of the file's prompts and `responses` of each one's responses, drawn
    without replacement and kept in the file's order; a prompt may have any number of responses from
    `responses` up. Where WorldsConfig has None, it is all prompts, and the smallest number of
    responses of a prompt.
    """

    path: str
    """CSV, JSONL or Parquet file with the columns prompt, response, reward and, if it is to give
    the reference policy, reference_probability (renormalized over the responses drawn). Workers
    elsewhere read it from the same path."""
    kind: str = field(default="file", init=False)
    """Its name in REWARDS."""
    content: str = field(default="", init=False)
    """SHA-256 of the file when the config was made: another content is another law of worlds."""

    def __post_init__(self):
        object.__setattr__(self, "content", content_of(self.path))

    def table(self):
        """What the file holds, by prompt; ValueError if it has changed since."""
        status = Path(self.path).stat()
        content, table = read_cached(str(self.path), status.st_mtime_ns, status.st_size)
        if content != self.content:
            raise ValueError(f"path = {self.path} has changed since its worlds were defined")
        return table

    def draw(self, rng, prompts, responses):
        table = self.table()
        sizes = np.array([len(rewards) for rewards in table.rewards])
        prompts = len(sizes) if prompts is None else prompts
        responses = int(sizes.min()) if responses is None else responses
        if prompts > len(sizes):
            raise ValueError(
                f"prompts = {prompts} breaks the rule prompts <= {len(sizes)}, those of "
                f"{Path(self.path).name}; lower it"
            )
        if responses > sizes.min():
            raise ValueError(
                f"responses = {responses} is more than the {sizes.min()} of prompt "
                f"{table.prompts[sizes.argmin()]!r} in {Path(self.path).name}; lower it, or drop "
                "that prompt from the file"
            )
        chosen = np.sort(rng.choice(len(sizes), prompts, replace=False))
        kept = [np.sort(rng.choice(sizes[p], responses, replace=False)) for p in chosen]
        rewards = np.stack([table.rewards[p][k] for p, k in zip(chosen, kept, strict=True)])
        if table.reference is None:
            return Drawn(rewards)
        mass = np.stack([table.reference[p][k] for p, k in zip(chosen, kept, strict=True)])
        return Drawn(rewards, log_reference=log_softmax(np.log(mass), axis=-1))


REWARDS = {
    cls.kind: cls
    for cls in (GaussianRewards, StudentRewards, ClusteredRewards, LinearRewards, FileRewards)
}
