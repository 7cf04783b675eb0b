"""Alignment's pieces: the library's losses, labels, the check of the first update."""

import inspect
import math
from dataclasses import fields

import numpy as np
import pytest
import torch
from ours import METHODS

from madpo_theory import (
    BoundedRatioWeight,
    EfficientWeight,
    MarginSchedule,
    PowerTarget,
    TargetShapedWeight,
    log_weight_ratio,
    losses,
    weight,
)
from madpo_theory.align.config import GIVEN, AlignConfig
from madpo_theory.align.methods import methods_of
from madpo_theory.align.pairs import label
from madpo_theory.align.preference import check_start, finite, labels_of
from madpo_theory.align.reward_model import bradley_terry
from madpo_theory.methods import Pairs
from madpo_theory.weights import OneSidedWeight

TRAINED = tuple(name for name, cls in METHODS.items() if cls.needs <= GIVEN)
ROWS = {row.name: row.method for row in methods_of(AlignConfig(methods=TRAINED))}


@pytest.fixture
def logps():
    generator = torch.Generator().manual_seed(0)
    return tuple(-60 + 5 * torch.randn(8, generator=generator) for _ in range(4))


LENGTHS = torch.arange(10.0, 18.0), torch.arange(20.0, 12.0, -1.0)
MARGIN = torch.tensor([-4.0, -2.5, -1.0, 0.0, 0.5, 2.0, 7.0, 12.0])


def train_loss(method, logps, state=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pairs = Pairs(*logps, MARGIN, *LENGTHS)
    return method.train_loss(pairs, generator=generator, state=state or method.start())


def by_hand(logps):
    """Losses of pairs by the experiment's methods, from the papers' formulas."""
    beta, schedule = 0.1, MarginSchedule(4.0, 0.25, 1.0, math.log(999))
    chosen, rejected = logps[0] - logps[2], logps[1] - logps[3]
    z = beta * (chosen - rejected)
    plain, turned = (-torch.nn.functional.logsigmoid(side) for side in (z, -z))
    per_token = chosen / LENGTHS[0] - rejected / LENGTHS[1]
    target = MARGIN + log_weight_ratio(MARGIN, schedule)
    shaped = PowerTarget.with_slope(schedule.tau, 0.5, 4.0)
    weights = {
        "madpo": schedule,
        "amp_only": OneSidedWeight(schedule, "amplify"),
        "reg_only": OneSidedWeight(schedule, "dampen"),
        "bounded_ratio": BoundedRatioWeight(schedule),
        "target_shaped": TargetShapedWeight(shaped),
        "efficient": EfficientWeight(schedule),
    }
    return {name: weight(MARGIN, by) * plain for name, by in weights.items()} | {
        "dpo": plain,
        "dpo_matched": -torch.nn.functional.logsigmoid(z / 4),
        "dpo_relabelled": torch.where(MARGIN < 0, turned, plain),
        "dpo_filtered": torch.where(MARGIN < 0, 0, plain),
        "ipo": (chosen - rejected - 5) ** 2,
        "ipo_per_token": (per_token - 5) ** 2,
        "distillation": torch.sigmoid(target) * plain + torch.sigmoid(-target) * turned,
        "cdpo": 0.9 * plain + 0.1 * turned,
        "rdpo": (0.9 * plain - 0.1 * turned) / 0.8,
        "hinge": torch.relu(1 - z),
        "simpo": -torch.nn.functional.logsigmoid(
            beta * (logps[0] / LENGTHS[0] - logps[1] / LENGTHS[1]) - 0.5
        ),
    }


@pytest.mark.parametrize("name", by_hand((torch.zeros(8),) * 4))
def test_each_method_trains_with_its_formula(name, logps):
    loss, state, numbers = train_loss(ROWS[name], logps)
    torch.testing.assert_close(loss, by_hand(logps)[name].mean())
    assert state == {} and numbers == {}


@pytest.mark.parametrize("name", TRAINED)
def test_each_method_trains_with_the_library_loss(name, logps):
    """The functional face and the training path are one formula; what a method remembers of
    batches is in the face a setting."""
    method = ROWS[name]
    given = dict(zip(("chosen_lengths", "rejected_lengths"), LENGTHS, strict=True))
    given |= {"margin": MARGIN}
    asked = {k: v for k, v in given.items() if k in method.arguments()}
    settings = {
        f.name: getattr(method, f.name) for f in fields(method) if not f.metadata.get("training")
    }
    loss, state, _ = train_loss(method, logps)
    settings |= {key: value for key, value in state.items() if key in settings}
    face, count = getattr(losses, name), len(MARGIN)
    if "kept" in inspect.signature(face).parameters:
        settings |= {"kept": kept(logps, method)}
        count = settings["kept"].sum()
    assert torch.equal(loss, face(*logps, **asked, **settings)[0].sum() / count)


def kept(logps, method):
    margins = (logps[0] - logps[2]) - (logps[1] - logps[3])
    return losses.beta_dpo_keep(
        losses.beta_dpo_margins(margins, beta=method.beta, variant=method.variant),
        losses.BetaDPOState(),
        generator=torch.Generator().manual_seed(0),
    )


def test_beta_dpo_keeps_its_share_and_its_running_mean(logps):
    loss, state, _ = train_loss(ROWS["beta_dpo"], logps)
    assert torch.isfinite(loss)
    margins = (logps[0] - logps[2]) - (logps[1] - logps[3])
    mask = kept(logps, ROWS["beta_dpo"])
    assert mask.sum() == 6
    assert state["mean"] == pytest.approx(0.1 * margins[mask].mean().item(), rel=1e-5)
    assert torch.equal(loss, train_loss(ROWS["beta_dpo"], logps)[0])


def test_labels_that_a_method_turns_round_or_leaves_out():
    first, margin = torch.tensor([True, False, True, False]), torch.tensor([1.0, -2.0, -3.0, 0.0])
    labels, toward, examples = labels_of(ROWS["dpo_relabelled"], first, margin, 3)
    assert labels.tolist() == [True, True, False, False]
    assert toward.tolist() == [1.0, 2.0, 3.0, 0.0] and examples.tolist() == [0, 1, 2]
    labels, toward, examples = labels_of(ROWS["dpo_filtered"], first, margin, 3)
    assert torch.equal(labels, first) and torch.equal(toward, margin) and examples.tolist() == [0]
    for name in ("dpo", "madpo", "ipo", "beta_dpo", "distillation", "simpo"):
        labels, toward, examples = labels_of(ROWS[name], first, margin, 3)
        assert torch.equal(labels, first) and torch.equal(toward, margin)
        assert examples.tolist() == [0, 1, 2]


def test_reward_model_loss_is_the_bradley_terry_likelihood():
    chosen, rejected = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])
    expected = -torch.log(torch.sigmoid(chosen - rejected))
    torch.testing.assert_close(bradley_terry(chosen, rejected), expected)


