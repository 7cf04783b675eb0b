"""Study (i): what every pairwise loss loses at equal KL, in each condition."""

import numpy as np

from ._style import INK, PAGE, named, new, pick, styled, unique

__all__ = ["draw"]

FLOOR = 1e-3  # per cent; what is nearer to the best than this is drawn alike


@styled
def draw(table):
    """A heat map: methods by conditions, per cent of the best reward that is lost at equal KL.

    Columns: condition, method, gap, low, high, best. Methods by their mean place; a cross marks
    one without a solution.
    """
    conditions, methods = unique(table, "condition"), unique(table, "method")
    lost = np.full((len(methods), len(conditions)), np.nan)
    for column, condition in enumerate(conditions):
        names, gap, best = pick(table, "method", "gap", "best", condition=condition)
        for name, value, unit in zip(names, gap, best, strict=True):
            lost[methods.index(name), column] = 100 * value / unit
    places = np.where(np.isnan(lost), np.inf, lost).argsort(axis=0).argsort(axis=0)
    order = np.argsort(places.mean(axis=1), kind="stable")
    lost = lost[order]
    figure, axes = new(PAGE, 1.9 + 0.185 * len(methods))
    shown = np.log10(np.clip(lost, FLOOR, 100))
    down, across = (np.arange(size + 1) - 0.5 for size in shown.shape)
    axes.pcolormesh(across, down, shown, cmap="cividis_r", vmin=np.log10(FLOOR), vmax=2)
    axes.invert_yaxis()
    for (row, column), value in np.ndenumerate(lost):
        text = (
            "×"
            if np.isnan(value)
            else "0"
            if value < FLOOR
            else f"{value:.0f}"
            if value > 10
            else f"{value:.2g}"
        )
        dark = not np.isnan(value) and value > 1
        axes.text(column, row, text, ha="center", va="center", fontsize=6.5,
            color="white" if dark else INK,
        )  # fmt: skip
    axes.set_yticks(range(len(methods)), [named(methods[k]) for k in order], fontsize=7)
    axes.set_xticks(
        range(len(conditions)), conditions, fontsize=7.5, rotation=35, ha="left",
        rotation_mode="anchor",
    )  # fmt: skip
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.grid(False)
    axes.set_xlabel("per cent of the best reward lost at KL 0.5; × no solution", fontsize=9)
    return figure
