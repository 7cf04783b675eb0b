"""Newton's method for tables in small groups, compiled for the processor.

The arithmetic of :mod:`~.solve.newton` on as many tables as fit a core's cache, the lanes: entry
[..., t] of every array belongs to lane t, and loops run along pairs and lanes together, so that the
processor's vector registers are full. A table that is done makes room for the next in its lane. No
operation mixes lanes, and every sum has one order whatever their number: a table cannot see its
neighbours. What does not converge here is left to the batched solver, which can say why.

Arrays over pairs (i, j), i < j, hold row i after row i - 1; `begin` says where a row starts.
"""

import functools
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit

__all__ = ["fit_tables"]

EPS = np.finfo(np.float64).eps
BLOCK = 64  # tables that make a thread worth starting

# e^x = 2^n (Q + r P)/(Q - r P), x = n log 2 + r, Cephes' rational approximation.
LOG2, LOG2E = math.log(2), 1 / math.log(2)
LOG2_HIGH, LOG2_LOW = 6.93145751953125e-1, 1.42860682030941723212e-6
ROUNDED = 1.5 * 2.0**52  # added, it leaves an integer in the last bits
P = (1.26177193074810590878e-4, 3.02994407707441961300e-2, 1.0)
Q = (3.00198505138664455042e-6, 2.52448340349684104192e-3, 2.27265548208155028766e-1, 2.0)
FARTHEST = 700.0  # nats between scores, offsets included, that exponentials have room for

# log(2^n m) = n log 2 + 2 artanh((m - 1)/(m + 1)), m from 0.707 to 1.414, by its series.
BELOW_ROOT_HALF = 0x3FE6A09E00000000  # the bits of a number just below the root of 1/2
EXPONENT = np.int64(-1 << 52)  # the bits of sign and exponent
INTEGER = np.int64(0x4330000000000000)  # the bits of 2^52: what is added to them is an integer


def compiled(function, **options):
    """A function compiled when first called, and kept on disk where a folder for that is found."""
    options |= {"nogil": True, "error_model": "numpy"}
    try:
        return njit(function, cache=True, **options)
    except RuntimeError:  # neither beside this file nor in the home can anything be written
        return njit(function, **options)


inlined = functools.partial(compiled, forceinline=True)
place = np.uint64  # places in arrays: an unsigned index is not looked at for a sign


def lanes_for(size, count):
    """Lanes for `count` tables of K responses: enough to fill the registers, within the cache.

    Rows of large tables are long enough to fill them alone.
    """
    if size > 80 or (size > 40 and count < 16):
        return 1
    return min(count, 64 if size <= 6 else 32 if size <= 40 else 16)


