"""Losses that watch the batch or the policy: textbook formulas, what the gradient sees, limits."""

import math
from dataclasses import fields
from inspect import signature

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from ours import METHODS
from scipy.special import expit, logsumexp

from madpo_theory import losses
from madpo_theory.align.config import AlignConfig
from madpo_theory.align.methods import methods_of
from madpo_theory.methods import Pairs
from madpo_theory.methods.bmc import bmc_weights
from madpo_theory.methods.watching import Watching
from madpo_theory.ops import torch_world
from madpo_theory.simulate import PairProblem, solve

WATCHING = {name: cls for name, cls in METHODS.items() if issubclass(cls, Watching)}
OF_PAIRS = {name: cls for name, cls in WATCHING.items() if "token" not in cls.needs}
OF_TOKENS = sorted(set(WATCHING) - set(OF_PAIRS))
LOGPS = ("policy_chosen_logps", "policy_rejected_logps", "reference_chosen_logps",
         "reference_rejected_logps")  # fmt: skip


def ell(z):
    return np.logaddexp(0, -z)


def batch(size=12, seed=0, shift=0.0):
    """Arguments by name: log-probabilities of responses of 3 to 40 tokens, a nat or so a token.

    `shift` is added to the chosen responses' mean log-probabilities.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 41, (2, size)).astype(float)
    policy = -lengths * rng.uniform(0.5, 2.0, (2, size))
    policy[0] += shift * lengths[0]
    reference = policy + rng.normal(0, 3, (2, size))
    return dict(zip(LOGPS, (*policy, *reference), strict=True)) | {
        "chosen_lengths": lengths[0],
        "rejected_lengths": lengths[1],
    }


def per_token(b):
    """log pi(chosen)/|chosen| - log pi(rejected)/|rejected|."""
    chosen = b["policy_chosen_logps"] / b["chosen_lengths"]
    return chosen - b["policy_rejected_logps"] / b["rejected_lengths"]


def implicit(b):
    """m, nats."""
    chosen = b["policy_chosen_logps"] - b["reference_chosen_logps"]
    return chosen - (b["policy_rejected_logps"] - b["reference_rejected_logps"])


# ------------------------------------------------------------------------- textbook formulas
# Each gives (u, held): what the loss sees of the policy, and what it holds, such that a pair's loss
# is weight * l(u - offset) + constant.


def amapo(b, beta=2.0):
    r = beta * per_token(b)
    mean, spread = np.mean(r), np.std(r, ddof=1)
    gamma = np.maximum((mean - r) / spread * mean, 0)
    return r, {"offset": np.where(gamma > 0, beta * np.exp(gamma), 0)}


def amapo_released(b, beta=2.0):
    m = per_token(b)
    mean, spread = np.mean(m), np.std(m, ddof=1)
    return beta * m, {"offset": np.where(m < mean, beta * np.exp((mean - m) / spread * mean), 0)}


def alpha_dpo(b, beta=2.5, alpha=0.5, gamma=1.5, running_mean=0.0, running_std=1.0):
    reference = {
        f"policy_{side}_logps": b[f"reference_{side}_logps"] for side in ("chosen", "rejected")
    }
    margin = beta * (per_token(b) - per_token(b | reference))
    return beta * per_token(b), {"offset": gamma + alpha * (margin - running_mean) / running_std}


def dr_dpo(b, beta=0.1, beta_prime=1.0):
    z = beta * implicit(b)
    weight = len(z) * np.exp(-ell(z) / beta_prime - logsumexp(-ell(z) / beta_prime))
    return z, {"weight": weight, "constant": beta_prime * np.mean(weight * np.log(weight))}


def kldpo(b, beta=0.1, tau=1.0):
    z = beta * implicit(b)
    return z, {"weight": np.minimum(np.exp((ell(z) - ell(z).mean()) / tau), 10)}


def gamma_po(b, beta=0.1, gamma=0.5, tau=1.0):
    z = beta * implicit(b)
    n, p = len(z), np.full(len(z), 1 / len(z))
    for _ in range(20):
        margins = gamma * n * p
        slope = tau * (1 + np.log(n * p)) + gamma * n / (1 + np.exp(z - margins)) / n
        p = p * np.exp(-min(0.5 / tau, 1) * slope)
        p = p / p.sum()
    return z, {"offset": margins - gamma}


def wpo(b, beta=0.1):
    chosen = b["policy_chosen_logps"] / b["chosen_lengths"]
    rejected = b["policy_rejected_logps"] / b["rejected_lengths"]
    return beta * implicit(b), {"weight": np.minimum(1, np.exp(chosen + rejected))}


TEXTBOOK = {
    "amapo": (amapo, {}),
    "amapo of beta 3": (amapo, {"beta": 3.0}),
    "amapo_released": (amapo_released, {}),
    "amapo_released of beta 0.7": (amapo_released, {"beta": 0.7}),
    "alpha_dpo": (alpha_dpo, {}),
    "alpha_dpo of a batch": (alpha_dpo, {"alpha": 0.3, "running_mean": 0.4, "running_std": 0.6}),
    "dr_dpo": (dr_dpo, {}),
    "dr_dpo of beta_prime 0.2": (dr_dpo, {"beta_prime": 0.2, "beta": 0.3}),
    "kldpo": (kldpo, {}),
    "kldpo, clamped": (kldpo, {"tau": 0.02}),
    "gamma_po": (gamma_po, {}),
    "gamma_po of tau 0.3": (gamma_po, {"tau": 0.3, "gamma": 2.0, "beta": 0.5}),
    "wpo": (wpo, {}),
}


def given(name, b):
    """What a loss asks for; of the other log-probabilities None."""
    return dict.fromkeys(LOGPS) | {argument: b[argument] for argument in OF_PAIRS[name].arguments()}


def as_tensors(arguments, **options):
    return {n: None if v is None else torch.tensor(v, **options) for n, v in arguments.items()}


def textbook(formula, b, settings, held=None):
    u, now = formula(b, **settings)
    held = now if held is None else held
    return held.get("weight", 1) * ell(u - held.get("offset", 0)) + held.get("constant", 0)


def test_every_loss_of_pairs_has_its_textbook_formula():
    assert {name.split()[0].rstrip(",") for name in TEXTBOOK} == set(OF_PAIRS)


@pytest.mark.parametrize("case", TEXTBOOK)
@pytest.mark.parametrize("shift", [-0.8, 0.8])  # batches that are ranked wrong, and right
def test_value_and_gradient_are_the_formulas(case, shift):
    """In NumPy and torch; the gradient is that of the formula with what is held frozen."""
    formula, settings = TEXTBOOK[case]
    name, b = formula.__name__, batch(seed=3, shift=shift)
    expected = textbook(formula, b, settings)
    found, *_ = getattr(losses, name)(**given(name, b), **settings)
    assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    tensors = as_tensors(given(name, b), requires_grad=True)
    loss, chosen, rejected = getattr(losses, name)(**tensors, **settings)
    assert_allclose(loss.detach(), expected, rtol=1e-12, atol=1e-14)
    assert not chosen.requires_grad and not rejected.requires_grad
    _, held = formula(b, **settings)
    names = LOGPS[:2]
    slopes = torch.autograd.grad(loss.mean(), [tensors[n] for n in names])
    step = 1e-5
    for logps, slope in zip(names, slopes, strict=True):
        up, down = (
            textbook(formula, b | {logps: b[logps] + s * step}, settings, held) for s in (1, -1)
        )
        # A central difference errs by step^2 of a third derivative below 1, and by ulps over step.
        assert_allclose(slope, (up - down) / (2 * step) / len(up), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", OF_PAIRS)
def test_the_order_of_a_batch_does_not_matter(name):
    b, order = batch(), np.random.default_rng(1).permutation(12)
    found = getattr(losses, name)(**given(name, b))[0]
    turned = getattr(losses, name)(**given(name, {n: v[order] for n, v in b.items()}))[0]
    assert_allclose(turned, found[order], rtol=1e-12)  # sums of the batch round otherwise


@pytest.mark.parametrize("name", OF_PAIRS)
def test_half_types_are_computed_in_single(name):
    b = as_tensors(given(name, batch(6)), dtype=torch.bfloat16)
    found = getattr(losses, name)(**b)[0]
    again = getattr(losses, name)(**{n: v if v is None else v.float() for n, v in b.items()})[0]
    assert found.dtype is torch.bfloat16 and torch.equal(found, again.bfloat16())


# ------------------------------------------------------------------------------------ limits


def dpo(b, beta=0.1):
    return ell(beta * implicit(b))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("dr_dpo", {"beta_prime": 1e9}),
        ("kldpo", {"tau": 1e9}),
        ("gamma_po", {"tau": 1e9}),
        ("gamma_po", {"gamma": 0.0}),
    ],
)
def test_at_a_limit_it_is_dpo(name, settings):
    b = batch()
    found = getattr(losses, name)(**given(name, b), **settings)[0]
    assert_allclose(found, dpo(b), rtol=1e-8)  # weights and margins move by 1e-9 of the losses


@pytest.mark.parametrize("name", ["dr_dpo", "kldpo", "gamma_po"])
def test_a_single_pair_is_dpos(name):
    b = batch(1)
    assert_allclose(getattr(losses, name)(**given(name, b))[0], dpo(b), rtol=1e-15)


def test_alpha_0_is_simpo():
    b = batch()
    found = losses.alpha_dpo(**given("alpha_dpo", b), alpha=0.0, beta=2.0, gamma=0.7)
    simpo = losses.simpo(
        *(b[n] for n in LOGPS[:2]), None, None, beta=2.0, gamma=0.7,
        chosen_lengths=b["chosen_lengths"], rejected_lengths=b["rejected_lengths"],
    )  # fmt: skip
    for ours, theirs in zip(found, simpo, strict=True):
        assert_allclose(ours, theirs, rtol=1e-14)


def test_the_mean_is_dr_dpos_own_loss():
    b = batch()
    z = 0.1 * implicit(b)
    for beta_prime in (0.05, 1.0, 30.0):
        found = losses.dr_dpo(**given("dr_dpo", b), beta_prime=beta_prime)[0].mean()
        expected = -beta_prime * np.log(np.mean(np.exp(-ell(z) / beta_prime)))
        assert found == pytest.approx(expected, rel=1e-12)


def test_the_gradient_of_dr_dpo_needs_nothing_held():
    """Its weights are those of a minimum: the formula whole has the same gradient."""
    b = as_tensors(given("dr_dpo", batch()), requires_grad=True)
    (found,) = torch.autograd.grad(
        losses.dr_dpo(**b, beta_prime=0.3)[0].mean(), b["policy_chosen_logps"]
    )
    single = losses.dpo(**b)[0]
    whole = -0.3 * (torch.logsumexp(-single / 0.3, 0) - math.log(12))
    (expected,) = torch.autograd.grad(whole, b["policy_chosen_logps"])
    assert_allclose(found, expected, rtol=1e-12, atol=1e-16)


def pushes(name, b, **settings):
    """-d (sum of the losses)/dz of each pair over DPO's sigma(-z), z = beta m."""
    tensors = as_tensors(given(name, b), requires_grad=True)
    loss = getattr(losses, name)(**tensors, beta=0.1, **settings)[0].sum()
    (slope,) = torch.autograd.grad(loss, tensors["policy_chosen_logps"])
    return -slope.numpy() / 0.1 / expit(-0.1 * implicit(b))


