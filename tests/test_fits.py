"""Scale and flip rate of labels, against scipy's minimizers and differences on the raw pairs."""

import json
import math

import numpy as np
import pytest
from pair_files import drawn_margins, write_pairs
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import chi2

from madpo_theory import cli
from madpo_theory.diagnose import Reading, diagnose
from madpo_theory.diagnose.calibration import calibration
from madpo_theory.diagnose.sketch import sketch

SIMPLEX = {"method": "Nelder-Mead", "options": {"xatol": 1e-9, "fatol": 1e-11, "maxiter": 4000}}


def drawn(n, *, scale=1.0, flips=0.0, error=0.0, seed=0):
    """Margins toward labels: true ones N(0, 2^2), the reward model's off by N(0, error^2) and
    `scale` to be multiplied with, and a share of the labels flipped."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 2, n)
    first = (rng.random(n) < expit(true)) != (rng.random(n) < flips)
    return np.where(first, 1, -1) * (true + rng.normal(0, error, n)) / scale


def loss(h, a, e):
    """Minus the log-likelihood of the raw pairs."""
    return -np.log(e + (1 - 2 * e) * expit(a * h)).sum()


def least(h, at):
    """(parameters, loss) of the best of several searches, eps held at least at 0."""
    starts = {"ae": [(a, e) for a in (0.1, 0.4, 1, 3) for e in (0.02, 0.3)],
              "a": [(0.2,), (1.0,)], "e": [(0.05,), (0.3,)]}[at]  # fmt: skip

    def of(x):
        a, e = {"ae": lambda: x, "a": lambda: (x[0], 0.0), "e": lambda: (1.0, x[0])}[at]()
        return loss(h, a, e) if a > 0 and 0 <= e < 0.5 else math.inf

    found = min((minimize(of, start, **SIMPLEX) for start in starts), key=lambda r: r.fun)
    return found.x, found.fun


def curvature(h, a, e):
    """The observed information by second differences."""
    d, steps = 1e-4, np.eye(2)

    def at(u):
        return loss(h, a + u[0], e + u[1])

    return np.array(
        [
            [(at(d * (p + q)) - at(d * (p - q)) - at(d * (q - p)) + at(-d * (p + q))) / 4 / d**2
             for q in steps]
            for p in steps
        ]
    )  # fmt: skip


CASES = {  # the kind of trouble, and how it is made
    "flips": {"n": 5000, "flips": 0.3, "error": 0.4},
    "scale": {"n": 5000, "scale": 0.2, "seed": 3},
    "both": {"n": 8000, "scale": 0.4, "flips": 0.2, "seed": 3},
    "calibrated": {"n": 3000, "seed": 1},
    "untold": {"n": 60, "scale": 0.2, "seed": 2},
}


@pytest.mark.parametrize("kind", CASES)
def test_fits_are_those_of_the_raw_pairs(kind):
    h = drawn(**CASES[kind])
    found = calibration(sketch([h]))
    (a, e), both = least(h, "ae")
    assert found.kind == kind
    # a simplex ends where the loss is level to its rounding, the root of that in its arguments
    assert found.scale == pytest.approx(a, rel=1e-4)
    assert found.flip_rate == pytest.approx(e, abs=1e-5)
    gained = [2 * (value - both) for value in (least(h, "a")[1], least(h, "e")[1], loss(h, 1, 0))]
    tests = found.fits.against_scale, found.fits.against_flips, found.fits.against_none
    for test, gain in zip(tests, gained, strict=True):
        assert test.statistic == pytest.approx(gain, abs=1e-4)
    survival = [chi2.sf(gained, k) for k in (1, 2)]
    nulls = (survival[0][0] / 2, survival[0][1], (survival[0][2] + survival[1][2]) / 2)
    for test, p in zip(tests, nulls, strict=True):
        if test.statistic > 1e-3:  # at 0 the mixture has an atom
            assert test.p == pytest.approx(p, rel=1e-3, abs=1e-300)
    information = curvature(h, a, e) if e > 1e-3 else None
    if information is not None:
        errors = np.sqrt(np.diag(np.linalg.inv(information)))
        # differences of 1e-4 have an error of its square times fourth derivatives
        assert (found.scale_error, found.flip_rate_error) == pytest.approx(errors, rel=1e-3)
    shown = {"flips": (1.0, 0.3), "scale": (0.2, 0.0), "both": (0.4, 0.2), "calibrated": (1.0, 0.0)}
    if kind in shown:  # and the truth is where they say
        believed = found.fits.believed
        for value, error, true in (
            (believed.scale, believed.scale_error, shown[kind][0]),
            (believed.flip_rate, believed.flip_rate_error, shown[kind][1]),
        ):
            assert abs(value - true) <= 4 * error + 0.02  # 0.02: the reward model's own error
    else:
        assert found.fits.believed is None


def test_on_overconfident_margins_nothing_is_flipped_and_the_scale_stands_alone():
    found = calibration(sketch([drawn(**CASES["scale"])]))
    assert found.flip_rate == 0 and found.fits.against_scale.statistic == 0
    assert found.fits.against_scale.p == 1  # the atom of the mixture
    assert found.scale == found.fits.scale_alone.scale
    assert found.scale_error == found.fits.scale_alone.scale_error
    # the flip rate's error is that of one free to go below 0; differences reach there
    information = curvature(drawn(**CASES["scale"]), found.scale, 0.0)
    errors = np.sqrt(np.diag(np.linalg.inv(information))), 1 / math.sqrt(information[0, 0])
    assert found.flip_rate_error == pytest.approx(errors[0][1], rel=1e-3)
    assert found.scale_error == pytest.approx(errors[1], rel=1e-3)


@pytest.mark.slow
def test_the_null_against_the_scale_is_half_an_atom():
    """Calibrated labels: the flip rate is at its boundary half the time, and p is uniform below.

    So in the limit; of 500 pairs the estimate is skewed, 68 % at the boundary of 300 draws, and the
    test refuses less often than it says, which is the side to err on.
    """
    n = 150
    p = np.array(
        [
            calibration(sketch([drawn(500, seed=seed)])).fits.against_scale.p
            for seed in range(100, 100 + n)
        ]
    )
    assert 0.5 <= np.mean(p == 1) <= 0.8
    # a share of n draws is within 4 standard deviations
    for level in (0.25, 0.05):
        assert np.mean(p < level) < level + 4 * math.sqrt(level * (1 - level) / n)


@pytest.mark.parametrize(
    ("margins", "away"),
    [([1.0, 2.0], False), ([-1.0, -2.0], True), ([0.0, 0.0], False), ([-3.0, 1.0, 1.5], True)],
)
def test_where_no_scale_is_best_there_is_no_fit(margins, away):
    found = calibration(sketch([np.array(margins)]))
    assert (found.kind, found.points_away) == ("unknown", away)
    assert found.scale is found.flip_rate is found.scale_error is found.flip_rate_error is None
    assert found.fits.believed is None


def test_what_is_said_of_each_kind(tmp_path, capsys):
    """Flips are no reason to scale, and few pairs are said to be few."""
    record, said = tmp_path / "d.json", {}
    for kind, made in CASES.items():
        file = write_pairs(tmp_path, "csv", {"margin": drawn(**made).tolist()}, kind)
        cli.main(["diagnose", str(file), "--c-max", "2", "--tau", "2", "--json", str(record)])
        said[kind] = " ".join(capsys.readouterr().out.split())
        stored, found = json.loads(record.read_text())["calibration"], diagnose(file).calibration
        assert [stored[k] for k in ("scale", "scale_error", "flip_rate", "flip_rate_error")] == [
            found.scale, found.scale_error, found.flip_rate, found.flip_rate_error,
        ]  # fmt: skip
    assert "look flipped at random" in said["flips"] and "--scale" not in said["flips"]
    assert "margins are overconfident" in said["scale"] and "flipped at" not in said["scale"]
    assert "look flipped at random" in said["both"] and "--scale 0.4" in said["both"]
    assert "WARNING" not in said["calibrated"]
    assert "these pairs cannot tell whether a scale" in said["untold"]
    few = diagnose(drawn(20, seed=5))
    assert any(note.startswith("too few labels to tell") for note in few.notes)


def test_scaled_by_what_flips_look_like_the_right_scale_is_asked_for():
    h = drawn(**CASES["flips"])
    wrong = calibration(sketch([h])).fits.scale_alone.scale
    again = diagnose(h, reading=Reading(scale=wrong)).calibration
    assert again.kind == "both" and again.scale == pytest.approx(
        calibration(sketch([h])).scale / wrong, rel=1e-3
    )
    assert any("underconfident" in w for w in diagnose(h, reading=Reading(scale=wrong)).warnings)


def test_a_fit_is_the_same_whatever_the_batches():
    h = drawn_margins(3000)
    one, many = calibration(sketch([h])), calibration(sketch(np.split(h, 30)))
    assert one == many
