"""Newton's method for tables in small groups, compiled for the processor.

The arithmetic of :mod:`~.solve.newton` on as many tables as fit a core's cache, the lanes: entry
[..., t] of every array belongs to lane t, and loops run along pairs and lanes together, so that the
processor's vector registers are full. A table that is done makes room for the next in its lane. No
operation mixes lanes, and every sum has one order whatever their number: a table cannot see its
neighbours. What does not converge here is left to the batched solver, which can say why.

Arrays over pairs (i, j), i < j, hold row i after row i - 1; `begin` says where a row starts.
"""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit

__all__ = ["fit_tables"]

EPS = np.finfo(np.float64).eps
BLOCK = 64  # tables that make a thread worth starting

# e^x = 2^n (Q + r P)/(Q - r P), x = n log 2 + r, Cephes' rational approximation: with it sigma(z)
# and sigma(-z) are within 2 ulp (measured), where exp and division would be within 1.5.
LOG2, LOG2E = math.log(2), 1 / math.log(2)
LOG2_HIGH, LOG2_LOW = 6.93145751953125e-1, 1.42860682030941723212e-6
ROUNDED = 1.5 * 2.0**52  # added, it leaves an integer in the last bits
P = (1.26177193074810590878e-4, 3.02994407707441961300e-2, 1.0)
Q = (3.00198505138664455042e-6, 2.52448340349684104192e-3, 2.27265548208155028766e-1, 2.0)
SMALLEST = -708.0  # below it e^x counts as 0

# log(2^n m) = n log 2 + 2 artanh((m - 1)/(m + 1)), m from 0.707 to 1.414, by its series.
BELOW_ROOT_HALF = 0x3FE6A09E00000000  # the bits of a number just below the root of 1/2
EXPONENT = np.int64(-1 << 52)  # the bits of sign and exponent
INTEGER = np.int64(0x4330000000000000)  # the bits of 2^52: what is added to them is an integer

compiled = njit(cache=True, nogil=True, error_model="numpy")
inlined = njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
place = np.uint64  # places in arrays: an unsigned index is not looked at for a sign


def lanes_for(size, count):
    """Lanes for `count` tables of K responses: enough to fill the registers, within the cache.

    Rows of large tables are long enough to fill them alone.
    """
    if size > 80 or (size > 40 and count < 16):
        return 1
    return min(count, 64 if size <= 6 else 32)


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
    limits = (tolerance, accuracy, steps, clip)

    def work(part):
        at = slice(ends[part], ends[part + 1])
        moved = None if offsets is None else offsets[at]
        lanes = lanes_for(size, at.stop - at.start)
        _fit(wins[at], moved, limits, lanes, scores[at], numbers[at], taken[at])

    if count and parts == 1:
        work(0)
    elif count:
        with ThreadPoolExecutor(parts) as pool:
            list(pool.map(work, range(parts)))
    return scores, numbers, taken


