"""Certificates: enclosures hold, suprema are right, and the checker refuses every falsehood."""

import ast
import itertools
import json
import math
import runpy
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from flint import arb, arb_series, ctx
from hypothesis import example, given
from hypothesis import strategies as st

from madpo_theory import MarginSchedule, log_weight, log_weight_ratio, weight
from madpo_theory.certify import (
    QUANTITIES,
    certify,
    check,
    checker,
    optimize,
    supremum,
    write_certificate,
)
from madpo_theory.certify.enclosure import Box, above, at_middle, below, enclose, precision
from madpo_theory.weights import WEIGHTS

RELEASED = MarginSchedule.released(exact=True)
CLASS = MarginSchedule.class_defaults(exact=True)
STEEP = MarginSchedule(Fraction(7, 2), Fraction(1, 10), Fraction(3), Fraction(5, 2))


@pytest.mark.parametrize("schedule", [RELEASED, CLASS, STEEP], ids=["released", "class", "steep"])
@pytest.mark.parametrize("name", QUANTITIES)
def test_certificate_is_accepted_and_brackets_a_dense_grid(name, schedule):
    certificate = certify(name, schedule)
    check(certificate)
    assert certificate["upper"] - certificate["lower"] <= 2e-6
    quantity, floats = QUANTITIES[name], MarginSchedule(*map(float, vars(schedule).values()))
    # In taus, so that the kinks at -tau and tau lie on the grid.
    grid = floats.tau * np.linspace(-3.0 if quantity.two_sided else 0.0, 3.0, 240_001)
    values = {
        "dampening": lambda h: np.maximum(-log_weight_ratio(h, floats), 0),
        "log_weight_max": lambda h: log_weight(h, floats),
        "log_weight_min": lambda h: -log_weight(h, floats),
        "influence": lambda h: abs(log_weight_ratio(h, floats)),
        "sensitivity": lambda h: abs(np.diff(log_weight_ratio(h, floats)) / np.diff(h)),
        "target_slope_min": lambda h: -1 - np.diff(log_weight_ratio(h, floats)) / np.diff(h),
        "target_slope_max": lambda h: 1 + np.diff(log_weight_ratio(h, floats)) / np.diff(h),
        "weight_slope": lambda h: abs(np.diff(weight(h, floats)) / np.diff(h)),
    }[name](grid)
    # A difference of two rounded values over a step: f and log(1 + ...) of size below 8 each.
    rounding = 4 * np.spacing(8.0) / (grid[1] - grid[0])
    # What lies between two points, by the change to the next; across a kink there is a jump.
    steps = np.abs(np.diff(values))
    steps[np.isin(np.round(grid[1 : len(steps) + 1] / floats.tau, 9), (-1, 0, 1))] = 0
    assert values.max() <= certificate["upper"] + rounding
    assert values.max() >= certificate["lower"] - steps.max() - rounding


def test_known_constants_of_the_released_schedule():
    found = supremum(QUANTITIES["sensitivity"], RELEASED)
    assert 2.306765 <= found.lower <= found.upper <= 2.306767
    found = supremum(QUANTITIES["influence"], RELEASED)
    assert 3.4746 <= found.lower <= found.upper <= 3.4747


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c | {"upper": c["upper"] - 5e-6}, "exceed|confirm"),
        (lambda c: c | {"lower": c["lower"] + 5e-6}, "attain"),
        (lambda c: c | {"lower": c["lower"] + 5e-6, "upper": c["upper"] + 5e-6}, "attain"),
        (lambda c: c | {"boxes": c["boxes"][:-1]}, "start at .* end at"),
        (lambda c: c | {"boxes": c["boxes"][1:]}, "start at"),
        (lambda c: c | {"boxes": c["boxes"][:9] + c["boxes"][10:]}, "gap or overlap"),
        (lambda c: c | {"boxes": []}, "start at"),
        (lambda c: c | {"witness": [0, 0]}, "attain"),
        (lambda c: c | {"quantity": "fame"}, "unknown quantity"),
        (lambda c: c | {"format": "other"}, "unknown format"),
        (lambda c: c | {"upper": float("nan")}, "no float"),
        (lambda c: c | {"upper": float("inf")}, "must be finite"),
        (lambda c: c | {"schedule": c["schedule"] | {"c_max": "4"}}, "attain|confirm"),
        (lambda c: c | {"schedule": c["schedule"] | {"tau": "0"}}, "no schedule"),
        (lambda c: c | {"schedule": c["schedule"] | {"tau": "log(x)"}}, "no exact number"),
        (lambda c: c | {"weighting": "unbounded"}, "unknown weighting"),
        (lambda c: c | {"weighting": "bounded_ratio", "quantity": "influence"}, "no finite"),
        (lambda c: {k: v for k, v in c.items() if k != "boxes"}, "amiss: 'boxes'"),
        (lambda c: [], "unknown format"),
    ],
)
def test_checker_refuses_what_is_not_proved(change, reason):
    certificate = json.loads(json.dumps(certify("sensitivity", RELEASED)))
    with pytest.raises(ValueError, match=reason):
        check(change(certificate))


