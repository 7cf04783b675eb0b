"""Pairwise losses of papers, each against its textbook formula, its limits and its target."""

import math
from dataclasses import dataclass, replace

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
import torch
from flint import arb, arb_series, ctx
from numpy.testing import assert_allclose
from scipy.optimize import minimize_scalar
from scipy.special import expit

from madpo_theory import METHODS, Weighting, losses
from madpo_theory.methods import Distillation, Dpo, Hinge, Madpo, settings_of
from madpo_theory.methods.search import searched_target
from madpo_theory.ops import numpy_world, torch_world
from madpo_theory.ops.stable import log1mexp
from madpo_theory.simulate import PairProblem, solve
from madpo_theory.weights import (
    ConfidenceWeight,
    RewardMagnitudeWeight,
    RewardProbabilityWeight,
)

LOGPS = (
    "policy_chosen_logps",
    "policy_rejected_logps",
    "reference_chosen_logps",
    "reference_rejected_logps",
)


def batch(size=12, seed=0):
    """Four log-probabilities, lengths and margins of pairs; margins of either sign."""
    rng = np.random.default_rng(seed)
    b = dict(zip(LOGPS, -rng.uniform(2, 30, (4, size)), strict=True))
    b |= dict(
        zip(("chosen_lengths", "rejected_lengths"), rng.integers(3, 20, (2, size)), strict=True)
    )
    return {n: v.astype(float) for n, v in b.items()} | {"margin": rng.normal(0, 2, size)}


def given(name, b):
    return {n: b.get(n) for n in (*LOGPS, *METHODS[name].arguments())}


# ----------------------------------------------------------- the formulas, as a textbook has them


def sigma(x):
    return 1 / (1 + np.exp(-x))


def ell(z):
    return np.log(1 + np.exp(-z))


def kl(p, q):
    """Of Bernoulli distributions."""
    return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))


def orpo(p_w, p_l, lam=0.1):
    odds = (p_w / (1 - p_w)) / (p_l / (1 - p_l))
    return -np.log(p_w) - lam * np.log(sigma(np.log(odds)))


def asft(p_w, p_l, lam=0.1):
    rho_w, rho_l = np.log(p_w / (1 - p_w)), np.log(p_l / (1 - p_l))
    return -np.log(p_w) - lam * (np.log(sigma(rho_w)) + np.log(sigma(-rho_l)))


def chi(rho):
    return np.exp(rho) + np.log(np.exp(rho))


# Of pc, pr (policy), rc, rr (reference), a, b (lengths) and h, at the defaults.
TEXTBOOK = {
    "simpo": lambda pc, pr, rc, rr, a, b, h: ell(2 * pc / a - 2 * pr / b - 0.5),
    "cdpo": lambda pc, pr, rc, rr, a, b, h: (
        0.9 * ell(0.1 * (pc - rc - pr + rr)) + 0.1 * ell(-0.1 * (pc - rc - pr + rr))
    ),
    "rdpo": lambda pc, pr, rc, rr, a, b, h: (
        (0.9 * ell(0.1 * (pc - rc - pr + rr)) - 0.1 * ell(-0.1 * (pc - rc - pr + rr))) / 0.8
    ),
    "odpo": lambda pc, pr, rc, rr, a, b, h: ell(0.1 * (pc - rc - pr + rr) - h),
    "cw_po": lambda pc, pr, rc, rr, a, b, h: (
        (2 * sigma(abs(h)) - 1) * ell(np.sign(h) * 0.1 * (pc - rc - pr + rr))
    ),
    "rso_sigmoid_norm": lambda pc, pr, rc, rr, a, b, h: ell(0.05 * (pc - rc - pr + rr)),
    "hinge_norm": lambda pc, pr, rc, rr, a, b, h: np.maximum(0, 1 - 0.05 * (pc - rc - pr + rr)),
    "rso_hinge": lambda pc, pr, rc, rr, a, b, h: np.maximum(0, 1 - 0.05 * (pc - pr)),
    "reward_aware_backward": lambda pc, pr, rc, rr, a, b, h: kl(
        sigma(h), sigma(0.1 * (pc - rc - pr + rr))
    ),
    "reward_aware_forward": lambda pc, pr, rc, rr, a, b, h: kl(
        sigma(0.1 * (pc - rc - pr + rr)), sigma(h)
    ),
    "reward_aware_squared": lambda pc, pr, rc, rr, a, b, h: (0.1 * (pc - rc - pr + rr) - h) ** 2,
    "cal_dpo": lambda pc, pr, rc, rr, a, b, h: (
        ell(pc - rc - pr + rr) + (pc - rc - 250) ** 2 + (pr - rr + 250) ** 2
    ),
    "cal_dpo_released": lambda pc, pr, rc, rr, a, b, h: (
        ell(pc - rc - pr + rr) + 0.5 * ((pc - rc - 250) ** 2 + (pr - rr + 250) ** 2)
    ),
    "dpo_shift": lambda pc, pr, rc, rr, a, b, h: ell(0.1 * (pc - rc) - 0.95 * 0.1 * (pr - rr)),
    "chi_po": lambda pc, pr, rc, rr, a, b, h: ell(
        np.clip(0.1 * (chi(pc - rc) - chi(pr - rr)), -10, 10)
    ),
    "rpo": lambda pc, pr, rc, rr, a, b, h: ell(0.5 * (pc - rc - pr + rr)) - 0.2 * 0.5 * pc / a,
    "rpo_summed": lambda pc, pr, rc, rr, a, b, h: ell(0.5 * (pc - rc - pr + rr)) - 0.005 * 0.5 * pc,
    "asft": lambda pc, pr, rc, rr, a, b, h: asft(np.exp(pc / a), np.exp(pr / b)),
    "orpo": lambda pc, pr, rc, rr, a, b, h: orpo(np.exp(pc / a), np.exp(pr / b)),
}
OF_TWO = ("cal_dpo", "cal_dpo_released", "dpo_shift", "chi_po", "rpo", "rpo_summed", "asft", "orpo")
FITTED = ("reward_aware_backward", "reward_aware_forward", "reward_aware_squared")
named = pytest.mark.parametrize("name", TEXTBOOK)


