"""Reward of MADPO against c_max and against tau."""

import numpy as np

from madpo_theory.show.figures import Figure

from ._sentiment import interval, published
from ._style import PAGE, line, new, pick, styled, unique

__all__ = ["FIGURE", "draw"]

FIGURE = Figure(
    title="Sensitivity to the schedule",
    caption=r"""Reward of MADPO on the high tier against $c_{\max}$ at $\tau=\log 999$ and against
    $\tau$ at $c_{\max}=2$; one seed, intervals over prompts. Hollow: published.""",
    alt="Reward against c max and against tau, with the published numbers.",
    table="sentiment.sensitivity",
    source="results",
)

LABELS = {"c_max": r"$c_{\mathrm{max}}$", "tau": r"$\tau$ (nats)"}


@styled
def draw(table):
    """Columns: panel (c_max or tau), x, reward, lo, hi, runs, published."""
    panels = unique(table, "panel")
    figure, places = new(0.8 * PAGE, 2.7, len(panels), sharey=True, squeeze=False)
    for axes, panel in zip(places[0], panels, strict=True):
        x, reward, low, high, known = pick(
            table, "x", "reward", "lo", "hi", "published", panel=panel
        )
        axes.plot(x, reward, **line("madpo"), lw=0.9)
        for row in zip(x, reward, low, high, strict=True):
            interval(axes, *row, "madpo")
        there = np.isfinite(known)
        joined = dict(ls="--", lw=0.6, color=line("madpo")["color"])
        published(axes, x[there], known[there], "madpo", **joined)
        axes.set_xlabel(LABELS[panel])
    places[0, 0].set_ylabel("mean true reward")
    return figure
