"""What a fitted policy is worth: errors of its targets, reward, KL, regret, accuracy, weights.

Inputs have the axes (worlds, prompts, ...) of :mod:`~madpo_theory.simulate.worlds` or are the
solvers' batches (worlds x prompts, ...). :func:`measure` returns one row a world; beside what was
measured stands what the theory allows (R1, R2, R5), of the same shape.
"""

from dataclasses import dataclass, fields

import numpy as np
from scipy.special import log_softmax, logsumexp

from ..ops import check_number, shape_error
from ..ops.checks import check_kind, finite_array
from ..targets import effective_target
from ..theory.efficiency import effective_sample_size
from ..theory.value import divergence_terms, kl_divergence, regret, regret_bound, score_error
from ..weights import log_weight_ratio, weight
from .reward_models import check_margin_batch
from .worlds import Worlds, check_sampling, from_problems, gaps

__all__ = [
    "KLFrontier",
    "Measurement",
    "WeightStatistics",
    "frontier",
    "measure",
    "pair_accuracy",
    "policy_of",
    "reward_at_kl",
    "rms_over_pairs",
    "weight_statistics",
]


# ----------------------------------------------------------------------------------- statistics


def policy_of(worlds, m):
    """log pi (W, P, K) of pi proportional to pi_ref e^m, m (W, P, K) or a solver's (B, K)."""
    m = finite_array("m", from_problems(m, worlds), shape=worlds.shape)
    return log_softmax(worlds.log_reference + m, axis=-1)


def rms_over_pairs(errors, sampling):
    """Root mean square (W,) of errors (W, P, K, K), pairs by their sampling, prompts alike."""
    return np.sqrt((sampling * errors**2).sum(axis=(-1, -2)).mean(axis=-1))


def pair_accuracy(margins, shares, positive):
    """Share (W,) of the pairs that margins (W, P, K, K) put in the right order; 0 counts half.

    shares : (W, P, K, K), summing to 1 a prompt; positive : margins of the right order, or labels'
    masses themselves, where every entry says that row beats column. Pairs that `positive` leaves
    undecided (0) are left out.
    """
    counted = shares * (positive > 0)
    right = (margins > 0) + 0.5 * (margins == 0)
    total = counted.sum(axis=(1, 2, 3))
    return np.where(
        total > 0, (counted * right).sum(axis=(1, 2, 3)) / np.where(total > 0, total, 1), np.nan
    )


@dataclass(frozen=True, eq=False)
class WeightStatistics:
    """Weights of a world's labels, each (W,).

    mean : mean weight of a label.
    effective : Kish's effective share of the labels, (sum w)^2 / sum w^2 over their number.
    suppressed : share of the labels whose weight is below the threshold.
    """

    mean: np.ndarray
    effective: np.ndarray
    suppressed: np.ndarray


def weight_statistics(margins, masses, weighting, *, threshold=0.1):
    """:class:`WeightStatistics` of labels.

    Parameters
    ----------
    margins : the reward model's (W, P, K, K), row over column, nats.
    masses : the labels' (W, P, K, K): share that says row beats column.
    weighting : MarginSchedule or Weighting; None for unit weights.
    threshold : weight, > 0, below which a label counts as suppressed.
    """
    check_number("threshold", threshold, "threshold > 0", lambda v: v > 0)
    weights = np.ones(masses.shape) if weighting is None else weight(margins, weighting)
    total = masses.sum(axis=(1, 2, 3))
    mean = (masses * weights).sum(axis=(1, 2, 3)) / total
    effective = [
        effective_sample_size(of_world.ravel(), mass.ravel()) / mass.sum() if some > 0 else 0.0
        for of_world, mass, some in zip(weights, masses, mean, strict=True)
    ]
    suppressed = (masses * (weights < threshold)).sum(axis=(1, 2, 3)) / total
    return WeightStatistics(mean, np.array(effective), suppressed)


