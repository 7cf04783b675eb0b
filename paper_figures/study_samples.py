"""Study (d): how errors fall with the number of labels of a pair."""

import numpy as np

from .study_parts import METHODS, band, curves, where
from .style import PAGE, column, new, styled

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


@styled
def draw(table):
    """Sampling error beside the sandwich's, full error and regret, by kind of reward model.

    Columns: model, method, world, labels, sampling_error, predicted_sampling_error, full_error,
    regret.
    """
    figure, panels = new(PAGE, 6.6, 4, rows=3, sharex=True, sharey="row")
    for place, (model, title) in enumerate(MODELS.items()):
        rows = where(table, model=model)
        for axes, name in zip(
            panels[:, place], ("sampling_error", "full_error", "regret"), strict=True
        ):
            curves(axes, rows, "labels", name, SHOWN, ms=3.5)
            axes.set(xscale="log", yscale="log")
            if name != "regret":  # distillation asks no label: its rounding is not shown
                axes.set_ylim(bottom=1e-2)
            axes.set_xticks([10, 100, 1000])
        for method in ("dpo", "madpo", "efficient"):
            own = where(rows, method=method)
            predicted = column(own, "predicted_sampling_error")
            if np.isfinite(predicted).any():
                at, mean, _, _ = band(column(own, "labels"), predicted)
                panels[0, place].plot(at, mean, color=METHODS[method][1], ls=":", lw=2)
        panels[0, place].set_title(title, fontsize=9.5)
        panels[2, place].set_xlabel("labels of a pair")
    for axes, text in zip(
        panels[:, 0],
        ("sampling error (nats)\ndotted: sandwich", "from the exact limit (nats)", "regret (nats)"),
        strict=True,
    ):
        axes.set_ylabel(text, fontsize=9)
    panels[2, 0].legend(fontsize=6.5, loc="lower left", labelspacing=0.1, borderaxespad=0)
    return figure
