"""The offset loss against a NumPy textbook, MADPO's targets, ODPO, and what it refuses."""

import math

import numpy as np
import pytest
import sympy as sp
import torch
from flint import arb, ctx
from hypothesis import example, given, settings
from ours import WEIGHTS
from own_weight import SoftStep
from strategies import GENTLE, floats

from madpo_theory import MarginSchedule, losses
from madpo_theory.methods import METHODS, Madpo, Slots, method_from, method_named, slot_target
from madpo_theory.ops import arb_world, numpy_world, sympy_world
from madpo_theory.simulate import PairProblem, solve
from madpo_theory.simulate.problem import slot_tables
from madpo_theory.simulate.solve.fits import Reason
from madpo_theory.weights import (
    AmpOnlyWeight,
    BoundedRatioWeight,
    PublishedWeight,
    RewardProbabilityWeight,
    weight,
    weighting_named,
)

OffsetMadpo = METHODS["offset_madpo"]
SCHEDULE = MarginSchedule(4.0, 0.25, 1.0, 3.0)
LOGPS = -np.random.default_rng(5).uniform(2, 30, (4, 9))
MARGIN = np.array([-7.0, -2.9, -1.0, -1e-3, 0.0, 0.5, 2.9, 3.1, 8.0])


def sigma(x):
    return 1 / (1 + np.exp(-x))


def book(logps, h, beta, s, clip=np.inf):
    """(losses, their slopes in the chosen log-probability), from the published weight's formula."""
    c = s.c_min + (s.c_max - s.c_min) / (
        1 + (s.c_max - 1) / (1 - s.c_min) * np.exp(s.lam * (abs(h) - s.tau))
    )
    w = {t: np.where(t * h > -s.tau, sigma(c * t * h) / sigma(t * h), 1) for t in (1, -1)}
    delta = np.clip(np.log(w[1] / w[-1]), -clip, clip)
    pc, pr, rc, rr = logps
    y = beta * (pc - rc - pr + rr) - delta
    return np.log(1 + np.exp(-y)), -beta * sigma(-y)


@pytest.mark.parametrize("clip", [None, 1.5])
def test_value_and_gradient_are_the_textbooks(clip):
    expected, slopes = book(LOGPS, MARGIN, 0.3, SCHEDULE, np.inf if clip is None else clip)
    options = {"beta": 0.3, "weighting": SCHEDULE, "clip": clip}
    found, chosen, rejected = losses.offset_madpo(*LOGPS, margin=MARGIN, **options)
    # 1/(1 + e^-x) of a textbook's weight loses 1e-16 e^7 of it at h = -7
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(chosen, 0.3 * (LOGPS[0] - LOGPS[2]), rtol=1e-15)
    np.testing.assert_allclose(rejected, 0.3 * (LOGPS[1] - LOGPS[3]), rtol=1e-15)
    logps = torch.tensor(LOGPS).requires_grad_()
    margin = torch.tensor(MARGIN).requires_grad_()
    loss, *_ = losses.offset_madpo(*logps, margin=margin, **options)
    loss.sum().backward()
    np.testing.assert_allclose(logps.grad[0], slopes, rtol=1e-12)
    np.testing.assert_allclose(logps.grad[1], -slopes, rtol=1e-12)
    assert margin.grad is None  # the reward model is not trained


WEIGHTINGS = [weighting_named(n, SCHEDULE) for n in WEIGHTS] + [SoftStep()]


@pytest.mark.parametrize("weighting", WEIGHTINGS, ids=lambda w: w.own_name)
@given(h=floats(-9, 9), model=floats(-30, 30))
@settings(max_examples=25)
@example(2.0, -3.0)
@example(-4.0, 3.0)  # tau
def test_the_target_is_madpos_for_every_reward_model(weighting, h, model):
    offset, weighted = OffsetMadpo(weighting), Madpo(weighting)
    # both are h* + delta: the same sum, rounded once
    assert offset.target(h, model) == weighted.target(h, model)
    ours, theirs = (m.target(arb(h), arb(model)) for m in (offset, weighted))
    assert ours.overlaps(theirs)


