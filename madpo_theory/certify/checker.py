"""Independent check of a supremum certificate: ``python -m madpo_theory.certify.checker FILE...``.

This file imports nothing of the library. It states the schedule and the weight in the words of
their definition (c as printed, w as a ratio of sigmoids), not in the stable forms that the
library computes with, and knows nothing of the search that chose the boxes: a certificate it
accepts holds even if both are wrong. Over boxes of schedules it uses one identity more,
sigma(x)/sigma(-x) = e^x, which makes the published delta (c - 1) h up to tau.

A certificate says that ``lower <= sup <= upper`` for a quantity of a weight, over all margins h of
one schedule, or over a box of schedules and all margins or a range of them. What is certified of
`lower`: the quantity attains it at the witness, a margin of the range and a schedule of the box; a
slope at a kink is one of those beside it, within the range. Of `upper`: no margin of the range
exceeds it, for no schedule. An accepted line says both. A quantity of the ratio w(h)/w(-h) alone is
even in h: for it every margin is every h >= 0.

A certificate is refused, by a ValueError of one line, unless it obeys every rule below. Each is the
function named beside it, and of each ``tests/test_forgeries.py`` has a forgery that it alone
refuses. All is computed in Arb balls at 128 bits. That the bounds on the tails hold is proved in
``proofs/Tails.v``.

Of the file, which is JSON in UTF-8, nested no deeper than Python reads, and of what it holds:

1.  no object gives a key twice (`_unique`);
2.  sizes: at most 64 MiB, a million boxes or characters of trees, 1000 characters in a number, and
    boxes of width 2^-1000 to 2^1000 (`at_most`);
3.  there are exactly the keys of the format, each of its JSON type: 2.0 is no integer, true no
    number, "12" no list, NaN no float (`typed`);
4.  `lower` and `upper` are finite (`_finite`);
5.  exact numbers are the text "p" or "p/q", q > 0, or its "log(p)" for one schedule (`_exact`);
6.  the quantity and the weight are those stated here, and the supremum is finite (`_known`);
7.  c_max > 1, 0 <= c_min < 1, lam > 0, tau > 0, at both ends of a box (`_valid`).

Of one schedule:

8.  the boxes [i, i + 1]/2^level stand in order, without a gap, from lo to hi (`_covers`);
9.  lo < -tau, or lo = 0 if the quantity is even; left of -tau, where w = 1, there is one value, and
    the first box bounds it (`_begins`);
10. hi > tau and lam hi >= 1, from where the bounds on the tails hold (`_far`);
11. the bound on the tail beyond hi is at most `upper` (`_tail`);
12. the witness, the middle of a box, lies in [lo, hi] (`_inside`);
13. and attains `lower` (`_attains`);
14. on every box the quantity is at most `upper`, by the mean-value form, which encloses it on the
    whole box, not at its middle (`_mean_value`),
15. in every region of smoothness that the box touches (`_regions`);
16. what 40 halvings leave open is not believed (`_narrower`).

Of a box of schedules, with margins in taus, h = s tau:

17. a range of s begins at -1 or right of it; left of -1 lies one value, as above
    (`_right_of_knee`);
18. without a range, s ends where the bounds on the tails hold: s > 1, lam tau s >= 1 (`_far`),
19. and the bound on the tail of every schedule is at most `upper` (`_box_tail`);
20. the quantity is bounded under each of its signs, an absolute value under both (`_signed`);
21. by one tree for each interval of s between integers (`_trees_match`);
22. the witness lies in the range and in the box (`_box_inside`), and attains `lower` (`_attains`);
23. each box of a tree is halved, cut down to a face, or proved (`_step`),
24. and nothing follows the last (`_ended`);
25. a box is cut down to a face only where the quantity rises toward it (`_slack`);
26. on a box to be proved the quantity is at most `upper`, as it stands or by the mean-value form,
    in which every dimension costs its largest slope times half its width (`_largest`);
27. what 10,000 halvings leave open, of a tail 1,000, is not believed, nor a bound that the middle
    of a box exceeds (`_halved`).
"""

import functools
import json
import math
import re
import sys
from collections import deque
from fractions import Fraction
from itertools import chain, pairwise

from flint import arb, arb_series, ctx, fmpq

__all__ = ["at_most", "check", "main", "read", "said", "shown", "typed"]