@compiled
def _fit(wins, offsets, limits, lanes, scores, numbers, taken):
    """Fit tables in lanes, the next in the place of one that is done."""
    tolerance, accuracy, steps, clip = limits
    count, size, _ = wins.shape
    pairs = size * (size - 1) // 2
    begin = np.zeros(size + 1, dtype=np.int64)
    for i in range(size):
        begin[i + 1] = begin[i] + (size - 1 - i) * lanes
    # Arrays of their own: rows of a larger one might overlap, for all the compiler knows.
    z, p, q, links = _zeros(pairs * lanes)
    share, mass, _, _ = _zeros(pairs * lanes)
    first, second, _, _ = _zeros(0 if offsets is None else pairs * lanes)
    s, x, gradient, inverse = _zeros(size * lanes)
    # of one table at a time
    one, alone = _zeros(pairs), begin // lanes
    row, other, v, moved = np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(lanes)
    table, made = np.full(lanes, -1), np.zeros(lanes, dtype=np.int64)
    following = 0
    while True:
        busy = 0
        for t in range(lanes):
            if table[t] < 0 and following < count:
                table[t], following = following, following + 1
                _load(
                    wins[table[t]], clip, p, q, links, gradient, lanes, t, one, row, alone,
                    offsets is None,
                )  # fmt: skip
                if offsets is not None:
                    moved[t] = _load_offsets(
                        offsets[table[t]], clip, first, second, links, gradient, lanes, t, one,
                        row, alone,
                    )  # fmt: skip
            busy += table[t] >= 0
        if busy == 0:
            return
        # links, gradient: of the loss, or of the least squares that a fresh table starts from
        _eliminate(links, share, inverse, begin, size, lanes)
        _solve(share, inverse, gradient, x, begin, size, lanes)
        _advance(s, x, made, size, lanes)
        for i in range(size - 1):
            _differences(z, s, begin[i], begin[i + 1], i * lanes, lanes)
        if offsets is None:
            _slopes(z, p, q, mass, links)
        else:
            _moved_slopes(z, p, q, first, second, mass, links)
        _outflow(z, gradient, begin, -1.0, lanes)
        for t in range(lanes):
            if table[t] < 0:
                continue
            b, norm, low, high = table[t], 0.0, math.inf, -math.inf
            taken[b] = -1
            for i in range(t, size * lanes, lanes):
                norm += gradient[i] ** 2
                low, high = min(low, s[i]), max(high, s[i])
            norm = math.sqrt(norm)
            closed = made[t] == steps or not math.isfinite(norm + high - low)
            if norm <= tolerance and made[t] > 0:
                curvature, terms = _certificate(
                    links, mass, share, inverse, lanes, t, one, alone, v, row, other
                )
                rounding = EPS * (size + 4 + 2 * (high - low + moved[t])) * terms
                radius = _distance(norm + rounding, curvature)
                if radius <= accuracy:
                    numbers[b, 0], numbers[b, 1], numbers[b, 2] = norm, curvature, radius
                    taken[b], closed = made[t], True
                    scores[b] = s[t::lanes] - s[t::lanes].sum() / size
            made[t] += 1
            if closed:
                table[t], made[t] = -1, 0
                s[t::lanes] = 0.0


@compiled
def _zeros(n):
    return np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)


@compiled
def _load(wins, clip, p, q, links, gradient, lanes, t, one, row, alone, last):
    """Put a table into lane t, its largest pair mass scaled to 1, with its start's equations.

    These are the least-squares fit to the pairs' own minimizers, as in `newton._start`.
    """
    won, lost, weight, target = one
    size = len(wins)
    scale, m = 0.0, place(0)
    for i in range(size):
        for j in range(i + 1, size):
            won[m], lost[m] = wins[i, j], wins[j, i]
            scale = max(scale, won[m] + lost[m])
            m += place(1)
    for m in range(len(won)):
        won[m] /= scale
        lost[m] /= scale
    for m in range(len(won)):
        a, b = won[m], lost[m]
        total = max(a + b, 1e-300)
        large, small = (1.0, clip) if a >= b else (clip, 1.0)
        shared = min(a, b) > 0
        a = a if shared else large * total
        b = b if shared else small * total
        weight[m] = math.sqrt(a * b) if total > 1e-300 else 0.0
        target[m] = _log(a / b)
    _put(p, won, lanes, t)
    _put(q, lost, lanes, t)
    if last:
        _load_start(links, gradient, lanes, t, weight, target, row, alone)


@compiled
def _load_offsets(offsets, clip, first, second, links, gradient, lanes, t, one, row, alone):
    """The same for the offsets of a table in lane t; returns the largest."""
    won, lost, weight, target = one
    size = len(offsets)
    largest, m = 0.0, 0
    for i in range(size):
        for j in range(i + 1, size):
            up, down = offsets[i, j], offsets[j, i]
            first[m * lanes + t], second[m * lanes + t] = up, down
            largest = max(largest, max(abs(up), abs(down)))
            if weight[m] > 0:
                rare = clip * (won[m] + lost[m])
                a, b = max(won[m], rare), max(lost[m], rare)
                target[m] = _moved_target(target[m] / 2, (up - down) / 2, (up + down) / 2)
                _, _, link = _pair(target[m], a, b, up, down)
                weight[m] = math.sqrt(link * (a + b))
            m += 1
    _load_start(links, gradient, lanes, t, weight, target, row, alone)
    return largest


