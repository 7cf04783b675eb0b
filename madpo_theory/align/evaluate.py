"""Evaluation: reward and divergence on held-out prompts, accuracy on held-out pairs."""

import torch

from .batch import PairData
from .extras import optional
from .generate import generate_part
from .logprobs import (
    Layout,
    continuation_logps,
    pairs_at_once,
    predicting_states,
    response_mask,
    stem,
    token_kl,
)
from .pairs import rewards_of
from .policy import Vocabulary, load_adapter, load_model
from .store import slices, stage

__all__ = ["divergence", "evaluate"]


@torch.no_grad()
def divergence(causal_lm, peft_model, tokens, layout, layers, eos):
    """Sequence KL(policy || reference) of sampled continuations, two unbiased estimates, (B,) nats.

    First the sum over positions of the exact KL of the next token (the sampled prefix is the only
    randomness left), then the plain log-ratio of the sample. The reference is the same model with
    its adapter off.
    """
    lower = stem(causal_lm, tokens, layout, layers)
    mask = response_mask(tokens[:, layout.prompt :], eos)
    policy = predicting_states(causal_lm, lower, layout, layers)
    with peft_model.disable_adapter():
        base = predicting_states(causal_lm, lower, layout, layers)
    flat = [states.flatten(0, 1) for states in (policy, base)]
    targets = tokens[:, layout.prompt :]
    exact, ratio = token_kl(causal_lm.lm_head.weight, *flat, targets.reshape(-1))
    return (exact.view_as(mask) * mask).sum(1), (ratio.view_as(mask) * mask).sum(1)


def with_adapter_in(name, causal_lm, adapt, load):
    """(model, its peft model) for the KL, in the number format called name, causal_lm adapted too.

    `load` takes a dtype and gives the model anew; it is not called for the format causal_lm has.
    """
    own = causal_lm, adapt(causal_lm)
    dtype = causal_lm.dtype if name == "model" else getattr(torch, name)
    if dtype == causal_lm.dtype:
        return own
    exact = load(dtype)
    return exact, adapt(exact)


@stage(together=True)
def evaluate(
    run, config, tokens, model, sft, scorer, precision, policy=None, pairs=None, reference=None
):
    """Stage: one sample for every evaluation prompt and, a policy's margins on held-out pairs.

    Without a policy it evaluates the reference. Every policy gets the same prompts and the same
    uniform numbers. Where the settings have a `kl_dtype`, the KL is computed in that number format.
    """
    pandas = optional("pandas")
    settings, seed, layers = config["generate"], config["seed"], config["layers"]
    prompts = tokens.read_tensors("tokens.safetensors")["evaluation"]
    vocabulary = Vocabulary.load(model)
    eos = vocabulary.special("eos")
    causal_lm = load_model(model, precision, sft)
    if policy is not None:
        measured = with_adapter_in(
            config.get("kl_dtype", "model"), causal_lm, lambda lm: load_adapter(lm, policy),
            lambda dtype: load_model(model, precision, sft, dtype=dtype),
        )  # fmt: skip
    layout = Layout(settings.prompt_tokens, settings.new_tokens, 1)

    def sampled(part):
        batch = prompts[part].to(causal_lm.device)
        responses = generate_part(causal_lm, prompts, part, settings, eos, seed, "evaluation")
        result = {"responses": responses[:, 0].cpu()}
        if policy is None:
            return result | {"kl": torch.zeros(len(batch)), "kl_mc": torch.zeros(len(batch))}
        both = [
            divergence(*measured, rows, layout, layers, eos)
            for rows in layout.join(batch, responses).split(2 * pairs_at_once(batch.device))
        ]
        exact, plain = (torch.cat(values).cpu() for values in zip(*both, strict=True))
        return result | {"kl": exact, "kl_mc": plain}

    size = 2 * settings.batch_size
    samples = run.parts("samples", slices(len(prompts), size), sampled)
    texts, rewards = rewards_of(scorer, vocabulary, prompts, samples["responses"], precision)
    table = pandas.DataFrame(
        {
            "prompt": vocabulary.decode(prompts[:, 1:]),
            "text": texts,
            "reward": rewards,
            "kl": samples["kl"].double().numpy(),
            "kl_mc": samples["kl_mc"].double().numpy(),
        }
    )
    run.write_table("samples.parquet", table)
    if policy is not None:
        held_out_margins(run, PairData.load(pairs, reference, layers, eos), pairs, causal_lm, eos)


def held_out_margins(run, data, pairs, causal_lm, eos):
    """Implicit margins of the held-out pairs toward their observed labels, beside the true ones."""

    @torch.no_grad()
    def compute(part):
        indices = torch.arange(data.train, len(data.tokens))[part]
        batch, lower, layout = data.inputs(causal_lm, indices)
        logps = continuation_logps(causal_lm, lower, batch, layout, data.layers, eos)
        chosen, rejected = data.chosen_first(logps.cpu() - data.reference[indices], indices)
        return {"margin": chosen - rejected}

    parts = slices(len(data.tokens) - data.train, pairs_at_once(causal_lm.device))
    margin = run.parts("held_out", parts, compute)["margin"]
    table = pairs.read_table("pairs.parquet").iloc[data.train :][["pair", "true_margin"]]
    run.write_table("held_out.parquet", table.assign(margin=margin.double().numpy()))
