"""Tables of any loss: known answers of every other path, derivatives, and what is not converged."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from strategies import floats
from torch.nn.functional import logsigmoid

from madpo_theory import MarginSchedule
from madpo_theory.losses import dpo, ipo, madpo
from madpo_theory.methods import Method
from madpo_theory.simulate import PairProblem, first_step, solve
from madpo_theory.simulate.solve.fits import Reason
from madpo_theory.simulate.solve.general import _Tables, minimize_general
from madpo_theory.simulate.solve.newton import minimize_tables, solve_laplacian
from madpo_theory.weights import weight

BETA = 0.1


def random_labels(count, size, seed, *, spread=1.0):
    rng = np.random.default_rng(seed)
    labels = np.exp(spread * rng.normal(size=(count, size, size)))
    return torch.tensor(labels * (1 - np.eye(size)))


def random_margins(count, size, seed):
    rewards = torch.tensor(2 * np.random.default_rng(seed).normal(size=(count, size)))
    return rewards[:, :, None] - rewards[:, None, :]


def random_reference(count, size, seed):
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.normal(size=(count, size))).log_softmax(1)


def of_library(loss, **settings):
    """A loss of the library as a function of log-ratios; weighted ones get the margin."""

    def of_ratios(chosen, rejected, h):
        zero, asked = torch.zeros_like(chosen), {} if h is None else {"margin": h}
        return loss(chosen, rejected, zero, zero, beta=BETA, **asked, **settings)[0]

    return of_ratios


def assert_same(fits, scores, error):
    """The fits' scores are those, to within their own bound and the other's error (B,)."""
    assert fits.converged.all()
    apart = torch.linalg.vector_norm(fits.scores - scores, dim=1)
    # the scores' own storage rounds by an ulp apiece
    ulps = 4e-16 * torch.linalg.vector_norm(scores, dim=1)
    assert (apart <= fits.error_bound + error + ulps).all()


# ---------------------------------------------------------------------------------- known answers


@pytest.mark.parametrize("size", [2, 4, 9])
@pytest.mark.parametrize("referred", [False, True])
def test_dpo_is_the_table_solvers(size, referred):
    labels = random_labels(10, size, size)
    reference = random_reference(10, size, 1) if referred else None
    fits = minimize_general(of_library(dpo), labels, None, reference)
    exact = minimize_tables(labels).require()
    assert_same(fits, exact.scores / BETA, exact.error_bound / BETA)
    # the Hessian in s is beta^2 times that in z, for the same unit of mass
    assert (exact.curvature * BETA**2 <= fits.curvature * (1 + 1e-9)).all()


def test_madpo_is_the_table_solvers_with_weighted_masses():
    labels, margins = random_labels(8, 5, 2), random_margins(8, 5, 3)
    s = MarginSchedule.released(4)
    exact = minimize_tables(labels * weight(margins, s)).require()
    fits = minimize_general(of_library(madpo, weighting=s), labels, margins)
    assert_same(fits, exact.scores / BETA, exact.error_bound / BETA)


def test_ipo_is_the_laplacian_solve():
    labels = random_labels(10, 6, 4)
    total, advantage = labels + labels.mT, (labels - labels.mT).sum(2)
    z, curvature, missed = solve_laplacian(total, advantage / (2 * BETA))
    fits = minimize_general(of_library(ipo), labels)
    rounding = 1e-14 * total.sum((1, 2)) * (z.abs().amax(1) + 1)
    assert_same(fits, z, (missed + rounding) / curvature)


@given(floats(-2, 2), floats(-1, 1))
@settings(max_examples=15)
def test_offsets_are_the_offsets_path(gamma, alpha):
    """SimPO's gamma is even, ODPO's alpha h odd."""
    labels, margins = random_labels(3, 4, 5), random_margins(3, 4, 6)
    exact = minimize_tables(labels, offsets=gamma + alpha * margins).require()

    def loss(chosen, rejected, h):
        return -logsigmoid(BETA * (chosen - rejected) - gamma - alpha * h)

    fits = minimize_general(loss, labels, margins)
    assert_same(fits, exact.scores / BETA, exact.error_bound / BETA)


def test_likelihood_alone_fits_the_shares_of_wins():
    """-log pi(chosen): pi is the share of labels won, whatever the reference."""
    labels, reference = random_labels(6, 5, 7), random_reference(6, 5, 8)
    won = labels.sum(2).log()
    s = won - reference
    exact = s - s.mean(1, keepdim=True)
    fits = minimize_general(lambda chosen, rejected, h: -chosen, labels, None, reference)
    assert_same(fits, exact, 1e-14 * (1 + exact.abs().amax(1)))


def test_dpo_with_likelihood_is_what_scipy_finds():
    labels, reference = random_labels(4, 3, 9), random_reference(4, 3, 10)

    def loss(chosen, rejected, h):
        return -logsigmoid(BETA * (chosen - rejected)) - 0.3 * chosen

    fits = minimize_general(loss, labels, None, reference).require()
    for b, (wins, log_reference) in enumerate(zip(labels.numpy(), reference.numpy(), strict=True)):

        def value(free, wins=wins, log_reference=log_reference):
            s = np.append(free, 0.0)
            rho = s - np.logaddexp.reduce(log_reference + s)
            z = BETA * (rho[:, None] - rho[None, :])
            return (wins * (np.logaddexp(0, -z) - 0.3 * rho[:, None])).sum()

        found = minimize(value, np.zeros(2), method="BFGS", options={"gtol": 1e-7})
        ours = (fits.scores[b] - fits.scores[b, 2])[:2].numpy()
        # forward differences: scipy's own gradient is right to 1e-7 of 10, the curvature about 0.3
        np.testing.assert_allclose(ours, found.x, atol=1e-5)
        assert value(ours) <= value(found.x) + 1e-13


# ------------------------------------------------------------------------------------ derivatives


def test_gradient_and_hessian_are_torchs():
    labels, margins = random_labels(3, 4, 11), random_margins(3, 4, 12)
    reference = random_reference(3, 4, 13)

    def loss(chosen, rejected, h):
        return torch.exp(-chosen) * rejected.square() + torch.sin(h * chosen) * rejected

    def value(s):
        rho = s - (reference + s).logsumexp(1, keepdim=True)
        return (labels * loss(rho[:, :, None], rho[:, None, :], margins)).sum()

    s = torch.tensor(np.random.default_rng(14).normal(size=(3, 4)))
    found, gradient, hessian, *_ = _Tables(loss, labels, (margins,), reference)(s)
    close = dict(rtol=1e-12, atol=1e-12)  # sums of 12 terms of size about 10
    torch.testing.assert_close(found.sum(), value(s), **close)
    torch.testing.assert_close(gradient, torch.autograd.functional.jacobian(value, s), **close)
    whole = torch.autograd.functional.hessian(value, s)
    for b in range(3):
        torch.testing.assert_close(hessian[b], whole[b, :, b], **close)


# ---------------------------------------------------------------------------- what may go wrong


def test_a_saddle_is_left_for_a_minimum():
    """(z^2 - 1)^2: s = 0 is stationary and no minimum."""
    labels = random_labels(5, 2, 15)

    def loss(chosen, rejected, h):
        return ((chosen - rejected) ** 2 - 1) ** 2

    fits = minimize_general(loss, labels).require()
    gap = fits.scores[:, 0] - fits.scores[:, 1]
    assert (gap.abs() - 1).abs().max() <= math.sqrt(2) * fits.error_bound.max()


@given(st.lists(floats(-3, 3), min_size=6, max_size=6))
@settings(max_examples=8)
def test_a_hinge_has_no_certificate(logs):
    """No curvature: the minimum lies at a kink, or on a flat stretch."""
    labels = torch.zeros((1, 3, 3), dtype=torch.float64)
    labels[0][~torch.eye(3, dtype=bool)] = torch.tensor(logs, dtype=torch.float64).exp()
    fits = minimize_general(lambda c, r, h: (1 - BETA * (c - r)).clamp_min(0), labels, steps=60)
    assert not fits.converged.any() and fits.scores.isnan().all()
    assert int(fits.reason) in (Reason.PRECISION, Reason.STEPS)


def test_a_table_without_a_minimizer_says_so_and_spoils_no_other():
    labels = random_labels(7, 4, 16)
    good = minimize_general(of_library(dpo), labels).require()
    labels[1, :, 2] = 0.0  # response 2 never loses
    labels[3, :2, 2:], labels[3, 2:, :2] = 0.0, 0.0  # two islands
    labels[4] = 0.0
    fits = minimize_general(of_library(dpo), labels)
    reasons = {1: Reason.NO_MINIMIZER, 3: Reason.UNCONNECTED, 4: Reason.UNCONNECTED}
    for b in range(7):
        assert int(fits.reason[b]) == reasons.get(b, Reason.CONVERGED)
        if b in reasons:
            assert fits.scores[b].isnan().all() and fits.error_bound[b] == math.inf
        else:  # sums over entries may be grouped otherwise
            apart = torch.linalg.vector_norm(fits.scores[b] - good.scores[b])
            assert apart <= fits.error_bound[b] + good.error_bound[b]


def test_a_loss_that_falls_forever_has_no_minimizer():
    fits = minimize_general(lambda c, r, h: r - c, torch.triu(random_labels(2, 3, 17), 1))
    assert fits.reason.tolist() == [Reason.NO_MINIMIZER] * 2


def test_spent_steps_and_what_is_not_finite_are_reported():
    labels = random_labels(3, 3, 18)
    fits = minimize_general(of_library(dpo), labels, steps=1)
    assert (fits.reason == int(Reason.STEPS)).all() and (fits.iterations == 1).all()
    fits = minimize_general(lambda c, r, h: (c - r).log(), labels)
    assert (fits.reason == int(Reason.PRECISION)).all() and fits.scores.isnan().all()


def test_chunks_change_no_more_than_rounding():
    labels, margins = random_labels(9, 4, 19), random_margins(9, 4, 20)
    loss = of_library(madpo, weighting=MarginSchedule.class_defaults())
    whole = minimize_general(loss, labels, margins)
    parts = minimize_general(loss, labels, margins, chunk=2)
    assert_same(whole, parts.scores, parts.error_bound)
    assert minimize_general(loss, labels[:0], margins[:0]).scores.shape == (0, 4)


OK = torch.tensor([[[0, 1.0], [1, 0]]])


@pytest.mark.parametrize(
    ("call", "error", "rule"),
    [
        (lambda: minimize_general(of_library(dpo), -OK), ValueError, r"labels\[0, 0, 1\] = -1"),
        (lambda: minimize_general(of_library(dpo), OK[0]), ValueError, "labels must have shape"),
        (
            lambda: minimize_general(of_library(dpo), OK, OK[:, :1]),
            ValueError,
            "given must have shape",
        ),
        (
            lambda: minimize_general(of_library(dpo), OK, None, torch.full((1, 2), math.inf)),
            ValueError,
            "log_reference must be finite",
        ),
        (lambda: minimize_general(lambda c, r, h: c.sum(), OK), TypeError, "one number a pair"),
        (lambda: minimize_general(of_library(dpo), OK, steps=0), ValueError, "steps >= 1"),
    ],
)
def test_invalid_input_is_named(call, error, rule):
    with pytest.raises(error, match=rule):
        call()


@dataclass(frozen=True)
class ByLogProbabilities(Method):
    """DPO + the chosen response's NLL: it overrides `losses`, so that a table must say log pi."""

    eta: float = 0.25

    def losses(self, xp, pairs):
        chosen, rejected = self.log_ratios(xp, pairs)
        return xp.softplus(-self.beta * (chosen - rejected)) - self.eta * pairs.policy_chosen


