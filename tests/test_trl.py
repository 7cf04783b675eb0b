"""WeightedDPOTrainer: TRL's trainer to the last digit at weight 1, and the formula elsewhere."""

import functools
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

pytest.importorskip("trl", reason="needs madpo-theory[trl]")
pytest.importorskip("peft", reason="needs madpo-theory[trl]")

from datasets import Dataset, IterableDataset
from ours import METHODS
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM
from trl import DPOTrainer
from trl_trainers import MARKS, PAIRS, disturb, made_trainer, tiny_policy

from madpo_theory import (
    BoundedRatioWeight,
    MarginSchedule,
    PowerTarget,
    ScaledWeight,
    TargetShapedWeight,
    weight,
)
from madpo_theory.integrations import trl as integration
from madpo_theory.integrations.trl import PreferenceTrainer, WeightedDPOTrainer
from madpo_theory.losses import dpo, ipo, madpo
from madpo_theory.methods import (
    ApoDown,
    ApoZero,
    BcoPair,
    Dpo,
    FDpoAlphaTrl,
    FDpoForwardKl,
    FDpoJs,
    Hinge,
    IpoPerToken,
    Madpo,
    Method,
    NcaPair,
    Rdpo,
    SigmoidNorm,
    Simpo,
    SppoHard,
)

pytestmark = MARKS

SCHEDULE = MarginSchedule.released(2)
WEIGHTINGS = {
    "published": SCHEDULE,
    "bounded": ScaledWeight.mean_one(BoundedRatioWeight(SCHEDULE), [p["margin"] for p in PAIRS]),
    "shaped": TargetShapedWeight(PowerTarget(tau=3.0, gamma=0.5, smoothing=1.0)),
}


@pytest.fixture(scope="module")
def tiny():
    return tiny_policy()


@pytest.fixture(scope="module")
def mixture(tiny):
    """A tiny mixture of experts with an auxiliary loss, for the same tokenizer."""
    torch.manual_seed(0)
    config = Qwen3MoeConfig(
        vocab_size=len(tiny[1]), hidden_size=32, moe_intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, head_dim=16, num_experts=4,
        num_experts_per_tok=2, output_router_logits=True, router_aux_loss_coef=0.3,
    )  # fmt: skip
    return Qwen3MoeForCausalLM(config)


@pytest.fixture
def trainer(tiny, tmp_path):
    """Makes trainers on the same tiny policy, reference and pairs."""
    return functools.partial(made_trainer, tiny, tmp_path)


def trained(trainer):
    trainer.train()
    return dict(trainer.model.named_parameters()), trainer.state.log_history


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first | second)


def altered(key, value, row=3):
    return [p | {key: value} if i == row else p for i, p in enumerate(PAIRS)]


SETTINGS = {
    "plain": {},
    "ipo": {"loss_type": "ipo"},
    "two losses": {"loss_type": ["sigmoid", "ipo"], "loss_weights": [1.0, 0.5]},
    "precomputed, accumulated": {
        "precompute_ref_log_probs": True,
        "gradient_accumulation_steps": 2,
    },
    "peft, checkpointed": {"peft": True, "gradient_checkpointing": True},
    "its own weighting": {"use_weighting": True},
}


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(v, id=k, marks=[] if k == "plain" else pytest.mark.slow)
        for k, v in SETTINGS.items()
    ],
)
def test_unit_weights_are_the_stock_trainer_to_the_last_digit(trainer, settings):
    rows = [pair | {"weight": 1.0} for pair in PAIRS]
    stock, stock_log = trained(trainer(DPOTrainer, rows, evaluation=rows[:4], **settings))
    ours, our_log = trained(trainer(WeightedDPOTrainer, rows, evaluation=rows[:4], **settings))
    assert same(stock, ours)
    for theirs, mine in zip(stock_log[:-1], our_log[:-1], strict=True):  # the last is of times
        assert theirs == {k: v for k, v in mine.items() if not k.startswith("weights/")}
    assert our_log[0]["weights/mean"] == our_log[0]["weights/ess"] == 1.0
    # ... and weights that are not 1 train something else, so the column does arrive
    assert not same(stock, trained(trainer(WeightedDPOTrainer, **settings))[0])


