"""Independent check of a supremum certificate: ``python -m madpo_theory.certify.checker FILE``.

This file imports nothing of the library. It states the schedule and the weight in the words of
their definition (c as printed, w as a ratio of sigmoids), not in the stable forms that the
library computes with, and knows nothing of the search that chose the boxes: a certificate it
accepts holds even if both are wrong. Over boxes of schedules it uses one identity more,
sigma(x)/sigma(-x) = e^x, which makes the published delta (c - 1) h up to tau.
"""

import functools
import json
import math
import re
import sys
from fractions import Fraction
from itertools import pairwise

from flint import arb, arb_series, ctx, fmpq

__all__ = ["check"]

FORMAT = "madpo-theory supremum 2"
BOX_FORMAT = "madpo-theory box supremum 1"
BITS = 128
MAX_DEPTH = 40
MAX_BOXES, MAX_TAIL = 10_000, 1_000


def check(certificate):
    """Raise ValueError, with the reason, unless the certificate proves what it says."""
    try:
        if certificate["format"] == BOX_FORMAT:
            _check_box_certificate(certificate)
        else:
            _check(certificate)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"malformed certificate: {type(error).__name__} {error}") from None


def _check(certificate):
    if certificate["format"] != FORMAT:
        raise ValueError(f"unknown format {certificate['format']!r}, expected {FORMAT!r}")
    lower, upper = float(certificate["lower"]), float(certificate["upper"])
    if not lower <= upper < float("inf"):
        raise ValueError(f"lower {lower} and upper {upper} do not enclose a number")
    with ctx.workprec(BITS):
        schedule = _Schedule(**certificate["schedule"])
        name, weighting = certificate["quantity"], certificate["weighting"]
        derivative, signed, two_sided, tail = _quantity(name, weighting)
        lo, hi = int(certificate["lo"]), int(certificate["hi"])
        boxes = [_interval(box) for box in certificate["boxes"]]
        _check_cover(boxes, lo, hi)
        if not (hi > schedule.tau and schedule.lam * hi >= 1):
            raise ValueError(f"the tail from {hi} starts before tau or before 1/lam")
        if not (-schedule.tau > lo if two_sided else lo == 0):
            raise ValueError(f"the cover starts at {lo}, which leaves margins out")
        if not tail(schedule, arb(hi)) <= arb(upper):
            raise ValueError(f"the tail beyond {hi} may exceed {upper}")
        middle = sum(_interval(certificate["witness"])) / 2
        if not lo <= middle <= hi:
            raise ValueError(f"the witness at {float(middle)} lies outside [{lo}, {hi}]")
        function = functools.partial(_function, name, weighting, schedule)
        values = _derivatives(function, schedule, _arb(middle), derivative)
        if not any(signed(v[derivative]) >= arb(lower) for v in values):
            raise ValueError(f"the witness at {float(middle)} does not attain {lower}")
        for box in boxes:
            _check_box(function, schedule, box, derivative, signed, arb(upper))


def _check_cover(boxes, lo, hi):
    if not boxes or boxes[0][0] != lo or boxes[-1][1] != hi:
        raise ValueError(f"the boxes do not start at {lo} and end at {hi}")
    for (_, right), (left, _) in pairwise(boxes):
        if right != left:
            raise ValueError(f"the boxes leave a gap or overlap at {float(right)}")


def _check_box(function, schedule, box, derivative, signed, upper):
    stack = [(*box, 0)]
    while stack:
        left, right, depth = stack.pop()
        middle = (left + right) / 2
        ball, centre = _arb(left).union(_arb(right)), _arb(middle)
        if all(
            signed(_mean_value(function, ball, centre, derivative, region)) <= upper
            for region in schedule.regions(left, right)
        ):
            continue
        if depth == MAX_DEPTH:
            raise ValueError(f"cannot confirm the bound {upper} on [{float(left)}, {float(right)}]")
        stack += [(left, middle, depth + 1), (middle, right, depth + 1)]


def _mean_value(function, ball, centre, derivative, region):
    slope = _taylor(function, ball, derivative + 1, region)[derivative + 1]
    value = _taylor(function, centre, derivative, region)[derivative]
    return value + slope * (ball - centre)


