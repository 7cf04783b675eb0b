"""Cells of studies: rows for every method and world, and the theory's bounds beside them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from madpo_theory import MarginSchedule, coefficient, effective_target
from madpo_theory.methods import METHODS as METHODS_OF_LIBRARY
from madpo_theory.methods import Madpo, Rdpo
from madpo_theory.simulate.cell import (
    Binned,
    Cell,
    Repeated,
    Resampled,
    Scene,
    draw_scene,
    measure_bins,
    measure_cell,
    measure_displacement,
    measure_repeated,
    measure_resampled,
    reversals,
    shift_slopes,
)
from madpo_theory.simulate.reward_models import (
    BradleyTerryTable,
    ExactModel,
    FlippedModel,
    GaussianModel,
)
from madpo_theory.simulate.worlds import (
    AllPairs,
    DirichletReference,
    ExactLabels,
    GapSampled,
    OnPolicySampled,
    SampledLabels,
    Worlds,
    WorldsConfig,
    draw_labels,
    pair_sampling,
)
from madpo_theory.weights import log_weight_ratio

WORLDS = WorldsConfig(prompts=3, responses=4)
RELEASED = Madpo(MarginSchedule.released())
METHODS = ("dpo", ("madpo", RELEASED), "bounded_ratio", "efficient", "distillation", "cdpo")


def columns(model, indices=(0, 1, 5), methods=METHODS, **settings):
    cell = Cell(methods=methods, worlds=WORLDS, model=model, **settings)
    return {k: np.array(v) for k, v in measure_cell(cell, indices, 3, "cpu").items()}


def of(table, method):
    keep = table["method"] == method
    return {name: values[keep] for name, values in table.items()}


def test_a_row_for_every_method_and_world():
    table = columns(GaussianModel(0.5), keys=(("kind", "gaussian"),))
    assert table["method"].tolist() == [
        m if isinstance(m, str) else m[0] for m in METHODS for _ in "abc"
    ]
    assert table["world"].tolist() == [0, 1, 5] * len(METHODS)
    assert set(table["kind"]) == {"gaussian"} and set(table["noise"]) == {0.5}
    assert table["converged"].all()


def test_dpo_with_exact_labels_has_no_regret_whatever_the_reward_model():
    for model in (ExactModel(), GaussianModel(2.0), FlippedModel(0.5)):
        # the solver's gradient norm of 1e-8 leaves 1e-4 nats of z, which cost its square
        assert (of(columns(model), "dpo")["regret"] < 1e-6).all()


def test_the_theorys_bounds_hold_of_every_world():
    table = of(columns(GaussianModel(2.0), constants=(("madpo", 2.306766, 3.474682),)), "madpo")
    assert (table["target_shift"] <= table["target_shift_bound"]).all()
    assert (table["influence"] <= table["influence_limit"]).all()
    assert (table["regret"] <= table["regret_bound"]).all()
    assert np.isnan(of(columns(GaussianModel(2.0)), "madpo")["target_shift_bound"]).all()


def test_weights_with_the_same_targets_differ_in_weights_alone():
    table = columns(ExactModel(), methods=(("madpo", RELEASED), "efficient"))
    own, efficient = of(table, "madpo"), of(table, "efficient")
    np.testing.assert_array_equal(own["influence"], efficient["influence"])
    assert (efficient["weight_mean"] > own["weight_mean"]).all()


def test_what_a_model_moves_is_told_of_offsets_and_soft_labels_too():
    """An offset has the weight's targets, shifts and slopes, and none of its weights (N5)."""
    names = ("madpo", "offset_madpo", "odpo", "distillation", "dpo", "cw_po")
    table = columns(GaussianModel(2.0), methods=names)
    weighted, offset = of(table, "madpo"), of(table, "offset_madpo")
    for name in ("influence", "target_shift", "local_slope", "local_sensitivity"):
        np.testing.assert_allclose(offset[name], weighted[name], rtol=1e-12)
    assert (offset["weight_mean"] == 1).all() and (weighted["weight_mean"] < 1).all()
    odpo = of(table, "odpo")
    np.testing.assert_allclose(odpo["target_shift"], odpo["model_error"], rtol=1e-12)
    own = of(table, "distillation")  # the target moves from that of the model's h
    assert (own["target_shift"] > own["model_error"] / 2).all()
    assert not any(of(table, "dpo")[name].any() for name in ("target_shift", "influence"))