def pair_logps(causal_lm, batch):
    """Summed and length-averaged log-probabilities of chosen and rejected, by plain forwards."""
    logits = causal_lm(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    logps = logits[:, :-1].log_softmax(-1).gather(2, batch["input_ids"][:, 1:, None])[:, :, 0]
    mask = batch["completion_mask"][:, 1:]
    summed = (logps * mask).sum(1)
    return summed.chunk(2), (summed / mask.sum(1)).chunk(2)


def assert_loss_and_gradient(made, tiny, expected):
    """That a trainer's loss is ``expected(batch, summed, averaged)``, to its gradient; the batch.

    `summed` and `averaged` are log-probabilities by :func:`pair_logps`, of the policy and then of
    the reference.
    """
    batch = next(iter(made.get_train_dataloader()))
    policy, (reference, _) = made.model, tiny
    disturb(policy, 0.02)
    with torch.no_grad():
        fixed = pair_logps(reference, batch)
    loss = made.compute_loss(policy, batch)
    wanted = expected(
        batch, *((*a, *b) for a, b in zip(pair_logps(policy, batch), fixed, strict=True))
    )
    found, slope = (torch.autograd.grad(x, policy.lm_head.weight)[0] for x in (loss, wanted))
    # float32 log-probabilities of about 50 nats from two forward passes
    torch.testing.assert_close(loss, wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found, slope, rtol=1e-3, atol=1e-5 * slope.abs().max().item())
    return batch


@pytest.mark.parametrize("loss_type", ("sigmoid", "ipo"))
@pytest.mark.parametrize("precompute", (False, True))
def test_loss_and_gradient_are_the_formulas(trainer, tiny, loss_type, precompute):
    made = trainer(
        WeightedDPOTrainer,
        loss_type=loss_type,
        precompute_ref_log_probs=precompute,
        per_device_train_batch_size=8,
        beta=0.5,
    )

    def expected(batch, summed, averaged):
        # TRL divides IPO's log-probabilities by the length.
        losses, *_ = ipo(*averaged, beta=0.5) if loss_type == "ipo" else dpo(*summed, beta=0.5)
        return (batch[integration.KEY] * losses).mean()

    batch = assert_loss_and_gradient(made, tiny, expected)
    assert sorted(batch[integration.KEY].tolist()) == sorted(pair["weight"] for pair in PAIRS)


@pytest.mark.parametrize("weighting", WEIGHTINGS.values(), ids=WEIGHTINGS)
def test_margins_with_a_weighting_are_its_weights(trainer, weighting):
    by_hand = [
        {k: pair[k] for k in ("prompt", "chosen", "rejected")}
        | {"weight": float(weight(pair["margin"], weighting))}
        for pair in PAIRS
    ]
    expected, _ = trained(trainer(WeightedDPOTrainer, by_hand))
    found, log = trained(trainer(WeightedDPOTrainer, weighting=weighting))
    assert same(expected, found)
    used = np.concatenate([[entry["weights/min"], entry["weights/max"]] for entry in log[:3]])
    assert {round(w, 6) for w in used} <= {round(pair["weight"], 6) for pair in by_hand}


def test_evaluation_is_madpos_loss(trainer):
    made = trainer(WeightedDPOTrainer, evaluation=PAIRS, weighting=SCHEDULE, max_steps=2)
    made.train()
    metrics = made.evaluate()
    logps = []
    for batch in made.get_eval_dataloader():
        with torch.no_grad():
            policy, reference = (pair_logps(m, batch)[0] for m in (made.model, made.ref_model))
        logps.append(torch.stack([*policy, *reference]))
    margin = torch.tensor([pair["margin"] for pair in PAIRS])
    losses, *_ = madpo(*torch.cat(logps, 1), margin=margin, weighting=SCHEDULE, beta=0.1)
    assert metrics["eval_loss"] == pytest.approx(losses.mean().item(), rel=1e-5)
    weights = weight(margin.double(), SCHEDULE)
    assert metrics["eval_weights/mean"] == pytest.approx(weights.mean().item(), rel=1e-6)
    share = (weights.sum() ** 2 / (8 * weights.square().sum())).item()
    assert metrics["eval_weights/ess"] == pytest.approx(share, rel=1e-6)
    assert metrics["eval_weights/max"] == pytest.approx(weights.max().item(), rel=1e-6)


def test_a_new_dataset_is_evaluated_with_its_weights(trainer):
    """There the reference is computed with the collator that carries weights."""
    made = trainer(WeightedDPOTrainer, precompute_ref_log_probs=True)
    doubled = [pair | {"weight": 2 * pair["weight"]} for pair in PAIRS]
    once, twice = (made.evaluate(Dataset.from_list(rows))["eval_loss"] for rows in (PAIRS, doubled))
    assert twice == 2 * once
    assert once == pytest.approx(math.log(2) * np.mean([p["weight"] for p in PAIRS]), rel=1e-6)
    with pytest.raises(ValueError, match="the eval dataset has no column 'weight'"):
        made.evaluate(Dataset.from_list(PAIRS).remove_columns("weight"))


def test_accumulated_batches_are_one_large_batch(trainer):
    whole, _ = trained(trainer(WeightedDPOTrainer, per_device_train_batch_size=4, optim="sgd"))
    parts, _ = trained(
        trainer(
            WeightedDPOTrainer,
            per_device_train_batch_size=1,
            gradient_accumulation_steps=4,
            optim="sgd",
        )
    )
    for name in whole:  # three float32 updates, whose sums run in another order
        torch.testing.assert_close(whole[name], parts[name], rtol=1e-4, atol=1e-5)


def test_a_pair_of_weight_zero_is_not_there(trainer):
    settings = {"per_device_train_batch_size": 8, "max_steps": 2, "optim": "sgd"}
    other = altered("rejected", " something else entirely, and much longer than it was.")
    zero = [
        trained(trainer(WeightedDPOTrainer, [dict(p) | {"weight": float(i != 3)}
                for i, p in enumerate(rows)], **settings))[0]
        for rows in (PAIRS, other)
    ]  # fmt: skip
    for name in zero[0]:  # the padding differs, so the kernels round otherwise
        torch.testing.assert_close(zero[0][name], zero[1][name], rtol=1e-4, atol=1e-5)


def test_a_stream_and_another_column_name(trainer):
    renamed = [{"importance" if k == "weight" else k: v for k, v in p.items()} for p in PAIRS]
    expected, _ = trained(trainer(WeightedDPOTrainer, renamed, column="importance", seed=1))
    stream = Dataset.from_list(renamed).to_iterable_dataset()
    assert isinstance(stream, IterableDataset)
    made = trainer(WeightedDPOTrainer, stream, column="importance")
    found, log = trained(made)
    assert log[0]["weights/max"] == 0.75  # its first two rows: 0.25 and 0.75
    assert not same(expected, found)  # a stream is not shuffled
    bad = Dataset.from_list(altered("weight", -1.0, row=0)).to_iterable_dataset()
    with pytest.raises(ValueError, match=r"'weight' must be finite and not negative, got -1.0"):
        trained(trainer(WeightedDPOTrainer, bad))


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    (
        ([{k: v for k, v in p.items() if k != "weight"} for p in PAIRS], {}, "the train dataset has"
         " no column 'weight' .*chosen, margin, prompt.*add_column"),
        (PAIRS, {"column": "w"}, "no column 'w'"),
        (altered("weight", -0.5), {}, "must be finite and not negative, got -0.5 in row 3"),
        (altered("weight", math.nan), {}, "got nan in row 3"),
        (altered("weight", None), {}, "got nan in row 3"),
        (altered("margin", math.inf), {"weighting": SCHEDULE}, "'margin' must be finite, got inf"),
        ([p | {"weight": [1.0, 2.0]} for p in PAIRS], {}, "one number a pair"),
        (PAIRS, {"loss_type": ["sigmoid", "sft"]}, "'sft' is a mean over tokens"),
        (PAIRS, {"loss_type": "aot"}, "'aot' is computed from sorted scores"),
    ),
)  # fmt: skip
def test_what_cannot_be_weighed_is_refused(trainer, rows, options, message):
    with pytest.raises(ValueError, match=message):
        trainer(WeightedDPOTrainer, rows, **options)