def textbook(name, b):
    """(losses, slopes in the policy's two log-probabilities), in extended precision."""
    columns = [b[n].astype(np.longdouble) for n in (*LOGPS, "chosen_lengths", "rejected_lengths")]
    columns.append(b["margin"].astype(np.longdouble))
    slopes, step = [], np.longdouble(1e-6)  # squared against the third derivative: 1e-12
    for k in (0, 1):
        around = [
            TEXTBOOK[name](*(c + s * step * (i == k) for i, c in enumerate(columns)))
            for s in (1, -1)
        ]
        slopes.append((around[0] - around[1]) / (2 * step))
    return TEXTBOOK[name](*columns), slopes


@named
def test_value_and_gradient_are_the_textbooks(name):
    b = batch()
    expected, slopes = textbook(name, b)
    found = getattr(losses, name)(**given(name, b))
    # log(1 - p) of a p near 1 loses digits in the textbook, as do squares of 250 in the slopes
    assert_allclose(found[0], expected.astype(float), rtol=1e-13, atol=1e-15)
    tensors = {
        n: None if v is None else torch.tensor(v, requires_grad=n in LOGPS)
        for n, v in given(name, b).items()
    }
    loss = getattr(losses, name)(**tensors)[0]
    assert_allclose(loss.detach().numpy(), found[0], rtol=1e-14, atol=1e-16)
    gradient = torch.autograd.grad(loss.sum(), [tensors[n] for n in LOGPS[:2]])
    for ours, theirs in zip(gradient, slopes, strict=True):
        assert_allclose(ours.numpy(), theirs.astype(float), rtol=1e-8, atol=1e-10)


@named
def test_rewards_are_beta_times_what_the_loss_sees(name):
    b, cls = batch(), METHODS[name]
    _, *rewards = getattr(losses, name)(**given(name, b))
    for side, reward in zip(("chosen", "rejected"), rewards, strict=True):
        rho = b[f"policy_{side}_logps"]
        rho = rho - b[f"reference_{side}_logps"] if "reference" in cls.needs else rho
        rho = rho / b[f"{side}_lengths"] if cls.per_token else rho
        assert_allclose(reward, cls().beta * rho, rtol=1e-15)


def as_kind(kind, values):
    return {n: None if v is None else kind(float(v)) for n, v in values.items()}