def _derivatives(function, schedule, point, derivative):
    """One for each side on which the point lies: the slope beside a kink nears the one-sided."""
    return [_taylor(function, point, derivative, region) for region in schedule.regions_at(point)]


def _taylor(function, ball, order, region):
    ctx.cap = order + 1
    try:
        series = arb_series([0], prec=order + 1) + function(region)(
            arb_series([ball, 1], prec=order + 1)
        )
        return [series[k] * (2 if k == 2 else 1) for k in range(order + 1)]
    except ValueError:  # the ball is too wide for a division or a logarithm: nothing is proved
        return [arb.nan()] * (order + 1)
    finally:
        ctx.cap = 10


class _Schedule:
    """The definition, as published: c(u), w(h), and the regions on which w is smooth."""

    def __init__(self, c_max, c_min, lam, tau):
        self.c_max, self.c_min, self.lam, self.tau = map(_number, (c_max, c_min, lam, tau))
        if not (self.c_max > 1 and self.c_min >= 0 and self.c_min < 1):
            raise ValueError(f"c_max = {c_max}, c_min = {c_min} is no schedule")
        if not (self.lam > 0 and self.tau > 0):
            raise ValueError(f"lam = {lam}, tau = {tau} is no schedule")
        self.kappa = (self.c_max - 1) / (1 - self.c_min)

    def c(self, u):
        growth = (self.lam * (u - self.tau)).exp()
        return self.c_min + (self.c_max - self.c_min) / (1 + self.kappa * growth)

    def c_of_ball(self, u):
        """c over a wide ball u of margins and a box of schedules, by the ends of the exponent."""
        log_kappa = _monotone(arb.log, self.c_max - 1) - _monotone(arb.log, 1 - self.c_min)
        share = _monotone(lambda t: 1 / (1 + t.exp()), log_kappa + self.lam * (u - self.tau))
        return self.c_min + (self.c_max - self.c_min) * share

    def log_w(self, h, side):
        """log[sigma(c h)/sigma(h)] where w is that ratio; side is the sign of h."""
        return ((1 + (-h).exp()) / (1 + (-self.c(side * h) * h).exp())).log()

    def regions(self, left, right):
        """Of 'rejected' (h <= -tau), 'minus', 'plus', 'beyond' (h >= tau), those touched."""
        left, right = _arb(left), _arb(right)
        touched = []
        if not left > -self.tau:
            touched.append("rejected")
        if not (right < -self.tau or left >= 0):
            touched.append("minus")
        if not (left > self.tau or right <= 0):
            touched.append("plus")
        if not right < self.tau:
            touched.append("beyond")
        return touched

    def regions_at(self, point):
        """The closed regions in which a point certainly lies."""
        tau = self.tau
        ends = {
            "rejected": (None, -tau),
            "minus": (-tau, 0),
            "plus": (0, tau),
            "beyond": (tau, None),
        }
        return [
            region
            for region, (left, right) in ends.items()
            if (left is None or point >= left) and (right is None or point <= right)
        ]


def _function(name, weighting, schedule, region):
    """The smooth function that the quantity is on a region."""
    side = -1 if region in ("rejected", "minus") else 1

    def log_w(h):
        if region == "rejected" or (weighting == "bounded_ratio" and region == "plus"):
            return 0 * h
        if weighting == "bounded_ratio":
            return (schedule.c(side * h) - 1) * h
        return schedule.log_w(h, side)

    def delta(h):
        """log w(h) - log w(-h) for h >= 0; beyond tau the second weight is 1."""
        if weighting == "bounded_ratio":
            return (schedule.c(h) - 1) * h
        return log_w(h) if region == "beyond" else log_w(h) - schedule.log_w(-h, -1)

    return {
        "sensitivity": delta,
        "influence": delta,
        "dampening": lambda h: -delta(h) if region == "beyond" else 0 * h,
        "log_weight_max": log_w,
        "log_weight_min": log_w,
        "target_slope_min": lambda h: h + delta(h),
        "target_slope_max": lambda h: h + delta(h),
        "weight_slope": lambda h: log_w(h).exp(),
    }[name]


def _value_tail(schedule, far):
    return (-schedule.c_min * far).exp().log1p()


def _stretch(schedule, far):
    stretch = schedule.lam * far * (schedule.c_max - schedule.c_min)
    decay = _monotone(arb.exp, -schedule.lam * (far - schedule.tau))
    return stretch * decay / schedule.kappa