def test_a_weighting_is_a_weighting(trainer):
    with pytest.raises(TypeError, match="weighting must be a MarginSchedule"):
        trainer(WeightedDPOTrainer, weighting=2.0)


def of_nothing(inputs):
    return torch.zeros(len(inputs["input_ids"]), requires_grad=True)


# What a TRL to come might compute; its operations stand in its own method, as TRL's do.


def without_mean(self, model, inputs, *args, **kwargs):
    return of_nothing(inputs).sum() / 4


def twice_the_mean(self, model, inputs, *args, **kwargs):
    chosen, rejected = of_nothing(inputs).chunk(2, dim=0)
    return 2 * (chosen - rejected + 1).mean()


def without_reference(self, model, inputs, *args, **kwargs):
    chosen, rejected = of_nothing(inputs).chunk(2, dim=0)
    return (chosen - rejected).mean()


def twice_with_reference(self, model, inputs, *args, **kwargs):
    logps = of_nothing(inputs)
    (chosen, rejected), (other, another) = logps.chunk(2, dim=0), logps.chunk(2, dim=0)
    return 2 * (chosen - rejected - other + another).mean()


def mean_elsewhere(self, model, inputs, *args, **kwargs):
    return twice_the_mean(self, model, inputs)


@pytest.mark.parametrize(
    ("kind", "computed", "message"),
    (
        (WeightedDPOTrainer, without_mean, "takes no mean over the pairs"),
        (WeightedDPOTrainer, twice_the_mean, "is not the mean"),
        (WeightedDPOTrainer, mean_elsewhere, "takes no mean over the pairs"),
        (PreferenceTrainer, without_reference, "splits log-probabilities in another way"),
        (PreferenceTrainer, twice_with_reference, "is not the mean"),
    ),
)
def test_another_trl_is_refused(trainer, monkeypatch, kind, computed, message):
    monkeypatch.setattr(DPOTrainer, "compute_loss", computed)
    with pytest.raises(RuntimeError, match=f"{message}.*tested with TRL {integration.TESTED}"):
        trainer(kind, method="dpo").train()


