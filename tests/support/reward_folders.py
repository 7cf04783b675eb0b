"""Folders of tiny random reward models, as transformers writes them."""

import torch
from tokenizers import processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Gemma3TextConfig,
    Gemma3TextForSequenceClassification,
    PreTrainedTokenizerFast,
)

from madpo_theory.align.policy import SPECIAL, tiny_gemma

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m.role not in ('system', 'user', 'assistant') %}"
    "{{ raise_exception('no role ' + m.role) }}{% endif %}"
    "[{{ m.role }}] {{ m.content }}\n{% endfor %}"
)


def tokenizer_for(texts, *, template=None, limit=None):
    """A small byte-pair tokenizer of these texts, which begins every text with its start token."""
    _, words = tiny_gemma(texts, seed=0)
    words.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", words.token_to_id("<bos>"))]
    )
    names = {f"{name}_token": token for name, token in SPECIAL.items()}
    options = {} if limit is None else {"model_max_length": limit}
    made = PreTrainedTokenizerFast(tokenizer_object=words, **names, **options)
    made.chat_template = template
    return made


def reward_folder(folder, texts, *, kind="gemma", pad=True, outputs=1, template=None, limit=None):
    """Write a random reward model and its tokenizer; returns the folder, as a text."""
    tokenizer = tokenizer_for(texts, template=template, limit=limit)
    pad_id = tokenizer.pad_token_id if pad else None
    torch.manual_seed(1)
    if kind == "gemma":
        config = Gemma3TextConfig(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=1, head_dim=16, query_pre_attn_scalar=16,
            sliding_window=128, layer_types=["sliding_attention", "full_attention"],
            initializer_range=0.2, num_labels=outputs, pad_token_id=pad_id,
        )  # fmt: skip
        model = Gemma3TextForSequenceClassification(config)
    else:
        config = BertConfig(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=2, initializer_range=0.3, num_labels=outputs, pad_token_id=pad_id,
            max_position_embeddings=64,
        )  # fmt: skip
        model = BertForSequenceClassification(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
