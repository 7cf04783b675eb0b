"""The methods that TRL's losses are: textbook formulas, limits, tables and what they refuse.

TRL's own code is the oracle of test_trl_losses.py; nothing here needs it.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from flint import arb
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from strategies import floats

from madpo_theory.align.config import AlignConfig
from madpo_theory.align.methods import methods_of
from madpo_theory.methods import (
    METHODS,
    Aot,
    AotUnpaired,
    ApoZero,
    Bco,
    BcoPair,
    Discopop,
    ExoPair,
    FDpoAlpha,
    FDpoAlphaTrl,
    FDpoForwardKl,
    FDpoJs,
    NcaPair,
    Pairs,
    SigmoidNorm,
    Sppo,
)
from madpo_theory.methods.search import searched_target
from madpo_theory.ops import arb_world, numpy_world
from madpo_theory.simulate import PairProblem, solve
from madpo_theory.simulate.solve.fits import Reason

BETA, EPS, TAU, ALPHA = 0.3, 0.07, 0.4, 0.35


def sigma(x):
    return 1 / (1 + np.exp(-x))


def ell(x):
    return np.log(1 + np.exp(-x))


def discopop(z, h):
    s = sigma(z / TAU)
    return (1 - s) * ell(z) + s * np.exp(-z)


def exo(z, h):
    q, p = (sigma(z), sigma(-z)), (1 - EPS, EPS)
    return sum(a * np.log(a / b) for a, b in zip(q, p, strict=True))


def of_margin(loss):
    return lambda a, b, h: loss(BETA * (a - b), h)


def of_rewards(loss):
    return lambda a, b, h: loss(BETA * a, BETA * b)


def f_dpo(rate):
    return lambda a, b, h: ell(BETA * (rate(np.exp(a)) - rate(np.exp(b))))


LENGTHS = np.array([7.0, 12.0, 30.0, 5.0, 9.0, 4.0]), np.array([9.0, 3.0, 25.0, 5.0, 11.0, 8.0])
BOOK = {  # of the two log-ratios and the reward model's margin
    ExoPair(EPS, beta=BETA): of_margin(exo),
    Discopop(TAU, beta=BETA): of_margin(discopop),
    SigmoidNorm(beta=BETA): lambda a, b, h: ell(BETA * (a / LENGTHS[0] - b / LENGTHS[1])),
    NcaPair(beta=BETA): of_rewards(
        lambda w, v: -np.log(sigma(w)) - (np.log(sigma(-w)) + np.log(sigma(-v))) / 2
    ),
    BcoPair(beta=BETA): of_rewards(lambda w, v: -np.log(sigma(w)) - np.log(sigma(-v))),
    Bco(0.6, beta=BETA): of_rewards(
        lambda w, v: -np.log(sigma(w - 0.6)) - np.log(sigma(-(v - 0.6)))
    ),
    METHODS["sppo_hard"](beta=BETA): lambda a, b, h: (
        (a - 1 / (2 * BETA)) ** 2 + (b + 1 / (2 * BETA)) ** 2
    ),
    Sppo(beta=BETA): lambda a, b, h: (
        (a - (sigma(h) - 0.5) / BETA) ** 2 + (b - (sigma(-h) - 0.5) / BETA) ** 2
    ),
    ApoZero(beta=BETA): of_rewards(lambda w, v: 1 - sigma(w) + sigma(v)),
    METHODS["apo_down"](beta=BETA): of_rewards(lambda w, v: sigma(w) + 1 - sigma(w - v)),
    FDpoForwardKl(beta=BETA): f_dpo(lambda u: -1 / u),
    FDpoJs(beta=BETA): f_dpo(lambda u: np.log(2 * u / (1 + u))),
    FDpoAlpha(ALPHA, beta=BETA): f_dpo(lambda u: (1 - u**-ALPHA) / ALPHA),
    FDpoAlphaTrl(ALPHA, beta=BETA): f_dpo(lambda u: (u ** (ALPHA - 1) - 1) / (ALPHA - 1)),
}
RHO = np.array([[0.5, -3.0, 2.0, 0.0, -7.0, 6.0], [-1.5, 2.5, 2.25, 0.0, -6.0, -4.0]])
MARGIN = np.array([1.0, -2.0, 0.3, 0.0, 4.0, -0.5])
REFERENCE = np.array([[-40.0, -31.0, -52.0, -20.0, -33.0, -60.0]] * 2) + [[0.0], [5.0]]


def asked(method, kind=np.asarray):
    given = dict(zip(("chosen_lengths", "rejected_lengths"), LENGTHS, strict=True))
    given |= {"margin": MARGIN}
    return {name: kind(value) for name, value in given.items() if name in method.arguments()}


@pytest.mark.parametrize("method", BOOK, ids=lambda m: m.name)
def test_value_and_gradient_are_the_textbooks(method):
    """The textbook's gradient is by complex steps: no difference is taken, so no digit is lost."""
    book, step = BOOK[method], 1e-30
    value, *_ = method(*(REFERENCE + RHO), *REFERENCE, **asked(method))
    # log-probabilities of 60 nats are rounded to 1e-14; a loss here magnifies that up to 1e3 times
    np.testing.assert_allclose(value, book(*RHO, MARGIN), rtol=1e-11, atol=1e-12)
    policy = torch.tensor(REFERENCE + RHO).requires_grad_()
    losses, *_ = method(*policy, *torch.tensor(REFERENCE), **asked(method, torch.tensor))
    (slope,) = torch.autograd.grad(losses.sum(), policy)
    steps = np.array([[[step * 1j], [0.0]], [[0.0], [step * 1j]]])
    expected = [book(*(RHO + by), MARGIN).imag / step for by in steps]
    np.testing.assert_allclose(slope, expected, rtol=1e-11, atol=1e-12)