def batch_loss(made):
    """(loss, auxiliary loss or 0) of the trainer's first batch."""
    batch = next(iter(made.get_train_dataloader()))
    with torch.no_grad():
        loss = made.compute_loss(made.model, batch).item()
    return loss, sum(made._metrics["train"].get("aux_loss", [0.0]))


def busy(module, arguments, result):
    """What a model may do with as many numbers as the batch has pairs, and twice as many."""
    for pairs in range(1, 9):
        numbers = torch.linspace(0.0, 1.0, 2 * pairs)
        first, second = numbers.chunk(2)
        numbers.mean(), first.mean(), second.mean(0)


@pytest.mark.parametrize("size", (2, 3))
@pytest.mark.parametrize("experts", (False, True), ids=("dense", "mixture of experts"))
def test_a_model_that_takes_means_does_not_take_the_weights(trainer, tiny, mixture, size, experts):
    policy = (mixture, tiny[1]) if experts else tiny
    settings = {"per_device_train_batch_size": size, "loss_type": ["sigmoid", "ipo"]}
    none = [pair | {"weight": 0.0} for pair in PAIRS]
    for hooked in (False, True):
        made = made_trainer(policy, trainer.args[1], WeightedDPOTrainer, none, **settings)
        if hooked:
            made.model.model.register_forward_hook(busy)
            made.ref_model.model.register_forward_hook(busy)
        loss, auxiliary = batch_loss(made)
        assert loss == pytest.approx(made.router_aux_loss_coef * auxiliary if experts else 0.0)
        assert experts == (auxiliary > 0)


