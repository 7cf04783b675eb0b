"""A verdict sheet as HTML: a fragment for notebooks, and one page without network or script."""

from html import escape
from pathlib import Path

import numpy as np

from ..extensions import FIGURES
from ..files import replacing
from ..ops import numpy_world
from ..show.pages import inline_svg, page_template
from .text import MARK, differing, reading_of, summary

__all__ = ["fragment", "tables", "write_html"]

REACH, MARGINS = 12.0, (-5.0, -2.0, 0.0, 2.0, 5.0)
"""Nats of the true margin and of z that figures show; reward margins of the loss's curves."""


def fragment(sheet):
    """The sheet as an HTML table, for a notebook."""
    rows = "".join(
        "<tr>"
        + "".join(
            f'<td style="text-align:{side}">{escape(cell)}</td>'
            for side, cell in (
                ("left", row.id),
                ("left", MARK[row.verdict]),
                ("right", row.number),
                ("left", row.kind),
                ("left", reading_of(row)),
            )
        )
        + "</tr>"
        for row in sheet.rows
    )
    head = "".join(f"<th>{name}</th>" for name in ("row", "verdict", "number", "known", "reading"))
    return (
        f"<table><caption>{escape(sheet.title)}: {summary(sheet)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )


def write_html(*sheets, out):
    """Write the self-contained page of a :class:`~.sheet.Sheet`, or of two; returns its path."""
    out = Path(out)
    drawn = {
        name: inline_svg(name, FIGURES[f"audit_{name}"].draw(table))
        for name, table in tables(*sheets).items()
    }
    with_target = [sheet for sheet in sheets if sheet.is_margin_loss]
    page = page_template("audit.html.j2").render(
        sheets=sheets,
        figures=drawn,
        summaries=[summary(sheet) for sheet in sheets],
        marks=differing(*sheets) if len(sheets) == 2 else None,
        several=any(sheet["target_unique"].verdict != "yes" for sheet in with_target),
        uses_model=any(sheet.uses_model for sheet in with_target),
        enclosure=lambda row: f"{_shown(row.lower)} to {_shown(row.upper)}",
    )
    with replacing(out) as temporary:
        temporary.write_bytes(page.encode())
    return out


def _shown(x):
    return f"{x:.6g}".replace("inf", "∞").replace("-", "−")


def tables(*sheets):
    """{name: the table that the figure called audit_NAME draws}; none without a margin loss."""
    sheets = [sheet for sheet in sheets if sheet.is_margin_loss]
    h, z = np.linspace(0, REACH, 601), np.linspace(-REACH, REACH, 481)
    targets = {"name": [], "label": [], "h": [], "target": []}
    landscape = {"name": [], "label": [], "h": [], "z": [], "loss": []}
    for sheet in sheets:
        known = {"name": sheet.method, "label": sheet.label}
        target = np.asarray(sheet.subject.method.target(h, h))
        _extend(targets, known, h=h, target=np.where(np.isfinite(target), target, np.nan))
        for margin in MARGINS if sheet.uses_model else (0.0,):
            loss = sheet.subject.method.margin_loss(numpy_world, z, np.full_like(z, margin))
            _extend(landscape, known, h=np.full_like(z, margin), z=z, loss=loss)
    found = {"targets": targets, "landscape": landscape}
    return {name: {k: np.array(v) for k, v in t.items()} for name, t in found.items() if sheets}


def _extend(table, known, **columns):
    """More rows of a table of lists: the same name and label, and columns of one length."""
    (size,) = {len(values) for values in columns.values()}
    for name, value in known.items():
        table[name] += [value] * size
    for name, values in columns.items():
        table[name] += np.broadcast_to(values, size).tolist()
