"""What both examples share: their pairs, and a tiny random model where none is named."""

import json
from itertools import product
from pathlib import Path

KEYS = {"prompt", "chosen", "rejected", "margin"}


def load_pairs(path=None):
    """Rows of a JSON-lines file with prompt, chosen, rejected, margin; without one, 36 of ours."""
    if path is None:
        return [
            {
                "prompt": f"This {kind} film about a {thing}",
                "chosen": f" is {good} from its first scene to the last one.",
                "rejected": f" is {bad}, and far too long.",
                "margin": 1.5 * strength - 2.0,
            }
            for kind, thing, (strength, (good, bad)) in product(
                ("slow", "loud", "clever", "gloomy"),
                ("ship", "dog", "family"),
                enumerate((("dull", "wonderful"), ("fine", "dull"), ("moving", "dreadful"))),
            )
        ]
    rows = [json.loads(line) for line in Path(path).read_text().splitlines() if line.strip()]
    for number, row in enumerate(rows, 1):
        if missing := KEYS - row.keys():
            raise ValueError(f"{path}, line {number}: no {', '.join(sorted(missing))}; add it")
    return rows


def load_policy(name, pairs):
    """Model and tokenizer by name or path; without a name, two random layers of a Gemma."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

    if name:
        return AutoModelForCausalLM.from_pretrained(name), AutoTokenizer.from_pretrained(name)
    from madpo_theory.align.policy import SPECIAL, tiny_gemma

    texts = [row["prompt"] + row[key] for row in pairs for key in ("chosen", "rejected")]
    model, tokenizer = tiny_gemma(texts, seed=0)
    names = {f"{key}_token": token for key, token in SPECIAL.items()}
    return model, PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
