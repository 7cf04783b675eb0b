"""A reward model of transformers: a sequence-classification model with one output."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch

from ..align.extras import transformers
from ..align.policy import realign
from ..files import RunError, first_line

__all__ = ["RewardModel", "Text"]

WORD_LIMIT = 10**9
"""A tokenizer's limit above this says that it has none."""


UNLOADED = (OSError, ValueError, KeyError, RuntimeError, ImportError)
"""What transformers raises where there is nothing that it can load."""


def cannot_load(argument, name, error, wanted):
    """The ValueError for a model that transformers cannot load."""
    why = first_line(error).rstrip(".:")
    return ValueError(
        f"{argument} = {name} cannot be loaded ({why[:200]}); name a folder or a hub model with "
        f"{wanted} and its tokenizer"
    )


def load(name, *, device="auto", dtype="auto", max_tokens=None, chat=True):
    """The :class:`RewardModel` in a folder, or of that name on the hub; see :func:`score_pairs`.

    ValueError, in one line, for what cannot be loaded, has no trained head, or more than one
    output.
    """
    package = transformers("trl")
    device = _device(device)
    if dtype == "auto":
        dtype = "float32" if device.type == "cpu" else "bfloat16"
    name = str(name)
    try:
        tokenizer = package.AutoTokenizer.from_pretrained(name)
        model, info = package.AutoModelForSequenceClassification.from_pretrained(
            name, dtype="auto", output_loading_info=True
        )
    except UNLOADED as error:
        raise cannot_load("reward_model", name, error, "a sequence-classification model") from None
    if info["missing_keys"]:
        raise ValueError(
            f"reward_model = {name} holds no {', '.join(sorted(info['missing_keys'])[:3])}, which "
            "would be drawn at random; name a model that was trained to give rewards"
        )
    if model.config.num_labels != 1:
        raise ValueError(
            f"reward_model = {name} has {model.config.num_labels} outputs, and must have one, the "
            "reward; name another model"
        )
    digest = _digest(model, tokenizer)
    _cast(realign(model), getattr(torch, dtype))
    return RewardModel(
        model.to(device).eval().requires_grad_(False),
        tokenizer,
        _limit(name, model, tokenizer, max_tokens),
        chat and getattr(tokenizer, "chat_template", None) is not None,
        dtype,
        digest,
    )


def _device(name):
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise ValueError(
            f"device = {name!r} is none that torch finds here; leave it at auto, or take cpu"
        ) from None
    return device


def _cast(model, dtype):
    """Parameters in the number format, but the head in float32, which it is given too.

    A reward of 8 bits would be the same for many a pair. Buffers stay: rotary frequencies in
    bfloat16 are off by radians.
    """
    inner = set(model.base_model.modules())
    for module in model.modules():
        head = isinstance(module, torch.nn.Linear) and module not in inner
        head = head and module.out_features == 1
        for parameter in module.parameters(recurse=False):
            parameter.data = parameter.data.to(torch.float32 if head else dtype)
        if head:
            module.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(),))


def _limit(name, model, tokenizer, asked):
    """Most tokens of a text: what was asked for, which model and tokenizer must have room for."""
    room = min(
        [getattr(model.config.get_text_config(), "max_position_embeddings", None) or WORD_LIMIT]
        + [tokenizer.model_max_length] * (tokenizer.model_max_length < WORD_LIMIT)
    )
    if asked is None:
        return room
    if not 1 <= asked <= room:
        raise ValueError(
            f"max_tokens = {asked} breaks the rule 1 <= max_tokens <= {room}, what {name} has room "
            "for; change it"
        )
    return asked


def _digest(model, tokenizer):
    """What rewards depend on, in a few letters: every parameter, the words, the template."""
    found = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        found.update(f"{name} {tuple(value.shape)}".encode())
        found.update(value.contiguous().flatten().view(torch.uint8).numpy())
    backend = getattr(tokenizer, "backend_tokenizer", None)
    words = sorted(tokenizer.get_vocab().items()) if backend is None else backend.to_str()
    for part in (model.config.to_json_string(), words, getattr(tokenizer, "chat_template", None)):
        found.update(str(part).encode())
    return found.hexdigest()[:16]


