"""What pages share: their templates, and how a value is shown."""

import json
import math
from pathlib import Path

from .mathematics import mathematics

__all__ = ["number_text", "page_template", "value_text"]


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
