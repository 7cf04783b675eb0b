"""Tables in batches: against the table solver and scipy, their certificates, independence."""

import math
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from descent import descended
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit
from strategies import floats

from madpo_theory.ops import torch_world
from madpo_theory.risk import logistic_slope
from madpo_theory.simulate import minimize_table
from madpo_theory.simulate.solve import newton
from madpo_theory.simulate.solve.fits import Reason
from madpo_theory.simulate.solve.newton import minimize_tables, pair_targets, solve_laplacian
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


def leave_all(fits, *_):
    return torch.arange(len(fits.scores))


@pytest.fixture
def in_torch(monkeypatch):
    """A context in which, if asked, the compiled loop leaves all tables to torch, as on CUDA."""

    @contextmanager
    def context(asked):
        with monkeypatch.context() as patch:
            if asked:
                patch.setattr(newton, "_compiled", leave_all)
            yield

    return context


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


def test_curvature_is_a_lower_bound_at_most_2_k_minus_1_times_too_small():
    wins = random_wins(200, 8, 5, spread=1.0, held=0.8)
    fits = minimize_tables(wins).require()
    z = gaps_of(fits.scores)
    total = wins + wins.mT
    links = total * torch.sigmoid(z) * torch.sigmoid(-z) / total.amax((1, 2))[:, None, None]
    hessian = torch.diag_embed(links.sum(2)) - links
    second = torch.linalg.eigvalsh(hessian)[:, 1]
    # LAPACK rounds by a few EPS of the matrix, whose norm is below 4
    assert (fits.curvature <= second + 1e-13).all()
    assert (fits.curvature * 14 >= second - 1e-12).all()


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


@pytest.mark.parametrize("size", [4, 12, 33, 45])
@pytest.mark.parametrize("moved", [False, True])
def test_a_table_is_the_same_in_any_lane(size, moved):
    """The compiled loop fits tables side by side, more or fewer of them: bit for bit the same."""
    count = 70 if size < 33 else 20
    wins, offsets = random_wins(count, size, size, spread=1.0), random_offsets(count, size, size)
    options = dict(tolerance=1e-9, accuracy=1e-4)

    def fitted(at):
        return minimize_tables(wins[at], offsets=offsets[at] if moved else None, **options)

    fits = fitted(slice(None)).require()
    for at in (slice(0, 1), slice(1, 4), slice(2, 19)):
        same(fitted(at), type(fits)(*(value[at] for value in vars(fits).values())))


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


# ------------------------------------------------------------------------------------------ offsets


def offset_losses(wins, offsets, scores):
    return (wins * torch.nn.functional.softplus(offsets - gaps_of(scores))).sum((1, 2))


def random_offsets(count, size, seed, *, odd=1.0, even=1.0):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, count, size, size))
    return torch.tensor(
        odd * (first - first.transpose(0, 2, 1)) + even * (second + second.transpose(0, 2, 1))
    )


@given(floats(-9, 9), floats(-9, 9), floats(-9, 9))
@example(0.0, 3.0, -1.0)
@example(30.0, 0.0, 700.0)  # the even part overflows
@settings(max_examples=60)
def test_a_pair_settles_where_its_two_labels_balance(log_ratio, up, down):
    p = torch.tensor([1.0]).double()
    q = (p.log() - log_ratio).exp()
    offsets = (torch.full_like(p, up), torch.full_like(p, down))
    target = pair_targets(p, q, offsets)
    slope = logistic_slope(torch_world, target, p, q, offsets)
    # an ulp of the target's size, of the offsets and of log(p/q) moves either term by as much
    size = 1 + abs(log_ratio) + 2 * abs(up) + 2 * abs(down) + target.abs()
    terms = logistic_slope(torch_world, target, -p, q, offsets)
    assert (slope.abs() <= 8 * 2.3e-16 * size * terms).all()


