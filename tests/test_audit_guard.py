"""Broken losses, and random ones: the sheet is refused, or no verdict in it is wrong."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import expit

from madpo_theory import audit
from madpo_theory.methods import Method, Slots
from madpo_theory.weights import Weighting

COUNT = itertools.count()
DRAWS = np.random.default_rng(0)
SEEN = []

# ------------------------------------------------------------------ a zoo of broken formulas


def wrong_shape(xp, z, h):
    return xp.softplus(-z)[:3]


def mean_over_the_batch(xp, z, h):
    return xp.softplus(-z).mean()


def one_for_all(xp, z, h):
    return 0.5


def complex_values(xp, z, h):
    return xp.softplus(-z) + 1j * z


def nan_far_out(xp, z, h):
    return xp.log(xp.exp(-z) * 0 + 30 - z)


def overflows(xp, z, h):
    return xp.log(1 + xp.exp(-20 * z))


def random_noise(xp, z, h):
    return xp.softplus(-z) + 1e-6 * DRAWS.normal()


def stateful(xp, z, h):
    return xp.softplus(-z) + 1e-6 * next(COUNT)


def grows_a_list(xp, z, h):
    SEEN.append(0)
    return xp.softplus(-z) * (1 + 1e-3 * len(SEEN))


def numpy_function(xp, z, h):
    return np.log1p(np.exp(-z))


def torch_function(xp, z, h):
    return torch.nn.functional.softplus(-z)


def python_if(xp, z, h):
    return xp.softplus(-z) if z > 0 else -z


def python_float(xp, z, h):
    return math.log1p(math.exp(-float(z)))


def jumps(xp, z, h):
    return xp.where_greater(z, 1.0, xp.softplus(-z), xp.softplus(-z) + 0.25)


def jumps_with_the_margin(xp, z, h):
    return xp.where_greater(z, h, 0 * z, 1 + z - h)


def depends_on_the_world(xp, z, h):
    return xp.softplus(-z) * (2 if xp.__name__.endswith("arb_world") else 1)


def another_graph(xp, z, h):
    return xp.softplus(-z) * (2 if xp.__name__.endswith("graph") else 1)


def unknown_primitive(xp, z, h):
    return xp.gelu(-z)


def returns_nothing(xp, z, h):
    xp.softplus(-z)


def returns_text(xp, z, h):
    return "softplus"


def returns_a_pair(xp, z, h):
    return xp.softplus(-z), xp.softplus(z)


def single_precision(xp, z, h):
    loss = xp.softplus(-z)
    return loss.astype("float32") if hasattr(loss, "astype") else loss


def cancels(xp, z, h):
    return (1e12 + xp.softplus(-z)) - 1e12


def sets_an_array(xp, z, h):
    z[z < 0] = 0
    return z + 0 * h


def no_arguments(xp):
    return 0


def divides_by_zero(xp, z, h):
    return xp.softplus(-z) / (z - 4)


ZOO = (
    (wrong_shape, "subscriptable|shape"), (mean_over_the_batch, "float a pair|shape"),
    (one_for_all, "arrays"), (complex_values, "float a pair"), (nan_far_out, "finite"),
    (overflows, "finite"), (random_noise, "same at"), (stateful, "same at"),
    (grows_a_list, "same at"), (numpy_function, "primitives"), (torch_function, "primitives"),
    (python_if, "where_greater|primitives"), (python_float, "primitives"), (jumps, "jump"),
    (jumps_with_the_margin, "jump"), (depends_on_the_world, "world"),
    (another_graph, "primitives|world"), (unknown_primitive, "primitives"),
    (returns_nothing, "float a pair"), (returns_text, "float a pair"),
    (returns_a_pair, "float a pair"), (single_precision, "NumPy"), (cancels, "cancellation"),
    (sets_an_array, "primitives"),
    (no_arguments, "argument"), (divides_by_zero, "finite"),
)  # fmt: skip


@pytest.mark.parametrize(("loss", "fix"), ZOO, ids=lambda x: getattr(x, "__name__", ""))
def test_a_broken_formula_is_refused_with_its_name_and_the_fix(loss, fix):
    with pytest.raises((ValueError, TypeError, AttributeError, ArithmeticError), match=fix) as said:
        audit(loss, quick=True)
    assert loss.__name__ in str(said.value)
    assert "\n" not in str(said.value)


POINTED = (nan_far_out, overflows, jumps, jumps_with_the_margin, depends_on_the_world,
           another_graph, cancels, divides_by_zero)  # fmt: skip


@pytest.mark.parametrize("loss", POINTED, ids=lambda f: f.__name__)
def test_where_a_formula_breaks_is_said(loss):
    with pytest.raises(ValueError, match=r"[zh] = -?[0-9.e-]+"):
        audit(loss, quick=True)


# ------------------------------------------------------------------------ broken slots


@dataclass(frozen=True)
class LabelOfTwo(Method):
    def slots(self, xp, h):
        return Slots(label=(xp.sigmoid(h), xp.sigmoid(h)))


@dataclass(frozen=True)
class NegativeTemperature(Method):
    def slots(self, xp, h):
        return Slots(temperature=0 * h - 1)


@dataclass(frozen=True)
class TwoTemperatures(Method):
    def slots(self, xp, h):
        return Slots(temperature=1 + xp.sigmoid(h))


@dataclass(frozen=True)
class NanWeight(Method):
    def slots(self, xp, h):
        return Slots(log_weight=xp.log(h))


@dataclass(frozen=True)
class InfiniteOffset(Method):
    def slots(self, xp, h):
        return Slots(offset=xp.exp(20 * h))


@dataclass(frozen=True)
class NanWeighting(Weighting):
    def log_weight(self, xp, h):
        return xp.log(h + 3)


BROKEN = (
    (LabelOfTwo, "add up"),
    (NegativeTemperature, "must be > 0"),
    (TwoTemperatures, "same for both"),
    (NanWeight, "finite"),
    (InfiniteOffset, "finite"),
)


@pytest.mark.parametrize(("broken", "fix"), BROKEN, ids=lambda x: getattr(x, "__name__", ""))
def test_broken_slots_are_refused_with_name_point_and_fix(broken, fix):
    with pytest.raises(ValueError, match=fix) as said:
        audit(broken(), quick=True)
    assert broken.__name__ in str(said.value) and " = " in str(said.value)


def test_a_broken_weight_is_refused():
    with pytest.raises(ValueError, match="finite"):
        audit(NanWeighting(), quick=True)


def test_settings_of_a_function_are_refused():
    with pytest.raises(ValueError, match="plain function"):
        audit(overflows, ("gamma=1",))


def test_what_is_no_loss_is_refused():
    for thing in (3, None, "no_such_method", object()):
        with pytest.raises((ValueError, TypeError)):
            audit(thing)


# ------------------------------------------------- formulas that break where nobody looks


def pole(xp, z, h):
    return xp.softplus(-z) + 1e-3 / (z - 2.7) ** 2


def endless_pit(xp, z, h):
    return xp.softplus(-z) + 1e-3 * xp.log((z - 2.7) ** 2)


def pole_of_the_margin(xp, z, h):
    return xp.softplus(-z) * (1 + 1e-3 / (h - 2.7) ** 2)


def narrow_dent(xp, z, h):
    return xp.softplus(-z) - 0.05 * xp.exp(-((200 * (z - 2.7)) ** 2))


def late_bend(xp, z, h):
    return xp.softplus(-z) - 1e-3 * xp.softplus(20 * (z - 57.3)) / 20 + 1e-3 * z


def late_margin(xp, z, h):
    return xp.softplus(-(z - xp.softplus(h - 80)))


@pytest.mark.parametrize("loss", [pole, endless_pit])
def test_a_pole_between_the_points_is_refused(loss):
    with pytest.raises(ValueError, match=rf"{loss.__name__} is not bounded near z = "):
        audit(loss, seconds=3)


def test_a_pole_of_the_reward_models_margin_gets_no_yes_that_it_breaks():
    sheet = audit(pole_of_the_margin, seconds=3)
    assert {sheet[row].verdict for row in ("slope", "curvature")} <= {"no", "undecided"}


def test_what_no_grid_sees_is_seen():
    assert audit(narrow_dent, seconds=2)["convex"].verdict == "no"
    assert audit(late_bend, seconds=2)["convex"].verdict == "no"


@pytest.mark.slow
def test_a_model_that_errs_beyond_the_boxes_gets_no_bound():
    sheet = audit(late_margin, seconds=5)
    assert sheet["influence"].verdict != "yes" or "60" in sheet["influence"].domain


# ------------------------------------------------------------ random losses, against numbers


@dataclass(frozen=True)
class Sum:
    """sum a softplus(s z + b) + c z^2 + d tanh z, with derivatives and limits by hand."""

    terms: tuple
    c: float
    d: float

    def __call__(self, xp, z, h):
        found = self.c * z * z + self.d * xp.tanh(z)
        for a, s, b in self.terms:
            found = found + a * xp.softplus(s * z + b)
        return found

    def slope(self, z):
        found = 2 * self.c * z + self.d * (1 - np.tanh(z) ** 2)
        return found + sum(a * s * expit(s * z + b) for a, s, b in self.terms)

    def bend(self, z):
        found = 2 * self.c - 2 * self.d * np.tanh(z) * (1 - np.tanh(z) ** 2)
        y = [(a * s * s, s * z + b) for a, s, b in self.terms]
        return found + sum(k * expit(x) * expit(-x) for k, x in y)

    @property
    def has_floor(self):
        """Whether p f(z) + (1 - p) f(-z) is bounded below for every p: by the slopes far out."""
        right, left = (sum(a * s for a, s, _ in self.terms if (s > 0) == side) for side in (1, 0))
        return self.c > 0 or (self.c == 0 and right >= 0 >= left)

    def target(self, h):
        """The stationary point of a pair's risk, if it is the one; infinite beyond 1e4 nats."""
        p = expit(h)

        def slope(z):
            return p * self.slope(z) - (1 - p) * self.slope(-z)

        if slope(1e4) <= 0 or slope(-1e4) >= 0:
            return math.inf if slope(1e4) <= 0 else -math.inf
        return brentq(slope, -1e4, 1e4, xtol=1e-12)


