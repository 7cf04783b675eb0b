"""Thousands of tables at once: Newton's method in torch, with a certificate for every one.

A table is what :mod:`~madpo_theory.simulate.table` fits: K responses, wins[i, j] the mass of labels
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
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from enum import IntEnum
from functools import lru_cache

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..ops import check_number, not_finite_error

__all__ = [
    "Reason",
    "TableFits",
    "Trajectory",
    "minimize_edges",
    "minimize_tables",
    "solve_laplacian",
    "train_tables",
]

EPS = torch.finfo(torch.float64).eps
SPREAD = math.sqrt(2)  # two entries of a vector differ by at most sqrt(2) times its length
MATRIX_FREE = 128  # responses from which conjugate gradients take over from elimination
FAST = 24  # most steps of the compiled loop
CLIP = 1e-3  # a share of wins outside [CLIP, 1 - CLIP] starts from there


class Reason(IntEnum):
    """Why a table has, or has not, been solved."""

    CONVERGED = 0
    #: Ford's condition is violated: the loss falls forever along some direction.
    NO_MINIMIZER = 1
    #: no comparison connects some responses with the rest: the minimizer is not unique.
    UNCONNECTED = 2
    #: the step budget is spent.
    STEPS = 3
    #: the gradient is down to its rounding, but float64 cannot locate the minimizer so closely.
    PRECISION = 4
    #: a weight underflows to 0 where there are labels (set by the methods, not by the solver).
    UNDERFLOW = 5
    #: a method that sets its own temperature has none, or more than one, that reproduces itself.
    TEMPERATURE = 6


@dataclass(frozen=True, eq=False)
class TableFits:
    """The minimizers of B tables and what is proved of each; tensors on the input's device.

    Attributes
    ----------
    scores : (B, K) nats of z, mean 0; NaN where not converged, so that nothing averages over it.
    converged : (B,) boolean: gradient_norm <= tolerance and error_bound <= accuracy.
    reason : (B,) int8 of :class:`Reason`.
    gradient_norm : (B,) length of the gradient for masses scaled to a largest pair N_ij = 1, at
        the last iterate; inf if none was taken.
    curvature : (B,) lower bound on the smallest curvature on scores of mean 0, in the same
        units. It is proved by one vector and may be up to 2 (K - 1) times too small; with
        ``exact_curvature`` it is the eigenvalue, less its rounding. 0 where not converged.
    error_bound : (B,) nats: the minimizer exists, is unique, and lies within this Euclidean
        distance of `scores`; rounding included. inf where not converged.
    iterations : (B,) Newton steps taken, the start not counted.
    """

    scores: torch.Tensor
    converged: torch.Tensor
    reason: torch.Tensor
    gradient_norm: torch.Tensor
    curvature: torch.Tensor
    error_bound: torch.Tensor
    iterations: torch.Tensor

    def require(self):
        """These fits, or RuntimeError with the tables that have none."""
        if not self.converged.all():
            bad = (~self.converged).nonzero().flatten()
            listing = ", ".join(
                f"{b} ({Reason(int(self.reason[b])).name})" for b in bad[:8].tolist()
            )
            raise RuntimeError(
                f"{len(bad)} of {len(self.converged)} tables have no fit: {listing}"
                f"{', ...' if len(bad) > 8 else ''}; drop them by `converged`, or see Reason"
            )
        return self


def _empty_fits(count, size, device):
    def full(shape, value, dtype=torch.float64):
        return torch.full(shape, value, dtype=dtype, device=device)

    return TableFits(
        full((count, size), math.nan),
        full((count,), False, torch.bool),
        full((count,), int(Reason.STEPS), torch.int8),
        full((count,), math.inf),
        full((count,), 0.0),
        full((count,), math.inf),
        full((count,), 0, torch.int32),
    )


# ------------------------------------------------------------------------------------ validation


def check_masses(name, value, shape, *, signed=False):
    """`value` as a finite float64 tensor of the wanted shape (None: any length), or an error."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(
            f"{name} must be a torch tensor, got {type(value).__qualname__}; torch.as_tensor it"
        )
    if value.is_complex() or value.dtype == torch.bool:
        raise TypeError(f"{name} must hold real numbers, got {value.dtype}; cast it to float64")
    if value.ndim != len(shape) or any(
        want not in (None, got) for want, got in zip(shape, value.shape, strict=True)
    ):
        wanted = ", ".join("*" if want is None else str(want) for want in shape)
        raise ValueError(
            f"{name} must have shape ({wanted}), got {tuple(value.shape)}; the first axis is the "
            "batch"
        )
    value = value.detach().to(torch.float64)
    if not value.numel():
        return value
    low, high = torch.aminmax(value)  # NaN wins both
    if not (math.isfinite(low) and math.isfinite(high)):
        index = tuple((~torch.isfinite(value)).nonzero()[0].tolist())
        raise not_finite_error(name, index, value[index].item())
    if low < 0 and not signed:
        index = tuple((value < 0).nonzero()[0].tolist())
        raise ValueError(
            f"{name}{list(index)} = {value[index].item():g} breaks the rule {name} >= 0; pass "
            "masses, or signed=True if only the mass of both labels together is nonnegative"
        )
    return value