@given(schedule=GENTLE, model=floats(-1e4, 1e4), h=floats(-1e3, 1e3), clip=floats(0.01, 50))
@settings(max_examples=60)
@example(MarginSchedule(20.0, 0.0, 20.0, 100.0), 99.0, -1e3, 50.0)
def test_it_is_odd_clipped_and_nearest(schedule, model, h, clip):
    free, held = OffsetMadpo(schedule), OffsetMadpo(schedule, clip)
    delta, found = (m.offset(numpy_world, np.float64(model)) for m in (free, held))
    assert offset_of(free, -model) == -delta and offset_of(held, -model) == -found
    assert abs(found) <= clip and found * delta >= 0
    # clip_best: nothing within [-clip, clip] is nearer to the wanted offset
    others = np.linspace(-clip, clip, 101)
    assert (np.abs(others - delta) >= abs(found - delta)).all()
    assert found == (delta if abs(delta) <= clip else math.copysign(clip, delta))
    assert abs(held.target(h, model) - h) <= clip + 1e-12 * (1 + abs(h))
    assert np.isfinite(free.target(h, model))


def offset_of(method, h):
    return method.offset(numpy_world, np.float64(h))


@given(one=floats(-20, 20), other=floats(-20, 20), clip=floats(0.1, 8))
@settings(max_examples=60)
def test_clipping_makes_nothing_steeper(one, other, clip):
    free, held = OffsetMadpo(SCHEDULE), OffsetMadpo(SCHEDULE, clip)
    assert abs(offset_of(held, one) - offset_of(held, other)) <= abs(
        offset_of(free, one) - offset_of(free, other)
    )


def test_the_offset_h_is_odpos():
    given_ = {"margin": MARGIN, "beta": 0.2}
    ours = losses.offset_madpo(*LOGPS, weighting=RewardProbabilityWeight(), **given_)
    for one, other in zip(ours, losses.odpo(*LOGPS, **given_), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_odd_offset_adds_itself():
    """Exactly, at margins where sinh overflows too; and as without being told that it is odd."""
    h = np.array([-5e3, -3.0, 0.0, 0.1, 5e3])
    method = OffsetMadpo(SCHEDULE)
    sides = method.slots(numpy_world, h), method.slots(numpy_world, -h)
    np.testing.assert_array_equal(slot_target(numpy_world, h, 0.0, *sides), method.target(h))
    assert method.target(5e3) == 5e3 and METHODS["odpo"](1.0).target(5e3) == 1e4
    h, told = h[1:4], tuple(Slots(offset=side.offset[1:4]) for side in sides)
    np.testing.assert_allclose(
        slot_target(numpy_world, h, 0.0, *told), method.target(h), rtol=1e-14
    )


def test_one_pair_in_every_number_world():
    exact = MarginSchedule(4, sp.Rational(1, 4), 1, 3)
    for clip in (None, 1.5):
        method = OffsetMadpo(SCHEDULE, clip)
        symbols = OffsetMadpo(exact, None if clip is None else sp.Rational(3, 2))
        with ctx.workprec(200):
            for z, h in ((0.5, 2.0), (-1.0, -2.5), (3.0, 6.0)):
                ball = method.margin_loss(arb_world, arb(z), arb(h))
                number = symbols.margin_loss(sympy_world, sp.Rational(z), sp.Rational(h))
                assert abs(ball - arb(str(sp.N(number, 50)))) < arb("1e-40")
                value = method.margin_loss(numpy_world, np.float64(z), np.float64(h))
                assert abs(float(ball) - value) < 1e-14


def test_no_label_is_suppressed():
    """The push is sigma(delta - z), where the weight throws labels away."""
    margin, schedule = np.linspace(-60, 60, 481), MarginSchedule.released(4)
    z = torch.zeros(481, dtype=torch.float64, requires_grad=True)
    method = OffsetMadpo(schedule, beta=1.0)
    loss = method(z, 0 * z, 0 * z, 0 * z, margin=torch.tensor(margin))[0]
    (slope,) = torch.autograd.grad(loss.sum(), z)
    delta = method.offset(numpy_world, margin)
    np.testing.assert_allclose(-slope, 1 / (1 + np.exp(-delta)), rtol=1e-14)
    assert method.slot_weighting is None and not method.is_weighting
    assert weight(margin, schedule).min() < 1e-4


def random_problem(size, seed, labels=40):
    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=(6, size))
    h = rewards[:, :, None] - rewards[:, None, :]
    won = np.triu(rng.binomial(labels, 1 / (1 + np.exp(-h))) + 1, 1)
    wins = won + np.triu(labels + 2 - won, 1).transpose(0, 2, 1)
    noise = rng.normal(size=h.shape)
    return PairProblem(torch.tensor(wins).double(), torch.tensor(h + (noise - noise.mT)))


