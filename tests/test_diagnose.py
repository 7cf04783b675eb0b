"""Diagnosis of pairs: against the whole data at once, in every format, with every refusal."""

import json
import math
import re
import shlex
import tracemalloc
from pathlib import Path

import numpy as np
import own_weight
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pair_files import FORMATS, drawn_margins, write_pairs
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit

from madpo_theory import (
    MarginSchedule,
    cli,
    effective_target,
    log_weight,
    log_weight_ratio,
    safe_tau,
    weight,
)
from madpo_theory.diagnose import Reading, diagnose
from madpo_theory.diagnose.asked import COMPARED
from madpo_theory.diagnose.calibration import EDGES, calibration
from madpo_theory.diagnose.effects import BOXES, falling_stretches, robustness, targets_at
from madpo_theory.diagnose.page import write_page
from madpo_theory.diagnose.sketch import RESOLUTION, WIDTH, sketch
from madpo_theory.diagnose.text import offset_rows
from madpo_theory.methods import Madpo
from madpo_theory.theory.efficiency import effective_sample_size
from madpo_theory.theory.temperature import match_temperature
from madpo_theory.weights import (
    AmpOnlyWeight,
    BoundedRatioWeight,
    PublishedWeight,
    ScaledWeight,
    Weighting,
    weighting_named,
)

MARGINS = drawn_margins(20_000, scale=0.8)
RELEASED = MarginSchedule.released(4)
SCHEDULES = (RELEASED, MarginSchedule.class_defaults(), MarginSchedule(3.0, 0.0, 2.0, 1.5))
# What the docstrings promise of means over pairs, which are taken over cells.
MEAN = 1e-6


@pytest.fixture(scope="module")
def found():
    return {schedule: diagnose(MARGINS, schedule) for schedule in SCHEDULES}


# --- numbers, against the whole data at once ------------------------------------------------------


def test_margins_are_summed_up(found):
    summary = found[RELEASED].margins
    assert (summary.lowest, summary.highest) == (MARGINS.min(), MARGINS.max())
    assert summary.mean == pytest.approx(MARGINS.mean(), abs=MEAN)
    assert summary.std == pytest.approx(MARGINS.std(), abs=MEAN)
    for share, value in summary.quantiles:
        assert abs(value - np.quantile(MARGINS, share, method="inverted_cdf")) <= WIDTH


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_shares_of_the_asked_schedule_are_exact(found, schedule):
    d, tau, n = found[schedule], schedule.tau, len(MARGINS)
    regimes = [MARGINS <= -tau, (MARGINS > -tau) & (MARGINS < 0), (MARGINS >= 0) & (MARGINS < tau),
               MARGINS >= tau]  # fmt: skip
    assert [round(r.share * n) for r in d.regimes] == [np.count_nonzero(r) for r in regimes]
    for effect in d.effects:
        low = weight(MARGINS, effect.weighting) < 0.5
        assert round(effect.suppressed * n) == np.count_nonzero(low)
        for fall in effect.falls:
            inside = (np.abs(MARGINS) > fall.start) & (np.abs(MARGINS) < fall.end)
            assert round(fall.share * n) == np.count_nonzero(inside)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("kind", COMPARED)
def test_effects_are_those_of_the_whole_data(found, schedule, kind):
    effect = found[schedule].effects[COMPARED.index(kind)]
    weighting = weighting_named(kind, schedule)
    weights, shift = weight(MARGINS, weighting), log_weight_ratio(MARGINS, weighting)
    assert effect.mean == pytest.approx(weights.mean(), rel=1e-5)
    assert effect.ess == pytest.approx(effective_sample_size(weights) / len(weights), rel=1e-5)
    # An extreme is that of a cell's mean: a cell away at most, where log w has the slope L or less.
    assert effect.smallest == pytest.approx(weights.min(), rel=2 * effect.sensitivity * WIDTH)
    assert effect.largest == pytest.approx(weights.max(), rel=2 * effect.sensitivity * WIDTH)
    match = match_temperature(MARGINS, weighting)
    assert effect.rho == pytest.approx(match.rho, rel=MEAN)
    assert effect.distance == pytest.approx(match.distance, abs=MEAN)
    assert effect.dpo_beta == pytest.approx(0.1 / match.rho, rel=MEAN)
    assert effect.target_change == pytest.approx(np.abs(shift).mean(), abs=MEAN)
    change = np.abs(shift - log_weight_ratio(MARGINS, schedule)).mean()
    asked = None if kind == "published" else pytest.approx(change, abs=MEAN)
    assert effect.asked_change == asked
    assert effect.influence_here == pytest.approx(
        np.abs(shift).max(), abs=effect.sensitivity * WIDTH
    )


