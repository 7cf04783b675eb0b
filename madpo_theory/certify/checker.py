"""Independent check of a supremum certificate: ``python -m madpo_theory.certify.checker FILE``.

This file imports nothing of the library. It states the schedule and the weight in the words of
their definition (c as printed, w as a ratio of sigmoids), not in the stable forms that the
library computes with, and knows nothing of the search that chose the boxes: a certificate it
accepts holds even if both are wrong.
"""

import json
import re
import sys
from fractions import Fraction
from itertools import pairwise

from flint import arb, arb_series, ctx, fmpq

__all__ = ["check"]

FORMAT = "madpo-theory supremum 1"
BITS = 128
MAX_DEPTH = 40


def check(certificate):
    """Raise ValueError, with the reason, unless the certificate proves what it says."""
    try:
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
        derivative, signed, two_sided, tail = _quantity(certificate["quantity"])
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
        values = _derivatives(certificate["quantity"], schedule, _arb(middle), derivative)
        if not all(signed(v[derivative]) >= arb(lower) for v in values):
            raise ValueError(f"the witness at {float(middle)} does not attain {lower}")
        for box in boxes:
            _check_box(certificate["quantity"], schedule, box, derivative, signed, arb(upper))


def _check_cover(boxes, lo, hi):
    if not boxes or boxes[0][0] != lo or boxes[-1][1] != hi:
        raise ValueError(f"the boxes do not start at {lo} and end at {hi}")
    for (_, right), (left, _) in pairwise(boxes):
        if right != left:
            raise ValueError(f"the boxes leave a gap or overlap at {float(right)}")


def _check_box(name, schedule, box, derivative, signed, upper):
    stack = [(*box, 0)]
    while stack:
        left, right, depth = stack.pop()
        middle = (left + right) / 2
        ball, centre = _arb(left).union(_arb(right)), _arb(middle)
        if all(
            signed(_mean_value(name, schedule, ball, centre, derivative, region)) <= upper
            for region in schedule.regions(left, right)
        ):
            continue
        if depth == MAX_DEPTH:
            raise ValueError(f"cannot confirm the bound {upper} on [{float(left)}, {float(right)}]")
        stack += [(left, middle, depth + 1), (middle, right, depth + 1)]


def _mean_value(name, schedule, ball, centre, derivative, region):
    slope = _taylor(name, schedule, ball, derivative + 1, region)[derivative + 1]
    value = _taylor(name, schedule, centre, derivative, region)[derivative]
    return value + slope * (ball - centre)


def _derivatives(name, schedule, point, derivative):
    return [
        _taylor(name, schedule, point, derivative, region)
        for region in schedule.regions(point, point)
    ]


def _taylor(name, schedule, ball, order, region):
    ctx.cap = order + 1
    try:
        series = arb_series([0], prec=order + 1) + _function(name, schedule, region)(
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


def _function(name, schedule, region):
    """The smooth function that the quantity is on a region."""

    def log_w(h):
        return 0 * h if region == "rejected" else schedule.log_w(h, -1 if region == "minus" else 1)

    def delta(h):
        """log w(h) - log w(-h) for h >= 0; beyond tau the second weight is 1."""
        return log_w(h) if region == "beyond" else log_w(h) - schedule.log_w(-h, -1)

    return {
        "sensitivity": delta,
        "influence": delta,
        "dampening": lambda h: -delta(h) if region == "beyond" else 0 * h,
        "log_weight_max": log_w,
        "log_weight_min": log_w,
        "target_slope_min": lambda h: h + delta(h),
    }[name]


def _value_tail(schedule, far):
    return (-schedule.c_min * far).exp().log1p()


def _slope_tail(schedule, far):
    stretch = schedule.lam * far * (schedule.c_max - schedule.c_min)
    stretch *= (-schedule.lam * (far - schedule.tau)).exp() / schedule.kappa
    level = schedule.c(far) + stretch
    return level / (1 + (schedule.c_min * far).exp()) + 1 / (1 + far.exp())


def _quantity(name):
    """(derivative, sign, two-sided, bound on the tail) of a quantity."""
    negated, plain = arb.__neg__, arb.__pos__
    table = {
        "sensitivity": (1, abs, False, _slope_tail),
        "influence": (0, abs, False, _value_tail),
        "dampening": (0, plain, False, _value_tail),
        "log_weight_max": (0, plain, True, lambda schedule, far: arb(0)),
        "log_weight_min": (0, negated, True, _value_tail),
        "target_slope_min": (1, negated, False, lambda s, far: _slope_tail(s, far) - 1),
    }
    if name not in table:
        raise ValueError(f"unknown quantity {name!r}, expected one of {sorted(table)}")
    return table[name]


def _interval(box):
    level, index = map(int, box)
    return Fraction(index, 2**level), Fraction(index + 1, 2**level)


def _arb(value):
    if isinstance(value, Fraction):
        return arb(fmpq(value.numerator, value.denominator))
    return arb(value)


def _number(text):
    logarithm = re.fullmatch(r"log\((\d+)\)", text)
    return arb(int(logarithm[1])).log() if logarithm else _arb(Fraction(text))


def main(paths):
    """Check each file; prints a line per certificate and returns the number refused."""
    refused = 0
    for path in paths:
        try:
            with open(path) as file:
                certificate = json.load(file)
            check(certificate)
            print(
                f"accepted {path}: sup {certificate['quantity']} in "
                f"[{certificate['lower']!r}, {certificate['upper']!r}]"
            )
        except (OSError, ValueError) as error:
            refused += 1
            print(f"REFUSED {path}: {error}")
    return refused


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