def test_checker_refuses_a_witness_outside_the_cover():
    """Of a one-sided quantity: left of -tau the weight's branch is another, and so are its values.

    0.449458 is attained at h = -35/32, while sup |delta| is 0.364178 and D that of h >= 0.
    """
    certificate = certify("influence", CLASS)
    forged = {"lower": 0.4494581743668806, "upper": 0.4494591753668806}
    assert certificate["upper"] < forged["lower"]
    with pytest.raises(ValueError, match=r"witness at -1.0937500 lies outside \[0, "):
        check(certificate | forged | {"witness": [4, -18]})
    with pytest.raises(ValueError, match="lies outside"):
        check(certificate | {"witness": [0, certificate["hi"]]})


def test_checker_refuses_a_cover_that_ends_before_tau():
    certificate = certify("influence", RELEASED)
    short = [b for b in certificate["boxes"] if Fraction(b[1] + 1, 2 ** b[0]) <= 5]
    with pytest.raises(ValueError, match="before tau"):
        check(certificate | {"boxes": short, "hi": 5})


def test_checker_runs_from_its_file_alone(tmp_path):
    path = write_certificate(certify("influence", CLASS), tmp_path)
    script = tmp_path / "checker.py"
    script.write_bytes(Path(checker.__file__).read_bytes())
    run = [sys.executable, "-I", str(script), str(path)]
    accepted = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path)
    assert accepted.returncode == 0 and accepted.stdout.startswith("accepted")
    path.write_text(path.read_text()[:-40])
    refused = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path)
    assert refused.returncode == 1 and refused.stdout.startswith("REFUSED")
    imported = [
        name.name.split(".")[0] if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(script.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    ]
    assert "flint" in imported and set(imported) <= {"flint", *sys.stdlib_module_names}


@given(level=st.integers(1, 8), index=st.integers(-4000, 4000), at=st.floats(0, 1))
@example(level=1, index=3999, at=0.5)
@example(level=1, index=3, at=1.0)  # ends at the kink, which is at 2
@example(level=6, index=0, at=1e-9)
def test_enclosures_hold_at_every_point_of_a_box(level, index, at):
    box = Box(level, index)
    point = (index + at) / 2**level

    def f(h):
        return log_weight_ratio(h, CLASS)

    with precision():
        enclosures = [enclose(f, box, derivative) for derivative in (0, 1)]
    with precision(2000):  # a point's own ball is far narrower than what the enclosure rounds off
        assert enclosures[0].contains(f(arb(point)))
        if index < point * 2**level < index + 1:  # at an edge there may be a kink
            assert enclosures[1].contains(slope_at(f, point))
    assert ctx.prec == 53 and ctx.cap == 10


def slope_at(f, point):
    """f' at a point, in the precision of the context."""
    cap, ctx.cap = ctx.cap, 2
    try:
        return f(arb_series([arb(point), 1], prec=2))[1]
    finally:
        ctx.cap = cap


def test_a_float_above_a_ball_and_one_below_are_the_nearest():
    third = arb(1) / 3
    assert above(third) == math.nextafter(1 / 3, 1) and below(third) in (
        1 / 3,
        math.nextafter(1 / 3, 0),
    )
    assert above(arb(2)) == below(arb(2)) == 2.0
    assert above(arb("nan")) == math.inf and below(arb("nan")) == -math.inf
    wide = arb(0).union(arb(1))
    assert 1 <= above(wide) < 1 + 1e-8 and -1e-8 < below(wide) <= 0


def test_a_box_is_an_index_and_a_level_on_its_side_of_zero():
    box, mirrored = Box(2, 3), Box(2, -4)
    assert box.middle == 0.875 and mirrored.middle == -0.875
    assert [below(box.ball), above(box.ball)] == pytest.approx([0.75, 1], abs=1e-8)
    first, last = Box(0, 0).ball, Box(0, -1).ball
    assert below(first) >= 0 and above(first) >= 1 and above(last) <= 0 and below(last) <= -1
    with pytest.raises(AttributeError):
        box.level = 3


def test_an_enclosure_is_the_better_of_two():
    """Of h^2 over [1, 2]: from 1 to 4 as it stands, from 1/4 by the mean-value form."""
    with precision():
        plain = enclose(lambda h: h * h, Box(0, 1), 0)
        slope = enclose(lambda h: h * h, Box(0, 1), 1)
        cubic = enclose(lambda h: h * h * h - h, Box(4, 16), 0)
        middle = [at_middle(lambda h: h * h * h, Box(0, 1), d) for d in (0, 1)]
        none = enclose(lambda h: 1 / (h - 1.25), Box(0, 1), 0)
    assert 0.2 < below(plain) <= 1 and 4 <= above(plain) < 4.3
    assert [below(slope), above(slope)] == pytest.approx([2, 4], abs=1e-6)
    # slopes up to 2.39: half of the width away from the middle's value
    assert above(cubic) - below(cubic) < 2.4 / 16 + 1e-6
    assert middle == [3.375, 6.75] and above(none) == math.inf


def test_what_a_search_cannot_begin_with_is_refused():
    for reach in (0, -1, math.nan):
        with pytest.raises(ValueError, match="reach > 0"):
            supremum(QUANTITIES["influence"], CLASS, reach=reach)
    found = supremum(QUANTITIES["influence"], CLASS, tolerance=1e-3)
    assert found.domain == (-math.inf, math.inf) and found.tail and found.lo == 0
    assert 0.3641 < found.lower <= found.upper <= found.lower + 1.001e-3 < 0.3655
    # outward only until the tail's bound decides nothing
    dampening = QUANTITIES["dampening"]
    one = supremum(dampening, CLASS, tolerance=1e-3)
    tails = [above(dampening.tail(CLASS, arb(hi))) for hi in (one.hi - 1, one.hi)]
    assert tails[1] <= one.lower + 5e-4 < tails[0] and one.hi == 6
    ends = [(b.index / 2**b.level, (b.index + 1) / 2**b.level) for b in found.boxes]
    assert ends[0][0] == 0 and ends[-1][1] == found.hi
    assert all(left[1] == right[0] for left, right in itertools.pairwise(ends))
    with pytest.raises(AttributeError):
        found.lower = 0.0
    with pytest.raises(AttributeError):
        QUANTITIES["influence"].derivative = 1


@pytest.fixture(scope="module")
def steepest():
    return supremum(QUANTITIES["sensitivity"], CLASS).upper


@given(level=st.integers(1, 8), index=st.integers(-4000, 4000))
def test_enclosures_are_about_as_wide_as_the_function_moves(steepest, level, index):
    """No infinite ball passes for a bound, and no wide one for a tight bound."""
    with precision():
        found = enclose(lambda h: log_weight_ratio(h, CLASS), Box(level, index), 0)
    assert found.is_finite() and 2 * found.rad() <= 3 * steepest * 2.0**-level


def test_halves_tile_their_box():
    left, right = Box(3, -5).halves()
    assert Fraction(left.index, 16) == Fraction(-5, 8)
    assert left.index + 1 == right.index
    assert Fraction(right.index + 1, 16) == Fraction(-4, 8)


def test_giving_up_is_an_error_not_a_bound():
    with pytest.raises(RuntimeError, match="do not reach tolerance"):
        supremum(QUANTITIES["sensitivity"], RELEASED, tolerance=1e-12, limit=50)


def test_unknown_quantity_is_refused():
    with pytest.raises(ValueError, match="must be one of"):
        certify("fame", RELEASED)


FALLING = MarginSchedule(c_max=2, c_min=0, lam=1000, tau=1)


@pytest.mark.parametrize("beyond", [0.003, 0.004])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("published", "sensitivity"),
        ("published", "target_slope_min"),
        ("bounded_ratio", "sensitivity"),
        ("bounded_ratio", "target_slope_min"),
    ],
)
def test_a_bound_on_a_slopes_tail_holds_and_is_nearly_attained(kind, name, beyond):
    """Where c falls a thousand times as fast as it is large: half the bound would be false."""
    far, step = 1 + beyond, 1e-7
    ratio = [log_weight_ratio(far + d, WEIGHTS[kind].of(FALLING)) for d in (-step, step)]
    slope = (ratio[1] - ratio[0]) / (2 * step)
    value = abs(slope) if name == "sensitivity" else -(1 + slope)
    tail = checker._QUANTITIES[kind][name][3]
    bound = float(tail(checker._Schedule(2, 0, 1000, 1), arb(far)))
    # The bound takes e^-x for e^-x/(1 + e^-x)^2, x = 3 or 4, and 1/2 for sigma(-c h), c = 2 e^-x.
    assert 0.7 * bound < value < bound