def test_a_loss_of_log_probabilities_is_solved_and_steps_from_the_reference():
    labels, reference = random_labels(2, 4, 31), random_reference(2, 4, 32).softmax(1)
    problem = PairProblem(labels, beta=0.5, reference=reference)
    found = solve(ByLogProbabilities(), problem)
    assert found.converged.all()

    def loss(m):
        log_policy = (reference.log() + m).log_softmax(1)
        gaps = m[:, :, None] - m[:, None, :]
        each = torch.nn.functional.softplus(-0.5 * gaps) - 0.25 * log_policy[:, :, None]
        return (labels * each).sum()

    m = found.m.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(m), m)
    assert slope.abs().max() <= 1e-9 * labels.max()  # the solver's tolerance is 1e-10
    m = torch.zeros_like(m).requires_grad_()
    (slope,) = torch.autograd.grad(loss(m), m)  # of s/beta
    step = first_step(ByLogProbabilities(), problem)
    torch.testing.assert_close(step, -slope / 0.5, rtol=1e-12, atol=1e-13)


def test_what_needs_a_batch_is_refused_by_name():
    @dataclass(frozen=True)
    class OfBatches(ByLogProbabilities):
        needs = frozenset({"reference", "batch"})

    problem = PairProblem(random_labels(1, 3, 5), beta=0.5)
    with pytest.raises(TypeError, match="OfBatches has no table: it watches"):
        solve(OfBatches(), problem)
    assert first_step(OfBatches(), problem).isnan().all()