@pytest.mark.parametrize("size", [2, 3, 7, 16])
@pytest.mark.parametrize("through", ["compiled", "torch"])
def test_with_offsets_the_gradient_of_the_moved_loss_vanishes(size, through, in_torch):
    wins = random_wins(20, size, size, spread=1.0)
    offsets = random_offsets(20, size, size + 1, odd=2.0)
    with in_torch(through == "torch"):
        fits = minimize_tables(wins, offsets=offsets, tolerance=1e-9, accuracy=1e-4).require()
    s = fits.scores.clone().requires_grad_()
    (slope,) = torch.autograd.grad(offset_losses(wins, offsets, s).sum(), s)
    scale = (wins + wins.mT).amax((1, 2))
    norm = torch.linalg.vector_norm(slope, dim=1) / scale
    # rounding: K terms of at most 1, each to a few ulp of its argument, below 20
    assert (norm <= 1e-9 + size**2 * 30 * 2.3e-16).all()
    hessian = torch.stack(
        [
            torch.autograd.functional.hessian(
                lambda s, b=b: offset_losses(wins[b : b + 1], offsets[b : b + 1], s[None])[0],
                fits.scores[b],
            )
            for b in range(20)
        ]
    )
    least = torch.linalg.eigvalsh(hessian / scale[:, None, None])[:, 1]
    assert (fits.curvature <= least * (1 + 1e-9) + 1e-14).all()


def test_both_paths_agree_on_offsets(in_torch):
    wins, offsets = random_wins(40, 6, 3), random_offsets(40, 6, 4, odd=3.0, even=2.0)
    compiled = minimize_tables(wins, offsets=offsets)
    with in_torch(True):
        agree(compiled, minimize_tables(wins, offsets=offsets))


@given(st.lists(floats(-3, 3), min_size=4, max_size=4), floats(-2, 2), floats(0.0, 0.14))
@example([1.0, -2.0, 0.5, 0.0], 1.5, 0.14)
@settings(max_examples=30)
def test_odd_offsets_that_add_up_move_the_scores_by_themselves(shift, alpha, eps):
    """s_i - s_j - alpha (h_i - h_j) is one more table of scores; negative masses may join."""
    wins = random_wins(1, 4, 17, spread=0.8)
    signed = (1 - eps) * wins - eps * wins.mT
    assert (signed < 0).any() == (eps > 0.102)
    h = alpha * torch.tensor([shift], dtype=torch.float64)
    plain = minimize_tables(signed, signed=True).require()
    moved = minimize_tables(signed, offsets=gaps_of(h), signed=True).require()
    expected = plain.scores + h - h.mean()
    apart = torch.linalg.vector_norm(moved.scores - expected, dim=1)
    # the offsets round on the scale of the shift, and so do the scores
    assert (apart <= plain.error_bound + moved.error_bound + 1e-14 * (1 + h.abs().max())).all()


def test_an_even_offset_amplifies_small_margins_and_shifts_large_ones():
    """C1: slope (1 + e^gamma)/2 at 0, h* + gamma far out."""
    gamma, h = 1.5, torch.tensor([1e-4, 30.0], dtype=torch.float64)
    wins = torch.zeros((2, 2, 2), dtype=torch.float64)
    wins[:, 0, 1], wins[:, 1, 0] = torch.sigmoid(h), torch.sigmoid(-h)
    offsets = torch.full((2, 2, 2), gamma, dtype=torch.float64)
    fits = minimize_tables(wins, offsets=offsets).require()
    gap = fits.scores[:, 0] - fits.scores[:, 1]
    # the cubic term of the target at 1e-4; e^-30 beyond the shift; the bounds of the scores
    assert abs(gap[0] - 1e-4 * (1 + math.exp(gamma)) / 2) <= 1e-11 + 2 * fits.error_bound[0]
    assert abs(gap[1] - 30 - gamma) <= 1e-10 + 2 * fits.error_bound[1]


