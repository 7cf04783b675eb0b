"""When pairwise targets are the gaps of one score per response, and when labels have a best fit.

A policy over K responses has K scores and a pair's margin is the difference of two of them.
Ford's condition says whether a logistic loss of such differences has a minimum at all;
:func:`cycle_residual` says how far targets are from being differences.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..ops.checks import check_antisymmetric, finite_array

__all__ = ["CycleResidual", "FordCondition", "cycle_residual", "ford_condition"]


def _first_break(name, array, broken, rule):
    """Raise ValueError naming the first entry of `array` where `broken` is true."""
    where = np.argwhere(broken)
    if len(where):
        index = tuple(map(int, where[0]))
        raise ValueError(f"{name}[{', '.join(map(str, index))}] = {array[index]:g} breaks {rule}")


def square(name, value):
    """`value` as a finite (K, K) float64 matrix, K >= 2, or an error."""
    matrix = finite_array(name, value, ndim=2)
    if len(set(matrix.shape)) != 1 or len(matrix) < 2:
        raise ValueError(
            f"{name} must be (K, K) with K >= 2, one row a response, got shape {matrix.shape}"
        )
    return matrix


def check_wins(name, value):
    """`value` as a (K, K) matrix of win masses: finite, nonnegative, zero diagonal; or an error."""
    wins = square(name, value)
    _first_break(name, wins, wins < 0, f"the rule {name} >= 0; pass counts or positive masses")
    on_diagonal = np.eye(len(wins), dtype=bool) & (wins != 0)
    _first_break(name, wins, on_diagonal, "the rule of a zero diagonal; no response beats itself")
    return wins


def check_margins(name, value):
    """`value` as an antisymmetric (K, K) matrix of margins, nats, row over column; or an error."""
    return check_antisymmetric(name, square(name, value))


@dataclass(frozen=True)
class FordCondition:
    """What the digraph "has beaten" says about the minimum of a logistic loss of the wins.

    Attributes
    ----------
    holds : Ford's (1957) condition: the digraph is strongly connected. A minimizer exists and is
        unique up to one constant added to every score.
    attained : every connected part is strongly connected. A minimizer exists; with several
        parts (one for each prompt, say) each has its own free constant.
    parts : label of each response's connected part, comparisons taken without direction.
    undefeated : responses that never lost to the rest, empty iff the condition holds. If the
        minimum is not attained they have beaten one of the rest, and raising their scores
        together lowers the loss forever.
    """

    holds: bool
    attained: bool
    parts: tuple[int, ...]
    undefeated: tuple[int, ...]

    @property
    def reason(self):
        """Why there is no unique minimizer, and what to do about it; empty if there is one."""
        if self.holds:
            return ""
        if self.attained:
            return (
                f"no comparison connects the responses {list(self.undefeated)} with the rest, so "
                "their scores have no common gauge; fit each connected part alone"
            )
        return (
            f"the responses {list(self.undefeated)} have never lost to the rest (Ford's "
            "condition), so the loss falls forever as their scores rise; add comparisons that "
            "they lose, or a regularizer"
        )


def reachable(links):
    """Which responses (..., K, K) lead from which in one step or more; `links` says in one step.

    A boolean array or tensor, by squaring: a walk of n steps is found after log2(n) rounds. A
    digraph of at least two responses is strongly connected iff all entries hold.
    """
    reach = links
    for _ in range((links.shape[-1] - 1).bit_length()):
        steps = 1.0 * reach
        reach = (steps + steps @ steps) > 0
    return reach


def ford_condition(wins):
    """Ford's condition for wins[i, j] = how often (or with what mass) response i beat response j.

    Parameters
    ----------
    wins : (K, K), finite, nonnegative, zero diagonal, K >= 2. Only where it is positive matters.

    Returns a :class:`FordCondition`. Raises ValueError or TypeError naming the entry at fault.
    Source: L. R. Ford, "Solution of a ranking problem from binary comparisons", American
    Mathematical Monthly 64(8), 1957; statement L3.
    """
    beaten = check_wins("wins", wins) > 0
    itself = np.eye(len(beaten), dtype=bool)
    above = reachable(beaten) | itself
    one_way = above & ~above.T
    attained = not one_way.any()
    # A strong component that nobody outside has beaten never loses. Every connected part has
    # one; in a part that is not strongly connected it has beaten somebody outside.
    witness = ~one_way.any(axis=0) & (one_way.any(axis=1) | attained)
    first = np.argmax(witness)
    holds = bool(above.all())
    undefeated = () if holds else tuple(np.flatnonzero(above[first] & above[:, first]).tolist())
    joined = reachable(beaten | beaten.T) | itself
    _, parts = np.unique(joined.argmax(axis=1), return_inverse=True)
    return FordCondition(holds, attained, tuple(parts.tolist()), undefeated)


@dataclass(frozen=True)
class CycleResidual:
    """Pairwise targets split into score gaps and what is left around the cycles.

    Attributes
    ----------
    scores : (K,) nats, mean 0 over each connected part.
    fitted : (E,) score gaps, nats.
    residual : (E,) targets - fitted, nats; weighted, it is orthogonal to every score gap.
    norm : root of the weighted sum of squares of the residual, nats.
    relative : norm over the same norm of the targets, in [0, 1]; 0 if all targets are 0.
    """

    scores: np.ndarray
    fitted: np.ndarray
    residual: np.ndarray
    norm: float
    relative: float


def check_edges(edges):
    """`edges` as (E, 2) response indices, E >= 1, each edge between two responses; or an error."""
    array = np.asarray(edges)
    if array.dtype.kind not in "iu":
        raise TypeError(f"edges must hold response indices (integers), got {array.dtype}")
    if array.ndim != 2 or array.shape[1] != 2 or len(array) == 0:
        raise ValueError(f"edges must be (E, 2) with E >= 1, got shape {array.shape}")
    _first_break("edges", array, array < 0, "the rule edges >= 0; responses count from 0")
    loops = (array[:, 0] == array[:, 1])[:, None]
    _first_break("edges", array, loops & [True, False], "the rule of two different responses")
    return array


def cycle_residual(edges, targets, weights=None):
    """Least-squares split of pairwise targets into score gaps and a cyclic remainder (HodgeRank).

    ``min over s of sum_e weights_e (targets_e - s_i + s_j)^2`` for edges e = (i, j). The
    remainder is zero iff the targets add up to zero around every cycle: then, and only then, a
    table of scores has every target exactly.

    Parameters
    ----------
    edges : (E, 2) response indices; a pair may occur more than once.
    targets : (E,) margin of the first response over the second, nats.
    weights : (E,) positive, default 1.

    Returns a :class:`CycleResidual`. Raises ValueError or TypeError naming the entry at fault,
    and ValueError if the weights span more than float64 resolves. Source: X. Jiang, L.-H. Lim,
    Y. Yao, Y. Ye, "Statistical ranking and combinatorial Hodge theory", arXiv 0811.1067.
    """
    edges, targets = check_edges(edges), finite_array("targets", targets, ndim=1)
    weights = np.ones(len(edges)) if weights is None else finite_array("weights", weights, ndim=1)
    for name, values in (("targets", targets), ("weights", weights)):
        if len(values) != len(edges):
            raise ValueError(f"{name} must have one entry an edge: {len(values)}, {len(edges)}")
    _first_break("weights", weights, weights <= 0, "the rule weights > 0; leave out such an edge")
    count = int(edges.max()) + 1
    rows = np.arange(len(edges))
    differences = np.zeros((len(edges), count))
    differences[rows, edges[:, 0]], differences[rows, edges[:, 1]] = 1.0, -1.0
    root = np.sqrt(weights / weights.max())
    # The least-norm solution is orthogonal to the constants of every part: its mean there is 0.
    scores, _, rank, _ = np.linalg.lstsq(root[:, None] * differences, root * targets)
    parts, _ = connected_components(coo_array((root, edges.T), shape=(count, count)), False)
    if rank != count - parts:
        raise ValueError(
            f"weights from {weights.min():g} to {weights.max():g} span more than float64 "
            "resolves; leave out the edges that hardly count"
        )
    fitted = differences @ scores
    residual = targets - fitted
    norm, total = (np.linalg.norm(np.sqrt(weights) * v) for v in (residual, targets))
    return CycleResidual(scores, fitted, residual, float(norm), float(norm / (total or 1.0)))
