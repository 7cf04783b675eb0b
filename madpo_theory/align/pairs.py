"""Prompts, fine-tuning texts, and preference pairs labelled by Bradley-Terry."""

import numpy as np
import torch

from .data import block
from .extras import optional
from .generate import generate_part
from .policy import Vocabulary, load_model, special_token
from .randomness import numpy_generator
from .scorer import reward, score, task_reward
from .store import slices, stage

__all__ = [
    "label",
    "mislabelled",
    "pairs",
    "replaced",
    "rewards_of",
    "samples",
    "starts",
    "text_of",
    "tokens",
]


def starts(vocabulary, table, prompt, length, count, name):
    """Token ids (count, length), the start token included, of rows that have enough tokens.

    Without a column `prompt`, these are a text's first tokens. With one, they are the last
    `prompt` tokens of the prompt, then those of the text behind a space, filled with end tokens.
    """
    bos, eos = vocabulary.special("bos"), vocabulary.special("eos")
    if "prompt" in table:
        rows, texts = [], vocabulary.encode(" " + table["text"])
        for before, after in zip(vocabulary.encode(table["prompt"]), texts, strict=True):
            if len(before) >= prompt - 1:
                row = [bos, *before[len(before) - prompt + 1 :], *after[: length - prompt]]
                rows.append(row + [eos] * (length - len(row)))
    else:
        texts = vocabulary.encode(table["text"])
        rows = [[bos, *row[: length - 1]] for row in texts if len(row) >= length - 1]
    if len(rows) < count:
        raise ValueError(
            f"{name} asks for {count} texts of {length} tokens but its rows hold {len(rows)}; "
            "widen data's rows or ask for fewer"
        )
    at = np.linspace(0, len(rows) - 1, count).round().astype(int)  # spread over the films
    return torch.tensor(np.array([rows[i] for i in at]), dtype=torch.long)


@stage
def tokens(run, config, data, model):
    """Stage: prompts and fine-tuning texts as token ids, all of one length each."""
    settings, examples = config["generate"], config["sft_examples"]
    vocabulary = Vocabulary.load(model)
    prompt, whole = settings.prompt_tokens, settings.prompt_tokens + settings.new_tokens
    rows = block(data, "held_out", "evaluation")["block"]
    held_out = "held_out" if (rows == "held_out").any() else "evaluation"
    wanted = {
        "sft": ("sft", whole, examples + config["sft_held_out"]),
        "prompts": ("prompts", whole, settings.pairs),
        "held_out": (held_out, whole, settings.held_out_pairs),
        "evaluation": ("evaluation", prompt, config["evaluation"]),
    }
    tensors = {
        key: starts(vocabulary, block(data, name), prompt, length, count, name)
        for key, (name, length, count) in wanted.items()
    }
    for name in ("prompts", "held_out"):  # how the review itself goes on is kept beside
        tensors[name], tensors[f"{name}_review"] = tensors[name].split(
            [prompt, settings.new_tokens], dim=1
        )
    run.write_tensors("tokens.safetensors", tensors)


def text_of(vocabulary, prompts, responses):
    """Texts of prompts (B, P) followed by responses (B, N)."""
    return vocabulary.decode(torch.cat([prompts, responses], dim=1).cpu()[:, 1:])


def rewards_of(scorer, vocabulary, prompts, responses, precision):
    """Texts and true rewards of responses (B, N) to prompts (B, P), by a finished scorer stage.

    A classifier reads prompt and response as one text; a task's own reward gets them apart.
    """
    texts = text_of(vocabulary, prompts, responses)
    if scorer.read_json("scorer.json")["kind"] == "task":
        return texts, task_reward(
            scorer, vocabulary.decode(prompts[:, 1:]), vocabulary.decode(responses)
        )
    return texts, reward(score(scorer, texts, precision))