def fit_tables(fits, wins, offsets=None, *, tolerance, accuracy, steps, clip, threads):
    """Fit B tables, each to a certified distance from its minimizer, or not at all.

    Parameters
    ----------
    fits : the arrays of a :class:`~.fits.TableFits`, in its order; a table that does not converge
        here is left as it stands there.
    wins : (B, K, K) float64 array, zero diagonal; negative entries only where wins + wins^T >= 0
        and the offsets are odd.
    offsets : (B, K, K) float64 array or None.
    tolerance, accuracy, steps : as in :func:`~madpo_theory.simulate.solve.newton.minimize_tables`.
    clip : share of wins that a pair won by one side alone counts as having lost, for the start.
    threads : slices of the batch worked on at once; the result does not depend on it.
    """
    count, size, _ = wins.shape
    parts = max(1, min(threads, count // BLOCK))
    limits = (tolerance, accuracy, steps, clip)

    def work(part):
        at = slice(count * part // parts, count * (part + 1) // parts)
        moved = None if offsets is None else offsets[at]
        lanes = lanes_for(size, at.stop - at.start)
        _fit(tuple(values[at] for values in fits), wins[at], moved, limits, lanes)

    if count and parts == 1:
        work(0)
    elif count:
        with ThreadPoolExecutor(parts) as pool:
            list(pool.map(work, range(parts)))


@compiled
def _fit(fits, wins, offsets, limits, lanes):
    """Fit tables in lanes, the next in the place of one that is done."""
    scores, converged, reason, gradient_norm, least, error_bound, taken = fits
    tolerance, accuracy, steps, clip = limits
    count, size, _ = wins.shape
    pairs = size * (size - 1) // 2
    begin = np.zeros(size + 1, dtype=np.int64)
    for i in range(size):
        begin[i + 1] = begin[i] + (size - 1 - i) * lanes
    # Arrays of their own: rows of a larger one might overlap, for all the compiler knows.
    flow, p, q, links = _zeros(pairs * lanes)
    share, mass, _, _ = _zeros(pairs * lanes)
    first, second, _, _ = _zeros(0 if offsets is None else pairs * lanes)
    s, x, gradient, inverse = _zeros(size * lanes)
    rise, fall, v, row = _zeros(size * lanes)
    norm, terms, curvature, moved = _zeros(lanes)
    low, high, spread, _ = _zeros(lanes)
    one, pull, alone = _zeros(pairs), np.zeros(size), begin // lanes  # of one table at a time
    table, made = np.full(lanes, -1), np.zeros(lanes, dtype=np.int64)
    following = 0
    while True:
        busy = 0
        for t in range(lanes):
            if table[t] < 0 and following < count:
                table[t], following = following, following + 1
                _load(
                    wins[table[t]], clip, p, q, links, gradient, lanes, t, one, pull, alone,
                    offsets is None,
                )  # fmt: skip
                if offsets is not None:
                    moved[t] = _load_offsets(
                        offsets[table[t]], clip, first, second, links, gradient, lanes, t, one,
                        pull, alone,
                    )  # fmt: skip
            busy += table[t] >= 0
        if busy == 0:
            return
        # links, gradient: of the loss, or of the least squares that a fresh table starts from
        _eliminate(links, share, inverse, begin, size, lanes)
        _solve(share, inverse, gradient, x, begin, size, lanes)
        _advance(s, x, made, size, lanes)
        for m in range(len(s)):
            rise[m], fall[m] = _exp(s[m]), _exp(-s[m])
        for i in range(size - 1):
            _scale(flow, begin[i], begin[i + 1], fall, i * lanes, rise, (i + 1) * lanes, lanes)
        if offsets is None:
            _slopes(flow, p, q, mass, links)
        else:
            _moved_slopes(flow, p, q, first, second, mass, links)
        _outflow(flow, gradient, begin, -1.0, lanes)
        _lengths(norm, gradient, lanes)
        _ranges(low, high, s, lanes)
        near = False
        for t in range(lanes):
            spread[t] = high[t] - low[t] + moved[t]
            near |= table[t] >= 0 and made[t] > 0 and norm[t] <= tolerance
        if near:
            _certify(
                curvature, terms, links, mass, share, inverse, begin, flow, v, row, low, high,
                lanes,
            )  # fmt: skip
        for t in range(lanes):
            if table[t] < 0:
                continue
            b = table[t]
            held = math.isfinite(norm[t]) and spread[t] <= FARTHEST
            closed = made[t] == steps or not held
            if held and made[t] > 0 and norm[t] <= tolerance:
                rounding = EPS * (size + 8 + 2 * spread[t]) * terms[t]
                radius = _distance(norm[t] + rounding, curvature[t])
                if radius <= accuracy:
                    gradient_norm[b], least[b], error_bound[b] = norm[t], curvature[t], radius
                    converged[b], reason[b], taken[b], closed = True, 0, made[t], True
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
    row[:] = 0.0
    for i in range(size - 1):
        x, y = place(i + 1), place(alone[i])
        for m in range(place(size) - x):
            won[y + m], lost[y + m] = wins[i, x + m], wins[x + m, i]
            row[m] = max(row[m], won[y + m] + lost[y + m])
    scale = 1 / row.max()
    for m in range(len(won)):
        won[m] *= scale
        lost[m] *= scale
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
            largest = max(largest, max(abs(up), abs(down)))
            if weight[m] > 0:
                rare = clip * (won[m] + lost[m])
                a, b = max(won[m], rare), max(lost[m], rare)
                target[m] = _moved_target(target[m] / 2, (up - down) / 2, (up + down) / 2)
                up, down = _exp(up), _exp(-down)
                first[m * lanes + t], second[m * lanes + t] = up, down
                _, _, link = _pair(_exp(-target[m]), a, b, up, down)
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
def _exp(x):
    """e^x within 1.3 ulp (measured), |x| <= 708."""
    shifted = x * LOG2E + ROUNDED
    n = shifted - ROUNDED
    r = (x - n * LOG2_HIGH) - n * LOG2_LOW
    power = np.int64((np.float64(shifted).view(np.int64) + 1023) << 52).view(np.float64)
    square = r * r
    odd = r * ((P[0] * square + P[1]) * square + P[2])
    even = ((Q[0] * square + Q[1]) * square + Q[2]) * square + Q[3]
    return power * ((even + odd) / (even - odd))


@inlined
def _pair(ratio, p, q, first, second):
    """The two terms of a pair's slope, and its curvature: the second writing of `risk`.

    Of e^-z, e^up and e^-down: sigma(z - up) = 1/(1 + e^-z e^up), and all digits are kept.
    """
    far = ratio * first
    above = 1 / (1 + far)
    below = far * above
    if first == second:  # both labels bend alike
        return q * above, p * below, (p + q) * above * below
    far = ratio * second
    above_too = 1 / (1 + far)
    below_too = far * above_too
    return q * above_too, p * below, p * above * below + q * above_too * below_too


@compiled
def _slopes(ratio, p, q, mass, links):
    """Slopes in the place of the e^-z, what their two terms add up to in size, and curvatures."""
    for m in range(len(ratio)):
        up, down, links[m] = _pair(ratio[m], p[m], q[m], 1.0, 1.0)
        ratio[m], mass[m] = up - down, abs(up) + abs(down)


@compiled
def _moved_slopes(ratio, p, q, first, second, mass, links):
    """The same with offsets."""
    for m in range(len(ratio)):
        up, down, links[m] = _pair(ratio[m], p[m], q[m], first[m], second[m])
        ratio[m], mass[m] = up - down, abs(up) + abs(down)


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
        held, one, three = total[x], lanes, lanes + lanes + lanes
        fours = n - n % place(4)
        for m in range(y, y + fours, place(4)):
            held += (row[m] + row[m + one]) + (row[m + one + one] + row[m + three])
        for m in range(y + fours, y + n):
            held += row[m]
        total[x] = held
        return
    fours = n - n % (place(4) * lanes)
    for j in range(place(0), fours, place(4) * lanes):
        for t in range(lanes):
            m = y + j + t
            held = row[m] + row[m + lanes]
            m = m + lanes + lanes
            total[x + t] += held + (row[m] + row[m + lanes])
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
def _scale(products, start, end, factors, k, others, other, lanes):
    """products[start + (j, t)] = factors[k + t] others[other + (j, t)]."""
    y, n, a, x, lanes = place(start), place(end - start), place(k), place(other), place(lanes)
    if lanes == place(1):
        factor = factors[a]
        for m in range(n):
            products[y + m] = factor * others[x + m]
        return
    for j in range(place(0), n, lanes):
        for t in range(lanes):
            products[y + j + t] = factors[a + t] * others[x + j + t]


@inlined
def _add_four(mesh, start, end, share, first, second, third, fourth, lanes):
    """The same for four rows, whose shares stand `lanes` before their entries."""
    y, n, lanes = place(start), place(end - start), place(lanes)
    a, b, c, d = place(first), place(second), place(third), place(fourth)
    if lanes == place(1):
        e, f, g, h = share[a - lanes], share[b - lanes], share[c - lanes], share[d - lanes]
        for m in range(n):
            more = (e * mesh[a + m] + f * mesh[b + m]) + (g * mesh[c + m] + h * mesh[d + m])
            mesh[y + m] += more
        return
    for j in range(place(0), n, lanes):
        for t in range(lanes):
            m = j + t
            more = share[a - lanes + t] * mesh[a + m] + share[b - lanes + t] * mesh[b + m]
            last = share[c - lanes + t] * mesh[c + m] + share[d - lanes + t] * mesh[d + m]
            mesh[y + m] += more + last


@compiled
def _eliminate(mesh, share, inverse, begin, size, lanes):
    """Star to mesh, row by row; shares link_kj/degree_k, and 1/degree_k."""
    inverse[:] = 0.0
    for i in range(size - 1):
        start, end, fours = begin[i], begin[i + 1], i - i % 4
        for k in range(0, fours, 4):
            a = begin[k] + (i - k) * lanes
            b = begin[k + 1] + (i - k - 1) * lanes
            c = begin[k + 2] + (i - k - 2) * lanes
            d = begin[k + 3] + (i - k - 3) * lanes
            _add_four(mesh, start, end, share, a, b, c, d, lanes)
        for k in range(fours, i):
            a = begin[k] + (i - k) * lanes
            _add(mesh, start, end, share, a - lanes, mesh, a, lanes)
        _add_up(inverse, i * lanes, mesh, start, end, lanes)
        for t in range(i * lanes, (i + 1) * lanes):
            inverse[t] = 1 / inverse[t]
        _scale(share, start, end, inverse, i * lanes, mesh, start, lanes)


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
        held, one, i = x[i], lanes, i + lanes
        fours = n - n % place(4)
        for m in range(place(0), fours, place(4)):
            a, b = y + m, i + m
            first = share[a] * x[b] + share[a + one] * x[b + one]
            a, b = a + one + one, b + one + one
            held += first + (share[a] * x[b] + share[a + one] * x[b + one])
        for m in range(fours, n):
            held += share[y + m] * x[i + m]
        x[i - lanes] = held
        return
    fours = n - n % (place(4) * lanes)
    for j in range(place(0), fours, place(4) * lanes):
        for t in range(lanes):
            a, b = y + j + t, i + lanes + j + t
            held = share[a] * x[b] + share[a + lanes] * x[b + lanes]
            a, b = a + lanes + lanes, b + lanes + lanes
            x[i + t] += held + (share[a] * x[b] + share[a + lanes] * x[b + lanes])
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
def _lengths(lengths, rows, lanes):
    """Euclidean length of every lane's entries."""
    lengths[:] = 0.0
    for i in range(0, len(rows), lanes):
        for t in range(lanes):
            lengths[t] += rows[i + t] ** 2
    for t in range(lanes):
        lengths[t] = math.sqrt(lengths[t])


@compiled
def _ranges(low, high, rows, lanes):
    """The smallest and the largest of every lane's entries."""
    low[:], high[:] = math.inf, -math.inf
    for i in range(0, len(rows), lanes):
        for t in range(lanes):
            low[t], high[t] = min(low[t], rows[i + t]), max(high[t], rows[i + t])


@compiled
def _certify(curvature, terms, links, mass, share, inverse, begin, flow, v, row, low, high, lanes):
    """A bound on the least curvature, and the length of the terms' sums, of every lane.

    The bound of :func:`~.newton._least_curvature`, from v ~ A^-1 1 of the last links eliminated.
    """
    size = len(v) // lanes
    rounding = (size + 12) * EPS  # of a link: those of three exponentials and ten operations
    row[:] = -1.0
    _solve(share, inverse, row, v, begin, size, lanes)
    _outflow(mass, row, begin, 1.0, lanes)
    _lengths(terms, row, lanes)
    _ranges(low, high, v, lanes)
    for t in range(lanes):  # no link is larger than the terms of its pair
        high[t] *= rounding * row[t::lanes].sum()
    for i in range(size - 1):
        _differences(flow, v, begin[i], begin[i + 1], i * lanes, lanes)
    for m in range(len(flow)):
        flow[m] *= links[m]
    _outflow(flow, row, begin, -1.0, lanes)
    low[:] = math.inf
    for i in range(0, (size - 1) * lanes, lanes):
        for t in range(lanes):
            held = (row[i + t] - high[t]) / v[i + t]
            low[t] = min(low[t], held if v[i + t] > 0 else 0.0)
    curvature[:] = low
    row[:] = math.inf
    for i in range(size - 1):
        y, n = place(begin[i]), place(begin[i + 1] - begin[i])
        for m in range(n):
            row[m] = min(row[m], links[y + m])
    _ranges(low, high, row, lanes)
    for t in range(lanes):
        curvature[t] = max(0.0, max(curvature[t], size * low[t]) * (1 - rounding))


@compiled
def _distance(slope, curvature):
    """:func:`~madpo_theory.risk.distance` at the speed sqrt(2) of a gap."""
    ratio = math.sqrt(2) * slope / curvature if curvature > 0 else math.inf
    return -math.log1p(-ratio) / math.sqrt(2) if ratio < 1 else math.inf
