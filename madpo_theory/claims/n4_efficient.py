"""N4: of all weights with the same targets, the one that wastes no label."""

import functools
import math

import numpy as np
import sympy as sp
import torch
from hypothesis import strategies as st
from scipy.special import expit

from ..losses import madpo
from ..schedule import MarginSchedule
from ..simulate import minimize_margins
from ..targets import effective_target
from ..theory.efficiency import efficient_covariance, target_covariance
from ..weights import BoundedRatioWeight, EfficientWeight, log_weight_ratio, weight
from .evidence import property_test, simulated, symbolic
from .ledger import Claim
from .regimes import REGIMES, in_c, information_identity, sigma
from .settings import schedules


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


@property_test("covariance - best covariance is positive semidefinite; zero for N4", "N4")
def n4_loewner(s=schedules(), seed=st.integers(0, 2**32 - 1)):
    rng = np.random.default_rng(seed)
    h = rng.normal(0, 2, 12)
    for base in (s, BoundedRatioWeight(s)):
        # realizable: the targets are a linear function of the features
        features = np.column_stack([effective_target(h, h, base), rng.normal(0, 1, (12, 2))])
        best = efficient_covariance(features, h, beta=1.0)
        scale = np.linalg.norm(best, 2)
        excess = target_covariance(features, h, h, base, beta=1.0) - best
        condition = np.linalg.cond(best)
        assert np.linalg.eigvalsh(excess).min() >= -1e-13 * condition * scale
        mine = target_covariance(features, h, h, EfficientWeight(base), beta=1.0)
        np.testing.assert_allclose(mine, best, rtol=0, atol=1e-12 * condition * scale)


@simulated("variance of a shared parameter over 4,000 trained data sets", "N4's formula; N4 least")
def n4_monte_carlo():
    s, repeats, labels = MarginSchedule.class_defaults(), 4000, 200
    h = np.linspace(-4, 4, 16)
    rng, scores, spread = np.random.default_rng(np.random.SeedSequence(75)), [], {}
    share = torch.as_tensor(rng.binomial(labels, expit(h), (repeats, len(h))) / labels).flatten()
    targets = effective_target(h, h, s)
    margin, x = (torch.as_tensor(v).repeat(repeats) for v in (h, targets))
    zero = torch.zeros_like(x)
    for name, w in (("published", s), ("efficient", EfficientWeight(s))):
        loss = functools.partial(madpo, weighting=w, beta=1.0)

        def risk(theta, loss=loss):
            m = theta.repeat_interleave(len(h)) * x
            won = loss(m, zero, zero, zero, margin=margin)[0]
            lost = loss(zero, m, zero, zero, margin=-margin)[0]
            return (share * won + (1 - share) * lost).reshape(repeats, -1).sum(1)

        start = torch.ones(repeats, dtype=torch.float64)  # where the targets are met
        theta = minimize_margins(risk, start, longest_step=1 / targets.max())
        theory = target_covariance(targets[:, None], h, h, w, beta=1.0)[0, 0] / labels
        spread[name] = float(theta.var())
        # variance of a variance of near-normal draws; the estimator's own bias is O(1/labels)
        scores.append((spread[name] / theory - 1) / math.sqrt(2 / repeats))
    text = f"variance {spread['published']:.3e} published, {spread['efficient']:.3e} efficient"
    if not spread["efficient"] < spread["published"]:
        raise RuntimeError(f"the efficient weight does not have the least variance: {text}")
    return text, np.array(scores)


CLAIM = Claim(
    id="N4",
    statement=r"Every weight gives a pair the information $\sigma(h) \sigma(-h)$; where pairs "
    r"share parameters, the weights that reach a target map $T$ differ in variance, and "
    r"$w(h) = \sigma(-h)/\sigma(-T(h))$ alone, up to a constant, has the least.",
    reading="For given targets EfficientWeight wastes no label; the published weight wastes "
    "some, because it down-weights the pairs it amplifies.",
    source="derived here",
    assumptions="exact reward model; targets realizable by a linear policy; large samples",
    verdict="holds",
    figure="corrected_weights",
    uses=("T1", "R6"),
    evidence=(information_identity, n4_weight, n4_loewner, n4_monte_carlo),
)