# ------------------------------------------------------------------------------- of the margin


@pytest.mark.parametrize("method", [ExoPair(EPS), Discopop(TAU)], ids=lambda m: m.name)
@given(z=floats(-300, 300))
@example(0.0)
@settings(max_examples=40)
def test_a_ball_holds_the_loss(method, z):
    ball = method.margin_loss(arb_world, arb(z), arb(0))
    found = float(method.margin_loss(numpy_world, np.float64(z), np.float64(0)))
    error = 1e-14 * (1 + abs(z)) * (1 + abs(found))  # exponents of |z| nats
    assert float(ball.lower()) - error <= found <= float(ball.upper()) + error


@pytest.mark.parametrize("epsilon", (1e-6, 1e-3, 0.3))
def test_exos_target_is_ipos_in_another_unit(epsilon):
    method, h = ExoPair(epsilon), np.linspace(-8, 8, 33)
    found, level = method.target(h), math.log((1 - epsilon) / epsilon)
    np.testing.assert_allclose(found, level * np.tanh(h / 2), rtol=1e-14)
    np.testing.assert_allclose(found, 2 * level * METHODS["ipo"]().target(h), rtol=1e-14)
    # The slope's terms round to 1e-16 log(1/epsilon), over a curvature sigma'(z) >= e^-|z|/4.
    error = 1e-14 * np.exp(np.abs(found))
    assert (np.abs(searched_target(numpy_world, h, h, method) - found) <= error).all()


def test_exo_is_bounded_by_its_label():
    loss = ExoPair(EPS).margin_loss(numpy_world, np.array([-50.0, 50.0]), 0.0)
    # 50 nats that cancel; the ends are e^-50 away
    np.testing.assert_allclose(loss, [-math.log(EPS), -math.log1p(-EPS)], rtol=1e-13)
    least = ExoPair(EPS).margin_loss(numpy_world, np.log((1 - EPS) / EPS), 0.0)
    assert abs(least) < 1e-15


def test_discopop_is_logistic_on_one_side_and_exponential_on_the_other():
    z = np.array([-900.0, -40.0, 40.0, 900.0])
    loss = Discopop().margin_loss(numpy_world, z, 0.0)
    np.testing.assert_allclose(loss, [900.0, 40.0, math.exp(-40), 0.0], rtol=1e-15, atol=1e-300)
    z = np.linspace(-3, 3, 7)
    flat = Discopop(1e12).margin_loss(numpy_world, z, 0.0)
    np.testing.assert_allclose(flat, (ell(z) + np.exp(-z)) / 2, rtol=1e-11)