@compiled
def _load_start(links, gradient, lanes, t, weight, target, row, alone):
    """Weights and pulls of the pairs as a lane's links and gradient; `target` is spent."""
    for m in range(len(target)):
        target[m] *= -weight[m]
    _outflow(target, row, alone, -1.0, 1)
    _put(links, weight, lanes, t)
    _put(gradient, row, lanes, t)


@inlined
def _put(side_by_side, one, lanes, t):
    """One table's numbers into lane t."""
    lanes, t = place(lanes), place(t)
    for m in range(place(len(one))):
        side_by_side[m * lanes + t] = one[m]


@inlined
def _get(one, side_by_side, lanes, t):
    """Lane t's numbers as one table's."""
    lanes, t = place(lanes), place(t)
    for m in range(place(len(one))):
        one[m] = side_by_side[m * lanes + t]


@inlined
def _log(ratio):
    """log of a positive number."""
    bits = np.float64(min(max(ratio, 1e-300), 1e300)).view(np.int64)
    above = bits - BELOW_ROOT_HALF
    mantissa = np.int64(bits - (above & EXPONENT)).view(np.float64)
    shifted = np.int64((above + (1023 << 52)) >> 52) | INTEGER
    n = np.int64(shifted).view(np.float64) - (2.0**52 + 1023)
    odd = (mantissa - 1) / (mantissa + 1)
    square = odd * odd
    series = 1 / 19
    series = series * square + 1 / 17
    series = series * square + 1 / 15
    series = series * square + 1 / 13
    series = series * square + 1 / 11
    series = series * square + 1 / 9
    series = series * square + 1 / 7
    series = series * square + 1 / 5
    series = series * square + 1 / 3
    return n * LOG2 + 2 * odd * (1 + square * series)


@compiled
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


@inlined
def _sides(z):
    """sigma(z) and sigma(-z), both with all their digits, by one division."""
    x = max(-abs(z), SMALLEST)
    shifted = x * LOG2E + ROUNDED
    n = shifted - ROUNDED
    r = (x - n * LOG2_HIGH) - n * LOG2_LOW
    power = np.int64((np.float64(shifted).view(np.int64) + 1023) << 52).view(np.float64)
    power = power if x > SMALLEST else 0.0
    square = r * r
    odd = r * ((P[0] * square + P[1]) * square + P[2])
    even = ((Q[0] * square + Q[1]) * square + Q[2]) * square + Q[3]
    near, far = even - odd, power * (even + odd)
    whole = 1 / (near + far)
    near *= whole
    far *= whole
    return (near, far) if z >= 0 else (far, near)


@inlined
def _pair(z, p, q, up, down):
    """The two terms of a pair's slope, and its curvature: the second writing of `risk`."""
    above, below = _sides(z - up)
    if up + down == 0:  # both labels bend alike
        return q * above, p * below, (p + q) * above * below
    above_too, below_too = _sides(z + down)
    return q * above_too, p * below, p * above * below + q * above_too * below_too


@compiled
def _slopes(z, p, q, mass, links):
    """Slopes in the place of `z`, what their two terms add up to in size, and curvatures."""
    for m in range(len(z)):
        up, down, links[m] = _pair(z[m], p[m], q[m], 0.0, 0.0)
        z[m], mass[m] = up - down, abs(up) + abs(down)


@compiled
def _moved_slopes(z, p, q, first, second, mass, links):
    """The same with offsets."""
    for m in range(len(z)):
        up, down, links[m] = _pair(z[m], p[m], q[m], first[m], second[m])
        z[m], mass[m] = up - down, abs(up) + abs(down)


@compiled
def _outflow(flow, total, begin, sign, lanes):
    """sum_j flow_ij with flow_ji = sign flow_ij."""
    total[:] = 0.0
    for i in range(len(begin) - 2):
        _add_up(total, i * lanes, flow, begin[i], begin[i + 1], lanes)
        x, y, n = place((i + 1) * lanes), place(begin[i]), place(begin[i + 1] - begin[i])
        for m in range(n):
            total[x + m] += sign * flow[y + m]


