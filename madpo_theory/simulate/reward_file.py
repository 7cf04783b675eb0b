"""Rewards of the user's own responses, from CSV, JSONL or Parquet."""

import csv
import functools
import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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


def read_rewards(path):
    """A :class:`RewardFile` from CSV, JSONL or Parquet, by the suffix of its name.

    Columns: prompt and response (strings), reward (a finite number, nats) and, optionally,
    reference_probability (> 0); others are ignored. Every prompt has at least two responses, none
    of them twice. Raises ValueError naming the row, counted from 1 below a header, and the column.
    """
    path = Path(path)
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows, ".parquet": _parquet_rows}
    if path.suffix.lower() not in readers:
        raise ValueError(f"path = {path.name} must end in one of {', '.join(readers)}; convert it")
    found, with_reference = {}, None
    for number, row in readers[path.suffix.lower()](path):
        where = f"{path.name}, row {number}"
        prompt, response = (_text(where, row, column) for column in ("prompt", "response"))
        reward = _number(where, row, "reward")
        has = row.get("reference_probability") not in (None, "")
        if with_reference not in (None, has):
            raise ValueError(
                f"{where}, column reference_probability: every row has one or none has; fill it in"
            )
        with_reference = has
        mass = _number(where, row, "reference_probability") if has else 1.0
        if mass <= 0:
            raise ValueError(
                f"{where}, column reference_probability: {mass:g} breaks the rule > 0; the "
                "reference policy must reach every response, drop the row"
            )
        of_prompt = found.setdefault(prompt, {})
        if response in of_prompt:
            raise ValueError(
                f"{where}, column response: prompt {prompt!r} has {response!r} twice; drop one"
            )
        of_prompt[response] = (reward, mass, number)
    if not found:
        raise ValueError(f"{path.name} holds no rows; give prompt, response and reward")
    for prompt, rows in found.items():
        if len(rows) < 2:
            ((_, _, number),) = rows.values()
            raise ValueError(
                f"{path.name}, row {number}, column prompt: {prompt!r} has one response and needs "
                "two or more; a single response makes no pair"
            )
    rewards, masses = (
        tuple(np.array([row[part] for row in rows.values()]) for rows in found.values())
        for part in (0, 1)
    )
    responses = tuple(tuple(rows) for rows in found.values())
    return RewardFile(tuple(found), responses, rewards, masses if with_reference else None)


@functools.lru_cache(maxsize=4)
def read_cached(path, modified, size):
    """(SHA-256, RewardFile) of a file, read again if its time or size has changed."""
    return content_of(path), read_rewards(path)


def content_of(path):
    """SHA-256 of a file's bytes."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"path = {path} cannot be read ({error.strerror}); correct it") from None


def _csv_rows(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        for number, row in enumerate(reader, 1):
            if None in row or None in row.values():
                raise ValueError(
                    f"{path.name}, row {number}: has another number of cells than the header's "
                    f"{len(reader.fieldnames)}; quote texts that hold commas"
                )
            yield number, row


def _jsonl_rows(path):
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path.name}, row {number}: not JSON ({error.msg})") from None
            if not isinstance(row, dict):
                raise ValueError(f"{path.name}, row {number}: must be an object, got {row!r:.40}")
            yield number, row


def _parquet_rows(path):
    try:
        from pyarrow import parquet
    except ImportError:
        raise ImportError("reading Parquet needs pyarrow; install it, or pass CSV") from None
    yield from enumerate(parquet.read_table(path).to_pylist(), 1)


def _cell(where, row, column):
    if column not in row:
        raise ValueError(f"{where}, column {column}: missing; the file has {', '.join(row)}")
    return row[column]


def _text(where, row, column):
    value = _cell(where, row, column)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where}, column {column}: must be a text, got {value!r}; fill it in")
    return value


def _number(where, row, column):
    value = _cell(where, row, column)
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(
            f"{where}, column {column}: must be a finite number, got {value!r}; correct or drop it"
        )
    return number
