"""A figure as SVG with two looks, for light pages and for dark ones: the same bytes every time.

Every colour is a variable. In the dark look lightness turns round and hue stays, by one rule for
all colours, so that what stood out from its ground still does. Which look is shown follows the
reader's system; ``figure.svg#only-dark`` and ``#only-light`` ask for one.
"""

import io
import re

import numpy as np

from .style import styled

__all__ = ["DARK", "LIGHT", "dark", "svg_of"]

LIGHT, DARK = "only-light", "only-dark"
"""The fragments that ask for a look; the documentation's theme hides images by the same names."""

# Linear sRGB to the cone responses of Oklab, and their cube roots to (L, a, b): B. Ottosson, 2020.
_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_USED = re.compile(r"(?<=: )#([0-9a-f]{6})\b")  # in a style; a reference to an id is no colour


def dark(colour):
    """ "#rrggbb" on a dark page: the same hue, lightness L turned to 0.96 - 0.71 L^2.5 (Oklab).

    White becomes the ground of a dark page, and ink nearly white.
    """
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lightness, *hue = _LAB @ np.cbrt(_CONES @ linear)
    turned = np.array([0.96 - 0.71 * lightness**2.5, *hue])
    for keep in np.linspace(1, 0, 21):  # as colourful as the screen can
        linear = np.linalg.solve(_CONES, np.linalg.solve(_LAB, turned * [1, keep, keep]) ** 3)
        if (linear > -1e-3).all() and (linear < 1 + 1e-3).all():
            break
    linear = np.clip(linear, 0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(255 * x):02x}" for x in rgb)


def svg_of(figure):
    """The text of a matplotlib Figure as SVG: letters as outlines, coordinates to 0.01 points."""
    buffer = io.StringIO()
    styled(figure.savefig)(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = re.sub(
        r"^.*?(?=<svg)|<metadata>.*?</metadata>|<!--.*?-->", "", buffer.getvalue(), flags=re.S
    )
    svg = re.sub(r'\b[dxy]="[^"]*"', lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), svg)
    svg = re.sub(r"\s*\n\s*", "\n", svg)
    black = f'<g id="{LIGHT}" style="fill: #000000">'  # what is black says no colour of its own
    svg = svg.replace('<g id="figure_1">', black, 1)
    used = sorted(set(_USED.findall(svg)))
    by_day, by_night = (
        "{" + ";".join(f"--c{name}:{look(f'#{name}')}" for name in used) + "}"
        for look in (str, dark)
    )
    rules = (
        f":root{by_day}@media(prefers-color-scheme:dark){{:root{by_night}}}"
        f"#{LIGHT}:target{by_day}#{DARK}:target{by_night}"
    )
    for mark, put in (
        ("<svg ", f'<svg id="{DARK}" '),
        ('<style type="text/css">', f"<style>{rules}"),
    ):
        svg = svg.replace(mark, put, 1)
    return _USED.sub(r"var(--c\1)", svg)