SHARE = st.integers(-8, 8).map(lambda k: k / 8)
TERM = st.tuples(SHARE.filter(bool), st.sampled_from((-2.0, -1.0, 0.5, 1.0)), SHARE)
SUMS = st.builds(
    Sum,
    st.lists(TERM, min_size=1, max_size=3).map(tuple),
    st.sampled_from((0.0, 0.0, 0.125, -0.25)),
    st.sampled_from((0.0, 0.0, 0.25, -0.5)),
)
Z = np.unique(np.concatenate([np.linspace(-60, 60, 120_001), [-1e6, -1e3, 1e3, 1e6]]))


def assert_no_verdict_is_wrong(loss, sheet):
    verdict = {row.id: row.verdict for row in sheet.rows}
    slopes, bends = loss.slope(Z), loss.bend(Z)
    rounding = 1e-9 * (1 + np.abs(bends).max())
    least, most = bends.min(), bends.max()
    assert verdict["convex"] != ("no" if least >= 0 else "yes" if least < -rounding else None)
    assert sheet["convex"].lower <= least + rounding
    assert verdict["slope"] != ("yes" if loss.c else "no")
    if sheet["slope"].verdict == "yes":
        assert np.abs(slopes).max() <= sheet["slope"].upper + rounding
    assert verdict["curvature"] != "no" and most <= sheet["curvature"].upper + rounding
    assert verdict["bounded_below"] != ("no" if loss.has_floor else "yes")
    first = -2 * loss.slope(0.0)
    assert verdict["first_step"] != ("no" if first >= 1 else "yes" if first < 1 - 1e-9 else None)
    if verdict["target_unique"] == "yes":
        for h in (-6.0, -1.0, 0.0, 0.5, 3.0, 9.0):
            p = expit(h)
            risk = p * slopes - (1 - p) * loss.slope(-Z)
            told = np.sign(risk)[np.abs(risk) > 1e-14]
            assert not ((told[:-1] > 0) & (told[1:] < 0)).any(), h
        margins = np.array([0.125, 0.5, 1.0, 2.0, 4.0, 8.0])
        targets = np.array([loss.target(h) for h in margins])
        assert np.isfinite(targets).all()
        for row, holds in {
            "calibrated": np.abs(targets - margins).max() < 1e-6,
            "order": (np.diff(targets) > -1e-8).all(),
            "saturates": verdict["saturates"] != "yes"
            or (targets <= sheet["saturates"].upper + 1e-8).all(),
        }.items():
            assert verdict[row] != "yes" or holds, row
        for row, holds in {
            "amplifies": (np.abs(targets) <= margins + 1e-8).all(),
            "dampens": (np.abs(targets) >= margins - 1e-8).all(),
        }.items():
            assert verdict[row] != "no" or holds, row
    for row in sheet.rows:
        assert row.value is None or row.lower <= row.value <= row.upper, row
        assert row.verdict != "undecided" or row.counterexample is None


@settings(max_examples=2)
@given(loss=SUMS)
@example(loss=Sum(((1.0, -1.0, 0.0),), 0.0, 0.0))  # DPO
@example(loss=Sum(((1.0, -1.0, 0.0), (-0.5, 1.0, 0.0)), 0.0, 0.0))  # falls for ever
@example(loss=Sum(((1.0, -1.0, 0.0), (0.125, 1.0, 0.5)), 0.0, 0.0))  # smoothed labels, one moved
def test_random_losses_get_no_wrong_verdict(loss):
    assert_no_verdict_is_wrong(loss, audit(loss.__call__, seconds=2))


def test_a_target_against_the_label_can_be_too_large():
    """At h = 1 its target is below -1."""
    loss = Sum(((1.0, 1.0, 1.0),), 0.125, 0.25)
    assert_no_verdict_is_wrong(loss, audit(loss.__call__, seconds=2))


@pytest.mark.long
@settings(max_examples=30)
@given(loss=SUMS)
def test_more_random_losses_get_no_wrong_verdict(loss):
    assert_no_verdict_is_wrong(loss, audit(loss.__call__, seconds=2))
