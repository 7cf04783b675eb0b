"""What every figure shares: sizes, type, and series told apart by colour, dash and marker."""

import functools

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

__all__ = [
    "COLUMN",
    "INK",
    "PAGE",
    "SERIES",
    "SHADE",
    "column",
    "line",
    "new",
    "pick",
    "place_labels",
    "point",
    "print_name",
    "styled",
    "unique",
]

COLUMN, PAGE = 3.5, 7.2  # inches: one column, the full width of a page
INK, SHADE = "#222222", "#e9e6df"

# Okabe and Ito's palette: distinct under every common colour blindness. The dashes and markers
# carry the same information in black and white.
BLACK, ORANGE, SKY, GREEN, BLUE, RED, PINK = (
    "#000000", "#e69f00", "#56b4e9", "#009e73", "#0072b2", "#d55e00", "#cc79a7",
)  # fmt: skip
_SOLID, _DASH, _LONG = "-", (0, (4, 1.6)), (0, (9, 2.5))
_DOT, _DASHDOT = (0, (1, 1.4)), (0, (6, 1.5, 1, 1.5))
SERIES = {
    "released, c_max = 2": dict(color=BLUE, linestyle=_SOLID, marker="o"),
    "released, c_max = 3": dict(color=GREEN, linestyle=_DASH, marker="^"),
    "released, c_max = 4": dict(color=RED, linestyle=_DASHDOT, marker="s"),
    "class defaults, tau = 2": dict(color=PINK, linestyle=_DOT, marker="D"),
    "MADPO, c_max = 2": dict(color=BLUE, linestyle=_SOLID, marker="o"),
    "MADPO, c_max = 4": dict(color=RED, linestyle=_DASHDOT, marker="s"),
    "DPO": dict(color=BLACK, linestyle=_DASH, marker="^"),
    "IPO": dict(color=GREEN, linestyle=_LONG, marker="D"),
    "published": dict(color=BLUE, linestyle=_SOLID, marker="o"),
    "bounded ratio": dict(color=RED, linestyle=_DASH, marker="s"),
    "target shaped": dict(color=GREEN, linestyle=_DASHDOT, marker="^"),
    "efficient": dict(color=PINK, linestyle=_DOT, marker="D"),
    "recommended": dict(color=ORANGE, linestyle=_LONG, marker="P"),
    "asked": dict(color=BLUE, linestyle=_SOLID, marker="o"),
    "dpo": dict(color=BLACK, marker="^"),
    "dpo_matched": dict(color=SKY, marker="v"),
    "ipo": dict(color=GREEN, marker="D"),
    "beta_dpo": dict(color=ORANGE, marker="P"),
    "madpo": dict(color=RED, marker="s"),
    "sft": dict(color=INK, marker="*"),
}
_OTHERS = [dict(color=c, marker=m) for c, m in zip((BLUE, PINK, SKY, GREEN), "oXhp", strict=True)]

RC = {
    "font.family": ["STIXGeneral"],
    "mathtext.fontset": "stix",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.unicode_minus": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "lines.solid_capstyle": "butt",
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # whole outlines, embedded: text stays text
    "svg.hashsalt": "madpo_theory",
    "path.simplify": True,
}


def styled(function):
    """Run a function under the house style and nothing the caller's matplotlibrc says."""

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        with matplotlib.rc_context({**matplotlib.rcParamsDefault, "backend": "agg", **RC}):
            return function(*args, **kwargs)

    return wrapped


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
            "draw() takes the tables that madpo_theory.show.figures builds"
        ) from None


def pick(table, *names, **where):
    """The named columns, as arrays, of the rows that match every ``column=value``."""
    columns = [column(table, name) for name in names]
    keep = np.ones(len(columns[0]), dtype=bool)
    for name, value in where.items():
        keep &= column(table, name) == value
    if not keep.any():
        raise ValueError(f"the figure's table has no row with {where}; build it again")
    return [values[keep] for values in columns]


def unique(table, name):
    """Values of a column in order of first appearance."""
    return list(dict.fromkeys(column(table, name).tolist()))


def print_name(series):
    """A series' name with its symbols set as mathematics."""
    return series.replace("c_max = ", r"$c_{\mathrm{max}}=$").replace("tau = ", r"$\tau=$")


def line(name):
    """Colour and dash of a series; one without a style of its own takes a spare one."""
    return {k: v for k, v in SERIES.get(name, _OTHERS[2]).items() if k != "marker"}


def point(name, index=0):
    """Colour and marker of a method; a method without a style of its own takes the next spare."""
    style = SERIES.get(name, _OTHERS[index % len(_OTHERS)])
    return {k: v for k, v in style.items() if k != "linestyle"}


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
