"""Any method's diagnosis: against its formula on the whole data at once, and in every form."""

import json
import math
import re
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import own_weight
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ours import METHODS
from pair_files import drawn_margins, write_pairs

from madpo_theory import MarginSchedule, cli, log_weight_ratio
from madpo_theory.diagnose import diagnose
from madpo_theory.diagnose.asked import COMPARED
from madpo_theory.diagnose.effects import MOVED, REACH, robustness
from madpo_theory.diagnose.page import write_page
from madpo_theory.diagnose.sketch import WIDTH
from madpo_theory.methods import (
    Cdpo,
    Distillation,
    Dpo,
    DpoFiltered,
    DpoRelabelled,
    Hinge,
    Ipo,
    Madpo,
    Method,
    Rdpo,
    Simpo,
    Slots,
    slot_loss,
)
from madpo_theory.methods.slots import slot_slope
from madpo_theory.ops import numpy_world, torch_world
from madpo_theory.registry import setting
from madpo_theory.theory.comparison import largest_pull
from madpo_theory.theory.efficiency import effective_sample_size
from madpo_theory.theory.temperature import match_targets
from madpo_theory.weights import weight, weighting_named

MARGINS = drawn_margins(6000, scale=0.9)
RELEASED = MarginSchedule.released(4)
OWN = Path(own_weight.__file__)


def has_target(method):
    try:
        method.target(0.0)
    except TypeError:
        return False
    return True


WITH_TARGETS = [name for name, cls in METHODS.items() if has_target(cls())]
# What the sketch promises of a mean of a smooth function, and of one with a step: a cell's pairs.
MEAN, STEP = 1e-6, 3 * WIDTH


@dataclass(frozen=True)
class Odd(Method):
    """An offset in proportion to the margin: T(h*, h) = h* + alpha h."""

    needs = frozenset({"reference", "margin"})
    alpha: float = setting(0.5, "alpha finite", lambda v: True, "here")

    def slots(self, xp, h):
        return Slots(offset=self.alpha * h)


@dataclass(frozen=True)
class Every(Method):
    """Every slot filled."""

    needs = frozenset({"reference", "margin"})

    def slots(self, xp, h):
        label = 0.9 + 0 * h, 0.1 + 0 * h
        return Slots(log_weight=-0.1 * h, label=label, offset=0.1 * h + 0.3, temperature=0.5)


@dataclass(frozen=True)
class Square(Method):
    """No slots and no closed target: (z - 1)^2/2, so T = tanh(h*/2)."""

    def margin_loss(self, xp, z, h):
        return (z - 1) * (z - 1) / 2


@dataclass(frozen=True)
class Broken(Method):
    def slots(self, xp, h):
        return Slots(offset=math.nan * h)


@pytest.fixture(scope="module")
def found():
    return {name: diagnose(MARGINS, method=name) for name in WITH_TARGETS}


# --- one code path --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", COMPARED)
def test_a_weight_by_name_has_the_numbers_of_madpos_schedule(kind):
    beside = diagnose(MARGINS, RELEASED).effects[COMPARED.index(kind)]
    (alone,) = diagnose(MARGINS, method=Madpo(weighting_named(kind, RELEASED))).effects
    other = {"kind", "label", "schedule", "asked_change"}
    for name in {f.name for f in fields(alone)} - other:
        assert getattr(alone, name) == getattr(beside, name), name


# --- numbers, against the whole data at once ------------------------------------------------------


