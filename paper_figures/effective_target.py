"""Effective targets of MADPO, DPO and IPO against the true margin."""

from .style import PAGE, SERIES, column, line, new, pick, print_name, styled, unique

__all__ = ["draw"]


@styled
def draw(table):
    """Targets z* against h* with an exact reward model; falling stretches shaded and labelled.

    Columns: method, element (curve, fall: the two ends of a falling stretch), h, z.
    """
    figure, axes = new(0.72 * PAGE, 3.6)
    elements = column(table, "element")
    for method in unique(table, "method"):
        h, z = pick(table, "h", "z", method=method, element="curve")
        axes.plot(h, z, label=print_name(method), zorder=3, **line(method))
        axes.set_xlim(h[0], h[-1])
    for method in unique(table, "method"):
        if not ((column(table, "method") == method) & (elements == "fall")).any():
            continue
        h, z = pick(table, "h", "z", method=method, element="fall")
        style = SERIES[method]
        x, y = pick(table, "h", "z", method=method, element="curve")
        inside = (x >= h[0]) & (x <= h[-1])
        axes.fill_between(x[inside], y[inside], color=style["color"], alpha=0.18, lw=0, zorder=1)
        axes.plot(x[inside], y[inside], color=style["color"], lw=3.2, zorder=4)
        axes.plot(
            h, z, ls="", marker=style["marker"], mec=style["color"], mfc="white", mew=1.3, zorder=6
        )
        axes.annotate(
            f"falls from ({h[0]:.2f}, {z[0]:.2f})", (h[0], z[0]), (-24, 7),
            textcoords="offset points", ha="center", va="bottom", color=style["color"],
        )  # fmt: skip
    falls = elements == "fall"
    if falls.any():
        h, z = column(table, "h")[falls][-1], column(table, "z")[falls][-1]
        axes.annotate(
            f"to ({h:.2f}, {z:.2f})", (h, z), (9, -9), textcoords="offset points", va="top"
        )
    axes.set(
        xlabel="true margin $h^{*}$ (nats)", ylabel=r"effective target $z^{*}=\beta m^{*}$ (nats)"
    )
    axes.set_ylim(0, 1.13 * column(table, "z").max())
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.06), borderaxespad=0.2, labelspacing=0.35)
    return figure
