"""Textbook definitions in 400-digit arithmetic: what every number world is compared with.

Written once more, on purpose naively, and from the statements rather than from the library: 400
digits leave 60 after the worst cancellation (h = 1e-300). Names and signatures are the library's.
Of the library only the classes of schedules and weights are taken, to read their parameters.
"""

import functools
from fractions import Fraction

import mpmath as mp
import sympy as sp

from madpo_theory import weights
from madpo_theory.schedule import MarginSchedule
from madpo_theory.weights import PublishedWeight

DIGITS = 400
beta = 0.5


def precise(function):
    """Evaluate `function` with every real argument as an exact 400-digit number, once each."""

    @functools.cache
    def evaluate(digits, args, kwargs):
        with mp.workdps(digits):
            return function(*map(exact, args), **{name: exact(value) for name, value in kwargs})

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        digits = max(DIGITS, mp.mp.dps)  # mp.diff asks for more
        return evaluate(digits, args, tuple(kwargs.items()))

    return wrapped


def exact(value):
    """`value` in high precision; schedules and other objects pass through."""
    if isinstance(value, Fraction):
        return mp.mpf(value.numerator) / value.denominator
    if isinstance(value, sp.Expr):
        return mp.mpf(str(sp.N(value, DIGITS)))
    return mp.mpf(float(value)) if isinstance(value, (int, float)) else value


@precise
def sigma(x):
    return 1 / (1 + mp.exp(-x))


@precise
def ell(z):
    return mp.log(1 + mp.exp(-z))


@precise
def coefficient(h, s):
    c_max, c_min, lam, tau = map(exact, (s.c_max, s.c_min, s.lam, s.tau))
    kappa = (c_max - 1) / (1 - c_min)
    return c_min + (c_max - c_min) / (1 + kappa * mp.exp(lam * (abs(h) - tau)))


@precise
def excess(h, s):
    return coefficient(h, s) - 1


@precise
def weight(h, weighting):
    return _WEIGHTS[type(weighting)](h, weighting)


def _published(h, s):
    return sigma(coefficient(h, s) * h) / sigma(h) if h > -exact(s.tau) else mp.mpf(1)


def _bounded_ratio(h, w):
    return min(mp.mpf(1), mp.exp((coefficient(h, w.schedule) - 1) * h))


def _amp_only(h, w):
    return _published(h, w.schedule) if h < exact(w.schedule.tau) else mp.mpf(1)


def _reg_only(h, w):
    return _published(h, w.schedule) if h > exact(w.schedule.tau) else mp.mpf(1)


@precise
def power_target(u, target):
    """K ((1 + u/smoothing)^gamma - 1) of u >= 0 and its odd continuation; K puts tau at tau."""
    tau, gamma, smoothing = map(exact, (target.tau, target.gamma, target.smoothing))
    scale = tau / ((1 + tau / smoothing) ** gamma - 1)
    return mp.sign(u) * scale * ((1 + abs(u) / smoothing) ** gamma - 1)


def _target_shaped(h, w):
    return min(mp.mpf(1), mp.exp(power_target(h, w.target) - h))


def _efficient(h, w):
    target = h + mp.log(weight(h, w.base) / weight(-h, w.base))
    return sigma(-h) / sigma(-target)


def _confidence(h, w):
    return 2 * sigma(abs(h)) - 1


def _scaled(h, w):
    return mp.exp(exact(w.log_scale)) * weight(h, w.base)


_WEIGHTS = {
    MarginSchedule: _published,
    PublishedWeight: lambda h, w: _published(h, w.schedule),
    weights.AmpOnlyWeight: _amp_only,
    weights.RegOnlyWeight: _reg_only,
    weights.BoundedRatioWeight: _bounded_ratio,
    weights.TargetShapedWeight: _target_shaped,
    weights.EfficientWeight: _efficient,
    weights.ConfidenceWeight: _confidence,
    weights.RewardMagnitudeWeight: lambda h, w: abs(h),
    weights.RewardProbabilityWeight: lambda h, w: sigma(h),
    weights.ScaledWeight: _scaled,
}


@precise
def log_weight(h, s):
    return mp.log(weight(h, s))


@precise
def log_weight_ratio(h, s):
    return log_weight(h, s) - log_weight(-h, s)


@precise
def effective_target(h_true, h_model, s):
    return h_true + log_weight(h_model, s) - log_weight(-h_model, s)


@precise
def dpo_target(h_true):
    return h_true


@precise
def ipo_target(h_true, beta):
    return mp.tanh(h_true / 2) / (2 * beta)


@precise
def pair_risk(z, h_true, h_model, s):
    p, q = sigma(h_true) * weight(h_model, s), sigma(-h_true) * weight(-h_model, s)
    return p * ell(z) + q * ell(-z)


@precise
def risk_slope(z, h_true, h_model, s):
    p, q = sigma(h_true) * weight(h_model, s), sigma(-h_true) * weight(-h_model, s)
    return -p * sigma(-z) + q * sigma(z)


@precise
def risk_curvature(z, h_true, h_model, s):
    p, q = sigma(h_true) * weight(h_model, s), sigma(-h_true) * weight(-h_model, s)
    return (p + q) * sigma(z) * sigma(-z)


@precise
def dpo(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen, rejected = policy_chosen - reference_chosen, policy_rejected - reference_rejected
    return ell(beta * (chosen - rejected)), beta * chosen, beta * rejected


@precise
def ipo(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen, rejected = policy_chosen - reference_chosen, policy_rejected - reference_rejected
    return (chosen - rejected - 1 / (2 * beta)) ** 2, beta * chosen, beta * rejected


@precise
def madpo(
    policy_chosen, policy_rejected, reference_chosen, reference_rejected, *, margin, weighting, beta
):
    loss, *rewards = dpo(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta)
    return weight(margin, weighting) * loss, *rewards


@precise
def distillation(
    policy_chosen, policy_rejected, reference_chosen, reference_rejected, *, margin, weighting, beta
):
    chosen, rejected = policy_chosen - reference_chosen, policy_rejected - reference_rejected
    target, z = effective_target(margin, margin, weighting), beta * (chosen - rejected)
    loss = sigma(target) * ell(z) + sigma(-target) * ell(-z)
    return loss, beta * chosen, beta * rejected


def relative_error(value, exact):
    """Relative error, blind below 1e-300 where float64 runs out of digits."""
    gap = abs(mp.mpf(float(value)) - exact)
    return 0 if gap <= 1e-300 else float(gap / abs(exact))