@inlined
def _differences(z, s, start, end, i, lanes):
    """z[start + (j, t)] = s[i + t] - s[i + lanes + (j, t)]."""
    y, n, x, lanes = place(start), place(end - start), place(i), place(lanes)
    if lanes == place(1):
        a = s[x]
        for m in range(n):
            z[y + m] = a - s[x + lanes + m]
        return
    for j in range(place(0), n, lanes):
        for t in range(lanes):
            z[y + j + t] = s[x + t] - s[x + lanes + j + t]


@inlined
def _add_up(total, i, row, start, end, lanes):
    """total[i + t] += sum_j row[start + (j, t)], in order."""
    x, y, n, lanes = place(i), place(start), place(end - start), place(lanes)
    if lanes == place(1):
        held = total[x]
        for m in range(n):
            held += row[y + m]
        total[x] = held
        return
    fours = n - n % (place(4) * lanes)
    for j in range(place(0), fours, place(4) * lanes):
        for t in range(lanes):
            m = y + j + t
            held = total[x + t] + row[m] + row[m + lanes]
            total[x + t] = held + row[m + lanes + lanes] + row[m + lanes + lanes + lanes]
    for j in range(fours, n, lanes):
        for t in range(lanes):
            total[x + t] += row[y + j + t]


@inlined
def _add(rows, start, end, shares, k, others, other, lanes):
    """rows[start + (j, t)] += shares[k + t] others[other + (j, t)]."""
    y, n, a, x, lanes = place(start), place(end - start), place(k), place(other), place(lanes)
    if lanes == place(1):
        share = shares[a]
        for m in range(n):
            rows[y + m] += share * others[x + m]
        return
    for j in range(place(0), n, lanes):
        for t in range(lanes):
            rows[y + j + t] += shares[a + t] * others[x + j + t]


@inlined
def _scale(shares, start, end, inverse, k, mesh, lanes):
    """shares[start + (j, t)] = inverse[k + t] mesh[start + (j, t)]."""
    y, n, a, lanes = place(start), place(end - start), place(k), place(lanes)
    if lanes == place(1):
        share = inverse[a]
        for m in range(n):
            shares[y + m] = share * mesh[y + m]
        return
    for j in range(place(0), n, lanes):
        for t in range(lanes):
            shares[y + j + t] = inverse[a + t] * mesh[y + j + t]


@inlined
def _add_four(mesh, start, end, share, first, second, third, fourth, lanes):
    """The same for four rows in order, whose shares stand `lanes` before their entries."""
    y, n, lanes = place(start), place(end - start), place(lanes)
    a, b, c, d = place(first), place(second), place(third), place(fourth)
    if lanes == place(1):
        e, f, g, h = share[a - lanes], share[b - lanes], share[c - lanes], share[d - lanes]
        for m in range(n):
            old = mesh[y + m] + e * mesh[a + m] + f * mesh[b + m]
            mesh[y + m] = old + g * mesh[c + m] + h * mesh[d + m]
        return
    for j in range(place(0), n, lanes):
        for t in range(lanes):
            m = j + t
            old = mesh[y + m] + share[a - lanes + t] * mesh[a + m]
            old = old + share[b - lanes + t] * mesh[b + m]
            old = old + share[c - lanes + t] * mesh[c + m]
            mesh[y + m] = old + share[d - lanes + t] * mesh[d + m]


@compiled
def _eliminate(mesh, share, inverse, begin, size, lanes):
    """Star to mesh, four responses at a time; shares link_kj/degree_k, and 1/degree_k."""
    inverse[:] = 0.0
    k = 0
    while k < size - 1:
        last = min(k + 4, size - 1)
        for r in range(k, last):
            for a in range(k, r):
                other = begin[a] + (r - a) * lanes
                _add(mesh, begin[r], begin[r + 1], share, other - lanes, mesh, other, lanes)
            _add_up(inverse, r * lanes, mesh, begin[r], begin[r + 1], lanes)
            for t in range(r * lanes, (r + 1) * lanes):
                inverse[t] = 1 / inverse[t]
            _scale(share, begin[r], begin[r + 1], inverse, r * lanes, mesh, lanes)
        for i in range(last, size - 1):
            a = begin[k] + (i - k) * lanes
            b = begin[k + 1] + (i - k - 1) * lanes
            c = begin[k + 2] + (i - k - 2) * lanes
            d = begin[k + 3] + (i - k - 3) * lanes
            _add_four(mesh, begin[i], begin[i + 1], share, a, b, c, d, lanes)
        k = last


