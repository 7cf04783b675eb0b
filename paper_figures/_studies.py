"""What the figures of the studies share: curves with their bands, and a legend of its own."""

from ._style import line, named, pick, point

__all__ = ["curve", "curves", "legend"]


def curve(axes, x, y, low, high, **style):
    """A curve over levels with the 95 % band of its mean over worlds."""
    axes.fill_between(x, low, high, color=style["color"], alpha=0.2, lw=0)
    axes.plot(x, y, **(dict(lw=1.1, ms=3.5) | style))


def curves(axes, table, methods, *, floor=None, **where):
    """A curve for each of the methods that the table has at these places, with its label.

    Columns x, y, low, high; values below `floor` are drawn there.
    """
    for method in methods:
        columns = pick(table, "x", "y", "low", "high", method=method, missing=None, **where)
        if columns is not None:
            x, *values = columns
            values = values if floor is None else [v.clip(floor) for v in values]
            curve(axes, x, *values, label=named(method), **(line(method) | point(method)))


def legend(axes, source):
    """The legend of other axes, alone in its place."""
    axes.axis("off")
    handles, labels = source.get_legend_handles_labels()
    axes.legend(handles, labels, loc="center left", fontsize=9, handlelength=2, borderaxespad=0)
