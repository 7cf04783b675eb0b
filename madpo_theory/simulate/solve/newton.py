"""Thousands of tables at once: Newton's method in torch, with a certificate for every one.

A table is what :mod:`~.solve.table` fits: K responses, wins[i, j] the mass of labels
that say i beats j, and the scores minimize ``f(s) = sum_ij wins[i, j] l(s_i - s_j)``,
l(z) = log(1 + e^-z), mean(s) = 0. Here B tables go through the same arithmetic side by side.

How. The Hessian is the Laplacian of the links ``N_ij sigma(z) sigma(-z)``, N = wins + wins^T, and
it is solved by eliminating responses one by one: eliminating k adds ``link_ik link_jk / sum_j
link_jk`` to link_ij (star to mesh). Nothing is subtracted, so no digits are lost however unlike the
links are. The start is the least-squares fit of scores to the pair targets log(wins_ij / wins_ji).
A step whose largest change of a gap is d > 1 is cut to log(1 + d)/d of itself: as |l'''| <= l'',
the loss falls at each.

Where. On a processor a compiled loop fits one table after another (:mod:`.kernel`). What it leaves,
and everything on CUDA, goes through torch: rows are pairs or responses and columns are tables, so
that every operation runs along the batch.

Independence. A table's result is bit for bit the same whatever else is in the call, wherever chunks
begin and however many threads work: no operation mixes tables, and sums over responses have one
order, not a library's. (On CUDA, and for conjugate gradients, up to rounding.)

Memory. Beside the input and the result, the compiled loop needs a few tables a thread, torch about
``12 K^2`` float64 numbers for each table of a chunk.
"""

import math
from dataclasses import fields as dataclass_fields

import torch

from ...ops import check_number
from .fits import (
    Reason,
    TableFits,
    check_masses,
    check_options,
    check_pair_total,
    check_tables,
    empty_fits,
)
from .layout import Edges, chunks, columns_of, fold, largest, layout_of, length_of, smallest

__all__ = ["minimize_edges", "minimize_tables", "solve_laplacian"]

EPS = torch.finfo(torch.float64).eps
SPREAD = math.sqrt(2)  # two entries of a vector differ by at most sqrt(2) times its length
MATRIX_FREE = 128  # responses from which conjugate gradients take over from elimination
FAST = 24  # most steps of the compiled loop
CLIP = 1e-3  # a share of wins outside [CLIP, 1 - CLIP] starts from there


def solve_laplacian(links, sides, *, chunk=None):
    """x with ``sum_j links[i, j] (x_i - x_j) = sides[i]`` and mean 0, for B tables at once.

    links (B, K, K) symmetric and nonnegative, sides (B, K) of sum 0. Returns (x, curvature,
    residual): (B, K) scores; (B,) lower bound on the smallest eigenvalue on mean-0 vectors, 0
    where the links do not connect the responses (x is NaN there); (B,) length of what the
    equations miss.
    """
    links = check_tables("links", links)
    if (links != links.mT).any():
        raise ValueError("links must be symmetric: links[b, i, j] = links[b, j, i]")
    count, size = links.shape[:2]
    sides = check_masses("sides", sides, (count, size), signed=True)
    layout = layout_of(size, links.device)
    x, least, missed = torch.empty_like(sides), sides.new_empty(count), sides.new_empty(count)
    for at in chunks(count, size, chunk):
        pairs = columns_of(links[at]).index_select(0, layout.forward)
        side = columns_of(sides[at])
        found = layout.eliminate(pairs, [side[:-1], torch.ones_like(side[:-1])])
        z, v = (torch.cat([found[:, c], torch.zeros_like(side[:1])]) for c in (0, 1))
        low = _least_curvature(layout, pairs, v)
        z = torch.where(low > 0, z, math.nan)
        miss = layout.outflow(layout.differences(z).mul_(pairs)) - side
        x[at], least[at] = (z - fold(z) / size).t(), low
        missed[at] = length_of(miss)
    return x, least, missed


