"""Alignment: one preference loss, one policy."""

import math
from dataclasses import replace

import torch

from ..methods import Pairs
from ..methods.dpo import Dpo
from ..ops import torch_world
from .batch import PairData
from .logprobs import continuation_logps, response_mask
from .policy import (
    adapter_parameters,
    add_adapter,
    load_model,
    recompute,
    save_adapter,
    special_token,
)
from .randomness import numpy_generator, torch_generator
from .store import stage
from .train import train

__all__ = ["align", "disturbed", "labels_of"]

TOLERANCE = {torch.float32: 4e-4, torch.bfloat16: 0.2}
"""Largest |m| at the first update over the root of a response's tokens, nats: each token's
log-probability, of some nats, is rounded anew where batches differ, bfloat16 to 2^-8 of a logit of
20 or so. The policy's adapters start at zero, so anything larger is a mistake."""


def implicit_margin(logps):
    """m = log-ratio of the chosen response minus that of the rejected one, nats."""
    policy_chosen, policy_rejected, reference_chosen, reference_rejected = logps
    return (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)


def check_start(name, method, margins, loss, dtype, tokens):
    """At the first update the policy is the reference: m = 0, and DPO's loss is log 2."""
    tolerance = TOLERANCE[dtype] * math.sqrt(tokens)
    largest = margins.abs().max().item()
    if not largest <= tolerance:
        raise AssertionError(
            f"{name}: at the first update |m| reaches {largest:.2e} nats, above "
            f"{tolerance:.0e}: the policy differs from the stored reference; is a dropout layer "
            "on, or was the reference computed with another model?"
        )
    if isinstance(method, Dpo) and not abs(loss - math.log(2)) <= method.beta * tolerance:
        raise AssertionError(f"{name}: the first loss is {loss:.6f}, not log 2")


def disturbed(margin, exact, settings, seed):
    """The margins a method gets, (pairs,): the reward model's with the errors of a MarginConfig.

    `exact` are the true margins. All are toward the observed labels; errors are drawn once a pair.
    """
    kind = settings.disturbance
    generator = numpy_generator(seed, "margins", kind)
    if kind == "exact":
        return exact.to(margin)
    if kind == "scaled":
        return settings.level * margin
    if kind == "noisy":
        return margin + settings.level * torch.from_numpy(generator.normal(size=len(margin))).to(
            margin
        )
    if kind == "flipped":
        wrong = torch.from_numpy(generator.random(len(margin)) < settings.level)
        return torch.where(wrong, -margin, margin)
    return margin


def labels_of(method, first_chosen, margin, train):
    """(labels, margins toward them, training pairs) that a method works with.

    A pair of weight 0 is no example, and a soft label of 0 is a label turned round.
    """
    slots = method.slots(torch_world, margin) if method.has_slots else None
    examples = torch.arange(train)
    if slots is not None and slots.log_weight is not None:
        examples = examples[torch.as_tensor(slots.log_weight)[:train] > -math.inf]
    if slots is None or not slots.exact:
        return first_chosen, margin, examples
    turned = slots.label[0] == 0
    return first_chosen ^ turned, torch.where(turned, -margin, margin), examples


@stage(together=True, of=lambda config: config["method"].name)
def align(run, config, pairs, reference, reward_model, model, sft, precision):
    """Stage: train one policy with one loss."""
    trained, settings, seed = config["method"], config["model"], config["seed"]
    method = trained.method
    eos = special_token(model, "eos")
    data = PairData.load(pairs, reference, settings.first_adapted_layer, eos)
    margin = reward_model.read_tensors("margins.safetensors")["margin"]
    if trained.margins is not None:
        exact = torch.tensor(pairs.read_table("pairs.parquet")["true_margin"].to_numpy())
        margin = disturbed(margin, exact, trained.margins, seed)
    labels, margin, examples = labels_of(method, data.first_chosen, margin, data.train)
    data = replace(data, first_chosen=labels)
    causal_lm = load_model(model, precision, sft)
    peft_model = add_adapter(causal_lm, settings, seed, "align")
    parameters = adapter_parameters(peft_model)
    if config["train"].recompute:
        recompute(causal_lm)

    def loss_of(chosen, step, state):
        indices = examples[chosen]
        tokens, lower, layout = data.inputs(causal_lm, indices)
        policy = continuation_logps(causal_lm, lower, tokens, layout, data.layers, eos)
        fixed = data.reference[indices].to(policy.device)
        lengths = (None, None)
        if "length" in method.needs:
            responses = tokens[:, layout.prompt :].view(len(tokens), 2, -1)
            lengths = data.chosen_first(response_mask(responses, eos).sum(-1), indices)
        logps = (*data.chosen_first(policy, indices), *data.chosen_first(fixed, indices))
        finite(logps, step, indices)
        margins = implicit_margin(logps).detach()
        # A microbatch has its own stream: its first pair is in no other of this update.
        generator = torch_generator(seed, "keep", step, int(indices[0]))
        batch = Pairs(*logps, margin[indices].to(policy.device), *lengths)
        loss, state, numbers = method.train_loss(batch, generator=generator, state=state)
        if step == 0:
            check_start(trained.name, method, margins, loss.item(), causal_lm.dtype, layout.new)
        numbers |= {
            "margin": margins.mean().item(),
            "accuracy": (margins > 0).float().mean().item(),
            "chosen_ratio": (logps[0] - logps[2]).mean().item(),
        }
        return loss, numbers, state

    train(
        run,
        parameters,
        len(examples),
        config["train"],
        loss_of,
        seed=seed,
        path=("align",),
        state=method.start(),
        lengths=data.lengths()[examples],
        divided="batch" not in method.needs,
    )
    save_adapter(run, peft_model)


def finite(logps, step, indices):
    """Stop at the first NaN or infinite log-probability, naming where."""
    for name, values in zip(
        ("policy chosen", "policy rejected", "reference chosen", "reference rejected"),
        logps,
        strict=True,
    ):
        bad = ~torch.isfinite(values.detach()).cpu()
        if bad.any():
            raise ArithmeticError(
                f"{name} log-probabilities of pairs {indices[bad].tolist()} are not finite at "
                f"update {step}; lower lr, or use float32"
            )