@named
def test_one_pair_in_every_number_world(name):
    method, pair = METHODS[name](), {n: v[3] for n, v in batch().items()}
    asked = given(name, pair)
    exactly = replace(method, **as_kind(sp.Rational, settings_of(method)))
    with ctx.workprec(200):
        ball = method(**as_kind(arb, asked))[0]
        number = arb(str(sp.N(exactly(**as_kind(sp.Rational, asked))[0], 50)))
        assert abs(ball - number) < arb("1e-40") * (1 + abs(ball))
        assert abs(float(ball) - method(**asked)[0]) <= 1e-13 * abs(float(ball)) + 1e-15
        # and its slope, as a power series in the chosen response's log-probability
        chosen = {LOGPS[0]: arb_series([asked[LOGPS[0]], 1], prec=2)}
        series = method(**as_kind(arb, asked) | chosen)[0]
    _, (slope, _) = textbook(name, {n: np.array([v]) for n, v in pair.items()})
    assert abs(float(series[1]) - float(slope[0])) <= 1e-8 * abs(float(slope[0])) + 1e-10


@named
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_extreme_log_probabilities_stay_finite(name, dtype):
    b = batch(4)
    b |= dict.fromkeys(LOGPS, np.full(4, -1e-2))
    b["policy_chosen_logps"] = np.array([-1e4, -1e-2, -1e4, -3.0])
    b["policy_rejected_logps"] = np.array([-1e-2, -1e4, -1e4, -3.0])
    b["reference_chosen_logps"] = np.array([-1.0, -1e4, -1e4, -3.0])
    b["margin"] = np.array([1e4, -1e4, 0.0, -2.0])
    tensors = {
        n: None if v is None else torch.tensor(v, dtype=dtype, requires_grad=n in LOGPS)
        for n, v in given(name, b).items()
    }
    loss = getattr(losses, name)(**tensors)[0]
    gradient = torch.autograd.grad(loss.sum(), [tensors[n] for n in LOGPS[:2]])
    assert torch.isfinite(loss).all() and loss.dtype is dtype
    assert all(torch.isfinite(slope).all() for slope in gradient)


# ------------------------------------------------------------------------------------ limits


def dpo(b, beta=0.1):
    return losses.dpo(**given("dpo", b), beta=beta)[0]


@pytest.mark.parametrize(
    ("name", "settings", "beta"),
    [
        ("odpo", {"alpha": 0.0}, 0.1),
        ("rso_sigmoid_norm", {"beta": 0.3}, 0.3),
        ("dpo_shift", {"lam": 1.0}, 0.1),
        ("rpo", {"eta": 0.0}, 0.5),
        ("rpo_summed", {"eta": 0.0}, 0.5),
    ],
)
def test_at_a_setting_it_is_dpo(name, settings, beta):
    b = batch()
    found = getattr(losses, name)(**given(name, b), **settings)[0]
    assert_allclose(found, dpo(b, beta), rtol=1e-14)


def test_the_logarithm_as_link_is_dpo():
    """chi-PO of phi = log: gamma without end, beta gamma kept."""
    b = batch()
    b["policy_chosen_logps"] = b["reference_chosen_logps"] + np.linspace(-9, 3, 12)
    b["policy_rejected_logps"] = b["reference_rejected_logps"] + np.linspace(2, -7, 12)
    settings = {"gamma": 1e9, "beta": 0.1e-9, "r_max": 1e3}
    found = losses.chi_po(**given("chi_po", b), **settings)[0]
    assert_allclose(found, dpo(b), rtol=1e-8)  # u is below e^3, and weighs a billionth
    clipped = losses.chi_po(**given("chi_po", b), **settings | {"r_max": 0.25})[0]
    m = np.linspace(-9, 3, 12) - np.linspace(2, -7, 12)
    assert_allclose(clipped, np.log1p(np.exp(-np.clip(0.1 * m, -0.5, 0.5))), rtol=1e-8)


@pytest.mark.parametrize("name", ["asft", "orpo"])
def test_without_its_pair_term_it_is_likelihood(name):
    b = batch()
    found = getattr(losses, name)(**given(name, b), lam=0.0)[0]
    assert_allclose(found, -b["policy_chosen_logps"] / b["chosen_lengths"], rtol=1e-15)


def test_rsos_hinges_are_the_hinge():
    b = batch()
    hinge = losses.hinge(**given("hinge", b), beta=0.05)[0]
    assert_allclose(losses.hinge_norm(**given("hinge_norm", b))[0], hinge, rtol=0)
    free = losses.hinge(*(b[n] for n in LOGPS[:2]), *np.zeros((2, 12)), beta=0.05)[0]
    assert_allclose(losses.rso_hinge(**given("rso_hinge", b))[0], free, rtol=0)


