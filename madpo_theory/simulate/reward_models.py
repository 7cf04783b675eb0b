"""Reward models that are wrong in one stated way each, with one number that says how wrong.

A reward model is a config with a `noise` level, whose unit the class states; most often it is the
root mean square error of a margin in nats, so that a sweep over `noise` compares like with like.
:func:`draw_margins` makes its margins (W, P, K, K) in worlds, row over column and antisymmetric to
the bit. A larger noise scales the same draws up (flips: adds to the same flips), so a sweep over it
varies nothing else.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from ..ops import check_number
from ..ops.checks import (
    check_antisymmetric,
    check_choice,
    check_count,
    check_kind,
    finite_array,
)
from ..theory.linear import LinearRisk, SeparableDataError, fit_linear
from ..theory.realizability import reachable
from .solve.table import maximum_posterior
from .worlds import (
    AllPairs,
    Labels,
    SampledLabels,
    Worlds,
    both_orders,
    draw_labels,
    from_problems,
    gaps,
    pair_sampling,
)

__all__ = [
    "REWARD_MODELS",
    "BradleyTerryLinear",
    "BradleyTerryTable",
    "ExactModel",
    "FlippedModel",
    "GaussianModel",
    "HeteroscedasticModel",
    "LengthModel",
    "PotentialModel",
    "RewardModel",
    "SaturatingModel",
    "ScaledModel",
    "StudentModel",
    "draw_margins",
    "fit_linear_scores",
    "fit_table_scores",
    "reward_model",
]

RMS = "root mean square error of a margin, nats"


@dataclass(frozen=True)
class RewardModel(ABC):
    """A law of reward-model margins given the true ones."""

    unit: ClassVar[str] = RMS
    additive: ClassVar[bool] = False
    """Whether the margins are differences of one score for each response."""

    noise: float = 0.0
    """How wrong it is, >= 0, in `unit`; 0 is exact."""

    def __post_init__(self):
        check_number("noise", self.noise, "noise >= 0", lambda v: v >= 0)

    @abstractmethod
    def margins(self, worlds, labels, replicate):
        """Margins (W, P, K, K); antisymmetric."""

    def _draws(self, worlds, replicate, draw, shape):
        """One array of the shape for each world, from the draws of this kind of error."""
        return np.stack([draw(g, shape) for g in worlds.generators(self.kind, replicate)])

    def _pair_draws(self, worlds, replicate, draw):
        """An independent error of each pair of responses, antisymmetric (W, P, K, K)."""
        _, prompts, size = worlds.shape
        draws = self._draws(worlds, replicate, draw, (prompts, size * (size - 1) // 2))
        return both_orders(draws, -draws, size)


def _normal(rng, shape):
    return rng.standard_normal(shape)


def _world_rms(margins):
    """Root mean square over all pairs of a world, (W, 1, 1, 1)."""
    size = margins.shape[-1]
    mean = (margins**2).sum(axis=(-1, -2)).mean(axis=-1) / (size * (size - 1))
    return np.sqrt(mean)[:, None, None, None]


@dataclass(frozen=True)
class ExactModel(RewardModel):
    """The true margins; noise must be 0."""

    additive: ClassVar[bool] = True
    kind: str = field(default="exact", init=False)
    """Its name in REWARD_MODELS."""

    def __post_init__(self):
        check_number("noise", self.noise, "noise = 0", lambda v: v == 0)

    def margins(self, worlds, labels, replicate):
        return worlds.margins


@dataclass(frozen=True)
class GaussianModel(RewardModel):
    """Independent errors N(0, noise^2) of the pairs: the margins around a cycle do not add up."""

    kind: str = field(default="gaussian", init=False)
    """Its name in REWARD_MODELS."""

    def margins(self, worlds, labels, replicate):
        return worlds.margins + self.noise * self._pair_draws(worlds, replicate, _normal)


@dataclass(frozen=True)
class StudentModel(RewardModel):
    """Independent errors of the pairs with Student's t tails, of standard deviation noise."""

    df: float = 3.0
    """Degrees of freedom, > 2, so that there is a standard deviation."""
    kind: str = field(default="student", init=False)
    """Its name in REWARD_MODELS."""

    def __post_init__(self):
        super().__post_init__()
        check_number("df", self.df, "df > 2", lambda v: v > 2)

    def margins(self, worlds, labels, replicate):
        errors = self._pair_draws(worlds, replicate, lambda g, shape: g.standard_t(self.df, shape))
        return worlds.margins + self.noise * math.sqrt(1 - 2 / self.df) * errors


