"""Effective targets of MADPO, DPO and IPO against the true margin."""

from madpo_theory.show import tables
from madpo_theory.show.figures import Figure

from ._style import PAGE, column, line, mark, named, new, pick, point, styled, unique

__all__ = ["FIGURE", "draw"]

FIGURE = Figure(
    title="Effective targets",
    caption=r"""Where each population loss sends $z=\beta m$ when the reward model is exact. Follow
    a MADPO curve to the right: it amplifies below $\tau$, but before $\tau$ it turns and falls
    (thick, shaded, ends labelled), so that an easier pair gets a smaller target; beyond $\tau$ it
    is DPO's diagonal up to a hair, not the dampening $c(|h^*|)h^*$. IPO's target is one for $m$; it
    is brought to this axis by its own $\beta$, $\beta m^* = \tanh(h^*/2)/2$, which never exceeds
    one half.""",
    alt=(
        "MADPO targets rise above the diagonal, fall back to it just before tau and then "
        "follow it; DPO is the diagonal; IPO stays below one half."
    ),
    table=tables.effective_target,
)


@styled
def draw(table):
    """Targets z* against h* with an exact reward model; falling stretches shaded and labelled.

    Columns: method, element (curve, fall: the two ends of a falling stretch), h, z.
    """
    figure, axes = new(0.72 * PAGE, 3.6)
    elements = column(table, "element")
    for method in unique(table, "method"):
        h, z = pick(table, "h", "z", method=method, element="curve")
        axes.plot(h, z, label=named(method), zorder=3, **line(method))
        axes.set_xlim(h[0], h[-1])
    for method in unique(table, "method"):
        if not ((column(table, "method") == method) & (elements == "fall")).any():
            continue
        h, z = pick(table, "h", "z", method=method, element="fall")
        color = point(method)["color"]
        x, y = pick(table, "h", "z", method=method, element="curve")
        inside = (x >= h[0]) & (x <= h[-1])
        axes.fill_between(x[inside], y[inside], color=color, alpha=0.18, lw=0, zorder=1)
        axes.plot(x[inside], y[inside], color=color, lw=3.2, zorder=4)
        axes.plot(h, z, **mark(method, zorder=6))
        axes.annotate(
            f"falls from ({h[0]:.2f}, {z[0]:.2f})", (h[0], z[0]), (-24, 7),
            textcoords="offset points", ha="center", va="bottom", color=color,
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
