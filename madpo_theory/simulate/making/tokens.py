"""BMC: token weights and bridged pairs on exact short sequences (arXiv 2408.07471).

DPO's margin with a weight on each token, ``lambda_t = 1 + min(sg[1/pi(y_t)], delta)`` where the two
responses differ, else 1:

    m = sum_t lambda_t log(pi/pi_ref)(chosen_t) - sum_t lambda_t log(pi/pi_ref)(rejected_t)

As 1/pi >= 1 always, a weight lies in [2, 1 + delta] for delta >= 1, and is 1 + delta wherever
pi(y_t) <= 1/delta. Here two responses differ at a place where their tokens do; the released code
aligns them by edits and skips stop words, and weights the reference's log-probabilities by the
reference's own 1/p.
"""

import numpy as np
from scipy.special import expit

from ...ops.checks import check_choice, check_nonnegative, check_positive, finite_array
from ...theory.realizability import check_wins
from .laws import check_log_law, logit_gradient, sequences, token_logs

__all__ = ["REFERENCE_WEIGHTS", "bmc_gradient", "bmc_margins", "bridged_wins", "token_weights"]

REFERENCE_WEIGHTS = {
    "policy": lambda policy, reference: policy,
    "own": lambda policy, reference: reference,
    "one": lambda policy, reference: np.ones_like(policy),
}
"""What weighs the reference's tokens: the policy's weights, as the paper writes; the reference's
own, as released; or nothing, as where its log-probabilities were computed beforehand."""


def token_weights(token_logps, differs, delta):
    """``1 + min(1/p, delta)`` where `differs`, else 1; `token_logps` nats, delta >= 0."""
    return 1 + np.where(differs, np.minimum(np.exp(-token_logps), delta), 0.0)


def _weights(log_law, delta):
    """(L, S, S): weight of token t of sequence i in a pair with sequence j."""
    tokens = sequences(log_law)
    differs = (tokens[:, None, :] != tokens[None, :, :]).transpose(2, 0, 1)
    return token_weights(token_logs(log_law)[:, :, None], differs, delta)


def _checked(log_policy, log_reference, delta, weighted):
    log_policy = check_log_law("log_policy", log_policy)
    check_nonnegative("delta", delta)
    check_choice("weighted", weighted, REFERENCE_WEIGHTS)
    return log_policy, check_log_law("log_reference", log_reference, like=log_policy)


def bmc_margins(log_policy, log_reference, *, delta=2.0, weighted="own"):
    """(V^L, V^L) weighted implicit margins m of i over j, nats; antisymmetric.

    Parameters
    ----------
    log_policy, log_reference : laws (V,)*L.
    delta : largest 1/p that counts, >= 0; 0 is DPO.
    weighted : how the reference's tokens are, a name in REFERENCE_WEIGHTS.
    """
    log_policy, log_reference = _checked(log_policy, log_reference, delta, weighted)
    policy = _weights(log_policy, delta)
    reference = REFERENCE_WEIGHTS[weighted](policy, _weights(log_reference, delta))
    sides = (policy * token_logs(log_policy)[:, :, None]).sum(axis=0)
    sides = sides - (reference * token_logs(log_reference)[:, :, None]).sum(axis=0)
    return sides - sides.T


def bmc_gradient(log_policy, log_reference, wins, *, beta=0.1, delta=2.0, weighted="own"):
    """Gradient of BMC's expected loss by the policy's logits, per nat, its weights held.

    ``-beta sum_ij wins[i, j] sigma(-beta m_ij) sum_t (lambda_t grad log pi(i_t) - ...(j_t))``.
    `wins` (V^L, V^L) are masses of "i is chosen over j"; the rest as in :func:`bmc_margins`.
    """
    log_policy, log_reference = _checked(log_policy, log_reference, delta, weighted)
    check_positive("beta", beta)
    wins = finite_array("wins", check_wins("wins", wins), shape=(log_policy.size,) * 2)
    margins = bmc_margins(log_policy, log_reference, delta=delta, weighted=weighted)
    pull = -beta * wins * expit(-beta * margins)
    return logit_gradient(log_policy, (_weights(log_policy, delta) * (pull - pull.T)).sum(axis=2))


def bridged_wins(wins, log_law, share):
    """Wins (V^L, V^L) whose chosen response is the rejected one edited toward the chosen.

    Each token that differs is taken over with probability `share` in [0, 1], independently: a model
    of the paper's editor, which is a language model. A rejected response that stays as it is makes
    no pair. `share` 1 leaves the wins as they are. `log_law` gives the shape (V,)*L alone.
    """
    tokens = sequences(log_law)
    wins = finite_array("wins", check_wins("wins", wins), shape=(len(tokens),) * 2)
    if not 0 <= share <= 1:
        raise ValueError(f"share = {share} breaks the rule 0 <= share <= 1; choose it so")
    edited, chosen, rejected = tokens[:, None, None], tokens[None, :, None], tokens[None, None, :]
    chance = share * (edited == chosen) + (1 - share) * (edited == rejected)
    made = np.einsum("ewl,wl->el", chance.prod(axis=-1), wins)
    np.fill_diagonal(made, 0.0)
    return made