def test_the_reward_at_a_divergence_does_not_depend_on_beta():
    first, second = (
        columns(ExactModel(), beta=beta, divergences=(0.5,), methods=("dpo",))
        for beta in (0.1, 2.0)
    )
    np.testing.assert_allclose(first["reward_at_0.5"], second["reward_at_0.5"], rtol=1e-4)
    assert (first["kl"] > second["kl"]).all()


def test_a_world_without_a_solution_is_a_row_that_says_so():
    """rDPO undoes flips that exact labels do not have: clear pairs have no minimizer."""
    table = columns(ExactModel(), methods=("dpo", ("rdpo", Rdpo(0.4))))
    lost = of(table, "rdpo")
    assert not lost["converged"].all()
    assert np.isnan(lost["regret"][~lost["converged"]]).all()
    assert of(table, "dpo")["converged"].all() and np.isfinite(of(table, "dpo")["regret"]).all()


def test_a_world_is_the_same_in_every_block():
    whole, part = columns(GaussianModel(1.0)), columns(GaussianModel(1.0), indices=(5,))
    for name in ("regret", "reward", "target_error"):
        np.testing.assert_array_equal(whole[name][whole["world"] == 5], part[name])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"methods": ("dpo",), "beta": 0.0}, "beta > 0"),
        ({"methods": ("dpo",), "beta": math.nan}, "beta"),
        ({"methods": ("sft",)}, "method = 'sft' breaks the rule"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Cell(**settings)


def frame(measured):
    return {k: np.array(v) for k, v in measured.items()}


SMALL = WorldsConfig(prompts=2, responses=2)


def test_first_steps_of_single_pairs_are_t6s():
    """At the reference the gradient is -tanh(c h/2)/2 for |h| < tau against -tanh(h/2)/2."""
    cell = Cell(methods=("dpo", ("madpo", RELEASED)), worlds=WorldsConfig(prompts=1, responses=2))
    table = frame(measure_bins(Binned(cell, (0.0, 20.0)), range(5), 0, "cpu"))
    h = of(table, "dpo")["true_margin"]
    assert (h < MarginSchedule.released().tau).all()
    c = coefficient(h, MarginSchedule.released())
    ratio = of(table, "madpo")["first_step"] / of(table, "dpo")["first_step"]
    np.testing.assert_allclose(ratio, np.tanh(c * h / 2) / np.tanh(h / 2), rtol=1e-12)
    np.testing.assert_allclose(
        of(table, "madpo")["fitted"], effective_target(h, h, MarginSchedule.released()), atol=1e-6
    )


def test_bins_share_out_the_pairs_and_their_sums():
    cell = Cell(methods=METHODS, worlds=WORLDS, model=GaussianModel(0.5))
    parts = frame(measure_bins(Binned(cell, (0.0, 1.0, 2.0, 50.0)), (0, 1), 3, "cpu"))
    whole = frame(measure_bins(Binned(cell, (0.0, 50.0)), (0, 1), 3, "cpu"))
    for method in ("dpo", "madpo", "distillation", "cdpo"):
        one, all_ = of(parts, method), of(whole, method)
        for world in (0, 1):
            here, there = one["world"] == world, all_["world"] == world
            assert one["share"][here].sum() == pytest.approx(1.0)
            for name in ("fitted", "pair_target", "true_margin", "first_step"):
                sums = np.nansum((one["share"] * one[name])[here])
                assert sums == pytest.approx(all_[name][there][0])


def test_empty_bins_are_nan_and_methods_of_whole_batches_take_no_first_step():
    cell = Cell(methods=("ipo", "beta_dpo"), worlds=SMALL)
    table = frame(measure_bins(Binned(cell, (0.0, 30.0, 40.0)), (0,), 0, "cpu"))
    assert np.isnan(table["fitted"][table["low"] == 30.0]).all()
    ipo, beta = of(table, "ipo"), of(table, "beta_dpo")
    assert np.isnan(beta["first_step"]).all()
    assert ipo["first_step"][0] > 0
    np.testing.assert_allclose(ipo["fitted"][0], ipo["pair_target"][0], rtol=1e-9)
    assert np.isnan(beta["pair_target"]).all()  # it sets one temperature for a batch


def test_dpo_does_not_feel_the_sampling_and_madpo_does():
    samplings = (("near", GapSampled(-1.0)), ("own", OnPolicySampled()))
    cell = Cell(methods=("dpo", ("madpo", RELEASED)), worlds=WORLDS, beta=1.0)
    table = frame(measure_resampled(Resampled(cell, samplings), (0, 1, 2), 3, "cpu"))
    names = [name for name in ("all", "near", "own") for _ in range(3)]
    assert table["sampling"].tolist() == names * 2
    assert (of(table, "dpo")["sampling_shift"] < 1e-6).all()
    moved = of(table, "madpo")
    assert (moved["sampling_shift"][moved["sampling"] == "all"] == 0).all()
    assert (moved["sampling_shift"][moved["sampling"] != "all"] > 1e-5).all()


def test_many_labels_come_near_the_sandwich():
    cell = Cell(
        methods=("dpo", ("madpo", RELEASED), "cdpo", "distillation"), worlds=WORLDS,
        labels=SampledLabels(4096), model=GaussianModel(0.5), beta=0.5,
    )  # fmt: skip
    table = frame(measure_repeated(Repeated(cell), range(20), 3, "cpu"))
    for method in ("dpo", "madpo"):
        rows = of(table, method)
        squares = (
            (rows["sampling_error"] ** 2).mean(),
            (rows["predicted_sampling_error"] ** 2).mean(),
        )
        # 60 prompts with 3 degrees of freedom each: the ratio has a standard deviation of 0.1
        assert 0.7 < squares[0] / squares[1] < 1.4
    assert np.isnan(of(table, "cdpo")["predicted_sampling_error"]).all()
    assert (of(table, "distillation")["sampling_error"] < 1e-9).all()
    assert (of(table, "distillation")["full_error"] > 0.1).all()  # what the model is off by
    assert set(table["labels"]) == {4096}


def test_no_sandwich_for_a_model_that_saw_the_labels():
    cell = Cell(
        methods=("dpo",), worlds=WORLDS, labels=SampledLabels(64),
        model=BradleyTerryTable(None, data="policy"),
    )  # fmt: skip
    table = frame(measure_repeated(Repeated(cell), (0,), 3, "cpu"))
    assert np.isnan(table["predicted_sampling_error"]).all()
    with pytest.raises(ValueError, match="fixed design"):
        Repeated(Cell(methods=("dpo",), labels=SampledLabels(64, "prompt")))


def test_the_slopes_are_the_shifts():
    h = np.linspace(-9.0, 9.0, 37)
    released = MarginSchedule.released()
    step = 1e-6
    expected = (log_weight_ratio(h + step, released) - log_weight_ratio(h - step, released)) / (
        2 * step
    )
    for name in ("madpo", "offset_madpo"):
        method = METHODS_OF_LIBRARY[name](released)
        np.testing.assert_allclose(shift_slopes(h, method), expected, atol=1e-8)
    odpo = METHODS_OF_LIBRARY["odpo"](0.25)
    np.testing.assert_allclose(shift_slopes(h, odpo), 0.25, rtol=1e-15)
    assert (shift_slopes(h, METHODS_OF_LIBRARY["dpo"]()) == 0).all()
    assert np.isnan(shift_slopes(h, METHODS_OF_LIBRARY["reward_aware_forward"]())).all()


def test_targets_in_the_wrong_order_are_counted():
    """Rewards (0, 5.3, 6.8): T falls between 5.3 and 6.9 at the released schedule (T5)."""
    worlds = Worlds(np.array([[[0.0, 5.3, 6.8]]]))
    sampling = pair_sampling(AllPairs(), worlds)
    labels = draw_labels(ExactLabels(), worlds, sampling)
    scene = Scene(worlds, sampling, labels, worlds.margins, None, None)
    z = effective_target(worlds.margins, worlds.margins, MarginSchedule.released(4))
    assert reversals(scene, worlds.margins).tolist() == [0.0]
    assert reversals(scene, z).tolist() == [pytest.approx(1 / 3)]  # one couple of three
    assert reversals(scene, -z).tolist() == [pytest.approx(2 / 3)]


def test_equal_margins_are_in_no_order():
    worlds = Worlds(np.array([[[0.0, 1.0, 2.0]]]))
    sampling = pair_sampling(AllPairs(), worlds)
    scene = Scene(worlds, sampling, None, worlds.margins, None, None)
    z = worlds.margins.copy()
    z[0, 0, 0, 1], z[0, 0, 1, 0] = -1.5, 1.5  # |h*| = 1 as that of the pair (1, 2)
    assert reversals(scene, z).tolist() == [0.0]
    assert np.isnan(reversals(scene, np.full_like(z, np.nan))).all()


def test_edges_must_ascend():
    with pytest.raises(ValueError, match="ascending"):
        Binned(Cell(methods=("dpo",)), (1.0, 0.0))


def test_displacement_is_who_loses_probability():
    """Against the definitions, label by label; two responses of DPO in closed form."""
    law = replace(WORLDS, reference=DirichletReference(1.0))
    methods = ("dpo", ("madpo", RELEASED), "ipo", "beta_dpo")
    cell = Cell(methods=methods, worlds=law, beta=0.5)
    table = frame(measure_displacement(cell, (0, 3), 7, "cpu"))
    scene = draw_scene(cell, (0, 3), 7, "cpu")
    plain = frame(measure_cell(cell, (0, 3), 7, "cpu"))
    np.testing.assert_array_equal(table["reward"], plain["reward"])
    rewards, reference = scene.worlds.rewards, np.exp(scene.worlds.log_reference)
    masses = expit(scene.worlds.margins) * (1 - np.eye(rewards.shape[-1]))
    gain = rewards / 0.5 - np.log((reference * np.exp(rewards / 0.5)).sum(-1, keepdims=True))
    # DPO's first step: labels won less labels lost at z = 0, then the softmax's normalization
    pushed = (masses - np.swapaxes(masses, -1, -2)).sum(-1) / 2
    pushed = pushed - (reference * pushed).sum(-1, keepdims=True)
    own = of(table, "dpo")
    for name, change in (("", gain), ("step_", pushed)):
        falls = change < 0
        both = falls[..., :, None] & falls[..., None, :]
        total = masses.sum((1, 2, 3))
        expected = (masses * falls[..., :, None]).sum((1, 2, 3)) / total
        np.testing.assert_allclose(own[f"{name}chosen_falls"], expected, rtol=1e-12)
        expected = (masses * both).sum((1, 2, 3)) / total
        np.testing.assert_allclose(own[f"{name}both_fall"], expected, rtol=1e-12)
        assert 0 < expected.min()
    expected = (masses * gain[..., :, None]).sum((1, 2, 3)) / total
    np.testing.assert_allclose(own["chosen_gain"], expected, atol=1e-6)
    # on two responses the better one rises whatever the reference: only wrong labels see a fall
    two = replace(cell, worlds=replace(law, responses=2))
    table = frame(measure_displacement(two, (0, 3), 7, "cpu"))
    scene = draw_scene(two, (0, 3), 7, "cpu")
    wrong = expit(-np.abs(scene.worlds.margins[..., 0, 1])).mean(1)
    for method in ("dpo", "madpo", "ipo"):
        np.testing.assert_allclose(of(table, method)["chosen_falls"], wrong, rtol=1e-12)
        np.testing.assert_allclose(of(table, method)["step_chosen_falls"], wrong, rtol=1e-12)
    assert not table["both_fall"].any()
    assert np.isnan(of(table, "beta_dpo")["step_chosen_falls"]).all()


def test_a_weight_of_steps_has_no_slope():
    """Its ratio is infinite on both sides, so that no exact world has a fit: NaN, not an error."""
    method = METHODS_OF_LIBRARY["dpo_filtered"]()
    assert not shift_slopes(np.linspace(-2, 2, 8).reshape(2, 2, 2), method).any()
    table = frame(measure_cell(Cell(methods=("dpo_filtered",), worlds=WORLDS), (0, 1), 0, "cpu"))
    assert not table["converged"].any() and np.isnan(table["target_shift"]).all()


def test_a_loss_of_several_targets_is_measured_with_one_of_them():
    """DiscoPOP has two where labels are a coin's, as on the diagonal of a table."""
    table = frame(measure_cell(Cell(methods=("discopop",), worlds=WORLDS), (0, 1), 0, "cpu"))
    assert np.isfinite(table["own_target_error"][table["converged"]]).all()