@pytest.mark.parametrize("name", WITH_TARGETS)
def test_effects_are_those_of_the_formula_on_the_whole_data(found, name):
    d = found[name]
    (own,), method = d.effects, METHODS[name]()
    targets, size = method.target(MARGINS, MARGINS), np.abs(MARGINS)
    finite = np.isfinite(targets)
    assert own.infinite == pytest.approx(np.mean(~finite), abs=STEP)
    assert own.moved == pytest.approx(np.mean(~(np.abs(targets - MARGINS) <= MOVED)), abs=STEP)
    assert own.amplified == pytest.approx(np.mean(np.abs(targets) > size + MOVED), abs=STEP)
    assert own.dampened == pytest.approx(np.mean(np.abs(targets) < size - MOVED), abs=STEP)
    if finite.all():
        assert own.target_change == pytest.approx(np.abs(targets - MARGINS).mean(), abs=1e-5)
        if own.rho is not None:
            match = match_targets(MARGINS, targets)
            assert own.rho == pytest.approx(match.rho, rel=1e-4)
            assert own.dpo_beta == method.beta / own.rho
    if method.slot_weighting is None:
        assert own.ess is own.mean is own.smallest is own.largest is own.suppressed is None
    else:
        weights = weight(MARGINS, method.slot_weighting)
        assert own.ess == pytest.approx(effective_sample_size(weights) / len(weights), rel=1e-5)
        assert round(own.suppressed * len(weights)) == np.count_nonzero(weights < 0.5)
    for share, margin, target in d.targets:
        assert abs(margin - np.quantile(MARGINS, share, method="inverted_cdf")) <= WIDTH
        assert target == method.target(margin, margin)