def _least_curvature(layout, links, v):
    """Lower bound (n,) on the Laplacian's smallest eigenvalue on mean-0 vectors, from any v.

    Holding one response at 0 leaves a principal submatrix A of the Laplacian, whose smallest
    eigenvalue is no larger (interlacing). A has no positive entry off the diagonal, so for every
    v > 0 that eigenvalue is at least min_i (A v)_i / v_i (Collatz and Wielandt). v ~ A^-1 1 makes
    it 1/max v. Also, the links less their smallest are a Laplacian, which gives K min(links).
    Either way what float64 may round is taken off. `v` is (K, n) with v = 0 at the last response.
    """
    held = layout.outflow(layout.differences(v).mul_(links))[:-1]
    v = v[:-1]
    rounding = (layout.size + 4) * EPS
    held -= 2 * rounding * fold(links) * largest(v)  # no response has more than all links
    bound = smallest(torch.where(v > 0, held / v, 0))
    return torch.maximum(bound, layout.size * smallest(links)).mul_(1 - rounding).clamp_min_(0)


def _exact_curvature(links, size):
    """The Laplacian's second eigenvalue (n,), less its rounding; links (pairs, n)."""
    layout = layout_of(size, links.device)
    matrix = links.new_zeros((links.shape[1], size * size))
    matrix[:, layout.forward] = -links.t()
    matrix[:, layout.backward] = -links.t()
    matrix = matrix.view(-1, size, size)
    degrees = -matrix.sum(2)
    matrix.diagonal(dim1=1, dim2=2).copy_(degrees)
    second = torch.linalg.eigvalsh(matrix)[:, 1]
    return (second - size * EPS * degrees.sum(1)).clamp_min_(0)


def _radius(slope, curvature):
    """Distance to the minimizer: -log(1 - sqrt(2) |g|/k)/sqrt(2), see `table_certificate`."""
    ratio = torch.where(curvature > 0, SPREAD * slope / curvature, math.inf)
    return torch.where(ratio < 1, -torch.log1p(-ratio.clamp_max(1)) / SPREAD, math.inf)


# ------------------------------------------------------------------------------------- elimination


def minimize_tables(
    wins,
    *,
    signed=False,
    tolerance=1e-10,
    accuracy=1e-6,
    steps=500,
    chunk=None,
    exact_curvature=False,
    matrix_free=None,
):
    """Scores of B tables that minimize ``sum_ij wins[b, i, j] l(s_i - s_j)``, all at once.

    Parameters
    ----------
    wins : (B, K, K) torch tensor on any device, zero diagonal; the unit of mass does not matter.
    signed : allow negative masses as long as wins + wins^T >= 0 (rDPO): still convex.
    tolerance : largest gradient norm, for masses scaled to a largest pair mass of 1.
    accuracy : largest error bound to accept, nats.
    steps : most Newton steps for a table.
    chunk : tables solved together; bounds the memory, see above. Default 2^20/K^2, at least 16.
    exact_curvature : report the eigenvalue itself, some 25 microseconds a table at K = 16.
    matrix_free : solve by conjugate gradients instead of elimination; default from K = 128 on.

    Returns a :class:`TableFits`; a table without a minimizer says so there and leaves the others
    alone. Raises ValueError or TypeError naming the entry at fault. Derived here, L1 and L3.
    """
    wins = check_tables("wins", wins, signed=signed)
    if signed:
        check_pair_total(wins + wins.mT, "wins: pair masses")
    check_options(tolerance, accuracy, steps, chunk)
    count, size = wins.shape[:2]
    fits = empty_fits(count, size, wins.device)
    if matrix_free is None:
        matrix_free = size >= MATRIX_FREE
    left = torch.arange(count, device=wins.device)
    if wins.device.type == "cpu" and not matrix_free and not exact_curvature:
        left = _compiled(fits, wins, tolerance, accuracy, steps)
    layout = layout_of(size, wins.device)
    for at in chunks(len(left), size, chunk):
        columns = columns_of(wins[left[at]])
        p, q = (columns.index_select(0, rows) for rows in (layout.forward, layout.backward))
        part = _Part(fits, left[at], p, q, tolerance, accuracy, signed)
        del columns, p, q
        if matrix_free:
            _conjugate_gradient(part, layout, steps)
            continue
        part.refuse_unattainable(layout)
        _newton(part, layout, steps, exact_curvature)
    return fits


