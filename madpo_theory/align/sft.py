"""Supervised fine-tuning on positive reviews, and the reference's log-probabilities."""

import math

import torch

from .logprobs import (
    Layout,
    continuation_logps,
    pairs_at_once,
    predicting_states,
    response_mask,
    stem,
    token_logps,
)
from .policy import (
    adapter_parameters,
    add_adapter,
    load_model,
    recompute,
    save_adapter,
    special_token,
)
from .store import slices, stage
from .train import train

__all__ = ["reference", "sft"]


def mean_nll(causal_lm, rows, layers):
    """Negative log-likelihood per token of texts (B, T) after their first token, nats."""
    layout = Layout(prompt=1, new=rows.shape[1] - 1, branches=1)
    lower = stem(causal_lm, rows, layout, layers)
    before = predicting_states(causal_lm, lower, layout, layers)
    return -token_logps(causal_lm, before, rows, layout)


def masked_mean(nll, rows, unknown, eos):
    """Mean over the tokens up to the end that the vocabulary kept."""
    known = (rows[:, None, 1:] != unknown).float() * response_mask(rows[:, None, 1:], eos)
    return (nll * known).sum() / known.sum()


@stage(together=True)
def sft(run, config, tokens, model, precision):
    """Stage: adapters trained on texts to imitate; merged, they give the reference policy."""
    settings, seed = config["model"], config["seed"]
    layers = settings.first_adapted_layer
    rows = tokens.read_tensors("tokens.safetensors")["sft"]
    train_rows, test_rows = rows[: config["sft_examples"]], rows[config["sft_examples"] :]
    unknown, eos = (special_token(model, name) for name in ("unk", "eos"))
    causal_lm = load_model(model, precision)
    peft_model = add_adapter(causal_lm, settings, seed, "sft")
    parameters = adapter_parameters(peft_model)
    if config["train"].recompute:
        recompute(causal_lm)

    @torch.no_grad()
    def held_out_loss():
        losses = [
            masked_mean(mean_nll(causal_lm, part, layers), part, unknown, eos).item()
            for part in test_rows.to(causal_lm.device).split(pairs_at_once(causal_lm.device))
        ]
        return sum(losses) / len(losses)

    def perplexity():
        return {"perplexity": math.exp(held_out_loss())}

    def loss_of(indices, step, state):
        part = train_rows[indices].to(causal_lm.device)
        return masked_mean(mean_nll(causal_lm, part, layers), part, unknown, eos), {}, state

    run.once("before.json", perplexity)
    train(
        run, parameters, len(train_rows), config["train"], loss_of, seed=seed, path=("sft",),
        validation=held_out_loss,
    )  # fmt: skip
    save_adapter(run, peft_model)
    run.write_json("after.json", perplexity())


@stage(together=True)
def reference(run, config, pairs, model, sft, precision):
    """Stage: of every pair's two responses, log-probabilities (pairs, 2) under the reference.

    Where lower layers carry no adapter, their output is stored too: policy, reference and reward
    model all start from it.
    """
    layers = config["layers"]
    drawn = pairs.read_tensors("responses.safetensors")
    causal_lm = load_model(model, precision, sft)
    eos = special_token(model, "eos")
    layout = Layout(drawn["prompts"].shape[1], drawn["responses"].shape[2], 2)
    everything = layout.join(drawn["prompts"], drawn["responses"])

    @torch.no_grad()
    def compute(part):
        batch = everything[part].to(causal_lm.device)
        lower = stem(causal_lm, batch, layout, layers)
        logps = continuation_logps(causal_lm, lower, batch, layout, layers, eos)
        result = {"tokens": batch.cpu(), "logps": logps.cpu()}
        return result | ({"stem": lower.cpu()} if layers else {})

    parts = slices(len(everything), pairs_at_once(causal_lm.device))
    logps = run.parts("reference", parts, compute)["logps"]
    bad = torch.nonzero(~torch.isfinite(logps).all(1)).flatten().tolist()
    if bad:
        raise ArithmeticError(f"reference log-probabilities of pairs {bad} are not finite")
    run.write_json("layout.json", {"prompt": layout.prompt, "new": layout.new})