@dataclass(frozen=True)
class HeteroscedasticModel(RewardModel):
    """Independent Gaussian errors whose standard deviation is proportional to floor + |h*|.

    Scaled so that its root mean square over all pairs of a world is noise.
    """

    floor: float = 0.5
    """What is added to |h*|, nats, > 0; the larger, the more alike the errors."""
    kind: str = field(default="heteroscedastic", init=False)
    """Its name in REWARD_MODELS."""

    def __post_init__(self):
        super().__post_init__()
        check_number("floor", self.floor, "floor > 0", lambda v: v > 0)

    def margins(self, worlds, labels, replicate):
        true = worlds.margins
        size = true.shape[-1]
        spread = np.where(np.eye(size, dtype=bool), 0, self.floor + np.abs(true))
        spread = spread / _world_rms(spread)
        return true + self.noise * spread * self._pair_draws(worlds, replicate, _normal)


@dataclass(frozen=True)
class ScaledModel(RewardModel):
    """Over- or underconfident: a h*, a = 1 + noise/rms(h*) or 1 - noise/rms(h*).

    rms(h*) is over all pairs of the world, so that noise is the error's. Underconfidence of more
    than rms(h*) turns the order round.
    """

    additive: ClassVar[bool] = True

    confidence: str = "over"
    """over or under."""
    kind: str = field(default="scaled", init=False)
    """Its name in REWARD_MODELS."""

    def __post_init__(self):
        super().__post_init__()
        check_choice("confidence", self.confidence, ("over", "under"))

    def margins(self, worlds, labels, replicate):
        rms = _world_rms(worlds.margins)
        _refuse_flat(self, worlds, rms)
        sign = 1 if self.confidence == "over" else -1
        factor = 1 + sign * self.noise / np.where(rms > 0, rms, 1)
        return gaps(factor[..., 0] * worlds.rewards)


@dataclass(frozen=True)
class SaturatingModel(RewardModel):
    """s tanh(h*/s): right about hard pairs, blind to how easy the easy ones are.

    The ceiling s > 0 of a world is what makes the error over all its pairs noise, which must be
    below rms(h*).
    """

    kind: str = field(default="saturating", init=False)
    """Its name in REWARD_MODELS."""

    def margins(self, worlds, labels, replicate):
        true = worlds.margins
        if self.noise == 0:
            return true
        rms = _world_rms(true)
        if not (self.noise < rms).all():
            world = int(np.argmin(rms))
            raise ValueError(
                f"noise = {self.noise} breaks the rule noise < {rms.min():.6g}, the root mean "
                f"square margin of world {worlds.indices[world]}, as no ceiling errs more; lower it"
            )
        # The error falls as s grows, from rms(h*) at s = 0 to 0; h^3/(3 s^2) bounds that of a pair.
        low = np.full(rms.shape, 0.0)
        high = np.sqrt(_world_rms(true**3) / (3 * self.noise))
        for _ in range(60):
            middle = (low + high) / 2
            large = _world_rms(_saturated(true, middle) - true) > self.noise
            low, high = np.where(large, middle, low), np.where(large, high, middle)
        return _saturated(true, high)


def _saturated(margins, ceiling):
    return ceiling * np.tanh(margins / ceiling)