def _compiled(fits, wins, tolerance, accuracy, steps):
    """Record what the compiled loop can fit; returns the places of the other tables."""
    from .kernel import fit_tables

    options = dict(tolerance=tolerance, accuracy=accuracy, steps=min(steps, FAST), clip=CLIP)
    options |= dict(threads=torch.get_num_threads())
    found = fit_tables(wins.contiguous().numpy(), **options)
    scores, numbers, taken = (torch.from_numpy(values) for values in found)
    done = taken >= 0
    fits.scores[done], fits.iterations[done], fits.converged[done] = scores[done], taken[done], True
    fits.reason[done] = int(Reason.CONVERGED)
    for values, column in zip(
        (fits.gradient_norm, fits.curvature, fits.error_bound), numbers.t(), strict=True
    ):
        values[done] = column[done]
    return (~done).nonzero().flatten()


class _Part:
    """The tables of one chunk that are still open, as columns, and where their results go."""

    def __init__(self, fits, index, p, q, tolerance, accuracy, signed):
        self.fits, self.tolerance, self.accuracy, self.signed = fits, tolerance, accuracy, signed
        total = p + q
        scale = largest(total)
        self.p, self.q = p / scale, q / scale
        self.index = index
        empty = scale == 0
        if empty.any():
            self.close(empty, Reason.UNCONNECTED)

    def open(self):
        return len(self.index) > 0

    def close(self, which, reason):
        """Take tables out for good, unsolved."""
        self.fits.reason[self.index[which]] = int(reason)
        self.keep(~which)

    def keep(self, which):
        if not which.all():
            kept = which.nonzero().flatten()
            self.p, self.q = self.p.index_select(1, kept), self.q.index_select(1, kept)
            self.index = self.index.index_select(0, kept)

    def record(self, which, index, scores, norm, curvature, radius, step):
        """Write the solved tables `which` of the current columns, `index` their places."""
        column = which.nonzero().flatten()
        at, fits = index.index_select(0, column), self.fits
        scores = scores.index_select(1, column)
        fits.scores[at] = (scores - fold(scores) / len(scores)).t()
        fits.gradient_norm[at], fits.curvature[at] = norm[column], curvature[column]
        fits.error_bound[at], fits.converged[at] = radius[column], True
        fits.reason[at], fits.iterations[at] = int(Reason.CONVERGED), step

    def refuse_unattainable(self, pairs):
        """Close the tables that have no unique minimizer: Ford's condition, by reachability."""
        if not self.open():
            return
        nonnegative = (torch.minimum(self.p, self.q) >= 0).all(0)
        apart, endless = pairs.reachability(self.p, self.q)
        # With negative masses Ford's condition says nothing; connection still does.
        endless &= nonnegative
        apart &= ~endless
        self.fits.reason[self.index[apart]] = int(Reason.UNCONNECTED)
        self.fits.reason[self.index[endless]] = int(Reason.NO_MINIMIZER)
        self.keep(~(apart | endless))


def _start(pairs, p, q, solve):
    """Scores that fit the pair targets log(p/q) in least squares, weighted by sqrt(p q).

    These are the scores themselves where the targets add up around every cycle; where they do not,
    weights between those of all pairs alike and of the curvature p q/(p + q) at the targets came
    nearest in measurements. A pair won by one side alone counts as if a share CLIP were lost.
    """
    total = p + q
    shared = (p > 0) & (q > 0)
    target = torch.where(shared, torch.log(p / q), torch.sign(p - q) * -math.log(CLIP))
    weight = torch.where(shared, p.sqrt() * q.sqrt(), total * math.sqrt(CLIP))
    side = pairs.outflow(target.mul_(weight))
    return solve(weight, side)