def test_cal_dpo_is_dpo_at_beta_1_and_two_squares():
    b = batch()
    whole = losses.cal_dpo(**given("cal_dpo", b), beta=0.05)[0]
    half = losses.cal_dpo_released(**given("cal_dpo", b), beta=0.05)[0]
    assert_allclose(2 * half - whole, dpo(b, beta=1.0), rtol=1e-9, atol=1e-10)  # of squares of 40
    assert (whole > half).all()


def test_a_weak_annotators_label_counts_and_not_the_observed_one():
    b = batch()
    found = losses.cw_po(**given("cw_po", b))[0]
    swapped = {n: b[n.replace("chosen", "x").replace("rejected", "chosen").replace("x", "rejected")]
               for n in LOGPS}  # fmt: skip
    assert_allclose(losses.cw_po(**swapped, margin=-b["margin"])[0], found, rtol=1e-15)
    agreed = b["margin"] > 0
    weighted = np.tanh(b["margin"] / 2) * dpo(b)
    assert_allclose(found[agreed], weighted[agreed], rtol=1e-14)
    assert losses.cw_po(**given("cw_po", b | {"margin": np.zeros(12)}))[0].tolist() == [0.0] * 12


# ----------------------------------------------------------------------------------- targets

TRUE = np.array([-3.0, -0.4, 0.0, 0.9, 5.0])
MODEL = np.array([1.5, -2.0, 0.7, -0.3, 4.0])  # wrong, in sign too


@pytest.mark.parametrize("alpha", [0.0, 0.5, 3.0])
def test_odpo_amplifies_by_one_factor_and_imports_errors(alpha):
    """C1: h* + alpha h; with an exact model DPO at beta/(1 + alpha)."""
    method = METHODS["odpo"](alpha)
    assert_allclose(method.target(TRUE, MODEL), TRUE + alpha * MODEL, rtol=1e-14)
    rewards = torch.tensor([[0.0, 0.8, -1.1, 2.0]], dtype=torch.float64)
    h = rewards[:, :, None] - rewards[:, None, :]
    problem = PairProblem(torch.sigmoid(h) * (1 - torch.eye(4)), h)
    found, plain = solve(method, problem), solve(Dpo(beta=0.1 / (1 + alpha)), problem)
    error = found.error_bound / 0.1 + plain.error_bound * (1 + alpha) / 0.1
    assert (found.m - plain.m).norm() <= error + 1e-12


@pytest.mark.parametrize("weighting", [ConfidenceWeight(), RewardMagnitudeWeight()], ids=repr)
def test_even_weights_move_no_target(weighting):
    assert Madpo(weighting).target(TRUE, MODEL).tolist() == TRUE.tolist()


