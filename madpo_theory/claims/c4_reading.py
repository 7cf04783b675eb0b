"""C4: what each slot lets a reward model do to a target."""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
import sympy as sp
import torch
from hypothesis import strategies as st

from ..methods import Slots
from ..methods.madpo import Madpo
from ..ops import numpy_world, sympy_world
from ..simulate import PairProblem, expected_wins, fit_table, minimize_table, sampled_wins, solve
from ..theory.linear import LinearRisk, fit_linear
from ..weights import RewardProbabilityWeight, Weighting
from .evidence import foil, must, observed, property_test, proved, simulated, symbolic
from .ledger import Claim
from .regimes import EVEN, ODD, W_DOWN, W_UP, B, h_true, slot_symbols
from .settings import (
    WRONG_FORMS,
    Unweighted,
    gap_errors,
    label_scores,
    lone_target,
    offdiagonal,
    rewards_of,
    scaled,
)

H = sp.Symbol("h", real=True)


@dataclass(frozen=True)
class Confident(Weighting):
    """w(h) = (1 + h^2)^2, even: believe the pairs that the reward model finds easy."""

    def log_weight(self, xp, h):
        return 2 * xp.log1p(h * h)


@dataclass(frozen=True)
class _Squared(RewardProbabilityWeight):
    def log_weight(self, xp, h):
        return 2 * super().log_weight(xp, h)


@foil("delta is unheeded", lone_target=WRONG_FORMS["delta is unheeded"])
@foil("the target is 5 % larger", lone_target=scaled(1.05))
@foil("w = sigma(h)^2", RewardProbabilityWeight=lambda true: _Squared)
@symbolic("C4: what is left of each slot in the target")
def c4_slots():
    sides = slot_symbols(soft=False)
    y = sp.expand(B * lone_target(sympy_world, h_true, *sides))
    yield "the temperature divides: b z* is free of b", sp.diff(y, B), sp.S(0)
    yield "an odd offset adds itself", sp.diff(y, ODD), sp.S(1)
    shift = sp.Symbol("delta", real=True)
    shifted = y.subs(W_UP, sp.exp(shift) * W_DOWN)
    level = sp.diff(sp.expand_log(shifted, force=True), W_DOWN)
    yield "of the weights the ratio alone: an even weight is nowhere", level, sp.S(0)
    d = h_true + shift
    root = sp.sqrt(1 + sp.exp(2 * EVEN) * sp.sinh(d / 2) ** 2)
    yield (
        "delta moves it by 1/2 + e^g_e cosh(d/2)/(2 sqrt(1 + (e^g_e sinh(d/2))^2))",
        sp.diff(sp.expand_log(shifted, force=True), shift),
        sp.Rational(1, 2) + sp.exp(EVEN) * sp.cosh(d / 2) / (2 * root),
    )
    undone = y.subs({EVEN: 0, ODD: -shift, W_UP: sp.exp(shift) * W_DOWN})
    undone = sp.expand_log(undone, force=True).replace(sp.asinh, lambda v: v.args[0])
    yield "g = -delta: h*, whatever the weight", undone, h_true
    trusting = RewardProbabilityWeight()
    ratio = trusting.log_weight(sympy_world, H) - trusting.log_weight(sympy_world, -H)
    yield "w = sigma(h): delta = h, so h* + h, and 2 h* of an exact model", ratio, H


GRID = (-2.0, -0.5, 0.0, 0.5, 2.0)
EVERYWHERE = np.array([-60.0, -30.0, -3.0, -0.5, 0.7, 3.0, 30.0, 60.0])


def _targets(shift, odd, even, b):
    sides = (Slots(s * shift / 2, offset=s * odd + even, temperature=b) for s in (1.0, -1.0))
    return lone_target(numpy_world, EVERYWHERE, *sides)


@foil("delta is unheeded", lone_target=WRONG_FORMS["delta is unheeded"])
@foil("the temperature is unheeded", lone_target=WRONG_FORMS["the temperature is unheeded"])
@observed(
    "property",
    "a target is the same for every reward model iff b and g_e are constant and either "
    "delta = g_o = 0, or g_e = 0 and g_o = -delta",
    "C4, hard labels: slots at h beside those at 0, targets of h* from -60 to 60",
    "every point of a grid",
)
def c4_carried():
    free, agrees, points = 0, True, list(product(GRID, GRID, GRID, GRID, (0.5, 1.0, 2.0)))
    for shift, odd, even, rest, b in points:
        moved = np.abs(_targets(shift, odd, even, b) - _targets(0.0, 0.0, rest, 1.0)).max()
        constant = b == 1 and even == rest
        cancelled = shift == odd == 0 or (even == 0 and odd == -shift)
        free += constant and cancelled
        # exactly the same by the theorem, in floats of margins up to 60; else by 1e-3 and more
        agrees &= moved <= 1e-12 if constant and cancelled else moved > 1e-3
    return f"{len(points)} points, of which {free} are free of the reward model", agrees


SIDED = np.exp(0.1 * np.triu(np.ones((4, 4))))


