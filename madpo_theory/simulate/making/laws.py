"""Laws of single responses and of short sequences, as arrays of log-probabilities.

A policy over sequences of L tokens from V is its table (V,)*L of joint log-probabilities; a
sequence's number is its place in the flattened table. Every such law is autoregressive with free
logits: one row of V for each prefix. So expectations are sums, and gradients are of those logits.
"""

import numpy as np
from scipy.special import log_softmax

from ...ops import check_number
from ...ops.checks import check_count, check_positive, finite_array

__all__ = [
    "averaged",
    "check_log_law",
    "descended",
    "draw_sequence_law",
    "logit_gradient",
    "logits",
    "moved",
    "sequences",
    "tempered",
    "token_logs",
    "total_variation",
]


def check_log_law(name, value, *, like=None):
    """`value` as log-probabilities (V,)*L of a law, of the shape of `like`, or an error."""
    value = finite_array(name, value, shape=None if like is None else like.shape)
    if value.ndim == 0 or len(set(value.shape)) != 1 or not value.size:
        raise ValueError(
            f"{name} must have one axis of the same size for each token, got shape {value.shape}; "
            "reshape it"
        )
    # A sum of K exponentials rounds to within a few K ulp; more is a mistake.
    if not abs(np.logaddexp.reduce(value, axis=None)) <= 1e-9:
        raise ValueError(
            f"{name} must hold log-probabilities, which sum to 1, got {np.exp(value).sum():g}; "
            "normalize it"
        )
    return value


def total_variation(law, other):
    """Half of the sum of |p - q| over the last axis, in [0, 1]; probabilities, not logarithms."""
    return np.abs(np.asarray(law) - np.asarray(other)).sum(axis=-1) / 2


def sequences(log_law):
    """(V^L, L) tokens of every sequence, by its number."""
    return np.indices(log_law.shape).reshape(log_law.ndim, -1).T


def token_logs(log_law):
    """(L, V^L): log-probability of each token of a sequence given those before it, nats."""
    length, marginals = log_law.ndim, [log_law]
    for _ in range(length):  # of ever shorter beginnings
        marginals.append(np.logaddexp.reduce(marginals[-1], axis=-1))
    full = [m.reshape(m.shape + (1,) * (length - m.ndim)) for m in reversed(marginals)]
    rows = [np.broadcast_to(full[t + 1] - full[t], log_law.shape) for t in range(length)]
    return np.stack(rows).reshape(length, -1)


def _tables(rows, shape):
    """Rows (L, V^L) of the tokens as one table (V,)*(t + 1) for each place t."""
    length = len(shape)
    # A token's entry does not depend on what comes after it: one stands for all.
    return [row.reshape(shape)[(...,) + (0,) * (length - t - 1)] for t, row in enumerate(rows)]


def _law(tables):
    """The law (V,)*L whose logits are one table (V,)*(t + 1) for each place t."""
    total = 0.0
    for table in tables:
        total = np.asarray(total)[..., None] + log_softmax(table, axis=-1)
    return total


def draw_sequence_law(rng, alphabet, length, scale=1.0):
    """A law whose logits are N(0, scale^2), drawn by a numpy Generator."""
    check_count("alphabet", alphabet, 2)
    check_count("length", length, 1)
    return _law([scale * rng.standard_normal((alphabet,) * (t + 1)) for t in range(length)])


def tempered(log_law, temperature):
    """The law sampled at a temperature > 0, token by token."""
    check_positive("temperature", temperature)
    log_law = check_log_law("log_law", log_law)
    return _law(_tables(token_logs(log_law) / temperature, log_law.shape))


def averaged(log_law, log_older, alpha):
    """The law whose logits are alpha of `log_older`'s and 1 - alpha of `log_law`'s: one step of an
    exponential moving average (log-probabilities given the prefix are the logits)."""
    log_law = check_log_law("log_law", log_law)
    log_older = check_log_law("log_older", log_older, like=log_law)
    check_number("alpha", alpha, "0 <= alpha <= 1", lambda v: (v >= 0) & (v <= 1))
    rows = (1 - alpha) * token_logs(log_law) + alpha * token_logs(log_older)
    return _law(_tables(rows, log_law.shape))


def logits(log_law):
    """Log-probabilities given each prefix, in the order of :func:`logit_gradient`."""
    return np.concatenate([t.ravel() for t in _tables(token_logs(log_law), log_law.shape)])


def logit_gradient(log_law, coefficients):
    """Gradient by the logits of ``sum over y, t of coefficients[t, y] log pi(y_t | y_<t)``.

    ``C(prefix, token) - pi(token | prefix) C(prefix)``, C the sums of the coefficients over what
    continues a prefix. `coefficients` (L, V^L), or (V^L,) where all tokens have the same. Returns
    prefixes by length and in order, (V + V^2 + ... + V^L,).
    """
    length, shape, parts = log_law.ndim, log_law.shape, []
    coefficients = np.broadcast_to(coefficients, (length, log_law.size))
    for t, own in enumerate(_tables(token_logs(log_law), shape)):
        sums = coefficients[t].reshape(shape).sum(axis=tuple(range(t + 1, length)))
        parts.append((sums - np.exp(own) * sums.sum(axis=-1, keepdims=True)).ravel())
    return np.concatenate(parts)


def moved(log_law, change):
    """The law whose logits, in the order of :func:`logit_gradient`, are changed by so much."""
    tables = _tables(token_logs(log_law), log_law.shape)
    ends = np.cumsum([table.size for table in tables])
    changes = np.split(np.asarray(change), ends[:-1])
    return _law([own + more.reshape(own.shape) for own, more in zip(tables, changes, strict=True)])


def descended(log_law, gradient, *, rate, steps):
    """(law, size of the last gradient) after so many steps against `gradient(law)`."""
    for _ in range(steps):
        log_law = moved(log_law, -rate * gradient(log_law))
    return log_law, float(np.abs(gradient(log_law)).max())
