"""Density of the margins of a diagnosis by regime, and the weights on the same axis."""

import numpy as np

from ._style import BLUE, INK, PAGE, RED, SKY, column, line, named, new, pick, styled

__all__ = ["draw"]

REGIMES = {  # name: colour of its bars
    "disputed beyond tau": "#8c510a",
    "disputed": RED,
    "amplified": SKY,
    "easy": BLUE,
    "agreed": SKY,
}


@styled
def draw(table):
    """Density of the margins by regime, and below it the weights, if any, on the same axis.

    Columns: element (bar, weight), name (of the regime or the weight), x (lower edge, margin), y.
    Bars of one width; a bar that spans two regimes is drawn as the one of its middle.
    """
    weights = column(table, "element") == "weight"
    if weights.any():
        figure, (top, bottom) = new(PAGE, 4.6, rows=2, sharex=True, height_ratios=[1, 1])
    else:
        figure, top = new(PAGE, 2.4)
    bars = column(table, "element") == "bar"
    edges = column(table, "x")[bars]
    width = float(np.diff(edges).min()) if len(edges) > 1 else 1.0
    for name, color in REGIMES.items():
        if (bars & (column(table, "name") == name)).any():
            x, y = pick(table, "x", "y", element="bar", name=name)
            top.bar(x, y, width, align="edge", color=color, label=name.replace("tau", r"$\tau$"))
    top.set(ylabel="pairs per nat (share)", xlim=(edges[0], edges[-1] + width))
    top.legend(loc="upper left", handlelength=1, labelspacing=0.3)
    top.axvline(0, color=INK, lw=0.6, ls=(0, (2, 3)))
    if not weights.any():
        top.set(xlabel="reward-model margin $h$ toward the label (nats)")
        return figure
    top.set_title("a  Margins toward the label")
    for name in dict.fromkeys(column(table, "name")[weights].tolist()):
        x, y = pick(table, "x", "y", element="weight", name=name)
        bottom.plot(x, y, label=named(name), **line(name))
    bottom.axhline(1, color=INK, lw=0.6)
    bottom.set(xlabel="reward-model margin $h$ toward the label (nats)", ylabel="weight $w(h)$")
    bottom.set_ylim(0, 2)
    bottom.legend(loc="upper left", labelspacing=0.3)
    bottom.set_title("b  Weights")
    bottom.axvline(0, color=INK, lw=0.6, ls=(0, (2, 3)))
    return figure
