"""Alignment: one preference loss, one policy."""

import math
from dataclasses import replace

import torch

from ..losses import (
    BetaDPOState,
    beta_dpo,
    beta_dpo_beta,
    beta_dpo_keep,
    beta_dpo_margins,
    beta_dpo_update,
    distillation,
    dpo,
    ipo,
    madpo,
)
from .batch import PairData
from .logprobs import continuation_logps, response_mask
from .methods import weighting_of
from .policy import (
    adapter_parameters,
    add_adapter,
    load_model,
    recompute,
    save_adapter,
    special_token,
)
from .randomness import numpy_generator, torch_generator
from .store import say, stage
from .train import train

__all__ = ["align", "disturbed", "labels_of", "mean_loss"]

PLAIN = {"dpo": dpo, "ipo": ipo}
WEIGHTED = {"madpo": madpo, "distillation": distillation}

TOLERANCE = {torch.float32: 2e-3, torch.bfloat16: 0.5}
"""Largest |m| at the first update, nats: rounding of a sum of log-probabilities of ~100 nats
whose batches differ. The policy's adapters start at zero, so anything larger is a mistake."""


def mean_loss(method, logps, margin, *, generator, state):
    """Mean loss of a batch, the new state, and numbers to log.

    `logps` are the four log-probabilities of the losses' signature, `margin` the reward model's
    margin toward the observed label; `state` holds beta-DPO's running statistics.
    """
    if method.loss in PLAIN:
        return PLAIN[method.loss](*logps, beta=method.beta)[0].mean(), state, {}
    if method.loss in WEIGHTED:
        weighting = weighting_of(method)
        losses, _, _ = WEIGHTED[method.loss](
            *logps, margin=margin, weighting=weighting, beta=method.beta
        )
        return losses.mean(), state, {}
    running = BetaDPOState(**state)
    implicit = implicit_margin(logps).detach().cpu()
    margins = beta_dpo_margins(implicit, beta=method.beta, variant=method.variant)
    kept = beta_dpo_keep(margins, running, fraction=method.fraction, generator=generator)
    averaged = margins[kept] if method.variant == "authors" else margins
    updated = beta_dpo_update(running, averaged)
    kept = kept.to(logps[0].device)
    losses, _, _ = beta_dpo(
        *logps,
        beta=method.beta,
        alpha=method.alpha,
        running_mean=running.mean,
        kept=kept,
        variant=method.variant,
    )
    settings = dict(beta=method.beta, alpha=method.alpha, running_mean=running.mean)
    # The rule of the MADPO author's variant is the one without a clamp.
    betas = {
        name: beta_dpo_beta(averaged.mean(), variant=variant, **settings).item()
        for name, variant in (("batch_beta", method.variant), ("unclamped_beta", "madpo"))
    }
    return losses.sum() / kept.sum(), {"mean": updated.mean, "std": updated.std}, betas


def implicit_margin(logps):
    """m = log-ratio of the chosen response minus that of the rejected one, nats."""
    policy_chosen, policy_rejected, reference_chosen, reference_rejected = logps
    return (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)


def check_start(method, margins, loss, dtype):
    """At the first update the policy is the reference: m = 0, and DPO's loss is log 2."""
    tolerance = TOLERANCE[dtype]
    largest = margins.abs().max().item()
    if not largest <= tolerance:
        raise AssertionError(
            f"{method.name}: at the first update |m| reaches {largest:.2e} nats, above "
            f"{tolerance:.0e}: the policy differs from the stored reference; is a dropout layer "
            "on, or was the reference computed with another model?"
        )
    if method.loss == "dpo" and not abs(loss - math.log(2)) <= method.beta * tolerance:
        raise AssertionError(f"{method.name}: the first loss is {loss:.6f}, not log 2")


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
    """(labels, training pairs) that a method works with, where it doubts the observed ones."""
    disputed = margin < 0
    if method.labels == "relabelled":
        return first_chosen ^ disputed, torch.arange(train)
    if method.labels == "filtered":
        return first_chosen, torch.nonzero(~disputed[:train]).flatten()
    return first_chosen, torch.arange(train)


@stage(together=True)
def align(run, config, pairs, reference, reward_model, model, sft, precision):
    """Stage: train one policy with one loss."""
    method, settings, seed = config["method"], config["model"], config["seed"]
    say(f"{run.key}: {method.name}")
    eos = special_token(model, "eos")
    data = PairData.load(pairs, reference, settings.first_adapted_layer, eos)
    margin = reward_model.read_tensors("margins.safetensors")["margin"]
    if method.margins is not None:
        exact = torch.tensor(pairs.read_table("pairs.parquet")["true_margin"].to_numpy())
        margin = disturbed(margin, exact, method.margins, seed)
    labels, examples = labels_of(method, data.first_chosen, margin, data.train)
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
        if method.per_token:
            responses = tokens[:, layout.prompt :].view(len(tokens), 2, -1)
            lengths = response_mask(responses, eos).sum(-1)
            policy, fixed = policy / lengths, fixed / lengths
        logps = (*data.chosen_first(policy, indices), *data.chosen_first(fixed, indices))
        finite(logps, step, indices)
        margins = implicit_margin(logps).detach()
        # A microbatch has its own stream: its first pair is in no other of this update.
        generator = torch_generator(seed, "keep", step, int(indices[0]))
        loss, state, numbers = mean_loss(
            method, logps, margin[indices].to(policy.device), generator=generator, state=state
        )
        if step == 0:
            check_start(method, margins, loss.item(), causal_lm.dtype)
        numbers |= {
            "margin": margins.mean().item(),
            "accuracy": (margins > 0).float().mean().item(),
            "chosen_ratio": (logps[0] - logps[2]).mean().item(),
        }
        return loss, numbers, state

    state = {"mean": 0.0, "std": 1.0} if method.loss == "beta_dpo" else {}
    train(
        run,
        parameters,
        len(examples),
        config["train"],
        loss_of,
        seed=seed,
        path=("align",),
        state=state,
        lengths=data.lengths()[examples],
        divided=method.loss != "beta_dpo",  # whose statistics are those of a whole batch
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
