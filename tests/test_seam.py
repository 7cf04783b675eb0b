"""The seam: a method that only this file defines goes wherever one of the library's goes.

What a person adds for a loss of their own is the class below; with it in a file of methods/ and
this test beside it, that is the whole change. Alignment and TRL have theirs in
align/test_smoke.py and test_trl.py.
"""

import inspect
import math
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.special import expit

from madpo_theory import METHODS, WEIGHTS, MarginSchedule, Method, Weighting, losses
from madpo_theory.experiments import noise
from madpo_theory.methods import Slots, method_named
from madpo_theory.registry import setting
from madpo_theory.show.names import look
from madpo_theory.simulate import PairProblem, fit_pairs, solve
from madpo_theory.simulate.cell import Cell, measure_cell
from madpo_theory.simulate.reward_models import GaussianModel
from madpo_theory.simulate.study import Study, run_study
from madpo_theory.simulate.worlds import WorldsConfig


@dataclass(frozen=True)
class Thrown(Method):
    """One-offset DPO, l(z - alpha h): thrown away after this file."""

    name, label, source = "thrown_away", "thrown away", "this test"
    needs = frozenset({"reference", "margin"})

    alpha: float = setting(0.5, "alpha >= 0", lambda v: v >= 0, "here")

    def slots(self, xp, h):
        return Slots(offset=xp.number(self.alpha, h) * h)


@dataclass(frozen=True)
class Halved(Weighting):
    """w(h) = e^(h/4): a weight that only this file defines."""

    name, label, source = "halved_here", "a quarter", "this test"

    def log_weight(self, xp, h):
        return h / 4


@dataclass(frozen=True)
class Mine(METHODS["madpo"]):
    """A subclass of ours, by another name."""

    name, label, source = "madpo_of_mine", "mine", "this test"


METHOD = Thrown(alpha=0.5)


def test_it_is_found_by_its_name():
    assert METHODS["thrown_away"] is Thrown and WEIGHTS["halved_here"] is Halved
    assert method_named("thrown_away", alpha=0.25, c_max=4.0) == Thrown(alpha=0.25)
    with pytest.raises(ValueError, match="alpha = -1 breaks the rule alpha >= 0"):
        Thrown(alpha=-1)
    assert pickle.loads(pickle.dumps(METHOD)) == METHOD


def test_its_target_is_the_formula_in_every_world():
    import sympy as sp
    from flint import arb

    h, model = np.array([-2.0, 0.3, 4.0]), np.array([1.0, -0.5, 3.0])
    np.testing.assert_allclose(METHOD.target(h, model), h + 0.5 * model, rtol=1e-15)
    assert METHOD.target(torch.tensor(1.0), torch.tensor(2.0)).item() == 2.0
    x = sp.Symbol("x", real=True)
    assert sp.N(METHOD.target(x).subs(x, sp.Rational(7, 3)), 30) == pytest.approx(3.5, rel=1e-15)
    assert METHOD.target(arb(2)).overlaps(arb(3))


def test_its_loss_has_the_fields_face():
    loss = losses.thrown_away
    names = list(inspect.signature(loss).parameters)
    assert names[:4] == [
        "policy_chosen_logps",
        "policy_rejected_logps",
        "reference_chosen_logps",
        "reference_rejected_logps",
    ]
    assert {"margin", "beta", "alpha"} == set(names[4:])
    logps, h = np.array([[-10.0], [-12.0], [-11.0], [-11.5]]), np.array([2.0])
    value, chosen, rejected = loss(*logps, margin=h, beta=0.5, alpha=0.5)
    z = 0.5 * ((-10 + 11) - (-12 + 11.5))
    assert value[0] == pytest.approx(math.log1p(math.exp(-(z - 1.0))), rel=1e-15)
    assert (chosen[0], rejected[0]) == (0.5, -0.25)


def test_labels_train_it_to_its_target():
    h, model, labels = np.linspace(-2, 2, 9), np.linspace(1, -1, 9), 400_000
    fit = fit_pairs(losses.thrown_away, h, labels, 7, margin=model, beta=0.5, alpha=0.5)
    p = expit(h)
    scores = (0.5 * fit.m - METHOD.target(h, model)) * np.sqrt(labels * p * (1 - p))
    assert np.abs(scores).max() < 4