FORMAT = "madpo-theory supremum 2"
BOX_FORMAT = "madpo-theory box supremum 1"
PARAMETERS = ("c_max", "c_min", "lam", "tau")
BITS = 128
MAX_BYTES, MAX_ITEMS, MAX_CHARACTERS, MAX_LEVEL = 2**26, 10**6, 1000, 1000
MAX_DEPTH = 40
MAX_BOXES, MAX_TAIL = 10_000, 1_000

_EITHER = {"format": str, "quantity": str, "weighting": str, "lower": float, "upper": float}
# A tuple is a list of its length, [x] a list of any, {str: x} an object of any keys.
_FORMS = {
    FORMAT: _EITHER
    | {"schedule": dict.fromkeys(PARAMETERS, str), "lo": int, "hi": int}
    | {"witness": (int, int), "boxes": [(int, int)]},
    BOX_FORMAT: _EITHER
    | {"box": dict.fromkeys(PARAMETERS, (str, str)), "within": (str, str)}
    | {"witness": (str,) * 5, "trees": {str: [str]}},
}


def check(certificate):
    """Raise ValueError, with the reason, unless the certificate proves what it says.

    `certificate` is what :func:`read` returns, or the like as plain Python data.
    """
    kind = certificate.get("format") if type(certificate) is dict else None
    if type(kind) is not str or kind not in _FORMS:
        raise ValueError(f"unknown format, expected {FORMAT!r} or {BOX_FORMAT!r}")
    form = _FORMS[kind]
    if kind == BOX_FORMAT and certificate.get("within", "") is None:
        form = form | {"within": type(None)}
    typed(certificate, form, "a certificate")
    _finite(certificate["lower"], certificate["upper"])
    _known(certificate["quantity"], certificate["weighting"])
    with ctx.workprec(BITS):
        (_check_schedule if kind == FORMAT else _check_box)(certificate)


# --- the file, and its form --------------------------------------------------------------------


