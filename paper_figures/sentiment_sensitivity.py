"""Reward of MADPO against c_max and against tau."""

import numpy as np

from .sentiment_parts import interval, published
from .style import PAGE, RED, new, pick, styled, unique

__all__ = ["draw"]

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
        axes.plot(x, reward, color=RED, lw=0.9)
        for row in zip(x, reward, low, high, strict=True):
            interval(axes, *row, "madpo")
        there = np.isfinite(known)
        published(axes, x[there], known[there], "madpo", ls="--", color=RED, lw=0.6)
        axes.set_xlabel(LABELS[panel])
    places[0, 0].set_ylabel("mean true reward")
    return figure