def test_one_pair_is_fitted_as_by_the_weight_and_a_table_is_not():
    """A lone pair is DPO's fit plus delta whichever loss; a table settles otherwise (N5)."""
    for size in (2, 5):
        problem = random_problem(size, size)
        methods = OffsetMadpo(SCHEDULE), Madpo(SCHEDULE), "dpo"
        offset, weighted, plain = (solve(method, problem) for method in methods)
        assert offset.converged.all()
        error = offset.error_bound + weighted.error_bound + 1e-10  # of the logits of the shares
        apart = (offset.scores - weighted.scores).norm(dim=1)
        assert (apart <= error).all() if size == 2 else (apart > 1e-2).all()
        if size == 2:
            delta = OffsetMadpo(SCHEDULE).offset(numpy_world, problem.margins[:, 0, 1].numpy())
            moved = (offset.scores - plain.scores)[:, 0].numpy() * 2
            np.testing.assert_allclose(moved, delta, atol=1e-6)


def test_its_tables_are_those_of_the_compiled_solver():
    problem = random_problem(4, 3)
    masses, offsets, temperature, lost = slot_tables(OffsetMadpo(SCHEDULE), problem)
    assert torch.equal(masses, problem.labels) and temperature == 1 and not lost.any()
    assert torch.equal(offsets, -offsets.mT)
    # responses that only win: no offset gives a table a best policy, as no weight does (L3)
    labels = problem.labels.triu(1)
    for method in (OffsetMadpo(SCHEDULE, 1.0), Madpo(SCHEDULE)):
        found = solve(method, PairProblem(labels, problem.margins))
        assert found.reason.tolist() == [Reason.NO_MINIMIZER] * 6


def test_names_settings_and_titles():
    made = method_from("offset-madpo", ["c_max=4", "clip=2"])
    assert made == OffsetMadpo(MarginSchedule(4.0), 2.0) and type(made.clip) is float
    assert method_from(made, ["clip=none"]).clip is None
    known = method_named("offset_madpo", c_max=4.0, weight="bounded_ratio", beta=0.2)
    assert known == OffsetMadpo(BoundedRatioWeight(MarginSchedule(4.0)), beta=0.2)
    assert method_named("offset_madpo", schedule=SCHEDULE).weighting == PublishedWeight(SCHEDULE)
    assert made.title == "offset MADPO" and OffsetMadpo(SoftStep()).title == "offset soft step"
    assert OffsetMadpo(AmpOnlyWeight(SCHEDULE)).title == "offset Amp-Only"


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: OffsetMadpo(clip=0.0), ValueError, "clip = 0.0 breaks the rule clip > 0, or none"),
        (lambda: OffsetMadpo(clip=math.nan), ValueError, "clip must be finite"),
        (lambda: OffsetMadpo(0.1), TypeError, "weighting must be a MarginSchedule"),
        (lambda: method_from("offset_madpo", ["clip=much"]), ValueError, "clip = 'much' must be"),
        (
            lambda: losses.offset_madpo(*LOGPS, weighting=SCHEDULE),
            TypeError,
            "margin",
        ),
        (
            lambda: losses.offset_madpo(*LOGPS, margin=MARGIN * np.inf, weighting=SCHEDULE),
            ValueError,
            "margin must be finite",
        ),
    ],
)  # fmt: skip
def test_invalid_input_is_named(make, error, words):
    with pytest.raises(error, match=words), np.errstate(invalid="ignore"):
        make()
