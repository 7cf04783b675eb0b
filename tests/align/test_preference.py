"""Alignment's pieces: the library's losses, labels, the check of the first update."""

import math

import numpy as np
import pytest
import torch

from madpo_theory import losses, weight
from madpo_theory.align.config import AlignConfig
from madpo_theory.align.methods import methods_of, weighting_of
from madpo_theory.align.pairs import label
from madpo_theory.align.preference import check_start, finite, mean_loss
from madpo_theory.align.reward_model import bradley_terry

METHODS = {method.name: method for method in methods_of(AlignConfig())}


@pytest.fixture
def logps():
    generator = torch.Generator().manual_seed(0)
    return tuple(-60 + 5 * torch.randn(8, generator=generator) for _ in range(4))


def loss_of(name, logps, margin=None, state=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return mean_loss(METHODS[name], logps, margin, generator=generator, state=state or {})


def test_each_method_is_the_library_loss(logps):
    margin = torch.linspace(-3, 3, 8)
    assert torch.equal(loss_of("dpo", logps)[0], losses.dpo(*logps, beta=0.1)[0].mean())
    assert torch.equal(loss_of("dpo_matched", logps)[0], losses.dpo(*logps, beta=0.025)[0].mean())
    assert torch.equal(loss_of("ipo", logps)[0], losses.ipo(*logps, beta=0.1)[0].mean())
    weighted = weight(margin, weighting_of(METHODS["madpo"])) * losses.dpo(*logps, beta=0.1)[0]
    torch.testing.assert_close(loss_of("madpo", logps, margin)[0], weighted.mean())


def test_beta_dpo_keeps_its_share_and_its_running_mean(logps):
    loss, state, _ = loss_of("beta_dpo", logps, state={"mean": 0.0, "std": 1.0})
    assert torch.isfinite(loss)
    margins = (logps[0] - logps[2]) - (logps[1] - logps[3])
    kept = losses.beta_dpo_keep(
        margins, losses.BetaDPOState(), generator=torch.Generator().manual_seed(0)
    )
    assert kept.sum() == 6
    assert state["mean"] == pytest.approx(0.1 * margins[kept].mean().item(), rel=1e-5)
    again = loss_of("beta_dpo", logps, state={"mean": 0.0, "std": 1.0})[0]
    assert torch.equal(loss, again)


def test_reward_model_loss_is_the_bradley_terry_likelihood():
    chosen, rejected = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])
    expected = -torch.log(torch.sigmoid(chosen - rejected))
    torch.testing.assert_close(bradley_terry(chosen, rejected), expected)


def test_the_first_update_must_start_at_the_reference():
    method = METHODS["dpo"]
    check_start(method, torch.zeros(4), math.log(2), torch.float32)
    with pytest.raises(AssertionError, match=r"dpo: at the first update \|m\| reaches 1\.00e-01"):
        check_start(method, torch.tensor([0.0, 0.1]), math.log(2), torch.float32)
    with pytest.raises(AssertionError, match="not log 2"):
        check_start(method, torch.zeros(4), 0.7, torch.float32)
    with pytest.raises(AssertionError, match="reaches nan"):
        check_start(method, torch.tensor([math.nan]), math.log(2), torch.float32)


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
