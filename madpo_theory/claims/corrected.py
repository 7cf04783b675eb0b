"""N1-N4: weights that keep the promise, and what it costs."""

import math

import numpy as np
import sympy as sp
import torch
from flint import arb
from hypothesis import strategies as st
from scipy.special import expit

from ..certify import ScheduleBox
from ..certify.enclosure import precision
from ..losses import distillation, madpo
from ..ops import sympy_world
from ..order import amplified_limit
from ..schedule import MarginSchedule, coefficient
from ..simulate import fit_pairs
from ..targets import effective_target
from ..theory.comparison import distillation_profile, weight_profile
from ..theory.efficiency import efficient_covariance, target_covariance
from ..weights import (
    BoundedRatioWeight,
    EfficientWeight,
    PowerTarget,
    TargetShapedWeight,
    log_weight,
    log_weight_ratio,
    weight,
)
from .kinds import (
    certified,
    certified_box,
    margins,
    observed,
    property_test,
    proved,
    schedules,
    simulated,
    symbolic,
)
from .ledger import Claim
from .parametric import information_identity
from .regimes import OUTSIDE, OUTSIDE_MARGIN, REGIMES, C, in_c, sigma, u
from .targets import LABELS, target_scores
from .weights import CLASS, CLASS_BOX, RELEASED

DELTA = sp.Symbol("delta", real=True)
H = sp.Symbol("h", real=True)


class AnyRatio(TargetShapedWeight):
    """A capped weight whose delta is a symbol: what is proved of it holds for N1 and N2."""

    def __init__(self):
        pass

    def log_ratio(self, xp, h):
        return DELTA if h == H else -DELTA


def absolute(expression):
    """Minima written with absolute values, which SymPy can cancel."""
    return expression.replace(lambda e: isinstance(e, sp.Min), lambda e: e.rewrite(sp.Abs))


@symbolic("N1: the ratio of the two weights, and the target c h in every regime")
def n1_target():
    up, down = (absolute(log_weight(h, AnyRatio())) for h in (H, -H))
    yield "min(0, delta) - min(0, -delta) = delta", up - down, DELTA
    for name, h, s in REGIMES:
        w = BoundedRatioWeight(s)
        yield f"{name}: delta = (c - 1) h", in_c(log_weight_ratio(h, w), s), (C - 1) * h
        yield f"{name}: z* = c h*", in_c(effective_target(h, h, w), s), C * h


@symbolic("N1: first-step slope -A tanh(c h/2)/2")
def n1_first_step():
    grown = sp.exp(C * u)
    for name, h, larger, smaller in (
        ("0 < h < tau, w(h) = 1", u, 1, sp.exp(-(C - 1) * u)),
        ("h > tau, w(-h) = 1", u, sp.exp((C - 1) * u), 1),
    ):
        p, q = sigma(h) * larger, sigma(-h) * smaller
        mass = sigma(h) / sigma(C * h) if smaller != 1 else sigma(-h) / sigma(-C * h)
        yield f"{name}: A = p + q", p + q, mass
        yield f"{name}: q - p = -A tanh(c h/2)", q - p, -mass * (grown - 1) / (grown + 1)


@property_test("0 < w <= 1, continuous, delta odd, z* = c h* for every h*", "N1")
def n1_numeric(s=schedules(), h=margins(60.0)):
    w = BoundedRatioWeight(s)
    assert log_weight(h, w) <= 0
    assert max(weight(h, w), weight(-h, w)) == 1
    assert log_weight_ratio(-h, w) == -log_weight_ratio(h, w)
    target = coefficient(h, s) * h
    # h + (c - 1) h in floats: the rounding is that of h, not of the smaller c h
    assert abs(effective_target(h, h, w) - target) <= 4e-16 * (abs(h) + abs(target)) * 4


@property_test("c(u) u increases everywhere iff lam tau <= amplified_limit", "N1, monotone")
def n1_monotone(s=schedules()):
    if s.c_min < 1e-3:
        return
    limit, product = float(amplified_limit(s.c_max, s.c_min)), s.lam * s.tau
    w = BoundedRatioWeight(s)
    mean = 2 * s.c_min * s.c_max / (s.c_min + s.c_max)  # c where the slope is lowest
    kappa = (s.c_max - 1) / (1 - s.c_min)
    turn = s.tau + math.log((s.c_max - mean) / (kappa * (mean - s.c_min))) / s.lam
    if product <= limit * (1 - 1e-9):
        at = np.linspace(0, s.tau + 40 / s.lam, 1001)
        assert np.diff(effective_target(at, at, w)).min() >= -1e-13 * s.c_max * at[-1]
    elif product >= limit + 1e-3 * (1 + abs(limit)) and turn > 0:
        near = turn * np.array([1 - 1e-4, 1 + 1e-4])
        with precision():
            low, high = (effective_target(arb(x), arb(x), w) for x in near)
            assert high < low, (product, limit)


