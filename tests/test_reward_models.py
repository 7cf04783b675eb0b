"""Reward models: antisymmetry, additivity, the stated error, Bradley-Terry fits, refusals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from strategies import floats

from madpo_theory.simulate import minimize_table
from madpo_theory.simulate.measure import rms_over_pairs
from madpo_theory.simulate.reward_models import (
    REWARD_MODELS,
    BradleyTerryLinear,
    BradleyTerryTable,
    ExactModel,
    FlippedModel,
    GaussianModel,
    HeteroscedasticModel,
    LengthModel,
    SaturatingModel,
    ScaledModel,
    StudentModel,
    draw_margins,
    fit_linear_scores,
    fit_table_scores,
    reward_model,
)
from madpo_theory.simulate.worlds import (
    AllPairs,
    ExactLabels,
    LinearRewards,
    SampledLabels,
    Worlds,
    WorldsConfig,
    draw_labels,
    draw_worlds,
    gaps,
    pair_sampling,
)

CONFIG = WorldsConfig(3, 4, LinearRewards(2, 1.5))
NOISY = sorted(set(REWARD_MODELS) - {"exact"})


def margin_error(margins, worlds):
    """Root mean square of h - h* over all pairs of a world (W,), nats."""
    return rms_over_pairs(margins - worlds.margins, pair_sampling(AllPairs(), worlds))


def cycle_error(margins):
    """Root mean square (...,) of what of margins (..., K, K) is no difference of scores, nats."""
    size = margins.shape[-1]
    rest = margins - gaps(margins.mean(axis=-1))  # the nearest differences
    return np.sqrt((rest**2).sum(axis=(-1, -2)) / (size * (size - 1)))


def one_prompt(*rewards):
    return Worlds(np.array([[rewards]]))


@pytest.mark.parametrize("kind", NOISY)
def test_margins_are_antisymmetric_and_the_same_in_any_chunk(kind):
    model = reward_model(kind, 0.4)
    together = draw_margins(model, draw_worlds(CONFIG, 5, 6))
    assert together.shape == (6, 3, 4, 4)
    assert (together == -np.swapaxes(together, -1, -2)).all()
    apart = draw_margins(model, draw_worlds(CONFIG, 5, [4, 1]))
    assert (together[[4, 1]] == apart).all()


@pytest.mark.parametrize("kind", sorted(REWARD_MODELS))
def test_no_noise_is_exact(kind):
    worlds = draw_worlds(CONFIG, 1, 4)
    margins = draw_margins(reward_model(kind, 0.0), worlds)
    # Scores scaled by 1 and shifted by 0, errors multiplied by 0: not a bit is lost.
    assert (margins == worlds.margins).all() and not margin_error(margins, worlds).any()


@given(st.sampled_from(NOISY), floats(0.1, 1), st.integers(0, 10_000))
def test_margins_are_additive_iff_the_error_is_a_potential(kind, noise, seed):
    model = reward_model(kind, noise)
    # Margins of some nats are differences of sums: a few ulp of 10 nats.
    errors = cycle_error(draw_margins(model, draw_worlds(CONFIG, seed, 1)))
    if model.additive:
        assert (errors < 1e-13).all()
    elif kind not in ("flipped", "saturating"):  # flips may flip nothing
        assert (errors > 1e-6).all()


def test_cycles_that_flips_and_ceilings_break():
    worlds = one_prompt(0.0, 2.0, 6.0)
    assert cycle_error(draw_margins(FlippedModel(1.0), worlds)) < 1e-14
    margins = draw_margins(SaturatingModel(1.0), worlds)
    # Of a residual c around the one cycle of three responses, each pair has a third.
    around = abs(margins[0, 0, 0, 1] + margins[0, 0, 1, 2] + margins[0, 0, 2, 0])
    assert cycle_error(margins)[0, 0] == pytest.approx(around / 3, rel=1e-13)


@pytest.mark.parametrize("noise", [0.05, 0.5, 2.0])
@pytest.mark.parametrize(
    ("model", "kurtosis"),
    [
        (GaussianModel, 3),
        (lambda noise: StudentModel(noise, df=9.0), 3 + 6 / 5),
        (lambda noise: HeteroscedasticModel(noise, floor=1.0), 3 * 4),
        (LengthModel, 6),
        (lambda noise: reward_model("potential", noise), 3),
    ],
)
def test_random_errors_have_the_stated_root_mean_square(model, kurtosis, noise):
    """Five standard errors of a mean of squares over the 2,000 x 2 disjoint pairs, at least."""
    worlds = draw_worlds(WorldsConfig(2000, 4), 3, 1)
    found = margin_error(draw_margins(model(noise), worlds), worlds)
    assert abs(found[0] ** 2 / noise**2 - 1) < 5 * math.sqrt((kurtosis - 1) / 4000)


@given(st.integers(0, 10_000), floats(0.01, 0.99))
def test_deterministic_errors_have_the_stated_root_mean_square_exactly(seed, share):
    worlds = draw_worlds(CONFIG, seed, 1)
    size = margin_error(0 * worlds.margins, worlds)[0]
    noise = share * size
    for model in (ScaledModel(noise), ScaledModel(noise, "under"), SaturatingModel(noise)):
        found = margin_error(draw_margins(model, worlds), worlds)
        # Rounding of margins and, for the ceiling, of an error that is their small difference.
        assert found[0] == pytest.approx(noise, abs=1e-12 * size)


def test_errors_scale_with_the_noise_and_flips_are_nested():
    worlds = draw_worlds(CONFIG, 2, 3)
    for kind in ("gaussian", "student", "heteroscedastic", "length", "potential"):
        small, large = (draw_margins(reward_model(kind, n), worlds) for n in (0.5, 2.0))
        np.testing.assert_allclose(large - worlds.margins, 4 * (small - worlds.margins), atol=1e-13)
    few, many = (draw_margins(FlippedModel(n), worlds) != worlds.margins for n in (0.2, 0.6))
    assert (few <= many).all() and few.sum() < many.sum()
    assert (draw_margins(FlippedModel(1.0), worlds) == -worlds.margins).all()


def test_flips_have_the_stated_probability():
    worlds = draw_worlds(WorldsConfig(2000, 4), 0, 1)
    flipped = draw_margins(FlippedModel(0.3), worlds) != worlds.margins
    share = flipped.sum() / (2000 * 4 * 3)
    assert abs(share - 0.3) < 5 * math.sqrt(0.3 * 0.7 / (2000 * 6))


def test_the_length_attribute_correlates_as_stated_and_has_one_long_tail():
    worlds = draw_worlds(WorldsConfig(4000, 5), 0, 1)
    attribute = LengthModel(1.0, correlation=0.0).attribute(worlds)
    assert attribute.min() >= -1 and attribute.max() > 5
    mixed = LengthModel(1.0, correlation=0.6).attribute(worlds)
    found = np.corrcoef(mixed.ravel(), worlds.rewards.ravel())[0, 1]
    assert abs(found - 0.6) < 5 * 2 / math.sqrt(20_000)  # a correlation of kurtosis up to 9


def test_a_replicate_is_another_draw():
    worlds = draw_worlds(CONFIG, 2, 2)
    for kind in ("gaussian", "bradley_terry_table"):
        model = reward_model(kind, 0.5)
        first, again, other = (draw_margins(model, worlds, replicate=r) for r in (0, 0, 1))
        assert (first == again).all() and (first != other).any()


@given(st.lists(floats(0, 4), min_size=12, max_size=12))
def test_the_table_fit_is_the_certified_one(logs):
    counts = np.zeros((4, 4))
    counts[~np.eye(4, dtype=bool)] = np.exp(logs)
    scores, needs = fit_table_scores(counts)
    fit = minimize_table(counts)
    assert not needs and np.abs(scores - fit.scores).max() <= fit.radius + 1e-12


def test_the_prior_steps_in_exactly_where_ford_says():
    counts = np.array(
        [
            [[0, 2, 0], [1, 0, 3], [0, 1, 0]],  # a chain, each way: a unique fit
            [[0, 2, 0], [0, 0, 3], [1, 0, 0]],  # a cycle
            [[0, 2, 1], [0, 0, 3], [0, 1, 0]],  # the first never lost
            [[0, 2, 0], [1, 0, 0], [0, 0, 0]],  # the last was never compared
        ]
    )
    scores, needs = fit_table_scores(counts, prior=2.0)
    assert needs.tolist() == [False, False, True, True]
    np.testing.assert_allclose(scores[0, :2] - scores[0, 1:], np.log([2.0, 3.0]), atol=1e-12)
    # The slope of the posterior vanishes, to the rounding of a few terms of size 1.
    pull = counts * expit(-gaps(scores))
    slope = (np.swapaxes(pull, -1, -2) - pull).sum(-1) + np.where(needs, 1 / 4, 0)[:, None] * scores
    assert np.abs(slope).max() < 1e-13
    assert abs(scores[3, 2]) < 1e-13 and scores[2, 0] > 0.5
    alone, _ = fit_table_scores(counts[2], prior=2.0)
    assert (alone == scores[2]).all()


def test_a_linear_fit_solves_its_equations_and_takes_a_prior_if_separable():
    worlds = draw_worlds(WorldsConfig(5, 4, LinearRewards(2, 1.0)), 0, 2)
    counts = draw_labels(SampledLabels(30), worlds, pair_sampling(AllPairs(), worlds)).counts
    counts[1] = np.where(worlds.margins[1] > 0, 10.0, 0.0)  # a direction explains every label
    scores, needs = fit_linear_scores(worlds.features, counts, prior=1.5)
    assert needs.tolist() == [False, True]
    pull = counts * expit(-gaps(scores))
    slope = np.einsum("wpk,wpkd->wd", (np.swapaxes(pull, -1, -2) - pull).sum(-1), worlds.features)
    # fit_linear certifies z to 1e-9 nats, against 900 labels.
    assert np.abs(slope[0]).max() < 1e-6
    direction = np.linalg.lstsq(worlds.features[1].reshape(-1, 2), scores[1].ravel())[0]
    np.testing.assert_allclose(slope[1], -direction / 1.5**2, atol=1e-9)
    unseen = np.zeros_like(counts)
    unseen[:, 0, 0, 1], unseen[:, 0, 1, 0] = 3, 1  # one pair for two features
    assert fit_linear_scores(worlds.features, unseen)[1].all()


@pytest.mark.parametrize("model", [BradleyTerryTable, BradleyTerryLinear])
def test_fits_are_consistent_and_noise_says_how_fast(model):
    """On margins near 0 the root mean square error is the noise."""
    worlds = draw_worlds(WorldsConfig(3, 4, LinearRewards(2, 0.05)), 4, 300)
    for noise in (0.3, 0.03):
        squares = margin_error(draw_margins(model(noise), worlds), worlds) ** 2 / noise**2
        # Five standard errors; 3 % for the curvature at small margins and finitely many labels.
        assert abs(squares.mean() - 1) < 5 * squares.std() / math.sqrt(300) + 0.03


def test_a_reward_model_sees_its_own_labels_or_the_policys():
    worlds = draw_worlds(CONFIG, 0, 2)
    labels = draw_labels(SampledLabels(20), worlds, pair_sampling(AllPairs(), worlds))
    margins = draw_margins(BradleyTerryTable(None, "policy"), worlds, labels)
    assert (margins == gaps(fit_table_scores(labels.counts)[0])).all()
    honest = BradleyTerryTable(0.5)
    assert (draw_margins(honest, worlds) == draw_margins(honest, worlds, labels)).all()
    assert honest.comparisons(worlds) == 4 * 3 / 0.25
    assert BradleyTerryLinear(0.5).comparisons(worlds) == math.ceil(4 * 2 / (0.25 * 3))


WORLD = one_prompt(0.0, 1.0)
FLAT = one_prompt(1.0, 1.0)
EXACT = draw_labels(ExactLabels(), WORLD, pair_sampling(AllPairs(), WORLD))


@pytest.mark.parametrize(
    ("call", "error", "rule"),
    [
        (lambda: GaussianModel(-1.0), ValueError, "noise = -1.0 breaks the rule noise >= 0"),
        (lambda: GaussianModel(math.nan), ValueError, "noise must be finite"),
        (lambda: ExactModel(0.1), ValueError, "noise = 0"),
        (lambda: FlippedModel(1.5), ValueError, "0 <= noise <= 1"),
        (lambda: StudentModel(1.0, df=2.0), ValueError, "df > 2"),
        (lambda: HeteroscedasticModel(1.0, floor=0.0), ValueError, "floor > 0"),
        (lambda: ScaledModel(1.0, "both"), ValueError, "confidence must be one of"),
        (lambda: LengthModel(1.0, 2.0), ValueError, "correlation <= 1"),
        (lambda: BradleyTerryTable(0.5, "old"), ValueError, "data must be one of"),
        (lambda: BradleyTerryTable(0.5, "policy"), ValueError, "noise = 0.5 must be None"),
        (lambda: BradleyTerryTable(None), ValueError, "noise must be a number"),
        (lambda: BradleyTerryTable(0.5, prior=0.0), ValueError, "prior > 0"),
        (lambda: reward_model("perfect"), ValueError, "kind must be one of"),
        (lambda: draw_margins("exact", WORLD), TypeError, "model must be one of"),
        (lambda: draw_margins(ExactModel(), 1), TypeError, "worlds must be one of Worlds"),
        (lambda: draw_margins(ExactModel(), WORLD, 1), TypeError, "labels must be one of Labels"),
        (lambda: draw_margins(SaturatingModel(1.0), WORLD), ValueError, "noise < 1, the root"),
        (lambda: draw_margins(ScaledModel(1.0), FLAT), ValueError, "cannot be met in world 0"),
        (lambda: draw_margins(HeteroscedasticModel(1.0), FLAT, replicate=-1), ValueError, "repl"),
        (
            lambda: draw_margins(BradleyTerryTable(None, "policy"), WORLD, EXACT),
            ValueError,
            "labels must be the policy's sampled Labels",
        ),
        (lambda: draw_margins(BradleyTerryLinear(0.5), WORLD), ValueError, "features are missing"),
    ],
)
def test_invalid_input_is_named(call, error, rule):
    with pytest.raises(error, match=rule):
        call()
