"""Targets of a diagnosis against the size of the margin, above the density of its pairs."""

import numpy as np

from ._style import BLACK, PAGE, SHADE, SKY, column, line, named, new, pick, styled

__all__ = ["draw"]


@styled
def draw(table):
    """Targets against the size of the margin, above the density of the pairs.

    Columns: element (curve, density, fall: the two ends of a falling stretch), name, x, y.
    """
    figure, (axes, below) = new(0.8 * PAGE, 4.6, rows=2, sharex=True, height_ratios=[3.2, 1])
    elements = column(table, "element")
    curves = elements == "curve"
    for name in dict.fromkeys(column(table, "name")[curves].tolist()):
        x, y = pick(table, "x", "y", element="curve", name=name)
        if name.startswith("DPO"):  # at another temperature
            axes.plot(x, y, label=name, color=BLACK, lw=0.8, linestyle=(0, (1, 2)))
        else:
            axes.plot(x, y, label=named(name), **line(name))
    if (elements == "fall").any():
        ends = pick(table, "x", element="fall")[0]
        for start, end in ends.reshape(-1, 2):
            for panel in (axes, below):
                panel.axvspan(start, end, color=SHADE, lw=0, zorder=0)
    axes.set(ylabel="effective target (nats)", xlim=(0, float(x[-1])))
    low, high = (float(f(column(table, "y")[curves])) for f in (np.min, np.max))
    axes.set_ylim(min(low, 0.0), 1.04 * high)
    axes.legend(loc="upper left", labelspacing=0.3)
    x, y = pick(table, "x", "y", element="density")
    below.stairs(y, [*x, x[-1] + (x[1] - x[0])], fill=True, color=SKY)  # x: lower edges
    below.set(xlabel="size of the margin $|h|$ (nats)", ylabel="pairs per nat")
    below.set_ylim(0, None)
    return figure