def trained(weighting, h, seed):
    """z-scores of targets that `madpo` was trained to with an exact reward model."""
    fit = fit_pairs(madpo, h, LABELS, seed, margin=h, weighting=weighting)
    return target_scores(fit, h, effective_target(h, h, weighting), 0.1)


@simulated("trained with N1: amplified and dampened", "z* = c(|h*|) h*, 30 pairs")
def n1_trained():
    h, s = np.linspace(-6, 6, 30), MarginSchedule.class_defaults()
    fit = fit_pairs(madpo, h, LABELS, 71, margin=h, weighting=BoundedRatioWeight(s))
    return "class defaults, tau = 2", target_scores(fit, h, coefficient(h, s) * h, 0.1)


TAU, GAMMA, SMOOTHING = sp.symbols("tau gamma s", positive=True)


@symbolic("N2: PowerTarget keeps tau, rises, and bends down")
def n2_shape():
    t = PowerTarget(TAU, GAMMA, SMOOTHING)(sympy_world, u)
    slope = sp.diff(t, u)
    yield "T(tau) = tau", t.subs(u, TAU), TAU
    grown = sp.exp(GAMMA * sp.log(1 + u / SMOOTHING))
    yield (
        "T' = T'(0) (1 + u/s)^(gamma - 1) > 0",
        slope,
        slope.subs(u, 0) * grown / (1 + u / SMOOTHING),
    )
    yield (
        "T'' = -(1 - gamma) T'/(s + u) < 0",
        sp.diff(slope, u),
        -(1 - GAMMA) * slope / (SMOOTHING + u),
    )


def power_targets():
    """Hypothesis strategy of concave targets."""
    return st.builds(
        PowerTarget,
        tau=st.floats(0.1, 20),
        gamma=st.floats(0.05, 0.95),
        smoothing=st.floats(0.05, 20),
    )


@property_test("T odd, increasing, concave; above the diagonal up to tau and below beyond", "N2")
def n2_numeric(target=power_targets(), h=margins(60.0), step=st.floats(1e-3, 5)):
    w = TargetShapedWeight(target)
    with precision(400):
        x, y, z = (arb(abs(h)) + k * arb(step) for k in range(3))
        tx, ty, tz = (effective_target(v, v, w) for v in (x, y, z))
        assert tx < ty < tz and tz - ty < ty - tx
        if abs(h) > 1e-9 and abs(abs(h) - target.tau) > 1e-9:
            assert (tx > x) == (abs(h) < target.tau)
    assert effective_target(-h, -h, w) == -effective_target(h, h, w)
    assert 0 <= weight(h, w) <= 1


@property_test("|delta'| <= max(T'(0) - 1, 1): L without a search", "N2")
def n2_sensitivity(target=power_targets(), first=margins(60.0), second=margins(60.0)):
    w = TargetShapedWeight(target)
    ratio = target.tau / target.smoothing
    slope = target.gamma * ratio / math.expm1(target.gamma * math.log1p(ratio))
    moved = abs(log_weight_ratio(first, w) - log_weight_ratio(second, w))
    rounding = 1e-14 * (abs(first) + abs(second) + target.tau) * (1 + slope)
    assert moved <= max(slope - 1, 1) * abs(first - second) + rounding


@simulated("trained with N2", "T(h*), a concave target with slope 2 at 0, 30 pairs")
def n2_trained():
    w = TargetShapedWeight(PowerTarget.with_slope(3.0, 0.5, 2.0))
    return "PowerTarget(tau 3, gamma 1/2, slope 2)", trained(w, np.linspace(-6, 6, 30), 72)


@symbolic("an exact reward model is dampened by -delta(h), so D is at least that")
def n3_tradeoff():
    for name, h, s in REGIMES[:1] + REGIMES[2:3]:
        for w in (s, BoundedRatioWeight(s)):
            kind = type(w).__name__
            yield (
                f"{name}, {kind}: h - T(h) = -delta(h)",
                in_c(h - effective_target(h, h, w), s),
                -in_c(log_weight_ratio(h, w), s),
            )
    far = OUTSIDE_MARGIN
    yield (
        "N1 beyond tau: -delta = (1 - c) h, unbounded as h grows (c < 1)",
        -in_c(log_weight_ratio(far, BoundedRatioWeight(OUTSIDE)), OUTSIDE),
        (1 - C) * far,
    )


