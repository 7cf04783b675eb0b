"""Worlds: the law they are drawn from, what is drawn, and their arrays as solvers' batches."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.special import logsumexp

from ...ops.checks import check_count, check_kind, finite_array
from .references import REFERENCES, UniformReference
from .rewards import REWARDS, FileRewards, GaussianRewards

__all__ = [
    "COMPONENTS",
    "Worlds",
    "WorldsConfig",
    "both_orders",
    "draw_worlds",
    "from_problems",
    "gaps",
    "to_problems",
]

# The second number of a world's spawn key. Numbers are never changed or used again.
COMPONENTS = {
    "rewards": 0,
    "reference": 1,
    "labels": 2,
    "model labels": 3,
    "gaussian": 4,
    "student": 5,
    "heteroscedastic": 6,
    "length": 7,
    "flipped": 8,
    "potential": 9,
}


@dataclass(frozen=True)
class WorldsConfig:
    """The law that worlds are drawn from."""

    prompts: int | None = 16
    """Prompts of a world, >= 1; None takes all of a file's."""
    responses: int | None = 6
    """Responses of a prompt, >= 2; None takes as many as each prompt of a file has."""
    rewards: object = field(default_factory=GaussianRewards)
    """True rewards: one of the configs in REWARDS."""
    reference: object | None = None
    """Reference policy: one of the configs in REFERENCES; None takes the file's
    reference_probability where there is one and is uniform elsewhere."""

    def __post_init__(self):
        check_kind("rewards", self.rewards, *REWARDS.values())
        from_file = isinstance(self.rewards, FileRewards)
        for name, least in (("prompts", 1), ("responses", 2)):
            if getattr(self, name) is not None or not from_file:
                check_count(name, getattr(self, name), least)
        if self.reference is not None:
            check_kind("reference", self.reference, *REFERENCES.values())


@dataclass(frozen=True, eq=False)
class Worlds:
    """Some worlds of a seed.

    Attributes
    ----------
    rewards : true rewards (W, P, K), nats.
    log_reference : log-probabilities of the reference policy (W, P, K); uniform if None is passed.
    features : (W, P, K, D), or None.
    seed, indices : the seed and the world numbers (W,), which further components draw from; 0, 1,
        ... if None is passed.
    """

    rewards: np.ndarray
    log_reference: np.ndarray | None = None
    features: np.ndarray | None = None
    seed: int = 0
    indices: tuple | None = None

    def __post_init__(self):
        rewards = finite_array("rewards", self.rewards, ndim=3)
        if 0 in rewards.shape or rewards.shape[-1] < 2:
            raise ValueError(
                f"rewards must be (worlds, prompts, responses) with two responses or more, got "
                f"shape {rewards.shape}"
            )
        count = len(rewards)
        indices = range(count) if self.indices is None else self.indices
        reference = self.log_reference
        if reference is None:
            reference = np.full(rewards.shape, -math.log(rewards.shape[-1]))
        reference = finite_array("log_reference", reference, shape=rewards.shape)
        # A sum of K exponentials rounds to within a few K ulp; more is a mistake.
        if not (np.abs(logsumexp(reference, axis=-1)) <= 1e-9).all():
            raise ValueError(
                "log_reference must hold log-probabilities: each row sums to 1; normalize it"
            )
        for name, value in (
            ("rewards", rewards),
            ("log_reference", reference),
            ("seed", check_count("seed", self.seed, 0)),
            ("indices", tuple(_check_index(index) for index in indices)),
        ):
            object.__setattr__(self, name, value)
        if len(self.indices) != count:
            raise ValueError(f"indices must have one entry a world, {count}, got {indices}")
        if self.features is not None:
            features = finite_array("features", self.features, ndim=4)
            if features.shape[:3] != rewards.shape:
                raise ValueError(
                    f"features must be (worlds, prompts, responses, dimension) over rewards of "
                    f"shape {rewards.shape}, got {features.shape}"
                )
            object.__setattr__(self, "features", features)

    @property
    def margins(self):
        """True margins h* (W, P, K, K), row over column, nats."""
        return gaps(self.rewards)

    @property
    def shape(self):
        """(W, P, K)."""
        return self.rewards.shape

    def generators(self, component, replicate=0):
        """A generator for each world, of one component; `replicate` numbers repeated draws."""
        return [
            _generator(self.seed, index, component, check_count("replicate", replicate, 0))
            for index in self.indices
        ]


def _check_index(index):
    check_count("indices", index, 0)
    if index >= 2**32:  # a larger one is two words of the spawn key and could meet another's
        raise ValueError(f"indices: {index} breaks the rule index < 2^32; number worlds from 0")
    return int(index)


def _generator(seed, world, component, replicate=0):
    key = (world, COMPONENTS[component], *([replicate] if replicate else []))
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def draw_worlds(config, seed, indices):
    """The worlds of these numbers.

    Parameters
    ----------
    config : WorldsConfig.
    seed : integer >= 0.
    indices : how many, for the worlds 0, 1, ...; or their numbers, in any order.

    Returns :class:`Worlds`. World w is the same to the bit in every call that asks for it.
    """
    check_kind("config", config, WorldsConfig)
    seed = check_count("seed", seed, 0)
    if isinstance(indices, (int, np.integer)):
        indices = range(check_count("indices", indices, 1))
    indices = tuple(_check_index(index) for index in indices)
    if not indices:
        raise ValueError("indices must name at least one world, got none")
    drawn, references = [], []
    for world in indices:
        of_world = config.rewards.draw(
            _generator(seed, world, "rewards"), config.prompts, config.responses
        )
        log_reference = of_world.log_reference
        if config.reference is not None or log_reference is None:
            law = config.reference or UniformReference()
            log_reference = law.draw(_generator(seed, world, "reference"), of_world.rewards)
        drawn.append(of_world)
        references.append(log_reference)
    features = None if drawn[0].features is None else np.stack([d.features for d in drawn])
    rewards = np.stack([d.rewards for d in drawn])
    return Worlds(rewards, np.stack(references), features, seed, indices)


def gaps(scores):
    """Margins (..., K, K), row over column, of scores (..., K): antisymmetric to the bit."""
    return scores[..., :, None] - scores[..., None, :]


def to_problems(array, device="cpu"):
    """(W, P, ...) as a float64 torch batch (W P, ...), which shares the memory on the CPU."""
    array = np.ascontiguousarray(array, dtype=np.float64)
    return torch.from_numpy(array.reshape(-1, *array.shape[2:])).to(device)


def from_problems(batch, worlds):
    """A solver's batch (W P, ...), or an array (W, P, ...), as a float64 array (W, P, ...)."""
    if isinstance(batch, torch.Tensor):
        batch = batch.detach().cpu().numpy()
    batch = np.asarray(batch, dtype=np.float64)
    count, prompts, _ = worlds.shape
    if batch.shape[:2] == (count, prompts) and batch.ndim > 2:
        return batch
    if batch.shape[:1] != (count * prompts,):
        raise ValueError(
            f"a batch of these worlds starts with {count * prompts} problems or with "
            f"({count}, {prompts}), got shape {batch.shape}"
        )
    return batch.reshape(count, prompts, *batch.shape[1:])


def both_orders(up, down, size):
    """(..., K, K) from entries (..., pairs) above and below the diagonal."""
    first, second = np.triu_indices(size, 1)
    full = np.zeros((*up.shape[:-1], size, size))
    full[..., first, second], full[..., second, first] = up, down
    return full
