"""One prompt with K responses: the exact optimum of a table of K scores, with its certificate.

A table policy is pi ~ pi_ref e^(s/beta), so z = beta m of a pair is s_i - s_j. Comparisons are one
matrix, wins[i, j] = how often, or with what mass, response i beat response j: expected or drawn,
weighted or not.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import helmert, norm  # scipy's norm does not underflow
from scipy.special import expit

from ...ops import check_number
from ...ops.checks import finite_array
from ...theory.realizability import check_margins, check_wins, ford_condition
from ...weights import weight

__all__ = [
    "TableFit",
    "expected_wins",
    "fit_table",
    "minimize_table",
    "sampled_wins",
    "table_certificate",
    "weigh_wins",
]

EPS = np.finfo(float).eps
# Two entries of a vector differ by at most sqrt(2) times its length.
SPREAD = math.sqrt(2)


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

    Newton's method, each step cut to log(1 + d)/d of itself, d the largest change of a gap: as
    |l'''| <= l'' the loss falls all along that stretch, whatever the scores.
    :func:`table_certificate` vouches for the end.

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
    scores, taken = _newton(wins, steps)
    slope, curvature, radius = table_certificate(wins, scores)
    if not radius <= tolerance:
        raise RuntimeError(
            f"float64 locates the minimizer to {radius:.1e} nats only (curvature {curvature:.1e}), "
            f"not to the tolerance {tolerance:g}; drop comparisons whose weight is negligible, or "
            "raise the tolerance"
        )
    return TableFit(scores - scores.mean(), slope, curvature, radius, taken)


def _newton(wins, steps):
    """Scores whose gradient is down to its rounding, and the steps taken; or RuntimeError."""
    gauge = helmert(len(wins))  # orthonormal rows, each of sum 0
    scores = np.zeros(len(wins))
    for step in range(steps):
        slope, rounding, hessian = _derivatives(wins, scores)
        if (np.abs(slope) <= rounding).all():
            return scores, step
        try:
            change = gauge.T @ np.linalg.solve(gauge @ hessian @ gauge.T, -gauge @ slope)
        except np.linalg.LinAlgError:  # the curvature underflows: no step can be trusted
            break
        reach = np.ptp(change)
        scores = scores + change * (np.log1p(reach) / reach)
    raise RuntimeError(
        f"the table has not converged in {step + 1} steps: slope {norm(slope):.1e}, scores from "
        f"{scores.min():.3g} to {scores.max():.3g}; allow more steps, or drop comparisons whose "
        "weight is negligible"
    )


def _derivatives(wins, scores):
    """Gradient of the loss, a bound on its rounding, and the Hessian, at the scores."""
    gaps = scores[:, None] - scores[None, :]
    up, down = expit(gaps), expit(-gaps)
    pull = wins * down  # what is left of the slope of each win
    slope = (pull.T - pull).sum(axis=1)
    # Of every term a few ulp, and those of both scores; then K terms to add.
    rounding = EPS * (len(wins) + 4 + 2 * np.ptp(scores)) * (pull.T + pull).sum(axis=1)
    link = (wins + wins.T) * up * down
    return slope, rounding, np.diag(link.sum(axis=1)) - link


def table_certificate(wins, scores):
    """How far the minimizer of a table's loss can be from the given scores, by one look at them.

    With gradient g and smallest curvature k on the scores of mean 0: as |l'''| <= l'', the slope
    along any unit direction reaches 0 within ``-log(1 - sqrt(2) |g|/k)/sqrt(2)``, and if
    sqrt(2) |g| >= k nothing is proved. Derived here, from L1.

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
    ratio = SPREAD * slope / curvature if curvature > 0 else math.inf
    radius = -math.log1p(-ratio) / SPREAD if ratio < 1 else math.inf
    return float(slope), float(curvature), radius


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