# --- the search, of quantities made up for it ----------------------------------------------------


def made_up(formula, tail=lambda weighting, far: None, two_sided=False):
    return SimpleNamespace(
        name="q", formula=formula, tail=tail, signed=lambda ball: ball, derivative=0,
        two_sided=two_sided,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("known", "limit", "start"),
    [(0, 1, 1), (3, 8, 8), (3, 9, 8), (63, 2**63, 2**63), (64, 1, None)],
)
def test_a_bound_on_the_tail_is_asked_for_at_powers_of_2(known, limit, start):
    asked = []

    def tail(weighting, far):
        asked.append(far)
        return arb(0) if far >= 2**known else None

    assert optimize._start(made_up(None, tail), "w", limit) == start
    assert asked == [2**k for k in range(min(known + 1, 64))]
    if start is not None:
        message = rf"q: a bound on the tail is known beyond {start} nats only, .* {start - 1} boxes"
        with pytest.raises(RuntimeError, match=message):
            optimize._start(made_up(None, tail), "w", start - 1)


@pytest.mark.parametrize(("tolerance", "hi"), [(0.2, 2), (0.08, 5), (0.04, 9), (0.01, 128)])
@pytest.mark.parametrize("two_sided", [False, True])
def test_the_search_goes_outward_until_the_tail_decides_nothing(tolerance, hi, two_sided):
    """Of what is 1 everywhere: beyond 2, 5 and 9 nats 1.06, 1.03 and 1.01 are known."""

    def tail(weighting, far):
        known = (("1.06", 5), ("1.03", 9), ("1.01", 999))
        return next(arb(bound) for bound, end in known if far < end) if far >= 2 else None

    found = supremum(
        made_up(lambda xp, h, weighting: 1 + 0 * h, tail, two_sided), None, tolerance=tolerance
    )
    assert found.hi == hi and found.lo == (-hi if two_sided else 0) and found.lower == 1
    assert found.upper == pytest.approx({2: 1.06, 5: 1.03, 9: 1.01, 128: 1.01}[hi], abs=1e-15)
    assert found.tail and found.domain == (-math.inf, math.inf)
    assert [(box.level, box.index) for box in found.boxes] == [(0, k) for k in range(found.lo, hi)]


