"""Effective targets of the whole field: who is amplified, who is dampened, who is left alone."""

from madpo_theory.show import tables
from madpo_theory.show.figures import Figure

from ._style import BLACK, PAGE, column, line, named, new, pick, styled, unique

__all__ = ["FIGURE", "draw"]

FIGURE = Figure(
    title="Whom the field pushes",
    caption=r"""Left, where each loss sends a pair when the reward model is exact, at its default
    settings; right, the same as a gain $T(h)/h$. Level lines are temperatures: they push no pair
    further than another. Lines that fall push hard pairs, or dampen easy ones; one that rises
    pushes easy pairs. Losses of the same target share a line, with their number; those that are no
    function of the margin, or watch their batch, have none, and targets that are infinite at every
    margin are left out.""",
    alt=(
        "Most losses lie on the diagonal or on a straight line above it; MADPO starts at twice the "
        "margin and returns to the diagonal at tau; IPO, cDPO and hinge saturate."
    ),
    table=tables.field_targets,
)


@styled
def draw(table):
    """Columns: group, others, h, target, gain."""
    figure, (left, right) = new(PAGE, 4.6, 2)
    end = float(column(table, "h").max())
    for axes in (left, right):
        level = [0, end] if axes is left else [1, 1]
        axes.plot([0, end], level, color=BLACK, lw=0.8, linestyle=(0, (1, 2)))
    for name in unique(table, "group"):
        h, others, target, gain = pick(table, "h", "others", "target", "gain", group=name)
        more = f" + {int(others[0])}" if others[0] else ""
        left.plot(h, target, label=named(name) + more, **line(name))
        right.plot(h, gain, **line(name))
    left.set(ylim=(-1, 2 * end), ylabel="target $T(h)$ of $z$ (nats)")
    right.set(yscale="log", ylim=(0.03, 12), ylabel="gain $T(h)/h$")
    right.set_yticks([0.1, 0.5, 1, 2, 10], ["0.1", "0.5", "1", "2", "10"])
    for axes in (left, right):
        axes.set(xlim=(0, end), xlabel="true margin $h$ (nats)")
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    return figure
