"""Every method and weight looks the same in every figure, and like no other."""

import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pytest
from ours import METHODS
from ours import WEIGHTS as OURS

from madpo_theory.registry import Look
from madpo_theory.show import names
from madpo_theory.show.figures import figures
from madpo_theory.show.names import VARIANTS, look
from madpo_theory.weights import WEIGHTS, Weighting

EVERY = sorted({*VARIANTS, *METHODS, *OURS})


def test_no_two_share_colour_marker_and_dash():
    """But for MADPO: its published weight, and its released schedule, are the method itself."""
    same = defaultdict(set)
    for name in EVERY:
        same[look(name)[1:]].add(name)
    shared = [found for found in same.values() if len(found) > 1]
    assert shared == [{"madpo", "madpo_2", "published"}]


def test_no_two_share_a_label():
    labels = [look(name).label for name in EVERY]
    assert len(set(labels)) == len(labels) and all(labels)


def test_madpo_is_blue():
    assert look("madpo").color == look("published").color == "#0072b2"


def test_variants_are_what_no_registry_knows():
    assert not {*VARIANTS} & {name for registry in names.REGISTRIES for name in registry}


@pytest.mark.parametrize("name", EVERY)
def test_a_look_is_one_that_matplotlib_draws(name):
    from matplotlib.lines import Line2D

    shown = look(name)
    assert re.fullmatch("#[0-9a-f]{6}", shown.color)
    Line2D([], [], color=shown.color, marker=shown.marker, linestyle=shown.dash)


def test_names_without_a_look_take_spare_ones(monkeypatch):
    taken = {look(name)[1:] for name in EVERY}
    first, again = look("nobody_knows_this"), look("nobody_knows_this")
    assert first == again and first[1:] not in taken and first.label == "nobody knows this"
    before = {name: look(name) for name in EVERY}
    monkeypatch.setattr(WEIGHTS, "_found", dict(WEIGHTS._found))

    @dataclass(frozen=True)
    class Plain(Weighting):
        name, label = "made_up_plain", "plain"

        def log_weight(self, xp, h):
            return 0 * h

    @dataclass(frozen=True)
    class Other(Plain):
        name, label = "made_up_other", "other"

    plain, other = look("made_up_plain"), look("made_up_other")
    assert plain.label == "plain" and plain[1:] != other[1:]
    assert not {plain[1:], other[1:]} & taken
    assert {name: look(name) for name in EVERY} == before


def test_a_new_weight_is_in_the_legend_with_its_own_look(monkeypatch):
    monkeypatch.setattr(WEIGHTS, "_found", dict(WEIGHTS._found))

    @dataclass(frozen=True)
    class Striking(Weighting):
        name, label, look = "made_up_striking", "striking", Look("#123456", "x", (0, (1, 2)))

        def log_weight(self, xp, h):
            return 0 * h

    table = figures()["corrected_weights"].build()
    more = {"panel": ["weight", "weight", "target", "target"], "method": ["made_up_striking"] * 4}
    more |= {"h": [0.0, 1.0] * 2, "y": [1.0, 2.0] * 2}
    figure = figures()["corrected_weights"].draw(
        {name: np.concatenate([table[name], more[name]]) for name in table}
    )
    handles, labels = figure.axes[0].get_legend_handles_labels()
    (line,) = (h for h, label in zip(handles, labels, strict=True) if label == "Striking")
    assert line.get_color() == "#123456" and len(labels) == 5
