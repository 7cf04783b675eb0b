"""The four plots of a diagnosis: margins and weights, reliability, targets, choice of c_max."""

import numpy as np

from .style import (
    BLACK,
    BLUE,
    INK,
    PAGE,
    RED,
    SHADE,
    SKY,
    column,
    line,
    new,
    pick,
    point,
    styled,
    unique,
)

__all__ = ["draw_choice", "draw_margins", "draw_reliability", "draw_targets"]

REGIMES = {  # name: colour of its bars
    "disputed beyond tau": "#8c510a",
    "disputed": RED,
    "amplified": SKY,
    "easy": BLUE,
}


@styled
def draw_margins(table):
    """Density of the margins by regime, and below it the weights on the same axis.

    Columns: element (bar, weight), name (of the regime or the weight), x (lower edge, margin), y.
    Bars of one width; a bar that spans two regimes is drawn as the one of its middle.
    """
    figure, (top, bottom) = new(PAGE, 4.6, rows=2, sharex=True, height_ratios=[1, 1])
    bars = column(table, "element") == "bar"
    edges = column(table, "x")[bars]
    width = float(np.diff(edges).min()) if len(edges) > 1 else 1.0
    for name, color in REGIMES.items():
        if (bars & (column(table, "name") == name)).any():
            x, y = pick(table, "x", "y", element="bar", name=name)
            top.bar(x, y, width, align="edge", color=color, label=name.replace("tau", r"$\tau$"))
    top.set(ylabel="pairs per nat (share)", xlim=(edges[0], edges[-1] + width))
    top.legend(loc="upper left", handlelength=1, labelspacing=0.3)
    top.set_title("a  Margins toward the label")
    weights = column(table, "element") == "weight"
    for name in dict.fromkeys(column(table, "name")[weights].tolist()):
        x, y = pick(table, "x", "y", element="weight", name=name)
        bottom.plot(x, y, label=name, **line(name))
    bottom.axhline(1, color=INK, lw=0.6)
    bottom.set(xlabel="reward-model margin $h$ toward the label (nats)", ylabel="weight $w(h)$")
    bottom.set_ylim(0, 2)
    bottom.legend(loc="upper left", labelspacing=0.3)
    bottom.set_title("b  Weights")
    for axes in (top, bottom):
        axes.axvline(0, color=INK, lw=0.6, ls=(0, (2, 3)))
    return figure


@styled
def draw_reliability(table):
    """Agreement of the labels against the reward model's confidence, with 95 % intervals.

    Columns: element (bin, fit), x, y, low, high, share; the fit is the curve of the fitted scale.
    """
    figure, axes = new(0.56 * PAGE, 3.8)
    axes.plot([0.5, 1], [0.5, 1], color=INK, lw=0.8, ls=(0, (2, 2)), label="calibrated")
    if (column(table, "element") == "fit").any():
        x, y = pick(table, "x", "y", element="fit")
        axes.plot(x, y, label="fitted scale", **line("recommended"))
    x, y, low, high, share = pick(table, "x", "y", "low", "high", "share", element="bin")
    axes.errorbar(x, y, [y - low, high - y], fmt="none", ecolor=BLUE, elinewidth=1, capsize=2)
    axes.scatter(x, y, 15 + 300 * share, color=BLUE, alpha=0.75, zorder=3, label="labels")
    axes.set(
        xlabel=r"confidence $\sigma(|h|)$ of the reward model", ylabel="labels that agree",
        xlim=(0.49, 1.01), ylim=(min(0.49, float(low.min()) - 0.02), 1.01),
    )  # fmt: skip
    axes.legend(loc="upper left", labelspacing=0.4)
    return figure


@styled
def draw_targets(table):
    """Targets against the size of the margin, above the density of the pairs.

    Columns: element (curve, density, fall: the two ends of a falling stretch), name, x, y.
    """
    figure, (axes, below) = new(0.8 * PAGE, 4.6, rows=2, sharex=True, height_ratios=[3.2, 1])
    elements = column(table, "element")
    curves = elements == "curve"
    for name in dict.fromkeys(column(table, "name")[curves].tolist()):
        x, y = pick(table, "x", "y", element="curve", name=name)
        plain = dict(color=BLACK, lw=0.8, linestyle="-" if name == "DPO" else (0, (1, 2)))
        axes.plot(x, y, label=name, **(plain if name.startswith("DPO") else line(name)))
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
    below.fill_between(x, y, step="post", color=SKY, lw=0)
    below.set(xlabel="size of the margin $|h|$ (nats)", ylabel="pairs per nat")
    below.set_ylim(0, None)
    return figure


@styled
def draw_choice(table):
    """ESS and D against c_max, with tau as asked and with targets in order.

    Columns: panel (ess, D), element (curve, mark, wanted), name (asked, recommended), x, y.
    """
    figure, panels = new(PAGE, 3.1, 2)
    titles = {"ess": "a  Effective share of the pairs", "D": "b  Influence of a wrong reward model"}
    names = {"asked": r"$\lambda$, $\tau$ as asked", "recommended": "targets in order"}
    for axes, panel in zip(panels, titles, strict=True):
        here = column(table, "panel") == panel
        for name in unique(table, "name"):
            if not (here & (column(table, "name") == name)).any():
                continue
            kept = {"panel": panel, "name": name}
            if name == "wanted":
                y = pick(table, "y", element="wanted", **kept)[0][0]
                axes.axhline(y, color=INK, lw=0.8, ls=(0, (2, 2)), label="wanted")
                continue
            x, y = pick(table, "x", "y", element="curve", **kept)
            axes.plot(x, y, label=names[name], **line(name))
            if (
                here & (column(table, "name") == name) & (column(table, "element") == "mark")
            ).any():
                x, y = pick(table, "x", "y", element="mark", **kept)
                axes.plot(x, y, ls="", ms=7, **point(name))
        axes.set_xlabel(r"$c_{\mathrm{max}}$")
        axes.set_title(titles[panel])
        axes.set_ylim(0, None)
    panels[0].set_ylim(0, 1.02)
    panels[0].set_ylabel("ESS / pairs")
    panels[1].set_ylabel("D (nats)")
    panels[0].legend(loc="lower left", labelspacing=0.3)
    return figure