SHOWN = {"dpo", "madpo", "rdpo", "simpo", "hinge", "cw_po"}
"""Of each kind one: unweighted, weighted, of infinite targets, of lengths, no slots, left out."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in SHOWN else pytest.mark.slow) for n in WITH_TARGETS],
)
def test_nothing_is_ever_nan(found, name, tmp_path):
    d = found[name]
    path = tmp_path / "d.json"
    d.write(path)  # refuses NaN
    stored = json.loads(path.read_text())
    assert (stored["method"], stored["label"]) == (name, METHODS[name].label)
    assert stored["settings"]["beta"] == METHODS[name]().beta and stored["schedule"] is None
    assert "nan" not in str(d).lower()
    page = write_page(d, tmp_path / "d.html").read_text()
    assert "nan" not in re.sub("<svg.*?</svg>", "", page, flags=re.S).lower()
    assert page.count('<svg class="plot"') == 3 and 'id="recommendation"' not in page
    assert f"What {d.label} would do" in page


@given(epsilon=st.floats(0.01, 0.49))
@settings(max_examples=15)
def test_targets_in_closed_form(epsilon):
    level = math.log1p(-epsilon) - math.log(epsilon)
    (soft,) = diagnose(MARGINS, method=Cdpo(epsilon=epsilon)).effects
    assert soft.saturates and soft.ceiling == pytest.approx(level, rel=1e-9)
    assert soft.amplified == soft.infinite == 0 and soft.first_step[1] > 0
    (sharp,) = diagnose(MARGINS, method=Rdpo(epsilon=epsilon)).effects
    assert sharp.infinite == pytest.approx(np.mean(np.abs(MARGINS) >= level), abs=STEP)
    assert not sharp.saturates and sharp.ceiling == math.inf and sharp.dampened == 0


def test_what_each_method_is_known_for(found):
    (dpo,) = found["dpo"].effects
    assert dpo.moved == dpo.target_change == dpo.distance == dpo.influence == 0
    assert dpo.first_step == (1.0, 1.0) and dpo.known == "takes no margin"
    (ipo,), (hinge,) = found["ipo"].effects, found["hinge"].effects
    assert ipo.saturates and ipo.ceiling == pytest.approx(0.5)
    assert hinge.saturates and hinge.ceiling == 1 and hinge.first_step == (2.0, 2.0)
    (simpo,) = found["simpo"].effects
    assert simpo.rho is None and simpo.amplified > 0.8  # its z is not DPO's
    assert any("not of DPO's z" in note for note in found["simpo"].notes)
    (filtered,) = found["dpo_filtered"].effects
    assert filtered.ess == filtered.mean == filtered.first_step[0] == np.mean(MARGINS > 0)
    assert filtered.influence is None and filtered.infinite == 1
    (turned,) = found["dpo_relabelled"].effects
    assert turned.first_step == (1 - 2 * np.mean(MARGINS < 0), -1.0)
    warning = "target: infinite for 100.0% of the pairs: these labels are trusted without limit"
    assert warning in found["dpo_filtered"].warnings and warning in found["dpo_relabelled"].warnings


def test_distillation_falls_where_madpo_does_and_trusts_the_model_whole():
    (own,) = diagnose(MARGINS, method=Distillation(RELEASED)).effects
    (same,) = diagnose(MARGINS, method=Madpo(RELEASED)).effects
    assert own.falls == same.falls and own.falls
    assert own.influence > REACH - 1 > same.influence and own.known == "searched, |h| <= 60"
    assert same.known == "certified" and own.ess is None
    assert ">= " in str(diagnose(MARGINS, method=Distillation(RELEASED)))


@given(alpha=st.floats(0.05, 3))
@settings(max_examples=15)
def test_an_odd_offset_pulls_in_proportion_to_the_margin(alpha):
    (own,) = diagnose(MARGINS, method=Odd(alpha)).effects
    assert own.sensitivity == pytest.approx(alpha, rel=1e-6)  # rounding of 60 nats over a step
    assert own.influence == pytest.approx(alpha * REACH, rel=1e-12)
    assert own.influence_here == pytest.approx(alpha * np.abs(MARGINS).max(), abs=alpha * WIDTH)
    assert own.rho == pytest.approx(1 + alpha, rel=1e-12) and own.distance < 1e-7
    assert own.dampened == 0 and own.falls == ()


def test_an_offset_against_the_margin_turns_pairs_round():
    (own,) = diagnose(MARGINS, method=Odd(-1.5)).effects
    (fall,) = own.falls
    assert (fall.start, fall.end, fall.share) == (0.0, REACH, 1.0)
    assert own.rho == pytest.approx(-0.5) and own.dpo_beta is None


def test_a_loss_without_slots_is_searched():
    d = diagnose(MARGINS[:400], method=Square())
    (own,) = d.effects
    assert (d.method, d.label) == ("Square", "Square")
    assert own.ceiling == pytest.approx(1.0, abs=1e-12) and own.saturates
    assert own.first_step == (2.0, 2.0) and own.known == "takes no margin"
    for _, margin, target in d.targets:
        assert target == pytest.approx(math.tanh(margin / 2), abs=1e-12)


def test_any_weight_is_a_method():
    d = diagnose(MARGINS, method=f"{OWN}:SoftStep")
    (own,) = d.effects
    assert (d.label, own.falls) == ("soft step", ())
    assert 1.0 - 1e-12 <= own.influence <= 1.0 + 1e-4 and own.known == "|h| <= 60"  # 2 size
    assert own.ess == diagnose(MARGINS, weight="soft_step").effects[4].ess


@given(z=st.floats(-30, 30), h=st.floats(-20, 20))
def test_the_slope_of_slots_is_their_losss(z, h):
    for method in (Every(), Simpo(), Cdpo(), Rdpo(), Dpo(), DpoRelabelled(), Madpo(RELEASED)):
        at, margin = (torch.tensor([x], dtype=torch.float64) for x in (z, h))
        at.requires_grad_()
        slots = method.slots(torch_world, margin)
        (exact,) = torch.autograd.grad(slot_loss(torch_world, at, slots).sum(), at)
        slope = slot_slope(numpy_world, np.array([z]), method.slots(numpy_world, np.array([h])))
        # Two sigmas, each right to some 1e-16, are subtracted from each other, times 8 at most.
        assert float(slope[0]) == pytest.approx(float(exact), rel=1e-12, abs=1e-14)


def test_the_pull_of_a_reward_model_on_a_grid():
    sizes = np.linspace(0, 20, 4001)
    steep, wide = largest_pull(Madpo(RELEASED), [0.0], sizes)
    shift = np.abs(log_weight_ratio(sizes, RELEASED))
    assert wide == pytest.approx(shift.max(), rel=1e-12)
    assert steep == pytest.approx(np.abs(np.diff(shift)).max() / 0.005, rel=1e-9)
    assert largest_pull(Dpo(), [-3.0, 3.0], sizes) == (0.0, 0.0)
    assert largest_pull(DpoFiltered(), [1.0], sizes) == (math.inf, math.inf)
    assert largest_pull(Odd(0.25), [0.0, 10.0], sizes)[1] == pytest.approx(5.0)


def test_robustness_of_what_takes_no_margin_is_zero_and_says_so():
    for method in (Dpo(), Simpo(), Cdpo(), Rdpo(), Ipo(), Hinge(), Square()):
        made = robustness(method, None)
        assert made == {
            "sensitivity": 0.0,
            "influence": 0.0,
            "certified": False,
            "known": "takes no margin",
        }


def test_formats_and_batches_change_nothing(tmp_path):
    path = write_pairs(tmp_path, "jsonl", {"margin": MARGINS[:700].tolist()})
    asked = diagnose(MARGINS[:700], method="rdpo").record()
    for rows in (None, 97):
        record = diagnose(path, method="rdpo", rows=rows).record()
        assert {k for k, v in record.items() if v != asked[k]} == {"source", "columns", "guessed"}


# --- refusals and the command ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("margins", "options", "words"),
    [
        ([1.0], {"method": "fame"}, "method = 'fame' breaks the rule that it is a method or a"),
        ([1.0], {"method": "beta_dpo"}, "'beta_dpo' breaks the rule that a pair has a target"),
        ([1.0], {"method": "dpo", "beta": 0.2}, "beta must not be given with a method"),
        ([1.0], {"method": "dpo", "weight": "efficient"}, "weight must not be given with"),
        ([1.0], {"method": "dpo", "schedule": RELEASED}, r"schedule \(--c-max, .* must not be"),
        ([5000.0], {"method": "simpo"}, "SimPO at the margin 5000 is no number.*lower scale"),
        ([2.0, -900.0], {"method": "distillation"}, "at the margin -900 is no number"),
        ([1.0], {"method": Broken()}, "method Broken gives a loss of nan to a pair"),
    ],
)
def test_what_cannot_be_diagnosed_is_refused(margins, options, words):
    with pytest.raises(ValueError, match=words):
        diagnose(np.array(margins), **options)


def test_the_command_takes_any_method(tmp_path, capsys):
    file = str(write_pairs(tmp_path, "csv", {"margin": drawn_margins(3000).tolist()}))
    html, record = tmp_path / "d.html", tmp_path / "d.json"
    changes = ["--set", "gamma=1.6", "--set", "beta=3"]
    out = ["--json", str(record), "--html", str(html)]
    assert cli.main(["diagnose", file, "--method", "simpo", *changes, *out]) == 0
    shown = capsys.readouterr().out
    assert "method       SimPO: beta 3, gamma 1.6" in shown and "recommended" not in shown
    assert max(map(len, shown.splitlines()[1:-1])) <= 100
    stored = json.loads(record.read_text())
    assert stored["settings"] == {"beta": 3.0, "gamma": 1.6} and stored["recommendation"] is None
    assert cli.main(["diagnose", file, "--method", "rdpo"]) == 1
    shown = capsys.readouterr().out
    assert "WARNING      target: infinite for" in shown and "-infinite" in shown
    assert cli.main(["diagnose", file, "--method", f"{OWN}:SoftStep", "--set", "size=0.25"]) == 0
    assert "soft step: beta 0.1, size 0.25" in capsys.readouterr().out
    for wrong, words in (
        (["--method", "simpo", "--set", "gama=1"], "'gama=1': SimPO has no setting 'gama', but"),
        (["--method", "simpo", "--c-max", "2"], "schedule (--c-max, --c-min, --lam, --tau) must"),
        (["--method", "simpo", "--beta", "2"], "beta must not be given with a method"),
        (["--set", "gamma=1"], "--set gamma=1 is a setting of no method; name one with --method"),
        (["--method", "beta-dpo"], "its temperature is the batch's"),
    ):
        assert cli.main(["diagnose", file, *wrong]) == 2
        assert words in capsys.readouterr().err
