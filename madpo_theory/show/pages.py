"""What pages share: their templates, the figures in them, and how a value is shown."""

import json
import math
import re
from pathlib import Path

from .mathematics import mathematics
from .svg import svg_of

__all__ = ["inline_svg", "number_text", "page_template", "shown_size", "value_text"]

ZOOM, LEAST = 1.9, 1.2
"""Pixels a point of a figure: the most, and the least of one that has room for panels."""


def page_template(name):
    """A template of the library's pages, with the filters tex, value and number."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"tex": mathematics, "value": value_text, "number": number_text}
    return environment.get_template(name)


def inline_svg(name, figure):
    """A figure as inline SVG: letters as outlines, ids of its own, the same bytes every time."""
    from markupsafe import Markup

    svg = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", svg_of(figure))
    size = shown_size(*(72 * figure.get_size_inches()))
    head = f'<svg class="plot" role="img" aria-label="{name}" style="{size}" '
    return Markup(svg.replace("<svg ", head, 1))


def shown_size(width, height):
    """The style of a figure of so many points; a page for phones lets a wide one scroll at its
    --least width, and does not shrink it further."""
    least = f"--least:{LEAST * width:.0f}px;" if width > 400 else ""
    return f"{least}max-width:{ZOOM * width:.0f}px;aspect-ratio:{width:g}/{height:g}"


def value_text(value):
    """What was computed, as text: numbers at ten digits, structures as JSON."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "–"}[value]
    if isinstance(value, float):
        return f"{value:.10g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def number_text(value, digits=2):
    """A table cell: fixed decimals, a dash where there is nothing to show."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.{digits}f}".replace("-", "−")
