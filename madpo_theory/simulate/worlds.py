"""Bradley-Terry worlds: true rewards, reference policies, which pairs are compared, their labels.

A world is a set of prompts with the same number of responses each; all arrays have the leading axes
(worlds, prompts). Each random component of world w draws from its own
``SeedSequence(seed, spawn_key=(w, component))``: so a world is the same whatever the chunk or the
order it is drawn in, and a new component leaves the draws of the others as they were. On another
machine, exponentials and logarithms may round differently in the last digit.

Everything is a NumPy array in float64; :func:`to_problems` makes the torch batches that the solvers
consume, and :func:`from_problems` takes their answers back.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import expit, log_softmax, logsumexp, softmax

from ..ops import check_number
from ..ops.checks import finite_array
from .reward_file import content_of, read_cached

__all__ = [
    "COMPONENTS",
    "LABELS",
    "REFERENCES",
    "REWARDS",
    "SAMPLINGS",
    "AllPairs",
    "ClusteredRewards",
    "DavidsonTies",
    "DirichletReference",
    "DominantReference",
    "ExactLabels",
    "FileRewards",
    "GapSampled",
    "GaussianRewards",
    "Labels",
    "LinearRewards",
    "OnPolicySampled",
    "RaoKupperTies",
    "ReferenceSampled",
    "SampledLabels",
    "SoftmaxReference",
    "StudentRewards",
    "UniformReference",
    "Worlds",
    "WorldsConfig",
    "draw_labels",
    "draw_worlds",
    "from_problems",
    "gaps",
    "pair_sampling",
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


def check_count(name, value, least):
    """`value` as an integer of at least `least`, or the error it earns."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {value!r}; the rule is {name} >= {least}")
    if value < least:
        raise ValueError(f"{name} = {value} breaks the rule {name} >= {least}; raise it")
    return int(value)


def check_kind(name, value, *kinds):
    """`value`, or a TypeError that says which configs the argument takes."""
    if not isinstance(value, kinds):
        known = ", ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{name} must be one of {known}, got {type(value).__qualname__}; make one")
    return value


def check_choice(name, value, choices):
    """`value`, or a ValueError that lists what it may be."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {tuple(choices)}, got {value!r}; choose one")
    return value


def _positive(name, value):
    check_number(name, value, f"{name} > 0", lambda v: v > 0)


def _nonnegative(name, value):
    check_number(name, value, f"{name} >= 0", lambda v: v >= 0)


# ------------------------------------------------------------------------------------- rewards


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
        _nonnegative("scale", self.scale)

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
        _positive("df", self.df)
        _nonnegative("scale", self.scale)

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
        _nonnegative("between", self.between)
        _nonnegative("within", self.within)

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
        _nonnegative("scale", self.scale)

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


# ------------------------------------------------------------------------- reference policies


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
        _positive("temperature", self.temperature)

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


REWARDS = {
    cls.kind: cls
    for cls in (GaussianRewards, StudentRewards, ClusteredRewards, LinearRewards, FileRewards)
}
REFERENCES = {
    cls.kind: cls
    for cls in (UniformReference, SoftmaxReference, DirichletReference, DominantReference)
}


# -------------------------------------------------------------------------------------- worlds


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
    seed, indices : the seed and the world numbers (W,), which further components draw from.
    """

    rewards: np.ndarray
    log_reference: np.ndarray | None = None
    features: np.ndarray | None = None
    seed: int = 0
    indices: tuple = None

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


# ------------------------------------------------------------------------------- pair sampling


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


# -------------------------------------------------------------------------------------- labels


@dataclass(frozen=True)
class DavidsonTies:
    """Davidson's ties: nu/(nu + 2 cosh(h/2)) of all comparisons; the rest are Bradley-Terry.

    Dropping them leaves the odds of the labels as they were and takes comparisons from hard pairs.
    Source: R. R. Davidson, Journal of the American Statistical Association 65(329), 1970.
    """

    nu: float = 1.0
    """> 0; at h = 0, nu/(nu + 2) of the comparisons are ties."""
    kind: str = field(default="davidson", init=False)
    """Which tie model it is."""

    def __post_init__(self):
        _positive("nu", self.nu)

    def outcomes(self, h):
        size = np.abs(h)
        log_decided = size / 2 + np.log1p(np.exp(-size)) - math.log(self.nu)  # log odds
        decided = expit(log_decided)
        return decided * expit(h), expit(-log_decided), decided * expit(-h)


@dataclass(frozen=True)
class RaoKupperTies:
    """Rao and Kupper's ties: i wins with probability sigma(h - threshold), j with sigma(-h - ...).

    Dropping them makes the labels steeper than Bradley-Terry: the log-odds of what is left are
    log[(1 + e^(h + threshold))/(1 + e^(-h + threshold))], between h and 2h in size.
    Source: P. V. Rao, L. L. Kupper, Journal of the American Statistical Association 62(317), 1967.
    """

    threshold: float = 0.5
    """Differences that judges do not see, nats, >= 0."""
    kind: str = field(default="rao_kupper", init=False)
    """Which tie model it is."""

    def __post_init__(self):
        _nonnegative("threshold", self.threshold)

    def outcomes(self, h):
        win, lose = expit(h - self.threshold), expit(-h - self.threshold)
        # (e^2t - 1) win lose, of which e^2t overflows and the products underflow
        log_tie = 2 * self.threshold - np.logaddexp(0, self.threshold - h)
        log_tie = log_tie - np.logaddexp(0, self.threshold + h)
        return win, -np.expm1(-2 * self.threshold) * np.exp(log_tie), lose