@dataclass(frozen=True)
class LengthModel(RewardModel):
    """A liking for one attribute of a response, as of length: h* + noise (a_i - a_j)/sqrt(2).

    The attribute is standardized, with a long tail on one side: ``a = correlation s +
    sqrt(1 - correlation^2) e``, s the standardized true reward, e exponential less its mean. The
    margins stay differences of scores. With correlation 0 the error has the root mean square noise
    over draws.
    """

    additive: ClassVar[bool] = True

    correlation: float = 0.0
    """Of the attribute with the true reward, in [-1, 1]."""
    kind: str = field(default="length", init=False)
    """Its name in REWARD_MODELS."""

    def __post_init__(self):
        super().__post_init__()
        rule = "-1 <= correlation <= 1"
        check_number("correlation", self.correlation, rule, lambda v: (v >= -1) & (v <= 1))

    def attribute(self, worlds, replicate=0):
        """The responses' attribute (W, P, K)."""
        rewards = worlds.rewards
        draws = self._draws(
            worlds, replicate, lambda g, shape: g.standard_exponential(shape) - 1, rewards.shape[1:]
        )
        spread = rewards.std(axis=(1, 2), keepdims=True)
        standard = (rewards - rewards.mean(axis=(1, 2), keepdims=True)) / np.where(
            spread > 0, spread, 1
        )
        return self.correlation * standard + math.sqrt(1 - self.correlation**2) * draws

    def margins(self, worlds, labels, replicate):
        shift = self.noise / math.sqrt(2) * self.attribute(worlds, replicate)
        return gaps(worlds.rewards + shift)


@dataclass(frozen=True)
class FlippedModel(RewardModel):
    """The true margin with the wrong sign, for each pair independently with probability noise."""

    unit: ClassVar[str] = "probability that a pair's margin has the wrong sign"

    kind: str = field(default="flipped", init=False)
    """Its name in REWARD_MODELS."""

    def __post_init__(self):
        check_number("noise", self.noise, "0 <= noise <= 1", lambda v: (v >= 0) & (v <= 1))

    def margins(self, worlds, labels, replicate):
        # Uniforms at a place above and below the diagonal differ in sign alone.
        uniform = self._pair_draws(worlds, replicate, lambda g, shape: 1 - g.random(shape))
        return np.where(np.abs(uniform) <= self.noise, -1.0, 1.0) * worlds.margins


@dataclass(frozen=True)
class PotentialModel(RewardModel):
    """Independent errors N(0, noise^2/2) of the responses' scores: the margins' stay additive."""

    additive: ClassVar[bool] = True

    kind: str = field(default="potential", init=False)
    """Its name in REWARD_MODELS."""

    def margins(self, worlds, labels, replicate):
        draws = self._draws(worlds, replicate, _normal, worlds.shape[1:])
        return gaps(worlds.rewards + self.noise / math.sqrt(2) * draws)


