"""N4: of all weights with the same targets, the one that wastes no label."""

import math

import numpy as np
import sympy as sp
from scipy.special import expit

from ..ops import numpy_world
from ..risk import damping, logistic_curvature, logistic_slope
from ..schedule import MarginSchedule
from ..targets import effective_target
from ..theory.efficiency import efficient_covariance, target_covariance
from ..weights import BoundedRatioWeight, EfficientWeight, log_weight_ratio, weight
from .evidence import foil, must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import REGIMES, in_c, information_identity, sigma
from .settings import SEEDS, gentle_schedules, scaled


def of_base(true):
    """For a foil: the weight whose targets are wanted, in place of the efficient one."""
    return lambda base: base


@foil("so is the published weight", EfficientWeight=of_base)
@foil("delta is 5 % larger", log_weight_ratio=scaled(1.05))
@symbolic("N4: w(h) = sigma(h) e^delta + sigma(-h) = sigma(-h)/sigma(-T) has that ratio")
def n4_weight():
    for name, h, s in REGIMES[:1] + REGIMES[2:3]:
        w = EfficientWeight(s)
        delta = in_c(log_weight_ratio(h, s), s)
        up, down = in_c(weight(h, w), s), in_c(weight(-h, w), s)
        yield f"{name}: sigma(h) e^delta + sigma(-h)", up, sigma(h) * sp.exp(delta) + sigma(-h)
        yield f"{name}: sigma(-h)/sigma(-T)", up, sigma(-h) / sigma(-h - delta)
        yield f"{name}: w(h)/w(-h) = e^delta", up / down, sp.exp(delta)
        p, q = sigma(h) * up, sigma(-h) * down
        yield f"{name}: score variance = curvature, w(h) w(-h) = p + q", up * down, p + q


@foil("zero for the base, too", EfficientWeight=of_base)
@foil("the best is 5 % less", efficient_covariance=scaled(0.95))
@foil("the best is 5 % more", efficient_covariance=scaled(1.05))
@property_test(
    "covariance - best covariance is positive semidefinite; zero for N4", "N4", examples=80
)
def n4_loewner(schedule=gentle_schedules(), seed=SEEDS):
    rng = np.random.default_rng(seed)
    h = rng.normal(0, 2, 12)
    for base in (schedule, BoundedRatioWeight(schedule)):
        # realizable: the targets are a linear function of the features
        features = np.column_stack([effective_target(h, h, base), rng.normal(0, 1, (12, 2))])
        best = efficient_covariance(features, h, beta=1.0)
        scale = np.linalg.norm(best, 2)
        excess = target_covariance(features, h, h, base, beta=1.0) - best
        condition = np.linalg.cond(best)
        must(np.linalg.eigvalsh(excess).min() >= -1e-13 * condition * scale)
        mine = target_covariance(features, h, h, EfficientWeight(base), beta=1.0)
        must(np.abs(mine - best).max() <= 1e-12 * condition * scale)


@foil("the variances are 5 % less", target_covariance=scaled(0.95))
@foil("the base has as little", EfficientWeight=of_base)
@simulated("variance of a shared parameter over 40,000 trained data sets", "N4's formula; N4 least")
def n4_monte_carlo():
    s, repeats, labels = MarginSchedule.class_defaults(), 40_000, 200
    h = np.linspace(-4, 4, 16)
    rng, scores, spread = np.random.default_rng(np.random.SeedSequence(75)), [], {}
    share = rng.binomial(labels, expit(h), (repeats, len(h))) / labels
    x = effective_target(h, h, s)
    for name, w in (("published", s), ("efficient", EfficientWeight(s))):
        p, q = share * weight(h, w), (1 - share) * weight(-h, w)
        theta = np.ones((repeats, 1))  # where the targets are met; one convex problem a data set
        for _ in range(12):
            slope = (x * logistic_slope(numpy_world, theta * x, p, q)).sum(1, keepdims=True)
            bend = (x**2 * logistic_curvature(numpy_world, theta * x, p, q)).sum(1, keepdims=True)
            step = -slope / bend
            theta = theta + damping(numpy_world, np.abs(step) * np.abs(x).max()) * step
        if not np.abs(slope).max() < 1e-10:
            raise RuntimeError(f"Newton has not converged: slope {np.abs(slope).max()}")
        theory = target_covariance(x[:, None], h, h, w, beta=1.0)[0, 0] / labels
        spread[name] = float(theta.var(ddof=1))
        # variance of a variance of near-normal draws; the estimator's own bias is O(1/labels)
        scores.append((spread[name] / theory - 1) / math.sqrt(2 / repeats))
    text = f"variance {spread['published']:.3e} published, {spread['efficient']:.3e} efficient"
    must(spread["efficient"] < spread["published"], text)
    return text, np.array(scores)


CLAIM = Claim(
    id="N4",
    title="the weight that wastes no label",
    statement=r"Every weight gives a pair the information $\sigma(h) \sigma(-h)$; where pairs "
    r"share parameters and the reward model is exact, the weights that reach a target map $T$ "
    r"differ in variance, and of all weights $w(h) = \sigma(-h)/\sigma(-T(h))$ has the least, "
    "which an offset has too (N5).",
    reading="For given targets and an exact reward model EfficientWeight wastes no label; the "
    "published weight wastes some, because it down-weights the pairs it amplifies. An offset "
    "wastes none either, with weights of 1 and whatever the reward model says (N5).",
    source="derived here",
    assumptions="exact reward model; targets realizable by a linear policy; large samples",
    verdict="holds",
    figure="corrected_weights",
    uses=("T1", "R6"),
    evidence=(
        information_identity,
        n4_weight,
        n4_loewner,
        n4_monte_carlo,
        proved("Finite", "N4_information", "N4_efficient", "N4_least_variance"),
    ),
)
