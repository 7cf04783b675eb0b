"""The reward model: the policy's backbone with adapters and a linear head on the last token."""

import torch

from ..losses import dpo
from .batch import PairData
from .logprobs import hidden_states, last_hidden, pairs_at_once
from .policy import (
    adapter_parameters,
    add_adapter,
    load_model,
    recompute,
    special_token,
)
from .store import slices, stage
from .train import train

__all__ = ["bradley_terry", "reward_model"]


def bradley_terry(chosen, rejected):
    """-log sigmoid(chosen - rejected) per pair: DPO with scores for log-ratios, at beta 1."""
    zero = torch.zeros_like(chosen)
    return dpo(chosen, rejected, zero, zero, beta=1.0)[0]


@stage(together=True)
def reward_model(run, config, pairs, reference, model, sft, precision):
    """Stage: train on the observed labels; store every pair's margin toward its label, once."""
    settings, seed = config["model"], config["seed"]
    eos = special_token(model, "eos")
    data = PairData.load(pairs, reference, settings.first_adapted_layer, eos)
    causal_lm = load_model(model, precision, sft)
    at_once = pairs_at_once(causal_lm.device)
    peft_model = add_adapter(causal_lm, settings, seed, "reward")
    head = torch.zeros(causal_lm.config.hidden_size, 1, device=causal_lm.device, requires_grad=True)
    parameters = {"head": head} | adapter_parameters(peft_model)
    if config["train"].recompute:
        recompute(causal_lm)

    def scores(indices):
        tokens, lower, layout = data.inputs(causal_lm, indices)
        hidden = hidden_states(causal_lm, lower, layout, data.layers)
        last = last_hidden(hidden, tokens, layout, eos).float()
        return data.chosen_first((last @ head)[..., 0], indices)

    def loss_of(indices, step, state):
        chosen, rejected = scores(indices)
        accuracy = (chosen > rejected).float().mean().item()
        return bradley_terry(chosen, rejected).mean(), {"accuracy": accuracy}, state

    @torch.no_grad()
    def held_out_loss():
        parts = torch.arange(data.train, len(data.tokens)).split(at_once)
        losses = torch.cat([bradley_terry(*scores(part)) for part in parts])
        return losses.double().mean().item()

    train(
        run,
        parameters,
        data.train,
        config["train"],
        loss_of,
        seed=seed,
        path=("reward",),
        lengths=data.lengths()[: data.train],
        validation=held_out_loss,
    )
    run.write_tensors("reward_model.safetensors", parameters)

    @torch.no_grad()
    def margins_of(part):
        chosen, rejected = scores(torch.arange(len(data.tokens))[part])
        return {"margin": (chosen - rejected).cpu()}

    margin = run.parts("margins", slices(len(data.tokens), at_once), margins_of)["margin"]
    zero = torch.zeros_like(margin)
    held_out = slice(data.train, None)
    run.write_json(
        "quality.json",
        {
            "train_loss": bradley_terry(margin, zero)[: data.train].mean().item(),
            "held_out_loss": bradley_terry(margin, zero)[held_out].mean().item(),
            "train_accuracy": (margin > 0)[: data.train].float().mean().item(),
            "held_out_accuracy": (margin > 0)[held_out].float().mean().item(),
        },
    )
