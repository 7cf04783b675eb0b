"""Tables in batches: against the table solver and scipy, their certificates, independence."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit
from strategies import floats

from madpo_theory.simulate import minimize_table
from madpo_theory.simulate.solve.descent import train_tables
from madpo_theory.simulate.solve.fits import Reason
from madpo_theory.simulate.solve.newton import minimize_edges, minimize_tables, solve_laplacian
from madpo_theory.theory.realizability import ford_condition


def random_wins(count, size, seed, *, spread=3.0, held=1.0):
    """Masses e^normal, each pair compared with probability `held`."""
    rng = np.random.default_rng(seed)
    wins = np.exp(spread * rng.normal(size=(count, size, size)))
    asked = np.triu(rng.random((count, size, size)) < held, 1)
    return torch.tensor(wins * (asked | asked.transpose(0, 2, 1)))


def gaps_of(scores):
    return scores[:, :, None] - scores[:, None, :]


def losses(wins, scores):
    return (wins * np.logaddexp(0, -gaps_of(scores))).sum((1, 2))


def gradient(wins, scores):
    z = gaps_of(scores)
    return (wins.mT * torch.sigmoid(z) - wins * torch.sigmoid(-z)).sum(2)


def agree(first, second):
    """Two fits lie within the sum of what each proves of itself, and both prove something."""
    assert first.converged.all() and second.converged.all()
    apart = torch.linalg.vector_norm(first.scores - second.scores, dim=1)
    # The scores' own storage rounds by an ulp apiece.
    ulps = 4e-16 * torch.linalg.vector_norm(first.scores, dim=1)
    assert (apart <= first.error_bound + second.error_bound + ulps).all()


# ----------------------------------------------------------------------------------- the minimizer


@pytest.mark.parametrize("size", [2, 3, 7, 16])
def test_one_by_one_gives_the_same(size):
    wins = random_wins(12, size, size)
    fits = minimize_tables(wins).require()
    for b in range(len(wins)):
        one = minimize_table(wins[b].numpy())
        apart = np.linalg.norm(one.scores - fits.scores[b].numpy())
        assert apart <= one.radius + fits.error_bound[b].item()
        # A lower bound on the other's eigenvalue, at worst 2 (K - 1) times too small.
        assert one.curvature / (2 * size - 2) <= fits.curvature[b] * (1 + 1e-9)
        assert fits.curvature[b] <= one.curvature * (1 + 1e-9) + 1e-13


@given(
    st.lists(floats(-6, 6), min_size=12, max_size=12),
    st.lists(st.booleans(), min_size=6, max_size=6),
)
@settings(max_examples=50)
def test_the_gradient_vanishes_or_fords_condition_fails(logs, asked):
    wins = np.zeros((4, 4))
    wins[~np.eye(4, dtype=bool)] = np.exp(logs)
    upper = np.zeros((4, 4))
    upper[np.triu_indices(4, 1)] = asked
    wins *= upper + upper.T
    fits = minimize_tables(torch.tensor(wins)[None])
    ford = ford_condition(wins)
    assert bool(fits.converged) == ford.holds
    if ford.holds:
        g = gradient(torch.tensor(wins)[None], fits.scores) / (wins + wins.T).max()
        # reported to within its own rounding: 12 terms below 1, and those of the differences
        assert abs(float(g.norm()) - float(fits.gradient_norm)) < 1e-14
        assert float(fits.gradient_norm) <= 1e-10
        assert abs(float(fits.scores.mean())) <= 1e-15 * (1 + float(fits.scores.abs().max()))
    else:
        expected = Reason.UNCONNECTED if ford.attained else Reason.NO_MINIMIZER
        assert int(fits.reason) == expected and fits.scores.isnan().all()


@given(st.lists(floats(-3, 3), min_size=5, max_size=5), floats(0.1, 100.0))
@settings(max_examples=40)
def test_additive_targets_are_fitted_exactly(scores, unit):
    scores = torch.tensor(scores, dtype=torch.float64) - float(np.mean(scores))
    z = gaps_of(scores[None])
    wins = unit * torch.sigmoid(z) * (1 - torch.eye(5))
    fits = minimize_tables(wins).require()
    # sigmoid rounds the masses themselves: an ulp of them moves a target by e^|z| ulps, |z| <= 6
    assert (fits.scores - scores).abs().max() <= fits.error_bound[0] + math.exp(6) * 1e-15


def test_scipy_reaches_no_lower_loss():
    wins = random_wins(10, 6, 1, spread=2.0)
    fits = minimize_tables(wins).require()
    for b, w in enumerate(wins.numpy()):
        found = minimize(
            lambda s, w=w: losses(w[None], s[None])[0],
            np.zeros(6),
            jac=lambda s, w=w: gradient(torch.tensor(w)[None], torch.tensor(s)[None])[0].numpy(),
            method="L-BFGS-B",
            options={"gtol": 1e-9, "ftol": 0.0, "maxiter": 2000},
        )
        ours = losses(w[None], fits.scores[b].numpy()[None])[0]
        assert ours <= found.fun * (1 + 1e-14)  # 30 terms of either sum round


def test_two_responses_settle_at_the_log_ratio():
    exponents = np.arange(-290, 1, 10)
    wins = torch.zeros((len(exponents), 2, 2), dtype=torch.float64)
    wins[:, 0, 1], wins[:, 1, 0] = 3.0, torch.tensor(10.0**exponents)
    fits = minimize_tables(wins).require()
    gap = (fits.scores[:, 0] - fits.scores[:, 1]).numpy()
    exact = math.log(3.0) - exponents * math.log(10.0)
    # a gap moves by sqrt(2) times the scores; 10**exponent and the logarithms round
    bound = math.sqrt(2) * fits.error_bound.numpy() + 1e-15 * (1 + np.abs(exact))
    assert (np.abs(gap - exact) <= bound).all()


def test_links_of_very_unlike_size():
    """A chain whose links shrink by 100 each: every gap is the log ratio, and the flow over it."""
    size, wins = 6, torch.zeros((1, 6, 6), dtype=torch.float64)
    for i in range(size - 1):
        wins[0, i, i + 1], wins[0, i + 1, i] = 10.0 ** (-2 * i), 2 * 10.0 ** (-2 * i)
    fits = minimize_tables(wins, accuracy=1e-2).require()  # norms see the largest link alone
    gaps = fits.scores[0, 1:] - fits.scores[0, :-1]
    assert (gaps - math.log(2)).abs().max() <= math.sqrt(2) * fits.error_bound[0]
    links = wins + wins.mT
    sides = torch.zeros((1, size), dtype=torch.float64)
    sides[0, 0], sides[0, -1] = 1.0, -1.0
    scores, curvature, _ = solve_laplacian(links, sides)
    exact = 1 / torch.stack([links[0, i, i + 1] for i in range(size - 1)])
    # Nothing cancels on the way; the differences of the scores round on the scale of the scores.
    error = (scores[0, :-1] - scores[0, 1:] - exact).abs()
    assert (error <= 1e-15 * exact.max()).all() and curvature > 0


def test_it_fits_where_one_by_one_gives_up():
    """Weights that leave almost no curvature: the table solver never sees its slope round off."""
    rng = np.random.default_rng(0)
    wins = torch.tensor(np.exp(6 * rng.normal(size=(60, 5, 5)))) * (1 - torch.eye(5))
    fits = minimize_tables(wins).require()
    assert (fits.error_bound <= 1e-6).all()


# ------------------------------------------------------------------------------------ certificates


@given(st.lists(floats(-4, 4), min_size=6, max_size=6), st.sampled_from([1e-2, 1e-4, 1e-8, 1e-12]))
@settings(max_examples=40)
def test_the_error_bound_holds_at_every_tolerance(logs, tolerance):
    wins = np.zeros((3, 3))
    wins[~np.eye(3, dtype=bool)] = np.exp(logs)
    wins = torch.tensor(wins)[None]
    rough = minimize_tables(wins, tolerance=tolerance, accuracy=10.0).require()
    agree(rough, minimize_tables(wins, tolerance=1e-12).require())


def test_curvature_is_a_lower_bound_and_exact_on_request():
    wins = random_wins(200, 8, 5, spread=1.0, held=0.8)
    bound, exact = minimize_tables(wins), minimize_tables(wins, exact_curvature=True)
    agree(bound, exact)
    assert (bound.curvature <= exact.curvature * (1 + 1e-9) + 1e-14).all()
    assert (bound.curvature * 14 >= exact.curvature * (1 - 1e-9)).all()
    z = gaps_of(exact.scores)
    total = wins + wins.mT
    links = total * torch.sigmoid(z) * torch.sigmoid(-z) / total.amax((1, 2))[:, None, None]
    hessian = torch.diag_embed(links.sum(2)) - links
    second = torch.linalg.eigvalsh(hessian)[:, 1]
    # both compute it from a matrix of norm below 4; LAPACK rounds by a few EPS of that
    torch.testing.assert_close(exact.curvature, second, rtol=0, atol=1e-13)


def test_a_tighter_tolerance_costs_a_step_or_two():
    wins = random_wins(300, 8, 9, spread=1.0)
    rough, sharp = (minimize_tables(wins, tolerance=t) for t in (1e-8, 1e-12))
    assert (rough.gradient_norm <= 1e-8).all() and (sharp.gradient_norm <= 1e-12).all()
    assert (sharp.iterations - rough.iterations).max() <= 2
    agree(rough, sharp)


# ------------------------------------------------------------------------------------ independence


def same(first, second):
    for name in ("scores", "converged", "reason", "gradient_norm", "curvature", "error_bound"):
        one, other = getattr(first, name), getattr(second, name)
        assert torch.equal(one.nan_to_num(-1.0), other.nan_to_num(-1.0)), name


@pytest.mark.parametrize("size", [2, 3, 5, 9])
def test_a_table_does_not_see_its_neighbours(size):
    """Bit for bit: alone, among others, in another order, in other chunks."""
    wins = random_wins(60, size, size + 20, spread=2.0, held=0.7)
    wins[7, 0], wins[20] = 0.0, 0.0  # a table without a minimizer, one without comparisons
    fits = minimize_tables(wins)
    order = torch.tensor(np.random.default_rng(1).permutation(60)[:23])
    picked = minimize_tables(wins[order])
    taken = type(fits)(*(getattr(fits, name)[order] for name in fits.__dataclass_fields__))
    same(picked, taken)
    for chunk in (1, 7):
        same(minimize_tables(wins, chunk=chunk), fits)


def test_a_table_without_a_minimizer_says_so_and_spoils_no_other():
    wins = random_wins(9, 4, 3, spread=1.0)
    good = minimize_tables(wins).require()
    wins[2, :, 1] = 0.0  # response 1 never loses
    wins[5, :2, 2:], wins[5, 2:, :2] = 0.0, 0.0  # two islands
    wins[6] = 0.0
    wins[8, :2, 2:] = 0.0  # 2 and 3 never lose to 0 and 1
    fits = minimize_tables(wins)
    reasons = {
        2: Reason.NO_MINIMIZER,
        5: Reason.UNCONNECTED,
        6: Reason.UNCONNECTED,
        8: Reason.NO_MINIMIZER,
    }
    for b in range(9):
        assert int(fits.reason[b]) == reasons.get(b, Reason.CONVERGED)
        assert bool(fits.converged[b]) == (b not in reasons)
        if b in reasons:
            assert fits.scores[b].isnan().all() and fits.error_bound[b] == math.inf
            assert fits.curvature[b] == 0
        else:
            assert torch.equal(fits.scores[b], good.scores[b])
    with pytest.raises(
        RuntimeError, match=r"4 of 9 tables have no fit: 2 \(NO_MINIMIZER\), 5 \(UN"
    ):
        fits.require()


def test_spent_steps_are_reported():
    wins = random_wins(5, 6, 4)
    fits = minimize_tables(wins, steps=1)
    assert (fits.reason == int(Reason.STEPS)).all() and not fits.converged.any()
    assert torch.isfinite(fits.gradient_norm).all()


def test_what_float64_cannot_locate_is_not_converged():
    wins = torch.tensor([[[0, 1, 0], [1, 0, 1e-30], [0, 1, 0]]], dtype=torch.float64)
    fits = minimize_tables(wins, tolerance=1e-18, accuracy=1e-20)
    assert int(fits.reason) == Reason.PRECISION and fits.scores.isnan().all()


# ---------------------------------------------------------------------------------- signed masses


def flipped(wins, eps):
    return (1 - eps) * wins + eps * wins.mT


@given(st.lists(floats(-3, 3), min_size=4, max_size=4), floats(0.0, 0.45))
@settings(max_examples=40)
def test_negative_masses_undo_the_flips(scores, eps):
    scores = torch.tensor(scores, dtype=torch.float64) - float(np.mean(scores))
    clean = torch.sigmoid(gaps_of(scores[None])) * (1 - torch.eye(4))
    noisy = flipped(clean, eps)
    wins = ((1 - eps) * noisy - eps * noisy.mT) / (1 - 2 * eps)
    fits = minimize_tables(wins, signed=True).require()
    # undoing the flips rounds the masses by an ulp / (1 - 2 eps); a target feels e^|z| of that
    assert (fits.scores - scores).abs().max() <= fits.error_bound[0] + math.exp(6) * 1e-14


def test_negative_masses_may_leave_no_minimizer():
    wins = torch.zeros((3, 3, 3), dtype=torch.float64)
    wins[:, 0, 1] = wins[:, 1, 2] = wins[:, 2, 0] = 1.0
    wins[:, 1, 0] = wins[:, 2, 1] = wins[:, 0, 2] = 0.5
    wins[1, 1, 0], wins[1, 2, 0] = -0.3, 0.2  # 0 loses 0.2 - 0.3 < 0 in all
    wins[2, 1, 0] = -0.3  # 0 loses 1 - 0.3 in all: still a minimizer
    fits = minimize_tables(wins, signed=True)
    assert fits.reason.tolist() == [Reason.CONVERGED, Reason.NO_MINIMIZER, Reason.CONVERGED]
    g = gradient(wins, fits.scores)[[0, 2]]
    assert g.abs().max() < 2e-10
    sparse = minimize_edges(
        torch.tensor([[0, 1], [1, 2], [2, 0]]),
        torch.stack([wins[:, 0, 1], wins[:, 1, 2], wins[:, 2, 0]], 1),
        torch.stack([wins[:, 1, 0], wins[:, 2, 1], wins[:, 0, 2]], 1),
        signed=True,
        matrix_free=True,
    )
    assert sparse.reason.tolist() == fits.reason.tolist()


# ----------------------------------------------------------------------- edges, conjugate gradients


def as_edges(wins):
    first, second = np.triu_indices(wins.shape[1], 1)
    edges = torch.tensor(np.stack([first, second], 1))
    return edges, wins[:, first, second], wins[:, second, first]


@pytest.mark.parametrize("size", [2, 5, 12])
def test_conjugate_gradients_and_edge_lists_agree_with_elimination(size):
    wins = random_wins(20, size, 2 * size, spread=1.5)
    wins[3, :, 0] = 0.0
    direct = minimize_tables(wins)
    edges, p, q = as_edges(wins)
    keep = torch.arange(20) != 3
    for fits in (
        minimize_tables(wins, matrix_free=True),
        minimize_edges(edges, p, q, matrix_free=True),
        minimize_edges(edges, p, q, matrix_free=True, chunk=6),
    ):
        assert fits.reason.tolist() == direct.reason.tolist()
        parts = [
            type(f)(*(getattr(f, name)[keep] for name in f.__dataclass_fields__))
            for f in (fits, direct)
        ]
        agree(*parts)
    # The masses of an edge given twice add up.
    twice = minimize_edges(
        torch.cat([edges, edges.flip(1)]), *(torch.cat(m, 1) / 2 for m in ((p, q), (q, p)))
    )
    same(twice, direct)


def test_a_long_sparse_chain_of_many_responses():
    size, gap = 300, 0.05
    edges = torch.stack([torch.arange(size - 1), torch.arange(1, size)], 1)
    p = torch.full((2, size - 1), float(expit(gap)), dtype=torch.float64)
    fits = minimize_edges(edges, p, 1 - p, responses=size, accuracy=1e-3).require()
    steps = fits.scores[:, :-1] - fits.scores[:, 1:]
    assert (steps - gap).abs().max() <= math.sqrt(2) * fits.error_bound.max()
    apart = minimize_edges(edges, p, 1 - p, responses=size + 1)
    assert apart.reason.tolist() == [Reason.UNCONNECTED] * 2


# --------------------------------------------------------------------------------- linear equations


@given(
    st.lists(floats(-5, 5), min_size=10, max_size=10),
    st.lists(floats(-5, 5), min_size=5, max_size=5),
)
@settings(max_examples=40)
def test_laplacian_equations_agree_with_numpy(logs, sides):
    links = np.zeros((5, 5))
    links[np.triu_indices(5, 1)] = np.exp(logs)
    links += links.T
    sides = np.array(sides) - np.mean(sides)
    laplacian = np.diag(links.sum(1)) - links
    x, curvature, missed = solve_laplacian(torch.tensor(links)[None], torch.tensor(sides)[None])
    assert missed[0] <= 1e-14 * (1 + np.abs(laplacian).sum() * float(x.abs().max()))
    assert 0 < curvature[0] <= np.linalg.eigvalsh(laplacian)[1] * (1 + 1e-9) + 1e-12
    exact = np.linalg.pinv(laplacian) @ sides
    error = 1e-14 * np.abs(laplacian).sum() / curvature[0] * (1 + np.abs(exact).max())
    assert np.abs(x[0].numpy() - exact).max() <= error


# ------------------------------------------------------------------------------- early training


def test_the_first_step_is_half_the_advantage():
    """At z = 0 every label pulls by half: T6's slopes, summed over a response's labels."""
    wins = random_wins(6, 4, 8, spread=1.0)
    path = train_tables(wins, rate=1e-3, record=(0, 1))
    advantage = (wins - wins.mT).sum(2) / 2
    torch.testing.assert_close(path.scores[1], 1e-3 * advantage, rtol=1e-12, atol=1e-18)
    total = (wins * (1 - torch.eye(4))).sum((1, 2))
    torch.testing.assert_close(path.loss[0], math.log(2) * total, rtol=1e-14, atol=0)
    assert (path.scores[0] == 0).all() and (path.loss[1] < path.loss[0]).all()


@pytest.mark.parametrize("optimizer", ["gd", "adam"])
def test_training_is_what_torch_does(optimizer):
    wins = random_wins(3, 5, 11, spread=0.5)
    rate = 0.02
    path = train_tables(wins, rate=rate, record=(0, 1, 5, 40), optimizer=optimizer, chunk=2)
    s = torch.zeros((3, 5), dtype=torch.float64, requires_grad=True)
    kind = {"gd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer]
    theirs, seen = kind([s], lr=rate), []
    for step in range(41):
        loss = (wins * torch.nn.functional.softplus(-gaps_of(s))).sum((1, 2))
        if step in path.steps:
            seen.append((s.detach().clone(), loss.detach().clone()))
        theirs.zero_grad()
        loss.sum().backward()
        theirs.step()
    for t, (scores, loss) in enumerate(seen):
        # 40 steps of rounding; Adam divides by gradients that round
        torch.testing.assert_close(path.scores[t], scores, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(path.loss[t], loss, rtol=1e-12, atol=0)


def test_training_ends_at_the_minimizer():
    wins = random_wins(4, 4, 12, spread=0.5)
    path = train_tables(wins / wins.sum((1, 2), keepdim=True), rate=2.0, record=(4000,))
    fits = minimize_tables(wins).require()
    # gradient descent contracts by 1 - rate * curvature a step; 4000 leave rounding alone
    torch.testing.assert_close(path.scores[0], fits.scores, rtol=0, atol=1e-10)


# ----------------------------------------------------------------------------------------- refusals

OK = torch.tensor([[[0, 1.0], [1, 0]]])
EDGE = torch.tensor([[0, 1]])
ONE = torch.ones((1, 1))


@pytest.mark.parametrize(
    ("call", "error", "rule"),
    [
        (lambda: minimize_tables([[0, 1], [1, 0]]), TypeError, "wins must be a torch tensor"),
        (lambda: minimize_tables(OK > 0), TypeError, "wins must hold real numbers"),
        (lambda: minimize_tables(OK[0]), ValueError, r"wins must have shape \(\*, \*, \*\)"),
        (lambda: minimize_tables(OK[:, :1]), ValueError, r"wins must be \(B, K, K\)"),
        (lambda: minimize_tables(OK - 1), ValueError, r"wins\[0, 0, 0\] = -1 breaks"),
        (lambda: minimize_tables(OK + 1), ValueError, r"wins\[0, 0, 0\] = 1 breaks .*diagonal"),
        (lambda: minimize_tables(OK * math.nan), ValueError, "wins must be finite, got nan"),
        (lambda: minimize_tables(OK * math.inf), ValueError, "wins must be finite"),
        (lambda: minimize_tables(-OK, signed=True), ValueError, "two labels of a pair"),
        (lambda: minimize_tables(OK, tolerance=0.0), ValueError, "tolerance > 0"),
        (lambda: minimize_tables(OK, accuracy=-1.0), ValueError, "accuracy > 0"),
        (lambda: minimize_tables(OK, steps=0), ValueError, "steps >= 1"),
        (lambda: minimize_tables(OK, chunk=0), ValueError, "chunk >= 1"),
        (lambda: minimize_edges([[0, 1]], ONE, ONE), TypeError, "edges must be an integer tensor"),
        (lambda: minimize_edges(EDGE[0], ONE, ONE), ValueError, r"edges must be \(E, 2\)"),
        (lambda: minimize_edges(EDGE * 0, ONE, ONE), ValueError, "responses >= 2"),
        (
            lambda: minimize_edges(EDGE * 0, ONE, ONE, responses=2),
            ValueError,
            r"edges\[0\] = \[0, 0\] breaks the rule of two different",
        ),
        (lambda: minimize_edges(EDGE, -ONE, ONE), ValueError, r"p\[0, 0\] = -1 breaks"),
        (lambda: minimize_edges(EDGE, ONE, ONE[:, :0]), ValueError, r"q must have shape \(1, 1\)"),
        (lambda: minimize_edges(EDGE, -ONE, ONE / 2, signed=True), ValueError, "p and q at"),
        (lambda: solve_laplacian(OK.triu(), ONE.expand(1, 2)), ValueError, "must be symmetric"),
        (lambda: train_tables(OK, rate=0.0, record=(1,)), ValueError, "rate > 0"),
        (lambda: train_tables(OK, rate=1.0, record=(2, 1)), ValueError, "record must be ascending"),
        (lambda: train_tables(OK, rate=1.0, record=()), ValueError, "record must be ascending"),
        (
            lambda: train_tables(OK, rate=1.0, record=(1,), optimizer="sgd"),
            ValueError,
            "optimizer must be one of",
        ),
        (
            lambda: train_tables(OK, rate=1.0, record=(1,), betas=(1.0, 0.9)),
            ValueError,
            r"0 <= betas\[0\] < 1",
        ),
    ],
)
def test_invalid_input_is_named(call, error, rule):
    with pytest.raises(error, match=rule):
        call()


def test_no_tables_are_no_trouble():
    none = torch.zeros((0, 3, 3), dtype=torch.float64)
    assert minimize_tables(none).scores.shape == (0, 3)
    assert minimize_edges(EDGE, ONE[:0], ONE[:0]).scores.shape == (0, 2)
    assert train_tables(none, rate=1.0, record=(1,)).scores.shape == (1, 0, 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_the_device_the_same_scores():
    wins = random_wins(50, 6, 13, spread=1.5, held=0.8)
    here, there = minimize_tables(wins), minimize_tables(wins.cuda())
    assert there.scores.is_cuda and here.reason.tolist() == there.reason.tolist()
    apart = torch.linalg.vector_norm(here.scores - there.scores.cpu(), dim=1)[here.converged]
    assert (apart <= (here.error_bound + there.error_bound.cpu())[here.converged]).all()


# ------------------------------------------------------------------------------ the compiled loop


@pytest.mark.parametrize("size", [2, 3, 7, 16, 40])
def test_the_compiled_loop_agrees_with_torch(size):
    wins = random_wins(30, size, size)
    compiled = minimize_tables(wins, tolerance=1e-9, accuracy=1e-4)
    through_torch = minimize_tables(wins, tolerance=1e-9, accuracy=1e-4, exact_curvature=True)
    agree(compiled, through_torch)
    assert (compiled.curvature <= through_torch.curvature * (1 + 1e-9)).all()


@pytest.mark.parametrize("signed", [False, True])
def test_threads_change_no_bit(signed):
    wins = random_wins(300, 5, 1)
    if signed:
        wins = 0.98 * wins - 0.02 * wins.mT
        wins = torch.where(wins + wins.mT >= 0, wins, 0)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = minimize_tables(wins, signed=signed)
        torch.set_num_threads(4)
        four = minimize_tables(wins, signed=signed)
    finally:
        torch.set_num_threads(before)
    assert one.converged.any()
    for name, value in vars(one).items():
        assert torch.equal(value.nan_to_num(), getattr(four, name).nan_to_num()), name


def test_a_slice_of_a_larger_tensor_is_fitted_alike():
    wins = random_wins(12, 6, 2)
    strided = torch.stack([wins, wins], dim=-1)[..., 0]
    assert not strided.is_contiguous()
    assert torch.equal(minimize_tables(strided).scores, minimize_tables(wins).scores)