def _slope_tail(schedule, far):
    level = schedule.c_of_ball(far) + _stretch(schedule, far)
    return level / (1 + (schedule.c_min * far).exp()) + 1 / (1 + far.exp())


def _ratio_slope_tail(schedule, far):
    return 1 - schedule.c_min + _stretch(schedule, far)


def _quantity(name, weighting):
    """(derivative, sign, two-sided, bound on the tail) of a quantity."""
    if weighting not in ("published", "bounded_ratio"):
        raise ValueError(f"unknown weighting {weighting!r}")
    negated, plain = arb.__neg__, arb.__pos__
    table = {
        "sensitivity": (1, abs, False, _slope_tail),
        "influence": (0, abs, False, _value_tail),
        "dampening": (0, plain, False, _value_tail),
        "log_weight_max": (0, plain, True, lambda s, far: arb(0)),
        "log_weight_min": (0, negated, True, _value_tail),
        "target_slope_min": (1, negated, False, lambda s, far: _slope_tail(s, far) - 1),
        "target_slope_max": (1, plain, False, lambda s, far: _slope_tail(s, far) + 1),
        "weight_slope": (1, abs, True, _slope_tail),
    }
    ratio_table = {
        "sensitivity": (1, abs, False, _ratio_slope_tail),
        "log_weight_max": (0, plain, True, lambda s, far: arb(0)),
        "target_slope_min": (1, negated, False, lambda s, far: _stretch(s, far) - s.c_min),
        "target_slope_max": (1, plain, False, lambda s, far: s.c_of_ball(far)),
        "weight_slope": (
            1,
            abs,
            True,
            lambda s, far: ((s.c_of_ball(far) - 1) * far).exp() * _ratio_slope_tail(s, far),
        ),
    }
    if name not in table:
        raise ValueError(f"unknown quantity {name!r}, expected one of {sorted(table)}")
    if weighting == "published":
        return table[name]
    if name not in ratio_table:
        raise ValueError(f"{name} of the bounded_ratio weight has no finite supremum")
    return ratio_table[name]


# --- boxes of schedules ------------------------------------------------------------------------


def _check_box_certificate(certificate):
    lower, upper = float(certificate["lower"]), float(certificate["upper"])
    if not lower <= upper < float("inf"):
        raise ValueError(f"lower {lower} and upper {upper} do not enclose a number")
    with ctx.workprec(BITS):
        sides = [_side(certificate["box"][p]) for p in ("c_max", "c_min", "lam", "tau")]
        for end in zip(*sides, strict=True):
            _Schedule(*map(str, end))  # refuses what is no schedule
        problem = _BoxProblem(certificate["quantity"], certificate["weighting"])
        within = certificate["within"]
        trees = certificate["trees"]
        if within is None:
            start = -1 if problem.two_sided else 0
            ends = range(start, start + len(next(iter(trees.values()))) + 1)
            _check_box_tail(problem, sides, ends[-1], upper)
        else:
            low, high = map(Fraction, within)
            if not -1 <= low <= high:
                raise ValueError(f"within = {within} is no range of margins above -tau")
            inner = range(math.floor(low) + 1, math.ceil(high))
            ends = [low, *inner, high]
        if sorted(trees) != sorted(problem.signs):
            raise ValueError(f"trees for {sorted(trees)}, expected {sorted(problem.signs)}")
        intervals = [tuple(map(_rational, pair)) for pair in pairwise(ends)]
        _check_box_witness(problem, certificate["witness"], sides, ends, lower)
        for sign, strings in trees.items():
            if len(strings) != len(intervals):
                raise ValueError(f"{len(strings)} trees cannot cover {len(intervals)} intervals")
            for interval, tree in zip(intervals, strings, strict=True):
                root = (interval, *(tuple(map(_rational, side)) for side in sides))
                _check_tree(problem, root, tree, problem.signs[sign], upper)


def _side(pair):
    low, high = map(Fraction, pair)
    if low > high:
        raise ValueError(f"{pair} is no interval")
    return low, high


