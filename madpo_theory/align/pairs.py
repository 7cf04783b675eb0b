"""Prompts, fine-tuning texts, and preference pairs labelled by Bradley-Terry."""

import numpy as np
import torch

from .data import block
from .extras import optional
from .generate import generate
from .policy import Vocabulary, load_model, special_token
from .randomness import numpy_generator, torch_generator
from .scorer import reward, score
from .store import stage

__all__ = ["label", "pairs", "samples", "starts", "text_of", "tokens"]


def starts(vocabulary, texts, length, count, name):
    """The first `length` tokens, the start token included, of `count` texts that have so many."""
    bos = vocabulary.special("bos")
    rows = [[bos, *row[: length - 1]] for row in vocabulary.encode(texts) if len(row) >= length - 1]
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
        "prompts": ("prompts", prompt, settings.pairs),
        "held_out": (held_out, prompt, settings.held_out_pairs),
        "evaluation": ("evaluation", prompt, config["evaluation"]),
    }
    tensors = {
        key: starts(vocabulary, block(data, name)["text"], length, count, name)
        for key, (name, length, count) in wanted.items()
    }
    run.write_tensors("tokens.safetensors", tensors)


def text_of(vocabulary, prompts, responses):
    """Texts of prompts (B, P) followed by responses (B, N)."""
    return vocabulary.decode(torch.cat([prompts, responses], dim=1).cpu()[:, 1:])


def label(rewards, generator):
    """Which of two responses is chosen: rewards (pairs, 2) plus Gumbel(0, 1) noise, the larger.

    Returns booleans: the first is chosen, with probability sigmoid(reward difference).
    """
    noisy = rewards + generator.gumbel(size=rewards.shape)
    return noisy[:, 0] > noisy[:, 1]


@stage
def samples(run, config, tokens, model, sft, precision):
    """Stage: two continuations a prompt; training prompts first, held-out prompts behind them."""
    settings, seed = config["generate"], config["seed"]
    data = tokens.read_tensors("tokens.safetensors")
    prompts = torch.cat([data["prompts"], data["held_out"]])
    causal_lm = load_model(model, precision, sft)
    eos = special_token(model, "eos")

    def sampled(part):
        responses = generate(
            causal_lm,
            prompts[part].to(causal_lm.device),
            new_tokens=settings.new_tokens,
            eos=eos,
            generator=torch_generator(seed, "pairs", part.start),
            samples=2,
        )
        return {"prompts": prompts[part], "responses": responses.cpu()}

    size = settings.batch_size
    run.parts("samples", [slice(i, i + size) for i in range(0, len(prompts), size)], sampled)
    run.write_json("counts.json", {"train": len(data["prompts"])})


@stage
def pairs(run, config, samples, model, scorer, precision):
    """Stage: score and label the pairs."""
    drawn = samples.read_tensors("samples.safetensors")
    prompts, responses = drawn["prompts"], drawn["responses"]
    vocabulary = Vocabulary.load(model)
    texts = [text_of(vocabulary, prompts, responses[:, k]) for k in (0, 1)]
    p = score(scorer, texts[0] + texts[1], precision)
    rewards = reward(p).reshape(2, -1).T
    first = label(rewards, numpy_generator(config["seed"], "labels"))
    pair = np.arange(len(prompts))
    sign = np.where(first, 1.0, -1.0)
    table = optional("pandas").DataFrame(
        {
            "pair": pair,
            "split": np.where(
                pair < samples.read_json("counts.json")["train"], "train", "held_out"
            ),
            "prompt": vocabulary.decode(prompts[:, 1:]),
            "first": texts[0],
            "second": texts[1],
            "reward_first": rewards[:, 0],
            "reward_second": rewards[:, 1],
            "first_chosen": first,
            "true_margin": sign * (rewards[:, 0] - rewards[:, 1]),
        }
    )
    run.write_table("pairs.parquet", table)