def test_calibration_is_that_of_the_whole_data(found):
    c, size = found[RELEASED].calibration, np.abs(MARGINS)
    assert c.disputed == np.mean(MARGINS < 0)
    assert c.disputed_expected == pytest.approx(expit(-size).mean(), abs=MEAN)
    assert c.log_loss == pytest.approx(np.logaddexp(0, -MARGINS).mean(), abs=MEAN)
    place = np.digitize(size, EDGES)
    error = 0.0
    for b, entry in zip(np.unique(place), c.bins, strict=True):
        inside = place == b
        assert entry.pairs == inside.sum()
        assert entry.agreement == pytest.approx(np.mean(MARGINS[inside] > 0), abs=1e-15)
        assert entry.confidence == pytest.approx(expit(size[inside]).mean(), abs=MEAN)
        assert entry.agreement_low < entry.agreement < entry.agreement_high
        error += inside.mean() * abs(np.mean(MARGINS[inside] > 0) - expit(size[inside]).mean())
    assert c.error == pytest.approx(error, abs=MEAN)


def test_the_fitted_scale_maximizes_the_likelihood_and_is_the_true_one(found):
    c, fit = found[RELEASED].calibration, found[RELEASED].calibration.fits.scale_alone
    best = minimize_scalar(
        lambda a: np.logaddexp(0, -a * MARGINS).mean(), bounds=(0.1, 3), method="bounded",
        options={"xatol": 1e-9},
    )  # fmt: skip
    # A minimum is located to the root of the precision of its value.
    assert fit.scale == pytest.approx(best.x, abs=1e-6)
    assert -fit.log_likelihood / len(MARGINS) == pytest.approx(best.fun, abs=MEAN)
    assert abs(fit.scale - 0.8) < 4 * fit.scale_error < 0.05
    assert c.kind == "scale" and c.error_fitted < c.error
    assert c.log_loss_fitted == -fit.log_likelihood / len(MARGINS)


def test_the_fitted_scale_of_a_calibrated_model_is_one_within_its_error():
    scores = []
    for seed in range(40):
        fit = calibration(sketch([drawn_margins(4000, seed=seed)])).fits.scale_alone
        scores.append((fit.scale - 1) / fit.scale_error)
    # Standard normal scores: the mean of 40 is within 4/sqrt(40), their deviation within 1 +- 0.5.
    assert abs(np.mean(scores)) < 4 / math.sqrt(40)
    assert 0.5 < np.std(scores) < 1.5


def test_labels_that_always_agree_tell_no_scale():
    d = diagnose(np.abs(MARGINS))
    assert d.calibration.scale is None and d.calibration.disputed == 0
    assert any("all of the labels" in note for note in d.notes)
    against = diagnose(-np.abs(MARGINS))
    assert any(w.startswith("labels: the reward model disputes 100.0%") for w in against.warnings)


# --- what the theory says -------------------------------------------------------------------------


def test_the_numbers_of_the_ledger():
    effect = diagnose(MARGINS, MarginSchedule.released(2)).effects[0]
    (fall,) = effect.falls
    assert fall.start == pytest.approx(5.26, abs=0.005) and fall.end == math.log(999)
    top = effective_target(fall.start, fall.start, MarginSchedule.released(2))
    assert top == pytest.approx(8.33, abs=0.005)
    assert fall.drop == pytest.approx(top - math.log(999), abs=1e-9)
    assert effect.certified
    assert 2.306765 <= effect.sensitivity <= 2.306767 + 1e-4  # R1's enclosure, and the tolerance
    assert effect.influence == pytest.approx(3.475, abs=1e-3)  # R2


@pytest.mark.slow
@given(
    c_max=st.floats(1.05, 20), lam=st.floats(0.1, 10), share=st.floats(0.2, 3),
)  # fmt: skip
@example(c_max=2.0, lam=1.0, share=1.0)
@settings(max_examples=20)
def test_targets_fall_just_where_safe_tau_is_exceeded(c_max, lam, share):
    limit = safe_tau(c_max, 1 / c_max, lam)
    assume(share == 1 or abs(share - 1) > 1e-2)  # closer, the fall is too shallow for any grid
    schedule = MarginSchedule(c_max, 1 / c_max, lam, share * limit)
    falls = falling_stretches(Madpo(schedule), schedule)
    assert bool(falls) == (share > 1)
    for fall in falls:
        inside = np.linspace(fall.start + 1e-6, fall.end - 1e-6, 50)
        assert (np.diff(effective_target(inside, inside, schedule)) < 0).all()


def test_a_concave_target_is_certified_and_has_no_influence_bound(found):
    """Its shift is steepest at 0, where its slope is c_max - 1."""
    effect = found[RELEASED].effects[COMPARED.index("target_shaped")]
    assert effect.certified and effect.influence is None
    assert 3.0 <= effect.sensitivity <= 3.0 + 1e-4  # the tolerance


def test_what_takes_too_many_boxes_is_searched_and_says_so():
    schedule = MarginSchedule(3.0, 0.4, 1.0, 2.0 * BOXES)  # a box a nat does not reach tau
    for weighting, influence in (
        (PublishedWeight(schedule), 2 * schedule.tau),  # the closed form of R2, attained near tau
        (BoundedRatioWeight(schedule), None),
    ):
        made = robustness(Madpo(weighting), schedule)
        assert (
            not made["certified"] and made["known"] == f"searched, |h| <= {4 * schedule.tau + 60:g}"
        )
        assert (made["influence"] is None) == (influence is None)
        if influence is not None:
            # c is above 2.9 up to 10 nats left of tau, where the grid has a point
            assert 1.9 * (schedule.tau - 10) < made["influence"] <= influence