@pytest.mark.parametrize(("reach", "hi"), [(0.5, 1), (1, 1), (2.5, 3), (60.0, 60)])
def test_without_a_bound_on_the_tail_the_search_ends_at_its_reach(reach, hi):
    found = supremum(made_up(lambda xp, h, weighting: h), None, tolerance=0.3, reach=reach)
    assert found.hi == hi and found.domain == (-hi, hi) and not found.tail
    # a ball around a box is wider than the box by its radius's rounding, to 30 bits
    assert hi <= found.upper <= hi * (1 + 2.0**-28) and hi - 0.3 < found.lower < hi


def test_a_box_is_cut_where_the_quantity_may_be_largest():
    """Of h over [0, 1]: 1/2, 3/4 and 7/8 are attained, with 1, 2 and 3 boxes."""
    identity = made_up(lambda xp, h, weighting: h)
    for limit, tolerance, lower in ((0, 0.51, 0.5), (1, 0.26, 0.75), (2, 0.13, 0.875)):
        found = supremum(identity, None, tolerance=tolerance, reach=1, limit=limit)
        assert found.lower == lower and len(found.boxes) == limit + 1
        assert found.witness == found.boxes[-1] and found.witness.middle == lower
        if limit:
            message = (
                rf"q: {limit - 1} boxes do not reach tolerance {tolerance} \(lower {{}}, upper 1\."
            )
            with pytest.raises(RuntimeError, match=message.format(1 - 2.0**-limit)):
                supremum(identity, None, tolerance=tolerance, reach=1, limit=limit - 1)


@pytest.mark.parametrize("module", ["madpo_theory.certify.checker", "madpo_theory.audit.checker"])
@pytest.mark.parametrize(("names", "status"), [([], 2), (["absent"], 1), (["a", "b"], 1)])
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_the_command_reads_the_files_that_are_named(module, names, status, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["checker.py", *names])
    with pytest.raises(SystemExit) as end:
        runpy.run_module(module, run_name="__main__")
    said = capsys.readouterr().out.splitlines()
    assert end.value.code == status and len(said) == len(names)
    assert all(line.startswith(f"REFUSED {n}: ") for line, n in zip(said, names, strict=True))