@pytest.mark.parametrize("tau", (0.05, 0.102, 0.103, 0.5))
def test_discopops_first_step_is_toward_the_rejected_response(tau):
    z = torch.tensor(0.0, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(Discopop(tau)(z, 0 * z, 0 * z, 0 * z)[0], z)
    slope = slope.item() / Discopop(tau).beta
    assert slope == pytest.approx((1 - math.log(2)) / (4 * tau) - 0.75, rel=1e-12)
    assert (slope > 0) == (tau < 0.1025)


def test_a_coins_labels_have_two_targets_under_discopop():
    """Its risk at h = 0 is even in z, and a maximum stands in the middle."""
    method = Discopop()

    def risk(z):
        z = np.float64(z)
        return method.margin_loss(numpy_world, z, 0) + method.margin_loss(numpy_world, -z, 0)

    best = minimize_scalar(risk, bounds=(0.1, 2), method="bounded", options={"xatol": 1e-10})
    assert risk(best.x) < risk(0) - 0.1
    assert method.target(0.0) == pytest.approx(-best.x, abs=1e-6)  # a flat minimum's digits
    assert 0.48 < best.x < 0.4825


def test_sigmoid_norm_of_equal_lengths_is_dpo_at_a_smaller_beta():
    logps, lengths = REFERENCE + RHO, np.full(6, 8.0)
    found = SigmoidNorm(beta=4.0)(
        *logps, *REFERENCE, chosen_lengths=lengths, rejected_lengths=lengths
    )
    expected = METHODS["dpo"](beta=0.5)(*logps, *REFERENCE)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13)
    assert SigmoidNorm().target(2.5) == 2.5


# ------------------------------------------------------------------------- of two log-ratios


@pytest.mark.parametrize(
    "method", [m for m in BOOK if not m.is_margin_loss] + [Aot(), AotUnpaired()],
    ids=lambda m: m.name,
)  # fmt: skip
def test_two_log_ratios_have_no_target(method):
    with pytest.raises(TypeError, match=f"{type(method).__name__} has no target"):
        method.target(1.0)


def loss_of(method, chosen, rejected):
    zero = np.zeros_like(chosen)
    return method(chosen, rejected, zero, zero, **asked(method))[0]


def test_the_alpha_divergence_ends_at_dpo_and_at_the_forward_kl():
    ends = {2e-6: METHODS["dpo"](beta=BETA), 1 - 2e-6: FDpoForwardKl(beta=BETA)}
    for alpha, end in ends.items():
        for method in (FDpoAlpha(alpha, beta=BETA), FDpoAlphaTrl(1 - alpha, beta=BETA)):
            # the next term of the score is 2e-6 rho^2/2 of it, |rho| <= 7
            np.testing.assert_allclose(loss_of(method, *RHO), loss_of(end, *RHO), rtol=1e-4)


def test_trl_counts_alpha_from_the_other_end():
    ours, theirs = FDpoAlpha(0.3, beta=BETA), FDpoAlphaTrl(0.7, beta=BETA)
    np.testing.assert_allclose(loss_of(ours, *RHO), loss_of(theirs, *RHO), rtol=1e-13)
    default = loss_of(FDpoAlphaTrl(beta=BETA), *RHO)
    np.testing.assert_allclose(default, loss_of(FDpoAlpha(beta=BETA), *RHO), rtol=1e-13)
    other = loss_of(FDpoAlphaTrl(0.3, beta=BETA), *RHO)
    assert np.abs(other - loss_of(ours, *RHO)).max() > 0.1


def test_trls_clamp_leaves_the_lost_without_a_gradient():
    """alpha = 1/2: at rho = -160 nats the exponent is 80."""
    rho = torch.tensor([-150.0, -170.0, -500.0], dtype=torch.float64).requires_grad_()
    zero = torch.zeros_like(rho)
    slopes = {}
    for method in (FDpoAlphaTrl(beta=1.0), FDpoAlpha(beta=1.0)):
        losses = method(rho, zero, zero, zero)[0]
        (slopes[method.name],) = torch.autograd.grad(losses.sum(), rho)
    assert slopes["f_dpo_alpha_trl"].tolist()[1:] == [0.0, 0.0]
    np.testing.assert_allclose(slopes["f_dpo_alpha"], -torch.exp(-rho.detach() / 2), rtol=1e-12)
    assert slopes["f_dpo_alpha_trl"][0] == slopes["f_dpo_alpha"][0]


def test_nca_stops_at_log_2_of_the_chosen_reward():
    reward = torch.tensor(math.log(2), dtype=torch.float64).requires_grad_()
    zero = torch.tensor(0.0, dtype=torch.float64)
    loss = NcaPair(beta=1.0)(reward, zero, zero, zero)[0]
    assert abs(torch.autograd.grad(loss, reward)[0]) < 1e-16


@given(won=floats(-50, 50), lost=floats(-50, 50))
@settings(max_examples=30)
def test_bco_bounds_dpo(won, lost):
    bound, dpo = (loss_of(cls(beta=1.0), won, lost) for cls in (BcoPair, METHODS["dpo"]))
    # log(1 + a)(1 + b) >= log(1 + ab), in floating point to an ulp
    assert dpo <= bound * (1 + 1e-15)