def read(path):
    """The JSON value of a file; OSError, or ValueError with the rule that it breaks."""
    with open(path, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    at_most(MAX_BYTES, len(data), "bytes of a file")
    try:
        return json.loads(data.decode(), object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("nested too deep for a certificate") from None


def _object(pairs):
    _unique([key for key, _ in pairs])
    return dict(pairs)


def _unique(keys):
    if len(set(keys)) < len(keys):
        raise ValueError(f"a key is given twice among {shown(', '.join(keys))}")


def at_most(most, number, what):
    if number > most:
        raise ValueError(f"{shown(number)} {what}: at most {most} are read")


def typed(value, form, name):
    """Refuse a value that is not exactly of a form: a JSON type, or an entry of :data:`_FORMS`."""
    if isinstance(form, dict):
        if type(value) is not dict:
            raise ValueError(f"{name} is no object: {shown(value)}")
        if str not in form and value.keys() != form.keys():
            wrong = ", ".join(map(shown, value.keys() ^ form.keys()))
            raise ValueError(f"{name} has exactly the keys {', '.join(form)}; amiss: {wrong}")
        inner = [(x, form[str if str in form else key], str(key)[:20]) for key, x in value.items()]
    elif isinstance(form, (tuple, list)):
        if type(value) is not list or (isinstance(form, tuple) and len(value) != len(form)):
            length = f" of {len(form)}" if isinstance(form, tuple) else ""
            raise ValueError(f"{name} is no list{length}: {shown(value)}")
        inner = [(x, form[0], name) for x in value]
    else:
        if type(value) is not form or value != value:
            raise ValueError(f"{name} is no {form.__name__}: {shown(value)}")
        return
    for x, wanted, label in inner:
        typed(x, wanted, label)


def _finite(lower, upper):
    if not (math.isfinite(lower) and math.isfinite(upper)):
        raise ValueError(f"lower = {lower} and upper = {upper} must be finite")


def shown(value):
    """A value in a message: on one line, and short, whatever it is."""
    if isinstance(value, (Fraction, fmpq, arb)):
        return str(_arb(value).mid().str(8, radius=False))
    if type(value) is int and value.bit_length() > 100:
        return f"an integer of {value.bit_length()} bits"
    if value is None or type(value) in (bool, int, float):
        return repr(value)
    if type(value) is str:
        return repr(value[:60])
    return f"a {type(value).__name__}"


def _parameter(text):
    """A parameter of a schedule: a Fraction, or the ball of the logarithm of an integer."""
    logarithm = re.fullmatch(r"log\((.*)\)", text)
    return arb(_rational(_number(logarithm[1]))).log() if logarithm else _number(text)


def _number(text):
    at_most(MAX_CHARACTERS, len(text), "characters of a number")
    _exact(text)
    return Fraction(text)


def _exact(text):
    if not re.fullmatch(r"-?[0-9]+(/0*[1-9][0-9]*)?", text):
        raise ValueError(f'{shown(text)} is no exact number "p" or "p/q"')


def _known(name, weighting):
    if weighting not in _QUANTITIES:
        raise ValueError(f"unknown weighting {shown(weighting)}")
    if name not in _QUANTITIES["published"]:
        raise ValueError(
            f"unknown quantity {shown(name)}, expected one of {sorted(_QUANTITIES['published'])}"
        )
    if name not in _QUANTITIES[weighting]:
        raise ValueError(f"{name} of the {weighting} weight has no finite supremum")


def _valid(schedule):
    c_max, c_min, lam, tau = schedule.given
    if not (c_max > 1 and c_min >= 0 and c_min < 1 and lam > 0 and tau > 0):
        told = ", ".join(map(shown, schedule.given))
        raise ValueError(f"c_max, c_min, lam, tau = {told} is no schedule")


# --- one schedule ------------------------------------------------------------------------------


def _check_schedule(certificate):
    name, weighting = certificate["quantity"], certificate["weighting"]
    derivative, signed, two_sided, tail = _QUANTITIES[weighting][name]
    lower, upper = arb(certificate["lower"]), arb(certificate["upper"])
    schedule = _Schedule(*(_parameter(certificate["schedule"][p]) for p in PARAMETERS))
    _valid(schedule)
    lo, hi, count = certificate["lo"], certificate["hi"], len(certificate["boxes"])
    at_most(MAX_ITEMS, count, "boxes")
    boxes = [_interval(box) for box in certificate["boxes"]]
    _covers(boxes, lo, hi)
    _begins(schedule, two_sided, lo)
    _far(schedule.tau, schedule.lam, hi)
    _tail(tail(schedule, arb(hi)), hi, upper)
    witness = sum(_interval(certificate["witness"])) / 2
    _inside(witness, lo, hi)
    function = functools.partial(_function, name, weighting, schedule)
    values = [
        signed(_taylor(function, _arb(witness), derivative, region)[derivative])
        for region in schedule.regions_at(witness)
    ]
    _attains(values, lower)
    for box in boxes:
        _check_interval(function, schedule, box, derivative, signed, upper)


def _interval(box):
    level, index = box
    at_most(MAX_LEVEL, abs(level), "halvings or doublings of a box")
    width = Fraction(1, 2) ** level
    return index * width, (index + 1) * width


def _covers(boxes, lo, hi):
    if not boxes or boxes[0][0] != lo or boxes[-1][1] != hi:
        raise ValueError(f"the boxes do not start at {shown(lo)} and end at {shown(hi)}")
    for (_, right), (left, _) in pairwise(boxes):
        if right != left:
            raise ValueError(f"the boxes leave a gap or overlap at {shown(right)}")


def _begins(schedule, two_sided, lo):
    if not (-schedule.tau > lo if two_sided else lo == 0):
        raise ValueError(f"the cover starts at {shown(lo)}, which leaves margins out")


def _far(tau, lam, far):
    if not (far > tau and lam * far >= 1):
        raise ValueError(f"the tail from {shown(far)} starts before tau or before 1/lam")


def _tail(bound, hi, upper):
    if not bound <= upper:
        raise ValueError(f"the tail beyond {shown(hi)} may exceed {float(upper)}")


def _inside(witness, lo, hi):
    if not lo <= witness <= hi:
        raise ValueError(f"the witness at {shown(witness)} lies outside [{lo}, {shown(hi)}]")


def _attains(values, lower):
    if not any(value >= lower for value in values):
        raise ValueError(f"the witness does not attain {float(lower)}")


def _check_interval(function, schedule, box, derivative, signed, upper):
    stack = [(*box, 0)]
    while stack:
        left, right, depth = stack.pop()
        middle = (left + right) / 2
        ball, centre = _arb(left).union(_arb(right)), _arb(middle)
        if not all(
            signed(_mean_value(function, ball, centre, derivative, region)) <= upper
            for region in _regions(schedule, left, right)
        ):
            stack += _narrower(left, middle, right, depth, upper)


def _mean_value(function, ball, centre, derivative, region):
    """The quantity anywhere in a ball: its value at the centre, and slope times distance."""
    slope = _taylor(function, ball, derivative + 1, region)[derivative + 1]
    value = _taylor(function, centre, derivative, region)[derivative]
    return value + slope * (ball - centre)


def _regions(schedule, left, right):
    """Of 'rejected' (h <= -tau), 'minus', 'plus', 'beyond' (h >= tau), those touched."""
    left, right, tau = _arb(left), _arb(right), schedule.tau
    return [
        region
        for region, apart in (
            ("rejected", left > -tau),
            ("minus", right < -tau or left >= 0),
            ("plus", left > tau or right <= 0),
            ("beyond", right < tau),
        )
        if not apart
    ]


def _narrower(left, middle, right, depth, upper):
    """Both halves of a box that is not proved yet."""
    if depth == MAX_DEPTH:
        raise ValueError(
            f"cannot confirm the bound {float(upper)} on [{shown(left)}, {shown(right)}]"
        )
    return [(left, middle, depth + 1), (middle, right, depth + 1)]


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

    def __init__(self, *given):
        self.given = given
        self.c_max, self.c_min, self.lam, self.tau = map(_arb, given)
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

    def regions_at(self, point):
        """The closed regions in which a point certainly lies."""
        tau, point = self.tau, _arb(point)
        inside = {
            "rejected": point <= -tau,
            "minus": point >= -tau and point <= 0,
            "plus": point >= 0 and point <= tau,
            "beyond": point >= tau,
        }
        return [region for region, lies in inside.items() if lies]


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


# Bounds for every |h| >= far: proofs/Tails.v.


def _value_tail(schedule, far):
    return (-schedule.c_min * far).exp().log1p()


def _stretch(schedule, far):
    """A bound on u |c'(u)| for all u >= far, which falls with far once lam far >= 1."""
    stretch = schedule.lam * far * (schedule.c_max - schedule.c_min)
    decay = _monotone(arb.exp, -schedule.lam * (far - schedule.tau))
    return stretch * decay / schedule.kappa


def _slope_tail(schedule, far):
    level = schedule.c_of_ball(far) + _stretch(schedule, far)
    return level / (1 + (schedule.c_min * far).exp()) + 1 / (1 + far.exp())


def _ratio_slope_tail(schedule, far):
    return 1 - schedule.c_min + _stretch(schedule, far)


_SAME, _NEGATED = arb.__pos__, arb.__neg__
# (derivative, sign, whether negative margins count, bound on the tail) of each quantity.
_QUANTITIES = {
    "published": {
        "sensitivity": (1, abs, False, _slope_tail),
        "influence": (0, abs, False, _value_tail),
        "dampening": (0, _SAME, False, _value_tail),
        "log_weight_max": (0, _SAME, True, lambda s, far: arb(0)),
        "log_weight_min": (0, _NEGATED, True, _value_tail),
        "target_slope_min": (1, _NEGATED, False, lambda s, far: _slope_tail(s, far) - 1),
        "target_slope_max": (1, _SAME, False, lambda s, far: _slope_tail(s, far) + 1),
        "weight_slope": (1, abs, True, _slope_tail),
    },
    "bounded_ratio": {
        "sensitivity": (1, abs, False, _ratio_slope_tail),
        "log_weight_max": (0, _SAME, True, lambda s, far: arb(0)),
        "target_slope_min": (1, _NEGATED, False, lambda s, far: _stretch(s, far) - s.c_min),
        "target_slope_max": (1, _SAME, False, lambda s, far: s.c_of_ball(far)),
        "weight_slope": (
            1,
            abs,
            True,
            lambda s, far: ((s.c_of_ball(far) - 1) * far).exp() * _ratio_slope_tail(s, far),
        ),
    },
}


# --- boxes of schedules ------------------------------------------------------------------------


def _check_box(certificate):
    lower, upper = arb(certificate["lower"]), arb(certificate["upper"])
    sides = [tuple(map(_number, certificate["box"][p])) for p in PARAMETERS]
    for end in zip(*sides, strict=True):
        _valid(_Schedule(*end))
    problem = _BoxProblem(certificate["quantity"], certificate["weighting"])
    trees = certificate["trees"]
    at_most(MAX_ITEMS, sum(map(len, chain(*trees.values()))), "characters of trees")
    _signed(trees, problem.signs)
    ends = _ends(certificate["within"], problem, trees)
    if certificate["within"] is None:
        _far(1, sides[2][0] * sides[3][0], ends[-1])
        _box_tail(problem, sides, ends[-1], upper)
    intervals = list(pairwise(ends))
    witness = list(map(_number, certificate["witness"]))
    _box_inside(witness, [(ends[0], ends[-1]), *sides])
    point = [(x, x) for x in map(_rational, witness)]
    values = [
        sign * problem.evaluate(point, math.floor(low))[0]
        for low, high in intervals
        if low <= witness[0] <= high
        for sign in problem.signs.values()
    ]
    _attains(values, lower)
    for sign, strings in trees.items():
        for interval, tree in zip(intervals, strings, strict=False):  # rule 21 counted them
            root = tuple(tuple(map(_rational, side)) for side in (interval, *sides))
            _check_tree(problem, root, tree, problem.signs[sign], upper)


def _ends(within, problem, trees):
    """The ends of the intervals of s that the trees stand for."""
    if within is None:
        start, count = -1 if problem.two_sided else 0, len(next(iter(trees.values())))
        _trees_match(trees, count)
        return range(start, start + count + 1)
    low, high = map(_number, within)
    _right_of_knee(low)
    _trees_match(trees, max(math.ceil(high) - math.floor(low), 1))
    return [low, *range(math.floor(low) + 1, math.ceil(high)), high]


def _right_of_knee(low):
    if not low >= -1:
        raise ValueError(f"the range of margins starts at {shown(low)} tau, left of -tau")


def _signed(trees, signs):
    if sorted(trees) != sorted(signs):
        raise ValueError(f"trees for {shown(' '.join(trees))}, expected {' '.join(signs)}")


def _trees_match(trees, count):
    for sign, strings in trees.items():
        if len(strings) != count:
            raise ValueError(
                f"{len(strings)} trees for {sign} cannot cover {shown(count)} intervals"
            )


def _box_tail(problem, sides, far, upper):
    """The bounds on the tails for h >= far tau, over every schedule of the box."""
    stack, count = [tuple(tuple(map(_rational, side)) for side in ((far, far), *sides))], 0
    while stack:
        box = stack.pop()
        schedule = _Schedule(*(_hull(*side) for side in box[1:]))
        if not problem.tail(schedule, far * schedule.tau) <= upper:
            count += 1
            what = f"the bound {shown(upper)} on the tail"
            stack += _halved(box, _widest(box), count > MAX_TAIL, what)


def _box_inside(witness, sides):
    if not all(low <= x <= high for x, (low, high) in zip(witness, sides, strict=True)):
        told = ", ".join(map(shown, witness))
        raise ValueError(f"the witness (s, c_max, c_min, lam, tau) = ({told}) lies outside the box")


_FACES = "abcdeABCDE"  # the lower and the upper faces in s, c_max, c_min, lam, tau


def _check_tree(problem, root, tree, sign, upper):
    """Walk the preorder: digit = halved in that dimension, letter = cut to a face, dot = proved."""
    region, stack, characters = math.floor(root[0][0]), [(root, upper)], iter(tree)
    while stack:
        sides, bound = stack.pop()
        while (character := next(characters, None)) in tuple(_FACES):
            d = _FACES.index(character) % 5
            bound -= _slack(problem, sides, region, d, sign if character.isupper() else -sign)
            end = sides[d][character.isupper()]
            sides = (*sides[:d], (end, end), *sides[d + 1 :])
        _step(character)
        if character in tuple("01234"):
            stack += [(half, bound) for half in reversed(_halved(sides, int(character)))]
        elif character == ".":
            _prove(problem, sides, region, sign, bound)
    _ended(next(characters, None))


def _step(character):
    if character not in tuple("01234."):
        raise ValueError(f"the proof tree breaks off or has a foreign character {character!r}")


def _ended(character):
    if character is not None:
        raise ValueError("the proof tree goes on after its end")


def _halved(sides, d, hopeless=False, what=""):
    """Both halves of a box; refuses to go on where that would be in vain."""
    if hopeless:
        told = ", ".join(f"[{shown(low)}, {shown(high)}]" for low, high in sides)
        raise ValueError(f"cannot confirm {what} on (s, c_max, c_min, lam, tau) in {told}")
    low, high = sides[d]
    middle = (low + high) / 2
    return [(*sides[:d], side, *sides[d + 1 :]) for side in ((low, middle), (middle, high))]


def _slack(problem, sides, region, d, sign):
    """How much higher than on the face the quantity may be: 0, but for rounding.

    Proves sign * (slope in dimension d) >= -tiny on the box.
    """
    width, tiny = arb(sides[d][1] - sides[d][0]), arb(2) ** -60
    open_, count = deque([sides]), 0
    while open_:
        box = open_.popleft()  # the widest first: what is hopeless shows soon
        slope = sign * problem.evaluate(box, region)[1][d]
        if not slope >= -tiny:
            count += 1
            what = f"that the quantity is monotone in dimension {d}"
            open_ += _halved(box, _widest(box), count > MAX_BOXES or slope < -tiny, what)
    return width * tiny


def _prove(problem, sides, region, sign, bound):
    open_, count = deque([sides]), 0
    while open_:
        box = open_.popleft()
        value, gradient = problem.evaluate(box, region)
        if sign * value <= bound:
            continue
        largest, at_middle, costs = _largest(problem, box, region, sign, gradient)
        if largest <= bound:
            continue
        count += 1
        known = all(map(math.isfinite, costs)) and max(costs) > 0
        d = max(range(5), key=costs.__getitem__) if known else _widest(box)
        what = f"the bound {shown(bound)}"
        open_ += _halved(box, d, count > MAX_BOXES or at_middle > bound, what)


def _largest(problem, box, region, sign, gradient):
    """(bound by the mean-value form, value at the middle, cost of each dimension) over a box.

    In a dimension in which the quantity is monotone, the middle is the end at which it is largest.
    """
    middle, costs = [], []
    for (low, high), slope in zip(box, gradient, strict=True):
        slope = sign * slope
        if low == high or slope >= 0 or slope <= 0:
            at, cost = high if slope >= 0 else low, arb(0)
        else:
            at = (low + high) / 2
            cost = abs(slope) * arb(high - at)
        middle.append((at, at))
        costs.append(cost)
    at_middle = sign * problem.evaluate(middle, region)[0]
    return sum(costs, at_middle), at_middle, [float(cost.upper()) for cost in costs]


def _widest(box):
    """The dimension widest in proportion to its size; s in proportion to 1."""

    def width(d):
        low, high = box[d]
        return (high - low) / high if d and low != high else high - low  # 0 <= low beside s

    return max(range(5), key=width)


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
        self.derivative, signed, self.two_sided, self.tail = _QUANTITIES[weighting][name]
        self.signs = {"+": 1} if signed is _SAME else {"-": -1}
        if signed is abs:
            self.signs = {"+": 1, "-": -1}

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
    return fmpq(value.numerator, value.denominator)  # of an integer or a Fraction


def _arb(value):
    """A ball around a number; a ball as it is."""
    return arb(value if isinstance(value, (arb, fmpq)) else _rational(value))


# --- the command -------------------------------------------------------------------------------


def said(certificate):
    """What an accepted certificate proves, in a line: of which weight, schedules and margins."""
    margins, where = "every margin", ""
    if certificate["format"] == FORMAT:
        over = ", ".join(f"{p} {certificate['schedule'][p]}" for p in PARAMETERS)
        at = f"h = {sum(_interval(certificate['witness'])) / 2}"
    else:
        over = ", ".join(
            f"{p} {low}" if low == high else f"{p} in [{low}, {high}]"
            for p in PARAMETERS
            for low, high in [certificate["box"][p]]
        )
        if certificate["within"] is not None:
            margins = "every margin h in [{}, {}] tau".format(*certificate["within"])
        s, *schedule = certificate["witness"]
        at, where = f"h = {s} tau", f" of ({', '.join(schedule)})"
    return (
        f"sup {certificate['quantity']} of the {certificate['weighting']} weight, {over}: "
        f"at least {certificate['lower']!r}, attained at {at}{where}; "
        f"at most {certificate['upper']!r}, at {margins}"
    )


def main(paths):
    """Check each file, a line each; the exit status: 1 if one was refused, 2 if none was given."""
    if not paths:
        print("usage: python -m madpo_theory.certify.checker FILE...", file=sys.stderr)
        return 2
    refused = 0
    for path in paths:
        try:
            certificate = read(path)
            check(certificate)
            print(f"accepted {path}: {said(certificate)}")
        except (OSError, ValueError) as error:
            refused = 1
            print(f"REFUSED {path}: {error}")
    return refused


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