def test_dr_dpo_trusts_pairs_of_low_loss_and_kldpo_of_high_loss():
    b = batch()
    order = np.argsort(dpo(b))
    friendly, unfriendly = pushes("dr_dpo", b), pushes("kldpo", b)
    assert (np.diff(friendly[order]) < 0).all() and (np.diff(unfriendly[order]) > 0).all()
    assert friendly[order[0]] > 1 > friendly[order[-1]]
    assert unfriendly[order[0]] < 1 < unfriendly[order[-1]]


def test_gamma_po_gives_confident_pairs_the_larger_margin_and_all_of_them_their_mean():
    b = batch()
    z = np.sort(0.1 * implicit(b))
    offset = gamma_po(b)[1]["offset"][np.argsort(implicit(b))]
    assert (np.diff(offset) > 0).all()
    assert offset.mean() == pytest.approx(0, abs=1e-14)
    # 19 steps have come to where the KL and the pull balance: p_i ~ e^(-gamma sigma/tau)
    pull = 0.5 * expit(offset + 0.5 - z)
    log_shares = np.log1p(offset / 0.5)
    assert_allclose(log_shares + pull, np.mean(log_shares + pull), atol=1e-5)


def test_kldpos_weights_end_at_10():
    b = batch(shift=0.0)
    b["policy_rejected_logps"] = b["policy_rejected_logps"] + np.eye(12)[0] * 80  # one lost pair
    assert pushes("kldpo", b, tau=0.5).max() == pytest.approx(10, rel=1e-12)


