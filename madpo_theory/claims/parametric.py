"""L2, R3-R6: linear policies, what they lose to a wrong reward model, how precise they are."""

import functools
import math

import numpy as np
import sympy as sp
from flint import arb, arb_series, ctx
from hypothesis import strategies as st
from scipy.special import expit, log_softmax

from ..certify import certify
from ..certify.enclosure import precision
from ..losses import madpo
from ..ops import arb_world
from ..risk import pair_risk, risk_curvature, risk_slope
from ..schedule import MarginSchedule, coefficient
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
    gradient_change,
    minimizer_change,
    population_covariance,
    sandwich,
)
from ..theory.value import (
    kl_divergence,
    optimal_policy,
    policy_value,
    regret,
    regret_bound,
    score_error,
)
from ..weights import weight
from .kinds import (
    certified,
    enclosed,
    margins,
    observed,
    property_test,
    schedules,
    simulated,
    symbolic,
)
from .ledger import Claim
from .regimes import (
    INSIDE,
    KNEE_SLOPE,
    OUTSIDE,
    REGIMES,
    h_true,
    in_c,
    lam,
    sigma,
    tau,
    u,
    z,
)
from .weights import CLASS, RELEASED

BETA = 0.5
SEEDS = st.integers(0, 2**32 - 1)


def gentle_schedules():
    """Schedules that move a target by at most 7.5 nats.

    Beyond, weights differ by so many powers of ten that float64 cannot tell a design that spans
    from one that does not, which is no theorem's matter.
    """
    return st.builds(
        MarginSchedule,
        c_max=st.floats(1.001, 2.5),
        c_min=st.floats(0, 0.999),
        lam=st.floats(0.05, 20),
        tau=st.floats(0.01, 5),
    )


