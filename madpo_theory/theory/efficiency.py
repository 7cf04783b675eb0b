"""What weights cost in precision: effective sample size and information per pair."""

import numpy as np

from ..ops import elementwise
from ..ops.checks import finite_array
from ..ops.numpy_world import sigmoid
from ..targets import effective_target
from ..weights import log_weight

__all__ = [
    "effective_sample_size",
    "efficient_covariance",
    "pair_information",
    "target_covariance",
]


def effective_sample_size(weights, counts=None):
    """Kish's number of equally weighted samples: (sum w)^2 / sum w^2, in [1, pairs].

    Right where the weights have nothing to do with what they multiply: then H = mean(w) H_1 and
    G = mean(w^2) G_1, and the covariance H^-1 G H^-1/n is that of unit weights with this many
    samples. MADPO's weights depend on label and margin, and there it is wrong: one pair is
    estimated as precisely with any weight as with none (:func:`pair_information`). Use
    :func:`~madpo_theory.theory.linear.population_covariance`. Statement R6.

    Parameters
    ----------
    weights : (pairs,), >= 0 and not all 0.
    counts : (pairs,) how often each of them occurs, >= 0; default once.

    Raises ValueError or TypeError with the rule.
    """
    weights = finite_array("weights", weights, ndim=1)
    if (weights < 0).any():
        raise ValueError(f"weights must be >= 0, got {weights.min()}; drop those pairs")
    if counts is None:
        counts = np.ones(len(weights))
    counts = finite_array("counts", counts, shape=weights.shape)
    if (counts < 0).any():
        raise ValueError(f"counts must be >= 0, got {counts.min()}; drop those pairs")
    if not weights[counts > 0].any():
        raise ValueError("weights must hold a positive one, got none; nothing would be estimated")
    weights = weights / weights.max()  # squares of very small weights would underflow
    return float((counts * weights).sum() ** 2 / (counts * weights**2).sum())


@elementwise("h_true", "h_model")
def pair_information(xp, h_true, h_model, weighting):
    """(a, b): curvature and score variance of a pair's loss at the pair's own target.

    At z* = :func:`~madpo_theory.effective_target`, with p = sigma(h*) w(h), q = sigma(-h*) w(-h):
    ``a = p q/(p + q)`` and ``b = w(h) w(-h) sigma(z*) sigma(-z*) = p q w(h) w(-h)/(p + q)^2``. So
    ``a^2/b = sigma(h*) sigma(-h*)``: one label tells as much about the target as about the true
    margin, whatever the weight and however wrong the reward model.

    Parameters
    ----------
    h_true, h_model : true and reward model's margin, nats; they broadcast.
    weighting : MarginSchedule or any other weighting.

    Returns two values (no unit) of the kind and dtype of the margins. N4, R6; derived here.
    """
    up = log_weight.formula(xp, h_model, weighting)
    down = log_weight.formula(xp, -h_model, weighting)
    z = effective_target.formula(xp, h_true, h_model, weighting)
    curvature = xp.exp(up - xp.softplus(-h_true) - xp.softplus(z))
    variance = xp.exp(up + down - xp.softplus(z) - xp.softplus(-z))
    return curvature, variance


def target_covariance(features, h_true, h_model, weighting, *, beta=0.1):
    """Asymptotic covariance of a linear policy that can meet every pair's target.

    :func:`~.linear.sandwich` of (a, b) of :func:`pair_information`; one label a pair.
    Where beta x . theta = z* for no theta it is not the covariance of anything:
    :func:`~madpo_theory.theory.linear.population_covariance` is. Statement N4.
    """
    from .linear import sandwich

    h_true, h_model = (np.asarray(h, dtype=float) for h in (h_true, h_model))
    curvature, variance = pair_information(h_true, h_model, weighting)
    return sandwich(features, curvature, variance, beta=beta)


def efficient_covariance(features, h_true, *, beta=0.1):
    """The Loewner-smallest :func:`target_covariance`: (sum sigma(h*) sigma(-h*) x x^T)^-1/beta^2.

    A lower bound for every weighting (Gauss-Markov, as a^2/b does not depend on it). It is
    attained if b is proportional to a. That is needed only within each part of the design that
    does not split: pairs whose features span independent subspaces may have scales of their own.
    For given shift delta, w(h) = sigma(h) e^delta(h) + sigma(-h) = sigma(-h)/sigma(-T(h)) has
    b = a at an exact reward model. Statement N4; derived here.
    """
    from .linear import sandwich

    h_true = finite_array("h_true", h_true, ndim=1)
    information = sigmoid(h_true) * sigmoid(-h_true)
    return sandwich(features, information, information, beta=beta)
