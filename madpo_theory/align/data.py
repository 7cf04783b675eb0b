"""A task's texts: read, cleaned, without duplicates, in blocks that no two uses share."""

import re
from itertools import pairwise

from .extras import optional
from .store import stage
from .tasks import task_of

__all__ = ["BLOCKS", "block", "clean", "data", "split"]

BLOCKS = (
    "sft",
    "prompts",
    "held_out",
    "evaluation",
    "scorer_negative",
    "scorer_positive",
    "scorer_test_negative",
    "scorer_test_positive",
)


def clean(text):
    """A review on one line: no HTML line breaks, single spaces."""
    return re.sub(r"\s+", " ", text.replace("<br />", " ")).strip()


def split(reviews, config):
    """The texts of each block, cleaned: columns row, block, text, label, and prompt if there is.

    A text that occurs twice, in whatever blocks, stays only where it first occurs; a block whose
    rows overlap another's, or lie outside the data, is an error. Where there are prompts, they are
    what must have enough words and occur once.
    """
    pandas = optional("pandas")
    ranges = {name: getattr(config, name) for name in BLOCKS}
    check_ranges(ranges, len(reviews))
    parts = [
        reviews.iloc[start:stop].assign(row=range(start, stop), block=name)
        for name, (start, stop) in ranges.items()
        if stop > start
    ]
    table = pandas.concat(parts, ignore_index=True)
    columns = [name for name in ("prompt", "text") if name in table]
    for name in columns:
        table[name] = table[name].map(clean)
    table = table[table[columns[0]].str.split().str.len() >= config.min_words]
    table = table.drop_duplicates(columns[0]).reset_index(drop=True)
    for name, (start, stop) in ranges.items():
        if stop > start and not (table["block"] == name).any():
            raise ValueError(
                f"data.{name} = {(start, stop)} holds no {columns[0]} of at least "
                f"{config.min_words} words; widen it"
            )
    return table[["row", "block", *columns, "label"]]


def check_ranges(ranges, rows):
    taken = sorted((start, stop, name) for name, (start, stop) in ranges.items() if stop != start)
    for start, stop, name in taken:
        if not 0 <= start < stop <= rows:
            raise ValueError(
                f"data.{name} = {(start, stop)} breaks the rule 0 <= start < stop <= {rows}; "
                "choose rows inside the data"
            )
    for (_, stop, name), (start, _, other) in pairwise(taken):
        if start < stop:
            raise ValueError(
                f"data.{name} ends at row {stop} but data.{other} starts at row {start}: "
                "no two uses may share a review; move one of them"
            )


def block(run, *names):
    """The rows of the named blocks of a finished data stage, in row order."""
    table = run.read_table("reviews.parquet")
    return table[table["block"].isin(names)].reset_index(drop=True)


@stage
def data(run, config):
    """Stage: the blocks of texts."""
    rows = task_of(config.task).read(config)
    run.write_table("reviews.parquet", split(rows, config))