@property_test("what a weight dampens, a wrong reward model can move", "D >= h - T(h)")
def n3_influence(s=schedules(), h=margins(60.0), h_true=margins(20.0)):
    for w in (s, BoundedRatioWeight(s), EfficientWeight(s)):
        dampened = abs(h) - effective_target(abs(h), abs(h), w)
        moved = abs(effective_target(h_true, abs(h), w) - h_true)
        assert moved >= dampened - 1e-14 * (abs(h) + abs(h_true)) * s.c_max


COMPARED = {
    "published": lambda s: s,
    "bounded ratio (N1)": BoundedRatioWeight,
    "target shaped (N2)": lambda s: TargetShapedWeight(
        PowerTarget.with_slope(float(s.tau), 0.5, float(s.c_max))
    ),
    "efficient (N4)": EfficientWeight,
    "efficient, N1's targets": lambda s: EfficientWeight(BoundedRatioWeight(s)),
}


def comparison_table(schedule, margins_of_data):
    """Rows of :func:`weight_profile` for the weights of N3, distillation last."""
    rows = {
        name: weight_profile(make(schedule), margins_of_data) for name, make in COMPARED.items()
    }
    rows["distillation"] = distillation_profile(BoundedRatioWeight(schedule), margins_of_data)
    return rows


@observed(
    "simulation",
    "the table: L, D, weights, ESS, dampening, order, efficiency",
    "published: D < 3.48, hardly dampens, not monotone; N1: dampens (1 - c_min) h, D as large; "
    "N2 monotone; N4 efficiency 1",
    "released schedule (monotone for N1 at class defaults), margins N(0, 2^2) nats, |h| <= 20",
)
def n3_table():
    data = np.random.default_rng(np.random.SeedSequence(73)).normal(0, 2, 4000)
    rows = comparison_table(MarginSchedule.released(), data)
    text = "; ".join(
        f"{name}: L {r.sensitivity:.2f}, D {r.influence:.2f}, w {r.smallest_weight:.2g} to "
        f"{r.largest_weight:.3g}, ESS {r.ess:.0%}, dampening {r.dampening:.3f}, "
        f"{'monotone' if r.monotone else 'not monotone'}, efficiency {r.efficiency:.1%}"
        for name, r in rows.items()
    )
    published, bounded, shaped, efficient = (rows[name] for name in list(COMPARED)[:4])
    class_bounded = weight_profile(BoundedRatioWeight(MarginSchedule.class_defaults()), data)
    agrees = (
        published.influence < 3.48
        and published.dampening < 0.006
        and not published.monotone
        and 9.9 < bounded.dampening < 10.0 <= bounded.influence + 0.1
        and shaped.monotone
        and class_bounded.monotone
        and abs(efficient.efficiency - 1) < 1e-12
        and max(published.efficiency, bounded.efficiency, shaped.efficiency) < 1
    )
    return text, agrees


@simulated("distillation, trained", "the reward model's c h, whatever the labels; 30 pairs")
def n3_distilled():
    h, s = np.linspace(-5, 5, 30), MarginSchedule.class_defaults()
    wrong = h[::-1].copy()  # a reward model with every sign wrong
    fit = fit_pairs(distillation, h, 1000, 74, margin=wrong, weighting=BoundedRatioWeight(s))
    # no sampling error at all: the deviation is that of the solver, against its own tolerance
    target = coefficient(wrong, s) * wrong
    return "every sign of the reward model wrong", (0.1 * fit.m - target) / 1e-9


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
    wins = torch.as_tensor(rng.binomial(labels, expit(h), (repeats, len(h))) / labels)
    x = torch.as_tensor(effective_target(h, h, s))
    for name, w in (("published", s), ("efficient", EfficientWeight(s))):
        up, down = (torch.as_tensor(weight(side, w)) for side in (h, -h))
        p, q = wins * up, (1 - wins) * down
        theta = torch.ones(repeats, 1, dtype=torch.float64)
        for _ in range(50):  # Newton, one convex problem a data set; the optimum is near 1
            z = theta * x
            slope = (x * (q * torch.sigmoid(z) - p * torch.sigmoid(-z))).sum(1, keepdim=True)
            bend = (x**2 * (p + q) * torch.sigmoid(z) * torch.sigmoid(-z)).sum(1, keepdim=True)
            theta = theta - slope / bend
        if not slope.abs().max() < 1e-10:
            raise RuntimeError(f"Newton has not converged: slope {slope.abs().max()}")
        covariance = target_covariance(x.numpy()[:, None], h, h, w, beta=1.0)
        theory = covariance[0, 0] / labels
        spread[name] = float(theta.var())
        # variance of a variance of near-normal draws; the estimator's own bias is O(1/labels)
        scores.append((spread[name] / theory - 1) / math.sqrt(2 / repeats))
    text = f"variance {spread['published']:.3e} published, {spread['efficient']:.3e} efficient"
    if not spread["efficient"] < spread["published"]:
        raise RuntimeError(f"the efficient weight does not have the least variance: {text}")
    return text, np.array(scores)


