"""Study (g): where weighting by a reward model helps, and where it hurts."""

import numpy as np

from ._style import INK, PAGE, column, named, new, pick, styled, unique

__all__ = ["draw"]

LABELS = {"counts": "labels of a pair", "flips": "share of labels flipped"}


@styled
def draw(table):
    """Reward over DPO's at equal KL, label noise across, model error up; dots: decided at 95 %.

    Columns: axis (counts, flips, first order), method, across, noise, y, decided.
    """
    kept = column(table, "axis") != "first order"
    methods = unique({"method": column(table, "method")[kept]}, "method")
    figure, panels = new(PAGE, 5.6, len(methods), rows=2, sharey=True)
    largest = np.nanmax(np.abs(column(table, "y")))
    for row, axis in enumerate(LABELS):
        for axes, method in zip(panels[row], methods, strict=True):
            names = ("across", "noise", "y", "decided")
            across, noise, gain, decided = pick(table, *names, axis=axis, method=method)
            (levels, x), (heights, y) = (np.unique(v, return_inverse=True) for v in (across, noise))
            shown = np.full((len(heights), len(levels)), np.nan)
            shown[y, x] = np.sign(gain) * np.sqrt(np.abs(gain) / largest)
            drawn = axes.pcolormesh(shown, cmap="RdBu", vmin=-1, vmax=1)
            axes.plot(x[decided == 1] + 0.5, y[decided == 1] + 0.5, ".", color=INK, ms=2)
            if axis == "counts" and method == "madpo":
                _boundary(axes, table, levels, heights)
            axes.set_xticks(np.arange(len(levels)) + 0.5, [f"{v:g}" for v in levels])
            axes.set_yticks(np.arange(len(heights)) + 0.5, [f"{v:g}" for v in heights])
            axes.set_title(named(method), fontsize=9.5)
            axes.set_xlabel(LABELS[axis])
        panels[row, 0].set_ylabel("model error (nats)")
    bar = figure.colorbar(drawn, ax=panels, shrink=0.6, aspect=30)
    bar.solids.set_rasterized(False)
    ticks = np.array([-1, -0.5, 0, 0.5, 1])
    bar.set_ticks(ticks, labels=[f"{np.sign(t) * t * t * largest:+.3f}" for t in ticks])
    bar.set_label("reward over DPO's at equal KL (nats)")
    return figure


def _boundary(axes, table, levels, heights):
    """Where the gain should end to first order, on axes of equally wide cells."""
    across, noise = pick(table, "across", "noise", axis="first order")
    x = np.interp(across, levels, np.arange(len(levels)) + 0.5)
    y = np.interp(noise, heights, np.arange(len(heights)) + 0.5)
    axes.plot(x, y, color=INK, lw=1.3, ls="--", label="first order")
    axes.legend(loc="upper right", fontsize=8, frameon=True)