def test_the_first_update_must_start_at_the_reference():
    method = ROWS["dpo"]
    check_start("dpo", method, torch.zeros(4), math.log(2), torch.float32, 12)
    with pytest.raises(AssertionError, match=r"dpo: at the first update \|m\| reaches 1\.00e-01"):
        check_start("dpo", method, torch.tensor([0.0, 0.1]), math.log(2), torch.float32, 12)
    with pytest.raises(AssertionError, match="not log 2"):
        check_start("dpo", method, torch.zeros(4), 0.7, torch.float32, 12)
    with pytest.raises(AssertionError, match="reaches nan"):
        check_start("dpo", method, torch.tensor([math.nan]), math.log(2), torch.float32, 12)


def test_nan_log_probabilities_name_the_pairs():
    good, bad = torch.zeros(3), torch.tensor([0.0, math.nan, math.inf])
    with pytest.raises(ArithmeticError, match=r"reference chosen .* pairs \[5, 9\] .* update 3"):
        finite((good, good, bad, good), 3, torch.tensor([2, 5, 9]))


@pytest.mark.parametrize("margin", [-2.0, 0.0, 0.7, 3.0])
def test_labels_follow_bradley_terry(margin):
    rewards = np.tile([margin, 0.0], (40_000, 1))
    chosen = label(rewards, np.random.default_rng(0))
    expected = 1 / (1 + math.exp(-margin))
    error = math.sqrt(expected * (1 - expected) / 40_000)
    assert abs(chosen.mean() - expected) < 4 * error
