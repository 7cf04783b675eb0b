"""Study (f): how far the optimum moves when other pairs are compared."""

import numpy as np

from .study_parts import METHODS, band, curves, where
from .style import PAGE, column, new, styled

__all__ = ["draw"]

SAMPLINGS = ("near pairs", "far pairs", "own policy")
FLOOR = 1e-6


@styled
def draw(table):
    """Above, each method under an exact reward model; below, against the error's size.

    Columns: model, method, sampling, world, noise, sampling_shift.
    """
    figure, panels = new(PAGE, 6.4, 3, rows=3)
    exact = where(table, model="exact")
    names = [name for name in METHODS if name in set(column(exact, "method"))]
    for axes, sampling in zip(panels[0], SAMPLINGS, strict=True):
        for place, name in enumerate(names):
            rows = where(exact, sampling=sampling, method=name)
            _, mean, low, high = band(np.zeros(len(rows["method"])), rows["sampling_shift"])
            _, color, marker = METHODS[name]
            mean, low, high = (np.maximum(v, FLOOR) for v in (mean, low, high))
            axes.plot([*low, *high], [place, place], color=color, lw=2)
            axes.plot(mean, [place], marker, color=color, ms=5)
        axes.set(xscale="log", xlim=(FLOOR / 2, 2))
        axes.set_yticks(range(len(names)), [METHODS[n][0] for n in names], fontsize=8)
        axes.tick_params(labelleft=sampling == SAMPLINGS[0])
        axes.invert_yaxis()
        axes.set_title(f"exact model, {sampling}", fontsize=9.5)
        axes.set_xlabel("change of z (nats)", fontsize=9)
    shown = [name for name in names if name not in ("ipo", "cdpo")]
    for row, (kind, title) in enumerate(
        (("gaussian", "independent errors"), ("potential", "additive errors")), start=1
    ):
        for axes, sampling in zip(panels[row], SAMPLINGS, strict=True):
            rows = where(table, model=kind, sampling=sampling)
            rows["shown"] = np.maximum(column(rows, "sampling_shift"), FLOOR)
            curves(axes, rows, "noise", "shown", shown, ms=3.5)
            axes.set(xscale="log", yscale="log", ylim=(FLOOR / 2, 2))
            axes.set_xticks([0.25, 0.5, 1], ["1/4", "1/2", "1"])
            axes.minorticks_off()
            axes.set_title(f"{title}, {sampling}", fontsize=9.5)
            axes.set_xlabel("error (nats)", fontsize=9)
        panels[row, 0].set_ylabel("change of z (nats)")
    return figure
