"""Rewards of the user's own responses, from a file of :data:`~madpo_theory.formats.FORMATS`."""

import functools
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..formats import opened, short
from ..schedule import LARGEST

__all__ = ["RewardFile", "read_rewards"]


@dataclass(frozen=True, eq=False)
class RewardFile:
    """What a reward file holds, by prompt in the order of first appearance.

    prompts (N,) and responses (N of (K_n,)) strings; rewards (N of (K_n,)) nats; reference (N of
    (K_n,)) positive, or None if the file has no such column.
    """

    prompts: tuple
    responses: tuple
    rewards: tuple
    reference: tuple | None


COLUMNS = ("prompt", "response", "reward")
MASS = "reference_probability"


def read_rewards(path):
    """A :class:`RewardFile` from a file of any of the formats, by the suffix of its name.

    Columns: prompt and response (strings), reward (a finite number, nats) and, optionally,
    reference_probability (> 0); others are ignored. Every prompt has at least two responses, none
    of them twice. Raises ValueError naming the row, counted from 1 below a header, and the column.
    """
    path = Path(path)
    table = opened(path, "rewards", several=False)
    columns = [*COLUMNS, MASS] if MASS in table.names else list(COLUMNS)
    for name in columns:
        table.require(name)
    found, with_reference = {}, None
    for number, cells in enumerate(table.cells(columns), 1):
        row, where = dict(zip(columns, cells, strict=True)), f"{path.name}, row {number}"
        prompt, response = (_text(where, row, column) for column in COLUMNS[:2])
        reward = _number(table, where, row, "reward")
        has = row.get(MASS) not in (None, "")
        if with_reference not in (None, has):
            raise ValueError(f"{where}, column {MASS}: every row has one or none has; fill it in")
        with_reference = has
        mass = _number(table, where, row, MASS) if has else 1.0
        if mass <= 0:
            raise ValueError(
                f"{where}, column {MASS}: {mass:g} breaks the rule > 0; the reference policy must "
                "reach every response, drop the row"
            )
        of_prompt = found.setdefault(prompt, {})
        if response in of_prompt:
            raise ValueError(
                f"{where}, column response: prompt {short(prompt)} has {short(response)} twice; "
                "drop one"
            )
        of_prompt[response] = (reward, mass, number)
    if MASS in table.late:
        raise ValueError(
            f"{path.name}, row {table.late[MASS]}, column {MASS}: every row has one or none has; "
            "fill it in"
        )
    if not found:
        raise ValueError(f"{path.name} holds no rows; give prompt, response and reward")
    for prompt, rows in found.items():
        if len(rows) < 2:
            ((_, _, number),) = rows.values()
            raise ValueError(
                f"{path.name}, row {number}, column prompt: {short(prompt)} has one response and "
                "needs two or more; a single response makes no pair"
            )
    rewards, masses = (
        tuple(np.array([row[part] for row in rows.values()]) for rows in found.values())
        for part in (0, 1)
    )
    responses = tuple(tuple(rows) for rows in found.values())
    return RewardFile(tuple(found), responses, rewards, masses if with_reference else None)


def _text(where, row, column):
    value = row[column]
    if not isinstance(value, str) or not value:
        raise ValueError(
            f"{where}, column {column}: must be a text, got {short(value)}; fill it in"
        )
    return value


def _number(table, where, row, column):
    value = row[column]
    try:
        number = table.number(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(
            f"{where}, column {column}: must be a finite number, got {short(value)}; correct or "
            "drop it"
        )
    if abs(number) > LARGEST:
        raise ValueError(
            f"{where}, column {column}: {number:g} breaks the rule |{column}| <= {LARGEST:g}; "
            "correct or drop it"
        )
    return number


@functools.lru_cache(maxsize=4)
def read_cached(path, modified, size):
    """(SHA-256, RewardFile) of a file, read again if its time or size has changed."""
    return content_of(path), read_rewards(path)


def content_of(path):
    """SHA-256 of a file's bytes."""
    if Path(path).exists() and not Path(path).is_file():
        raise ValueError(f"path = {path} is no file; write the rewards to one, and pass that")
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"path = {path} cannot be read ({error.strerror}); correct it") from None