def test_bco_moves_its_threshold_with_the_rewards():
    chosen, rejected = RHO
    np.testing.assert_array_equal(loss_of(Bco(), *RHO), loss_of(BcoPair(), *RHO))
    shifted = loss_of(Bco(0.25 + BETA * 3, beta=BETA), chosen + 3, rejected + 3)
    np.testing.assert_allclose(shifted, loss_of(Bco(0.25, beta=BETA), *RHO), rtol=1e-13)


def test_bcos_threshold_is_the_mean_of_all_batches():
    method, state, means = Bco(beta=BETA), Bco(beta=BETA).start(), []
    for k in range(3):
        rho = torch.tensor(RHO + k).requires_grad_()
        zero = torch.zeros(6, dtype=torch.float64)
        loss, state, logged = method.train_loss(
            Pairs(*rho, zero, zero), state=state, generator=None
        )
        means.append(BETA * (RHO + k).mean())
        assert logged["delta"] == state["delta"] == pytest.approx(np.mean(means), rel=1e-14)
        expected = loss_of(Bco(np.mean(means), beta=BETA), *(RHO + k)).mean()
        assert loss.item() == pytest.approx(expected, rel=1e-14)
        (slope,) = torch.autograd.grad(loss, rho)
        assert (slope[0] < 0).all() and (slope[1] > 0).all()  # none flows through the threshold


def test_sppo_of_a_sure_reward_model_is_trls():
    zero, far = np.zeros(6), np.full(6, 80.0)
    found = Sppo(beta=BETA)(*RHO, zero, zero, margin=far)[0]
    np.testing.assert_array_equal(found, loss_of(METHODS["sppo_hard"](beta=BETA), *RHO))
    turned = Sppo(beta=BETA)(*RHO[::-1], zero, zero, margin=-MARGIN)[0]
    np.testing.assert_allclose(turned, loss_of(Sppo(beta=BETA), *RHO), rtol=1e-14)


def drawn_problem(seed, size=4):
    wins = np.random.default_rng(seed).integers(1, 9, size=(1, size, size)).astype(float)
    wins[:, np.arange(size), np.arange(size)] = 0
    return torch.tensor(wins)


def test_apo_zero_sees_a_table_only_by_wins_less_losses():
    """Its risk is a constant and sum_i (lost_i - won_i) sigma(r_i): no finite policy is best."""
    labels, rho = drawn_problem(3), torch.tensor([0.4, -1.0, 2.0, 0.1], dtype=torch.float64)
    place = labels[0].nonzero(as_tuple=True)
    losses = ApoZero(beta=BETA)(rho[place[0]], rho[place[1]], *torch.zeros(2, 12).double())[0]
    net = labels[0].sum(0) - labels[0].sum(1)
    expected = labels.sum() + (net * torch.sigmoid(BETA * rho)).sum()
    torch.testing.assert_close((labels[0][place] * losses).sum(), expected)
    for name in ("apo_zero", "apo_down"):
        solution = solve(name, PairProblem(labels))
        assert solution.reason.tolist() == [Reason.NO_MINIMIZER]


def test_apo_down_leaves_the_chosen_one_alone_at_the_reference():
    rho = torch.zeros(2, 1, dtype=torch.float64).requires_grad_()
    zero = torch.zeros(1, dtype=torch.float64)
    loss = METHODS["apo_down"](beta=BETA)(*rho, zero, zero)[0]
    (slope,) = torch.autograd.grad(loss.sum(), rho)
    assert slope.flatten().tolist() == [0.0, BETA / 4]


# ------------------------------------------------------------------------------ sorted batches


BATCHES = st.lists(st.tuples(*[floats(-20, 20)] * 4), min_size=1, max_size=5)


def smoothed(method, upper, lower):
    y = method.beta * (upper - lower)
    return (1 - method.epsilon) * ell(y) + method.epsilon * ell(-y)


