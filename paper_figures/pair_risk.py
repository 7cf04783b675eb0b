"""The pair risk R(z) of a hard, a medium and an easy pair, MADPO beside DPO."""

from matplotlib.ticker import MaxNLocator

from madpo_theory.show import tables
from madpo_theory.show.figures import Figure

from ._style import PAGE, line, named, new, pick, point, styled, unique

__all__ = ["FIGURE", "draw"]

FIGURE = Figure(
    title="Pair risk",
    caption=r"""Expected loss of one pair over both labels, against $z=\beta m$ (exact reward model,
    released schedule). Compare the minimizers, marked and labelled: MADPO's lies beyond DPO's for a
    hard and for a medium pair, and on top of it for an easy one. Every curve is strictly
    convex.""",
    alt=(
        "Risk curves of a hard, a medium and an easy pair; MADPO's minimum is to the right of "
        "DPO's for the first two and coincides with it for the third."
    ),
    table=tables.pair_risk,
)


@styled
def draw(table):
    """One panel a pair, R against z, the minimizers marked and labelled.

    Columns: pair, h (true margin), method, element (curve, minimizer), z, risk.
    """
    pairs = unique(table, "pair")
    figure, panels = new(PAGE, 2.9, len(pairs))
    for axes, pair, letter in zip(panels, pairs, "abcdef", strict=False):
        (h, *_) = pick(table, "h", pair=pair)[0]
        minima = []
        for method in unique(table, "method"):
            z, risk = pick(table, "z", "risk", pair=pair, method=method, element="curve")
            axes.plot(z, risk, label=named(method), **line(method))
            axes.set_xlim(z[0], z[-1])
            (x,), (y,) = pick(table, "z", "risk", pair=pair, method=method, element="minimizer")
            minima.append((y, x, method))
        top = axes.get_ylim()[1]
        axes.set_ylim(-0.14 * top, top)
        for rank, (y, x, method) in enumerate(sorted(minima)):  # the lower one's label below
            axes.plot(x, y, **point(method), ms=5.5, zorder=5)
            axes.annotate(
                f"$z^{{*}}={x:.2f}$", (x, y), (0, 9 if rank else -6), textcoords="offset points",
                ha="center", va="bottom" if rank else "top", color=point(method)["color"],
            )  # fmt: skip
        axes.set_title(f"{letter}  {pair.capitalize()} pair, $h^{{*}}={h:g}$")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_xlabel(r"$z=\beta m$ (nats)")
    panels[0].set_ylabel("pair risk $R(z)$ (nats)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure
