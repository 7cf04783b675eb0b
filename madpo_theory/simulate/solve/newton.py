"""Thousands of tables at once: Newton's method in torch, with a certificate for every one.

A table is what :mod:`~.solve.table` fits: K responses, wins[i, j] the mass of labels
that say i beats j, and the scores minimize ``f(s) = sum_ij wins[i, j] l(s_i - s_j)``,
l(z) = log(1 + e^-z), mean(s) = 0. Here B tables go through the same arithmetic side by side, and
every label may have an offset of its own: ``wins[i, j] l(s_i - s_j - offsets[i, j])``.

How. The Hessian is the Laplacian of the links :func:`~madpo_theory.risk.logistic_curvature`, and it
is solved by eliminating responses one by one: eliminating k adds ``link_ik link_jk / sum_j
link_jk`` to link_ij (star to mesh). Nothing is subtracted, so no digits are lost however unlike the
links are. The start is the least-squares fit of scores to the pairs' own minimizers
(:func:`pair_targets`). Steps are as long as :func:`~madpo_theory.risk.damping` proves that the loss
falls.

Where. On a processor a compiled loop fits tables in small groups (:mod:`.kernel`). What it leaves,
and everything on CUDA, goes through torch: rows are pairs or responses and columns are tables, so
that every operation runs along the batch.

Independence. A table's result is bit for bit the same whatever else is in the call, wherever chunks
begin and however many threads work: no operation mixes tables, and sums over responses have one
order, not a library's. (On CUDA up to rounding.)

Memory. Beside the input and the result, the compiled loop needs some arrays in cache, torch about
``12 K^2`` float64 numbers for each table of a chunk.
"""

import math

import torch

from ...ops import torch_world
from ...risk import SPREAD, damping, distance
from .fits import (
    Reason,
    check_masses,
    check_offsets,
    check_options,
    check_pair_total,
    check_tables,
    empty_fits,
)
from .layout import chunks, columns_of, fold, largest, layout_of, length_of, smallest

__all__ = ["minimize_tables", "pair_targets", "solve_laplacian"]

EPS = torch.finfo(torch.float64).eps
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


def minimize_tables(
    wins, *, offsets=None, signed=False, tolerance=1e-10, accuracy=1e-6, steps=500, chunk=None
):
    """Scores of B tables that minimize ``sum_ij wins[b, i, j] l(s_i - s_j - offsets[b, i, j])``.

    Parameters
    ----------
    wins : (B, K, K) torch tensor on any device, zero diagonal; the unit of mass does not matter.
    offsets : (B, K, K), any finite numbers, nats: by how much response i is asked to lead where it
        has beaten j. Even (SimPO's gamma), odd (ODPO's alpha h) or neither; default none. Whether
        there is a minimizer depends on the masses alone.
    signed : allow negative masses as long as wins + wins^T >= 0 (rDPO): still convex, if the
        offsets of such a pair are odd, offsets[i, j] = -offsets[j, i].
    tolerance : largest gradient norm, for masses scaled to a largest pair mass of 1.
    accuracy : largest error bound to accept, nats.
    steps : most Newton steps for a table.
    chunk : tables solved together; bounds the memory, see above. Default 2^20/K^2, at least 16.

    Returns a :class:`TableFits`; a table without a minimizer says so there and leaves the others
    alone. Raises ValueError or TypeError naming the entry at fault. Derived here, L1 and L3.
    """
    wins = check_tables("wins", wins, signed=signed)
    if signed:
        check_pair_total(wins + wins.mT, "wins: pair masses")
    if offsets is not None:
        offsets = check_offsets(offsets, wins)
    check_options(tolerance, accuracy, steps, chunk)
    count, size = wins.shape[:2]
    fits = empty_fits(count, size, wins.device)
    left = torch.arange(count, device=wins.device)
    if wins.device.type == "cpu":
        left = _compiled(fits, wins, offsets, tolerance, accuracy, steps)
    layout = layout_of(size, wins.device)
    for at in chunks(len(left), size, chunk):
        masses = layout.labels(wins[left[at]])
        moved = None if offsets is None else layout.labels(offsets[left[at]])
        part = _Part(fits, left[at], masses, moved, tolerance, accuracy, signed)
        del masses, moved
        part.refuse_unattainable(layout)
        _newton(part, layout, steps)
    return fits


def _compiled(fits, wins, offsets, tolerance, accuracy, steps):
    """Record what the compiled loop can fit; returns the places of the other tables."""
    from .kernel import fit_tables

    options = dict(tolerance=tolerance, accuracy=accuracy, steps=min(steps, FAST), clip=CLIP)
    options |= dict(threads=torch.get_num_threads())
    moved = None if offsets is None else offsets.contiguous().numpy()
    fit_tables(
        [v.numpy() for v in vars(fits).values()], wins.contiguous().numpy(), moved, **options
    )
    return (~fits.converged).nonzero().flatten()


class _Part:
    """The tables of one chunk that are still open, as columns, and where their results go."""

    def __init__(self, fits, index, masses, offsets, tolerance, accuracy, signed):
        self.fits, self.tolerance, self.accuracy, self.signed = fits, tolerance, accuracy, signed
        p, q = masses
        scale = largest(p + q)
        self.p, self.q = p / scale, q / scale
        self.index, self.offsets = index, offsets
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
            self.offsets = _columns(self.offsets, kept)
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


