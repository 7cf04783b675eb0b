"""One prompt with K responses: the exact optimum of a table of K scores, with its certificate.

A table policy is pi ~ pi_ref e^(s/beta), so z = beta m of a pair is s_i - s_j. Comparisons are one
matrix, wins[i, j] = how often, or with what mass, response i beat response j: expected or drawn,
weighted or not.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import helmert, norm  # scipy's norm does not underflow
from scipy.special import expit

from ...ops import check_number, numpy_world
from ...ops.checks import finite_array
from ...risk import SPREAD, damping, distance, logistic_curvature, logistic_slope
from ...theory.realizability import check_margins, check_wins, ford_condition
from ...weights import weight

__all__ = [
    "TableFit",
    "expected_wins",
    "fit_table",
    "maximum_posterior",
    "minimize_table",
    "sampled_wins",
    "table_certificate",
    "weigh_wins",
]

EPS = np.finfo(float).eps


@dataclass(frozen=True)
class TableFit:
    """The minimizer of a table's loss, and the proof that it is one.

    Attributes
    ----------
    scores : (K,) nats of z, mean 0.
    slope : length of the loss's gradient there, rounding included; the largest mass is 1.
    curvature : smallest curvature on the scores of mean 0, a lower bound.
    radius : the true minimizer lies within this Euclidean distance of `scores`, nats.
    steps : Newton steps taken.
    """

    scores: np.ndarray
    slope: float
    curvature: float
    radius: float
    steps: int

    @property
    def gaps(self):
        """(K, K) fitted margins z, row over column, nats."""
        return self.scores[:, None] - self.scores[None, :]


def minimize_table(wins, *, tolerance=1e-6, steps=1000):
    """Scores that minimize ``sum_ij wins[i, j] l(s_i - s_j)``, l(z) = log(1 + e^-z).

    Newton's method (:func:`~madpo_theory.risk.damping`); :func:`table_certificate` vouches for the
    end.

    Parameters
    ----------
    wins : (K, K) nonnegative, zero diagonal; the unit of mass does not matter.
    tolerance : largest radius to accept, nats.

    Returns a :class:`TableFit`. Raises ValueError, with the responses at fault, if no unique
    minimizer exists (:func:`~.realizability.ford_condition`), and RuntimeError if
    float64 cannot locate it within the tolerance. Derived here, L1 and L3.
    """
    wins = check_wins("wins", wins)
    check_number("tolerance", tolerance, "tolerance > 0", lambda v: v > 0)
    check_number("steps", steps, "steps >= 1", lambda v: v >= 1)
    ford = ford_condition(wins)
    if not ford.holds:
        raise ValueError(f"wins: no unique minimizer exists: {ford.reason}")
    wins = wins / wins.max()
    scores, slope, taken = (found[0] for found in maximum_posterior(wins[None], steps=steps))
    if taken < 0:
        raise RuntimeError(
            f"the table has not converged in {steps} steps: slope {slope:.1e}, scores from "
            f"{scores.min():.3g} to {scores.max():.3g}; allow more steps, or drop comparisons "
            "whose weight is negligible"
        )
    slope, curvature, radius = table_certificate(wins, scores)
    if not radius <= tolerance:
        raise RuntimeError(
            f"float64 locates the minimizer to {radius:.1e} nats only (curvature {curvature:.1e}), "
            f"not to the tolerance {tolerance:g}; drop comparisons whose weight is negligible, or "
            "raise the tolerance"
        )
    return TableFit(scores - scores.mean(), slope, curvature, radius, taken)


def maximum_posterior(wins, precision=0.0, *, steps=500):
    """Scores of B tables that minimize ``sum_ij wins[i, j] l(s_i - s_j) + precision |s|^2/2``.

    Newton's method on scores of mean 0, each table on its own, until its slope is down to the
    rounding or a step to 1e-8 (1 + |s|), which leaves an error of about its square. The curvature
    of a Gaussian prior is constant, so that the steps' proved length stays what it is.

    Parameters
    ----------
    wins : (B, K, K) masses >= 0 that have a minimizer: Ford's condition, or a precision > 0.
    precision : (B,) of the prior N(0, 1/precision) of every score; 0 for none.
    steps : most Newton steps.

    Returns scores (B, K), the last slope's length (B,), and the steps taken (B,), -1 where they did
    not suffice.
    """
    count, size = wins.shape[:2]
    gauge = helmert(size)  # orthonormal rows, each of sum 0
    precision = np.broadcast_to(precision, count)
    scores, left, taken = np.zeros((count, size)), np.full(count, np.inf), np.full(count, -1)
    active = np.arange(count)
    for step in range(steps):
        slope, rounding, hessian = _derivatives(wins[active], scores[active], precision[active])
        left[active] = norm(slope, axis=-1)
        moving = (np.abs(slope) > rounding).any(axis=-1)
        taken[active[~moving]] = step
        active, slope, hessian = active[moving], slope[moving], hessian[moving]
        if not len(active):
            break
        try:
            # Stacked, a product for each table: its rounding does not depend on the others.
            change = np.linalg.solve(gauge @ hessian @ gauge.T, gauge @ -slope[..., None])
        except np.linalg.LinAlgError:  # a curvature underflows: no step can be trusted
            break
        change = (gauge.T @ change)[..., 0]
        reach = np.ptp(change, axis=-1, keepdims=True)
        scores[active] += damping(numpy_world, reach) * change
        settled = np.abs(change).max(axis=-1) <= 1e-8 * (1 + np.abs(scores[active]).max(axis=-1))
        taken[active[settled]] = step + 1
        active = active[~settled]
    return scores, left, taken


def _derivatives(wins, scores, precision=0.0):
    """Gradient of the loss, a bound on its rounding, and the Hessian, at scores (..., K)."""
    gaps = scores[..., :, None] - scores[..., None, :]
    lost, prior = np.swapaxes(wins, -1, -2), np.asarray(precision)[..., None]
    slope = logistic_slope(numpy_world, gaps, wins, lost).sum(axis=-1) + prior * scores
    # Of every term a few ulp, and those of both scores, on the scale of all; then K terms to add.
    size, spread = wins.shape[-1], np.ptp(scores, axis=-1, keepdims=True)
    terms = logistic_slope(numpy_world, gaps, -wins, lost).sum(axis=-1) + prior * spread
    rounding = EPS * (size + 4 + 2 * spread) * terms
    link = logistic_curvature(numpy_world, gaps, wins, lost)
    return slope, rounding, (link.sum(axis=-1) + prior)[..., None] * np.eye(size) - link


def table_certificate(wins, scores):
    """How far the minimizer of a table's loss can be from the given scores, by one look at them.

    :func:`~madpo_theory.risk.distance`, ``-log(1 - sqrt(2) |g|/k)/sqrt(2)``, of the gradient g and
    the smallest curvature k on scores of mean 0, of which no gap moves faster than sqrt(2).

    Parameters
    ----------
    wins : (K, K) nonnegative, zero diagonal.
    scores : (K,) nats.

    Returns (slope, curvature, radius): |g| with its rounding added, k with its rounding taken
    off, for the largest mass scaled to 1; and the Euclidean distance, inf if unproved.
    """
    wins, scores = check_wins("wins", wins), finite_array("scores", scores, ndim=1)
    if len(scores) != len(wins):
        raise ValueError(f"scores must have {len(wins)} entries like wins, got {len(scores)}")
    slope, rounding, hessian = _derivatives(wins / (wins.max() or 1.0), scores)
    gauge = helmert(len(wins))
    slope = norm(slope) + norm(rounding)
    curvature = np.linalg.eigvalsh(gauge @ hessian @ gauge.T)[0]
    curvature -= len(wins) * EPS * np.trace(hessian)
    return float(slope), float(curvature), float(distance(numpy_world, slope, curvature, SPREAD))


def _margins(name, value):
    """(K, K) margins from rewards (K,) or from margins (K, K), which must be antisymmetric."""
    array = np.asarray(value)
    if array.ndim == 2:
        return check_margins(name, value)
    rewards = finite_array(name, value, ndim=1)
    return check_margins(name, rewards[:, None] - rewards[None, :])


def _sampling(name, sampling, size):
    """Symmetric pair weights of the given size; all pairs alike if None."""
    if sampling is None:
        return 1.0 - np.eye(size)
    sampling = check_wins(name, sampling)
    if len(sampling) != size:
        raise ValueError(f"{name} must be ({size}, {size}) like the rewards, got {sampling.shape}")
    if (sampling != sampling.T).any():
        raise ValueError(f"{name} must be symmetric: how often a pair is compared has no order")
    return sampling


def _positive_where(mass, needed, name):
    """Refuse masses that underflow to 0: they would change which pairs are compared at all."""
    lost = np.argwhere((mass == 0) & (needed > 0))
    if len(lost):
        i, j = map(int, lost[0])
        raise ValueError(
            f"{name}: the mass of response {i} beating {j} underflows float64; leave the pair out, "
            "or take smaller margins"
        )
    return mass


def expected_wins(rewards, sampling=None):
    """(K, K) expected share of wins, ``sampling[i, j] sigma(r_i - r_j)``.

    Parameters
    ----------
    rewards : true rewards (K,), nats.
    sampling : symmetric (K, K) pair weights, nonnegative; default all pairs alike.
    """
    margins = _margins("rewards", finite_array("rewards", rewards, ndim=1))
    sampling = _sampling("sampling", sampling, len(margins))
    return _positive_where(sampling * expit(margins), sampling, "rewards")


def sampled_wins(rewards, labels, seed):
    """(K, K) win counts of Bradley-Terry labels, `labels` to a pair.

    Parameters
    ----------
    rewards : true rewards (K,), nats.
    labels : number of labels of every pair, or symmetric (K, K) numbers of labels.
    seed : numpy SeedSequence or integer.
    """
    margins = _margins("rewards", finite_array("rewards", rewards, ndim=1))
    full = np.asarray(labels) if np.ndim(labels) else labels * (1 - np.eye(len(margins), dtype=int))
    if full.dtype.kind not in "iu":
        raise TypeError(f"labels must be integers, got {full.dtype}")
    _sampling("labels", full, len(margins))
    upper = np.triu(full)
    won = np.random.default_rng(seed).binomial(upper, expit(margins))
    return (won + (upper - won).T).astype(float)


def weigh_wins(wins, model, weighting):
    """Wins times MADPO's weight of the reward model's margin toward the winner.

    Parameters
    ----------
    wins : (K, K) counts or masses.
    model : the reward model's rewards (K,), or its margins (K, K), antisymmetric; nats.
    weighting : what :func:`~madpo_theory.weights` takes.
    """
    wins, margins = check_wins("wins", wins), _margins("model", model)
    if margins.shape != wins.shape:
        raise ValueError(f"model must have {len(wins)} responses like wins, got {len(margins)}")
    return _positive_where(wins * weight(margins, weighting), wins, "model")


def fit_table(rewards, weighting=None, *, model=None, sampling=None, tolerance=1e-6):
    """Population optimum of a table: what DPO or MADPO fits to infinitely many labels.

    Parameters
    ----------
    rewards : true rewards (K,), nats.
    weighting : MADPO's weighting, or None for DPO.
    model : rewards (K,) or antisymmetric margins (K, K) of the reward model, nats; default exact.
    sampling : symmetric (K, K) pair weights; default all pairs alike.

    Returns a :class:`TableFit`, whose gaps are z; errors as in :func:`minimize_table`. L4.
    """
    wins = expected_wins(rewards, sampling)
    if weighting is not None:
        wins = weigh_wins(wins, rewards if model is None else model, weighting)
    elif model is not None:
        raise ValueError("model is given but weighting is None; DPO asks no reward model, drop one")
    return minimize_table(wins, tolerance=tolerance)