@dataclass(frozen=True)
class _Fitted(RewardModel):
    """What both Bradley-Terry fits have in common."""

    unit: ClassVar[str] = (
        "root mean square error of a margin that maximum likelihood has asymptotically where all "
        "true margins are 0, nats; it sets the number of labels"
    )
    additive: ClassVar[bool] = True

    noise: float | None = 0.5
    """How wrong it would be on margins of 0, >= 0, nats; 0 is exact. None with data = "policy"."""
    data: str = "fresh"
    """fresh: labels that nothing else sees, of all pairs alike (an honest split); policy: the
    labels that train the policy, whose number is what it is."""
    prior: float = 3.0
    """Standard deviation of the Gaussian prior, nats, > 0, where no maximum likelihood exists."""
    flip: float = 0.0
    """Probability that a fresh label is turned round, in [0, 1]."""

    def __post_init__(self):
        check_choice("data", self.data, ("fresh", "policy"))
        if self.data == "fresh":
            if self.noise is None:
                raise ValueError('noise must be a number with data = "fresh", got None; set it')
            super().__post_init__()
        elif self.noise is not None:
            raise ValueError(
                f'noise = {self.noise} must be None with data = "policy": the policy\'s labels set '
                "the error; drop it, or fit fresh labels"
            )
        check_number("prior", self.prior, "prior > 0", lambda v: v > 0)
        SampledLabels(flip=self.flip)

    def _counts(self, worlds, labels, replicate):
        if self.data == "policy":
            if not isinstance(labels, Labels) or labels.counts is None:
                raise ValueError(
                    'labels must be the policy\'s sampled Labels with data = "policy"; draw them '
                    "with SampledLabels and pass them"
                )
            return labels.counts
        law = SampledLabels(self.comparisons(worlds), "prompt", flip=self.flip)
        sampling = pair_sampling(AllPairs(), worlds)
        return draw_labels(
            law, worlds, sampling, replicate=replicate, component="model labels"
        ).counts

    @abstractmethod
    def scores(self, worlds, counts):
        """Scores (W, P, K) and where the prior was needed."""

    def margins(self, worlds, labels, replicate):
        if self.noise == 0:
            return worlds.margins
        return gaps(self.scores(worlds, self._counts(worlds, labels, replicate))[0])


@dataclass(frozen=True)
class BradleyTerryTable(_Fitted):
    """A free score for every response, by maximum likelihood (:func:`fit_table_scores`).

    noise makes it ceil(4 (K - 1)/noise^2) labels a prompt: the information of n labels of K equal
    responses gives a margin the variance 4 (K - 1)/n.
    """

    kind: str = field(default="bradley_terry_table", init=False)
    """Its name in REWARD_MODELS."""

    def comparisons(self, worlds):
        """Fresh labels of each prompt."""
        return math.ceil(4 * (worlds.shape[-1] - 1) / self.noise**2)

    def scores(self, worlds, counts):
        return fit_table_scores(counts, prior=self.prior)


@dataclass(frozen=True)
class BradleyTerryLinear(_Fitted):
    """Scores linear in the worlds' features, by maximum likelihood (:func:`fit_linear_scores`).

    noise makes it ceil(4 D/(noise^2 P)) labels a prompt: the information of n labels of margins 0
    gives the mean pair the variance 4 D/n, for D features.
    """

    kind: str = field(default="bradley_terry_linear", init=False)
    """Its name in REWARD_MODELS."""

    def comparisons(self, worlds):
        """Fresh labels of each prompt."""
        features = _features(worlds)
        return math.ceil(4 * features.shape[-1] / (self.noise**2 * features.shape[1]))

    def scores(self, worlds, counts):
        return fit_linear_scores(_features(worlds), counts, prior=self.prior)


REWARD_MODELS = {
    cls.kind: cls
    for cls in (
        ExactModel,
        GaussianModel,
        StudentModel,
        HeteroscedasticModel,
        ScaledModel,
        SaturatingModel,
        LengthModel,
        FlippedModel,
        PotentialModel,
        BradleyTerryTable,
        BradleyTerryLinear,
    )
}


def reward_model(kind, noise=0.0, **settings):
    """The reward model called `kind` in REWARD_MODELS at a noise level."""
    return REWARD_MODELS[check_choice("kind", kind, REWARD_MODELS)](noise, **settings)


def draw_margins(model, worlds, labels=None, *, replicate=0):
    """The reward model's margins (W, P, K, K) in the worlds, nats; antisymmetric to the bit.

    Parameters
    ----------
    model : one of the configs in REWARD_MODELS.
    labels : the policy's :class:`~madpo_theory.simulate.worlds.Labels`, for a fit with
        data = "policy".
    replicate : number of the draw, for several reward models of one world.
    """
    check_kind("model", model, *REWARD_MODELS.values())
    check_kind("worlds", worlds, Worlds)
    if labels is not None:
        check_kind("labels", labels, Labels)
    return model.margins(worlds, labels, check_count("replicate", replicate, 0))


