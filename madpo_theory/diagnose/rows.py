"""What is wrong with which pair: a flag and a score for each, of every kind of trouble.

A score says how much, whatever the flag: larger is worse.
"""

import csv
import itertools
import json
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..files import first_line, replacing
from ..formats import listing, pyarrow, short
from ..ops.numpy_world import sigmoid
from .effects import targets_at
from .reading import Pairs
from .sketch import WIDTH

__all__ = ["KINDS", "RowTroubles", "text_columns", "write_rows"]

BATCH = 1 << 12
"""Rows to a batch of texts."""
NEAR = 0.5
"""Nats from -tau within which a pair is near it: there an error moves its weight most (R3)."""
FAR = 5.0
"""Robust standard deviations from the median beyond which a margin is an outlier."""
ALIKE = 0.95
"""Share of the words in common from which responses are near-identical."""
RESPONSES = (
    ("chosen", "rejected"), ("response_chosen", "response_rejected"),
    ("chosen_response", "rejected_response"), ("first", "second"),
    ("response_first", "response_second"), ("first_response", "second_response"),
)  # fmt: skip
PROMPT = "prompt"
SUFFIXES = (".parquet", ".jsonl", ".csv", ".tsv")

KINDS = {
    "disputed": "the model prefers the other response; score: its probability",
    "near_minus_tau": "within half a nat of -tau: errors move the weight most (R3)",
    "falls": "an easier pair gets a smaller target (T5); score: nats lost",
    "tie": "the margin is 0; score: twice the other response's probability",
    "outlier": "far from the median margin; score: in robust standard deviations",
    "identical": "the responses are the same text",
    "similar": "95 % of the words are shared; score: Dice's coefficient",
    "truncated": "equal up to --max-tokens; score: the share of it that is",
}
"""Kinds of trouble of a pair; the last three need the responses, and the last --max-tokens."""


@dataclass(frozen=True)
class RowTroubles:
    """What :func:`write_rows` has written.

    Attributes
    ----------
    path : the file: row, margin, and NAME and NAME_score of each kind. pairs : rows written.
    flagged : {kind: number of pairs with its flag}.
    """

    path: Path
    pairs: int
    flagged: dict


def write_rows(
    source, out, diagnosis, *, responses=None, max_tokens=None, tokenizer=None, rows=None
):
    """Write the troubles of every pair of a file; the row is that of errors, from 1.

    Parameters
    ----------
    source : as of :func:`~.diagnosis.diagnose`. out : .parquet, .jsonl, .csv or .tsv.
    diagnosis : the :class:`~.diagnosis.Diagnosis` of the same source.
    responses : the columns of the two responses, texts or lists of messages; by default those
        whose names say so, if there are such.
    max_tokens : to which a trainer cuts prompt and response, > 0, or None.
    tokenizer : folder or name of the tokenizer, as transformers takes them. Without one words are
        counted, of which there are no more than tokens, so that a flag is right and some are
        missed. What a chat template adds is not counted.

    Returns :class:`RowTroubles`. The file is there whole or not at all. ValueError with argument,
    value, rule and fix.
    """
    check_rows(source, out)
    pairs, out = Pairs(source, diagnosis.reading), Path(out)
    if max_tokens is not None and max_tokens < 1:
        raise ValueError(f"max_tokens = {max_tokens} breaks the rule max_tokens >= 1; raise it")
    names = text_columns(pairs, responses)
    if max_tokens is not None and not names:
        raise ValueError(
            f"{pairs.name}: max_tokens needs the texts of the responses; name their columns with "
            "responses (--responses CHOSEN REJECTED)"
        )
    texts, units = pairs.format.cells(names) if names else None, units_of(tokenizer)
    flagged, count, first = Counter(), 0, 0
    with replacing(out) as temporary, _writer(temporary, out.suffix.lower()) as write:
        for margins, kept, _ in pairs.batches(rows or (BATCH if names else None)):
            cells = list(itertools.islice(texts, len(margins))) if names else None
            found = dict(of_margins(margins, diagnosis))
            if names:
                found |= of_texts(cells, max_tokens, units)
            columns = {"row": np.arange(first + 1, first + len(margins) + 1), "margin": margins}
            for name, (flags, scores) in found.items():
                columns |= {name: flags, f"{name}_score": scores}
            if kept is not None:
                columns = {name: values[kept] for name, values in columns.items()}
            for name in found:
                flagged[name] += int(columns[name].sum())
            count, first = count + len(columns["row"]), first + len(margins)
            write(columns)
    return RowTroubles(out, count, dict(flagged))


def check_rows(source, out):
    """ValueError unless the rows of a source can be written to `out`."""
    if Path(out).suffix.lower() not in SUFFIXES:
        raise ValueError(f"rows = {out} must end in one of {', '.join(SUFFIXES)}; rename it")
    if isinstance(source, (str, Path)) and Path(out).resolve() == Path(source).resolve():
        raise ValueError(f"rows = {out} is the file of the pairs; name another")


