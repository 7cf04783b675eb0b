"""Weights and effective targets of the corrected weights beside the published one."""

from madpo_theory.show import tables
from madpo_theory.show.figures import Figure

from ._style import PAGE, line, named, new, pick, styled, unique

__all__ = ["FIGURE", "draw"]

FIGURE = Figure(
    title="Corrected weights",
    caption=r"""Left: the published weight at the released schedule and three others, on a
    logarithmic axis. Right: the targets that each gives an exact reward model. The bounded ratio
    (N1) has $c(|h^*|)h^*$ on both sides of $\tau$, and inherits its fall; the target-shaped weight
    (N2) was built from a concave target, amplified by $c_{\max}$ at 0, that never falls; the
    efficient weight (N4) has the published targets at the least variance, by weighting up what the
    published weight only fails to weight down.""",
    alt=(
        "Weights and targets of the published, bounded-ratio, target-shaped and efficient weights."
    ),
    table=tables.corrected_weights,
)


@styled
def draw(table):
    """Left: w against h, logarithmic. Right: z* against h* with an exact reward model.

    Columns: panel (weight, target), method, h, y.
    """
    figure, panels = new(PAGE, 3.3, 2)
    for axes, panel in zip(panels, ("weight", "target"), strict=True):
        for method in unique(table, "method"):
            h, y = pick(table, "h", "y", panel=panel, method=method)
            axes.plot(h, y, label=named(method).capitalize(), **line(method))
        axes.set_xlim(h[0], h[-1])
    panels[0].set_yscale("log")
    panels[0].set_ylim(1e-3, 100)
    panels[0].set(xlabel="reward-model margin $h$ toward the label (nats)", ylabel="weight $w(h)$")
    h = panels[1].get_xlim()
    panels[1].plot(h, h, color="#777777", lw=0.8, zorder=0)
    panels[1].annotate("DPO", (4, 4), (4, -8), textcoords="offset points", color="#777777")
    panels[1].set_ylim(0, 14)
    panels[1].set(xlabel="true margin $h^{*}$ (nats)", ylabel="effective target $z^{*}$ (nats)")
    panels[0].legend(loc="upper left", borderaxespad=0.2, labelspacing=0.3)
    for axes, title in zip(panels, ("a  Weight", "b  Effective target"), strict=True):
        axes.set_title(title)
    return figure