@given(pairs=BATCHES, epsilon=st.sampled_from([0.0, 0.2]))
@settings(max_examples=40)
@example(pairs=[(0.0, 1.0, 2.0, 3.0)] * 3, epsilon=0.2)
def test_aot_pairs_by_rank_what_no_other_pairing_beats(pairs, epsilon):
    policy, reference = np.array(pairs).T.reshape(2, 2, -1)
    samples = {
        Aot: (policy[0] - policy[1], reference[0] - reference[1]),
        AotUnpaired: (policy[0] - reference[0], policy[1] - reference[1]),
    }
    plain = METHODS["cdpo"](epsilon, beta=BETA)(*policy, *reference)[0]
    for cls, (upper, lower) in samples.items():
        method = cls(epsilon, beta=BETA)
        losses = method(*policy, *reference)[0]
        ranked = smoothed(method, np.sort(upper), np.sort(lower))
        # the textbook's log(1 + e^-y) rounds 1 + e^-y to 1e-16
        np.testing.assert_allclose(np.sort(losses), np.sort(ranked), rtol=1e-12, atol=1e-15)
        means = [
            smoothed(method, upper, lower[list(order)]).mean()
            for order in itertools.permutations(range(len(lower)))
        ]
        assert losses.mean() == pytest.approx(min(means), rel=1e-12, abs=1e-15)
        assert losses.mean() <= plain.mean() * (1 + 1e-12)


@pytest.mark.parametrize("cls", (Aot, AotUnpaired))
def test_a_lone_pair_gets_dpos_loss(cls):
    logps = REFERENCE + RHO
    for method, plain in (
        (cls(beta=BETA), METHODS["dpo"](beta=BETA)),
        (cls(0.2, beta=BETA), METHODS["cdpo"](0.2, beta=BETA)),
    ):
        for k in range(6):
            one = [float(x[k]) for x in (*logps, *REFERENCE)]
            assert method(*one)[0] == pytest.approx(plain(*one)[0], rel=1e-14)


def test_aot_of_an_indifferent_reference_is_dpo():
    """And AOT unpaired is not: it takes the pairs apart."""
    fixed = REFERENCE + [[0.0], [-5.0]]  # alike for both responses
    expected = METHODS["dpo"](beta=BETA)(*(fixed + RHO), *fixed)[0]
    np.testing.assert_allclose(Aot(beta=BETA)(*(fixed + RHO), *fixed)[0], expected, rtol=1e-12)
    apart = AotUnpaired(beta=BETA)(*(fixed + RHO), *fixed)[0]
    assert apart.mean() < expected.mean() - 0.01


def test_a_loss_of_aot_stands_where_its_pair_does():
    """The gradient of a pair's loss with respect to another's policy margin is 0."""
    policy = torch.tensor(REFERENCE + RHO).requires_grad_()
    reference = torch.tensor(REFERENCE + np.array([[3.0, 0, 1, 5, 2, 4], [0.0] * 6]))
    losses = Aot(beta=BETA)(*policy, *reference)[0]
    for k in range(6):
        (slope,) = torch.autograd.grad(losses[k], policy, retain_graph=True)
        assert (slope[:, k] != 0).all() and slope.count_nonzero() == 2


def test_an_empty_batch_is_refused():
    empty = np.zeros(0)
    for cls in (Aot, AotUnpaired):
        with pytest.raises(ValueError, match=f"{cls.name} needs at least one pair"):
            cls()(empty, empty, empty, empty)


# ----------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: ExoPair(0.0), "epsilon = 0.0 breaks the rule 0 < epsilon < 1/2"),
        (lambda: ExoPair(0.5), "epsilon = 0.5 breaks the rule 0 < epsilon < 1/2"),
        (lambda: Discopop(0.0), "tau = 0.0 breaks the rule tau > 0"),
        (lambda: Aot(0.6), "epsilon = 0.6 breaks the rule 0 <= epsilon <= 1/2"),
        (lambda: AotUnpaired(-0.1), "epsilon = -0.1 breaks the rule 0 <= epsilon <= 1/2"),
        (lambda: FDpoAlpha(1.0), "alpha = 1.0 breaks the rule 0 < alpha < 1"),
        (lambda: FDpoAlpha(0.0), "alpha = 0.0 breaks the rule 0 < alpha < 1"),
        (lambda: FDpoAlphaTrl(1.0), r"alpha = 1.0 breaks the rule \|alpha - 1\| >= 1e-6"),
        (lambda: Bco(math.inf), "delta must be finite"),
        (lambda: NcaPair(beta=0.0), "beta = 0.0 breaks the rule beta > 0"),
    ],
)
def test_settings_outside_their_range_are_refused(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()


def test_the_experiments_alpha_and_tau_are_not_theirs():
    """AlignConfig has an alpha (beta-DPO's) and a tau (the schedule's); they change no other."""
    names = ("discopop", "f_dpo_alpha", "f_dpo_alpha_trl")
    for row in methods_of(AlignConfig(methods=names)):
        assert row.method == METHODS[row.name](beta=0.1)