def test_whether_there_is_a_minimizer_depends_on_the_masses_alone():
    wins = random_wins(6, 4, 3, spread=1.0)
    wins[2, :, 1] = 0.0
    wins[5, :2, 2:], wins[5, 2:, :2] = 0.0, 0.0
    wins[4] = 0.0
    plain = minimize_tables(wins)
    moved = minimize_tables(wins, offsets=random_offsets(6, 4, 5, odd=5.0, even=5.0))
    assert moved.reason.tolist() == plain.reason.tolist()
    assert plain.reason.tolist() == [0, 0, Reason.NO_MINIMIZER, 0, *[Reason.UNCONNECTED] * 2]


def test_no_offset_is_an_offset_of_0(in_torch):
    wins = random_wins(15, 5, 9)
    zero = torch.zeros_like(wins)
    for through_torch in (False, True):
        with in_torch(through_torch):
            agree(minimize_tables(wins), minimize_tables(wins, offsets=zero))


def test_a_long_sparse_chain_of_many_responses():
    size, gap = 150, 0.05
    wins = torch.zeros((2, size, size), dtype=torch.float64)
    for i in range(size - 1):
        wins[:, i, i + 1], wins[:, i + 1, i] = expit(gap), expit(-gap)
    fits = minimize_tables(wins, accuracy=1e-3).require()
    steps = fits.scores[:, :-1] - fits.scores[:, 1:]
    assert (steps - gap).abs().max() <= math.sqrt(2) * fits.error_bound.max()


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


def test_gradient_descent_ends_at_the_minimizer():
    wins = random_wins(4, 4, 12, spread=0.5)
    scores = descended(wins / wins.sum((1, 2), keepdim=True), rate=2.0, steps=4000)
    fits = minimize_tables(wins).require()
    # gradient descent contracts by 1 - rate * curvature a step; 4000 leave rounding alone
    torch.testing.assert_close(scores, fits.scores, rtol=0, atol=1e-10)


# ----------------------------------------------------------------------------------------- refusals

OK = torch.tensor([[[0, 1.0], [1, 0]]])
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
        (lambda: minimize_tables(OK, offsets=OK[:, :1]), ValueError, "offsets must have shape"),
        (
            lambda: minimize_tables(OK, offsets=OK / 0),
            ValueError,
            "offsets must be finite, got nan",
        ),
        (
            lambda: minimize_tables(OK - 1.5 * OK.triu(), offsets=OK, signed=True),
            ValueError,
            r"offsets\[0, 0, 1\] = 1 and .* opposite where a mass is negative",
        ),
        (lambda: solve_laplacian(OK.triu(), ONE.expand(1, 2)), ValueError, "must be symmetric"),
    ],
)
def test_invalid_input_is_named(call, error, rule):
    with pytest.raises(error, match=rule):
        call()


def test_no_tables_are_no_trouble():
    none = torch.zeros((0, 3, 3), dtype=torch.float64)
    assert minimize_tables(none).scores.shape == (0, 3)
    assert minimize_tables(none, offsets=none).scores.shape == (0, 3)


def test_on_a_card_the_same_scores(card):
    wins = random_wins(50, 6, 13, spread=1.5, held=0.8)
    here, there = minimize_tables(wins), minimize_tables(wins.to(card))
    assert there.scores.device.type == card.type
    assert here.reason.tolist() == there.reason.tolist()
    apart = torch.linalg.vector_norm(here.scores - there.scores.cpu(), dim=1)[here.converged]
    assert (apart <= (here.error_bound + there.error_bound.cpu())[here.converged]).all()


# ------------------------------------------------------------------------------ the compiled loop


@pytest.mark.parametrize("size", [2, 3, 7, 16, 40])
def test_the_compiled_loop_agrees_with_torch(size, in_torch):
    wins = random_wins(30, size, size)
    compiled = minimize_tables(wins, tolerance=1e-9, accuracy=1e-4)
    with in_torch(True):
        agree(compiled, minimize_tables(wins, tolerance=1e-9, accuracy=1e-4))


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
