"""Study (c): how far below the best reward-KL frontier each method stays."""

import numpy as np

from .study_parts import METHODS, band, where
from .style import PAGE, column, new, styled, unique

__all__ = ["draw"]

MODELS = ("exact", "independent, 1 nat", "additive, 1 nat", "overconfident, 1 nat")
FLOOR = 1e-6  # what is nearer to the best than this is drawn here


@styled
def draw(table):
    """A row for each kind of labels, a column for each reward model.

    Columns: labels, model, method, world, and reward_at_X beside best_at_X for each KL X.
    """
    kinds = unique(table, "labels")
    at = sorted(float(name[10:]) for name in table if name.startswith("reward_at_"))
    figure, panels = new(PAGE, 7.0, len(MODELS), rows=len(kinds) + 1, sharex="row",
        gridspec_kw={"height_ratios": [1] * len(kinds) + [0.4]},
    )  # fmt: skip
    for row, labels in enumerate(kinds):
        for place, model in enumerate(MODELS):
            axes, rows = panels[row, place], where(table, labels=labels, model=model)
            for method in unique(rows, "method"):
                _curve(axes, where(rows, method=method), method, at)
            axes.set(yscale="log", ylim=(FLOOR / 1.5, 1))
            if row == 0:
                axes.set_title(model, fontsize=9.5)
            axes.tick_params(labelleft=place == 0)
        panels[row, 0].set_ylabel(f"labels: {labels}\nnats below the best", fontsize=9)
    for axes in panels[len(kinds) - 1]:
        axes.set_xlabel("KL (nats)")
    for axes in panels[-1]:
        axes.axis("off")
    entries = {}
    for axes in panels[:-1].flat:
        entries |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    grid = panels[-1, 0].get_gridspec()[-1, :]
    whole = figure.add_subplot(grid)
    whole.axis("off")
    whole.legend(entries.values(), entries.keys(), loc="upper center", ncols=4, fontsize=9)
    return figure


def _curve(axes, rows, method, at):
    label, color, marker = METHODS[method]
    gaps = np.concatenate(
        [column(rows, f"best_at_{x:g}") - column(rows, f"reward_at_{x:g}") for x in at]
    )
    levels = np.repeat(at, len(gaps) // len(at))
    levels, mean, low, high = (np.asarray(v) for v in band(levels, gaps))
    mean, low, high = (np.maximum(v, FLOOR) for v in (mean, low, high))
    axes.fill_between(levels, low, high, color=color, alpha=0.2, lw=0)
    axes.plot(levels, mean, color=color, marker=marker, ms=3.5, lw=0.9, label=label)