def check_tables(name, value, *, signed=False):
    """`value` as (B, K, K) float64 masses with a zero diagonal, K >= 2, or an error."""
    value = check_masses(name, value, (None, None, None), signed=signed)
    size = value.shape[1]
    if value.shape[2] != size or size < 2:
        raise ValueError(
            f"{name} must be (B, K, K) with K >= 2, got shape {tuple(value.shape)}; one row a "
            "response"
        )
    own = value.diagonal(dim1=1, dim2=2)
    if own.any():
        b, i = own.nonzero()[0].tolist()
        raise ValueError(
            f"{name}[{b}, {i}, {i}] = {own[b, i].item():g} breaks the rule of a zero diagonal; no "
            "response beats itself"
        )
    return value


def _check_pair_total(total, where):
    """Refuse pairs whose two labels together have negative mass: the loss would not be convex."""
    if total.numel() and total.min() < 0:
        index = (total < 0).nonzero()[0].tolist()
        raise ValueError(
            f"{where} at {index} sum to {total[tuple(index)].item():g}, breaking the rule that the "
            "two labels of a pair have mass >= 0 together; the loss is not convex otherwise"
        )


def _check_options(tolerance, accuracy, steps, chunk):
    check_number("tolerance", tolerance, "tolerance > 0", lambda v: v > 0)
    check_number("accuracy", accuracy, "accuracy > 0", lambda v: v > 0)
    check_number("steps", steps, "steps >= 1", lambda v: v >= 1)
    if chunk is not None:
        check_number("chunk", chunk, "chunk >= 1", lambda v: v >= 1)


# ---------------------------------------------------------------------- sums and linear equations


def _fold(rows, combine=torch.add):
    """Sum (or other combination) over the first axis by halving: one order for every column."""
    count = len(rows)
    if count == 1:
        return rows[0].clone()
    half = count // 2
    total = combine(rows[:half], rows[half : 2 * half])
    if count % 2:
        combine(total[0], rows[-1], out=total[0])
    while half > 1:
        count, half = half, half // 2
        combine(total[:half], total[half : 2 * half], out=total[:half])
        if count % 2:
            combine(total[0], total[count - 1], out=total[0])
    return total[0]


def _largest(rows):  # an order of magnitude faster than amax over the slow axis
    return _fold(rows, torch.maximum)


def _smallest(rows):
    return _fold(rows, torch.minimum)


