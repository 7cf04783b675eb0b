"""The region of schedules on which the effective target increases with the margin."""

import numpy as np

from madpo_theory.show import tables
from madpo_theory.show.figures import Figure

from ._style import BLUE, PAGE, RED, column, named, new, pick, point, styled, unique

__all__ = ["FIGURE", "draw"]

FIGURE = Figure(
    title="Where targets keep the order of the margins",
    caption=r"""Left: the largest $\lambda\tau$ for which an easier pair never gets a smaller target
    left of $\tau$, by $c_{\max}$ and $c_{\min}$, in closed form. Below the dashed line the slope at
    $\tau$ decides; above it the target turns earlier. Every schedule of the released type lies on
    the dotted line $c_{\min}=1/c_{\max}$. In the hatched corner a steep schedule can also reverse
    pairs beyond $\tau$. Right: the section $c_{\min}=1/2$. The class defaults lie in the region,
    the released one ($c_{\max}=2$) far above it; squares are boxes of schedules ($\lambda=1$)
    certified in ball arithmetic to lie inside or outside, without use of the closed form.""",
    alt=(
        "A map of the largest lambda tau over c max and c min, and a section at c min one "
        "half with the released schedule outside the region and the class defaults inside."
    ),
    table=tables.monotone_region,
)

LEVELS = (1.2, 1.5, 2, 3, 4, 6, 10)


@styled
def draw(table):
    """Left: contours of the limit of lam tau over (c_max, c_min). Right: the section c_min = 1/2.

    Columns: panel (map, section, cells), element, x, y, value. Map: limit and beyond (1 where pairs
    can be reversed beyond tau) on grids, the curves harmonic and released type, and one point a
    schedule, value lam tau. Section: the curve limit and points, y = lam tau. Cells, drawn where
    present: element increases, falls or undecided; x, y the middle, value the width in x (their
    heights tile the y axis).
    """
    figure, (left, right) = new(PAGE, 3.4, 2, width_ratios=(1.15, 1))
    x, y, limit = _grid(table, "limit")
    left.contourf(x, y, limit, levels=LEVELS, cmap="Blues", norm="log", extend="both", alpha=0.75)
    lines = left.contour(x, y, limit, levels=LEVELS, colors="#333333", linewidths=0.6)
    at = int(np.searchsorted(x[0], 6.3))  # label the contours along one vertical
    places = [(x[0, at], np.interp(v, limit[:, at], y[:, at])) for v in LEVELS[1:-2]]
    left.clabel(lines, LEVELS[1:-2], fmt=lambda v: f"{v:g}", fontsize=8.5, manual=places)
    bx, by, beyond = _grid(table, "beyond")
    left.contourf(bx, by, beyond, levels=(0.5, 1.5), colors="none", hatches=["////"])
    for element, dash in (("harmonic", (0, (5, 2))), ("released type", (0, (1, 1.4)))):
        cx, cy = pick(table, "x", "y", panel="map", element=element)
        left.plot(cx, cy, color="black", lw=1.1, ls=dash)
    schedules = [name for name in unique(table, "element") if name.startswith("madpo")]
    for name in schedules:
        px, py = pick(table, "x", "y", panel="map", element=name)
        left.plot(px, py, ls="", **point(name), mec="white", ms=7)
    left.set(xscale="log", xlabel=r"$c_{\mathrm{max}}$", ylabel=r"$c_{\mathrm{min}}$")
    left.set_xticks([1, 1.5, 2, 3, 4, 6, 8], [f"{v:g}" for v in (1, 1.5, 2, 3, 4, 6, 8)])
    left.minorticks_off()
    left.set_xlim(x.min(), x.max())
    left.set_ylim(y.min(), y.max())
    left.set_title(r"a  Largest $\lambda\tau$ that keeps the order")
    _section(right, table, schedules)
    return figure


def _grid(table, element):
    x, y, value = pick(table, "x", "y", "value", panel="map", element=element)
    shape = (len(np.unique(y)), len(np.unique(x)))
    return x.reshape(shape), y.reshape(shape), value.reshape(shape)


def _section(axes, table, schedules):
    cells = {"increases": BLUE, "falls": RED, "undecided": "#bbbbbb"}
    present = column(table, "panel") == "cells"
    for kind in dict.fromkeys(column(table, "element")[present].tolist()):
        cx, cy, width = pick(table, "x", "y", "value", panel="cells", element=kind)
        heights = np.unique(column(table, "y")[present])
        height = np.diff(heights).min() if len(heights) > 1 else 1.0
        for a, b, w in zip(cx, cy, width, strict=True):
            axes.add_patch(_rectangle(a - w / 2, b - height / 2, w, height, cells[kind]))
    x, y = pick(table, "x", "y", panel="section", element="limit")
    axes.plot(x, y, color="black", lw=1.4)
    for name in schedules:
        if name not in set(column(table, "element")[column(table, "panel") == "section"].tolist()):
            continue
        px, py = pick(table, "x", "y", panel="section", element=name)
        axes.plot(px, py, ls="", **point(name), mec="white", ms=7)
        axes.annotate(
            named(name).split(", ")[-1], (px[0], py[0]), (7, 0), textcoords="offset points",
            va="center",
        )  # fmt: skip
    axes.set(xlabel=r"$c_{\mathrm{max}}$", ylabel=r"$\lambda\tau$")
    axes.set_xlim(1.1, 5)
    axes.set_ylim(0, 9)
    axes.annotate("pairs are reversed", (3.6, 7.6), ha="center")
    axes.annotate("order kept", (3.6, 0.7), ha="center")
    axes.set_title(r"b  The section $c_{\mathrm{min}}=1/2$")


def _rectangle(x, y, width, height, color):
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, color=color, alpha=0.25, lw=0.4, zorder=0)
