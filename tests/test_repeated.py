"""Pairs judged more than once tell the scale of margins that made their own labels."""

import json

import numpy as np
import pytest
from scipy.special import expit, logit

from madpo_theory.diagnose import diagnose
from madpo_theory.diagnose.reading import Pairs, Reading
from madpo_theory.diagnose.repeated import repeated

SCALE = 0.5
REASON = "nothing says how many nats"


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(prompt, chosen, rejected, margin):
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, "margin": margin}


def judged_twice(pairs, flips=0.0, seed=0):
    """Ratings that made their own labels; of each pair a second judge's verdict at SCALE."""
    rng, rows = np.random.default_rng(seed), []
    for k, h in enumerate(np.abs(rng.normal(0, 4, pairs))):
        same = rng.random() < flips + (1 - 2 * flips) * expit(SCALE * h)
        names = ("good", "bad") if same else ("bad", "good")
        rows += [row(f"p{k}", "good", "bad", float(h)), row(f"p{k}", *names, 1.0)]
    return rows


def test_the_scale_of_the_second_judge_is_found(tmp_path):
    found = diagnose(write(tmp_path / "p.jsonl", judged_twice(3000)))
    labels = found.calibration
    assert labels.kind == "unknown" and labels.repeated.pairs == labels.repeated.verdicts == 3000
    assert labels.says.kind == "scale"
    alone = labels.says.scale_alone
    assert abs(alone.scale - SCALE) < 3 * alone.scale_error < 0.15 * SCALE
    assert labels.scale == labels.says.both.scale
    # the advice is at that scale, and the warning asks for it
    assert found.recommendation.scale == pytest.approx(alone.scale, rel=1e-2)
    assert not any(REASON in reason for reason in found.recommendation.reasons)
    assert any("ask for a scale" in warning for warning in found.warnings)
    assert "judged again 3,000 pairs" in str(found)


def test_verdicts_at_random_are_told_from_a_scale(tmp_path):
    found = diagnose(write(tmp_path / "p.jsonl", judged_twice(6000, flips=0.2)))
    both = found.calibration.repeated.fits.both
    assert abs(both.flip_rate - 0.2) < 3 * both.flip_rate_error < 0.1


def test_each_judgement_is_held_against_the_one_before_it(tmp_path):
    """Of three judgements two are predicted; sides, ties and other prompts count as they are."""
    rows = [
        row("p", "a", "b", 2.0),
        row("q", "a", "b", 9.0),  # another prompt: judged once
        row("p", "b  ", " a", 0.5),  # the same pair, the other choice; spaces do not count
        row("p", "b", "a", 1.0),
        row("r", "a", "b", 3.0),
        row("r", "a", "b", 0.0),  # a tie is no verdict
    ]
    source = write(tmp_path / "p.jsonl", rows)
    found = repeated(Pairs(source, Reading()))
    assert (found.pairs, found.verdicts, found.agreed) == (1, 2, 0.5)  # -2, then 0.5
    found = repeated(Pairs(source, Reading(scale=2.0)))
    assert found.agreed == 0.5


def test_the_fit_is_the_logit_of_the_share_where_margins_are_one(tmp_path):
    rows = [
        one
        for k in range(100)
        for one in (row(f"p{k}", "a", "b", 4.0), row(f"p{k}", *("ab" if k < 80 else "ba"), 1.0))
    ]
    rows += [row(f"q{k}", "a", "b", 2.0) for k in range(50)]
    found = repeated(Pairs(write(tmp_path / "p.jsonl", rows), Reading()))
    assert found.agreed == 0.8
    assert found.fits.scale_alone.scale == pytest.approx(logit(0.8) / 4, rel=1e-9)


def test_without_repeated_pairs_or_texts_nothing_is_said(tmp_path):
    once = write(tmp_path / "p.jsonl", [row(f"p{k}", "a", "b", 1.0 + k) for k in range(20)])
    assert repeated(Pairs(once, Reading())) is None
    bare = write(tmp_path / "b.jsonl", [{"margin": 1.0 + k % 2} for k in range(20)])
    assert repeated(Pairs(bare, Reading())) is None
    found = diagnose(once)
    assert found.calibration.repeated is None
    assert any(REASON in reason for reason in found.recommendation.reasons)
