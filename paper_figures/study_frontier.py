"""Study (c): how far below the best reward-KL frontier each method stays."""

from ._studies import curves
from ._style import PAGE, new, styled, unique

__all__ = ["draw"]

MODELS = ("exact", "independent, 1 nat", "additive, 1 nat", "overconfident, 1 nat")
FLOOR = 1e-6  # what is nearer to the best than this is drawn here


@styled
def draw(table):
    """A row for each kind of labels, a column for each reward model.

    Columns: labels, model, method, x (KL), y (nats below the best), low, high.
    """
    kinds = unique(table, "labels")
    figure, panels = new(PAGE, 7.0, len(MODELS), rows=len(kinds) + 1, sharex="row",
        gridspec_kw={"height_ratios": [1] * len(kinds) + [0.4]},
    )  # fmt: skip
    for row, labels in enumerate(kinds):
        for place, model in enumerate(MODELS):
            axes, methods = panels[row, place], unique(table, "method")
            curves(axes, table, methods, floor=FLOOR, labels=labels, model=model)
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
