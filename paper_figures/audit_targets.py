"""The targets of a verdict sheet: where an exact reward model sends a pair."""

import numpy as np

from ._style import BLACK, PAGE, column, line, new, pick, styled, symbols

__all__ = ["draw"]


@styled
def draw(table):
    """Targets against the true margin, DPO's diagonal dotted.

    Columns: name, label, h, target; a target that is not finite is not drawn.
    """
    figure, axes = new(0.62 * PAGE, 3.3)
    h, target = (column(table, name) for name in ("h", "target"))
    finite = np.isfinite(target)
    end = float(h.max())
    axes.plot([0, end], [0, end], color=BLACK, lw=0.9, linestyle=(0, (1, 2)), label="$T = h$")
    for name in dict.fromkeys(column(table, "name").tolist()):
        x, y, label = pick(table, "h", "target", "label", name=name)
        axes.plot(x, y, label=symbols(str(label[0])), **line(name))
    low, high = (float(f(target[finite])) for f in (np.min, np.max)) if finite.any() else (0.0, end)
    # a target far above the diagonal would hide it
    axes.set_ylim(max(min(low, 0.0), -0.5 * end) - 0.03 * end, min(max(high, end), 2 * end) * 1.03)
    axes.set(
        xlim=(0, end), xlabel="true margin $h$ (nats)", ylabel="target $T(h; h)$ of $z$ (nats)"
    )
    axes.legend(loc="upper left", labelspacing=0.3)
    return figure