def _columns(rows, kept):
    """Some columns of rows (or of several, or of none)."""
    if rows is None or isinstance(rows, tuple):
        return rows and tuple(_columns(row, kept) for row in rows)
    return rows.index_select(-1, kept)


def pair_targets(p, q, offsets=None):
    """The minimizer of each pair's own :func:`~madpo_theory.risk.logistic_risk`; p, q > 0, nats.

    ``g_o + d/2 + asinh(e^g_e sinh(d/2))`` with d = log(p/q) and g_o, g_e the odd and the even part
    of the offsets, (up - down)/2 and (up + down)/2. Derived here (C1).
    """
    half = (p.log() - q.log()) / 2
    if offsets is None:
        return 2 * half
    up, down = offsets
    size = half.abs()
    # log of e^g_e sinh|d|/2, whatever overflows on the way
    large = (up + down) / 2 + size + torch.log(-torch.expm1(-2 * size)) - math.log(2)
    above = large + torch.log1p(torch.sqrt(1 + torch.exp(-2 * large.clamp_min(0))))
    turned = torch.where(large > 0, above, torch.asinh(torch.exp(large.clamp_max(0))))
    return (up - down) / 2 + half + half.sign() * turned


def _start(pairs, p, q, offsets):
    """Scores that fit the pairs' own minimizers in least squares.

    These are the scores themselves where the targets add up around every cycle; where they do not,
    weights between those of all pairs alike and of the curvature at the targets came nearest in
    measurements: the root of that curvature times the mass, which is sqrt(p q) without offsets. A
    pair won by one side alone counts as if a share CLIP were lost.
    """
    total, shared = p + q, (p > 0) & (q > 0)
    rare = CLIP * total
    first = torch.where(shared, p, torch.where(p >= q, total, rare))
    second = torch.where(shared, q, torch.where(p >= q, rare, total))
    target = torch.where(total > 0, pair_targets(first, second, offsets), 0)
    if offsets is None:
        weight = first.sqrt() * second.sqrt()
    else:
        links = _slopes(target, first, second, first + second, offsets)[2]
        weight = (links * (first + second)).sqrt()
    side = pairs.outflow(target.mul_(weight))
    scores = pairs.eliminate(weight, [side[:-1]])[:, 0]
    scores = torch.cat([scores, torch.zeros_like(scores[:1])])
    return torch.where(torch.isfinite(scores).all(0), scores, 0)


def _newton(part, layout, rounds):
    """Newton steps until every table is recorded, or given up after at most `rounds` of them."""
    if not part.open():
        return
    p, q, offsets, index, size = part.p, part.q, part.offsets, part.index, layout.size
    scores = _start(layout, p, q, offsets)
    moved = 0.0 if offsets is None else largest(torch.maximum(*(rows.abs() for rows in offsets)))
    total, is_open, v = p + q, torch.ones_like(index, dtype=torch.bool), None
    ones = torch.ones((size - 1, p.shape[1]), dtype=p.dtype, device=p.device)
    for step in range(rounds + 1):
        gradient, links, mass = derivatives(layout, p, q, total, scores, offsets)
        norm = length_of(gradient)
        if part.signed:
            falling = is_open & _losing_prefix(layout, p, q, scores)
            _give_up(part.fits, index[falling], Reason.NO_MINIMIZER, norm[falling], step)
            is_open &= ~falling
        if v is not None:
            curvature = _least_curvature(layout, links, v)
            spread = largest(scores) - smallest(scores) + moved
            rounding = EPS * (size + 4 + 2 * spread) * layout.incident(mass)
            radius = distance(torch_world, norm + length_of(rounding), curvature, SPREAD)
            done = is_open & (norm <= part.tolerance) & (radius <= part.accuracy)
            if done.any():
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
            open_rows = (p, q, offsets, total, scores, gradient, links, ones, norm)
            p, q, offsets, total, scores, gradient, links, ones, norm = _columns(open_rows, kept)
            moved = moved if offsets is None else moved[kept]
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


def derivatives(pairs, p, q, total, scores, offsets=None):
    """Gradient (K, n), links and |terms| of the gradient (pairs, n): each rounds to EPS of itself.

    :func:`~madpo_theory.risk.logistic_slope` and ``logistic_curvature`` in place: where z is large,
    both sigmoids keep all their digits.
    """
    up, down, links = _slopes(pairs.differences(scores), p, q, total, offsets)
    return pairs.outflow(up - down), links, up.abs_().add_(down.abs_())


def _slopes(z, p, q, total, offsets):
    """The two terms of each pair's slope, and its curvature; `z` is spent."""
    if offsets is None:
        down = _sigmoid_of_negative(z.clone())
        up = _sigmoid_of_negative(z.neg_())
        links = (total * up).mul_(down)
        return up.mul_(q), down.mul_(p), links
    first, second = z - offsets[0], z + offsets[1]
    down, other = _sigmoid_of_negative(first.clone()), _sigmoid_of_negative(first.neg_())
    first_bend = other.mul_(down)
    up, other = _sigmoid_of_negative(-second), _sigmoid_of_negative(second)
    second_bend = other.mul_(up)
    # A negative mass has odd offsets: both labels bend alike, and nothing is to cancel.
    alike = torch.minimum(p, q) < 0
    links = torch.where(alike, total * first_bend, p * first_bend + q * second_bend)
    return up.mul_(q), down.mul_(p), links


def _advance(scores, change):
    """The Newton step, cut to the length at which the loss falls for sure."""
    return scores.add_(change.mul_(damping(torch_world, largest(change) - smallest(change))))


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