def _check_box_tail(problem, sides, far, upper):
    """The tail bounds of :func:`_quantity` for h >= far tau, over every schedule of the box.

    They rest on |c'| u <= lam u (c_max - c_min) e^(-lam (u - tau))/kappa, which falls once
    lam u >= 1, on c falling, and on |(log w)'| <= (c + u |c'|) sigma(-c_min u) + sigma(-u) for
    the published weight; for the other, (log w)' = c - 1 + u c' beyond tau.
    """
    (_, _), (_, _), (lam, _), (tau, _) = sides
    if not (far > 1 and lam * tau * far >= 1):
        raise ValueError(f"the tail from {far} tau starts before tau or before 1/lam")
    stack, count = [((fmpq(far), fmpq(far)), *(tuple(map(_rational, side)) for side in sides))], 0
    while stack:
        box = stack.pop()
        schedule = _Schedule(*(_hull(*side) for side in box[1:]))
        if not problem.tail(schedule, far * schedule.tau) <= arb(upper):
            count += 1
            if count > MAX_TAIL:
                raise ValueError(f"the tail beyond {far} tau may exceed {upper}")
            stack += _halves(box, _widest(box))
    if problem.two_sided and upper < 0:
        raise ValueError(f"log w and w' are 0 beyond -tau, above {upper}")


def _check_box_witness(problem, witness, sides, ends, lower):
    if len(witness) != 5:
        raise ValueError(f"the witness {witness} is not (s, c_max, c_min, lam, tau)")
    margin, *schedule = map(Fraction, witness)
    inside = all(low <= x <= high for x, (low, high) in zip(schedule, sides, strict=True))
    if not inside or not ends[0] <= margin <= ends[-1]:
        raise ValueError(f"the witness {witness} lies outside the box")
    point = [(_rational(x), _rational(x)) for x in (margin, *schedule)]
    regions = {math.floor(margin), math.ceil(margin) - 1} - {-2}
    values = [
        sign * problem.evaluate(point, region)[0]
        for region in regions
        for sign in problem.signs.values()
    ]
    if not any(value >= arb(lower) for value in values):
        raise ValueError(f"the witness {witness} does not attain {lower}")


def _check_tree(problem, root, tree, sign, upper):
    """Walk the preorder: digit = halved in that dimension, letter = cut to a face, dot = proved."""
    region, stack, characters = math.floor(root[0][0]), [(root, arb(upper))], iter(tree)
    while stack:
        sides, bound = stack.pop()
        character = next(characters, None)
        while character is not None and character in "abcdeABCDE":
            d = "abcde".index(character.lower())
            bound -= _slack(problem, sides, region, d, sign if character.isupper() else -sign)
            end = sides[d][character.isupper()]
            sides = (*sides[:d], (end, end), *sides[d + 1 :])
            character = next(characters, None)
        if character is not None and character in "01234":
            left, right = _halves(sides, int(character))
            stack += [(right, bound), (left, bound)]
        elif character == ".":
            _prove(problem, sides, region, sign, bound)
        else:
            raise ValueError(f"the proof tree breaks off or has a foreign character {character!r}")
    if next(characters, None) is not None:
        raise ValueError("the proof tree goes on after its end")


def _halves(sides, d):
    low, high = sides[d]
    middle = (low + high) / 2
    return tuple((*sides[:d], side, *sides[d + 1 :]) for side in ((low, middle), (middle, high)))


def _slack(problem, sides, region, d, sign):
    """How much higher than on the face the quantity may be: 0, but for rounding.

    Proves sign * (slope in dimension d) >= -tiny on the box.
    """
    width, tiny = arb(sides[d][1] - sides[d][0]), arb(2) ** -60
    stack, count = [sides], 0
    while stack:
        box = stack.pop()
        _, gradient = problem.evaluate(box, region)
        if sign * gradient[d] >= -tiny:
            continue
        count += 1
        if count > MAX_BOXES or sign * gradient[d] < -tiny:
            raise ValueError(f"cannot confirm that the quantity is monotone in dimension {d}")
        stack += _halves(box, _widest(box))
    return width * tiny


