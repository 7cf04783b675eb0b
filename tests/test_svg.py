"""Figures as SVG: two looks in one file, by one rule for every colour."""

import colorsys
import re
from xml.etree import ElementTree

import pytest

from madpo_theory.extensions import FIGURES
from madpo_theory.show import tables
from madpo_theory.show.names import INK, VARIANTS
from madpo_theory.show.svg import DARK, LIGHT, dark, svg_of


def luminance(colour):
    """Relative luminance, as WCAG defines it."""
    rgb = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in rgb]
    return sum(w * x for w, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_a_dark_page_has_a_dark_ground_and_light_ink():
    assert dark("#ffffff") == "#222222"
    assert contrast(dark("#ffffff"), dark(INK)) > 12
    greys = [dark(f"#{x:02x}{x:02x}{x:02x}") for x in range(0, 256, 5)]
    assert greys == sorted(greys, reverse=True), "the darker, the lighter"


@pytest.mark.parametrize("colour", sorted({given.color for _, given in VARIANTS.values()}))
def test_lines_stand_out_and_keep_their_hue(colour):
    shown = dark(colour)
    assert contrast(dark("#ffffff"), shown) > 3  # what WCAG asks of graphics
    hues = [
        colorsys.rgb_to_hls(*(int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)))
        for c in (colour, shown)
    ]
    if min(saturation for *_, saturation in hues) > 0.2:
        assert abs((hues[0][0] - hues[1][0] + 0.5) % 1 - 0.5) < 0.12


@pytest.fixture(scope="module")
def picture():
    return svg_of(FIGURES["pair_risk"].draw(tables.pair_risk()))


def test_it_is_xml_of_two_looks_and_asks_nobody(picture):
    root = ElementTree.fromstring(picture)
    assert root.get("id") == DARK and root.find(f".//*[@id='{LIGHT}']") is not None
    assert not re.search(r"(?:xlink:)?href=\"(?!#)|url\((?!#)|@import", picture)
    assert not re.search(r"(?<=: )#[0-9a-f]{6}\b", picture), "a colour that has one look"
    for look in (":root{", "dark){:root{", f"#{LIGHT}:target{{", f"#{DARK}:target{{"):
        assert look in picture
    used = set(re.findall(r"var\(--c([0-9a-f]{6})\)", picture))
    for name in used:
        assert picture.count(f"--c{name}:#{name};") + picture.count(f"--c{name}:#{name}}}") == 2
        assert picture.count(f"--c{name}:{dark('#' + name)}") == 2
    assert "000000" in used, "what is black by default turns round too"


def test_the_same_figure_gives_the_same_bytes(picture):
    assert svg_of(FIGURES["pair_risk"].draw(tables.pair_risk())) == picture