# ------------------------------------------------------------------------------------- AMaPO


def test_amapos_margin_is_at_beta_or_above_and_the_released_one_below_where_ranking_fails():
    for shift, hard in ((0.8, True), (-0.8, False)):
        b = batch(40, shift=shift)
        m = per_token(b)
        paper, released = amapo(b)[1]["offset"], amapo_released(b)[1]["offset"]
        below = m < m.mean()
        assert (m.mean() > 0) == hard
        assert ((paper > 0) == (below if hard else ~below)).all()
        assert ((released > 0) == below).all() and (paper[paper > 0] > 2.0).all()
        growing = np.diff(released[below][np.argsort(m[below])])
        assert (growing < 0).all() if hard else (growing > 0).all()
        assert hard or released.max() < 2.0


@pytest.mark.parametrize("name", ["amapo", "amapo_released"])
@pytest.mark.parametrize("value", [0.1, -0.3, 0.0])
def test_margins_all_alike_have_no_margin_to_exceed(name, value):
    b = batch(3)
    b |= dict.fromkeys(LOGPS[1:2], np.full(3, -10.0)) | {"rejected_lengths": np.full(3, 10.0)}
    b |= {"policy_chosen_logps": np.full(3, (value - 1) * 7), "chosen_lengths": np.full(3, 7.0)}
    found = getattr(losses, name)(**given(name, b), beta=1.0)[0]
    assert_allclose(found, ell(per_token(b)), rtol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_an_exponent_that_overflows_still_pushes_by_1(dtype):
    b = as_tensors(given("amapo", batch(30, shift=9.0)), dtype=dtype)
    b["policy_rejected_logps"][0] *= 1e-3
    b["policy_chosen_logps"][0] -= 2000.0
    b["policy_chosen_logps"].requires_grad_()
    loss = losses.amapo(**b, beta=9.0)[0]
    (slope,) = torch.autograd.grad(loss[0], b["policy_chosen_logps"])
    assert torch.isfinite(loss).all() and loss[0] > 1e30
    assert -slope[0] == pytest.approx(float(9.0 / b["chosen_lengths"][0]), rel=1e-6)


# ---------------------------------------------------------------------------- in training


def torch_pairs(b):
    names = [*LOGPS, "margin", "chosen_lengths", "rejected_lengths"]
    b = b | {"margin": np.zeros(len(b["chosen_lengths"]))}
    return Pairs(*(torch.tensor(b[n]) for n in names))


@pytest.mark.parametrize("name", OF_PAIRS)
def test_training_takes_the_mean_and_remembers_what_a_plain_loop_would(name):
    method = OF_PAIRS[name]()
    state, mean, std = method.start(), 0.0, 0.0
    for seed in range(5):
        b = batch(8, seed)
        loss, state, numbers = method.train_loss(torch_pairs(b), state=state, generator=None)
        settings = {}
        if name == "alpha_dpo":
            _, held = alpha_dpo(b, alpha=1.0, gamma=0.0)
            mean = 0.9 * mean + 0.1 * held["offset"].mean()
            std = 0.9 * std + 0.1 * held["offset"].std(ddof=1)
            settings = {"running_mean": mean, "running_std": std}
        formula, _ = TEXTBOOK[name]
        assert state == pytest.approx(settings, rel=1e-12) and numbers == state
        assert loss.item() == pytest.approx(textbook(formula, b, settings).mean(), rel=1e-12)


def test_the_first_batch_of_alpha_dpo_is_standardized_ten_times_over():
    """Averages from 0 without bias correction: (M - mean/10)/(std/10)."""
    b, method = batch(8), OF_PAIRS["alpha_dpo"]()
    _, state, _ = method.train_loss(torch_pairs(b), state=method.start(), generator=None)
    _, held = alpha_dpo(b, alpha=1.0, gamma=0.0, **state)
    assert held["offset"].std(ddof=1) == pytest.approx(10, rel=1e-12)


def test_alpha_dpo_starts_at_the_reference_as_simpo():
    b, method = batch(8), OF_PAIRS["alpha_dpo"]()
    b |= {f"reference_{s}_logps": b[f"policy_{s}_logps"] for s in ("chosen", "rejected")}
    loss, state, _ = method.train_loss(torch_pairs(b), state=method.start(), generator=None)
    assert state == {"running_mean": 0.0, "running_std": 0.0}
    assert loss.item() == pytest.approx(ell(2.5 * per_token(b) - 1.5).mean(), rel=1e-14)


def test_alignments_own_alpha_and_tau_are_beta_dpos_and_the_schedules():
    config = AlignConfig(methods=("alpha_dpo", "kldpo", "beta_dpo", "madpo"), alpha=0.9, tau=5.0)
    made = {row.name: row.method for row in methods_of(config)}
    assert made["alpha_dpo"].alpha == 0.5 and made["kldpo"].tau == 1.0
    assert made["beta_dpo"].alpha == 0.9 and made["madpo"].weighting.schedule.tau == 5.0


# --------------------------------------------------------------------- a pair alone, a table


def test_only_held_statistics_leave_a_pair_a_target():
    for name, cls in WATCHING.items():
        if name != "alpha_dpo":
            with pytest.raises(TypeError, match=f"{cls.__name__} has no target.*watches the batch"):
                cls().target(0.5)
        with pytest.raises(TypeError, match=f"{cls.__name__} has no table: it watches"):
            solve(name, PairProblem(torch.tensor([[[0, 2.0], [1.0, 0]]])))


def test_the_target_of_alpha_dpo_is_where_its_slope_vanishes():
    """C5: T_g(h)/(1 - a), and none for a >= 1."""
    h = np.array([-4.0, -0.3, 0.0, 1.0, 6.0])
    made = OF_PAIRS["alpha_dpo"](alpha=0.3, gamma=0.8, running_mean=0.5, running_std=0.6)
    z, (won, lost) = made.target(h), (expit(h), expit(-h))

    def offset(z):
        return 0.8 + 0.3 * (z - 0.5) / 0.6

    # of the two labels' losses, each with the offset of its own side
    assert_allclose(won * expit(offset(z) - z), lost * expit(offset(-z) + z), rtol=1e-12)
    z = torch.tensor(z, requires_grad=True)
    won, lost = torch.tensor(won), torch.tensor(lost)
    risk = won * made.margin_loss(torch_world, z, 0) + lost * made.margin_loss(torch_world, -z, 0)
    assert_allclose(torch.autograd.grad(risk.sum(), z)[0], 0, atol=1e-15)  # ulps of a sigmoid
    without = OF_PAIRS["alpha_dpo"](alpha=0.6, running_std=0.6)
    assert without.target(h).tolist() == [-math.inf, -math.inf, 0, math.inf, math.inf]
    assert OF_PAIRS["alpha_dpo"](alpha=0.0, gamma=0.8).target(h).tolist() == pytest.approx(
        METHODS["simpo"](gamma=0.8).target(h).tolist(), rel=1e-15
    )


# ------------------------------------------------------------------------------------ tokens


def tokens(size=5, length=9, seed=0):
    """Log-probabilities of tokens, 0 after a response has ended, and which of them changed."""
    rng = np.random.default_rng(seed)
    there = np.arange(length) < rng.integers(4, length + 1, (2, size, 1))
    policy = -rng.exponential(0.8, (2, size, length)) * there
    reference = -rng.exponential(0.8, (2, size, length)) * there
    changed = (rng.random((2, size, length)) < 0.4) * 1.0
    names = (*LOGPS, "chosen_changed", "rejected_changed")
    return dict(zip(names, (*policy, *reference, *changed), strict=True))


def bmc_ratio(policy, reference, changed, delta, own):
    """Of one response, a token at a time."""
    total = 0.0
    for lp, ref, differs in zip(policy, reference, changed, strict=True):
        weight = 1 + min(math.exp(-lp), delta) if differs else 1
        other = (1 + min(math.exp(-ref), delta) if differs else 1) if own else weight
        total += weight * lp - other * ref
    return total


@pytest.mark.parametrize("name", OF_TOKENS)
@pytest.mark.parametrize("delta", [2.0, 1.3, 50.0])
def test_bmc_weighs_the_tokens_that_changed(name, delta):
    b = tokens()
    own = name == "bmc_released"
    sides = [
        [b[name.format(side)] for name in ("policy_{}_logps", "reference_{}_logps", "{}_changed")]
        for side in ("chosen", "rejected")
    ]
    rho = [
        np.array([bmc_ratio(*row, delta, own) for row in zip(*side, strict=True)]) for side in sides
    ]
    found = getattr(losses, name)(**b, delta=delta, beta=0.3)
    for value, expected in zip(
        found, (ell(0.3 * (rho[0] - rho[1])), 0.3 * rho[0], 0.3 * rho[1]), strict=True
    ):
        assert_allclose(value, expected, rtol=1e-12, atol=1e-14)
    tensors = as_tensors(b, requires_grad=True)
    loss, *_ = getattr(losses, name)(**tensors, delta=delta, beta=0.3)
    assert_allclose(loss.detach(), found[0], rtol=1e-14)
    (slope,) = torch.autograd.grad(loss.sum(), tensors["policy_chosen_logps"])
    weights = 1 + b["chosen_changed"] * np.minimum(np.exp(-b["policy_chosen_logps"]), delta)
    push = -0.3 * expit(-0.3 * (rho[0] - rho[1]))[:, None] * weights  # the weights are held
    assert_allclose(slope, push, rtol=1e-12)


@pytest.mark.parametrize("name", OF_TOKENS)
def test_bmc_without_extra_weight_is_dpo_of_the_sums(name):
    b = tokens()
    sums = [b[n].sum(-1) for n in LOGPS]
    plain = losses.dpo(*sums)
    for changes in ({"delta": 0.0}, {"chosen_changed": 0 * b["chosen_changed"],
                                     "rejected_changed": 0 * b["rejected_changed"]}):  # fmt: skip
        found = getattr(losses, name)(**(b | changes), beta=0.1)
        for value, expected in zip(found, plain, strict=True):
            assert_allclose(value, expected, rtol=1e-12, atol=1e-14)


def test_the_two_bmcs_agree_at_the_reference_and_nowhere_else():
    """At pi = pi_ref both have m = 0: the reference's own weights are then the policy's."""
    b = tokens()
    start = b | {f"reference_{s}_logps": b[f"policy_{s}_logps"] for s in ("chosen", "rejected")}
    for name in OF_TOKENS:
        loss, *rewards = getattr(losses, name)(**start)
        assert_allclose(loss, math.log(2), rtol=1e-15)
        assert not np.any(rewards)
    apart = losses.bmc(**b, beta=1.0)[1] - losses.bmc_released(**b, beta=1.0)[1]
    assert np.abs(apart).max() > 0.1


def test_a_token_as_unlikely_as_can_be_has_the_largest_weight():
    found = bmc_weights(np.array([-1e6, -0.1, -0.1]), np.array([1.0, 1.0, 0.0]), delta=2.0)
    assert_allclose(found, [3, 1 + math.exp(0.1), 1], rtol=1e-15)


@pytest.mark.parametrize("name", OF_TOKENS)
def test_alignment_says_what_a_loss_of_tokens_lacks(name):
    rule = f"method {name} takes log-probabilities of single tokens, which alignment does not keep"
    with pytest.raises(ValueError, match=rule):
        AlignConfig(methods=(name,))


# ---------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("name", "settings", "rule"),
    [
        ("amapo", {"beta": 0.0}, "beta = 0.0 breaks the rule beta > 0"),
        ("alpha_dpo", {"alpha": -1.0}, "alpha = -1.0 breaks the rule alpha >= 0"),
        ("alpha_dpo", {"gamma": -1.0}, "gamma = -1.0 breaks the rule gamma >= 0"),
        ("alpha_dpo", {"running_std": 0.0}, "running_std = 0.0 breaks the rule running_std > 0"),
        ("dr_dpo", {"beta_prime": 0.0}, "beta_prime = 0.0 breaks the rule beta_prime > 0"),
        ("kldpo", {"tau": -1.0}, "tau = -1.0 breaks the rule tau > 0"),
        ("gamma_po", {"gamma": -0.1}, "gamma = -0.1 breaks the rule gamma >= 0"),
        ("gamma_po", {"tau": 0.0}, "tau = 0.0 breaks the rule tau > 0"),
        ("bmc", {"delta": -0.1}, "delta = -0.1 breaks the rule delta >= 0"),
    ],
)
def test_settings_out_of_range_are_refused(name, settings, rule):
    with pytest.raises(ValueError, match=rule):
        METHODS[name](**settings)