class _Labels:
    def __post_init__(self):
        check_number("flip", self.flip, "0 <= flip <= 1", lambda v: (v >= 0) & (v <= 1))
        if self.ties is not None:
            check_kind("ties", self.ties, DavidsonTies, RaoKupperTies)

    def outcomes(self, h):
        """Probabilities (win, tie, lose) of the row response, of true margins h."""
        win, tie, lose = (
            (expit(h), 0 * h, expit(-h)) if self.ties is None else self.ties.outcomes(h)
        )
        keep = 1 - self.flip
        return keep * win + self.flip * lose, tie, keep * lose + self.flip * win


@dataclass(frozen=True)
class ExactLabels(_Labels):
    """Infinitely many labels: their probabilities."""

    flip: float = 0.0
    """Probability that a decided label is turned round, in [0, 1]."""
    ties: object | None = None
    """DavidsonTies or RaoKupperTies, whose tied comparisons are dropped; None for no ties."""
    kind: str = field(default="exact", init=False)
    """Its name in LABELS."""


@dataclass(frozen=True)
class SampledLabels(_Labels):
    """Finitely many labels, drawn independently."""

    labels: int = 16
    """How many comparisons are made, >= 1; ties, which are dropped, among them."""
    per: str = "pair"
    """pair: so many of every pair, whose share of the sampling stays its weight; prompt: so many in
    all, spread over the pairs by their shares at random."""
    flip: float = 0.0
    """Probability that a decided label is turned round, in [0, 1]."""
    ties: object | None = None
    """DavidsonTies or RaoKupperTies, whose tied comparisons are dropped; None for no ties."""
    kind: str = field(default="sampled", init=False)
    """Its name in LABELS."""

    def __post_init__(self):
        super().__post_init__()
        check_count("labels", self.labels, 1)
        check_choice("per", self.per, ("pair", "prompt"))


LABELS = {cls.kind: cls for cls in (ExactLabels, SampledLabels)}


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of worlds.

    Attributes
    ----------
    masses : (W, P, K, K), share of the prompt's labels that say "row beats column", the shares of
        the pairs' sampling included; sums to 1 a prompt.
    counts : (W, P, K, K) numbers of labels, or None if they are exact.
    decided : (W, P), share of the comparisons, weighted as the masses are, that was no tie.
    """

    masses: np.ndarray
    counts: np.ndarray | None
    decided: np.ndarray


def draw_labels(config, worlds, sampling, *, replicate=0, component="labels"):
    """Labels of the worlds' pairs.

    Parameters
    ----------
    config : ExactLabels or SampledLabels.
    sampling : (W, P, K, K) shares of the pairs, from :func:`pair_sampling`.
    replicate : number of the data set, for several of one world.
    component : whose draws they are; "model labels" for those that only the reward model sees.

    Returns :class:`Labels`. Raises ValueError if a prompt has no decided label at all, or if a
    label's probability underflows (true margins beyond 700 nats).
    """
    check_kind("config", config, *LABELS.values())
    sampling = check_sampling(sampling, worlds)
    size = worlds.shape[-1]
    first, second = np.triu_indices(size, 1)
    shares = 2 * sampling[..., first, second]
    win, tie, lose = config.outcomes(worlds.margins[..., first, second])
    if isinstance(config, ExactLabels):
        underflows = (np.minimum(win, lose) == 0) & (shares > 0)
        if underflows.any():
            world, prompt, pair = map(int, np.argwhere(underflows)[0])
            raise ValueError(
                f"the probability of a label underflows for responses {first[pair]} and "
                f"{second[pair]} of prompt {prompt} of world {worlds.indices[world]}; take smaller "
                "rewards, or leave the pair out of the sampling"
            )
        up, down, counts = shares * win, shares * lose, None
    else:
        pairs = [
            _draw_counts(config, rng, *of_world)
            for rng, *of_world in zip(
                worlds.generators(component, replicate), shares, win, tie, lose, strict=True
            )
        ]
        won, lost = (np.stack(side).astype(np.float64) for side in zip(*pairs, strict=True))
        counts = _both_orders(won, lost, size)
        each = 1 / config.labels if config.per == "prompt" else shares / config.labels
        up, down = each * won, each * lost
    decided = (up + down).sum(axis=-1)
    if not (decided > 0).all():
        world, prompt = map(int, np.argwhere(~(decided > 0))[0])
        raise ValueError(
            f"prompt {prompt} of world {worlds.indices[world]} has no decided label: all its "
            "comparisons were ties; draw more labels"
        )
    share = decided[..., None]
    return Labels(_both_orders(up / share, down / share, size), counts, decided)


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


def _draw_counts(config, rng, shares, win, tie, lose):
    """Numbers of wins and losses (P, pairs) of one world."""
    if config.per == "pair":
        made = np.where(shares > 0, config.labels, 0)
    else:
        # What rounding leaves of the total falls to the last entry: let that be the heaviest.
        order = np.argsort(shares, axis=-1)
        heavier = np.take_along_axis(shares, order, axis=-1)
        drawn = rng.multinomial(config.labels, heavier / heavier.sum(axis=-1, keepdims=True))
        made = np.empty_like(drawn)
        np.put_along_axis(made, order, drawn, axis=-1)
    outcome = rng.multinomial(made, np.stack([win, tie, lose], axis=-1))
    return outcome[..., 0], outcome[..., 2]


def _both_orders(up, down, size):
    """(..., K, K) from entries (..., pairs) above and below the diagonal."""
    first, second = np.triu_indices(size, 1)
    full = np.zeros((*up.shape[:-1], size, size))
    full[..., first, second], full[..., second, first] = up, down
    return full
