"""Every prediction's interval and what was measured, each row on its own scale."""

import math
import textwrap

from madpo_theory.show.figures import Figure

from ._style import BLUE, GREEN, ORANGE, PAGE, RED, column, new, styled

__all__ = ["FIGURE", "draw"]

FIGURE = Figure(
    title="Predictions against measurements",
    caption=r"""Each prediction's interval (bar) and the measurement with its 95 % interval, every
    row on its own scale. The predictions were committed before the runs.""",
    alt="A row for each prediction with the predicted interval and the measured one.",
    table="sentiment.predictions",
    source="results",
)

COLORS = {"holds": GREEN, "fails": RED, "undecided": ORANGE, "not measured": "#888888"}


@styled
def draw(table):
    """Columns: id, quantity, from, to (NaN: no end), measured, lo, hi, verdict."""
    names = ("id", "quantity", "from", "to", "measured", "lo", "hi", "verdict")
    rows = list(zip(*(column(table, name).tolist() for name in names), strict=True))
    figure, panels = new(PAGE, 0.36 * len(rows) + 0.3, 2, rows=len(rows), squeeze=False,
                         gridspec_kw={"width_ratios": [1.35, 1]})  # fmt: skip
    for (text, axes), row in zip(panels, rows, strict=True):
        identifier, quantity, start, end, measured, low, high, verdict = row
        text.axis("off")
        words = "\n".join(textwrap.wrap(quantity, 62))
        text.text(0, 0.5, identifier, va="center", fontsize=8.5, transform=text.transAxes,
                  fontweight="bold")  # fmt: skip
        text.text(0.09, 0.5, words, va="center", fontsize=8, transform=text.transAxes)
        _row(axes, start, end, measured, low, high, COLORS[verdict])
        axes.text(1.02, 0.5, verdict, color=COLORS[verdict], va="center", fontsize=8.5,
                  transform=axes.transAxes)  # fmt: skip
    return figure


def _row(axes, start, end, measured, low, high, color):
    known = [v for v in (start, end, measured, low, high) if not math.isnan(v)]
    left, right = min(known), max(known)
    pad = 0.15 * (right - left) or 0.5
    left, right = left - pad, right + pad
    bar = (left if math.isnan(start) else start, right if math.isnan(end) else end)
    axes.plot(bar, (0, 0), color=BLUE, alpha=0.25, lw=9, solid_capstyle="butt")
    if bar[0] == bar[1]:
        axes.plot(bar[0], 0, color=BLUE, alpha=0.4, marker="|", ms=11)
    if not math.isnan(measured):
        axes.plot(measured, 0, color=color, marker="o", ms=4.5)
        if not math.isnan(low + high):
            axes.plot((low, high), (0, 0), color=color, lw=1.4)
    axes.set(xlim=(left, right), ylim=(-1, 1), yticks=[])
    axes.tick_params(labelsize=7, length=2, pad=1)
    axes.locator_params(axis="x", nbins=4)
    axes.spines["left"].set_visible(False)