def random_design(seed, pairs=12, parameters=3, spread=2.0):
    """(features, h_true, h_model, rng): a random design whose reward model is wrong."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(pairs, parameters))
    truth = rng.normal(0, spread, pairs)
    return features, truth, truth + rng.normal(0, spread, pairs), rng


@symbolic("the Hessian is beta^2 R'' x x^T, a square times a positive number")
def l2_hessian():
    beta = sp.Symbol("beta", positive=True)
    x, theta, v = (sp.symbols(f"{name}_1 {name}_2", real=True) for name in ("x", "theta", "v"))
    at = beta * (x[0] * theta[0] + x[1] * theta[1])
    for name, h, s in REGIMES:
        slope, curvature = (in_c(f(z, h_true, h, s), s) for f in (risk_slope, risk_curvature))
        risk = in_c(pair_risk(at, h_true, h, s), s)
        gradient = [sp.diff(risk, t) for t in theta]
        yield f"{name}: dF/dtheta = beta R'(z) x", gradient[0], beta * x[0] * slope.subs(z, at)
        form = sum(v[i] * v[j] * sp.diff(gradient[i], theta[j]) for i in (0, 1) for j in (0, 1))
        along = beta * (v[0] * x[0] + v[1] * x[1])
        yield (
            f"{name}: v . H v = R''(z) (beta x . v)^2 >= 0",
            form,
            curvature.subs(z, at) * along**2,
        )


@symbolic("a softmax over whole responses has a linear margin")
def l2_softmax():
    logits, reference = (sp.symbols(f"{name}_1:4", real=True) for name in ("a", "b"))

    def log_ratio(k):
        normalizers = (sp.log(sum(sp.exp(v) for v in row)) for row in (logits, reference))
        policy, base = (row[k] - n for row, n in zip((logits, reference), normalizers, strict=True))
        return policy - base

    margin = log_ratio(0) - log_ratio(1)
    linear = (logits[0] - reference[0]) - (logits[1] - reference[1])
    yield "m = theta_1 - theta_2, theta the logits less the reference's", margin, linear


@enclosed("a softmax over tokens is not convex", "curvature < 0 along one logit")
def l2_tokens():
    """Rejected response "A A", chosen response "B": m = -(s + log sigma(t)), t a second logit."""
    with precision():
        cap, ctx.cap = ctx.cap, 3
        try:
            t = arb_series([arb(0), 1], prec=3)
            margin = -5 + arb_world.softplus(-t)
            curvature = 2 * arb_world.softplus(-margin)[2]
        finally:
            ctx.cap = cap
        return f"d2 l/dt2 = {curvature.str(8, radius=False)} at s = 5, t = 0", curvature < 0


@property_test("convex on chords, H >= 0, |gradient| <= beta mean(max(p, q)|x|)", "L2")
def l2_convex(s=schedules(), seed=SEEDS):
    features, truth, model, rng = random_design(seed)
    risk = LinearRisk.expected(features, truth, model, s, beta=BETA)
    start, end = rng.normal(0, 5, (2, 3))
    share = rng.uniform()
    chord = (1 - share) * risk.value(start) + share * risk.value(end)
    # Rounding of two means of twelve positive terms.
    assert risk.value((1 - share) * start + share * end) <= chord * (1 + 1e-14)
    hessian = risk.hessian(start)
    assert np.linalg.eigvalsh(hessian)[0] >= -1e-14 * np.trace(hessian)
    bound = BETA * (np.maximum(risk.p, risk.q) * np.linalg.norm(features, axis=1)).mean()
    assert np.linalg.norm(risk.gradient(start)) <= bound * (1 + 1e-14)


@property_test(
    "Newton steps find the certified minimizer from any start", "L2, consequence", examples=100
)
def l2_one_minimum(seed=SEEDS, far=margins(20.0)):
    features, truth, model, rng = random_design(seed)
    risk = LinearRisk.expected(features, truth, model, MarginSchedule.released(), beta=BETA)
    first, second = fit_linear(risk), fit_linear(risk, start=far * rng.normal(size=3))
    apart = np.abs(risk.scaled_margins(first.theta) - risk.scaled_margins(second.theta)).max()
    assert apart <= first.error + second.error + 1e-12


@symbolic("one-sided slopes of the weight at -tau")
def r3_slopes():
    right = -sp.diff(inside_weight(), u).subs(u, tau)
    yield "w'(-tau+) = -sigma(tau) lam tau kappa'", right, -sigma(tau) * lam * tau * KNEE_SLOPE
    left = sp.diff(weight(-(tau + u), OUTSIDE), u)
    yield "w' = 0 left of -tau", left, sp.Integer(0)


def inside_weight():
    """w(-u) for u < tau, with tau free."""
    return sigma(-coefficient(u, OUTSIDE) * u) / sigma(-u)


@symbolic("the branch that the slope is taken of is the library's weight")
def r3_branch():
    own = inside_weight().subs(tau, INSIDE.tau)
    yield (
        "w(-u) = sigma(-c u)/sigma(-u), u < tau",
        in_c(weight(-u, INSIDE), INSIDE),
        in_c(own, INSIDE),
    )


@property_test("(w(-tau) - w(-tau + e))/e tends to sigma(tau) lam tau kappa'", "R3")
def r3_quotient(s=schedules()):
    knee = s.lam * s.tau * (s.c_max - 1) * (1 - s.c_min) / (s.c_max - s.c_min)
    # |w''| <= 8 (1 + lam + 1/tau + knee) |w'| near the kink: the quotient is off by half of
    # that times the step, and by the rounding of a weight near 1 (4 ulp) over the step.
    step = 1e-6 / (1 + s.lam + 1 / s.tau + knee)
    step = s.tau - (s.tau - step)  # the step that -tau + step really takes
    fall = weight(-s.tau, s) - weight(-s.tau + step, s)
    slope = knee * expit(s.tau)
    assert abs(fall - slope * step) <= 4e-6 * slope * step + 1e-15, (fall, slope * step)
    assert weight(-s.tau - step, s) == 1.0


@enclosed("a tenth of a nat across the kink, released", "w falls from 1 by more than 0.2")
def r3_tenth():
    with precision():
        knee = arb(999).log()
        fall = 1 - weight(arb("0.1") - knee, RELEASED)
        text = f"1 - w(-tau + 0.1) = {fall.str(6, radius=False)}"
        return text, fall > arb("0.2")


@symbolic("gradients of two risks, and how fast a curvature can fall")
def r4_steps():
    p, q, p2, q2, s = sp.symbols("p q p' q' s", positive=True)

    def slope(up, down):
        return down * sigma(z) - up * sigma(-z)

    yield (
        "R' - R'_other = (q - q') sigma(z) - (p - p') sigma(-z), at most max(|dp|, |dq|)",
        slope(p, q) - slope(p2, q2),
        slope(p - p2, q - q2),
    )

    def curvature(at):
        return sigma(at) * sigma(-at)

    for sign in (1, -1):
        # ratio - e^-s is a product of positive factors: curvature falls by at most e^-s.
        ratio = curvature(z + sign * s) / curvature(z)
        surplus = (1 + sp.exp(-sign * z)) ** 2 / (1 + sp.exp(-sign * z - s)) ** 2 - 1
        yield (
            f"l''(z {'+-'[sign < 0]} s)/l''(z) = e^-s (1 + surplus)",
            ratio,
            sp.exp(-s) * (1 + surplus),
        )
    D, t = sp.symbols("D t", positive=True)
    mean = sp.integrate(sp.exp(-t * D), (t, 0, 1))
    yield "mean of e^(-tD) over the way is (1 - e^-D)/D", mean, (1 - sp.exp(-D)) / D


def check_change(first, second):
    """Both bounds of R4 for two risks; returns (distance, a-posteriori bound, a-priori bound)."""
    here, there = fit_linear(first, tolerance=1e-10), fit_linear(second, tolerance=1e-10)
    distance = float(np.linalg.norm(here.theta - there.theta))
    change = gradient_change(first, second)
    widest = max(np.abs(first.scaled_margins(f.theta)).max() for f in (here, there))
    return distance, change / first.modulus(widest), minimizer_change(first, here.theta, change)


@property_test("both bounds hold, targets moved by up to 7.5 nats, any reward-model error", "R4")
def r4_bounds(
    schedule=gentle_schedules(),
    seed=SEEDS,
    error=st.floats(1e-3, 10),
    size=st.sampled_from([(1, 1), (12, 3)]),  # alone, a pair comes near the bounds
):
    features, truth, model, _ = random_design(seed, *size)
    first = LinearRisk.expected(features, truth, truth, schedule, beta=BETA)
    wrong = truth + error * (model - truth)
    moved = LinearRisk.expected(features, truth, wrong, schedule, beta=BETA)
    distance, posterior, prior = check_change(first, moved)
    assert distance <= posterior * (1 + 1e-6) + 1e-8, (distance, posterior)
    assert distance <= prior * (1 + 1e-6) + 1e-8, (distance, prior)


@functools.cache
def steepest_weight():
    """Certified upper end of L_w at the released schedule."""
    return certify("weight_slope", RELEASED)["upper"]


@property_test(
    "gradients move by at most beta X L_w mean|h - h'|, released", "R4, certified L_w", examples=100
)
def r4_gradients(seed=SEEDS, error=st.floats(1e-3, 10)):
    features, truth, model, _ = random_design(seed, spread=4.0)
    wrong, s = truth + error * (model - truth), MarginSchedule.released()
    widest = np.linalg.norm(features, axis=1).max()
    bound = BETA * widest * steepest_weight() * np.abs(wrong - truth).mean()
    first, second = (LinearRisk.expected(features, truth, h, s, beta=BETA) for h in (truth, wrong))
    assert gradient_change(first, second) <= bound * (1 + 1e-14)
    first, second = (LinearRisk.observed(features, weight(h, s), beta=BETA) for h in (truth, wrong))
    assert gradient_change(first, second) <= bound * (1 + 1e-14)


@enclosed("the modulus at one minimizer alone is not enough", "shift > change/mu(theta*)")
def r4_not_at_a_point():
    """Two labels of one pair, for and against: the reward model errs on the second, -1.5 to -4."""
    with precision():
        low = weight(arb(-4), RELEASED)
        high = weight(arb("-1.5"), RELEASED)
        # Masses 1/2 and w/2, beta = X = 1: z = -log w, mu = w/(1 + w)/2, change = |w - w'|/2.
        shift, linear = (high / low).log(), (high - low) * (1 + high) / high
        text = f"shift {shift.str(5, radius=False)}, change/mu {linear.str(5, radius=False)}"
        return text, shift > linear


@observed(
    "simulation",
    "fits to sampled labels, exact against noisy reward model",
    "every shift below both bounds",
    "100 draws of 150 Bradley-Terry labels, error N(0, 0.05), released schedule, beta 0.5",
)
def r4_sampled():
    s, rows = MarginSchedule.released(), []
    for child in np.random.SeedSequence(8).spawn(100):
        rng = np.random.default_rng(child)
        features = rng.normal(size=(150, 3))
        truth = features @ np.array([1.0, -0.5, 0.3])
        sign = np.where(rng.uniform(size=150) < expit(truth), 1.0, -1.0)
        wrong = truth + rng.normal(0, 0.05, 150)
        first, second = (
            LinearRisk.observed(sign[:, None] * features, weight(sign * h, s), beta=BETA)
            for h in (truth, wrong)
        )
        rows.append(check_change(first, second))
    distance, posterior, prior = np.array(rows).T
    text = (
        f"largest shift {distance.max():.4f}; largest share of the bound: "
        f"{(distance / posterior).max():.2g} with the modulus on the slab, "
        f"{(distance / prior).max():.2g} from one minimizer "
        f"(finite in {np.isfinite(prior).mean():.0%})"
    )
    return text, (distance <= posterior).all() and (distance <= prior).all()


@symbolic("J(pi*) - J(pi) = beta KL(pi || pi*), three responses")
def r5_identity():
    beta = sp.Symbol("beta", positive=True)
    rewards = sp.symbols("r_1:4", real=True)
    (a, b), (c, d) = (
        sp.symbols("pi_1 pi_2", positive=True),
        sp.symbols("rho_1 rho_2", positive=True),
    )
    policy, reference = (a, b, 1 - a - b), (c, d, 1 - c - d)
    partition = sum(q * sp.exp(r / beta) for q, r in zip(reference, rewards, strict=True))
    logs = [
        (p, sp.log(p), sp.log(q), r) for p, q, r in zip(policy, reference, rewards, strict=True)
    ]
    value = sum(p * (r - beta * (lp - lq)) for p, lp, lq, r in logs)
    divergence = sum(p * (lp - lq - r / beta + sp.log(partition)) for p, lp, lq, r in logs)
    yield (
        "beta log Z - J(pi) = beta KL(pi || pi*)",
        beta * sp.log(partition) - value,
        beta * divergence,
    )
    best = [q * sp.exp(r / beta) / partition for q, r in zip(reference, rewards, strict=True)]
    at_best = sum(
        p * (r - beta * (r / beta - sp.log(partition))) for p, r in zip(best, rewards, strict=True)
    )
    yield "J(pi*) = beta log Z", at_best, beta * sp.log(partition)


@symbolic("KL(pi || pi*) <= range^2/8 by Taylor, and the range of a two-response error")
def r5_hoeffding():
    s, step, t = sp.symbols("s Delta t", real=True)
    log_odds = sp.log(sigma(s) / sigma(s + step))
    divergence = sigma(s) * log_odds + sigma(-s) * sp.log(sigma(-s) / sigma(-s - step))
    yield "two responses: KL = 0 at Delta = 0", divergence.subs(step, 0), sp.Integer(0)
    first = sp.diff(divergence, step)
    yield "dKL/dDelta = sigma(s + Delta) - sigma(s)", first, sigma(s + step) - sigma(s)
    second = sigma(s + step) * sigma(-s - step)
    yield "d2KL/dDelta2 = sigma(s + Delta) sigma(-s - Delta)", sp.diff(first, step), second
    yield (
        "1/4 less it is a square",
        sp.Rational(1, 4) - second,
        (sigma(s + step) - sp.Rational(1, 2)) ** 2,
    )
    errors = sp.symbols("e_1:4", real=True)
    a, b = sp.symbols("pi_1 pi_2", positive=True)
    masses = (a, b, 1 - a - b)
    tilted = [p * sp.exp(t * e) for p, e in zip(masses, errors, strict=True)]
    total = sum(tilted)
    mean = sum(p * e for p, e in zip(tilted, errors, strict=True)) / total
    spread = sum(p * (e - mean) ** 2 for p, e in zip(tilted, errors, strict=True)) / total
    yield "K responses: d2/dt2 log E e^(te) is a variance", sp.diff(sp.log(total), t, 2), spread
    top, low = sp.symbols("M m", real=True)
    inner = sum(p * (top - e) * (e - low) for p, e in zip(tilted, errors, strict=True)) / total
    yield (
        "variance = (M - m)^2/4 - (mean - (M + m)/2)^2 - E (M - e)(e - m) <= (M - m)^2/4",
        spread,
        (top - low) ** 2 / 4 - (mean - (top + low) / 2) ** 2 - inner,
    )


def random_policies(seed, size, responses):
    """(log_policy, rewards, log_reference): a row each, logits of standard deviation `size`."""
    rng = np.random.default_rng(seed)
    policy, reference = log_softmax(rng.normal(0, size, (2, responses)), axis=-1)
    return policy, rng.normal(0, 3, responses), reference


@property_test("J(pi*) - J(pi) = beta KL(pi || pi*) <= min(e^2/(8 beta), e)", "R5")
def r5_random(
    seed=SEEDS, size=st.floats(0.01, 20), responses=st.integers(2, 12), beta=st.floats(0.05, 5)
):
    policy, rewards, reference = random_policies(seed, size, responses)
    best = optimal_policy(rewards, reference, beta=beta)
    top, own = (policy_value(p, rewards, reference, beta=beta) for p in (best, policy))
    lost = regret(policy, rewards, reference, beta=beta)
    # The values cancel: their rounding is a few ulp of the largest reward or log-ratio in them.
    scale = np.abs(rewards).max() + beta * (np.abs(policy).max() + np.abs(reference).max())
    assert abs(top - own - lost) <= 1e-14 * responses * (scale + np.abs(best).max() * beta)
    error = score_error(policy, rewards, reference, beta=beta)
    assert 0 <= lost <= regret_bound(float(error), beta=beta) * (1 + 1e-12), (lost, error)


@property_test("two responses: KL <= (dz/beta)^2/8, dz the error of z = beta m", "R5")
def r5_pair(base=margins(20.0), at=margins(20.0), dz=margins(5.0), beta=st.floats(0.05, 5)):
    def logs(m):
        return log_softmax([base + m, 0.0])

    gap = np.array([at, 0.0])  # rewards: the best z is their difference
    policy = logs((at + dz) / beta)
    divergence = kl_divergence(policy, logs(at / beta))
    assert divergence <= (dz / beta) ** 2 / 8 * (1 + 1e-9) + 1e-14
    lost = regret(policy, gap, logs(0.0), beta=beta)
    assert lost <= dz**2 / (8 * beta) * (1 + 1e-9) + 1e-13


@enclosed("1/8 is the best constant", "KL/Delta^2 > 0.1249 at Delta = 1/16")
def r5_sharp():
    with precision():
        step = arb(1) / 16
        up, down = arb_world.sigmoid(step / 2), arb_world.sigmoid(-step / 2)
        ratio = (up - down) * (up / down).log() / step**2
        return f"KL/Delta^2 = {ratio.str(8, radius=False)}", (ratio > arb("0.1249")) & (
            ratio < arb("0.125")
        )


@simulated("value of a policy from its own responses", "J(pi*) - beta KL(pi || pi*), 20 problems")
def r5_sampled(draws=40_000, beta=0.3):
    scores = []
    for index, child in enumerate(np.random.SeedSequence(9).spawn(20)):
        policy, rewards, reference = random_policies(index, 1.0, 6)
        responses = np.random.default_rng(child).choice(6, size=draws, p=np.exp(policy))
        gains = (rewards - beta * (policy - reference))[responses]
        best = optimal_policy(rewards, reference, beta=beta)
        claimed = policy_value(best, rewards, reference, beta=beta)
        claimed -= beta * kl_divergence(policy, best)
        scores.append((gains.mean() - claimed) / (gains.std() / math.sqrt(draws)))
    return f"{draws:,} responses each", np.array(scores)


@symbolic("information per pair: a^2/b = sigma(h*) sigma(-h*), whatever the weight")
def information_identity():
    for name, h, s in REGIMES:
        a, b = (in_c(value, s) for value in pair_information(h_true, h, s))
        up, down = (in_c(weight(sign * h, s), s) for sign in (1, -1))
        p, q = sigma(h_true) * up, sigma(-h_true) * down
        yield f"{name}: a = p q/(p + q)", a, p * q / (p + q)
        yield f"{name}: b = p q w(h) w(-h)/(p + q)^2", b, p * q * up * down / (p + q) ** 2
        yield f"{name}: a^2/b = sigma(h*) sigma(-h*)", a**2 / b, sigma(h_true) * sigma(-h_true)


@symbolic("mean and variance of a pair's score, at any z and at its target")
def r6_scores():
    up, down = sp.symbols("w_+ w_-", positive=True)
    win, lose = sigma(h_true), sigma(-h_true)
    won, lost = -up * sigma(-z), down * sigma(z)
    mean, square = win * won + lose * lost, win * won**2 + lose * lost**2
    yield (
        "fixed design: variance = sigma(h*) sigma(-h*) (w_+ sigma(-z) + w_- sigma(z))^2",
        square - mean**2,
        win * lose * (up * sigma(-z) + down * sigma(z)) ** 2,
    )
    target = h_true + sp.log(up / down)
    yield "the mean score is 0 at the pair's target", mean.subs(z, target), sp.Integer(0)
    yield (
        "there both designs have b = p q w_+ w_-/(p + q)^2",
        square.subs(z, target),
        win * lose * (up * down) ** 2 / (win * up + lose * down) ** 2,
    )


@property_test("a^2/b = sigma(h*) sigma(-h*) for any reward model", "R6, N4")
def r6_information(s=schedules(), h=margins(30.0), h_model=margins(30.0)):
    a, b = pair_information(h, h_model, s)
    # Logarithms of up to 600 nats are rounded to 1.1e-13 each before they are exponentiated.
    if min(a, b) > 1e-290:
        assert math.isclose(a * (a / b), expit(h) * expit(-h), rel_tol=1e-12)


@property_test("no weight beats the efficient covariance, targets moved by up to 7.5 nats", "N4")
def r6_efficient(schedule=gentle_schedules(), seed=SEEDS):
    features, truth, model, _ = random_design(seed)
    for wrong in (truth, model):
        worse = target_covariance(features, truth, wrong, schedule, beta=BETA)
        best = efficient_covariance(features, truth, beta=BETA)
        # Loewner order, in the metric of `worse`: rounding of a well-conditioned 3 x 3 solve.
        factor = np.linalg.inv(np.linalg.cholesky(worse))
        assert np.linalg.eigvalsh(factor @ best @ factor.T)[-1] <= 1 + 1e-9


@property_test("weights that ignore the pairs: H^-1 G H^-1 is that of (sum w)^2/sum w^2", "R6")
def r6_effective_size(seed=SEEDS, size=st.integers(1, 9)):
    features, truth, _, rng = random_design(seed)
    scales = rng.lognormal(size=size)
    # Every pair meets every weight, so that weight and pair are independent exactly.
    rows, weights = np.repeat(features, size, axis=0), np.tile(scales, len(features))
    a = np.repeat(expit(truth) * expit(-truth), size)
    ratio = effective_sample_size(weights) / len(weights)
    np.testing.assert_allclose(
        sandwich(rows, weights * a, weights**2 * a), sandwich(rows, a, a) / ratio, rtol=1e-10
    )


def whitened_scores(estimates, centre, covariance):
    """z-scores of the estimates' second moments about `centre` against a covariance.

    Whitened estimates are asymptotically standard normal: over R of them a mean square has
    standard error sqrt(2/R), a mean product sqrt(1/R).
    """
    white = np.linalg.solve(np.linalg.cholesky(covariance), (estimates - centre).T)
    size, count = white.shape
    errors = np.sqrt((1 + np.eye(size)) / count)
    return ((white @ white.T / count - np.eye(size)) / errors)[np.tril_indices(size)]


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
        f"{traces[1] / traces[0]:.2f} times as large with pairs drawn too"
    )
    return text, np.concatenate(scores)


@simulated(
    "intervals from one data set",
    "they cover theta in 95 % of refits; studentized errors have unit variance",
)
def r6_coverage(refits=600, pairs=1_500):
    features, truth, model, _ = random_design(13, pairs=40, spread=1.5)
    s = MarginSchedule.released()
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
    text = f"{refits} data sets of {pairs:,} labels: covered {np.round(share, 3).tolist()}"
    covered = (share - 0.95) / math.sqrt(0.95 * 0.05 / refits)
    return text, np.concatenate([covered, (squares - 1) / math.sqrt(2 / refits)])


@simulated("one pair at h* = 1.5", "variance of z = that of unweighted DPO; ESS/n is refuted")
def r6_refuted(refits=20_000, labels=4_000):
    h, s = 1.5, MarginSchedule.released()
    pairs = np.full(refits, h)
    fits = fit_pairs(madpo, pairs, labels, 15, beta=1.0, margin=pairs, weighting=s).m
    variance = labels * np.var(fits) * expit(h) * expit(-h)  # of DPO's, whose is 1
    masses = np.array([expit(h), expit(-h)])
    pair = np.array([weight(h, s), weight(-h, s)])
    claimed = float((masses @ pair**2) / (masses @ pair) ** 2)  # n / ESS
    error = math.sqrt(2 / refits)
    if abs(variance - claimed) < 5 * claimed * error:
        raise RuntimeError("the simulation cannot tell n/ESS from 1")
    text = f"variance {variance:.3f} of DPO's, n/ESS = {claimed:.3f}"
    return text, np.array([(variance - 1) / error])


CLAIMS = (
    Claim(
        id="L2",
        statement=r"The whole objective is convex in the parameters, and its gradient is at most "
        r"$\beta\, w_{max} \|\nabla_\theta m\|$.",
        reading="True of log-linear policies and of a softmax over whole responses, which have "
        "one minimum whatever the weights; a policy that emits tokens has bounded gradients only.",
        source="arXiv 2510.05342 (A3); derived here",
        assumptions="any valid schedule, any reward model",
        verdict="conditional",
        condition=r"$m$ is linear in $\theta$; the bound on the gradient needs no condition",
        counterexample="softmax over tokens: rejected 'A A' against chosen 'B' has curvature "
        "-0.243 along the logit of the second A",
        evidence=(l2_hessian, l2_softmax, l2_tokens, l2_convex, l2_one_minimum),
    ),
    Claim(
        id="R3",
        statement=r"At $h = -\tau$ a reward-model error moves the weight by $\sigma(\tau) \lambda "
        r"\tau \kappa'$ per nat toward $0$, and not at all away from it: $2.29995$ at the "
        r"released schedule, where no margin has a steeper weight.",
        reading="A label that the reward model disputes by about tau keeps its full weight or "
        "loses most of it, on a few tenths of a nat of reward-model error.",
        source="derived here",
        assumptions="slope at the kink: any valid schedule; steepest anywhere: released",
        figure="weight_and_coefficient",
        verdict="holds",
        evidence=(
            r3_slopes,
            r3_branch,
            r3_quotient,
            r3_tenth,
            certified("L_w, released", "weight_slope", RELEASED, above=2.299948, below=2.299951),
            certified("L_w, class defaults", "weight_slope", CLASS, above=0.587197, below=0.5872),
        ),
    ),
    Claim(
        id="R4",
        statement=r"For a linear policy $\|\hat\theta(\hat h) - \hat\theta(h^*)\| \leq \beta X L_w"
        r"\, \mathrm{mean}|\hat h - h^*| / \mu$, with $X = \max \|x\|$, $L_w = \sup |w'|$ and "
        r"$\mu$ the strong convexity on $|z_i| \leq B$, $B$ the largest $|z_i|$ at either "
        r"minimizer; with $\mu$ at $\hat\theta(h^*)$ alone the bound is $-\log(1 - \beta X "
        r"\epsilon/\mu)/(\beta X)$, $\epsilon$ the bound's numerator.",
        reading="The fitted policy moves at most in proportion to the reward model's mean error, "
        "where the data pin the parameters down; sampled fits move by under 4 % of the bound.",
        source="arXiv 2510.05342 (A4); derived here",
        assumptions="linear margins; the same pairs and labels, or their expectation",
        verdict="holds",
        evidence=(
            r4_steps,
            certified("L_w, released", "weight_slope", RELEASED, above=2.299948, below=2.299951),
            r4_gradients,
            r4_bounds,
            r4_not_at_a_point,
            r4_sampled,
        ),
    ),
    Claim(
        id="R5",
        statement=r"$J(\pi^*) - J(\pi) = \beta\, KL(\pi \| \pi^*) \leq \min(e^2/(8\beta), e)$, "
        r"$e$ the range of the error of $\beta \log(\pi/\pi_{ref})$ over the responses; with two "
        r"responses $e = |\Delta z|$.",
        reading="A target that is off by dz nats costs at most dz^2/(8 beta) of regularized "
        "reward, and never more than dz: at beta = 0.1 the square is the smaller below 0.8 nats.",
        source="derived here; Hoeffding (1963) for the lemma",
        assumptions=r"any policy, reference and reward over finitely many responses, by prompt; "
        r"$\pi^* \propto \pi_{ref} e^{r/\beta}$",
        verdict="holds",
        evidence=(r5_identity, r5_hoeffding, r5_random, r5_pair, r5_sharp, r5_sampled),
    ),
    Claim(
        id="R6",
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
        counterexample="one pair, h* = 1.5, released schedule: n/ESS = 1.12, but the variance is "
        "exactly that of unit weights",
        evidence=(
            information_identity,
            r6_scores,
            r6_information,
            r6_efficient,
            r6_effective_size,
            r6_refits,
            r6_coverage,
            r6_refuted,
        ),
    ),
)