@pytest.mark.parametrize("name", OF_PAIRS)
def test_an_empty_batch_is_refused(name):
    with pytest.raises(ValueError, match=r"at least one pair|takes two pairs"):
        getattr(losses, name)(**given(name, {n: v[:0] for n, v in batch().items()}))


def test_a_deviation_takes_two_pairs():
    b = batch(1)
    for name in ("amapo", "amapo_released"):
        with pytest.raises(ValueError, match=f"{name} divides by the standard .* two pairs, got 1"):
            getattr(losses, name)(**given(name, b))
    method = OF_PAIRS["alpha_dpo"]()
    with pytest.raises(ValueError, match="alpha_dpo divides by the standard deviation"):
        method.train_loss(torch_pairs(b), state=method.start(), generator=None)


def test_what_a_method_needs_is_named():
    with pytest.raises(ValueError, match="chosen_changed, rejected_changed must be given: Bmc"):
        METHODS["bmc"]()(*(tokens()[n] for n in LOGPS))


def test_which_losses_watch():
    """They have a batch's loss and no target, and no table's minimizer."""
    assert {name for name, cls in METHODS.items() if cls.watches} == {
        "alpha_dpo", "amapo", "amapo_released", "bmc", "bmc_released", "dr_dpo", "gamma_po",
        "kldpo", "wpo",
    }  # fmt: skip
    for name, cls in METHODS.items():
        assert not (cls.watches and cls().is_pair_loss), name


def test_what_leaves_pairs_out_is_a_setting_of_training_alone():
    assert {
        (name, field.name)
        for name, cls in METHODS.items()
        for field in fields(cls)
        if field.metadata.get("training")
    } == {("beta_dpo", "fraction"), ("beta_dpo_madpo", "fraction")}
    assert "fraction" not in signature(losses.beta_dpo).parameters