class _Layout:
    """The pairs (i, j), i < j, of K responses by their distance j - i; rows are pairs or responses.

    In that order all pairs of one distance are two runs of responses side by side, so differences
    and sums are a few operations on whole blocks, always in the same order.
    """

    def __init__(self, size, device):
        ranges = [torch.arange(size - d, device=device) for d in range(1, size)]
        self.first = torch.cat(ranges)
        self.second = torch.cat([rows + d for d, rows in enumerate(ranges, 1)])
        self.size, self.pairs, self.runs = size, len(self.first), [len(rows) for rows in ranges]
        # Where wins[i, j] and wins[j, i] stand in a flattened table.
        self.forward = self.first * size + self.second
        self.backward = self.second * size + self.first

    def differences(self, scores):
        """s_i - s_j of every pair: (K, n) to (pairs, n)."""
        z = scores.new_empty((self.pairs, scores.shape[1]))
        for d, block in enumerate(z.split(self.runs), 1):
            torch.sub(scores[:-d], scores[d:], out=block)
        return z

    def outflow(self, flow):
        """sum_j flow_ij with flow_ji = -flow_ij: (pairs, n) to (K, n)."""
        total = flow.new_zeros((self.size, flow.shape[1]))
        for d, block in enumerate(flow.split(self.runs), 1):
            total[:-d] += block
            total[d:] -= block
        return total

    def incident(self, mass):
        """sum_j mass_ij with mass_ji = mass_ij: (pairs, n) to (K, n)."""
        total = mass.new_zeros((self.size, mass.shape[1]))
        for d, block in enumerate(mass.split(self.runs), 1):
            total[:-d] += block
            total[d:] += block
        return total

    def eliminate(self, links, sides):
        """Solve the Laplacian of the links, last response held at 0: the rows of `sides` apiece.

        links (pairs, n) >= 0, sides a list of (K - 1, n). Returns (K - 1, len(sides), n) in the
        links' dtype. Every number here is a sum, product or quotient of nonnegative ones, but
        for the sides: a link that is small beside the others loses no digits.
        """
        size, count = self.size, links.shape[1]
        width = size + len(sides)
        matrix = links.new_zeros((size - 1, width, count))
        upper = self.first * width + self.second
        matrix.view(-1, count).index_copy_(0, upper, links)
        for column, side in enumerate(sides):
            matrix[:, size + column] = side
        for k in range(size - 1):
            row = matrix[k, k + 1 :]
            later = row[: size - 2 - k].clone()
            row.div_(_fold(row[: size - 1 - k]))
            if k < size - 2:
                # Only entries right of the diagonal count; two blocks waste less than one.
                rest = size - 2 - k
                half = rest // 2 if rest > 4 else 0
                for low, high in ((0, half), (half, rest)) if half else ((0, rest),):
                    block = matrix[k + 1 + low : k + 1 + high, k + 1 + low :]
                    block.addcmul_(later[low:high, None], row[None, low:])
        solution = matrix[:, size:]
        for j in range(size - 2, 0, -1):
            solution[:j].addcmul_(matrix[:j, j, None], solution[j])
        return solution

    def reachability(self, p, q):
        """Masks (n,): not all connected; some part connected one way only (no minimizer)."""
        size, count = self.size, p.shape[1]
        beaten = torch.zeros((size * size, count), dtype=torch.float32, device=p.device)
        beaten[self.forward], beaten[self.backward] = (p > 0).float(), (q > 0).float()
        beaten = beaten.t().reshape(count, size, size)
        link = ((p != 0) | (q != 0)).float()
        tied = torch.zeros((size * size, count), dtype=torch.float32, device=p.device)
        tied[self.forward] = tied[self.backward] = link
        tied = tied.t().reshape(count, size, size)
        one_way = (beaten > 0) & (_closure(beaten).mT == 0)
        return (_closure(tied) == 0).any((1, 2)), one_way.any((1, 2))


@lru_cache(maxsize=32)
def _layout(size, device):
    return _Layout(size, device)


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
    layout = _layout(size, links.device)
    x, least, missed = torch.empty_like(sides), sides.new_empty(count), sides.new_empty(count)
    for at in _chunks(count, size, chunk):
        pairs = _columns(links[at]).index_select(0, layout.forward)
        side = _columns(sides[at])
        found = layout.eliminate(pairs, [side[:-1], torch.ones_like(side[:-1])])
        z, v = (torch.cat([found[:, c], torch.zeros_like(side[:1])]) for c in (0, 1))
        low = _least_curvature(layout, pairs, v)
        z = torch.where(low > 0, z, math.nan)
        miss = layout.outflow(layout.differences(z).mul_(pairs)) - side
        x[at], least[at] = (z - _fold(z) / size).t(), low
        missed[at] = _length(miss)
    return x, least, missed


def _columns(batch):
    """(n, ...) to (rows, n): the batch becomes the fastest axis."""
    return batch.reshape(len(batch), -1).t().contiguous()


def _length(rows):
    """Euclidean length of every column; squares of small entries do not underflow."""
    largest = _largest(rows.abs())
    unit = torch.where(largest > 0, largest, 1)
    return _fold((rows / unit).square_()).sqrt_().mul_(unit)


