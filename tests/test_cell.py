"""Cells of studies: rows for every method and world, and the theory's bounds beside them."""

import math

import numpy as np
import pytest

from madpo_theory import MarginSchedule
from madpo_theory.simulate.cell import Cell, measure_cell
from madpo_theory.simulate.methods import Madpo, Rdpo
from madpo_theory.simulate.reward_models import ExactModel, FlippedModel, GaussianModel
from madpo_theory.simulate.worlds import WorldsConfig

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
        ({"methods": ("sft",)}, "method must be"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Cell(**settings)