def label(rewards, generator):
    """Which of two responses is chosen: rewards (pairs, 2) plus Gumbel(0, 1) noise, the larger.

    Returns booleans: the first is chosen, with probability sigmoid(reward difference).
    """
    noisy = rewards + generator.gumbel(size=rewards.shape)
    return noisy[:, 0] > noisy[:, 1]


@stage(together=True)
def samples(run, config, tokens, model, sft, precision):
    """Stage: two continuations a prompt; training prompts first, held-out prompts behind them."""
    settings, seed = config["generate"], config["seed"]
    data = tokens.read_tensors("tokens.safetensors")
    prompts = torch.cat([data["prompts"], data["held_out"]])
    causal_lm = load_model(model, precision, sft)
    eos = special_token(model, "eos")

    def sampled(part):
        responses = generate_part(causal_lm, prompts, part, settings, eos, seed, "pairs", samples=2)
        return {"prompts": prompts[part], "responses": responses.cpu()}

    size = settings.batch_size
    run.parts("samples", slices(len(prompts), size), sampled)
    run.write_json("counts.json", {"train": len(data["prompts"])})


def mislabelled(share, count, seed):
    """Which of some pairs have their label turned round: a random `share` of them, booleans.

    The pairs of a smaller share are among those of a larger one.
    """
    return numpy_generator(seed, "label noise").random(count) < share


def replaced(tier, train, held_out):
    """Which pairs have the original review for their rejected side: booleans, training first."""
    if tier == "medium":
        return np.concatenate([np.arange(n) < n // 2 for n in (train, held_out)])
    return np.full(train + held_out, tier == "low")


@stage
def pairs(run, config, samples, tokens, model, scorer, precision):
    """Stage: score and label the pairs; in the lower tiers the review itself is rejected.

    The label is drawn between the two samples in every tier, so tiers differ in what is rejected.
    Label noise comes last: a pair that it turns round prefers what would have been rejected.
    """
    drawn, ids = (
        parent.read_tensors(name)
        for parent, name in ((samples, "samples.safetensors"), (tokens, "tokens.safetensors"))
    )
    prompts, responses = drawn["prompts"], drawn["responses"]
    reviews = torch.cat([ids["prompts_review"], ids["held_out_review"]])
    vocabulary = Vocabulary.load(model)
    candidates = torch.cat([responses, reviews[:, None]], dim=1)
    every = candidates.transpose(0, 1).flatten(0, 1)
    texts, rewards = rewards_of(scorer, vocabulary, prompts.repeat(3, 1), every, precision)
    texts, rewards = np.array(texts, dtype=object).reshape(3, -1), rewards.reshape(3, -1).T
    first = label(rewards[:, :2], numpy_generator(config["seed"], "labels"))
    train = samples.read_json("counts.json")["train"]
    swapped = replaced(config["tier"], train, len(prompts) - train)
    # Which candidate stands first and second.
    shown = np.stack([np.where(swapped & ~first, 2, 0), np.where(swapped & first, 2, 1)], axis=1)
    pair = np.arange(len(prompts))
    turned = mislabelled(config.get("label_noise", 0.0), len(prompts), config["seed"])
    first = first ^ (turned & (pair < train))
    scores = np.take_along_axis(rewards, shown, axis=1)
    table = optional("pandas").DataFrame(
        {
            "pair": pair,
            "split": np.where(pair < train, "train", "held_out"),
            "prompt": vocabulary.decode(prompts[:, 1:]),
            "first": texts[shown[:, 0], pair],
            "second": texts[shown[:, 1], pair],
            "reward_first": scores[:, 0],
            "reward_second": scores[:, 1],
            "first_chosen": first,
            "review_rejected": swapped,
            "true_margin": np.where(first, 1.0, -1.0) * (scores[:, 0] - scores[:, 1]),
        }
    )
    run.write_table("pairs.parquet", table)
    chosen = candidates[pair[:, None], torch.from_numpy(shown)]
    run.write_tensors("responses.safetensors", {"prompts": prompts, "responses": chosen})
