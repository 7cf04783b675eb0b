"""What every figure shares: sizes, series told apart, and where labels go."""

import re

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from madpo_theory.show.names import BLACK, BLUE, GREEN, INK, ORANGE, RED, SKY, look
from madpo_theory.show.style import styled

__all__ = [
    "BLACK",
    "BLUE",
    "COLUMN",
    "GREEN",
    "INK",
    "ORANGE",
    "PAGE",
    "RED",
    "SHADE",
    "SKY",
    "column",
    "line",
    "mark",
    "named",
    "new",
    "pick",
    "place_labels",
    "point",
    "styled",
    "symbols",
    "unique",
]

COLUMN, PAGE = 3.5, 7.2  # inches: one column, the full width of a page
SHADE = "#e9e6df"


def new(width, height, columns=1, *, rows=1, **options):
    """A figure of that size in inches and its axes, one row unless `rows` says otherwise."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)  # a renderer, for what measures text
    return figure, figure.subplots(rows, columns, **options)


def column(table, name):
    """A column of the table as an array; an error names what is missing."""
    try:
        return np.asarray(table[name])
    except KeyError:
        raise ValueError(
            f"the figure's table has no column {name!r}, only {sorted(table)}; "
            "draw() takes the tables that madpo_theory.show.tables builds"
        ) from None


def pick(table, *names, missing=ValueError, **where):
    """The named columns, as arrays, of the rows that match every ``column=value``.

    Without such a row: ValueError, or None if `missing` is.
    """
    columns = [column(table, name) for name in names]
    keep = np.ones(len(columns[0]), dtype=bool)
    for name, value in where.items():
        keep &= column(table, name) == value
    if not keep.any():
        if missing is None:
            return None
        raise ValueError(f"the figure's table has no row with {where}; build it again")
    return [values[keep] for values in columns]


def unique(table, name):
    """Values of a column in order of first appearance."""
    return list(dict.fromkeys(column(table, name).tolist()))


def named(name):
    """The label of a method or weight, its symbols set as mathematics."""
    return symbols(look(name).label)


def symbols(label):
    """A label as matplotlib takes it, its symbols set as mathematics."""
    label = label.replace("$", r"\$")
    return re.sub(r"c_max( = )?", lambda m: f"$c_{{\\mathrm{{max}}}}{'=' if m[1] else ''}$", label)


def line(name):
    """Colour and dash of a method or weight."""
    shown = look(name)
    return {"color": shown.color, "linestyle": shown.dash}


def point(name):
    """Colour and marker of a method or weight."""
    shown = look(name)
    return {"color": shown.color, "marker": shown.marker}


def mark(name, **options):
    """A hollow marker of a method or weight, for a point of its curve."""
    shown = look(name)
    return dict(ls="", marker=shown.marker, mec=shown.color, mfc="white", mew=1.3) | options


def place_labels(axes, labels, obstacles, *, gap=7, fontsize=9.5):
    """Write each (x, y, text, colour) beside its point, where it meets nothing else.

    `obstacles` are segments (x0, y0, x1, y1) in data units. The first free of several places
    around the point is taken, else the one that meets least; farther places get a thin leader.
    """
    figure = axes.figure
    figure.draw_without_rendering()  # settles the layout, so that boxes are where they will be
    renderer, frame = figure.canvas.get_renderer(), axes.get_window_extent()
    pixel = figure.dpi / 72

    def box_of(x0, y0, x1, y1):
        (a, b), (c, d) = axes.transData.transform([(x0, y0), (x1, y1)])
        pad = 2 * pixel
        return min(a, c) - pad, min(b, d) - pad, max(a, c) + pad, max(b, d) + pad

    taken = [box_of(*segment) for segment in obstacles]
    taken += [box_of(x, y, x, y) for x, y, *_ in labels]
    written = []  # boxes of labels and of their leaders: the next leader may not cross them
    angles = np.deg2rad([40, 140, -40, -140, 0, 180, 90, -90, 20, 160, -20, -160, 65, 115, -65])
    places = [(r, a) for r in (1, 1.8, 2.8, 4, 5.5, 7.5) for a in angles]
    for x, y, text, color in labels:
        best, start = None, axes.transData.transform((x, y))
        for radius, angle in places:
            dx, dy = gap * radius * np.cos(angle), gap * radius * np.sin(angle)
            across, up = np.sign([dx, dy]) * (abs(dx) > 0.3, abs(dy) > 3)
            corner = (0.5 - across / 2, 0.5 - up / 2)  # the label's corner nearest to the point
            arrow = dict(arrowstyle="-", color=color, lw=0.6, shrinkA=0, shrinkB=5, relpos=corner)
            note = axes.annotate(
                text, (x, y), (dx, dy), textcoords="offset points", color=color, fontsize=fontsize,
                ha={1: "left", 0: "center", -1: "right"}[across],
                va={1: "bottom", 0: "center", -1: "top"}[up],
                arrowprops=arrow if radius > 2 else None,
            )  # fmt: skip
            note.update_positions(renderer)
            extent = Text.get_window_extent(note, renderer)  # of the words, not of the leader
            box = extent.x0, extent.y0, extent.x1, extent.y1
            inside = box[0] >= frame.x0 and box[1] >= frame.y0
            inside &= box[2] <= frame.x1 and box[3] <= frame.y1
            leader = []
            if radius > 2:
                steps = start + np.linspace(0.2, 1, 12)[:, None] * [dx * pixel, dy * pixel]
                leader = [(u - pixel, v - pixel, u + pixel, v + pixel) for u, v in steps]
            cost = sum(_overlap(box, other) for other in taken + written)
            cost += 60 * sum(_overlap(dot, other) for dot in leader for other in written)
            cost += 0 if inside else 1e6
            if best is None or cost < best[0]:
                if best:
                    best[1].remove()
                best = cost, note, [box, *leader]
            else:
                note.remove()
            if cost == 0:
                break
        written += best[2]


def _overlap(a, b):
    """Area shared by two boxes (x0, y0, x1, y1)."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
