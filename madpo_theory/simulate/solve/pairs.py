"""Independent pairs: draw labels, train the real loss on them, see where the margin settles."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit

from .general import minimize_general

__all__ = ["PairFit", "fit_pairs"]


@dataclass(frozen=True)
class PairFit:
    """Fitted implicit margins m of the pairs, and the observed share of first-response wins."""

    m: np.ndarray
    win_rate: np.ndarray


def fit_pairs(loss, h_true, labels, seed, *, beta=0.1, **per_pair):
    """Train each pair's margin on Bradley-Terry labels with a loss of :mod:`madpo_theory.losses`.

    Parameters
    ----------
    loss : one of the loss functions, called with `beta` and, if given, `margin` and `weighting`.
    h_true : true margins (pairs,), nats.
    labels : number of labels drawn for each pair.
    seed : numpy SeedSequence or integer.
    per_pair : ``margin=`` reward-model margins (pairs,) toward the first response (their sign
        is flipped where the second one wins) and ``weighting=``.

    The policy is a table of two responses a pair, reference 0, all labels in one batch
    (:func:`~madpo_theory.simulate.solve.general.minimize_general`). Returns a :class:`PairFit`.
    Raises RuntimeError if a pair has no fit, as when its labels are all alike and a logistic loss
    has no minimum.
    """
    h_true = np.asarray(h_true, dtype=float)
    wins = np.random.default_rng(seed).binomial(labels, expit(h_true))
    share = torch.as_tensor(wins / labels)
    labels = torch.zeros((len(h_true), 2, 2), dtype=torch.float64)
    labels[:, 0, 1], labels[:, 1, 0] = share, 1 - share
    margins, margin = None, per_pair.pop("margin", None)
    if margin is not None:
        margins = torch.zeros_like(labels)
        margins[:, 0, 1] = torch.as_tensor(margin)
        margins[:, 1, 0] = -margins[:, 0, 1]

    def labelled(chosen, rejected, h):
        zero, asked = torch.zeros_like(chosen), {} if h is None else {"margin": h}
        return loss(chosen, rejected, zero, zero, beta=beta, **asked, **per_pair)[0]

    fits = minimize_general(labelled, labels, margins, tolerance=1e-13).require()
    return PairFit((fits.scores[:, 0] - fits.scores[:, 1]).numpy(), share.numpy())
