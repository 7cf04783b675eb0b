"""Policies whose implicit margin is linear in the parameters: risk, fit, perturbation, errors.

A pair with features x has the implicit margin m = x . theta and z = beta m. Two policies are
of this kind:

* log-linear, pi(y | prompt) proportional to pi_ref e^(phi(prompt, y) . theta): then
  x = phi(prompt, y1) - phi(prompt, y2);
* tabular softmax over whole responses, theta the logits less those of the reference: then x is
  +1 at y1 and -1 at y2 (:func:`tabular_features`).

In both the normalizer is the same for the two responses and cancels. A softmax over tokens is
not of this kind: behind the first token that differs the two normalizers are two.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, solve_triangular
from scipy.optimize import linprog
from scipy.special import expit

from ..ops import check_number, numpy_world, shape_error
from ..ops.checks import finite_array
from ..risk import (
    damping,
    distance,
    label_masses,
    logistic_curvature,
    logistic_risk,
    logistic_slope,
)
from ..weights import weight

__all__ = [
    "LinearFit",
    "LinearRisk",
    "SeparableDataError",
    "estimated_covariance",
    "fit_linear",
    "gradient_change",
    "minimizer_change",
    "population_covariance",
    "sandwich",
    "separating_direction",
    "tabular_features",
]


class SeparableDataError(ValueError):
    """A direction explains every label at once, so the risk falls along it without end."""


@dataclass(frozen=True, eq=False)
class LinearRisk:
    """The weighted logistic risk of pairs with linear margins, a function of theta.

    ``F(theta) = mean_i [p_i l(z_i) + q_i l(-z_i)] + precision |theta|^2/2``, z = beta features @
    theta, l(z) = log(1 + e^-z). Convex; all of its methods take theta (parameters,), float64.

    Parameters
    ----------
    features : x (pairs, parameters), first response less the second; finite.
    p, q : masses (pairs,), >= 0, of the labels "the first wins" and "the second wins".
        :meth:`observed` and :meth:`expected` give them for a data set and for its expectation.
    beta : > 0, per nat.
    precision : >= 0, of a Gaussian prior on theta, divided by the number of pairs; 0 for none.

    Raises ValueError or TypeError with the argument, its value and the rule. Statement L2.
    """

    features: np.ndarray
    p: np.ndarray
    q: np.ndarray
    beta: float = 0.1
    precision: float = 0.0

    def __post_init__(self):
        features = finite_array("features", self.features, ndim=2)
        if 0 in features.shape:
            raise ValueError(f"features must hold a pair and a parameter, got {features.shape}")
        object.__setattr__(self, "features", features)
        for name in ("p", "q"):
            mass = finite_array(name, getattr(self, name), shape=features.shape[:1])
            if (mass < 0).any():
                raise ValueError(f"{name} must be >= 0, got {mass.min()}; a mass is never negative")
            object.__setattr__(self, name, mass)
        check_number("beta", self.beta, "beta > 0", lambda v: v > 0)
        check_number("precision", self.precision, "precision >= 0", lambda v: v >= 0)

    @classmethod
    def observed(cls, features, weights, *, beta=0.1):
        """Risk of labelled pairs: features (chosen less rejected), one weight >= 0 a pair."""
        features = finite_array("features", features, ndim=2)
        weights = finite_array("weights", weights, shape=features.shape[:1])
        return cls(features, weights, np.zeros(len(weights)), beta)

    @classmethod
    def expected(cls, features, h_true, h_model, weighting, *, beta=0.1):
        """Its expectation over Bradley-Terry labels: the mean :func:`~madpo_theory.pair_risk`.

        `h_true`, `h_model` (pairs,) are the true and the reward model's margins of the first
        response, nats; `weighting` is a MarginSchedule or any other weighting.
        """
        features = finite_array("features", features, ndim=2)
        h_true = finite_array("h_true", h_true, shape=features.shape[:1])
        h_model = finite_array("h_model", h_model, shape=features.shape[:1])
        return cls(features, *label_masses(numpy_world, h_true, h_model, weighting), beta)

    def scaled_margins(self, theta):
        """z = beta x . theta of each pair (pairs,), nats."""
        theta = finite_array("theta", theta, shape=self.features.shape[1:])
        return self.beta * (self.features @ theta)

    def value(self, theta):
        """F(theta), nats."""
        z = self.scaled_margins(theta)
        risk = logistic_risk(numpy_world, z, self.p, self.q).mean()
        return float(risk + self.precision * np.square(theta).sum() / 2)

    def gradient(self, theta):
        """dF/dtheta (parameters,); without a prior of length <= beta mean(max(p, q) |x|)."""
        z = self.scaled_margins(theta)
        slopes = logistic_slope(numpy_world, z, self.p, self.q)
        return self.beta / len(z) * (self.features.T @ slopes) + self.precision * np.asarray(theta)

    def hessian(self, theta):
        """d2F/dtheta2 = beta^2 mean[(p + q) sigma(z) sigma(-z) x x^T] + precision, semidefinite."""
        z = self.scaled_margins(theta)
        bends = logistic_curvature(numpy_world, z, self.p, self.q)
        hessian = self.beta**2 / len(z) * _gram(self.features, bends)
        return hessian + self.precision * np.eye(len(hessian))

    def modulus(self, bound):
        """Strong convexity of F on the slab {theta : |z_i| <= bound for every pair}.

        ``mu = beta^2 sigma(bound) sigma(-bound) lambda_min(mean[(p + q) x x^T]) + precision``;
        without a prior 0 if the features of the pairs with p + q > 0 do not span the parameters.
        The slab is convex: it holds the segment between any two of its points.
        """
        check_number("bound", bound, "bound >= 0", lambda v: v >= 0)
        bends = logistic_curvature(numpy_world, bound, self.p, self.q)
        least = np.linalg.eigvalsh(_gram(self.features, bends) / len(self.features))[0]
        return float(self.beta**2 * max(0.0, least) + self.precision)


@dataclass(frozen=True, eq=False)
class LinearFit:
    """A minimizer and its certificate.

    theta (parameters,); `error`: no z of a pair with mass is further than this, in nats, from
    its value at the exact minimizer (:func:`fit_linear`); `steps`: Newton steps taken.
    """

    theta: np.ndarray
    error: float
    steps: int


def fit_linear(risk, *, start=None, tolerance=1e-9, steps=200):
    """The minimizer of a :class:`LinearRisk`, by Newton steps of a proved length.

    Along the Newton direction d, with D = max |beta x . d|, the share
    :func:`~madpo_theory.risk.damping` of it always lowers the risk. No line search is needed, and
    where a unique minimizer exists, as it does under a prior, the steps reach it from any start.

    The certified error is ``-log(1 - K lambda)`` if K lambda < 1, else inf, with
    lambda^2 = g . H^-1 g the Newton decrement at theta and K = max_i beta sqrt(x_i . H^-1 x_i);
    exact but for the float64 rounding of g and H. A finite one proves that a minimizer exists and
    is unique. Proof: with d now the way to the minimizer, curvature is at least H e^(-tD) along it,
    so 0 >= d . g + |d|_H^2 (1 - e^-D)/D. Hence |d|_H (1 - e^-D)/D <= lambda, and D <= K |d|_H gives
    1 - e^(-K |d|_H) <= K lambda. A sphere where this fails has the minimizer inside.

    Parameters
    ----------
    start : theta to start from, default 0.
    tolerance : largest certified error of any pair's z, nats, to stop at.
    steps : most Newton steps before giving up.

    Returns a :class:`LinearFit`. Raises SeparableDataError if no minimizer exists, ValueError if
    it is not unique, RuntimeError if `steps` do not reach `tolerance`. Derived here.
    """
    check_number("tolerance", tolerance, "tolerance > 0", lambda v: v > 0)
    theta = np.zeros(risk.features.shape[1])
    if start is not None:
        theta = finite_array("start", start, shape=theta.shape)
    held = risk.features[risk.p + risk.q > 0]
    rank = len(theta) if risk.precision else np.linalg.matrix_rank(held)
    if rank < len(theta):
        raise ValueError(
            f"features have rank {rank} over the pairs of positive mass, fewer than the "
            f"{len(theta)} parameters: the minimizer is not unique; drop {len(theta) - rank} "
            "columns"
        )
    error = math.inf
    for step in range(steps):
        error, direction, reach = _newton(risk, theta)
        if error <= tolerance:
            return LinearFit(theta, error, step)
        if not math.isfinite(reach):
            break
        theta = theta + damping(numpy_world, reach) * direction
    direction = separating_direction(risk)
    if direction is not None and not risk.precision:
        raise SeparableDataError(
            f"features: the direction {_shown(direction)} explains every label at once, so no "
            "minimizer exists, whatever the weights; add labels that contradict it or drop the "
            "parameters it moves"
        )
    raise RuntimeError(
        f"steps = {steps} Newton steps reach an error of {error:.3g} nats, not tolerance = "
        f"{tolerance}; raise one of them, or rescale features to one size"
    )


def _newton(risk, theta):
    """(certified error, Newton direction, its largest move of a z) at theta; inf if singular."""
    gradient, hessian = risk.gradient(theta), risk.hessian(theta)
    try:
        factor = cho_factor(hessian, lower=True)
    except LinAlgError:
        return math.inf, np.zeros_like(gradient), math.inf
    direction = -cho_solve(factor, gradient)
    held = risk.features[risk.p + risk.q > 0]
    reach = float(np.abs(risk.beta * (held @ direction)).max(initial=0.0))
    rows = solve_triangular(factor[0], held.T, lower=True, check_finite=False)
    widest = risk.beta * float(np.sqrt((rows**2).sum(axis=0).max(initial=0.0)))
    decrement = math.sqrt(max(0.0, -float(gradient @ direction)))
    return float(distance(numpy_world, widest * decrement, 1.0, 1.0)), direction, reach


def separating_direction(risk):
    """A direction that explains every label at once, or None if there is none.

    A theta with v . theta >= 0 for every label's v (x where p > 0, -x where q > 0) and > 0 for
    one of them. A minimizer of the risk exists iff there is none (Albert and Anderson 1984; for
    tabular features Ford 1957), which depends on the features and on which masses are positive,
    not on how large they are: no positive weight makes or mends separable data. Decided by a
    linear program in float64, to 1e-6 of the features' scale.
    """
    rows = np.concatenate([risk.features[risk.p > 0], -risk.features[risk.q > 0]])
    rows = rows[np.abs(rows).max(axis=1) > 0]
    if not len(rows):
        return None
    rows = rows / np.abs(rows).max(axis=1, keepdims=True)
    # Maximize the sum of v . theta over theta in the unit box where no v . theta is negative.
    found = linprog(
        -rows.sum(axis=0), A_ub=-rows, b_ub=np.zeros(len(rows)), bounds=(-1, 1), method="highs"
    )
    if not found.success:
        raise RuntimeError(f"the linear program of separability failed: {found.message}")
    return found.x if (rows @ found.x).max() > 1e-6 else None


def gradient_change(risk, other):
    """Bound on |grad F - grad G| at every theta, for two risks of the same features and beta.

    ``beta mean(max(|dp|, |dq|) |x|)``. For weights that differ by dw on observed labels it is
    beta mean(|dw| |x|) <= beta X L_w mean|h - h'|, X = max |x|, L_w = sup |w'|; so it is with
    expected labels, where |dp| + |dq| <= L_w |h - h'|. Statement R4; derived here.
    """
    same = risk.beta == other.beta and risk.precision == other.precision
    if not (np.array_equal(risk.features, other.features) and same):
        raise ValueError(
            "other must have the features and beta of risk, and its precision; build both alike"
        )
    moved = np.maximum(np.abs(risk.p - other.p), np.abs(risk.q - other.q))
    return float(risk.beta * (moved * np.linalg.norm(risk.features, axis=1)).mean())


def minimizer_change(risk, theta, change):
    """Bound on |theta' - theta| if theta minimizes `risk` and theta' a risk nearby.

    Nearby: every gradient differs by at most `change` (>= 0; :func:`gradient_change`).
    :func:`~madpo_theory.risk.distance`, ``-log(1 - beta X change/mu)/(beta X)``, X = max |x|,
    mu = lambda_min(Hessian at theta), and inf where beta X change >= mu: with mu taken at the
    minimizer alone, change/mu is not a bound. It is one with mu = ``risk.modulus(B)``, B the
    largest |z| at either minimizer. Statement R4; derived here.
    """
    check_number("change", change, "change >= 0", lambda v: v >= 0)
    mu = max(0.0, float(np.linalg.eigvalsh(risk.hessian(theta))[0]))
    scale = risk.beta * float(np.linalg.norm(risk.features, axis=1).max())
    if change == 0:
        return 0.0
    return float(distance(numpy_world, change, mu, scale))


def sandwich(features, curvature, score_variance, *, beta=0.1):
    """Covariance H^-1 G H^-1 / n of the minimizer over the label draw.

    ``H = beta^2 mean(a x x^T)``, ``G = beta^2 mean(b x x^T)``, so that it is
    ``(sum a x x^T)^-1 (sum b x x^T) (sum a x x^T)^-1 / beta^2``.

    Parameters
    ----------
    features : x (pairs, parameters), one label a pair; divide by k for k labels a pair.
    curvature : a (pairs,), expected d2/dz2 of the pair's loss at the population minimizer, >= 0.
    score_variance : b (pairs,), variance of its d/dz over the label, >= 0.

    Raises ValueError if the features of pairs with a > 0 do not span the parameters. R6.
    """
    features = finite_array("features", features, ndim=2)
    a = finite_array("curvature", curvature, shape=features.shape[:1])
    b = finite_array("score_variance", score_variance, shape=features.shape[:1])
    check_number("beta", beta, "beta > 0", lambda v: v > 0)
    for name, values in (("curvature", a), ("score_variance", b)):
        if (values < 0).any():
            raise ValueError(f"{name} must be >= 0, got {values.min()}; it is an expected square")
    try:
        factor = cho_factor(_gram(features, a), lower=True)
    except LinAlgError:
        raise ValueError(
            f"features of the pairs with curvature > 0 do not span the {features.shape[1]} "
            "parameters; drop columns until they do"
        ) from None
    half = cho_solve(factor, features.T) * np.sqrt(b)
    return half @ half.T / beta**2


def estimated_covariance(risk, theta):
    """Plug-in sandwich covariance of theta fitted to labelled pairs, one label each.

    The masses of `risk` must be those of :meth:`LinearRisk.observed` (q = 0). The squared score
    stands for its variance: consistent for pairs drawn at random with their labels; for a fixed
    design it overstates the variance by the squared mean scores, which vanish only where every
    pair sits at its own target. Statement R6.
    """
    if risk.q.any():
        raise ValueError(
            "q must be 0 for every pair: labels are observed; use LinearRisk.observed, or "
            "population_covariance for expected labels"
        )
    z = risk.scaled_margins(theta)
    score = risk.p * expit(-z)
    bends = logistic_curvature(numpy_world, z, risk.p, risk.q)
    return sandwich(risk.features, bends, score**2, beta=risk.beta)


def population_covariance(features, h_true, h_model, weighting, theta, *, beta=0.1, design="fixed"):
    """Exact asymptotic covariance of the fit to one Bradley-Terry label for each pair.

    Parameters
    ----------
    features, h_true, h_model, weighting, beta : as in :meth:`LinearRisk.expected`.
    theta : minimizer of that expected risk (:func:`fit_linear`).
    design : ``"fixed"``, the pairs stay and the labels are drawn anew, b = sigma(h*) sigma(-h*)
        (w(h) sigma(-z) + w(-h) sigma(z))^2; or ``"random"``, pairs are drawn with replacement
        as well, b = sigma(h*) (w(h) sigma(-z))^2 + sigma(-h*) (w(-h) sigma(z))^2, larger by the
        squared mean score of each pair. They agree where every z is its pair's own target.

    Returns the covariance (parameters, parameters) of theta-hat. Statement R6; derived here.
    """
    if design not in ("fixed", "random"):
        raise ValueError(f"design must be 'fixed' or 'random', got {design!r}")
    risk = LinearRisk.expected(features, h_true, h_model, weighting, beta=beta)
    z, win = risk.scaled_margins(theta), expit(np.asarray(h_true, dtype=float))
    h_model = np.asarray(h_model, dtype=float)
    won = weight(h_model, weighting) * expit(-z)
    lost = weight(-h_model, weighting) * expit(z)
    b = win * (1 - win) * (won + lost) ** 2
    if design == "random":
        b = win * won**2 + (1 - win) * lost**2
    bends = logistic_curvature(numpy_world, z, risk.p, risk.q)
    return sandwich(risk.features, bends, b, beta=beta)


def tabular_features(first, second, responses):
    """Features of a table of logits over `responses` responses to one prompt.

    Row i is +1 at first[i] and -1 at second[i]; the last response's column is dropped, since a
    constant added to all logits changes no policy. Returns (pairs, responses - 1). ValueError if
    an index is not in 0 ... responses - 1 or a pair compares a response with itself.
    """
    first, second = np.asarray(first), np.asarray(second)
    for name, index in (("first", first), ("second", second)):
        if index.dtype.kind not in "iu" or index.ndim != 1:
            raise TypeError(f"{name} must be 1-D integers, got {index.dtype} of {index.shape}")
        if len(index) and not (0 <= index.min() and index.max() < responses):
            raise ValueError(f"{name} must lie in 0 ... {responses - 1}, got {index.tolist()[:8]}")
    if first.shape != second.shape:
        raise shape_error({"first": first.shape, "second": second.shape})
    if (first == second).any():
        raise ValueError(
            f"first = second = {first[first == second][0]} compares a response with itself; "
            "drop that pair"
        )
    rows = np.arange(len(first))
    features = np.zeros((len(first), responses))
    features[rows, first], features[rows, second] = 1.0, -1.0
    return features[:, :-1]


def _gram(features, masses):
    """sum_i masses_i x_i x_i^T, symmetric to the last bit."""
    rows = features * np.sqrt(masses)[:, None]
    return rows.T @ rows


def _shown(direction):
    return np.array2string(direction[:6], precision=3, separator=", ") + (
        " ..." if len(direction) > 6 else ""
    )