def check_margin_batch(name, margins, worlds):
    """`margins` as (W, P, K, K), antisymmetric; or an error."""
    margins = from_problems(margins, worlds)
    shape = (*worlds.shape, worlds.shape[-1])
    return check_antisymmetric(name, finite_array(name, margins, shape=shape))


def _refuse_flat(model, worlds, rms):
    if model.noise > 0 and not (rms > 0).all():
        world = worlds.indices[int(np.argmin(rms))]
        raise ValueError(
            f"noise = {model.noise} cannot be met in world {world}, whose true margins are all 0 "
            "whatever they are multiplied with; take other rewards"
        )


# ------------------------------------------------------------------------------ Bradley-Terry fits


def fit_table_scores(counts, *, prior=3.0):
    """Bradley-Terry scores of every prompt by maximum likelihood, with a prior where it needs one.

    Maximum likelihood exists and is unique iff Ford's condition holds. Where it does not, the
    scores are those of the largest posterior density under independent priors N(0, prior^2), which
    always exists; where it does, there is no prior.

    Parameters
    ----------
    counts : (..., K, K) how often row beat column.
    prior : standard deviation, nats, > 0.

    Returns scores (..., K) of mean 0, nats, and a boolean (...,): where the prior was needed.
    """
    counts = finite_array("counts", counts)
    check_number("prior", prior, "prior > 0", lambda v: v > 0)
    batch = counts.reshape(-1, *counts.shape[-2:])
    needs = ~reachable(batch > 0).all(axis=(-1, -2))
    scores, _, taken = maximum_posterior(batch, np.where(needs, prior**-2.0, 0.0))
    if (taken < 0).any():
        raise RuntimeError(
            f"{(taken < 0).sum()} Bradley-Terry fits have not converged; draw more labels, or "
            "lower the prior"
        )
    return scores.reshape(counts.shape[:-1]), needs.reshape(counts.shape[:-2])


def fit_linear_scores(features, counts, *, prior=3.0):
    """Bradley-Terry scores linear in features, one direction a world, by maximum likelihood.

    Where the labels are separable, so that it does not exist, or the features of the compared
    pairs do not span, so that it is not unique: the largest posterior density under independent
    priors N(0, prior^2) of the direction's entries.

    Parameters
    ----------
    features : (W, P, K, D).
    counts : (W, P, K, K) how often row beat column.
    prior : standard deviation, nats per unit of a feature, > 0.

    Returns scores (W, P, K), nats, and a boolean (W,): where the prior was needed.
    """
    features = finite_array("features", features, ndim=4)
    counts = finite_array("counts", counts, shape=(*features.shape[:3], features.shape[2]))
    check_number("prior", prior, "prior > 0", lambda v: v > 0)
    first, second = np.triu_indices(features.shape[2], 1)
    needs, scores = np.zeros(len(features), dtype=bool), np.empty(features.shape[:3])
    for world, (of_world, wins) in enumerate(zip(features, counts, strict=True)):
        won, lost = wins[:, first, second].ravel(), wins[:, second, first].ravel()
        held = won + lost > 0
        differences = (of_world[:, first] - of_world[:, second]).reshape(-1, features.shape[-1])
        risk = LinearRisk(differences[held], won[held], lost[held], beta=1.0)
        spans = np.linalg.matrix_rank(risk.features) == features.shape[-1]
        try:
            direction = fit_linear(risk).theta if spans else None
        except SeparableDataError:
            direction = None
        if direction is None:  # the risk is a mean over pairs
            needs[world], precision = True, 1 / (prior**2 * len(risk.features))
            direction = fit_linear(replace(risk, precision=precision)).theta
        scores[world] = of_world @ direction
    return scores, needs


def _features(worlds):
    if worlds.features is None:
        raise ValueError("features are missing: draw worlds with LinearRewards, or pass features")
    return worlds.features
