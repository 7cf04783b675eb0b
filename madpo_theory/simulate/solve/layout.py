"""Which pairs of responses are compared: differences, sums and elimination along a batch.

Rows are pairs or responses, columns are tables. No operation mixes columns, and sums have one order
whatever the batch.
"""

from functools import lru_cache

import torch

from ...theory.realizability import reachable


def fold(rows, combine=torch.add):
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


def largest(rows):  # an order of magnitude faster than amax over the slow axis
    return fold(rows, torch.maximum)


def smallest(rows):
    return fold(rows, torch.minimum)


class Layout:
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
            row.div_(fold(row[: size - 1 - k]))
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

    def labels(self, tables):
        """Entries [i, j] and [j, i] of tables (n, K, K), i < j, as columns: two of (pairs, n)."""
        columns = columns_of(tables)
        return columns.index_select(0, self.forward), columns.index_select(0, self.backward)

    def reachability(self, p, q):
        """Masks (n,): not all connected; some part connected one way only (no minimizer)."""

        def tables(forward, backward):
            full = forward.new_zeros((self.size**2, forward.shape[1]))
            full[self.forward], full[self.backward] = forward, backward
            return full.t().reshape(-1, self.size, self.size)

        beaten, asked = tables(p > 0, q > 0), (p != 0) | (q != 0)
        one_way = beaten & ~reachable(beaten).mT
        return ~reachable(tables(asked, asked)).all(-1).all(-1), one_way.any(-1).any(-1)


@lru_cache(maxsize=32)
def layout_of(size, device):
    return Layout(size, device)


def columns_of(batch):
    """(n, ...) to (rows, n): the batch becomes the fastest axis."""
    return batch.reshape(len(batch), -1).t().contiguous()


def length_of(rows):
    """Euclidean length of every column; squares of small entries do not underflow."""
    unit = largest(rows.abs())
    unit = torch.where(unit > 0, unit, 1)
    return fold((rows / unit).square_()).sqrt_().mul_(unit)


def chunks(count, size, chunk):
    """Slices of the batch; at most 2^20 entries of a K x K table each, unless told otherwise."""
    step = max(16, (1 << 20) // size**2) if chunk is None else int(chunk)
    return [slice(at, min(at + step, count)) for at in range(0, count, step)]