def _prove(problem, sides, region, sign, bound):
    stack, count = [sides], 0
    while stack:
        box = stack.pop()
        value, gradient = problem.evaluate(box, region)
        if sign * value <= bound:
            continue
        centre, cost, costs = [], arb(0), []
        for (low, high), slope in zip(box, gradient, strict=True):
            slope = sign * slope
            if low == high or slope >= 0 or slope <= 0:
                at = high if slope >= 0 else low
                centre.append((at, at))
                costs.append(-1.0)
                continue
            at = (low + high) / 2
            centre.append((at, at))
            costs.append(float((abs(slope) * arb(high - at)).upper()))
            cost += abs(slope) * arb(high - at)
        at_centre = sign * problem.evaluate(centre, region)[0]
        if at_centre + cost <= bound:
            continue
        count += 1
        if count > MAX_BOXES or at_centre > bound:
            raise ValueError(
                f"cannot confirm the bound {float(bound.mid())} on "
                f"{[(str(low), str(high)) for low, high in sides]}"
            )
        known = all(map(math.isfinite, costs)) and max(costs) > 0
        stack += _halves(box, max(range(5), key=costs.__getitem__) if known else _widest(box))


def _widest(box):
    """The dimension widest in proportion to its size; s in proportion to 1."""
    return max(range(5), key=lambda d: (box[d][1] - box[d][0]) / (box[d][1] if d else fmpq(1)))


class _Jet:
    """Value, first and second slope in h, and {dimension: (slope, its slope in h)}, as balls."""

    def __init__(self, value, first=0, second=0, partial=None):
        self.value, self.first, self.second = value, arb(first), arb(second)
        self.partial = partial or {}

    def __add__(self, other):
        if not isinstance(other, _Jet):
            return _Jet(self.value + other, self.first, self.second, self.partial)
        dimensions = self.partial.keys() | other.partial.keys()
        return _Jet(
            self.value + other.value,
            self.first + other.first,
            self.second + other.second,
            {d: _added(self.slopes(d), other.slopes(d)) for d in dimensions},
        )

    def slopes(self, d):
        return self.partial.get(d, (arb(0), arb(0)))

    def scaled(self, k):
        partial = {d: (k * x, k * y) for d, (x, y) in self.partial.items()}
        return _Jet(k * self.value, k * self.first, k * self.second, partial)

    def __sub__(self, other):
        return self + (other.scaled(-1) if isinstance(other, _Jet) else -other)

    def __mul__(self, other):
        a, b = self, other
        partial = {}
        for d in a.partial.keys() | b.partial.keys():
            (x, x_h), (y, y_h) = a.slopes(d), b.slopes(d)
            partial[d] = (
                x * b.value + a.value * y,
                x_h * b.value + x * b.first + a.first * y + a.value * y_h,
            )
        return _Jet(
            a.value * b.value,
            a.first * b.value + a.value * b.first,
            a.second * b.value + 2 * a.first * b.first + a.value * b.second,
            partial,
        )

    def through(self, value, first, second):
        """The jet of g(self), from g, g' and g'' over the ball of the value."""
        bend = second * self.first
        return _Jet(
            value,
            first * self.first,
            first * self.second + bend * self.first,
            {d: (first * x, first * y + bend * x) for d, (x, y) in self.partial.items()},
        )


def _added(first, second):
    return first[0] + second[0], first[1] + second[1]


def _exp(x):
    e = _monotone(arb.exp, x.value)
    return x.through(e, e, e)


def _log(x):
    return x.through(_monotone(arb.log, x.value), 1 / x.value, -1 / (x.value * x.value))


def _logistic(x):
    """1 / (1 + e^x), and its slopes -p (1 - p) and p (1 - p)(1 - 2 p)."""
    p = _monotone(lambda t: 1 / (1 + t.exp()), x.value)
    spread = _spread(p)
    return x.through(p, -spread, spread * (1 - 2 * p))


def _softplus(x):
    """log(1 + e^x), slope 1/(1 + e^-x)."""
    p = _monotone(lambda t: 1 / (1 + t.exp()), -x.value)
    return x.through(_monotone(lambda t: t.exp().log1p(), x.value), p, _spread(p))


def _spread(p):
    """p (1 - p) as 1/4 - (p - 1/2)^2; squared by *, as Arb's ** is undefined around 0."""
    distance = p - arb("0.5")
    return arb("0.25") - distance * distance


def _monotone(f, ball):
    """A monotone function over a ball: the hull of its values at the ends."""
    return f(ball.lower()).union(f(ball.upper()))