def _newton(part, layout, rounds, exact_curvature):
    """Newton steps until every table is recorded, or given up after at most `rounds` of them."""
    if not part.open():
        return

    def grounded(links, side):
        scores = layout.eliminate(links, [side[:-1]])[:, 0]
        return torch.cat([scores, torch.zeros_like(scores[:1])])

    p, q, index, size = part.p, part.q, part.index, layout.size
    scores = _start(layout, p, q, grounded)
    scores = torch.where(torch.isfinite(scores).all(0), scores, 0)
    total, is_open, v = p + q, torch.ones_like(index, dtype=torch.bool), None
    ones = torch.ones((size - 1, p.shape[1]), dtype=p.dtype, device=p.device)
    for step in range(rounds + 1):
        gradient, links, mass = derivatives(layout, p, q, total, scores)
        norm = length_of(gradient)
        if part.signed:
            falling = is_open & _losing_prefix(layout, p, q, scores)
            _give_up(part.fits, index[falling], Reason.NO_MINIMIZER, norm[falling], step)
            is_open &= ~falling
        if v is not None:
            curvature = _least_curvature(layout, links, v)
            spread = largest(scores) - smallest(scores)
            rounding = EPS * (size + 4 + 2 * spread) * layout.incident(mass)
            slope = norm + length_of(rounding)
            radius = _radius(slope, curvature)
            done = is_open & (norm <= part.tolerance) & (radius <= part.accuracy)
            if done.any():
                if exact_curvature:
                    curvature[done] = _exact_curvature(links[:, done], size)
                    radius[done] = torch.minimum(radius, _radius(slope, curvature))[done]
                part.record(done, index, scores, norm, curvature, radius, step)
                is_open &= ~done
            stuck = is_open & (gradient.abs() <= rounding).all(0)
            stuck |= is_open & ~torch.isfinite(norm)
            _give_up(part.fits, index[stuck], Reason.PRECISION, norm[stuck], step)
            is_open &= ~stuck
        if step == rounds or not is_open.any():
            break
        if 2 * int(is_open.sum()) <= len(index):
            kept = is_open.nonzero().flatten()
            p, q, total, scores, gradient, links, ones, norm = (
                rows.index_select(-1, kept)
                for rows in (p, q, total, scores, gradient, links, ones, norm)
            )
            index, is_open = index[kept], is_open[kept]
        found = layout.eliminate(links, [gradient[:-1].neg_(), ones])
        found = torch.cat([found, torch.zeros_like(found[:1])])
        v = found[:, 1]
        scores = _advance(scores, found[:, 0])
    _give_up(part.fits, index[is_open], Reason.STEPS, norm[is_open], step)


def _give_up(fits, at, reason, norm, step):
    fits.reason[at], fits.gradient_norm[at], fits.iterations[at] = int(reason), norm, step


def _sigmoid_of_negative(z):
    """1/(1 + e^z) in place. torch.sigmoid rounds by where in memory an entry lies; exp does not."""
    return z.exp_().add_(1).reciprocal_()


def derivatives(pairs, p, q, total, scores):
    """Gradient (K, n), links and |terms| of the gradient (pairs, n): each rounds to EPS of itself.

    ``q sigma(z) - p sigma(-z)``: where z is large, both sigmoids keep all their digits.
    """
    z = pairs.differences(scores)
    down = _sigmoid_of_negative(z.clone())
    up = _sigmoid_of_negative(z.neg_())
    links = (total * up).mul_(down)
    up *= q
    down *= p
    flow = torch.sub(up, down, out=z)
    return pairs.outflow(flow), links, up.abs_().add_(down.abs_())


def _advance(scores, change):
    """The Newton step, cut where it would change a gap by more than 1.

    With reach d it lowers the loss: at full length by at least 1 - (e^d - 1 - d)/d^2 > 0 of the
    squared decrement for d <= 1, and at log(1 + d)/d of it for every d.
    """
    reach = largest(change) - smallest(change)
    return scores.add_(change.mul_(torch.where(reach <= 1, 1.0, torch.log1p(reach) / reach)))


