"""The training loop: accumulation, resuming, schedules, NaN."""

import json
import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from madpo_theory.align.config import ModelConfig, TrainConfig
from madpo_theory.align.logprobs import Layout, continuation_logps, stem
from madpo_theory.align.policy import adapter_parameters, add_adapter
from madpo_theory.align.store import Run
from madpo_theory.align.train import (
    NonFiniteLoss,
    accumulate,
    batches,
    learning_rate,
    train,
    updates,
)
from madpo_theory.losses import dpo

ADAPTER = ModelConfig(rank=4, alpha=8, first_adapted_layer=1)


def test_one_batch_of_eight_equals_eight_of_one(fresh_tiny):
    """The gradient of DPO's mean loss does not depend on how the batch is cut."""
    peft_model = add_adapter(fresh_tiny, ADAPTER, 0, "test")
    parameters = adapter_parameters(peft_model)
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.add_(0.05)
    generator = torch.Generator().manual_seed(0)
    layout = Layout(prompt=4, new=5, branches=2)
    tokens = torch.randint(4, 150, (8, 14), generator=generator)

    def loss_of(indices, step, state):
        lower = stem(fresh_tiny, tokens[indices], layout, 1)
        logps = continuation_logps(fresh_tiny, lower, tokens[indices], layout, 1, 1)
        reference = torch.full_like(logps, -30.0)
        loss = dpo(*logps.unbind(1), *reference.unbind(1), beta=0.1)[0].mean()
        return loss, {"size": float(len(indices))}, state

    gradients = {}
    for size in (8, 2, 1):
        cut = torch.arange(8).split(size)
        loss, numbers, _ = accumulate(parameters, cut, loss_of, 0, {})
        assert numbers["size"] == size
        gradients[size] = (loss, {n: p.grad.clone() for n, p in parameters.items()})
    for size in (2, 1):
        assert gradients[size][0] == pytest.approx(gradients[8][0], rel=1e-5)
        for name, gradient in gradients[8][1].items():
            assert gradient.abs().max() > 0
            torch.testing.assert_close(gradients[size][1][name], gradient, rtol=1e-3, atol=1e-6)


class Stop(Exception):
    pass


def quadratic(run, config, stop_at=None):
    """Fit a line; `stop_at` interrupts before that update."""
    x = torch.linspace(-1, 1, 24)
    weight = torch.zeros(2, requires_grad=True)

    def loss_of(indices, step, state):
        if step == stop_at:
            raise Stop
        error = weight[0] * x[indices] + weight[1] - (3 * x[indices] - 1)
        return (error**2).mean(), {}, {"count": state["count"] + 1}

    state = train(run, {"w": weight}, 24, config, loss_of, seed=7, path=("t",), state={"count": 0})
    return weight.detach(), state


def test_resumed_training_is_bit_identical(tmp_path):
    config = TrainConfig(epochs=3, batch_size=4, lr=0.1, checkpoint_every=4)
    whole, stopped = Run(tmp_path / "whole"), Run(tmp_path / "stopped")
    for run in (whole, stopped):
        run.path.mkdir()
    expected, state = quadratic(whole, config)
    for at in (1, 6, 15):
        with pytest.raises(Stop):
            quadratic(stopped, config, stop_at=at)
    found, resumed_state = quadratic(stopped, config)
    assert torch.equal(found, expected)
    assert state == resumed_state == {"count": 18}
    lines = [(run.path / "metrics.jsonl").read_text() for run in (whole, stopped)]
    assert lines[0] == lines[1]
    assert len(lines[0].splitlines()) == 18


def fitted(run, config, losses, stop_at=None):
    """One number that grows by about lr an update, validated by a list of losses."""
    weight, told = torch.zeros(1, requires_grad=True), []

    def loss_of(indices, step, state):
        if step == stop_at:
            raise Stop
        return -weight.sum(), {}, state

    def validation():
        at = round(weight.item() / config.lr)  # updates done: AdamW's steps are of one size
        told.append(at)
        return losses[at - 1]

    options = {"seed": 0, "path": ("t",), "validation": validation}
    train(run, {"w": weight}, 8, config, loss_of, **options)
    return weight.item() / config.lr, told


PATIENT = TrainConfig(
    epochs=10, batch_size=8, lr=1e-6, warmup=0, decay="cosine", checkpoint_every=3, weight_decay=0,
    clip=100, patience=2,
)  # fmt: skip


@pytest.fixture
def level(monkeypatch):
    """A learning rate that does not decay, so that the parameter counts the updates."""
    monkeypatch.setattr("madpo_theory.align.train.learning_rate", lambda *_: PATIENT.lr)