def of_margins(h, diagnosis):
    """(kind, (flags, scores)) of margins h, (n,) nats."""
    sketch, own = diagnosis.sketch, diagnosis.own
    middle = sketch.quantile(0.5)
    order = np.argsort(np.abs(sketch.margins - middle))
    half = np.searchsorted(np.cumsum(sketch.counts[order]), sketch.pairs / 2)
    spread = np.abs(sketch.margins - middle)[order][half]
    # 1.4826 times the median deviation is the standard deviation of a normal distribution
    outlying = np.abs(h - middle) / max(1.4826 * spread, WIDTH)
    size, below = np.abs(h), np.zeros(len(h))
    for fall in own.falls:
        on = (size > fall.start) & (size < fall.end)
        below[on] = targets_at(own.method, fall.start) - targets_at(own.method, size[on])
    yield "disputed", (h < 0, sigmoid(-h))
    if diagnosis.schedule is not None:
        near = np.abs(h + diagnosis.schedule.tau)
        yield "near_minus_tau", (near <= NEAR, np.exp(-near))
    yield "falls", (below > 0, below)
    yield "tie", (h == 0, 2 * sigmoid(-size))
    yield "outlier", (outlying > FAR, outlying)


def units_of(tokenizer):
    """What counts toward max_tokens: a function of words, to a list; see :func:`write_rows`."""
    if tokenizer is None:
        return lambda words: words
    from ..align.extras import transformers

    try:
        made = transformers("trl").AutoTokenizer.from_pretrained(tokenizer)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"tokenizer = {str(tokenizer)!r} is none that transformers loads "
            f"({first_line(error)}); give a folder with its files, or its name on the hub"
        ) from error
    return lambda words: made(" ".join(words), add_special_tokens=False)["input_ids"]


def of_texts(cells, max_tokens, units=lambda words: words):
    """{kind: (flags, scores)} of (chosen, rejected[, prompt]) cells; `units` as of units_of."""
    same, alike, cut = [], [], []
    for one, other, *prompt in cells:
        one, other = words_of(one), words_of(other)
        same.append(one == other)
        alike.append(1.0 if same[-1] else dice(one, other))
        if max_tokens is not None:
            before = sum(len(units(words_of(p))) for p in prompt)
            common = before + common_start(units(one), units(other))
            cut.append(0.0 if same[-1] else min(1.0, common / max_tokens))
    alike, cut, same = np.array(alike), np.array(cut), np.array(same)
    found = {"identical": (same, same.astype(float)), "similar": (alike >= ALIKE, alike)}
    return found if max_tokens is None else found | {"truncated": (cut >= 1, cut)}


def words_of(cell):
    """The words of a text, or of the contents of a list of messages."""
    if isinstance(cell, (list, tuple)):
        return [word for part in cell for word in words_of(part)]
    if isinstance(cell, dict):  # a message, or a text beside its score
        texts = [value for value in cell.values() if isinstance(value, str)]
        return words_of(cell.get("content", texts))
    return [] if cell is None else str(cell).split()


def common_start(one, other):
    """How many of the first words are the same."""
    shorter = min(len(one), len(other))
    return next((k for k in range(shorter) if one[k] != other[k]), shorter)


def dice(one, other):
    """Twice the number of words in common, with repetition, over all; 1 of two empty texts."""
    total = len(one) + len(other)
    return 2 * (Counter(one) & Counter(other)).total() / total if total else 1.0


def text_columns(pairs, responses=None):
    """The columns of the responses, and of the prompt if there is one; () if nothing says which."""
    names = pairs.format.names
    for name in responses or ():
        if name not in names:
            raise ValueError(f"{pairs.name}: there is no column {short(name)}; {listing(names)}")
    found = responses or next((two for two in RESPONSES if set(two) <= set(names)), ())
    if set(found) & set(pairs.columns.names):
        return ()  # they are the rewards
    return (*found, PROMPT) if found and PROMPT in names else tuple(found)


@contextmanager
def _writer(path, suffix):
    """write(columns) into a new file of the format."""
    if suffix == ".parquet":
        pa, made = pyarrow(), []

        def write(columns):
            table = pa.table(columns)
            if not made:
                made.append(pyarrow(".parquet").ParquetWriter(path, table.schema))
            made[0].write_table(table)

        try:
            yield write
        finally:
            for writer in made:
                writer.close()
        return
    with open(path, "w", newline="", encoding="utf-8") as file:
        cells = csv.writer(file, delimiter="\t" if suffix == ".tsv" else ",", lineterminator="\n")

        def write(columns):
            rows = zip(*(values.tolist() for values in columns.values()), strict=True)
            if suffix == ".jsonl":
                file.writelines(
                    json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows
                )
                return
            if not file.tell():
                cells.writerow(columns)
            cells.writerows([int(c) if isinstance(c, bool) else c for c in row] for row in rows)

        yield write