def test_a_target_that_vanishes_falls_without_end():
    schedule = MarginSchedule(2.0, 0.0, 1.0, 3.0)
    (fall,) = falling_stretches(Madpo(BoundedRatioWeight(schedule)), schedule)
    assert fall.end == math.inf
    top = effective_target(fall.start, fall.start, BoundedRatioWeight(schedule))
    assert fall.drop == top


# --- any weight -----------------------------------------------------------------------------------

OWN = Path(own_weight.__file__)


@pytest.mark.parametrize("kind", ("SoftStep", "BoundedSoftStep"))
def test_a_weight_of_ones_own_is_diagnosed_like_those_of_the_house(found, kind):
    weighting = getattr(own_weight, kind)()
    for asked in (weighting, weighting.name, weighting.name.replace("_", "-"), f"{OWN}:{kind}"):
        d = diagnose(MARGINS, RELEASED, weight=asked)
        assert d.effects[:4] == found[RELEASED].effects
        assert d.recommendation == found[RELEASED].recommendation
        (effect,) = d.effects[4:]
        assert (d.weight, effect.kind, effect.label) == (
            weighting.name, weighting.name, weighting.label,
        )  # fmt: skip
        weights = weight(MARGINS, weighting)
        assert effect.mean == pytest.approx(weights.mean(), rel=1e-5)
        assert effect.suppressed == 0 and effect.falls == ()
        # L = size = 1/2 and D = 2 size = 1, and the tolerance
        assert 0.5 <= effect.sensitivity <= 0.5 + 1e-4
        assert 1.0 - 1e-12 <= effect.influence <= 1.0 + 1e-4
        bounded = kind == "BoundedSoftStep"
        assert effect.certified == bounded
        assert effect.known == ("certified" if bounded else "|h| <= 60")
        assert effect.known in str(d) and effect.label in str(d)


@pytest.mark.parametrize(("h", "log_w"), [(-2.0, -57.87), (-4.0, -115.98), (-30.0, -868.76)])
def test_a_weight_that_float32_rounds_to_0_is_warned_of(h, log_w):
    """Every weight is positive: of those three one is 0 in float32, one in float64 too."""
    schedule = MarginSchedule(30.0, 0.05, 1.0, 40.0)
    assert log_weight(h, schedule) == pytest.approx(log_w, abs=0.005)
    d = diagnose(np.array([h, 1.0, 1.0]), schedule)
    small = [w for w in d.warnings if w.startswith("weights:")]
    assert len(small) == (np.float32(weight(h, schedule)) < np.finfo(np.float32).tiny)
    assert all("is 0 in float32" in w for w in small)


def test_warnings_are_about_the_weight_asked_for(found):
    assert any(w.startswith("target:") for w in found[RELEASED].warnings)
    soft = diagnose(MARGINS, RELEASED, weight=own_weight.SoftStep(2.5), bound=4.0)
    (warning,) = [w for w in soft.warnings if not w.startswith("calibration")]
    assert warning.startswith("D: a wrong reward model can move a target by 5.00 nats")
    ratio = diagnose(MARGINS, RELEASED, weight="bounded-ratio", bound=4.0)
    assert len(ratio.effects) == 4 and ratio.weight == "bounded_ratio"
    assert any(w.startswith("D: a wrong reward model can move a target without bound")
               for w in ratio.warnings)  # fmt: skip


def test_a_weighting_or_a_schedule_is_taken_as_it_is():
    other = MarginSchedule.class_defaults()
    for asked in (other, PublishedWeight(other)):
        d = diagnose(MARGINS[:500], RELEASED, weight=asked)
        assert d.effects[4].schedule == other
        assert d.effects[4].weighting == PublishedWeight(other)
        assert d.effects[4].influence == diagnose(MARGINS[:500], other).effects[0].influence
    same = diagnose(MARGINS[:500], RELEASED, weight=RELEASED)
    assert len(same.effects) == 4 and same.weight == "published"
    scaled = diagnose(MARGINS[:500], RELEASED, weight=ScaledWeight(own_weight.SoftStep(), 1.0))
    assert scaled.effects[4].schedule is None and scaled.weight == "ScaledWeight"
    assert scaled.effects[4].influence == pytest.approx(1.0, abs=1e-4)  # the base's


def test_a_subclass_without_a_name_does_not_pass_for_its_base():
    class Halved(PublishedWeight):
        def log_weight(self, xp, h):
            return PublishedWeight(self.schedule).log_weight(xp, h) / 2

        def log_ratio(self, xp, h):
            return PublishedWeight(self.schedule).log_ratio(xp, h) / 2

    d = diagnose(MARGINS[:500], RELEASED, weight=Halved(RELEASED))
    halved, published = d.effects[4], d.effects[0]
    assert halved.kind == halved.label == "Halved" and halved.known == "|h| <= 60"
    assert halved.influence == pytest.approx(published.influence / 2, abs=1e-4)