@pytest.mark.parametrize(
    ("losses", "every", "best", "told"),
    [
        ([5, 4, 3, 3, 3, 0, 0, 0, 0, 0], 0, 3, 5),  # as good is no better
        ([5, 4, 6, 3, 6, 2, 6, 1, 6, 0], 0, 10, 10),
        ([1, 2, 3, 0, 0, 0, 0, 0, 0, 0], 0, 1, 3),
        ([9, 5, 9, 6, 9, 7, 9, 0, 9, 0], 2, 2, 6),
        ([0, 0, 0, 0, 0, 0, 0, 0, 0, 8], 20, 10, 10),  # fewer updates than that: the last one
        ([0, 0, 0, 0, 0, 9, 0, 0, 0, 8], 6, 10, 10),
    ],
)
def test_training_stops_when_validation_grows_no_better(tmp_path, level, losses, every, best, told):
    config = replace(PATIENT, validate_every=every)
    run = Run(tmp_path)
    found, asked = fitted(run, config, losses)
    assert found == pytest.approx(best, abs=1e-3)
    right = {*range(every or 1, told + 1, every or 1), *([told] if told == len(losses) else ())}
    assert asked == sorted(right)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    validated = [row["validation"] for row in rows if "validation" in row]
    assert len(rows) == told and validated == [losses[at - 1] for at in sorted(right)]


@pytest.mark.parametrize("at", range(5))
def test_an_early_stop_is_the_same_wherever_it_was_interrupted(tmp_path, level, at):
    losses = [5, 4, 3, 3, 3, 0, 0, 0, 0, 0]
    with pytest.raises(Stop):
        fitted(Run(tmp_path), PATIENT, losses, stop_at=at)
    found, _ = fitted(Run(tmp_path), PATIENT, losses)
    assert found == pytest.approx(3, abs=1e-3)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 5


def test_a_validation_that_is_not_finite_stops(tmp_path, level):
    with pytest.raises(NonFiniteLoss, match="the validation loss is nan after update 1; look at"):
        fitted(Run(tmp_path), PATIENT, [5, math.nan, 0])


def test_patience_without_anything_to_validate_on_is_refused(tmp_path):
    with pytest.raises(ValueError, match="patience = 2 breaks the rule that only fine-tuning"):
        quadratic(Run(tmp_path), PATIENT)


def test_an_epoch_visits_every_example_once():
    config = TrainConfig(epochs=2, batch_size=2, accumulation=3)
    assert updates(14, config) == 4
    seen = [torch.cat(list(batches(step, 12, config, 0, ("x",)))) for step in range(4)]
    for epoch in (seen[:2], seen[2:]):
        assert torch.cat(epoch).sort().values.tolist() == list(range(12))
    assert not torch.equal(torch.cat(seen[:2]), torch.cat(seen[2:]))


def test_bucketed_batches_hold_like_lengths_and_every_example():
    config = TrainConfig(epochs=2, batch_size=4, bucket=8)
    lengths = torch.arange(64) % 16
    plain = TrainConfig(epochs=2, batch_size=4)

    def spread(config):
        """(examples seen in an epoch, mean range of lengths in a batch)"""
        cut = [batches(step, 64, config, 0, ("t",), lengths)[0] for step in range(16)]
        ranges = [lengths[part].max() - lengths[part].min() for part in cut]
        return torch.cat(cut), float(sum(ranges)) / 16

    seen, narrow = spread(config)
    assert sorted(seen.tolist()) == list(range(64))
    assert narrow < spread(plain)[1] / 2
    again = [batches(step, 64, config, 0, ("t",), lengths)[0] for step in (16, 3)]
    assert not torch.equal(again[0], seen[:4])  # another epoch, another order
    assert torch.equal(again[1], seen[12:16])  # and no state
    shuffled = [lengths[part].float().mean() for part in seen[:32].split(4)]
    assert shuffled != sorted(shuffled)


def test_too_few_examples_are_refused():
    with pytest.raises(ValueError, match="7 examples do not fill one batch of batch_size 8"):
        updates(7, TrainConfig())


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_learning_rate_rises_then_falls_to_almost_zero(decay):
    config = TrainConfig(lr=1.0, warmup=0.1, decay=decay)
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * k for k in range(1, 11)])
    assert max(rates) == pytest.approx(1.0)
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert 0 < rates[-1] < 0.02


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_nan_stops_and_names_update_and_examples(tmp_path, what):
    weight = torch.zeros(1, requires_grad=True)

    def loss_of(indices, step, state):
        bad = step == 2
        if what == "loss":
            return (weight * (float("nan") if bad else 1.0)).sum(), {}, state
        return (weight.sqrt() if bad else weight).sum() * 1.0, {}, state

    config = replace(TrainConfig(batch_size=2, weight_decay=0.0), lr=1e-30)
    with pytest.raises(NonFiniteLoss, match=r"at update 2, examples \[\d, \d\]"):
        train(Run(tmp_path), {"w": weight}, 8, config, loss_of, seed=0, path=("n",))
