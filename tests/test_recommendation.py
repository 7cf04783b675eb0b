"""What a diagnosis advises, against least squares of targets on the raw margins."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pair_files import drawn_margins
from scipy.optimize import minimize_scalar
from scipy.special import expit

from madpo_theory import MarginSchedule, effective_target, safe_lam, safe_tau, weight
from madpo_theory.diagnose import Reading, diagnose
from madpo_theory.diagnose.recommendation import ADDS, FALLING, recommend
from madpo_theory.diagnose.sketch import sketch
from madpo_theory.diagnose.text import advice_text
from madpo_theory.methods import Madpo
from madpo_theory.theory.efficiency import effective_sample_size
from madpo_theory.weights import weighting_named

RELEASED = MarginSchedule.released(4)
MARGINS = drawn_margins(20_000)


def small(n=5000, *, sd=1.0, scale=1.0, seed=0):
    """Calibrated margins of a standard deviation, toward their labels, over `scale`."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0, sd, n)
    return np.where(rng.random(n) < expit(true), true, -true) / scale


def off(h, weighting, asked=RELEASED, beta=0.1):
    """(best beta of a weight, or of DPO, relative distance there from the targets asked for)."""
    wanted = effective_target(h, h, asked)
    own = h if weighting is None else effective_target(h, h, weighting)
    best = minimize_scalar(lambda s: np.linalg.norm(wanted - s * own), bounds=(0, 20),
                           method="bounded", options={"xatol": 1e-10})  # fmt: skip
    return beta / best.x, best.fun / np.linalg.norm(wanted)


def test_choices_are_compared_at_their_own_best_temperature():
    found = diagnose(MARGINS, RELEASED).recommendation
    assert [c.name for c in found.choices] == ["dpo", "lam", "tau", "c_max", "target_shaped"]
    for choice in found.choices:
        beta, distance = off(MARGINS, choice.weighting)
        assert choice.off == pytest.approx(distance, abs=1e-6)
        assert choice.beta == pytest.approx(beta, rel=1e-4)
        if choice.weighting is not None:
            weights = weight(MARGINS, choice.weighting)
            ess = effective_sample_size(weights) / len(MARGINS)
            assert choice.ess == pytest.approx(ess, rel=1e-5)
            targets = effective_target(u := np.linspace(0, 60, 60_001), u, choice.weighting)
            assert (np.diff(targets) > 0).all()
    nearest = min(c.off for c in found.choices)
    simplest = next(c for c in found.choices if c.off <= nearest + ADDS)
    assert found.choice == simplest and simplest.name == "lam"
    assert found.schedule.lam == pytest.approx(safe_lam(4, 0.25, RELEASED.tau), rel=1e-2)
    assert found.schedule.lam <= safe_lam(4, 0.25, RELEASED.tau)
    tau = found.choices[2].schedule.tau
    assert safe_tau(4, 0.25, 1) - 0.01 < tau <= safe_tau(4, 0.25, 1)


def test_where_margins_are_small_weights_add_nothing():
    h = small()
    found = diagnose(h, RELEASED)
    beta, distance = off(h, None)
    assert distance < 0.05 and found.recommendation.choice.name == "dpo"
    assert found.recommendation.choice.beta == pytest.approx(beta, rel=1e-4)
    assert found.recommendation.changed and found.recommendation.effect is None
    assert f"recommended  DPO at beta {beta:.3g}, without weights" in str(found)
    assert "they add next to nothing" in found.recommendation.reasons[-1]


def test_one_pair_changes_no_advice():
    h = small()
    assert np.abs(h).max() < 4.4  # where targets begin to fall
    without, with_one = (diagnose(margins, RELEASED) for margins in (h, np.append(h, 5.0)))
    for one, other in zip(
        without.recommendation.choices, with_one.recommendation.choices, strict=True
    ):
        assert (one.name, one.schedule) == (other.name, other.schedule)
        assert one.beta == pytest.approx(other.beta, rel=0.01)
    assert without.recommendation.choice.name == with_one.recommendation.choice.name
    assert without.warnings == with_one.warnings == ()


def test_up_to_the_share_that_is_warned_of_falls_are_let_be():
    h = small(1000)
    for many in (9, 10, 11, 30):
        pairs = np.append(h[: 1000 - many], np.full(many, 5.0))
        found = diagnose(pairs, RELEASED)
        let_be = many / 1000 <= FALLING
        assert ("asked" in [c.name for c in found.recommendation.choices]) == let_be
        assert any(w.startswith("target:") for w in found.warnings) != let_be


def test_advice_is_given_at_the_scale_that_is_believed():
    """Of overconfident margins it is that of the same file once they are scaled."""
    h = small(sd=2.0, scale=0.25)
    found = diagnose(h, RELEASED)
    scale = found.recommendation.scale
    assert scale == pytest.approx(found.calibration.fits.believed.scale, rel=5e-3)  # 3 digits
    again = diagnose(h, RELEASED, reading=Reading(scale=scale)).recommendation
    assert again.scale == scale
    for one, other in zip(found.recommendation.choices, again.choices, strict=True):
        assert (one.name, one.schedule) == (other.name, other.schedule)
        assert one.beta == pytest.approx(other.beta, rel=5e-3)
    assert f"of margins times {scale:.3g}" in advice_text(found)
    assert "times" not in advice_text(diagnose(small(sd=2.0), RELEASED))


