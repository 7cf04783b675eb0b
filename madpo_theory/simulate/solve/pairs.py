"""Independent pairs: draw labels, train the real loss on them, see where the margin settles."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit

__all__ = ["PairFit", "fit_pairs", "minimize_margins"]


@dataclass(frozen=True)
class PairFit:
    """Fitted implicit margins m of the pairs, and the observed share of first-response wins."""

    m: np.ndarray
    win_rate: np.ndarray


def minimize_margins(risk, start, *, longest_step, tolerance=1e-10, steps=500):
    """Minimize a separable convex risk over margins by clipped Newton steps, all pairs at once.

    Parameters
    ----------
    risk : function of a float64 tensor m (pairs,) that returns the risk of each pair (pairs,).
    start : float64 tensor (pairs,).
    longest_step : clip on a step, in units of m; 1/beta is safe for a logistic loss of beta m,
        whose curvature changes by at most e over such a step.
    tolerance : Newton step, relative to 1 + |m|, below which a pair has converged.

    Returns the minimizer (pairs,). Raises RuntimeError if a pair has not converged, as when
    its labels are all alike and a logistic loss has no minimum.
    """
    m = start.clone()
    for _ in range(steps):
        m.requires_grad_(True)
        (slope,) = torch.autograd.grad(risk(m).sum(), m, create_graph=True)
        (curvature,) = torch.autograd.grad(slope.sum(), m)
        step, m = (slope / curvature).detach(), m.detach()
        moving = ~(step.abs() <= tolerance * (1 + m.abs()))
        if not moving.any():
            return m
        m = m - step.clamp(-longest_step, longest_step)
    raise RuntimeError(f"pairs {moving.nonzero().flatten().tolist()[:8]} have not converged")


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

    The policy is a table: one free margin a pair, reference 0, all labels in one batch.
    Returns a :class:`PairFit`.
    """
    h_true = np.asarray(h_true, dtype=float)
    wins = np.random.default_rng(seed).binomial(labels, expit(h_true))
    share = torch.as_tensor(wins / labels)
    zero = torch.zeros(len(h_true), dtype=torch.float64)
    margin = per_pair.pop("margin", None)

    def labelled(chosen, rejected, sign):
        extra = {} if margin is None else {"margin": sign * torch.as_tensor(margin)}
        return loss(chosen, rejected, zero, zero, beta=beta, **extra, **per_pair)[0]

    def risk(m):
        return share * labelled(m, zero, 1) + (1 - share) * labelled(zero, m, -1)

    return PairFit(minimize_margins(risk, zero, longest_step=1 / beta).numpy(), share.numpy())
