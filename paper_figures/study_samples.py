"""Study (d): how errors fall with the number of labels of a pair."""

from ._studies import curves
from ._style import PAGE, new, pick, point, styled

__all__ = ["draw"]

SHOWN = (
    "dpo", "madpo", "madpo_class", "bounded_ratio", "target_shaped", "efficient", "distillation",
)  # fmt: skip
MODELS = {
    "exact": "exact",
    "wrong by 1/2 nat": "wrong by 1/2 nat",
    "fitted, its own labels": "fitted, other labels",
    "fitted, the same labels": "fitted, same labels",
}


ROWS = {
    "sampling_error": "sampling error (nats)\ndotted: sandwich",
    "full_error": "from the exact limit (nats)",
    "regret": "regret (nats)",
}


@styled
def draw(table):
    """Sampling error beside the sandwich's, full error and regret, by kind of reward model.

    Columns: quantity (sampling_error, predicted_sampling_error, full_error, regret), model,
    method, x (labels of a pair), y, low, high.
    """
    figure, panels = new(PAGE, 6.6, 4, rows=3, sharex=True, sharey="row")
    for place, (model, title) in enumerate(MODELS.items()):
        for axes, name in zip(panels[:, place], ROWS, strict=True):
            curves(axes, table, SHOWN, quantity=name, model=model)
            axes.set(xscale="log", yscale="log")
            if name != "regret":  # distillation asks no label: its rounding is not shown
                axes.set_ylim(bottom=1e-2)
            axes.set_xticks([10, 100, 1000])
        for method in ("dpo", "madpo", "efficient"):
            where = dict(quantity="predicted_sampling_error", model=model, method=method)
            at, predicted = pick(table, "x", "y", **where)
            panels[0, place].plot(at, predicted, color=point(method)["color"], ls=":", lw=2)
        panels[0, place].set_title(title, fontsize=9.5)
        panels[2, place].set_xlabel("labels of a pair")
    for axes, text in zip(panels[:, 0], ROWS.values(), strict=True):
        axes.set_ylabel(text, fontsize=9)
    panels[0, 0].legend(fontsize=6.5, loc="lower left", labelspacing=0.1, borderaxespad=0)
    return figure