CLAIMS = (
    Claim(
        id="N1",
        statement=r"With $w(h) = \min(1, e^{(c(|h|) - 1) h})$ an exact reward model gives "
        r"$z^* = c(|h^*|) h^*$ for every margin: amplified below $\tau$ and dampened above, as A2 "
        r"says. $w \in (0, 1]$ is continuous; the target increases on $[0, \infty)$ iff "
        r"$\lambda \tau \leq 2 \frac{c_{max} + c_{min}}{c_{max} - c_{min}} + \log \frac{(c_{max} "
        r"- 1) c_{min}}{(1 - c_{min}) c_{max}}$; the first step has slope $-\frac12 A "
        r"\tanh(c h/2)$.",
        reading="One changed line, BoundedRatioWeight, delivers the targets that the paper "
        "promises; its weights are at most 1, so scale them to mean 1 over the data.",
        source="derived here",
        assumptions="exact reward model; any valid schedule (monotone: c_min > 0)",
        verdict="holds",
        figure="corrected_weights",
        evidence=(
            n1_target,
            n1_first_step,
            certified(
                "L of N1, class defaults",
                "sensitivity",
                BoundedRatioWeight(CLASS),
                above=0.85777,
                below=0.85778,
            ),
            certified(
                "L of N1, released",
                "sensitivity",
                BoundedRatioWeight(RELEASED),
                above=2.306765,
                below=2.306767,
            ),
            certified(
                "-min T' of N1, class defaults: monotone",
                "target_slope_min",
                BoundedRatioWeight(CLASS),
                above=-0.14223,
                below=-0.14222,
            ),
            certified_box(
                "L of N1, box around the class defaults",
                "sensitivity",
                CLASS_BOX,
                kind="bounded_ratio",
                above=1.04,
                below=1.1,
                tolerance=0.05,
            ),
            certified_box(
                "-min T' <= 0 of N1, every schedule of a box monotone",
                "target_slope_min",
                ScheduleBox(("1.8", "2.2"), ("0.48", "0.55"), ("0.9", "1.1"), ("1.8", "2")),
                kind="bounded_ratio",
                below=0,
            ),
            n1_numeric,
            n1_monotone,
            n1_trained,
            proved(
                "Corrected",
                "N1_formula",
                "N1_range",
                "N1_ratio",
                "N1_odds",
                "N1_target",
                "N1_unique_target",
                "N1_amplified",
                "N1_dampened",
                "N1_continuous",
            ),
        ),
    ),
    Claim(
        id="N2",
        statement=r"For an odd increasing $T$, $w(h) = \min(1, e^{T(h) - h})$ has the effective "
        r"target $T$. A concave $T$ with $T(\tau) = \tau$ amplifies below $\tau$, dampens above "
        r"it, keeps the order of the margins, and has $L = \max(T'(0) - 1, 1)$ at most.",
        reading="Choose the targets you want and get the weight that produces them; a concave "
        "choice never reverses two pairs.",
        source="derived here",
        assumptions="exact reward model",
        verdict="holds",
        figure="corrected_weights",
        evidence=(n2_shape, n2_numeric, n2_sensitivity, n2_trained),
    ),
    Claim(
        id="N3",
        statement=r"Dampening and bounded influence exclude each other: a weight that gives an "
        r"exact reward model the target $T(h)$ lets a wrong one move a target by $h - T(h)$, so "
        r"$D \geq \sup (h - T(h))$. The published weight has $D \leq 3.48$ at the released "
        r"schedule because it does not dampen; N1, N2 and distillation have $D = \infty$.",
        reading="A weight that tames easy pairs trusts the reward model on them without limit: "
        "choose which you need.",
        source="derived here",
        assumptions="any weight; table at the released schedule, normal margins of 2 nats",
        verdict="holds",
        figure="corrected_weights",
        evidence=(n3_tradeoff, n3_influence, n3_table, n3_distilled),
    ),
    Claim(
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
        evidence=(information_identity, n4_weight, n4_loewner, n4_monte_carlo),
    ),
)
