"""Suprema of any weight: the house's and a user's, with a tail bound and without."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_weight import CONSTANTS, BoundedSoftStep, SoftStep
from quantity_values import STEP, values

from madpo_theory import MarginSchedule, log_weight_ratio, weight
from madpo_theory.certify import QUANTITIES, InfiniteSupremum, certify, supremum
from madpo_theory.ops import numpy_world
from madpo_theory.theory.comparison import weight_profile
from madpo_theory.weights import (
    OF_RATIO,
    AmpOnlyWeight,
    BoundedRatioWeight,
    EfficientWeight,
    PowerTarget,
    PublishedWeight,
    RegOnlyWeight,
    ScaledWeight,
    TargetShapedWeight,
)

RELEASED, STEEP = MarginSchedule.released(), MarginSchedule(3.5, 0.1, 3.0, 2.5)
WEIGHTS = [
    *(cls(s) for s in (RELEASED, STEEP)
      for cls in (PublishedWeight, BoundedRatioWeight, AmpOnlyWeight, RegOnlyWeight)),
    EfficientWeight(STEEP),
    EfficientWeight(BoundedRatioWeight(STEEP)),
    ScaledWeight(STEEP, 0.75),
    ScaledWeight(BoundedRatioWeight(RELEASED), -0.75),
    TargetShapedWeight(PowerTarget(2.5, 0.5, 0.25)),
    TargetShapedWeight(PowerTarget(2.5, 0.125, 4.0)),
    BoundedSoftStep(1.5),
]  # fmt: skip
NAMES = [f"{k} {type(w).__name__}" for k, w in enumerate(WEIGHTS)]


def rounding(weighting, h):
    """Of `values` at h: floats of this size, over STEP."""
    return 2.0**-50 * (1 + abs(log_weight_ratio(h, weighting)) + weight(h, weighting)) / STEP


@pytest.mark.parametrize("name", QUANTITIES)
@pytest.mark.parametrize(
    "weighting",
    [
        pytest.param(w, id=name, marks=[pytest.mark.slow] * isinstance(w, EfficientWeight))
        for w, name in zip(WEIGHTS, NAMES, strict=True)
    ],
)
def test_no_margin_exceeds_an_enclosure(weighting, name):
    if weighting.tail(numpy_world, name, 1.0) == math.inf:
        with pytest.raises(InfiniteSupremum, match=f"{name} of .* is infinite"):
            supremum(QUANTITIES[name], weighting)
        h = np.array([1e3, 2e3])  # and indeed it grows
        assert np.diff(np.maximum(values(name, h, weighting), values(name, -h, weighting))) > 1e2
        return
    found = supremum(QUANTITIES[name], weighting, tolerance=1e-2)
    assert found.tail == (weighting.tail(numpy_world, name, 1e3) is not None)
    assert found.domain == ((-math.inf, math.inf) if found.tail else (-60.0, 60.0))
    far = 300.0 if found.tail else found.hi - STEP
    h = np.concatenate([np.linspace(-12, 12, 48_001), np.linspace(-far, far, 20_001)])
    grid = values(name, h, weighting)
    assert (grid <= found.upper + rounding(weighting, h)).all()
    beside = float(found.witness.middle) - np.array([STEP, 0.0])  # of a kink
    # Slopes over STEP, which change by less than 1e3 a nat here.
    assert values(name, beside, weighting).max() >= found.lower - 1e3 * STEP
    if not found.tail:
        assert (name not in OF_RATIO and isinstance(weighting, EfficientWeight)) or (
            name == "weight_slope" and isinstance(weighting, BoundedSoftStep)
        )


@given(
    weighting=st.sampled_from(WEIGHTS),
    name=st.sampled_from(sorted(QUANTITIES)),
    far=st.floats(0.01, 50),
    beyond=st.floats(0, 50),
    side=st.sampled_from([-1, 1]),
)
def test_no_margin_beyond_exceeds_a_tail_bound(weighting, name, far, beyond, side):
    bound = weighting.tail(numpy_world, name, far)
    h = side * (far + beyond + STEP)
    if bound is not None:
        assert values(name, h, weighting) <= bound + rounding(weighting, h)


@pytest.mark.parametrize("size", (0.25, 3.0))
@pytest.mark.parametrize("name", CONSTANTS)
def test_a_weight_of_ones_own_has_its_constants(name, size):
    """Known in closed form; without a tail they are those of |h| <= reach, where tanh is near 1."""
    exact, near = CONSTANTS[name](size), 4 * size * math.exp(-30)
    plain = supremum(QUANTITIES[name], SoftStep(size), tolerance=1e-4, reach=29.5)
    assert not plain.tail and plain.domain == (-30.0, 30.0) and plain.hi == 30
    assert exact - near - 1e-12 <= plain.upper <= exact + 1e-4
    known = supremum(QUANTITIES[name], BoundedSoftStep(size), tolerance=1e-4)
    assert known.tail and known.domain == (-math.inf, math.inf)
    assert exact <= known.upper <= exact + 1e-4


def test_a_profile_takes_a_weight_of_ones_own():
    profile = weight_profile(SoftStep(0.5), np.linspace(0, 3, 7))
    assert profile.sensitivity == pytest.approx(0.5, rel=1e-3)  # as its docstring promises
    assert profile.influence == pytest.approx(1.0, rel=1e-3) and profile.monotone


def test_a_class_that_changes_the_formula_has_no_tail_until_it_brings_one():
    class Renamed(PublishedWeight):
        pass

    class Doubled(PublishedWeight):
        def log_weight(self, xp, h):
            return 2 * super().log_weight(xp, h)

    class Steeper(BoundedRatioWeight):
        def log_ratio(self, xp, h):
            return 2 * super().log_ratio(xp, h)

    class Mixin:
        def log_ratio(self, xp, h):
            return 3 * h

    class Mixed(Mixin, PublishedWeight):
        pass

    class Below(Doubled):
        pass

    class Again(Doubled):
        tail = PublishedWeight.tail

    def tail(cls):
        return cls(STEEP).tail(numpy_world, "sensitivity", 8.0)

    assert tail(Renamed) == tail(Again) == tail(PublishedWeight) > 0
    assert tail(Doubled) is tail(Steeper) is tail(Mixed) is tail(Below) is None
    found = supremum(QUANTITIES["sensitivity"], Mixed(STEEP), tolerance=1e-4)
    assert not found.tail and found.lower <= 3 <= found.upper


def test_a_target_of_ones_own_has_no_tail():
    @dataclass(frozen=True)
    class Doubled(PowerTarget):
        def __call__(self, xp, u):
            return 2 * super().__call__(xp, u)

    made = TargetShapedWeight(Doubled(2.5, 0.5, 0.25))
    assert all(made.tail(numpy_world, name, 9.0) is None for name in QUANTITIES)
    assert not supremum(QUANTITIES["influence"], made, tolerance=1e-2).tail


def test_what_cannot_be_enclosed_is_an_error():
    far = MarginSchedule(2.0, 0.5, 1.0, 5000.0)
    with pytest.raises(RuntimeError, match="known beyond 8192 nats only"):
        supremum(QUANTITIES["sensitivity"], far, limit=1000)
    with pytest.raises(ValueError, match=r"reach = -1 breaks the rule reach > 0"):
        supremum(QUANTITIES["sensitivity"], SoftStep(), reach=-1)
    with pytest.raises(TypeError, match="weighting must be a MarginSchedule"):
        supremum(QUANTITIES["sensitivity"], 4.0)


def test_certificates_are_of_the_formulas_that_the_checker_knows():
    class Renamed(PublishedWeight):
        pass

    for weighting in (SoftStep(), EfficientWeight(RELEASED), Renamed(RELEASED)):
        with pytest.raises(TypeError, match=rf"got .*{type(weighting).__name__}; supremum\("):
            certify("sensitivity", weighting)
