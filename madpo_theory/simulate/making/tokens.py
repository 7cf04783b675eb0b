"""BMC: token weights and bridged pairs on exact short sequences (arXiv 2408.07471).

The margins are those of :class:`~madpo_theory.methods.bmc.Bmc`, of every pair of sequences at once.
As 1/p >= 1 always, a weight ``1 + min(1/p, delta)`` lies in [2, 1 + delta] for delta >= 1, and is
1 + delta wherever p <= 1/delta. Here two responses differ at a place where their tokens do; the
released code aligns them by edits and skips stop words.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from ...methods.bmc import Bmc, bmc_weights
from ...ops import check_number, numpy_world
from ...ops.checks import check_kind, finite_array
from ...theory.realizability import check_wins
from .laws import check_log_law, logit_gradient, sequences, token_logs

__all__ = ["PrecomputedBmc", "bmc_gradient", "bmc_margins", "bridged_wins"]


@dataclass(frozen=True)
class PrecomputedBmc(Bmc):
    """BMC whose reference's log-probabilities were computed beforehand, without any weights."""

    def reference_weights(self, xp, weights, reference, changed):
        return 1 + 0 * weights


def _rows(log_law, method):
    """Tokens' log-probabilities (S, 1, L), and which differ between two sequences (S, S, L)."""
    check_kind("method", method, Bmc)
    tokens = sequences(log_law)
    changed = (tokens[:, None, :] != tokens[None, :, :]).astype(float)
    return token_logs(log_law).T[:, None, :], changed


def bmc_margins(log_policy, log_reference, method):
    """(V^L, V^L) weighted implicit margins m of i over j, nats; antisymmetric.

    `log_policy` and `log_reference` are laws (V,)*L, `method` is a Bmc: as in the paper, as
    released, or :class:`PrecomputedBmc`.
    """
    log_policy = check_log_law("log_policy", log_policy)
    log_reference = check_log_law("log_reference", log_reference, like=log_policy)
    policy, changed = _rows(log_policy, method)
    reference = token_logs(log_reference).T[:, None, :]
    ratios = method.weighted_ratio(numpy_world, policy, reference, changed)
    return ratios - ratios.T


def bmc_gradient(log_policy, log_reference, wins, method):
    """Gradient of BMC's expected loss by the policy's logits, per nat, its weights held.

    ``-beta sum_ij wins[i, j] sigma(-beta m_ij) sum_t (lambda_t grad log pi(i_t) - ...(j_t))``.
    `wins` (V^L, V^L) are masses of "i is chosen over j"; the rest as in :func:`bmc_margins`.
    """
    margins = bmc_margins(log_policy, log_reference, method)
    wins = finite_array("wins", check_wins("wins", wins), shape=margins.shape)
    pull = -method.beta * wins * expit(-method.beta * margins)
    weights = bmc_weights.formula(numpy_world, *_rows(log_policy, method), delta=method.delta)
    return logit_gradient(log_policy, np.einsum("ijt,ij->ti", weights, pull - pull.T))


def bridged_wins(wins, log_law, share):
    """Wins (V^L, V^L) whose chosen response is the rejected one edited toward the chosen.

    Each token that differs is taken over with probability `share` in [0, 1], independently: a model
    of the paper's editor, which is a language model. A rejected response that stays as it is makes
    no pair. `share` 1 leaves the wins as they are. `log_law` gives the shape (V,)*L alone.
    """
    tokens = sequences(log_law)
    wins = finite_array("wins", check_wins("wins", wins), shape=(len(tokens),) * 2)
    check_number("share", share, "0 <= share <= 1", lambda v: (v >= 0) & (v <= 1))
    edited, chosen, rejected = tokens[:, None, None], tokens[None, :, None], tokens[None, None, :]
    chance = share * (edited == chosen) + (1 - share) * (edited == rejected)
    made = np.einsum("ewl,wl->el", chance.prod(axis=-1), wins)
    np.fill_diagonal(made, 0.0)
    return made