def _losing_prefix(pairs, p, q, scores):
    """Whether some of the best-placed responses, together, have no mass of losses to the rest.

    With signed masses a minimizer exists iff every set of responses has a positive mass of losses
    to the others. Responses that escape to infinity lead the order of scores. A mass within its
    rounding of 0 counts as none.
    """
    place = (-scores).argsort(0).argsort(0)
    first, second = place.index_select(0, pairs.first), place.index_select(0, pairs.second)
    # What the better-placed response of a pair loses counts for every cut between the two.
    lost = torch.where(first < second, q, p)
    jumps = p.new_zeros((pairs.size + 1, p.shape[1]))
    jumps.scatter_add_(0, torch.minimum(first, second), lost)
    jumps.scatter_add_(0, torch.maximum(first, second), -lost)
    rounding = 4 * (pairs.size + pairs.pairs) * EPS * lost.abs().sum(0)
    return (jumps.cumsum(0)[: pairs.size - 1] <= rounding).any(0)


def minimize_edges(
    edges,
    p,
    q,
    *,
    responses=None,
    signed=False,
    tolerance=1e-10,
    accuracy=1e-6,
    steps=500,
    chunk=None,
    matrix_free=None,
):
    """As :func:`minimize_tables`, for B tables whose comparisons share one list of edges.

    Parameters
    ----------
    edges : (E, 2) integer tensor of responses (i, j), i != j; a pair may occur more than once.
    p, q : (B, E) masses of the labels "i beats j" and "j beats i".
    responses : K, default the largest index + 1.
    matrix_free : conjugate gradients, which never form a K x K matrix; default from K = 128 on.

    The other parameters and the result as there. Memory: about ``12 E`` numbers a table.
    """
    if not isinstance(edges, torch.Tensor) or edges.is_floating_point() or edges.is_complex():
        found = getattr(edges, "dtype", type(edges).__qualname__)
        raise TypeError(f"edges must be an integer tensor of response indices, got {found}")
    if edges.ndim != 2 or edges.shape[1] != 2 or not len(edges):
        raise ValueError(f"edges must be (E, 2) with E >= 1, got shape {tuple(edges.shape)}")
    edges = edges.long()
    size = int(edges.max()) + 1 if responses is None else responses
    check_number("responses", size, "responses >= 2", lambda v: v >= 2)
    bad = ((edges < 0) | (edges >= size)).any(1) | (edges[:, 0] == edges[:, 1])
    if bad.any():
        e = int(bad.nonzero()[0])
        raise ValueError(
            f"edges[{e}] = {edges[e].tolist()} breaks the rule of two different responses in "
            f"0 ... {size - 1}"
        )
    p = check_masses("p", p, (None, len(edges)), signed=signed)
    q = check_masses("q", q, tuple(p.shape), signed=signed)
    if not edges.device == p.device == q.device:
        raise ValueError("edges, p and q must be on one device; move them there")
    check_pair_total(p + q, "p and q")
    check_options(tolerance, accuracy, steps, chunk)
    fits = empty_fits(len(p), size, p.device)
    if matrix_free is None:
        matrix_free = size >= MATRIX_FREE
    if matrix_free:
        pairs = Edges(edges, size)
        step = max(1, (1 << 22) // len(edges)) if chunk is None else int(chunk)
        for at in range(0, len(p), step):
            index = torch.arange(at, min(at + step, len(p)), device=p.device)
            masses = (columns_of(mass[at : at + step]) for mass in (p, q))
            part = _Part(fits, index, *masses, tolerance, accuracy, signed)
            _conjugate_gradient(part, pairs, steps)
        return fits
    forward, backward = edges[:, 0] * size + edges[:, 1], edges[:, 1] * size + edges[:, 0]
    parts = []
    for at in chunks(len(p), size, chunk):
        wins = p.new_zeros((at.stop - at.start, size * size))
        wins.index_add_(1, forward, p[at]).index_add_(1, backward, q[at])
        parts.append(
            minimize_tables(
                wins.view(-1, size, size),
                signed=signed,
                tolerance=tolerance,
                accuracy=accuracy,
                steps=steps,
                chunk=chunk,
                matrix_free=False,
            )
        )
    if not parts:
        return fits
    return TableFits(
        *(torch.cat([getattr(f, a.name) for f in parts]) for a in dataclass_fields(TableFits))
    )


def _solve_by_conjugate_gradient(pairs, links, side, rtol):
    """Laplacian equations (K, n) with sides of sum 0, each to its own relative residual `rtol`."""
    size = pairs.size
    degree = pairs.incident(links).clamp_min_(1e-300)
    x, residual = torch.zeros_like(side), side - side.sum(0) / size
    goal = rtol * length_of(residual)
    scaled = residual / degree
    direction, energy = scaled.clone(), (residual * scaled).sum(0)
    for _ in range(4 * size):
        moving = length_of(residual) > goal
        if not moving.any():
            break
        image = pairs.outflow(pairs.differences(direction).mul_(links))
        length = (direction * image).sum(0)
        # A direction without curvature stands for parts that nothing connects: leave it.
        alpha = torch.where(moving & (length > 0), energy / length, 0)
        x += alpha * direction
        residual -= alpha * image
        residual -= residual.sum(0) / size
        scaled = residual / degree
        new = (residual * scaled).sum(0)
        direction = scaled + torch.where(moving, new / energy, 0) * direction
        energy = new
    return x


def _conjugate_gradient(part, pairs, steps):
    """Newton steps solved by conjugate gradients, every table its own forcing tolerance."""
    if part.open():
        part.refuse_unattainable(pairs)
    if not part.open():
        return
    p, q, index, size = part.p, part.q, part.index, pairs.size

    def solve(links, side):
        return _solve_by_conjugate_gradient(pairs, links, side, 1e-3)

    scores = _start(pairs, p, q, solve)
    scores = torch.where(torch.isfinite(scores).all(0), scores, 0)
    total = p + q
    for step in range(steps + 1):
        gradient, links, pull = derivatives(pairs, p, q, total, scores)
        norm = length_of(gradient)
        spread = largest(scores) - smallest(scores)
        rounding = EPS * (size + 4 + 2 * spread) * pairs.incident(pull)
        stuck = (gradient.abs() <= rounding).all(0) | ~torch.isfinite(norm)
        near = (norm <= part.tolerance) | stuck
        closed = torch.zeros_like(near)
        if part.signed:
            closed = _losing_prefix(pairs, p, q, scores)
            _give_up(part.fits, index[closed], Reason.NO_MINIMIZER, norm[closed], step)
            near, stuck = near & ~closed, stuck & ~closed
        if near.any():
            # v = A^-1 1 by the same solver: any positive v proves a bound.
            side = torch.ones_like(scores)
            side[-1] = 1 - size
            v = _solve_by_conjugate_gradient(pairs, links, side, 1e-2 / size)
            curvature = _least_curvature(pairs, links, v - v[-1])
            slope = norm + length_of(rounding)
            radius = _radius(slope, curvature)
            done = near & (norm <= part.tolerance) & (radius <= part.accuracy)
            part.record(done, index, scores, norm, curvature, radius, step)
            stuck &= ~done
            _give_up(part.fits, index[stuck], Reason.PRECISION, norm[stuck], step)
            closed |= done | stuck
        if step == steps:
            left = ~closed
            _give_up(part.fits, index[left], Reason.STEPS, norm[left], step)
            return
        if closed.any():
            kept = (~closed).nonzero().flatten()
            p, q, total, scores, gradient, links, norm = (
                rows.index_select(-1, kept) for rows in (p, q, total, scores, gradient, links, norm)
            )
            index = index[kept]
            if not len(index):
                return
        forcing = norm.sqrt().clamp_(1e-8, 0.1)
        scores = _advance(scores, _solve_by_conjugate_gradient(pairs, links, -gradient, forcing))