@pytest.mark.parametrize("experts", (False, True), ids=("dense", "mixture of experts"))
def test_a_model_that_takes_means_does_not_take_the_methods_loss(trainer, tiny, mixture, experts):
    policy = (mixture, tiny[1]) if experts else tiny
    stock = made_trainer(policy, trainer.args[1], DPOTrainer)
    ours = made_trainer(policy, trainer.args[1], PreferenceTrainer, method="dpo")
    for model in (ours.model, ours.ref_model):
        model.model.register_forward_hook(busy)
    assert batch_loss(ours) == batch_loss(stock)


def test_a_mixture_of_experts_has_its_auxiliary_loss_and_nothing_else(
    trainer, tiny, mixture, monkeypatch
):
    plain = DPOTrainer.compute_loss

    def more(self, *args, **kwargs):
        return plain(self, *args, **kwargs) + 1.0

    monkeypatch.setattr(DPOTrainer, "compute_loss", more)
    made = made_trainer((mixture, tiny[1]), trainer.args[1], WeightedDPOTrainer)
    with pytest.raises(RuntimeError, match="is not the mean"):
        batch_loss(made)


def test_a_replaced_collator_is_noticed(trainer):
    made = trainer(WeightedDPOTrainer)
    made.data_collator = made.data_collator.collate
    with pytest.raises(RuntimeError, match="replaced the collator"):
        made.train()


# ------------------------------------------------------------------------------- any other method

# TRL's own: the method, and TRL's options. What is the same to rounding is in test_trl_losses.py.
TWINS = {
    "sigmoid": (Dpo(beta=0.3), {}),
    "ipo": (IpoPerToken(beta=0.3), {"loss_type": "ipo"}),
    "hinge": (Hinge(beta=0.3), {"loss_type": "hinge"}),
    "robust": (Rdpo(0.1, beta=0.3), {"loss_type": "robust", "label_smoothing": 0.1}),
    "nca_pair": (NcaPair(beta=0.3), {"loss_type": "nca_pair"}),
    "bco_pair": (BcoPair(beta=0.3), {"loss_type": "bco_pair"}),
    "sppo_hard": (SppoHard(beta=0.3), {"loss_type": "sppo_hard"}),
    "apo_zero": (ApoZero(beta=0.3), {"loss_type": "apo_zero"}),
    "apo_down": (ApoDown(beta=0.3), {"loss_type": "apo_down"}),
    "sigmoid_norm": (SigmoidNorm(beta=0.3), {"loss_type": "sigmoid_norm"}),
    "forward_kl": (FDpoForwardKl(beta=0.3), {"f_divergence_type": "forward_kl"}),
    "js_divergence": (FDpoJs(beta=0.3), {"f_divergence_type": "js_divergence"}),
    "alpha_divergence": (FDpoAlphaTrl(beta=0.3), {"f_divergence_type": "alpha_divergence"}),
}


QUICK = ("sigmoid", "ipo", "robust", "nca_pair")


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=[] if c in QUICK else pytest.mark.slow) for c in TWINS]
)
@pytest.mark.parametrize(
    "settings",
    ({}, pytest.param({"precompute_ref_log_probs": True, "peft": True}, marks=pytest.mark.slow)),
    ids=("plain", "precomputed, peft"),
)
def test_where_the_method_is_trls_own_it_is_trls_to_the_last_bit(trainer, case, settings):
    method, options = TWINS[case]
    run = {"max_steps": 10, "evaluation": PAIRS[:4]} | settings
    stock, stock_log = trained(trainer(DPOTrainer, beta=0.3, **run, **options))
    ours, our_log = trained(trainer(PreferenceTrainer, method=method, **run))
    assert same(stock, ours)
    for theirs, mine in zip(stock_log[:-1], our_log[:-1], strict=True):  # the last is of times
        plain = mine.pop("dpo_loss")
        assert theirs == mine and (case != "sigmoid" or plain == mine["loss"])


