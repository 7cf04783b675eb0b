"""Study (b): reward lost at equal KL over c_max, tau and lam, and where T5 is safe."""

import itertools

from ._studies import curve
from ._style import INK, PAGE, line, named, new, pick, point, styled, unique

__all__ = ["draw"]


@styled
def draw(table):
    """A column of panels for each lam, a row for each noise level; filled markers are safe.

    Columns: noise, lam, c_max, safe, x (tau), y (reward lost at equal KL), low, high.
    """
    noises, lams, c_maxes = (sorted(unique(table, n)) for n in ("noise", "lam", "c_max"))
    figure, panels = new(PAGE, 1.75 * len(noises) + 0.5, len(lams), rows=len(noises), sharex=True)
    for (row, noise), (place, lam) in itertools.product(enumerate(noises), enumerate(lams)):
        axes = panels[row, place]
        for c_max in c_maxes:
            name = f"madpo_{c_max:g}"
            where = dict(noise=noise, lam=lam, c_max=c_max)
            *columns, safe = pick(table, "x", "y", "low", "high", "safe", **where)
            curve(axes, *columns, label=named(name).removeprefix("MADPO, "), **line(name))
            for kept, hollow in ((safe, {}), (~safe, {"mfc": "white"})):
                x, y = (values[kept] for values in columns[:2])
                axes.plot(x, y, ls="", ms=4.5, **point(name), **hollow)
        axes.set_ylim(bottom=0)
    for axes, lam in zip(panels[0], lams, strict=True):
        axes.set_title(rf"$\lambda={lam:g}$")
    for axes in panels[-1]:
        axes.set_xlabel(r"$\tau$ (nats)")
    for axes, noise in zip(panels, noises, strict=True):
        axes[0].set_ylabel(f"error {noise:g} nats\nreward lost (nats)", fontsize=9)
        top = max(one.get_ylim()[1] for one in axes)
        for one in axes:
            one.set_ylim(top=top)
    panels[0, 0].legend(fontsize=8, loc="upper left", labelspacing=0.2, borderaxespad=0.1)
    panels[0, 1].text(
        0.02, 0.97, "filled: inside T5's region", transform=panels[0, 1].transAxes, va="top",
        fontsize=8.5, color=INK,
    )  # fmt: skip
    return figure
