"""What pages share: their templates, the figures in them, and how a value is shown."""

import io
import json
import math
import re
from pathlib import Path

from .mathematics import mathematics

__all__ = ["inline_svg", "number_text", "page_template", "value_text"]

ZOOM = 1.9


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
    import matplotlib
    from markupsafe import Markup

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "madpo_theory"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    widest = f"max-width:{ZOOM * 72 * figure.get_figwidth():.0f}px"
    head = f'<svg class="plot" role="img" aria-label="{name}" style="{widest}" '
    return Markup(svg.replace("<svg ", head, 1))


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