class _BoxProblem:
    """A quantity as a function of (s, c_max, c_min, lam, tau), h = s tau, with its gradient."""

    def __init__(self, name, weighting):
        self.name, self.weighting = name, weighting
        self.derivative, signs, self.two_sided, self.tail = _quantity(name, weighting)
        self.signs = {"+": 1, "-": -1} if signs is abs else {"+": 1}
        if signs is arb.__neg__:
            self.signs = {"-": -1}

    def evaluate(self, sides, region):
        """(value, gradient): balls over the box; in `region` <= s <= region + 1."""
        balls = [_hull(*side) for side in sides]
        points = [low == high for low, high in sides]
        c_max, c_min, lam, tau = (
            _Jet(balls[d], partial={} if points[d] else {d: (arb(1), arb(0))}) for d in range(1, 5)
        )
        s, side = balls[0], -1 if region < 0 else 1
        h = _Jet(s * tau.value, 1, partial={} if points[4] else {4: (s, arb(0))})
        beyond = _Jet(  # |h| - tau = (|s| - 1) tau
            (side * s - 1) * tau.value,
            side,
            partial={} if points[4] else {4: (side * s - 1, arb(0))},
        )
        log_kappa = _log(c_max - 1) - _log(c_min.scaled(-1) + 1)
        c = c_min + (c_max - c_min) * _logistic(log_kappa + lam * beyond)
        found = self._function(region, c, h)
        value, slope = (
            (found.first, found.second) if self.derivative else (found.value, found.first)
        )
        gradient = [arb(0) if points[0] else slope * tau.value]
        return value, gradient + [found.slopes(d)[self.derivative] for d in range(1, 5)]

    def _function(self, region, c, h):
        """With sigma(x)/sigma(-x) = e^x: delta = c h - h up to tau, and log w(h) beyond it."""
        shift = c * h - h
        zero = h.scaled(0)
        if self.weighting == "published":
            log_w = _softplus(h.scaled(-1)) - _softplus((c * h).scaled(-1))
            delta = log_w if region >= 1 else shift
        else:
            log_w = zero if region == 0 else shift
            log_w = _Jet(log_w.value.min(0), log_w.first, log_w.second, log_w.partial)
            delta = shift
        return {
            "sensitivity": lambda: delta,
            "influence": lambda: delta,
            "dampening": lambda: delta.scaled(-1) if region >= 1 else zero,
            "log_weight_max": lambda: log_w,
            "log_weight_min": lambda: log_w,
            "target_slope_min": lambda: h + delta,
            "target_slope_max": lambda: h + delta,
            "weight_slope": lambda: _exp(log_w),
        }[self.name]()


def _hull(low, high):
    return arb(low) if low == high else arb(low).union(arb(high))


def _rational(value):
    value = Fraction(value)
    return fmpq(value.numerator, value.denominator)


def _interval(box):
    level, index = map(int, box)
    return Fraction(index, 2**level), Fraction(index + 1, 2**level)


def _arb(value):
    if isinstance(value, Fraction):
        return arb(fmpq(value.numerator, value.denominator))
    return arb(value)


def _number(text):
    if isinstance(text, arb):
        return text
    logarithm = re.fullmatch(r"log\((\d+)\)", text)
    return arb(int(logarithm[1])).log() if logarithm else _arb(Fraction(text))


def _said(certificate):
    """What an accepted certificate proves, in a line: of which weight, schedules and margins."""
    bounds = f"in [{certificate['lower']!r}, {certificate['upper']!r}]"
    if certificate["format"] == BOX_FORMAT:
        over, within = certificate["box"], certificate["within"]
    else:
        over, within = certificate["schedule"], None
    told = ", ".join(f"{name} {value}" for name, value in over.items())
    where = "every margin" if within is None else f"margins {within} tau"
    weight = f"{certificate['weighting']} weight"
    return f"sup {certificate['quantity']} {bounds}, {weight}, {told}, {where}"


def main(paths):
    """Check each file; prints a line per certificate and returns the number refused."""
    refused = 0
    for path in paths:
        try:
            with open(path) as file:
                certificate = json.load(file)
            check(certificate)
            print(f"accepted {path}: {_said(certificate)}")
        except (OSError, ValueError) as error:
            refused += 1
            print(f"REFUSED {path}: {error}")
    return refused


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
