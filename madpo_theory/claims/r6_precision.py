"""R6: how precise the fitted parameters are."""

import math

import numpy as np
import sympy as sp
from hypothesis import strategies as st
from scipy.special import expit

from ..losses import dpo, madpo
from ..schedule import MarginSchedule
from ..simulate import fit_pairs
from ..theory.efficiency import (
    effective_sample_size,
    efficient_covariance,
    pair_information,
    target_covariance,
)
from ..theory.linear import (
    LinearRisk,
    estimated_covariance,
    fit_linear,
    population_covariance,
    sandwich,
)
from ..weights import log_weight_ratio, weight
from .evidence import SIGMAS, foil, must, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import h_true, information_identity, sigma, z
from .settings import SEEDS, gentle_schedules, margins, random_design, scaled, schedules

BETA = 0.5
PAIR, CLAIMED = 1.5, 1.121  # a pair's margin; n/ESS of its weights
VARIANCE = 1  # of its fit, that of an unweighted label being 1


def score_variance(chance, won, lost):
    """Variance of a score that is `won` with a chance and else `lost`."""
    return chance * won**2 + (1 - chance) * lost**2 - (chance * won + (1 - chance) * lost) ** 2


@foil(
    "it is the mean square",
    score_variance=lambda true: lambda chance, won, lost: chance * won**2 + (1 - chance) * lost**2,
)
@symbolic("mean and variance of a pair's score, at any z and at its target; k wins of n")
def r6_scores():
    up, down = sp.symbols("w_+ w_-", positive=True)
    win, lose = sigma(h_true), sigma(-h_true)
    won, lost = -up * sigma(-z), down * sigma(z)
    variance = score_variance(win, won, lost)
    yield (
        "fixed design: variance = sigma(h*) sigma(-h*) (w_+ sigma(-z) + w_- sigma(z))^2",
        variance,
        win * lose * (up * sigma(-z) + down * sigma(z)) ** 2,
    )
    target = h_true + sp.log(up / down)
    yield (
        "the mean score is 0 at the pair's target",
        (win * won + lose * lost).subs(z, target),
        sp.Integer(0),
    )
    yield (
        "there both designs have b = p q w_+ w_-/(p + q)^2",
        variance.subs(z, target),
        win * lose * (up * down) ** 2 / (win * up + lose * down) ** 2,
    )
    k, rest = sp.symbols("k n-k", positive=True)
    yield (
        "of k wins of n the fit is log(k/(n - k)) + delta, for every k: DPO's, moved",
        (k * won + rest * lost).subs(z, sp.log(k / rest) + sp.log(up / down)),
        sp.Integer(0),
    )


@foil(
    "it is 5 % more",
    pair_information=lambda true: lambda *pair: (1.05 * true(*pair)[0], true(*pair)[1]),
)
@property_test("a^2/b = sigma(h*) sigma(-h*) for any reward model", "R6, N4")
def r6_information(s=schedules(), h=margins(30.0), h_model=margins(30.0)):
    a, b = pair_information(h, h_model, s)
    # Logarithms of up to 600 nats are rounded to 1.1e-13 each before they are exponentiated.
    if min(a, b) > 1e-290:
        must(math.isclose(a * (a / b), expit(h) * expit(-h), rel_tol=1e-12))


@foil("the efficient covariance is 5 % larger", efficient_covariance=scaled(1.05))
@property_test("no weight beats the efficient covariance, targets moved by up to 7.5 nats", "N4")
def r6_efficient(schedule=gentle_schedules(), seed=SEEDS):
    features, truth, model, _ = random_design(seed)
    for wrong in (truth, model):
        worse = target_covariance(features, truth, wrong, schedule, beta=BETA)
        best = efficient_covariance(features, truth, beta=BETA)
        # Loewner order, in the metric of `worse`: rounding of a well-conditioned 3 x 3 solve.
        factor = np.linalg.inv(np.linalg.cholesky(worse))
        must(np.linalg.eigvalsh(factor @ best @ factor.T)[-1] <= 1 + 1e-9)


