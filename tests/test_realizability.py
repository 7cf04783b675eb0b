"""Ford's condition against its definition, and the cyclic remainder against its closed forms."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import floats

from madpo_theory.theory.realizability import check_margins, cycle_residual, ford_condition

CHAIN = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]])
CYCLE = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
TWO_PARTS = np.array([[0, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 3], [0, 0, 1, 0]])
PART_AND_CHAIN = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
TRIANGLE = np.array([[0, 1], [1, 2], [2, 0]])


@st.composite
def win_matrices(draw):
    size = draw(st.integers(2, 5))
    entries = draw(st.lists(st.integers(0, 1), min_size=size * size, max_size=size * size))
    wins = np.array(entries).reshape(size, size)
    return wins - np.diag(np.diag(wins))


@st.composite
def graphs(draw):
    """(edges, size) of a comparison graph, parallel edges included."""
    size = draw(st.integers(2, 6))
    pairs = st.sampled_from(list(itertools.permutations(range(size), 2)))
    edges = np.array(draw(st.lists(pairs, min_size=1, max_size=12)))
    return edges, int(edges.max()) + 1


def never_loses(wins, members):
    inside = np.isin(np.arange(len(wins)), members)
    return not wins[np.ix_(~inside, inside)].any()


@given(win_matrices())
@example(CHAIN)
@example(CYCLE)
@example(TWO_PARTS)
def test_ford_is_the_condition_on_every_partition(wins):
    size = len(wins)
    subsets = [list(s) for n in range(1, size) for s in itertools.combinations(range(size), n)]
    found = ford_condition(wins)
    assert found.holds == (not any(never_loses(wins, s) for s in subsets))
    assert bool(found.reason) != found.holds
    assert bool(found.undefeated) != found.holds
    if not found.holds:
        assert list(found.undefeated) in subsets and never_loses(wins, found.undefeated)


@given(win_matrices())
@example(CHAIN)
@example(TWO_PARTS)
@example(PART_AND_CHAIN)
def test_the_minimum_is_attained_iff_every_win_lies_on_a_cycle(wins):
    reach = np.eye(len(wins), dtype=bool) | (wins > 0)
    for _ in wins:
        reach = reach @ reach
    found = ford_condition(wins)
    assert found.attained == bool((reach == reach.T).all())
    assert found.holds == bool(reach.all())
    if not found.attained:  # the witness has beaten somebody that never beat it
        inside = np.isin(np.arange(len(wins)), found.undefeated)
        assert wins[np.ix_(inside, ~inside)].any()
    joined = reach | reach.T
    for _ in wins:
        joined = joined @ joined
    parts = np.array(found.parts)
    assert (joined == (parts[:, None] == parts[None, :])).all()


@given(win_matrices(), st.integers(-300, 300), st.randoms(use_true_random=False))
def test_only_which_wins_occur_matters_and_names_do_not(wins, exponent, random):
    found = ford_condition(wins)
    assert ford_condition(wins * 10.0**exponent) == found
    order = list(range(len(wins)))
    random.shuffle(order)
    renamed = ford_condition(wins[np.ix_(order, order)])
    assert (renamed.holds, renamed.attained) == (found.holds, found.attained)


def test_known_digraphs():
    assert ford_condition(CYCLE).holds
    chain = ford_condition(CHAIN)
    assert (chain.holds, chain.attained, chain.undefeated) == (False, False, (0,))
    assert "[0] have never lost to the rest" in chain.reason
    parts = ford_condition(TWO_PARTS)
    assert (parts.holds, parts.attained, parts.parts) == (False, True, (0, 0, 1, 1))
    assert parts.undefeated == (0, 1) and "no comparison connects" in parts.reason


@given(graphs(), st.data())
def test_score_gaps_leave_no_remainder(graph, data):
    edges, size = graph
    scores = np.array(data.draw(st.lists(floats(-10, 10), min_size=size, max_size=size)))
    weights = np.array(
        data.draw(st.lists(floats(0.1, 10), min_size=len(edges), max_size=len(edges)))
    )
    targets = scores[edges[:, 0]] - scores[edges[:, 1]]
    found = cycle_residual(edges, targets, weights)
    # Least squares of condition number 100 at most on numbers of size 20.
    np.testing.assert_allclose(found.fitted, targets, atol=1e-12)
    assert found.norm < 1e-11
    wins = np.zeros((size, size))
    wins[edges[:, 0], edges[:, 1]] = 1
    parts = np.array(ford_condition(wins).parts)
    for part in set(parts):
        assert abs(found.scores[parts == part].mean()) < 1e-12


@given(graphs(), st.data())
def test_the_remainder_is_orthogonal_to_gaps_and_minimal(graph, data):
    edges, size = graph
    count = len(edges)
    targets = np.array(data.draw(st.lists(floats(-10, 10), min_size=count, max_size=count)))
    weights = np.array(data.draw(st.lists(floats(0.1, 10), min_size=count, max_size=count)))
    found = cycle_residual(edges, targets, weights)
    flow = weights * found.residual
    net = np.bincount(edges[:, 0], flow, size) - np.bincount(edges[:, 1], flow, size)
    assert np.abs(net).max() < 1e-11
    np.testing.assert_allclose(found.fitted + found.residual, targets, atol=1e-14)
    np.testing.assert_allclose(found.norm**2, flow @ found.residual, atol=1e-12)
    assert 0 <= found.relative <= 1 + 1e-15
    swapped = cycle_residual(edges[:, ::-1], -targets, weights)
    np.testing.assert_allclose(swapped.scores, found.scores, atol=1e-11)


@given(
    st.lists(floats(-10, 10), min_size=3, max_size=3),
    st.lists(floats(0.1, 10), min_size=3, max_size=3),
)
def test_a_triangle_shares_its_cycle_sum_by_inverse_weight(targets, weights):
    found = cycle_residual(TRIANGLE, np.array(targets), np.array(weights))
    inverse = 1 / np.array(weights)
    np.testing.assert_allclose(found.residual, sum(targets) * inverse / inverse.sum(), atol=1e-12)
    np.testing.assert_allclose(found.norm, abs(sum(targets)) / np.sqrt(inverse.sum()), atol=1e-12)


def test_a_pure_cycle_is_all_remainder_and_no_target_is_none():
    assert cycle_residual(TRIANGLE, np.ones(3)).relative == pytest.approx(1, abs=1e-15)
    nothing = cycle_residual(TRIANGLE, np.zeros(3))
    assert nothing.norm == nothing.relative == 0


@pytest.mark.parametrize(
    ("wins", "error", "rule"),
    [
        ([[0, -1], [1, 0]], ValueError, r"wins\[0, 1\] = -1 breaks the rule wins >= 0"),
        ([[1, 1], [1, 0]], ValueError, r"wins\[0, 0\] = 1 breaks .*zero diagonal"),
        ([[0, np.nan], [1, 0]], ValueError, r"wins must be finite, got nan at index \(0, 1\)"),
        ([[0, 1, 0], [1, 0, 0]], ValueError, r"wins must be \(K, K\).*got shape \(2, 3\)"),
        ([[0]], ValueError, r"wins must be \(K, K\) with K >= 2"),
        ([0, 1], ValueError, r"wins must have 2 axes, got shape \(2,\)"),
        ([["0", "1"], ["1", "0"]], TypeError, r"wins must hold real numbers"),
        (np.zeros((2, 2), bool), TypeError, r"wins must hold real numbers, got dtype bool"),
        (np.zeros((2, 2), complex), TypeError, r"wins must hold real numbers, got dtype complex"),
    ],
)
def test_wins_are_nonnegative_square_and_finite(wins, error, rule):
    with pytest.raises(error, match=rule):
        ford_condition(wins)


@pytest.mark.parametrize(
    ("edges", "targets", "weights", "error", "rule"),
    [
        ([[0, 0]], [1.0], None, ValueError, r"edges\[0, 0\] = 0 breaks .*two different"),
        ([[0, -1]], [1.0], None, ValueError, r"edges\[0, 1\] = -1 breaks the rule edges >= 0"),
        ([[0.0, 1.0]], [1.0], None, TypeError, r"edges must hold response indices"),
        ([0, 1], [1.0], None, ValueError, r"edges must be \(E, 2\)"),
        (np.zeros((0, 2), int), [], None, ValueError, r"edges must be \(E, 2\) with E >= 1"),
        ([[0, 1]], [1.0, 2.0], None, ValueError, r"targets must have one entry an edge"),
        ([[0, 1]], [np.inf], None, ValueError, r"targets must be finite, got inf"),
        ([[0, 1]], [1.0], [0.0], ValueError, r"weights\[0\] = 0 breaks the rule weights > 0"),
        ([[0, 1]], [1.0], [1.0, 1.0], ValueError, r"weights must have one entry an edge"),
        ([[0, 1], [1, 2]], [1.0, 1.0], [1.0, 1e-40], ValueError, r"weights from .* span more"),
    ],
)
def test_edges_targets_and_weights_are_checked(edges, targets, weights, error, rule):
    with pytest.raises(error, match=rule):
        cycle_residual(edges, targets, weights)


def test_margins_that_depend_on_the_order_are_refused():
    rule = r"margins must be antisymmetric: .* margins\[0, 1\] = 1 and margins\[1, 0\] = 1; pass"
    with pytest.raises(ValueError, match=rule):
        check_margins("margins", np.array([[0.0, 1.0], [1.0, 0.0]]))
    with pytest.raises(ValueError, match=r"margins\[0, 0\] = 1"):
        check_margins("margins", np.array([[1.0, 1.0], [-1.0, 0.0]]))
