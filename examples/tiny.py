"""What both examples share: their pairs, and a tiny random model where none is named."""

from itertools import product

from madpo_theory.train.data import load


def load_pairs(path=None):
    """Rows of what `madpo score` or `weights` wrote, of texts; without a path, 36 of ours."""
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
    rows = load(path, "margin").rows
    if "prompt" not in rows[0]:
        raise ValueError(f"{path}: the examples take texts with a prompt; madpo train, messages")
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