@pytest.mark.parametrize(
    "weighting",
    (pytest.param(AmpOnlyWeight(RELEASED), marks=pytest.mark.slow), own_weight.SoftStep()),
)
def test_a_page_shows_any_weight(tmp_path, weighting):
    d = diagnose(MARGINS[:500], RELEASED, weight=weighting)
    page = write_page(d, tmp_path / "d.html").read_text()
    assert f"<th>{weighting.label}</th>" in page and page.count('<svg class="plot"') == 4


def test_what_a_schedule_alone_cannot_make_is_refused():
    class Demanding(Weighting):
        name = "demanding"

        def __init__(self, more):
            self.more = more

        def log_weight(self, xp, h):
            return 0 * h

    with pytest.raises(ValueError, match="weight = 'demanding' cannot be made with a schedule"):
        diagnose(MARGINS[:9], weight="demanding")


# --- the sketch -----------------------------------------------------------------------------------

FINITE = st.floats(-1e8, 1e8) | st.floats(-20, 20) | st.integers(-30, 30).map(float)


@given(st.lists(FINITE, min_size=1, max_size=60), st.lists(FINITE, max_size=4), st.data())
@example([0.0, -0.0, -5e-324, 5e-324], [0.0], None)
@example([1e8, -1e8, 16.0, 32.0 - 1e-12], [16.0], None)
def test_a_sketch_counts_exactly_and_whatever_the_batches(values, breaks, data):
    whole = sketch([np.array(values)], breaks)
    h = np.where(np.abs(values) < RESOLUTION, 0.0, values)
    assert whole.pairs == len(h)
    assert (whole.lowest, whole.highest) == (h.min(), h.max())
    assert whole.ties == np.count_nonzero(h == 0)
    for at in (*breaks, 0.0):
        assert whole.count_below(at) == np.count_nonzero(h < at)
    # Every margin lies within a cell's width of the mean of its cell, in order.
    near = np.repeat(whole.margins, whole.counts)
    width = np.maximum(WIDTH, 2**-13 * (np.abs(near) + 16))
    assert (np.abs(np.sort(h) - near) <= width).all()
    cut = 1 if data is None else data.draw(st.integers(0, len(h)))
    order = np.argsort(h) if data is None else data.draw(st.permutations(range(len(h))))
    other = sketch([h[list(order)][:cut], h[list(order)][cut:]], breaks)
    for name in ("margins", "counts", "below"):
        assert (getattr(whole, name) == getattr(other, name)).all()


def test_a_mean_over_cells_is_within_the_promised_bound():
    f = np.sin  # |f''| <= 1
    pairs = sketch([MARGINS])
    assert abs(pairs.mean(f(pairs.margins)) - f(MARGINS).mean()) <= WIDTH**2 / 8
    atoms = sketch([np.repeat([-3.0, 0.25, 7.0], [5, 6, 7])])
    assert atoms.margins == pytest.approx([-3.0, 0.25, 7.0], abs=1e-11)


def test_memory_does_not_grow_with_the_pairs():
    def batches(count):
        rng = np.random.default_rng(0)
        return (rng.normal(0, 3, 1 << 17) for _ in range(count))

    peaks = []
    for count in (4, 64):
        tracemalloc.start()
        assert sketch(batches(count)).pairs == count << 17
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] < 64 * 2**20  # 64 batches hold 64 MiB


# --- files ----------------------------------------------------------------------------------------