def test_what_is_recommended_instead_is_compared_with_what_was_asked():
    found = diagnose(MARGINS, RELEASED)
    made, asked = (
        effective_target(MARGINS, MARGINS, s) for s in (found.recommendation.schedule, RELEASED)
    )
    effect = found.recommendation.effect
    # means over cells are within 1e-6, as promised
    assert effect.asked_change == pytest.approx(np.abs(made - asked).mean(), abs=1e-6)
    assert effect.target_change == pytest.approx(np.abs(made - MARGINS).mean(), abs=1e-6)
    (row,) = [line for line in str(found).splitlines() if line.startswith("  from asked")]
    assert row.split()[2] == "-" and row.split()[-1] == f"{effect.asked_change:.3g}"


@given(
    ess=st.floats(0.5, 0.999), bound=st.none() | st.floats(0.05, 10), c_max=st.floats(1.2, 8),
    tau=st.floats(0.5, 8), c_min=st.none() | st.floats(0.0, 0.9),
)  # fmt: skip
@example(ess=0.5, bound=None, c_max=4.0, tau=6.9, c_min=None)
@example(ess=0.99, bound=0.4, c_max=4.0, tau=6.9, c_min=None)
@settings(max_examples=8, deadline=None)
def test_every_choice_keeps_what_was_asked(ess, bound, c_max, tau, c_min):
    asked = MarginSchedule(c_max, 1 / c_max if c_min is None else c_min, 1.0, tau)
    shaped = weighting_named("target_shaped", asked)
    advice = recommend(sketch([MARGINS]), asked, shaped, ess=ess, bound=bound, beta=0.1)
    assert advice.choices[0].name == "dpo" and advice.reasons
    for choice in advice.choices[1:]:
        assert choice.schedule.c_max <= c_max and choice.ess >= ess
        assert bound is None or choice.influence <= bound
        falls = np.diff(
            effective_target(u := np.sort(np.abs(MARGINS)), u, Madpo(choice.weighting).weighting)
        )
        # a pair next to a falling stretch's end may be counted on it or not
        assert np.mean(falls < -1e-9) <= FALLING + 1e-3
    if advice.effect is not None:
        assert advice.effect.falling_share <= FALLING
        assert bound is None or advice.effect.influence <= bound
    assert advice.changed == ((advice.choice.name, advice.schedule) != ("asked", asked))


def test_what_does_no_harm_and_is_no_temperature_is_left_as_it_is():
    asked = MarginSchedule.class_defaults()
    found = diagnose(drawn_margins(5000), asked)
    assert off(drawn_margins(5000), None, asked)[1] > ADDS
    assert found.recommendation.schedule == asked and not found.recommendation.changed
    assert found.recommendation.choice.beta == 0.1 and "(as asked)" in str(found)
    assert found.warnings == ()


def test_margins_of_one_size_adapt_nothing():
    for margins in (np.full(400, 6.0), np.where(np.arange(400) % 5, 6.0, -6.0)):
        found = diagnose(margins, RELEASED)
        assert found.recommendation.choice.name == "dpo"
        rho = effective_target(6.0, 6.0, RELEASED) / 6
        assert found.recommendation.choice.beta == pytest.approx(0.1 / rho, rel=1e-9)
        assert "all margins have one size" in found.cautions[-1]
        assert not any(w.startswith("target:") for w in found.warnings)  # none is easier
    ties = diagnose(np.zeros(400), RELEASED)
    assert (ties.recommendation.choice.name, ties.recommendation.choice.beta) == ("dpo", 0.1)


@pytest.mark.parametrize(("n", "few"), [(20, True), (5000, False)])
def test_few_pairs_are_a_caution_before_any_number(n, few):
    found = diagnose(small(n, sd=2.0), RELEASED)
    lines = str(found).splitlines()
    assert lines[1].startswith("CAUTION      20 pairs are few") == few
    # the ECE of calibrated labels, by simulation
    rng, size = np.random.default_rng(1), np.abs(small(n, sd=2.0))
    errors = [
        diagnose(np.where(rng.random(n) < expit(size), size, -size), RELEASED).calibration.error
        for _ in range(12)
    ] if few else []  # fmt: skip
    if few:  # a mean of 12 is within a quarter; the formula is for many pairs to a bin
        assert found.calibration.error_by_chance == pytest.approx(np.mean(errors), rel=0.5)


def test_labels_made_from_the_margins_leave_the_scale_open():
    """Ratings: what would be advised at three scales, and nothing in nats."""
    rng = np.random.default_rng(0)
    stars = np.sort(rng.integers(1, 11, (4000, 2)), axis=1)
    h = (stars[:, 1] - stars[:, 0]).astype(float)
    found = diagnose(h, RELEASED)
    advice = found.recommendation
    assert advice.choice is None and "recommended  nothing yet" in str(found)
    assert [s.disputed for s in advice.scales] == [0.4, 0.3, 0.2]
    for at in advice.scales:
        # rounded to three digits, of which the share moves by less
        assert expit(-at.scale * h[h > 0]).mean() == pytest.approx(at.disputed, abs=1e-3)
        assert f"{at.scale:.3g}" in str(found)
        # who chooses one of them is advised at it
        chosen = diagnose(h, RELEASED, reading=Reading(scale=at.scale)).recommendation
        assert (chosen.choice.name, chosen.scale) == (at.choice.name, at.scale)
        assert chosen.choice.beta == pytest.approx(at.choice.beta, rel=1e-5)
    assert all("if these margins are log-odds" in w for w in found.warnings if "target:" in w)
    # a second judge's verdicts say it
    second = np.where(rng.random(4000) < expit(0.3 * h), h, -h)
    judged = diagnose(second, RELEASED)
    assert judged.recommendation.scale == pytest.approx(0.3, rel=0.1)
    assert judged.recommendation.choice is not None


def test_margins_that_point_away_get_no_advice():
    found = diagnose(-np.abs(MARGINS[:500]), RELEASED)
    assert found.recommendation.choice is None and not found.recommendation.scales
    assert "recommended  nothing yet" in str(found)
