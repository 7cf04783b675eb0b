"""The KL-regularized value of a policy, and what an error of its scores costs.

Policies are rows of log-probabilities (..., responses), one row a prompt; rewards have the same
shape, in nats. Every function returns one number a row; the caller takes the mean over prompts.
"""

import numpy as np
from scipy.special import logsumexp

from ..ops import check_number, elementwise, shape_error
from ..ops.checks import finite_array

__all__ = [
    "kl_divergence",
    "optimal_policy",
    "policy_value",
    "regret",
    "regret_bound",
    "score_error",
]


def policy_value(log_policy, rewards, log_reference, *, beta=0.1):
    """J(pi) = E_pi[r] - beta KL(pi || pi_ref), nats (...,).

    Parameters
    ----------
    log_policy, log_reference : log-probabilities (..., responses); finite, each row sums to 1.
    rewards : r (..., responses), nats; finite.
    beta : > 0, price of a nat of divergence.

    Raises ValueError or TypeError with the argument, its value and the rule.
    """
    policy, reference, rewards = _rows(
        log_policy=log_policy, log_reference=log_reference, rewards=rewards
    )
    _check_beta(beta)
    return (np.exp(policy) * rewards).sum(axis=-1) - beta * _divergence(policy, reference)


def optimal_policy(rewards, log_reference, *, beta=0.1):
    """log pi*, the maximizer of :func:`policy_value`: pi* proportional to pi_ref e^(r/beta).

    Shapes, units and errors as there. Source: arXiv 2305.18290.
    """
    reference, rewards = _rows(log_reference=log_reference, rewards=rewards)
    _check_beta(beta)
    return _optimum(rewards, reference, beta)


def kl_divergence(log_policy, log_other):
    """KL(pi || other), nats (...,), >= 0; shapes and errors as in :func:`policy_value`."""
    return _divergence(*_rows(log_policy=log_policy, log_other=log_other))


def regret(log_policy, rewards, log_reference, *, beta=0.1):
    """J(pi*) - J(pi), nats (...,): equal to beta KL(pi || pi*), and computed as such.

    The difference of the two values, each of the size of the rewards, would lose the digits of a
    small regret. Shapes, units and errors as in :func:`policy_value`. Statement R5.
    """
    policy, reference, rewards = _rows(
        log_policy=log_policy, log_reference=log_reference, rewards=rewards
    )
    _check_beta(beta)
    return beta * _divergence(policy, _optimum(rewards, reference, beta))


def score_error(log_policy, rewards, log_reference, *, beta=0.1):
    """Range over responses of beta log(pi/pi_ref) - r: how wrong a policy's own scores are.

    Nats (...,); 0 for pi*. With two responses it is |dz|, the error of z = beta m against the
    true margin r(y1) - r(y2). Shapes and errors as in :func:`policy_value`. Statement R5.
    """
    policy, reference, rewards = _rows(
        log_policy=log_policy, log_reference=log_reference, rewards=rewards
    )
    _check_beta(beta)
    return np.ptp(beta * (policy - reference) - rewards, axis=-1)


@elementwise("error")
def regret_bound(xp, error, *, beta=0.1):
    """Bound on :func:`regret` from :func:`score_error` e = |error|: min(e^2/(8 beta), e), nats.

    The square is Hoeffding's lemma for the range e/beta of log(pi/pi*), and 1/8 is the best
    constant; the line is that a KL divergence never exceeds that range. They cross at
    e = 8 beta. Source: Hoeffding (1963) for the lemma; statement R5, derived here.
    """
    _check_beta(beta)
    size = xp.where_greater(error, 0, error, -error)
    return xp.minimum(size**2 / (8 * beta), size)


def _optimum(rewards, reference, beta):
    tilted = rewards / beta + reference
    return tilted - logsumexp(tilted, axis=-1, keepdims=True)


def _divergence(p, q):
    """sum p (t - 1 + e^-t) with t = log p - log q: terms >= 0, so no cancellation between them."""
    t = p - q
    near = np.clip(t, -1, 1)
    close = np.exp(p) * (near + np.expm1(-near))
    return np.where(t == near, close, np.exp(p) * (t - 1) + np.exp(q)).sum(axis=-1)


def _check_beta(beta):
    check_number("beta", beta, "beta > 0", lambda v: v > 0)


def _rows(**values):
    """Finite arrays of one shape; those called log_... are log-probabilities, renormalized."""
    arrays = {name: finite_array(name, value) for name, value in values.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        raise shape_error(shapes)
    for name, array in arrays.items():
        if array.ndim == 0 or array.shape[-1] < 1:
            raise ValueError(f"{name} must have a last axis of responses, got shape {array.shape}")
        if name.startswith("log_"):
            total = logsumexp(array, axis=-1, keepdims=True)
            # Rounding of float32 log-probabilities stays below 1e-4 up to 1,000 nats.
            if not (np.abs(total) <= 1e-4).all():
                worst = float(total.flat[np.abs(total).argmax()])
                raise ValueError(
                    f"{name} must hold log-probabilities: each row sums to 1, got a log-sum of "
                    f"{worst:.6g}; subtract scipy.special.logsumexp of the row"
                )
            arrays[name] = array - total
    return tuple(arrays.values())