@foil("one that takes sides is", expected_wins=lambda true: lambda r: true(r) * SIDED)
@foil("a table of 5 % larger margins does", expected_wins=lambda true: lambda r: true(1.05 * r))
@property_test(
    "any even weight is a sampling of the pairs: a table of Bradley-Terry labels stays at h*",
    "C4, 4 responses, weights e^-3 to e^3",
)
def c4_table(rewards=rewards_of(4), level=offdiagonal(st.floats(-3, 3), 4, True)):
    fit = minimize_table(expected_wins(rewards) * np.exp(level))
    gaps = rewards[:, None] - rewards[None, :]
    must(np.abs(fit.gaps - gaps).max() <= 2 * fit.radius + 1e-13 * (1 + np.abs(gaps).max()))


risk_of = LinearRisk


def _evened(features, won, lost, **options):
    return LinearRisk(features, won / (won + lost), lost / (won + lost), **options)


@foil("the weights count for nothing", risk_of=lambda true: _evened)
@property_test(
    "where targets cannot be met together an even weight moves the compromise",
    "C4, z = theta and 2 theta for two pairs: nearer to the heavier one's target",
)
def c4_compromise(first=st.floats(0.1, 3), second=st.floats(0.1, 3), heavy=st.floats(0.5, 3)):
    if abs(first - second / 2) < 1e-2:
        return
    p = 1 / (1 + np.exp([-first, -second]))
    features = np.array([[1.0], [2.0]])

    def fitted(level):
        masses = np.array([1.0, math.exp(level)])
        return fit_linear(risk_of(features, masses * p, masses * (1 - p), beta=1.0)).theta[0]

    light, loaded = fitted(0.0), fitted(heavy)
    must(min(first, second / 2) < light < max(first, second / 2))
    must(abs(loaded - second / 2) < abs(light - second / 2))


def trusting_target(h_true, h_model):
    """That of w = sigma(h)."""
    return h_true + h_model


@foil("z* = h* + 0.95 h", trusting_target=lambda true: lambda h, model: true(h, 0.95 * model))
@simulated("w = sigma(h), labels drawn, a wrong model", "z* = h* + h, 40 pairs")
def c4_trusting():
    rng = np.random.default_rng(np.random.SeedSequence(131))
    h = rng.uniform(-3, 3, 40)
    model = h + rng.normal(0, 2, 40)
    scores = label_scores(Madpo(RewardProbabilityWeight()), h, model, 132, target=trusting_target)
    return f"the model is wrong by up to {np.abs(model - h).max():.1f} nats", scores


@foil("the errors are DPO's", gap_errors=lambda true: lambda *a: true(*a[:-1], Unweighted()))
@foil("the errors are 5 % smaller", gap_errors=scaled(0.95))
@simulated(
    "an even weight, tables of three drawn 8000 times", "gaps h*; variances of the sandwich, R6"
)
def c4_variance():
    rewards, labels, draws = np.array([0.0, 1.0, 3.0]), 1_000_000, 8_000
    seeds = np.random.SeedSequence(133).spawn(draws)
    wins = torch.as_tensor(np.stack([sampled_wins(rewards, labels, seed) for seed in seeds]))
    h = torch.as_tensor(rewards[:, None] - rewards).expand_as(wins)
    found, scores = {}, []
    for weighting in (Confident(), None):
        method = "dpo" if weighting is None else Madpo(weighting)
        fits = solve(method, PairProblem(wins, h)).scores.numpy()
        gaps = np.stack([fits[:, j] - fits[:, i] for i, j in ((0, 1), (1, 2), (0, 2))])
        found[weighting] = gaps.var(1, ddof=1)
        if weighting is not None:
            fit = fit_table(rewards, weighting)
            errors = gap_errors(fit, rewards, 1 - np.eye(3), labels, weighting)
            errors = errors[[0, 1, 0], [1, 2, 2]]
            truth = np.array([1.0, 2.0, 3.0])
            scores = [
                *(gaps.mean(1) - truth) / (errors / math.sqrt(draws)),
                *(found[weighting] / errors**2 - 1) / math.sqrt(2 / (draws - 1)),
            ]
    ratio = (found[Confident()] / found[None]).max()
    return f"w = (1 + h^2)^2: up to {ratio:.2f} times DPO's variance", np.array(scores)


CLAIM = Claim(
    id="C4",
    title="a weight that treats both labels alike moves no target",
    statement=r"With hard labels the target of every true margin is the same for all reward "
    r"models iff $b$ and $g_e$ do not depend on $\hat h$ and either $\delta = g_o = 0$, or "
    r"$g_e = 0$ and $g_o = -\delta$. So $\delta$ and $g_o$ carry the reward model's errors, and a "
    r"soft label $q(\hat h)$ does; a constant $g_e$ and a $b$ move every pair by one rule. An even "
    r"weight moves no lone pair's target and no table whose targets can be met together: it is a "
    r"sampling of the pairs, and changes the compromise between them and the variance. "
    r"$w = \sigma(\hat h)$ gives $h^* + \hat h$: with an exact model DPO at "
    r"$\beta/2$, else with one helping of its errors.",
    reading="Weights that follow confidence alike for both labels never amplify or dampen a pair; "
    "what amplifies through delta or an odd offset imports the reward model's errors, undiluted.",
    source="derived here",
    assumptions="slots constant in z; b alike for both labels; Bradley-Terry labels for the table",
    verdict="holds",
    uses=("C1", "C2"),
    evidence=(
        c4_slots,
        c4_carried,
        c4_table,
        c4_compromise,
        c4_trusting,
        c4_variance,
        proved(
            "Calculus",
            "C4_even_weight",
            "C4_errors_enter_by_delta_and_odd_offset",
            "C4_reward_probability",
        ),
    ),
)