# ----------------------------------------------------------------------------- reward at equal KL


@dataclass(frozen=True, eq=False)
class KLFrontier:
    """Rewards at stated divergences, each (..., divergences).

    reward : expected reward, nats.
    kl : the divergence that was met, nats: the stated one, or less where it is out of reach.
    sharpness : t of the policy pi_ref e^(t score); inf where it is out of reach.
    """

    reward: np.ndarray
    kl: np.ndarray
    sharpness: np.ndarray


def reward_at_kl(scores, rewards, log_reference, kl, *, pooled=False):
    """Reward of the policies pi_t proportional to pi_ref e^(t score) where their KL is as stated.

    ``d KL(pi_t || pi_ref)/dt = t Var_t(score) >= 0``: with KL(t) = t E_t[s] - log Z(t) and
    dE_t[s]/dt = Var_t(s), log Z' = E_t[s]. So KL rises strictly with t from 0 (unless all scores
    are equal) to -log pi_ref(best responses), and each divergence between has one t, found by
    bisection to the last bits. KL(t) <= (t range)^2/8 (Hoeffding) bounds it from below. From the
    limit on (to 1e-12 of it) the limit policy stands for it: pi_ref given the best responses.

    Parameters
    ----------
    scores : (..., K); of a solution m at any beta, for t only rescales it.
    rewards, log_reference : of the same shape.
    kl : divergences (n,), nats, > 0.
    pooled : one t for all prompts (axis -2), whose mean KL is as stated, as when one temperature
        serves a whole policy; otherwise each prompt has its own.

    Returns :class:`KLFrontier` of shape (..., n), the prompts' own rewards and divergences in both
    cases. Derived here.
    """
    scores = finite_array("scores", scores)
    rewards = finite_array("rewards", rewards, shape=scores.shape)
    reference = finite_array("log_reference", log_reference, shape=scores.shape)
    if scores.ndim < 1 + bool(pooled):
        raise ValueError(f"scores must be (..., prompts, responses), got shape {scores.shape}")
    stated = finite_array("kl", kl, ndim=1)
    if not (stated > 0).all():
        raise ValueError(f"kl = {stated.min()} breaks the rule kl > 0; at 0 it is the reference")
    below = scores - scores.max(axis=-1, keepdims=True)
    widest = -below.min(axis=-1, keepdims=True)
    best = np.where(below == 0, reference, -np.inf)
    limit = np.maximum(-logsumexp(best, axis=-1, keepdims=True), 0.0)
    if pooled:
        widest = widest.max(axis=-2, keepdims=True)

    def pool(value):
        return value.mean(axis=-2, keepdims=True) if pooled else value

    def divergence(t):
        return pool(_tilted_divergence(below, reference, t)[1])

    last = np.exp(log_softmax(best, axis=-1))
    results = []
    for target in stated:
        reach = (target < pool(limit) * (1 - 1e-12)) & (widest > 0)
        t = np.sqrt(8 * target) / np.where(widest > 0, widest, 1)
        t = _root(divergence, target, t, reach)
        policy, met = _tilted_divergence(below, reference, t)
        policy, met = np.where(reach, policy, last), np.where(reach, met, limit)
        reward = (policy * rewards).sum(axis=-1)
        shape = reward.shape
        sharpness = np.broadcast_to(np.where(reach, t, np.inf)[..., 0], shape)
        results.append((reward, np.broadcast_to(met[..., 0], shape), sharpness))
    return KLFrontier(*(np.stack(part, axis=-1) for part in zip(*results, strict=True)))


def _tilted_divergence(below, reference, t):
    """Policy (..., K) and KL (..., 1) of pi_ref e^(t below)."""
    tilt = t * below
    tilted = reference + tilt
    top = tilted.max(axis=-1, keepdims=True)
    # scipy's logsumexp takes five times as long, and this runs at every step of a bisection.
    gain = tilt - top - np.log(np.exp(tilted - top).sum(axis=-1, keepdims=True))
    policy = np.exp(reference + gain)
    terms = divergence_terms(gain, policy, np.exp(reference))
    return policy, terms.sum(axis=-1, keepdims=True)