def test_a_label_believed_as_the_model_does_is_dpo_at_half_the_temperature():
    assert_allclose(Madpo(RewardProbabilityWeight()).target(TRUE), 2 * TRUE, rtol=1e-15)
    found = Madpo(RewardProbabilityWeight()).target(TRUE, MODEL)
    assert_allclose(found, TRUE + MODEL, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize("eta", [0.5, 1.0, 2.0])
def test_a_fit_to_the_reward_model_asks_no_label(name, eta):
    method = METHODS[name](eta)
    assert_allclose(method.target(TRUE, MODEL), eta * MODEL, rtol=1e-15)
    # the risk's own slope, and not the closed form: bisected to 1e-16 of its scale
    assert_allclose(searched_target(numpy_world, TRUE, MODEL, method), eta * MODEL, atol=1e-12)
    assert_allclose(method.margin_loss(numpy_world, eta * MODEL, MODEL), 0, atol=1e-16)


@dataclass(frozen=True)
class Straight(Weighting):
    """T(h) = eta h."""

    eta: float

    def log_weight(self, xp, h):
        return (self.eta - 1) * h / 2


@pytest.mark.parametrize("eta", [0.5, 2.0])
def test_distillation_is_the_backward_divergence_and_the_labels_entropy(eta):
    b = batch()
    distilled = Distillation(Straight(eta))(**given("distillation", b))[0]
    p = expit(eta * b["margin"])
    entropy = -p * np.log(p) - (1 - p) * np.log(1 - p)
    backward = METHODS["reward_aware_backward"](eta)(**given("reward_aware_backward", b))[0]
    assert_allclose(distilled - entropy, backward, rtol=1e-11, atol=1e-14)


def test_the_forward_divergence_hardly_pushes_what_is_far_off():
    """sigma(z) sigma(-z) (z - eta h): at h = 1 the pair at z = -20 gets less than that at -1."""
    method = METHODS["reward_aware_forward"]()
    z = torch.tensor([-20.0, -1.0], dtype=torch.float64, requires_grad=True)
    loss = method.margin_loss(torch_world, z, torch.ones(2, dtype=torch.float64))
    (slope,) = torch.autograd.grad(loss.sum(), z)
    expected = torch.sigmoid(z) * torch.sigmoid(-z) * (z - 1)
    torch.testing.assert_close(slope, expected, rtol=1e-14, atol=1e-15)  # two terms cancel
    assert abs(slope[0]) < 1e-6 * abs(slope[1])


def test_the_scaled_loss_is_dpo_with_the_weight_of_magnitude():
    b = batch()
    found = Madpo(RewardMagnitudeWeight())(**given("madpo", b))[0]
    assert_allclose(found, abs(b["margin"]) * dpo(b), rtol=1e-14)


def test_certain_labels_and_signs():
    cw_po, hinge = METHODS["cw_po"](), METHODS["rso_hinge"]()
    assert cw_po.target(TRUE, MODEL).tolist() == (np.sign(MODEL) * math.inf).tolist()
    # no loss at all; said to be where even weights leave it
    assert cw_po.target(0.5, 0.0) == pytest.approx(0.5, rel=1e-15)
    assert hinge.target(TRUE).tolist() == np.sign(TRUE).tolist()
    assert METHODS["hinge_norm"]().target(TRUE).tolist() == Hinge().target(TRUE).tolist()
    assert_allclose(METHODS["rso_sigmoid_norm"]().target(TRUE), TRUE)


# ------------------------------------------------------- losses of two log-ratios, on a table


@pytest.mark.parametrize("name", OF_TWO)
def test_a_loss_of_two_log_ratios_has_no_target_but_a_table(name):
    """Two responses, a token each: the risk by the textbook, a function of the policy's odds."""
    method = METHODS[name](beta=0.4) if name.startswith("cal") else METHODS[name]()
    with pytest.raises(TypeError, match=f"{type(method).__name__} has no target"):
        method.target(1.0)
    p, reference = expit(1.2), np.array([0.6, 0.4])
    labels = torch.tensor([[[0, p], [1 - p, 0]]], dtype=torch.float64)
    found = solve(method, PairProblem(labels, reference=torch.tensor(reference)[None]))
    assert found.converged.all()
    if name.startswith("cal"):  # the textbook's default beta leaves no digits: 1/(2 beta) = 1.25
        share = 1.0 if name == "cal_dpo" else 0.5

        def loss(pc, pr, rc, rr, *_):
            return ell(pc - rc - pr + rr) + share * ((pc - rc - 1.25) ** 2 + (pr - rr + 1.25) ** 2)
    else:
        loss = TEXTBOOK[name]

    def risk(odds):
        policy = np.log(expit(np.array([odds, -odds])))
        logs = np.array([*policy, *np.log(reference)])
        won, lost = loss(*logs, 1, 1, 0.0), loss(*logs[[1, 0, 3, 2]], 1, 1, 0.0)
        return p * won + (1 - p) * lost

    odds = minimize_scalar(risk, bracket=(-1, 1), tol=1e-12).x
    policy = torch.softmax(found.m + torch.tensor(reference).log(), 1)
    # a minimum of floats is flat to the root of their precision
    assert float(policy[0, 0].logit()) == pytest.approx(odds, abs=1e-6)


@pytest.mark.parametrize("name", OF_TWO)
def test_the_gradient_of_the_loss_that_trains_vanishes(name):
    """Four responses and a reference that is not uniform, by the face and torch's gradient."""
    rng = np.random.default_rng(5)
    labels = torch.tensor(rng.uniform(1, 9, (4, 4)) * (1 - np.eye(4)))
    reference = torch.tensor(rng.dirichlet(np.ones(4)))
    method = replace(METHODS[name](), beta=0.3)
    found = solve(method, PairProblem(labels[None], reference=reference[None]))
    assert found.converged.all() and (found.error_bound < 1e-6).all()
    shift = found.m[0].clone().requires_grad_()
    policy = torch.log_softmax(reference.log() + shift, 0)
    won, lost = labels.nonzero(as_tuple=True)
    one = torch.ones(12, dtype=torch.float64)
    given = {"chosen_lengths": one, "rejected_lengths": one}
    asked = {n: v for n, v in given.items() if n in method.arguments()}
    logps = [side[index] for side in (policy, reference.log()) for index in (won, lost)]
    loss = (labels[won, lost] * method(*logps, **asked)[0]).sum()
    (slope,) = torch.autograd.grad(loss, shift)
    assert slope.abs().max() < 1e-8  # the solver's 1e-10 of the largest pair's mass, 18


def test_only_the_shifted_loss_pulls_mass_to_the_pair():
    """Of three responses two are compared: DPO leaves the third alone, DPO-Shift takes from it."""
    labels = torch.zeros((1, 3, 3), dtype=torch.float64)
    labels[0, 0, 1], labels[0, 1, 0] = 0.8, 0.2
    drift = []
    for lam in (1.0, 0.8):
        pair = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        loss = METHODS["dpo_shift"](lam).pair_loss(torch_world, pair[:1], pair[1:], None)
        drift.append(float(torch.autograd.grad(loss.sum(), pair)[0].sum()))
    assert drift[0] == 0 and drift[1] == pytest.approx(-0.1 / 2 * 0.2)


# ------------------------------------------------------------------ log(1 - e^x), and refusals


def test_the_other_probability_is_right_at_both_ends():
    x = -np.concatenate([10.0 ** np.linspace(-300, 2.8, 400), [math.log(2), 0.6931, 0.6932]])
    found = log1mexp(numpy_world, x)
    with mp.workdps(400):
        exact = [mp.log(1 - mp.exp(mp.mpf(v))) for v in x]
    errors = [abs(mp.mpf(v) - e) / abs(e) for v, e in zip(found, exact, strict=True) if e > -1e308]
    assert max(errors) < 4e-16  # two ulps
    held = torch.tensor(x, requires_grad=True)
    value = log1mexp(torch_world, held)
    assert_allclose(value.detach().numpy(), found, rtol=1e-15)
    (slope,) = torch.autograd.grad(value.sum(), held)
    assert_allclose(slope.numpy(), 1 / -np.expm1(-x), rtol=1e-15)  # -e^x/(1 - e^x)
    for world, zero in ((numpy_world, np.zeros(2)), (torch_world, torch.zeros(2))):
        assert log1mexp(world, zero).tolist() == [-math.inf] * 2


@pytest.mark.parametrize(
    ("name", "settings", "rule"),
    [
        ("odpo", {"alpha": -0.1}, "alpha = -0.1 breaks the rule alpha >= 0"),
        ("reward_aware_backward", {"eta": 0.0}, "eta = 0.0 breaks the rule eta > 0"),
        ("reward_aware_forward", {"eta": -1.0}, "eta = -1.0 breaks the rule eta > 0"),
        ("reward_aware_squared", {"eta": math.inf}, "eta must be finite and real, got inf"),
        ("cal_dpo", {"beta": 0.0}, "beta = 0.0 breaks the rule beta > 0"),
        ("dpo_shift", {"lam": 0.0}, "lam = 0.0 breaks the rule 0 < lam <= 1"),
        ("dpo_shift", {"lam": 1.1}, "lam = 1.1 breaks the rule 0 < lam <= 1"),
        ("chi_po", {"gamma": 0.0}, "gamma = 0.0 breaks the rule gamma > 0"),
        ("chi_po", {"r_max": 0.0}, "r_max = 0.0 breaks the rule r_max > 0"),
        ("rpo", {"eta": -0.1}, "eta = -0.1 breaks the rule eta >= 0"),
        ("rpo_summed", {"eta": -0.1}, "eta = -0.1 breaks the rule eta >= 0"),
        ("asft", {"lam": -0.1}, "lam = -0.1 breaks the rule lam >= 0"),
        ("orpo", {"lam": -0.1}, "lam = -0.1 breaks the rule lam >= 0"),
        ("rso_hinge", {"beta": -1.0}, "beta = -1.0 breaks the rule beta > 0"),
    ],
)
def test_settings_out_of_range_are_refused(name, settings, rule):
    with pytest.raises(ValueError, match=rule):
        METHODS[name](**settings)