def test_tables_are_solved_with_a_certificate():
    h = torch.tensor([0.0, 1.0, 2.5], dtype=torch.float64)
    true = (h[:, None] - h)[None]
    labels = torch.sigmoid(true)
    labels.diagonal(dim1=1, dim2=2).zero_()
    solution = solve(METHOD, PairProblem(labels, true, 0.1))
    assert solution.converged.all()
    # its targets add up: with an exact model it is DPO at beta/(1 + alpha)
    expected = 1.5 * (h - h.mean())
    assert (solution.scores[0] - expected).norm() <= solution.error_bound[0] + 1e-12


def test_a_study_measures_it_beside_ours(tmp_path):
    worlds = WorldsConfig(prompts=4, responses=3)
    cells = (Cell((("thrown_away", METHOD), ("madpo", METHODS["madpo"]()), "dpo"), worlds),)
    study = Study("seam", cells, measure_cell, block=2)
    import pandas

    table = pandas.read_parquet(run_study(study, worlds=2, out=tmp_path, progress=False))
    assert set(table["method"]) == {"thrown_away", "madpo", "dpo"}
    assert table["converged"].all() and (table["own_target_error"] < 1e-6).any()
    assert noise.study().measure is measure_cell  # as a study of ours does


WORLDS = WorldsConfig(prompts=4, responses=4)


def test_a_subclass_is_measured_as_what_it_is():
    """Not as unit weights: influence 0, mean weight 1."""
    schedule = MarginSchedule.released(4)
    mine, ours = (
        measure_cell(Cell((("m", cls(schedule)),), WORLDS, GaussianModel(1.0)), (0, 1), 0, "cpu")
        for cls in (Mine, METHODS["madpo"])
    )
    for name, values in ours.items():
        np.testing.assert_array_equal(mine[name], values, err_msg=name)
    assert all(value > 0 for value in mine["influence"])


def test_a_weight_of_the_users_is_measured_as_such():
    method = METHODS["madpo"](Halved())
    found = measure_cell(Cell((("quarter", method),), WORLDS), (0, 1), 0, "cpu")
    assert all(value > 0 for value in found["influence"])
    assert all(abs(value - 1) > 1e-3 for value in found["weight_mean"])
    np.testing.assert_allclose(found["local_sensitivity"], 0.5, rtol=1e-12)  # delta = h/2


def test_a_file_of_the_users_is_a_name(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from dataclasses import dataclass\n"
        "from madpo_theory import Method\n"
        "from madpo_theory.methods import Slots\n"
        "@dataclass(frozen=True)\n"
        "class Shifted(Method):\n"
        "    gamma: float = 1.0\n"
        "    def slots(self, xp, h):\n"
        "        return Slots(offset=self.gamma)\n"
    )
    method = method_named(f"{path}:Shifted", gamma=2.0)
    assert method.target(0.0) == 0.0 and method.target(50.0) == pytest.approx(52.0)
    assert pickle.loads(pickle.dumps(method)) == method
    for name, message in (
        ("nowhere.py:Loss", "there is no file"),
        (f"{path}:Other", "mine.py defines no Other"),
        (f"{path}:dataclass", "is no method"),
    ):
        with pytest.raises(ValueError, match=message):
            METHODS.find(name)


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match=r"name = 'dpo' of .* is taken by the method"):

        class Again(Method):
            name = "dpo"

    with pytest.raises(ValueError, match="breaks the rule of lower-case letters"):

        class Spelled(Method):
            name = "My-Loss"


def test_a_name_that_is_not_there_is_named():
    with pytest.raises(KeyError) as caught:
        METHODS["dpoo"]
    said = f"there is no method 'dpoo'; did you mean 'dpo'? list(METHODS) names all {len(METHODS)}"
    assert str(caught.value) == said
    with pytest.raises(KeyError, match="there is no weight 3; list"):
        WEIGHTS[3]
    assert "dpoo" not in METHODS and METHODS.get("dpoo") is None and 3 not in WEIGHTS


def test_every_figure_tells_it_from_the_others():
    shown = {name: look(name)[1:] for name in METHODS}
    assert look("thrown_away").label == "thrown away"
    assert shown["thrown_away"] not in [v for n, v in shown.items() if n != "thrown_away"]