def _root(rising, target, low, held):
    """t with rising(t) = target where `held`, from below: doubling, then bisection."""
    high = low.copy()
    for _ in range(1000):
        short = held & (rising(high) < target)
        if not short.any():
            break
        low, high = np.where(short, high, low), np.where(short, 2 * high, high)
    for _ in range(54):  # the bracket's ends are within a factor of two of each other
        middle = (low + high) / 2
        short = rising(middle) < target
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return high


def frontier(worlds, scores, kl, *, pooled=True):
    """:func:`reward_at_kl` of a solution's scores or m in the worlds, (W, n): prompts' means.

    With the true rewards as scores it is the best that any policy of the same mean KL can do
    (pooled), which :class:`KLFrontier` of another solution can be set beside.
    """
    scores = finite_array("scores", from_problems(scores, worlds), shape=worlds.shape)
    found = reward_at_kl(scores, worlds.rewards, worlds.log_reference, kl, pooled=pooled)
    return KLFrontier(*(getattr(found, f.name).mean(axis=1) for f in fields(found)))


# --------------------------------------------------------------------------------- everything


@dataclass(frozen=True, eq=False)
class Measurement:
    """One row a world: every column is (W,)."""

    model_error: np.ndarray
    """Root mean square of h - h* over the sampled pairs, nats."""
    target_error: np.ndarray
    """Root mean square of z - h* over the sampled pairs, nats."""
    own_target_error: np.ndarray
    """Root mean square of z less the method's own pair targets, nats: what does not add up, and
    what finitely many labels leave."""
    target_shift: np.ndarray
    """Root mean square shift of the pair targets by the reward model's error, nats."""
    target_shift_bound: np.ndarray
    """L times model_error (R1); NaN unless L was passed."""
    influence: np.ndarray
    """Most nats by which the reward model's margin moves the target of a sampled pair: the largest
    |delta(h)| of a weighting."""
    influence_limit: np.ndarray
    """D (R2); NaN unless it was passed."""
    reward: np.ndarray
    """Expected true reward, nats."""
    kl: np.ndarray
    """KL divergence from the reference, nats."""
    value: np.ndarray
    """reward - beta kl, nats."""
    regret: np.ndarray
    """Best value less value, nats."""
    regret_bound: np.ndarray
    """Bound on the regret by the range of the score errors, nats (R5)."""
    score_error: np.ndarray
    """Range over responses of beta m - r, nats."""
    accuracy: np.ndarray
    """Share of the sampled pairs of different true rewards that z puts in their order."""
    label_accuracy: np.ndarray
    """Share of the labels that z agrees with."""
    model_label_accuracy: np.ndarray
    """Share of the labels that the reward model agrees with."""
    weight_mean: np.ndarray
    """Mean weight of a label."""
    effective_share: np.ndarray
    """Kish's effective share of the labels."""
    suppressed: np.ndarray
    """Share of the labels with a weight below the threshold."""

    def columns(self):
        """The columns by name, for a table."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def measure(
    worlds,
    margins,
    sampling,
    labels,
    m,
    *,
    beta,
    weighting=None,
    target=None,
    moved=None,
    shift=None,
    lipschitz=None,
    limit=None,
    threshold=0.1,
):
    """Everything that :class:`Measurement` lists, of one method's solution.

    Parameters
    ----------
    worlds : Worlds.
    margins : the reward model's (W, P, K, K), nats.
    sampling : shares of the pairs (W, P, K, K).
    labels : masses (W, P, K, K), "row beats column"; Labels.masses.
    m : the solution (W, P, K) or (W P, K): the policy is proportional to pi_ref e^m.
    beta : > 0: z = beta m, and the price of KL in the value.
    weighting : what the method weighs labels by; None for unit weights.
    target : the method's own pair targets of z (W, P, K, K), nats, where they are not
        effective_target(h*, h, weighting): IPO's are ``beta * ipo_target(h*, beta)``.
    moved, shift : by how much the reward model's margins move those from where they are at margins
        of 0, and at exact ones (W, P, K, K), nats, of a method that is no weighting; NaN: unknown.
    lipschitz, limit : L and D of the weighting, for the theory's columns.
    threshold : weight below which a label counts as suppressed.

    Means over prompts; errors are root mean squares over all sampled pairs of a world. Raises
    ValueError or TypeError with the argument, its value and the rule.
    """
    check_kind("worlds", worlds, Worlds)
    check_number("beta", beta, "beta > 0", lambda v: v > 0)
    margins = check_margin_batch("margins", margins, worlds)
    sampling = check_sampling(from_problems(sampling, worlds), worlds)
    masses = finite_array("labels", from_problems(labels, worlds), shape=margins.shape)
    if (masses < 0).any():
        raise ValueError(f"labels must be >= 0, got {masses.min()}; pass Labels.masses")
    if not masses.any(axis=(1, 2, 3)).all():
        raise ValueError("labels must have mass in every world, got one with none; draw labels")
    m = finite_array("m", from_problems(m, worlds), shape=worlds.shape)
    true = worlds.margins
    z = gaps(beta * m)
    if moved is None:
        moved = shift = np.zeros(true.shape)
        if weighting is not None:
            moved = log_weight_ratio(margins, weighting)
            exact = log_weight_ratio(true, weighting)
            with np.errstate(invalid="ignore"):  # infinite alike: a label that nobody trusts
                shift = np.where(moved == exact, 0.0, moved - exact)
    elif (moved.shape, shift.shape) != (true.shape, true.shape):
        raise shape_error({"moved": moved.shape, "shift": shift.shape, "margins": true.shape})
    if target is not None:
        target = check_margin_batch("target", target, worlds)
    else:
        target = true if weighting is None else effective_target(true, margins, weighting)
    for name, value in (("lipschitz", lipschitz), ("limit", limit)):
        if value is not None:
            check_number(name, value, f"{name} >= 0", lambda v: v >= 0)
    model_error = rms_over_pairs(margins - true, sampling)
    log_policy = policy_of(worlds, m)
    rows = log_policy, worlds.rewards, worlds.log_reference
    errors = score_error(*rows, beta=beta)
    reward = (np.exp(log_policy) * worlds.rewards).sum(axis=-1).mean(axis=-1)
    kl = kl_divergence(log_policy, worlds.log_reference).mean(axis=-1)
    statistics = weight_statistics(margins, masses, weighting, threshold=threshold)
    return Measurement(
        model_error=model_error,
        target_error=rms_over_pairs(z - true, sampling),
        own_target_error=rms_over_pairs(z - target, sampling),
        target_shift=rms_over_pairs(shift, sampling),
        target_shift_bound=(np.nan if lipschitz is None else lipschitz) * model_error,
        influence=np.where(sampling > 0, abs(moved), 0).max(axis=(1, 2, 3)),
        influence_limit=np.full(len(true), np.nan if limit is None else limit),
        reward=reward,
        kl=kl,
        value=reward - beta * kl,
        regret=regret(*rows, beta=beta).mean(axis=-1),
        regret_bound=regret_bound(errors, beta=beta).mean(axis=-1),
        score_error=errors.mean(axis=-1),
        accuracy=pair_accuracy(z, sampling, true),
        label_accuracy=pair_accuracy(z, masses, masses),
        model_label_accuracy=pair_accuracy(margins, masses, masses),
        weight_mean=statistics.mean,
        effective_share=statistics.effective,
        suppressed=statistics.suppressed,
    )
