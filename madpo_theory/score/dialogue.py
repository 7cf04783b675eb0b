"""The two dialogues of a pair, each a text or a list of messages, from the ways they are stored.

A row holds `chosen` and `rejected`, each a text or a list of messages (role, content), and perhaps
`prompt`, likewise. Without a prompt, or where the messages begin with it, they hold it already.
"""

import re

from ..formats import short

__all__ = ["dialogues"]

ONE = "a text or a list of messages, each with a role and a content that are texts"
WRITTEN = re.compile(r"\s*\[\s*\{\s*[\"'](role|content)[\"']\s*:")
"""How a list of messages begins that was written as a text, as in a cell of CSV."""


def dialogues(prompt, responses, *, chat):
    """What follows the prompt, whole: for each response a text, or a list of messages.

    With `chat`, texts after a prompt are messages too: the user's, then the assistant's.
    ValueError(number, why): which of (prompt, *responses) is wrong; number 0 is the prompt.
    """
    parts = [None if prompt is None else _read(prompt, 0)]
    parts += [_read(response, number) for number, response in enumerate(responses, 1)]
    return [_joined(parts[0], response, chat) for response in parts[1:]]


def _read(value, number):
    if isinstance(value, str):
        if WRITTEN.match(value):
            raise ValueError(
                number, "is a list of messages that was written as a text; save the pairs as JSONL "
                "or Parquet, which hold lists",
            )  # fmt: skip
        return value
    if value is None:
        raise ValueError(number, f"is missing, and must be {ONE}; fill it in, or drop the row")
    if not (isinstance(value, list) and value and all(map(_is_message, value))):
        raise ValueError(number, f"must be {ONE}, got {short(value)}; correct it")
    return [{key: v for key, v in message.items() if v is not None} for message in value]


def _is_message(value):
    return isinstance(value, dict) and all(
        isinstance(value.get(key), str) for key in ("role", "content")
    )


def _joined(prompt, response, chat):
    """Prompt and response as one dialogue."""
    if prompt is None:
        return response
    if isinstance(response, list):
        if isinstance(prompt, list):
            return response if response[: len(prompt)] == prompt else prompt + response
        whole = any(message["role"] == "user" for message in response)
        return response if whole else [_said("user", prompt), *response]
    if isinstance(prompt, list):
        return [*prompt, _said("assistant", response)]
    if chat:
        return [_said("user", prompt), _said("assistant", response)]
    return prompt + response


def _said(role, content):
    return {"role": role, "content": content}
