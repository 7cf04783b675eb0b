"""Study (j): an offset, and the weights with the same targets, as labels grow."""

from ._studies import curves
from ._style import PAGE, new, styled, unique

__all__ = ["draw"]

ROWS = {
    "sampling_error": "sampling error (nats)",
    "gap": "reward below the best\nat equal KL (nats)",
}


@styled
def draw(table):
    """Sampling error above, reward below the best at equal KL below it, by reward model.

    Columns: quantity (sampling_error, gap), model, method, x (labels of a pair), y, low, high.
    """
    models = unique(table, "model")
    figure, panels = new(PAGE, 5.4, len(models), rows=2, sharex=True, sharey="row")
    for place, model in enumerate(models):
        for axes, name in zip(panels[:, place], ROWS, strict=True):
            curves(axes, table, unique(table, "method"), quantity=name, model=model)
            axes.set(xscale="log", yscale="log")
            axes.set_xticks([10, 100, 1000])
        panels[0, place].set_title(f"reward model: {model}", fontsize=9.5)
        panels[1, place].set_xlabel("labels of a pair")
    for axes, text in zip(panels[:, 0], ROWS.values(), strict=True):
        axes.set_ylabel(text, fontsize=9)
    panels[0, 0].legend(fontsize=6.5, loc="lower left", labelspacing=0.1, borderaxespad=0)
    return figure