@dataclass(frozen=True)
class Text:
    """A dialogue as the model reads it."""

    ids: list
    truncated: bool


@dataclass(frozen=True)
class RewardModel:
    """A loaded reward model.

    Attributes
    ----------
    model, tokenizer : of transformers. max_tokens : of a text, beyond which it is cut.
    chat : whether dialogues go through the tokenizer's chat template.
    dtype : the number format of all but the head, which is float32. digest : of what it computes.
    """

    model: object
    tokenizer: object
    max_tokens: int
    chat: bool
    dtype: str
    digest: str

    def environment(self):
        """What the last bits of rewards depend on besides."""
        device = self.model.device
        card = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
        return {
            "torch": torch.__version__,
            "transformers": transformers().__version__,
            "device": f"{device.type} {card}".strip(),
        }

    def encode(self, dialogues):
        """The :class:`Text` of each dialogue; ValueError(index, why) where there is none."""
        texts = [d if isinstance(d, str) else self._rendered(i, d) for i, d in enumerate(dialogues)]
        found = {}
        for special in (True, False):  # a template writes special tokens itself
            cut = {"add_special_tokens": special, "truncation": True, "max_length": self.max_tokens}
            at = [i for i, d in enumerate(dialogues) if isinstance(d, str) == special]
            some = [texts[i] for i in at]
            rows = self.tokenizer(some, add_special_tokens=special)["input_ids"] if at else []
            for i, ids in zip(at, rows, strict=True):
                found[i] = self._text(i, texts[i], ids, cut)
        return [found[i] for i in range(len(texts))]

    def _text(self, index, text, ids, cut):
        """The Text of some ids, cut if they are too many."""
        if not ids:
            raise ValueError(index, "has no tokens, and a reward model needs one; give a text")
        if max(ids) >= (words := self.model.get_input_embeddings().num_embeddings):
            raise ValueError(
                index,
                f"has token {max(ids)} of the tokenizer, but the model knows {words}; take the "
                "tokenizer that the model was trained with",
            )
        if len(ids) <= self.max_tokens:
            return Text(ids, truncated=False)
        return Text(self.tokenizer(text, **cut)["input_ids"], truncated=True)

    def _rendered(self, index, messages):
        if not self.chat:
            raise ValueError(
                index,
                "is a list of messages, and the reward model's tokenizer has no chat template; "
                "give texts as that model was trained on",
            )
        try:
            return self.tokenizer.apply_chat_template(messages, tokenize=False)
        except Exception as error:  # whatever the template's author raises
            why = f"does not fit the chat template ({first_line(error)[:200]}); correct it"
            raise ValueError(index, why) from None

    @torch.inference_mode()
    def rewards(self, texts, batch_tokens):
        """The reward of each Text, (n,) float32, in batches of similar length, longest first.

        A batch has at most `batch_tokens` tokens, padding included, or one text.
        """
        pad = getattr(self.model.config.get_text_config(), "pad_token_id", None)
        order = sorted(range(len(texts)), key=lambda i: (-len(texts[i].ids), i))
        found = np.empty(len(texts), np.float32)
        while order:
            longest = len(texts[order[0]].ids)
            # without a pad token the model cannot tell where a shorter text of a batch ends
            size = 1 if pad is None else max(1, batch_tokens // longest)
            at, order = order[:size], order[size:]
            ids = np.full((len(at), longest), pad or 0)
            mask = np.zeros((len(at), longest), np.int64)
            for row, i in enumerate(at):
                ids[row, : len(texts[i].ids)] = texts[i].ids
                mask[row, : len(texts[i].ids)] = 1
            found[at] = self._forward(ids, mask)
        return found

    def _forward(self, ids, mask):
        device = self.model.device
        batch = {"input_ids": ids, "attention_mask": mask}
        batch = {name: torch.from_numpy(value).to(device) for name, value in batch.items()}
        try:
            return self.model(**batch).logits[:, 0].float().cpu().numpy()
        except torch.OutOfMemoryError:
            raise RunError(
                f"the device's memory does not suffice for a batch of {ids.shape[0]} texts of "
                f"{ids.shape[1]} tokens; lower --batch-tokens, or --max-tokens: what is done is "
                "kept, and the same command goes on"
            ) from None