def columns_of(h, seed=3):
    rng = np.random.default_rng(seed)
    rejected = np.round(rng.normal(size=len(h)), 6)
    return {
        "prompt": [f'a "quoted", text {k}\n' for k in range(len(h))],
        "score_chosen": (rejected + h).tolist(),
        "score_rejected": rejected.tolist(),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same 700 pairs in every format, margins in halves so that differences are exact."""
    path = tmp_path_factory.mktemp("pairs")
    h = np.round(2 * MARGINS[:700]) / 2
    columns = columns_of(h[h != 0])
    columns["score_rejected"] = (np.round(np.array(columns["score_rejected"]) * 64) / 64).tolist()
    columns["score_chosen"] = (h[h != 0] + columns["score_rejected"]).tolist()
    for kind in FORMATS:
        write_pairs(path, kind, columns)
    return path, h[h != 0]


def comparable(diagnosis):
    return {
        k: v
        for k, v in diagnosis.record().items()
        if k not in ("source", "columns", "guessed", "reading")
    }


def test_formats_and_batches_change_nothing(folder):
    path, h = folder
    asked = comparable(diagnose(h))
    for kind in FORMATS:
        file = path / ("pairs" if kind == "folder" else f"pairs.{kind}")
        for rows in (None, 97):
            assert comparable(diagnose(file, rows=rows)) == asked, (kind, rows)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_label_turns_margins_round(tmp_path, kind):
    h = MARGINS[:200]
    first = np.arange(200) % 3 > 0
    sign = np.where(first, 1, -1)
    columns = {"reward_first": (sign * h).tolist(), "reward_second": [0.0] * 200}
    plain = comparable(diagnose(h))
    for label in (first.tolist(), first.astype(int).tolist()):
        path = write_pairs(tmp_path, kind, {**columns, "first_chosen": label}, f"p{label[1]}")
        assert comparable(diagnose(path)) == plain
        named = Reading(rewards=("reward_first", "reward_second"), label="first_chosen")
        assert comparable(diagnose(path, reading=named)) == plain
        unlabelled = Reading(rewards=("reward_first", "reward_second"))
        assert diagnose(path, reading=unlabelled).calibration.disputed == np.mean(sign * h < 0)


@pytest.mark.parametrize("dtype", (np.float32, np.float64, np.int32))
def test_types_of_columns(tmp_path, dtype):
    h = np.round(4 * MARGINS[:300]).astype(dtype)
    h = h[h != 0]
    path = write_pairs(tmp_path, "parquet", {"margin": h})
    assert comparable(diagnose(path)) == comparable(diagnose(h.astype(float)))


def test_scale_multiplies_margins():
    half = diagnose(MARGINS, reading=Reading(scale=0.5))
    assert half.calibration.scale == pytest.approx(
        2 * diagnose(MARGINS).calibration.scale, rel=MEAN
    )
    assert half.effects[0] == diagnose(MARGINS / 2).effects[0]


def test_guesses(tmp_path):
    one, many = [1.0, -0.5], {"other": [1, 2]}
    for names, expected in (
        (("margin",), "margin"),
        (("model_margin", "true_margin"), "model_margin"),
        (("chosen_score", "rejected_score"), "chosen_score - rejected_score"),
        (("reward_rejected", "reward_chosen"), "reward_chosen - reward_rejected"),
        (("model_margin", "reward_first", "reward_second", "first_chosen"), "model_margin"),
    ):
        values = {name: [v * (k + 1) for v in one] for k, name in enumerate(names)}
        d = diagnose(write_pairs(tmp_path, "jsonl", {**values, **many}))
        assert (d.columns, d.guessed) == (expected, True)


# --- refusals -------------------------------------------------------------------------------------

NAN = math.nan
REFUSED = [
    ({"margin": [1.0], "model_margin": [1.0]}, {}, ["several columns", "model_margin", "--margin"]),
    ({"a": [1.0], "b": [2.0]}, {}, ["no column looks like a margin", "are a, b", "--rewards"]),
    ({"a": [1.0]}, {"margin": "h"}, ["no column 'h'", "columns are a"]),
    ({"a": [1.0]}, {"margin": "a", "label": "y"}, ["no column 'y'", "columns are a"]),
    ({"margin": [1.0, NAN]}, {}, ["row 2, column margin", "missing or NaN", "--drop-invalid"]),
    ({"margin": [1.0, None]}, {}, ["row 2, column margin", "missing or NaN", "--drop-invalid"]),
    ({"margin": [math.inf]}, {}, ["row 1, column margin", "inf", "finite", "--drop-invalid"]),
    ({"margin": [3e9]}, {}, ["row 1, column margin", "3e+09", "<= 1e+08", "--scale"]),
    ({"score_chosen": [1.0, 2.0], "score_rejected": [0.0, -math.inf]}, {},
     ["row 2, column score_rejected", "-inf", "--drop-invalid"]),
    ({"margin": [1.0, 2.0], "y": [1.0, 0.5]}, {"margin": "margin", "label": "y"},
     ["row 2, column y", "neither response", "--drop-invalid"]),
    ({"margin": [1.0, 2.0], "y": [1, -1]}, {"margin": "margin", "label": "y"},
     ["row 2, column y", "-1 breaks the rule", "recode"]),
]  # fmt: skip


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("columns", "reading", "words"), REFUSED)
def test_refusals_name_row_column_rule_and_fix(tmp_path, kind, columns, reading, words):
    path = write_pairs(tmp_path, kind, columns)
    with pytest.raises(ValueError) as error:
        diagnose(path, reading=Reading(**reading))
    assert str(path) in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_files_that_are_no_pairs_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "empty.csv").write_text("margin\n")
    (tmp_path / "none.jsonl").write_text("")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not")
    (tmp_path / "broken.jsonl").write_text('{"margin": 1}\n{"margin": \n')
    (tmp_path / "list.jsonl").write_text('{"margin": 1}\n[1]\n')
    (tmp_path / "two.jsonl").write_text('{"margin": 1},{"margin": 2}\n')
    (tmp_path / "text.jsonl").write_text('{"margin": 1}\n{"margin": "2"}\n')
    (tmp_path / "truth.jsonl").write_text('{"margin": 1}\n{"margin": true}\n')
    (tmp_path / "ragged.csv").write_text("margin,b\n1,2\n1,2,3\n")
    (tmp_path / "word.csv").write_text("margin,b\n1,2\nhigh,3\n")
    (tmp_path / "twice.csv").write_text("margin,margin\n1,2\n")
    (tmp_path / "latin.csv").write_bytes("margin,b\n1,é\n".encode("latin-1"))
    (tmp_path / "bare").mkdir()
    (tmp_path / "dict" / "train").mkdir(parents=True)
    (tmp_path / "dict" / "dataset_dict.json").write_text("{}")
    for name, words in {
        "nowhere.parquet": "there is no such file",
        "a.txt": "must end in one of .arrow, .csv, .json, .jsonl, .parquet, .tsv",
        "empty.csv": "holds no rows",
        "none.jsonl": "holds no rows",
        "broken.parquet": "cannot be read",
        "broken.jsonl": "row 2: is not JSON",
        "list.jsonl": "row 2: must be an object",
        "two.jsonl": "row 1: is not JSON",
        "text.jsonl": "row 2, column margin: must be a number, got '2'",
        "truth.jsonl": "row 2, column margin: must be a number, got True",
        "ragged.csv": "row 2: has 3 cells, the header 2",
        "word.csv": "row 2, column margin: must be a number, got 'high'",
        "twice.csv": "column 'margin' twice",
        "latin.csv": "is not UTF-8",
        "bare": "holds no rows; pass a folder",
        "dict": "holds no rows; pass a folder",
    }.items():
        with pytest.raises(ValueError, match=re.escape(words)) as error:
            diagnose(tmp_path / name)
        assert name in str(error.value)
    text = write_pairs(tmp_path, "parquet", {"margin": ["1", "2"]}, "strings")
    with pytest.raises(ValueError, match="column margin: holds string, and must hold numbers"):
        diagnose(text)


@pytest.mark.parametrize(
    ("source", "options", "error", "words"),
    [
        ([[1.0]], {}, TypeError, "margins must be real numbers in one dimension"),
        (["a"], {}, TypeError, "margins must be real numbers"),
        ([], {}, ValueError, "margins: holds no rows; give one row"),
        ([1.0, NAN], {}, ValueError, "margins, index 1: missing or NaN"),
        ([1.0], {"schedule": 4}, TypeError, "schedule must be a MarginSchedule"),
        ([1.0], {"beta": 0.0}, ValueError, "beta = 0.0 breaks the rule beta > 0"),
        ([1.0], {"ess": 1.0}, ValueError, "ess = 1.0 breaks the rule 0 < ess < 1"),
        ([1.0], {"bound": -1.0}, ValueError, "bound = -1.0 breaks the rule bound > 0"),
        ([1.0], {"gamma": 1.0}, ValueError, "gamma = 1.0 breaks the rule 0 < gamma < 1"),
        ([1.0], {"weight": 4}, TypeError, "weighting must be a MarginSchedule"),
        (
            [1.0],
            {"weight": "fame"},
            ValueError,
            "weight = 'fame' breaks the rule that it is a weight",
        ),
        ([1.0], {"weight": "nowhere.py:Fame"}, ValueError, "there is no file"),
    ],
)
def test_wrong_arguments_are_refused(source, options, error, words):
    with pytest.raises(error, match=words):
        diagnose(np.array(source), **options)


def test_wrong_readings_are_refused():
    with pytest.raises(ValueError, match=r"margin = 'a' and rewards = .* both given"):
        Reading(margin="a", rewards=("b", "c"))
    with pytest.raises(ValueError, match=r"scale = -1\.0 breaks the rule scale > 0"):
        Reading(scale=-1.0)


@pytest.mark.parametrize("kind", FORMATS)
def test_invalid_rows_are_dropped_and_counted(tmp_path, kind):
    h = [1.0, None, math.inf, 0.0, 2.0, 3e9, -1.0]
    y = [1.0, 1.0, 1.0, 1.0, 0.5, 1.0, 1.0]
    path = write_pairs(tmp_path, kind, {"margin": h, "y": y})
    reading = Reading(margin="margin", label="y", drop_invalid=True, keep_ties=False)
    dropped = {"missing or NaN": 1, "infinite": 1, "tie": 1, "label without a choice": 1,
               "too large": 1}  # fmt: skip
    for rows in (None, 2):
        d = diagnose(path, reading=reading, rows=rows)
        assert d.pairs == 2 and dict(d.dropped) == dropped
        assert (d.margins.lowest, d.margins.highest) == (-1.0, 1.0)


def test_ties_are_kept_and_are_half_an_agreement():
    d = diagnose(np.array([1.0, 0.0, 0.0, -1.0]))
    assert "2 ties" in str(d) and d.dropped == ()
    without = diagnose(np.array([1.0, 0.0, 0.0, -1.0]), reading=Reading(keep_ties=False))
    assert without.pairs == 2 and without.dropped == (("tie", 2),)
    assert d.margins.ties == 2 and d.calibration.disputed == 0.25
    assert d.calibration.bins[0].agreement == 0.5


@pytest.mark.parametrize(
    ("margins", "words"),
    [
        ([0.0] * 200, "all margins are 0, ties: the reward model prefers neither response"),
        ([2.0] * 200, "the reward model agrees with all of the labels: they"),
        ([0.0] * 50 + [2.0, 1.0] * 75, "agrees with all of the labels but for 50 ties: they"),
        ([-2.0] * 200, "the reward model agrees with none of the labels: they"),
        ([0.0] * 50 + [-2.0, -1.0] * 75, "agrees with none of the labels but for 50 ties: they"),
        ([2.0, -1.0] * 100, "the reward model was trained on is too good"),
    ],
)
def test_what_the_labels_say_of_the_model_is_said_of_ties_as_ties(margins, words):
    notes = diagnose(np.array(margins)).notes
    assert (
        sum("they tell nothing" in n or "too good" in n or "are 0, ties" in n for n in notes) == 1
    )
    assert any(words in note for note in notes)


@pytest.mark.parametrize("asked", COMPARED)
def test_easy_pairs_are_spoken_of_under_the_weight_that_treats_them_so(asked):
    h = MARGINS + 5
    found = diagnose(h, weight=asked)
    (note,) = (note for note in found.notes if "are easy" in note)
    assert "the published weight leaves their targets at h" in note
    assert "the bounded ratio one dampens them to c h" in note
    beyond = np.linspace(found.schedule.tau, 40, 200)
    by = {e.kind: targets_at(e.method, beyond) for e in found.effects}
    assert np.abs(by["published"] - beyond).max() <= math.log(2)
    assert (beyond - by["bounded_ratio"]).max() > 10


# --- the command ----------------------------------------------------------------------------------


def test_exit_codes_and_outputs(tmp_path, capsys):
    fine = write_pairs(tmp_path, "csv", {"margin": drawn_margins(3000).tolist()}, "fine")
    html, record = tmp_path / "out" / "d.html", tmp_path / "out" / "d.json"
    gentle = ["--c-max", "2", "--tau", "2"]
    assert cli.main(["diagnose", str(fine), *gentle, "--json", str(record)]) == 0
    assert "WARNING" not in capsys.readouterr().out
    assert cli.main(["diagnose", str(fine), "--html", str(html)]) == 1
    out = capsys.readouterr().out
    assert "c_max 2, c_min 0.5, lam 1, tau 6.907" in out and "WARNING      target" in out
    assert cli.main(["diagnose", str(fine), *gentle, "--bound", "0.1"]) == 1
    assert "WARNING      D" in capsys.readouterr().out
    assert cli.main(["diagnose", str(fine), *gentle, "--ess", "0.999"]) == 1
    assert "WARNING      ESS" in capsys.readouterr().out
    assert cli.main(["diagnose", str(fine), *gentle, "--weight", f"{OWN}:SoftStep"]) == 0
    assert "soft step" in capsys.readouterr().out
    assert cli.main(["diagnose", str(fine), *gentle, "--scale", "2"]) == 1
    assert "WARNING      calibration: margins are overconfident" in capsys.readouterr().out
    for wrong, words in (
        (["--c-max", "0"], "c_max = 0.0 breaks the rule"),
        (["--margin", "h"], "no column 'h'"),
        (["--ess", "2"], "ess = 2.0 breaks the rule"),
        (["--weight", "best"], "weight = 'best' breaks the rule"),
        (["--weight", f"{OWN}:Fame"], "defines no Fame"),
    ):
        assert cli.main(["diagnose", str(fine), *wrong]) == 2
        assert words in capsys.readouterr().err

    def strict(word):
        raise AssertionError(f"{word} is not JSON")

    stored = json.loads(record.read_text(), parse_constant=strict)
    assert stored["pairs"] == 3000 and stored["schedule"]["tau"] == 2.0
    assert [effect["kind"] for effect in stored["effects"]] == list(COMPARED)


@pytest.mark.slow
def test_the_page_needs_nothing_from_outside(tmp_path):
    d = diagnose(MARGINS[:2000], bound=2.0)
    pages = [write_page(d, tmp_path / name).read_text() for name in ("a.html", "b.html")]
    assert pages[0] == pages[1]
    page = pages[0]
    assert page.count('<svg class="plot"') == 4
    outside = set(re.findall(r"""(?:href|src|url)\s*[=(]\s*["']?([^"')>\s]+)""", page))
    assert all(target.startswith("#") for target in outside)
    assert set(re.findall(r'https?://[^"<\s]+', page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {target[1:] for target in outside} <= set(ids)
    assert "<script" not in page
    for warning in d.warnings:
        assert warning.split(":")[0] in page


@pytest.mark.parametrize(
    "margins",
    (
        [2.0],
        [1e8, -1e8, 3.0],
        *(
            pytest.param(margins, marks=pytest.mark.slow)
            for margins in ([-3.0, -1.0], [1e-9, -2e-9, 5e-9], [16.0] * 9)
        ),
    ),
)
def test_unusual_margins_make_a_page(tmp_path, margins):
    page = write_page(diagnose(np.array(margins)), tmp_path / "d.html").read_text()
    assert page.count('<svg class="plot"') == 4 and "nan" not in re.sub("<svg.*?</svg>", "", page)


@pytest.mark.parametrize(
    "schedule",
    (
        pytest.param(MarginSchedule(4.0, 0.25, 1e8, 2.0), marks=pytest.mark.slow),
        pytest.param(MarginSchedule(4.0, 0.25, 1e-3, 1e5), marks=pytest.mark.slow),
        MarginSchedule(1.0000001, 0.99999, 1.0, 3.0),
        MarginSchedule(1e8, 0.0, 1e8, 1e8),
    ),
)
def test_extreme_schedules_are_diagnosed(schedule):
    d = diagnose(MARGINS[:1000], schedule)
    weights = weight(MARGINS[:1000], schedule)
    assert d.effects[0].ess == pytest.approx(effective_sample_size(weights) / 1000, rel=1e-4)
    json.dumps(d.record(), allow_nan=False)


def test_the_readmes_commands_run(tmp_path, monkeypatch, capsys):
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    commands = [
        shlex.split(line, comments=True)[1:]
        for block in re.findall(r"```sh\n(.*?)```", readme, re.S)
        for line in block.splitlines()
        if line.startswith(("madpo diagnose", "madpo weights"))
    ]
    assert {command[0] for command in commands} == {"diagnose", "weights"}
    monkeypatch.chdir(tmp_path)
    write_pairs(tmp_path, "parquet", {"margin": drawn_margins(2000)})
    statuses = [cli.main(command) for command in commands]
    # The released schedule has something to mend, the gentle one has not.
    assert statuses == [1, 0, 0], capsys.readouterr().out
    assert {p.name for p in tmp_path.iterdir()} == {
        "pairs.parquet", "diagnosis.html", "diagnosis.json", "weighted.parquet",
    }  # fmt: skip


def test_a_folder_that_datasets_saved_is_read_like_the_file(tmp_path):
    datasets = pytest.importorskip("datasets")
    margins = np.random.default_rng(0).normal(1, 2, 500)
    rows = datasets.Dataset.from_dict({"id": range(500), "margin": margins})
    rows.save_to_disk(tmp_path / "saved", num_shards=3)
    rows.to_parquet(tmp_path / "pairs.parquet")
    folder, file = (diagnose(tmp_path / name) for name in ("saved", "pairs.parquet"))
    differ = {k for k, v in folder.record().items() if v != file.record()[k]}
    assert differ == {"source"}
    datasets.DatasetDict({"train": rows, "test": rows}).save_to_disk(tmp_path / "splits")
    with pytest.raises(ValueError, match="several splits; name one of test, train"):
        diagnose(tmp_path / "splits")
    train = diagnose(tmp_path / "splits" / "train")
    assert train.margins == folder.margins


def test_a_margin_that_is_rounding_noise_is_a_tie():
    """0.3 against 0.1 + 0.2: no label is disputed, and none says how to scale the margins."""
    found = diagnose(np.array([0.3 - (0.1 + 0.2)] + [5.0] * 200))
    assert found.calibration.disputed == 0 and found.calibration.scale is None
    assert not any("calibration" in warning for warning in found.warnings)


def test_a_tiny_dispute_fits_the_scale_that_its_likelihood_has():
    margins = np.array([-1e-9] + [5.0] * 1000)
    exact = brentq(lambda a: margins @ expit(-a * margins), 1e-3, 100, xtol=1e-12)
    # the sketch knows a margin to 1.5e-11, 1.5 % of this one, of which the root takes 1/30
    assert diagnose(margins).calibration.scale == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize(
    ("asked", "place"), [("published", 0), ("efficient", 3), (MarginSchedule.class_defaults(), -1)]
)
def test_the_offset_stands_beside_the_weight(asked, place, tmp_path):
    """At quantiles, of the weight that was asked for, in the text and on the page."""
    found = diagnose(MARGINS, weight=asked)
    own = found.effects[place]
    for (share, at, shown, offset), (q, h, target) in zip(
        offset_rows(found), found.targets, strict=True
    ):
        delta = log_weight_ratio(h, own.weighting)
        assert (share, at) == (f"{q:.0%}", f"{h:.3g}")
        assert (shown, offset) == (f"{weight(h, own.weighting):.3g}", f"{delta:+.3g}")
        assert target == pytest.approx(h + delta, rel=1e-12, abs=1e-12)
    rows = [line for line in str(found).splitlines() if line.startswith("  or offset")]
    assert len(rows) == 1 and rows[0].split()[2:] == [row[3] for row in offset_rows(found)]
    assert any(f"an ESS of 100 % in the place of {own.ess:.1%}" in note for note in found.notes)
    page = write_page(found, tmp_path / "page.html").read_text()
    assert "<th>or offset</th>" in page and f"<td>{rows[0].split()[2]}</td>" in page


def test_means_far_from_one_are_noted_with_their_numbers(found):
    for diagnosis in found.values():
        means = {e.label: weight(MARGINS, e.weighting).mean() for e in diagnosis.effects}
        far = [f"{k} {m:.3g}" for k, m in means.items() if not 1 / 1.25 <= m <= 1.25]
        noted = [note for note in diagnosis.notes if note.startswith("mean weights far from 1")]
        assert len(noted) == bool(far)
        assert not far or f"({', '.join(far)})" in noted[0]