@foil("that of all of them", effective_sample_size=lambda true: len)
@property_test("weights that ignore the pairs: H^-1 G H^-1 is that of (sum w)^2/sum w^2", "R6")
def r6_effective_size(seed=SEEDS, size=st.integers(1, 9)):
    features, truth, _, rng = random_design(seed)
    scales = rng.lognormal(size=size)
    # Every pair meets every weight, so that weight and pair are independent exactly.
    rows, weights = np.repeat(features, size, axis=0), np.tile(scales, len(features))
    a = np.repeat(expit(truth) * expit(-truth), size)
    ratio = effective_sample_size(weights) / len(weights)
    found = sandwich(rows, weights * a, weights**2 * a)
    must(np.allclose(found, sandwich(rows, a, a) / ratio, rtol=1e-10, atol=0))


def whitened_scores(estimates, centre, covariance):
    """z-scores of the estimates' second moments about `centre` against a covariance.

    Whitened estimates are asymptotically standard normal: over R of them a mean square has
    standard error sqrt(2/R), a mean product sqrt(1/R).
    """
    white = np.linalg.solve(np.linalg.cholesky(covariance), (estimates - centre).T)
    size, count = white.shape
    errors = np.sqrt((1 + np.eye(size)) / count)
    return ((white @ white.T / count - np.eye(size)) / errors)[np.tril_indices(size)]


def seen(refits):
    """What so many refits leave open: a smaller error of a variance agrees too."""
    return f"a variance that is {SIGMAS * math.sqrt(2 / refits):.0%} off would be seen"