@compiled
def _solve(share, inverse, gradient, x, begin, size, lanes):
    """The Newton step x of the eliminated links for -gradient, the last response held at 0."""
    for m in range(len(x)):
        x[m] = -gradient[m]
    for k in range(size - 1):
        _add(x, (k + 1) * lanes, size * lanes, x, k * lanes, share, begin[k], lanes)
    x[(size - 1) * lanes :] = 0.0
    for k in range(size - 2, -1, -1):
        for t in range(k * lanes, (k + 1) * lanes):
            x[t] *= inverse[t]
        _add_products(x, k * lanes, share, begin[k], begin[k + 1], lanes)


@inlined
def _add_products(x, k, share, start, end, lanes):
    """x[k + t] += sum_j share[start + (j, t)] x[k + lanes + (j, t)], in order."""
    i, y, n, lanes = place(k), place(start), place(end - start), place(lanes)
    if lanes == place(1):
        held = x[i]
        for m in range(n):
            held += share[y + m] * x[i + lanes + m]
        x[i] = held
        return
    fours = n - n % (place(4) * lanes)
    for j in range(place(0), fours, place(4) * lanes):
        for t in range(lanes):
            a, b = y + j + t, i + lanes + j + t
            held = x[i + t] + share[a] * x[b] + share[a + lanes] * x[b + lanes]
            a, b = a + lanes + lanes, b + lanes + lanes
            x[i + t] = held + share[a] * x[b] + share[a + lanes] * x[b + lanes]
    for j in range(fours, n, lanes):
        for t in range(lanes):
            x[i + t] += share[y + j + t] * x[i + lanes + j + t]


@compiled
def _advance(s, x, taken_steps, size, lanes):
    """The damped step of every lane; a fresh one, at 0, goes to its start."""
    for t in range(lanes):
        low, high = 0.0, 0.0
        for i in range(size):
            low, high = min(low, x[i * lanes + t]), max(high, x[i * lanes + t])
        reach = high - low
        cut = 1.0 if reach <= 1 or taken_steps[t] == 0 else math.log1p(reach) / reach
        for i in range(size):
            s[i * lanes + t] += cut * x[i * lanes + t]


@compiled
def _certificate(links, mass, share, inverse, lanes, t, one, alone, v, row, other):
    """(bound on the least curvature, length of the terms' sums) of one lane's table.

    The bound of :func:`~.newton._least_curvature`, from v ~ A^-1 1 of the last links eliminated.
    """
    link, shares, flow, _ = one
    size = len(v)
    _get(link, links, lanes, t)
    _get(shares, share, lanes, t)
    _get(flow, mass, lanes, t)
    _outflow(flow, row, alone, 1.0, 1)
    length = math.sqrt((row * row).sum())
    v[:] = 1.0
    for k in range(size - 1):
        _add(v, k + 1, size, v, k, shares, alone[k], 1)
    v[size - 1] = 0.0
    for k in range(size - 2, -1, -1):
        v[k] *= inverse[k * lanes + t]
        _add_products(v, k, shares, alone[k], alone[k + 1], 1)
    for i in range(size - 1):
        _differences(flow, v, alone[i], alone[i + 1], i, 1)
    for m in range(len(flow)):
        flow[m] *= link[m]
    _outflow(flow, row, alone, -1.0, 1)
    _outflow(link, other, alone, 1.0, 1)
    rounding, bound = (size + 4) * EPS, math.inf
    spare = rounding * other.sum() * v.max()  # every link is counted twice
    for i in range(size - 1):
        bound = min(bound, (row[i] - spare) / v[i] if v[i] > 0 else 0.0)
    curvature = max(0.0, max(bound, size * link.min()) * (1 - rounding))
    return curvature, length


@compiled
def _distance(slope, curvature):
    """:func:`~madpo_theory.risk.distance` at the speed sqrt(2) of a gap."""
    ratio = math.sqrt(2) * slope / curvature if curvature > 0 else math.inf
    return -math.log1p(-ratio) / math.sqrt(2) if ratio < 1 else math.inf
