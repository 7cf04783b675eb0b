"""DPPO: prompts and completions of GRPO are pruned, what is kept is rescaled by 1/(1 - P).

A batch is n items of fixed gradients v_i; the full batch's estimate is their mean. Pruning draws
which items are kept and what each then weighs (:class:`KeepLaw`), and estimates sum w_i v_i / n.
The law is enumerated, so bias and variance given the batch are exact; what is unbiased given every
batch is unbiased.

arXiv 2603.04135, abstract: dynamic pruning of prompts and completions that "preserves unbiased
gradient estimation" by importance rescaling. The factor 1/(1 - P) is from a secondary source, as is
that P depends on a score of the item (history of the prompt, size of the advantage); how the paper
draws its masks is not known with certainty, so each way to do it is here by name.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from ...ops import check_number, elementwise
from ...ops.checks import check_count, check_elements, finite_array
from .bandit import Moments, check_outcomes, moments

__all__ = [
    "KeepLaw",
    "bernoulli",
    "fixed_count",
    "hierarchical",
    "hierarchical_variance",
    "keep_weight",
    "pruned_groups",
    "pruning_variance",
    "ranked",
    "self_normalized",
]

RULE = "0 <= prune < 1"


def _check_prune(prune):
    return check_elements("prune", prune, RULE, lambda v: (v >= 0) & (v < 1))


@elementwise("prune")
def keep_weight(xp, prune):
    """Weight 1/(1 - P) of an item that was kept, pruned with probability P < 1."""
    return 1 / (1 - _check_prune(prune))


@elementwise("prune", "squared_norm")
def pruning_variance(xp, prune, squared_norm):
    """Variance |v|^2 P/(1 - P) that pruning with probability P adds to an item's gradient v.

    E[w^2] - 1 = 1/(1 - P) - 1. Over a batch of independent masks the variances add, divided by n^2.
    """
    return squared_norm * _check_prune(prune) / (1 - prune)


@dataclass(frozen=True, eq=False)
class KeepLaw:
    """Law of the weights of n items.

    probabilities : (M,), of each set of kept items.
    weights : (M, n), 0 where an item is pruned; the full batch weighs 1 each.
    """

    probabilities: np.ndarray
    weights: np.ndarray

    def moments(self, values):
        """:class:`~.bandit.Moments` of sum w_i v_i / n, values (n, d)."""
        return moments(self.probabilities, self.weights @ self._check(values) / len(values))

    def draw(self, values, count, rng):
        """`count` estimates (count, d) drawn with a numpy Generator."""
        count = check_count("count", count, 1)
        masks = rng.choice(len(self.probabilities), size=count, p=self.probabilities)
        return self.weights[masks] @ self._check(values) / len(values)

    @property
    def kept(self):
        """Expected number of items kept."""
        return float(self.probabilities @ (self.weights > 0).sum(axis=1))

    def _check(self, values):
        values = finite_array("values", values, ndim=2)
        if len(values) != self.weights.shape[1]:
            raise ValueError(
                f"values has {len(values)} items, the law has {self.weights.shape[1]}; "
                "one row an item"
            )
        return values


def _masks(count):
    """Every set of kept items, (2^n, n) of 0 and 1."""
    check_outcomes("keep masks", 2**count)
    return np.array(list(itertools.product((0.0, 1.0), repeat=count)))


def _chances(masks, prune):
    return np.where(masks > 0, 1 - prune, prune).prod(axis=1)


def bernoulli(prune):
    """Every item pruned by itself with its own probability (n,), weighed 1/(1 - P): unbiased."""
    prune = finite_array("prune", prune, ndim=1)
    weight, masks = keep_weight(prune), _masks(len(prune))
    return KeepLaw(_chances(masks, prune), masks * weight)


def self_normalized(prune):
    """As :func:`bernoulli`, then divided by the weights' own mean: a loss averaged over what is
    kept. No update where nothing is kept.

    Biased: toward the items of low P if these differ, and of equal P by -P^n of the mean, the
    chance that nothing is kept.
    """
    law = bernoulli(prune)
    mean = law.weights.mean(axis=1, keepdims=True)
    return KeepLaw(law.probabilities, law.weights / np.where(mean > 0, mean, 1))


def _pruned_count(count, prune):
    """How many of `count` items the share `prune` prunes: rounded down."""
    check_number("prune", prune, RULE, lambda v: 0 <= v < 1)
    return int(np.floor(count * prune * (1 + 1e-12)))  # a share k/n is k, whatever it rounds to


def fixed_count(count, prune):
    """floor(P n) of the n items pruned, drawn alike, the others weighed 1/(1 - P).

    Its inclusion probability is 1 - floor(P n)/n, so it is unbiased iff P n is a whole number;
    otherwise the estimate is too long by the factor (1 - floor(P n)/n)/(1 - P).
    """
    count = check_count("count", count, 1)
    pruned, masks = _pruned_count(count, prune), _masks(count)
    masks = masks[masks.sum(axis=1) == count - pruned]
    return KeepLaw(np.full(len(masks), 1 / len(masks)), masks * keep_weight(prune))


def ranked(scores, prune):
    """The floor(P n) items of the lowest scores (n,) pruned, the others weighed 1/(1 - P).

    Nothing is drawn: biased, unless the pruned and the kept have the same mean gradient. Of equal
    scores the first goes first.
    """
    scores = finite_array("scores", scores, ndim=1)
    weights = np.full(len(scores), keep_weight(prune))
    weights[np.argsort(scores, kind="stable")[: _pruned_count(len(scores), prune)]] = 0.0
    return KeepLaw(np.ones(1), weights[None])


def hierarchical(prompt_prune, completion_prune):
    """Prompts (Q,) pruned first, then completions (Q, G) of those kept; items in prompt order.

    Weights 1/((1 - P_prompt)(1 - P_completion)): unbiased. Completions of one prompt go together,
    so that their weights are correlated: see :func:`hierarchical_variance`.
    """
    prompts = finite_array("prompt_prune", prompt_prune, ndim=1)
    completions = finite_array("completion_prune", completion_prune, ndim=2)
    if len(completions) != len(prompts):
        raise ValueError(
            f"completion_prune must have {len(prompts)} rows, one a prompt, got shape "
            f"{completions.shape}"
        )
    check_outcomes("keep masks", 2 ** (len(prompts) + completions.size))
    of_prompts, of_completions = bernoulli(prompts), bernoulli(completions.ravel())
    chances = np.outer(of_prompts.probabilities, of_completions.probabilities)
    spread = np.repeat(of_prompts.weights, completions.shape[1], axis=1)
    weights = spread[:, None] * of_completions.weights[None]
    return KeepLaw(chances.ravel(), weights.reshape(-1, completions.size))


def hierarchical_variance(prompt_prune, completion_prune, values):
    """Variance of :func:`hierarchical` given the batch, values (Q, G, d), in closed form.

    ``[sum_q P_q/(1 - P_q) |V_q|^2 + sum_qo P_qo/((1 - P_q)(1 - P_qo)) |v_qo|^2]/n^2`` with V_q the
    sum over the prompt's completions: the law of total variance over the prompt's mask. Derived
    here. Centred advantages make V_q small, but not 0: the scores differ.
    """
    values = finite_array("values", values, ndim=3)
    prompts = pruning_variance(prompt_prune, (values.sum(axis=1) ** 2).sum(axis=-1))
    items = pruning_variance(completion_prune, (values**2).sum(axis=-1))
    given = (keep_weight(prompt_prune) * items.sum(axis=1)).sum()
    return float((prompts.sum() + given) / values[..., 0].size ** 2)


def pruned_groups(groups, law_of):
    """:class:`~.bandit.Moments` of GRPO's pruned estimate over all groups and all keep masks.

    groups : :class:`~.bandit.GrpoGroups`.
    law_of : function of a group's advantages (G,) that returns its :class:`KeepLaw`.
    """
    each = [
        law_of(advantages).moments(values)
        for advantages, values in zip(groups.advantages, groups.gradients, strict=True)
    ]
    between = moments(groups.probabilities, np.array([m.mean for m in each]))
    within = float(groups.probabilities @ [m.variance for m in each])
    return Moments(between.mean, between.variance + within)
