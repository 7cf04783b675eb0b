"""What each arm of the second study earns over DPO at equal KL."""

import numpy as np

from madpo_theory.show.figures import Figure

from ._style import INK, PAGE, SHADE, new, point, styled, symbols

__all__ = ["FIGURE", "draw"]

FIGURE = Figure(
    title="The second study: reward at equal KL",
    caption="""Reward minus that of DPO at the same KL, mean over tiers and seeds with 95 %
    intervals; shaded is what the paper published, or more. An interval that meets the frame goes on
    beyond it. What lies outside the line's KL is not judged.""",
    alt="Reward of every arm of the second study minus DPO's at equal KL, with intervals.",
    table="second.gaps",
    source="second",
)


@styled
def draw(table):
    """Columns: arm, label, method, gap, lo, hi, published (the least gain that was)."""
    y = -np.arange(len(table["arm"]))
    figure, axes = new(PAGE, 0.8 + 0.16 * len(y))
    axes.axvline(0, color=INK, lw=0.8)
    for at, method, value, low, high in zip(
        y, *(table[name] for name in ("method", "gap", "lo", "hi")), strict=True
    ):
        style = point(method) | dict(ls="", ms=5, mec="white", mew=0.4, elinewidth=1, capsize=2)
        axes.errorbar(value, at, xerr=[[value - low], [high - value]], **style)
    axes.set_yticks(y, [symbols(label) for label in table["label"]], fontsize=7.5)
    if len(y):
        least = max(table["published"])
        shown = np.clip(np.concatenate([table["lo"], table["hi"]]), -least, least)
        ends = np.concatenate([shown, table["gap"], [0, least]])
        axes.set(xlim=(min(ends) - 0.08, max(ends) + 0.15), ylim=(y[-1] - 0.7, 0.7))
        axes.axvspan(least, 10, color=SHADE, lw=0, zorder=0)
    axes.set_xlabel("reward minus DPO's at the same KL (shaded: what the paper published, or more)")
    return figure
