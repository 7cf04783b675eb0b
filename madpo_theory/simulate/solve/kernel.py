"""Newton's method for one table after another, compiled for the processor.

The arithmetic of :mod:`~.solve.newton` without its batch: a small table fits in the
cache, so that a loop over tables beats operations over columns, and a table cannot see its
neighbours. What does not converge here is left to the batched solver, which can say why.
"""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit

__all__ = ["fit_tables"]

EPS = np.finfo(np.float64).eps
BLOCK = 64  # tables that make a thread worth starting


def fit_tables(wins, offsets=None, *, tolerance, accuracy, steps, clip, threads):
    """Fit B tables, each to a certified distance from its minimizer, or not at all.

    Parameters
    ----------
    wins : (B, K, K) float64 array, zero diagonal; negative entries only where wins + wins^T >= 0
        and the offsets are odd.
    offsets : (B, K, K) float64 array or None.
    tolerance, accuracy, steps : as in :func:`~madpo_theory.simulate.solve.newton.minimize_tables`.
    clip : share of wins that a pair won by one side alone counts as having lost, for the start.
    threads : slices of the batch worked on at once; the result does not depend on it.

    Returns (scores (B, K), numbers (B, 3), taken (B,)): the scores that converged, mean 0; gradient
    norm, curvature and error bound; Newton steps, -1 where a table did not converge.
    """
    count, size, _ = wins.shape
    scores, numbers = np.empty((count, size)), np.empty((count, 3))
    taken = np.empty(count, dtype=np.int32)
    parts = max(1, min(threads, count // BLOCK))
    ends = np.linspace(0, count, parts + 1).astype(int)

    def work(part):
        at = slice(ends[part], ends[part + 1])
        moved = None if offsets is None else offsets[at]
        _fit(wins[at], moved, tolerance, accuracy, steps, clip, scores[at], numbers[at], taken[at])

    if parts == 1:
        work(0)
    else:
        with ThreadPoolExecutor(parts) as pool:
            list(pool.map(work, range(parts)))
    return scores, numbers, taken


@njit(cache=True, nogil=True, error_model="numpy")
def _fit(wins, offsets, tolerance, accuracy, steps, clip, scores, numbers, taken):
    size = wins.shape[1]
    p, links, mesh = np.zeros((size, size)), np.zeros((size, size)), np.zeros((size, size))
    work = np.zeros((6, size))
    for b in range(len(wins)):
        moved = None if offsets is None else offsets[b]
        taken[b] = _table(
            wins[b], moved, tolerance, accuracy, steps, clip, scores[b], numbers[b], p, links,
            mesh, work,
        )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def _table(wins, offsets, tolerance, accuracy, steps, clip, s, numbers, p, links, mesh, work):
    """Fit one table into `s`; returns the steps taken, or -1."""
    size = len(s)
    gradient, terms, side = work[0], work[1], work[2]
    x, v, degree = work[3], work[4], work[5]
    scale = 0.0
    for i in range(size):
        for j in range(i):
            scale = max(scale, wins[i, j] + wins[j, i])
    if not scale > 0:
        return -1
    for i in range(size):
        for j in range(size):
            p[i, j] = wins[i, j] / scale
    moved = 0.0
    if offsets is not None:
        for i in range(size):
            for j in range(size):
                moved = max(moved, abs(offsets[i, j]))
    _targets(p, offsets, clip, mesh, side)
    _eliminate(mesh, degree, side)
    _solve(mesh, degree, side, s)
    for step in range(steps + 1):
        low, high = s.min(), s.max()
        if not (math.isfinite(low) and math.isfinite(high)):
            return -1
        _derivatives(p, offsets, s, links, gradient, terms)
        norm = math.sqrt((gradient * gradient).sum())
        for i in range(size):
            side[i] = -gradient[i]
        mesh[:] = links
        _eliminate(mesh, degree, side)
        if norm <= tolerance:
            for i in range(size):
                x[i] = 1.0
            _again(mesh, degree, x)
            _solve(mesh, degree, x, v)
            curvature = _least_curvature(links, v)
            spread = high - low + moved
            rounding = EPS * (size + 4 + 2 * spread) * math.sqrt((terms * terms).sum())
            radius = _radius(norm + rounding, curvature)
            if radius <= accuracy:
                mean = s.sum() / size
                for i in range(size):
                    s[i] -= mean
                numbers[0], numbers[1], numbers[2] = norm, curvature, radius
                return step
        if step == steps:
            break
        _solve(mesh, degree, side, x)
        reach = x.max() - x.min()
        cut = 1.0 if reach <= 1 else math.log1p(reach) / reach
        for i in range(size):
            s[i] += cut * x[i]
    return -1


@njit(cache=True, nogil=True, error_model="numpy")
def _targets(p, offsets, clip, mesh, side):
    """Weights and right-hand side of the least-squares fit to the pair targets, as in `_start`."""
    size = len(side)
    side[:] = 0.0
    for i in range(size):
        for j in range(i + 1, size):
            won, lost = p[i, j], p[j, i]
            total = won + lost
            if not total > 0:
                mesh[i, j] = 0.0
                continue
            if not (won > 0 and lost > 0):
                rare = clip * total
                won, lost = (total, rare) if won >= lost else (rare, total)
            weight, target = math.sqrt(won) * math.sqrt(lost), math.log(won) - math.log(lost)
            if offsets is not None:
                up, down = offsets[i, j], offsets[j, i]
                target = _moved_target(target / 2, (up - down) / 2, (up + down) / 2)
                _, _, link = _pair(target, won, lost, up, down)
                weight = math.sqrt(link * (won + lost))
            pull = weight * target
            mesh[i, j] = weight
            side[i] += pull
            side[j] -= pull


@njit(cache=True, nogil=True, error_model="numpy")
def _moved_target(half, odd, even):
    """The minimizer of one pair's loss, as :func:`~.newton.pair_targets` has it."""
    size = abs(half)
    if size == 0:
        return odd
    large = even + size + math.log(-math.expm1(-2 * size)) - math.log(2)
    turned = (
        large + math.log1p(math.sqrt(1 + math.exp(-2 * large)))
        if large > 0
        else math.asinh(math.exp(large))
    )
    return odd + half + math.copysign(turned, half)


@njit(cache=True, nogil=True, error_model="numpy")
def _sides(z):
    """sigma(z) and sigma(-z), both with all their digits."""
    tail = math.exp(-abs(z))
    near = 1 / (1 + tail)
    far = tail * near
    return (near, far) if z >= 0 else (far, near)


@njit(cache=True, nogil=True, error_model="numpy")
def _pair(z, p, q, up, down):
    """The two terms of a pair's slope, and its curvature: the second writing of `risk`."""
    above, below = _sides(z - up)
    if up + down == 0:  # both labels bend alike
        return q * above, p * below, (p + q) * above * below
    above_too, below_too = _sides(z + down)
    return q * above_too, p * below, p * above * below + q * above_too * below_too


@njit(cache=True, nogil=True, error_model="numpy")
def _derivatives(p, offsets, s, links, gradient, terms):
    """Gradient, links, and for every response the sum of |terms| of its gradient."""
    size = len(s)
    gradient[:] = 0.0
    terms[:] = 0.0
    for i in range(size):
        for j in range(i + 1, size):
            z, won, lost = s[i] - s[j], p[i, j], p[j, i]
            if offsets is None:
                up, down, links[i, j] = _pair(z, won, lost, 0.0, 0.0)
            else:
                up, down, links[i, j] = _pair(z, won, lost, offsets[i, j], offsets[j, i])
            gradient[i] += up - down
            gradient[j] -= up - down
            mass = abs(up) + abs(down)
            terms[i] += mass
            terms[j] += mass


@njit(cache=True, nogil=True, error_model="numpy")
def _eliminate(mesh, degree, side):
    """Star to mesh, response by response, above the diagonal; `side` goes along."""
    size = len(side)
    for k in range(size - 1):
        total = 0.0
        for j in range(k + 1, size):
            total += mesh[k, j]
        degree[k] = total
        for i in range(k + 1, size - 1):
            share = mesh[k, i] / total
            side[i] += share * side[k]
            for j in range(i + 1, size):
                mesh[i, j] += share * mesh[k, j]


@njit(cache=True, nogil=True, error_model="numpy")
def _again(mesh, degree, side):
    """Take another right-hand side through the same elimination."""
    size = len(side)
    for k in range(size - 1):
        for i in range(k + 1, size - 1):
            side[i] += mesh[k, i] / degree[k] * side[k]


@njit(cache=True, nogil=True, error_model="numpy")
def _solve(mesh, degree, side, x):
    """Back substitution; the last response is held at 0."""
    size = len(side)
    x[size - 1] = 0.0
    for k in range(size - 2, -1, -1):
        total = side[k]
        for j in range(k + 1, size):
            total += mesh[k, j] * x[j]
        x[k] = total / degree[k]


@njit(cache=True, nogil=True, error_model="numpy")
def _least_curvature(links, v):
    """The bound of :func:`~.newton._least_curvature`, from v ~ A^-1 1."""
    size = len(v)
    rounding = (size + 4) * EPS
    total, smallest = 0.0, math.inf
    for i in range(size):
        for j in range(i + 1, size):
            total += links[i, j]
            smallest = min(smallest, links[i, j])
    bound = math.inf
    for i in range(size - 1):
        held = -2 * rounding * total * v.max()
        for j in range(size):
            held += links[min(i, j), max(i, j)] * (v[i] - v[j]) if i != j else 0.0
        bound = min(bound, held / v[i] if v[i] > 0 else 0.0)
    return max(0.0, max(bound, size * smallest) * (1 - rounding))


@njit(cache=True, nogil=True, error_model="numpy")
def _radius(slope, curvature):
    """Distance to the minimizer, as the batched solver bounds it."""
    ratio = math.sqrt(2) * slope / curvature if curvature > 0 else math.inf
    return -math.log1p(-ratio) / math.sqrt(2) if ratio < 1 else math.inf