@foil(
    "drawn pairs vary no more than given ones",
    population_covariance=lambda true: (
        lambda *fit, beta, design: true(*fit, beta=beta, design="fixed")
    ),
)
@simulated("covariance of refits: drawn labels, and drawn pairs with labels", "H^-1 G H^-1/n")
def r6_refits(refits=1_200, labels=24_000):
    features, truth, model, _ = random_design(11, pairs=40, spread=1.5)
    s, rng = MarginSchedule.released(), np.random.default_rng(np.random.SeedSequence(12))
    centre = fit_linear(LinearRisk.expected(features, truth, model, s, beta=BETA)).theta
    up, down, pairs = weight(model, s), weight(-model, s), len(truth)
    scores, traces = [], []
    for design in ("fixed", "random"):
        estimates = []
        for _ in range(refits):
            share = np.full(pairs, 1 / pairs)
            drawn = np.full(pairs, labels // pairs)
            if design == "random":
                drawn = rng.multinomial(labels, share)
            wins = rng.binomial(drawn, expit(truth))
            risk = LinearRisk(features, wins * up, (drawn - wins) * down, BETA)
            estimates.append(fit_linear(risk, start=centre, tolerance=1e-6).theta)
        covariance = population_covariance(
            features, truth, model, s, centre, beta=BETA, design=design
        )
        scores.append(whitened_scores(np.array(estimates), centre, covariance * pairs / labels))
        traces.append(np.trace(covariance))
    text = (
        f"{refits:,} refits to {labels:,} labels each, wrong reward model; trace "
        f"{traces[1] / traces[0]:.2f} times as large with pairs drawn too; {seen(refits)}"
    )
    return text, np.concatenate(scores)


@foil(
    "the covariance is the inverse Hessian",
    estimated_covariance=lambda true: (
        lambda risk, theta: np.linalg.inv(risk.hessian(theta)) / len(risk.p)
    ),
)
@simulated(
    "intervals from one data set",
    "they cover theta in 95 % of refits; studentized errors have unit variance",
)
def r6_coverage(refits=600, pairs=1_500):
    features, truth, model, _ = random_design(13, pairs=40, spread=2.5)
    s = MarginSchedule.released(4)
    centre = fit_linear(LinearRisk.expected(features, truth, model, s, beta=BETA)).theta
    ratios = []
    for child in np.random.SeedSequence(14).spawn(refits):
        rng = np.random.default_rng(child)
        drawn = rng.integers(0, len(truth), pairs)
        sign = np.where(rng.uniform(size=pairs) < expit(truth[drawn]), 1.0, -1.0)
        risk = LinearRisk.observed(
            sign[:, None] * features[drawn], weight(sign * model[drawn], s), beta=BETA
        )
        theta = fit_linear(risk, start=centre, tolerance=1e-6).theta
        ratios.append((theta - centre) / np.sqrt(np.diag(estimated_covariance(risk, theta))))
    ratios = np.array(ratios)
    share, squares = (np.abs(ratios) <= 1.959964).mean(axis=0), (ratios**2).mean(axis=0)
    text = (
        f"{refits} data sets of {pairs:,} labels: covered {np.round(share, 3).tolist()}; "
        f"{seen(refits)}"
    )
    covered = (share - 0.95) / math.sqrt(0.95 * 0.05 / refits)
    return text, np.concatenate([covered, (squares - 1) / math.sqrt(2 / refits)])


@foil("its variance is n/ESS", VARIANCE=lambda _: CLAIMED)
@foil("its fit is moved by 1 % more than DPO's", log_weight_ratio=scaled(1.01))
@simulated(f"one pair at h* = {PAIR}", "z is DPO's plus delta in every data set; n/ESS is refuted")
def r6_refuted(refits=20_000, labels=4_000):
    s, pairs = MarginSchedule.released(), np.full(refits, PAIR)
    drawn = {"labels": labels, "seed": 15, "beta": 1.0}
    fits = fit_pairs(madpo, pairs, **drawn, margin=pairs, weighting=s).m
    moved = fits - fit_pairs(dpo, pairs, **drawn).m
    must(np.abs(moved - log_weight_ratio(PAIR, s)).max() < 1e-9)  # of Newton's last steps
    variance = labels * np.var(fits) * expit(PAIR) * expit(-PAIR)  # of DPO's, whose is 1
    masses = np.array([expit(PAIR), expit(-PAIR)])
    pair = np.array([weight(PAIR, s), weight(-PAIR, s)])
    claimed = 1 / effective_sample_size(pair, masses)  # n / ESS
    must(abs(claimed - CLAIMED) < 5e-4, f"n/ESS = {claimed}")
    error = math.sqrt(2 / refits)
    must(abs(variance - claimed) > 5 * claimed * error, "the simulation cannot tell n/ESS from 1")
    text = f"variance {variance:.3f} of DPO's, n/ESS = {claimed:.3f}"
    return text, np.array([(variance - VARIANCE) / error])


CLAIM = Claim(
    id="R6",
    title="error bars come from the sandwich, not from the effective sample size",
    statement=r"$\sqrt{n}(\hat\theta - \theta^\circ) \to N(0, H^{-1} G H^{-1})$, which "
    r"amounts to $(\Sigma w)^2 / \Sigma w^2$ unweighted labels.",
    reading="Take error bars from the sandwich, not from the effective sample size: a label "
    "says as much about its pair's target whatever its weight.",
    source="derived here; Huber (1967) for the sandwich",
    assumptions="linear margins; independent Bradley-Terry labels; any reward model",
    verdict="conditional",
    condition="weights are independent of pair and label, for the second half; the sandwich "
    "always holds, with the score's variance given the pair (fixed design) or its mean square "
    "(pairs drawn too)",
    counterexample=f"one pair, h* = {PAIR:.1f}, released schedule: n/ESS = {CLAIMED:.3f}, but in "
    "every data set z is DPO's plus delta, so that its variance is exactly that of unit weights",
    uses=("T1", "L1", "L2"),
    evidence=(
        information_identity,
        r6_scores,
        r6_information,
        r6_efficient,
        r6_effective_size,
        r6_refits,
        r6_coverage,
        r6_refuted,
        proved("AnyWeight", "R6_exact"),
    ),
)
