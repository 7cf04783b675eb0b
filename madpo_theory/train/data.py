"""The pairs of a file as a dataset of TRL's, and which of them are held out."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..diagnose.weights import METADATA
from ..formats import listing, named, opened
from ..score.dialogue import dialogues

__all__ = ["Pairs", "held_out", "load", "prompt_of"]


LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Pairs:
    """Pairs in memory.

    Attributes
    ----------
    rows : dicts with chosen, rejected, perhaps prompt, and the column of numbers if one was asked
        for. digest : of them, in a few letters.
    record : what `madpo weights` wrote of the weights, or None.
    """

    rows: list
    digest: str
    record: dict | None

    def dataset(self):
        from datasets import Dataset

        return Dataset.from_list(self.rows)

    def numbers(self, column):
        """The numbers of the column, (n,)."""
        return np.array([row[column] for row in self.rows])


def load(path, column=None, *, least=-np.inf):
    """:class:`Pairs` of a file of any of the formats; ValueError with the row of what is wrong.

    The column's numbers must be finite, in float32 too, and `least` at least.
    """
    table = opened(path, "pairs")
    texts = [name for name in ("prompt", "chosen", "rejected") if name in table.names]
    if column is not None and column not in table.names:
        raise ValueError(
            f"{path}: there is no column {column!r}; madpo weights writes weights and madpo score "
            f"margins, and a method such as dpo asks for neither; {listing(table.names)}"
        )
    for name in ("chosen", "rejected", *filter(None, (column,))):
        table.require(name)
    rows = []
    for row, cells in enumerate(table.cells(texts), 1):
        rows.append(_row(dict(zip(texts, cells, strict=True)), path, row))
    if not rows:
        raise ValueError(f"{path}: holds no rows; give one row for each pair")
    if column is not None:
        table.require_numbers(column)
        parts = [found[column] for found, _ in table.parts([column], None, whole=False, rows=None)]
        values = np.concatenate(parts)
        _check_numbers(values, least, path, column)
        for row, value in zip(rows, values.tolist(), strict=True):
            row[column] = value
    digest = hashlib.sha256("\n".join(map(_text, rows)).encode()).hexdigest()[:16]
    return Pairs(rows, digest, _record(Path(path), table))


def _check_numbers(values, least, path, column):
    """ValueError with the first row whose number none can train by."""
    for wrong, said in (
        (np.isnan(values), "missing or NaN, and must be a finite number; fill it in"),
        (np.isinf(values), "{}, and must be a finite number; correct it"),
        (np.abs(values) > LARGEST, "{} is infinite in float32, which losses are computed in; "
         "write a smaller one"),
        (values < least, f"{{}} breaks the rule {named(column)} >= {least:g}; correct it"),
    ):  # fmt: skip
        if wrong.any():
            row = int(np.argmax(wrong))
            why = said.format(f"{values[row]:g}")
            raise ValueError(
                f"{path}, row {row + 1}, column {named(column)}: {why}, or leave the row out"
            )


def _text(value):
    return json.dumps(value, sort_keys=True, default=str)


def _row(row, path, number):
    """A row as TRL takes it: prompt and responses of one kind, or whole dialogues."""
    prompt, responses = row.get("prompt"), (row["chosen"], row["rejected"])
    try:
        whole = dialogues(prompt, responses, chat=False)
    except ValueError as error:
        side, why = error.args
        column = named(("prompt", "chosen", "rejected")[side])
        raise ValueError(f"{path}, row {number}, column {column}: {why}") from None
    if isinstance(whole[0], list):  # messages: TRL finds the prompt that two dialogues share
        return dict(zip(("chosen", "rejected"), whole, strict=True))
    return row


def _record(path, table):
    """The record of `madpo weights`, from the file or beside it."""
    stored = table.metadata.get(METADATA)
    beside = path.with_name(f"{path.name}.schedule.json")
    if stored is None and beside.is_file():
        stored = beside.read_bytes()
    try:
        return None if stored is None else dict(json.loads(stored))
    except ValueError:
        raise ValueError(
            f"{beside}: is not what madpo weights writes; write the weights again"
        ) from None


def prompt_of(row):
    """What is asked in a row, a text or messages: where it is not said, what TRL takes for it."""
    from trl import extract_prompt

    return row["prompt"] if "prompt" in row else extract_prompt(row)["prompt"]


def held_out(pairs, share, path):
    """(training, held-out) pairs: about a share of the prompts, and no prompt on both sides.

    Which ones, the prompts' text alone decides.
    """
    sides = [], []
    for row in pairs.rows:
        key = hashlib.sha256(_text(prompt_of(row)).encode()).digest()
        draw = int.from_bytes(key[:8], "big") / 2**64
        sides[draw < share].append(row)
    if not all(sides):
        raise ValueError(
            f"{path}: held_out = {share:g} leaves {len(sides[0])} pairs to train on and "
            f"{len(sides[1])} to evaluate; change it, or name eval_pairs"
        )
    return tuple(Pairs(rows, pairs.digest, pairs.record) for rows in sides)