PAIRWISE = {name: cls for name, cls in METHODS.items() if cls.needs <= integration.GIVEN}
TOLD = ("dpo", "ipo_per_token", "madpo", "cdpo", "simpo")  # a method for each thing to ask for


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in TOLD else pytest.mark.slow) for n in PAIRWISE]
)
def test_every_pairwise_method_trains_with_its_own_loss(trainer, tiny, name):
    made = trainer(PreferenceTrainer, method=name, per_device_train_batch_size=8, beta=0.5)
    assert made.method == PAIRWISE[name](beta=0.5) and made.beta == 0.5

    def expected(batch, summed, averaged):
        lengths = batch["completion_mask"].sum(1).float().chunk(2)
        given = {"margin": batch.get(integration.KEY)}
        given |= dict(zip(("chosen_lengths", "rejected_lengths"), lengths, strict=True))
        asked = {k: v for k, v in given.items() if k in made.method.arguments()}
        return made.method(*summed, **asked)[0].mean()

    assert_loss_and_gradient(made, tiny, expected)


def test_madpo_is_weighted_dpo(trainer):
    method = Madpo(SCHEDULE, beta=0.1)
    ours, _ = trained(trainer(PreferenceTrainer, method=method, optim="sgd"))
    weighted, _ = trained(trainer(WeightedDPOTrainer, weighting=SCHEDULE, optim="sgd"))
    for name in ours:  # three updates by weights computed in float32 here, in float64 there
        torch.testing.assert_close(ours[name], weighted[name], rtol=1e-5, atol=1e-6)


def test_a_method_of_the_users_own_trains(trainer):
    @dataclass(frozen=True)
    class Squared(Method):
        def margin_loss(self, xp, z, h):
            return (z - 1) ** 2

    start = trainer(PreferenceTrainer, method=Squared(), learning_rate=3e-2, max_steps=12)
    _, log = trained(start)
    assert log[0]["loss"] == pytest.approx(1.0, abs=1e-5) and log[-2]["loss"] < 0.9


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    (
        ([{k: v for k, v in p.items() if k != "margin"} for p in PAIRS], {"method": "madpo"},
         "the train dataset has no column 'margin'"),
        (altered("margin", math.nan), {"method": "madpo"}, "'margin' must be finite, got nan"),
        (PAIRS, {"method": "beta_dpo"}, "beta_dpo takes statistics of whole batches"),
        (PAIRS, {"method": "dpo", "loss_type": "ipo"}, "loss_type = .*the loss is the method's"),
        (PAIRS, {"method": "dpo", "use_weighting": True}, "use_weighting = True"),
        (PAIRS, {"method": "rdpo", "label_smoothing": 0.1}, "label_smoothing = 0.1"),
        (PAIRS, {"method": "sft"}, "method = 'sft' breaks the rule"),
    ),
)  # fmt: skip
def test_what_no_method_can_train_is_refused(trainer, rows, options, message):
    with pytest.raises(ValueError, match=message):
        trainer(PreferenceTrainer, rows, **options)


@pytest.mark.parametrize("beta", (-1.0, 0.0, math.nan, math.inf))
@pytest.mark.parametrize("kind", (WeightedDPOTrainer, PreferenceTrainer))
def test_a_beta_that_is_no_temperature_is_refused(trainer, kind, beta):
    with pytest.raises(ValueError, match=r"beta .*the rule (is )?beta > 0"):
        trainer(kind, beta=beta, method="dpo" if kind is PreferenceTrainer else None)


def test_the_beta_of_a_users_method_is_a_temperature_too():
    @dataclass(frozen=True)
    class Loose(Method):
        beta: float = 0.1

        def margin_loss(self, xp, z, h):
            return xp.softplus(-z)

    assert Loose(beta=0.2).beta == 0.2
    for beta in (-1.0, 0.0, math.nan):
        with pytest.raises(ValueError, match=r"the rule (is )?beta > 0"):
            Loose(beta=beta)


def test_a_margin_column_is_asked_for_by_the_methods_that_use_it(trainer):
    bare = [{k: p[k] for k in ("prompt", "chosen", "rejected")} for p in PAIRS]
    trained(trainer(PreferenceTrainer, bare, method=Simpo(), max_steps=1))
    renamed = [row | {"h": pair["margin"]} for row, pair in zip(bare, PAIRS, strict=True)]
    ours, _ = trained(trainer(PreferenceTrainer, renamed, method="madpo", column="h"))
    assert same(ours, trained(trainer(PreferenceTrainer, method="madpo"))[0])
