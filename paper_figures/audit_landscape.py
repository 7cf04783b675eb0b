"""The loss of a verdict sheet against the policy's margin, at a few reward margins."""

from ._style import BLACK, BLUE, ORANGE, PAGE, new, pick, styled, symbols, unique

__all__ = ["draw"]

COLORS = {0.0: BLACK, 2.0: BLUE, 5.0: ORANGE}


@styled
def draw(table):
    """One panel a method, the loss against z, one curve for each reward margin.

    Columns: name, label, h (0 alone where the loss asks no reward model), z, loss.
    """
    names = unique(table, "name")
    figure, panels = new((0.62 if len(names) == 1 else 1) * PAGE, 3.3, len(names), squeeze=False)
    for axes, name in zip(panels[0], names, strict=True):
        (label,) = set(pick(table, "label", name=name)[0].tolist())
        for h in unique(table, "h"):
            found = pick(table, "z", "loss", name=name, h=h, missing=None)
            if found is None:
                continue
            z, loss = found
            dash = "-" if h >= 0 else (0, (4, 1.6))
            axes.plot(z, loss, label=f"$h = {h:+g}$", color=COLORS[abs(h)], linestyle=dash)
        axes.set_title(symbols(label))
        axes.set(xlim=(float(z[0]), float(z[-1])), xlabel=r"$z=\beta m$ (nats)")
        if len(axes.lines) > 1:
            axes.legend(loc="best", labelspacing=0.3)
    panels[0, 0].set_ylabel("loss (nats)")
    return figure