def _chunks(count, size, chunk):
    """Slices of the batch; at most 2^20 entries of a K x K table each, unless told otherwise."""
    step = max(16, (1 << 20) // size**2) if chunk is None else int(chunk)
    return [slice(at, min(at + step, count)) for at in range(0, count, step)]


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
    held -= 2 * rounding * _fold(links) * _largest(v)  # no response has more than all links
    bound = _smallest(torch.where(v > 0, held / v, 0))
    return torch.maximum(bound, layout.size * _smallest(links)).mul_(1 - rounding).clamp_min_(0)


def _exact_curvature(links, size):
    """The Laplacian's second eigenvalue (n,), less its rounding; links (pairs, n)."""
    layout = _layout(size, links.device)
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
        _check_pair_total(wins + wins.mT, "wins: pair masses")
    _check_options(tolerance, accuracy, steps, chunk)
    count, size = wins.shape[:2]
    fits = _empty_fits(count, size, wins.device)
    if matrix_free is None:
        matrix_free = size >= MATRIX_FREE
    left = torch.arange(count, device=wins.device)
    if wins.device.type == "cpu" and not matrix_free and not exact_curvature:
        left = _compiled(fits, wins, tolerance, accuracy, steps)
    layout = _layout(size, wins.device)
    for at in _chunks(len(left), size, chunk):
        columns = _columns(wins[left[at]])
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
        scale = _largest(total)
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
        fits.scores[at] = (scores - _fold(scores) / len(scores)).t()
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
        gradient, links, mass = _derivatives(layout, p, q, total, scores)
        norm = _length(gradient)
        if part.signed:
            falling = is_open & _losing_prefix(layout, p, q, scores)
            _give_up(part.fits, index[falling], Reason.NO_MINIMIZER, norm[falling], step)
            is_open &= ~falling
        if v is not None:
            curvature = _least_curvature(layout, links, v)
            spread = _largest(scores) - _smallest(scores)
            rounding = EPS * (size + 4 + 2 * spread) * layout.incident(mass)
            slope = norm + _length(rounding)
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


def _loss(pairs, p, q, scores):
    """p l(z) + q l(-z) summed over pairs (n,)."""
    z = pairs.differences(scores)
    tail = torch.log1p(torch.exp(-z.abs()))
    return _fold(p * (tail - z.clamp_max(0)) + q * (tail + z.clamp_min(0)))


def _sigmoid_of_negative(z):
    """1/(1 + e^z) in place. torch.sigmoid rounds by where in memory an entry lies; exp does not."""
    return z.exp_().add_(1).reciprocal_()


def _derivatives(pairs, p, q, total, scores):
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
    reach = _largest(change) - _smallest(change)
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


def _closure(steps):
    """Which responses are reached in any number of steps."""
    reach = steps + torch.eye(steps.shape[-1], device=steps.device)
    for _ in range(max(1, (steps.shape[-1] - 1).bit_length())):
        reach = ((reach @ reach) > 0).float()
    return reach


# ------------------------------------------------------------------------------------- matrix-free


class _Edges:
    """The maps of :class:`_Layout` for a list of edges, which may repeat a pair."""

    def __init__(self, edges, size):
        self.size, self.pairs = size, len(edges)
        self.first, self.second = edges[:, 0].contiguous(), edges[:, 1].contiguous()
        rows = torch.arange(self.pairs, device=edges.device)
        ones = torch.ones(self.pairs, dtype=torch.float64, device=edges.device)
        place = torch.stack([torch.cat([self.first, self.second]), torch.cat([rows, rows])])
        shape = (size, self.pairs)
        self._signed = torch.sparse_coo_tensor(
            place, torch.cat([ones, -ones]), shape, check_invariants=True
        ).coalesce()
        self._absolute = torch.sparse_coo_tensor(
            place, torch.cat([ones, ones]), shape, check_invariants=True
        ).coalesce()

    def differences(self, scores):
        z = scores.index_select(0, self.first)
        return z.sub_(scores.index_select(0, self.second))

    def outflow(self, flow):
        return torch.sparse.mm(self._signed, flow)

    def incident(self, mass):
        return torch.sparse.mm(self._absolute, mass)

    def reachability(self, p, q):
        """Masks (n,): not all connected; some part connected one way only (no minimizer)."""
        first, second = self.first.cpu().numpy(), self.second.cpu().numpy()
        apart, one_way = [], []
        for won, lost in zip(p.t().cpu().numpy(), q.t().cpu().numpy(), strict=True):
            tails = np.concatenate([first[won > 0], second[lost > 0]])
            heads = np.concatenate([second[won > 0], first[lost > 0]])
            graph = coo_array((np.ones(len(tails)), (tails, heads)), shape=(self.size,) * 2)
            _, strong = connected_components(graph, directed=True, connection="strong")
            held = (won != 0) | (lost != 0)
            graph = coo_array(
                (np.ones(held.sum()), (first[held], second[held])), shape=(self.size,) * 2
            )
            apart.append(connected_components(graph, directed=False)[0] > 1)
            one_way.append(bool((strong[tails] != strong[heads]).any()))
        return tuple(torch.tensor(mask, device=p.device) for mask in (apart, one_way))


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
    _check_pair_total(p + q, "p and q")
    _check_options(tolerance, accuracy, steps, chunk)
    fits = _empty_fits(len(p), size, p.device)
    if matrix_free is None:
        matrix_free = size >= MATRIX_FREE
    if matrix_free:
        pairs = _Edges(edges, size)
        step = max(1, (1 << 22) // len(edges)) if chunk is None else int(chunk)
        for at in range(0, len(p), step):
            index = torch.arange(at, min(at + step, len(p)), device=p.device)
            masses = (_columns(mass[at : at + step]) for mass in (p, q))
            part = _Part(fits, index, *masses, tolerance, accuracy, signed)
            _conjugate_gradient(part, pairs, steps)
        return fits
    forward, backward = edges[:, 0] * size + edges[:, 1], edges[:, 1] * size + edges[:, 0]
    parts = []
    for at in _chunks(len(p), size, chunk):
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
    goal = rtol * _length(residual)
    scaled = residual / degree
    direction, energy = scaled.clone(), (residual * scaled).sum(0)
    for _ in range(4 * size):
        moving = _length(residual) > goal
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
        gradient, links, pull = _derivatives(pairs, p, q, total, scores)
        norm = _length(gradient)
        spread = _largest(scores) - _smallest(scores)
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
            slope = norm + _length(rounding)
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


# ------------------------------------------------------------------------------ early training


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Where first-order training stood after chosen numbers of steps.

    Attributes
    ----------
    steps : (T,) the numbers of steps, ascending.
    scores : (T, B, K) nats of z; first-order steps from equal scores keep mean 0.
    loss : (T, B) the loss there, in the unit of the masses.
    gradient_norm : (T, B) length of its gradient.
    """

    steps: tuple[int, ...]
    scores: torch.Tensor
    loss: torch.Tensor
    gradient_norm: torch.Tensor


OPTIMIZERS = ("gd", "adam")


def train_tables(
    wins,
    *,
    rate,
    record,
    optimizer="gd",
    signed=False,
    betas=(0.9, 0.999),
    eps=1e-8,
    chunk=None,
):
    """Train B tables from s = 0 by full-batch gradient descent or Adam, and look on (T6).

    Parameters
    ----------
    wins, signed : as in :func:`minimize_tables`; the loss is ``sum_ij wins[b, i, j] l(s_i - s_j)``
        as it stands, so that the scale of the masses scales the steps of gradient descent.
    rate : step size > 0 for the scores z. A rate eta on log-probabilities of temperature beta is
        beta^2 eta here for gradient descent, beta eta for Adam.
    record : numbers of steps after which to record, ascending, from 0 on; the last is the budget.
    betas, eps : Adam's, as in torch.optim.Adam.
    """
    wins = check_tables("wins", wins, signed=signed)
    if signed:
        _check_pair_total(wins + wins.mT, "wins: pair masses")
    check_number("rate", rate, "rate > 0", lambda v: v > 0)
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer must be one of {OPTIMIZERS}, got {optimizer!r}")
    for name, value in zip(("betas[0]", "betas[1]"), betas, strict=True):
        check_number(name, value, f"0 <= {name} < 1", lambda v: 0 <= v < 1)
    check_number("eps", eps, "eps > 0", lambda v: v > 0)
    record = tuple(record)
    whole = all(isinstance(n, int) and n >= 0 for n in record)
    if not record or not whole or list(record) != sorted(set(record)):
        raise ValueError(f"record must be ascending numbers of steps >= 0, got {record}")
    count, size = wins.shape[:2]
    scores = wins.new_empty((len(record), count, size))
    losses, norms = wins.new_empty((2, len(record), count))
    layout = _layout(size, wins.device)
    for at in _chunks(count, size, chunk):
        columns = _columns(wins[at])
        p, q = (columns.index_select(0, rows) for rows in (layout.forward, layout.backward))
        total, s = p + q, wins.new_zeros((size, p.shape[1]))
        first, second, at_record = torch.zeros_like(s), torch.zeros_like(s), 0
        for step in range(record[-1] + 1):
            gradient = _derivatives(layout, p, q, total, s)[0]
            if step == record[at_record]:
                scores[at_record, at] = s.t()
                losses[at_record, at] = _loss(layout, p, q, s)
                norms[at_record, at] = _length(gradient)
                at_record += 1
            if optimizer == "gd":
                s = s - rate * gradient
                continue
            first.mul_(betas[0]).add_(gradient, alpha=1 - betas[0])
            second.mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
            scale = (second / (1 - betas[1] ** (step + 1))).sqrt_().add_(eps)
            s = s - rate / (1 - betas[0] ** (step + 1)) * first / scale
    return Trajectory(record, scores, losses, norms)
