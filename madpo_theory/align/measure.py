"""What reward and divergence do not say of a policy: other temperatures, texts, displacement.

Degenerate is a text that repeats itself, of whose 4-grams of tokens more than a quarter stand
earlier in it (seq-rep-4 of arXiv 1908.04319), or one of fewer than 5 distinct tokens.
"""

import numpy as np
import torch

from .batch import PairData
from .extras import optional
from .generate import generate_part
from .logprobs import continuation_logps, pairs_at_once, response_mask
from .pairs import rewards_of
from .policy import Vocabulary, load_adapter, load_model
from .store import slices, stage

__all__ = ["degenerate", "measure", "repeated"]

GRAM, REPEATED, DISTINCT = 4, 0.25, 5


def repeated(ids):
    """Share of a text's 4-grams that stand earlier in it: 1 - distinct/all; 0 if it has none."""
    grams = list(zip(*(ids[i:] for i in range(GRAM)), strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def degenerate(ids):
    """Whether a response, token ids up to its end, repeats itself or says next to nothing."""
    return repeated(ids) > REPEATED or len(set(ids)) < DISTINCT


@stage(together=True)
def measure(
    run,
    config,
    evaluated,
    tokens,
    model,
    sft,
    scorer,
    precision,
    policy=None,
    pairs=None,
    reference=None,
):
    """Stage: beside a finished evaluation, of a policy or of the reference.

    ``texts.parquet``: temperature, prompt, reward, length (tokens up to the end, the end token
    among them) and whether it is degenerate, of one text for every evaluation prompt at each of the
    `temperatures` and, of the evaluation itself, at 1. Every policy gets the same uniform numbers.

    ``responses.parquet``, of a policy: the log-probabilities of chosen and rejected responses under
    the policy and under the reference, nats, of every held-out pair and as many training pairs as
    there are evaluation prompts, spread evenly.
    """
    settings, temperatures = config["generate"], config["temperatures"]
    prompts = tokens.read_tensors("tokens.safetensors")["evaluation"]
    vocabulary = Vocabulary.load(model)
    eos = vocabulary.special("eos")
    causal_lm = load_model(model, precision, sft)
    if policy is not None:
        load_adapter(causal_lm, policy)

    def sampled(part):
        responses = generate_part(
            causal_lm, prompts, part, settings, eos, config["seed"], "temperatures",
            samples=len(temperatures), temperatures=temperatures,
        )  # fmt: skip
        return {"responses": responses.cpu()}

    size = max(1, 2 * settings.batch_size // len(temperatures))
    drawn = run.parts("temperatures", slices(len(prompts), size), sampled)["responses"]
    at_one = evaluated.read_tensors("samples.safetensors")["responses"]
    known = evaluated.read_table("samples.parquet")["reward"].to_numpy()
    tables = [texts_of(at_one, known, 1.0, eos)]
    for temperature, responses in zip(temperatures, drawn.unbind(1), strict=True):
        _, rewards = rewards_of(scorer, vocabulary, prompts, responses, precision)
        tables.append(texts_of(responses, rewards, temperature, eos))
    run.write_table("texts.parquet", optional("pandas").concat(tables, ignore_index=True))
    if policy is not None:
        data = PairData.load(pairs, reference, config["layers"], eos)
        run.write_table("responses.parquet", displaced(run, data, len(prompts), causal_lm, eos))


def texts_of(responses, rewards, temperature, eos):
    lengths = response_mask(responses, eos).sum(-1).int().tolist()
    rows = [row[:length] for row, length in zip(responses.tolist(), lengths, strict=True)]
    return optional("pandas").DataFrame(
        {
            "temperature": float(temperature),
            "prompt": range(len(rows)),
            "reward": rewards,
            "length": lengths,
            "degenerate": [degenerate(row) for row in rows],
        }
    )


def displaced(run, data, count, causal_lm, eos):
    """Log-probabilities of chosen and rejected responses of some pairs, before and after."""
    spread = np.linspace(0, data.train - 1, min(count, data.train)).round().astype(int)
    indices = torch.cat([torch.from_numpy(spread), torch.arange(data.train, len(data.tokens))])

    @torch.no_grad()
    def compute(part):
        tokens, lower, layout = data.inputs(causal_lm, indices[part])
        logps = continuation_logps(causal_lm, lower, tokens, layout, data.layers, eos)
        return {"logps": logps.cpu()}

    parts = slices(len(indices), pairs_at_once(causal_lm.device))
    after = run.parts("displaced", parts, compute)["logps"]
    columns = {}
    for when, logps in (("reference", data.reference[indices]), ("policy", after)):
        for which, values in zip(
            ("chosen", "rejected"), data.chosen_first(logps, indices), strict=True
        ):
            columns[f"{when}_{which}"] = values.double().numpy()
    split = np.where(indices.numpy() < data.train, "train", "held_out")
    return optional("pandas").DataFrame({"pair": indices.numpy(), "split": split} | columns)
