"""Prose in Markdown: what a reader sees is what the sentence says."""

import html
import re

import pytest

from madpo_theory.claims import CLAIMS
from madpo_theory.markdown import prose

markdown = pytest.importorskip("markdown")
SENTENCES = [
    pytest.param(text, id=f"{claim.id}-{name}")
    for claim in CLAIMS
    for name in ("reading", "condition", "counterexample", "statement")
    if (text := getattr(claim, name))
]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("h* = 8: c h* and z*", r"h\* = 8: c h\* and z\*"),
        ("$h^*$ and h*", r"$h^*$ and h\*"),
        ("`a * b`, 2*3", r"`a * b`, 2\*3"),
        ("nothing", "nothing"),
    ],
)
def test_a_star_is_a_star(text, written):
    assert prose(text) == written


@pytest.mark.parametrize("text", SENTENCES)
def test_a_sentence_of_the_ledger_has_no_emphasis(text):
    words = re.sub(r"\$[^$]*\$", "", text)  # mathematics goes its own way
    shown = markdown.markdown(prose(words))
    assert "<em>" not in shown and "<strong>" not in shown
    assert (
        html.unescape(re.sub(r"</?(p|code)>", "", shown)).split() == words.replace("`", "").split()
    )
