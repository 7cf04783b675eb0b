"""The weight w(h) and the coefficient c(|h|) of MADPO's schedules."""

from .style import INK, PAGE, SERIES, SHADE, line, new, pick, print_name, styled, unique

__all__ = ["draw"]


@styled
def draw(table):
    """Two panels: w against h, c against |h|; hollow markers at the kink and at c = 1.

    Columns: panel (weight, coefficient), schedule, element (curve, kink, crossing), x, y.
    """
    figure, (left, right) = new(PAGE, 3.15, 2, width_ratios=[1.35, 1])
    for axes, panel, mark in ((left, "weight", "kink"), (right, "coefficient", "crossing")):
        axes.axhline(1, color=INK, lw=0.6)
        for schedule in unique(table, "schedule"):
            x, y = pick(table, "x", "y", panel=panel, schedule=schedule, element="curve")
            axes.plot(x, y, label=print_name(schedule), **line(schedule))
            axes.set_xlim(x[0], x[-1])
        for schedule in unique(table, "schedule"):
            x, y = pick(table, "x", "y", panel=panel, schedule=schedule, element=mark)
            style = SERIES[schedule]
            axes.plot(
                x, y, ls="", marker=style["marker"], mec=style["color"], mfc="white", ms=5.5,
                mew=1.2, zorder=5,
            )  # fmt: skip
    name = unique(table, "schedule")[0]
    (tau,) = pick(table, "x", panel="coefficient", schedule=name, element="crossing")[0]
    _regimes(left, (-tau, 0, tau), 1.79)
    left.axvspan(-tau, 0, color=SHADE, lw=0, zorder=0)
    low, high = left.get_xlim()
    for middle, text in (
        ((low - tau) / 2, "strongly\ndisputed:\n$w=1$"),
        (-tau / 2, "disputed:\nsuppressed"),
        (tau / 2, "agreed:\nraised a little"),
        ((tau + high) / 2, "easy:\n$w\\approx 1$"),
    ):
        left.text(middle, 1.75, text, ha="center", va="top", fontsize=9.5, linespacing=1.05)
    left.set(xlabel="reward-model margin $h$ (nats)", ylabel="weight $w(h)$", ylim=(0, 1.8))
    right.set(
        xlabel="size of the margin $|h|$ (nats)", ylabel="coefficient $c(|h|)$", ylim=(0, 4.1)
    )
    _regimes(right, (tau,), 1.75)
    right.text(tau + 0.25, 1.42, r"$\tau=\log 999$", fontsize=9.5)
    right.legend(loc="upper right", borderaxespad=0, labelspacing=0.3)
    left.set_title("a  Weight of a pair's loss")
    right.set_title("b  Temperature coefficient")
    return figure


def _regimes(axes, places, top):
    axes.vlines(places, 0, top, color=INK, lw=0.5, linestyles=(0, (2, 3)), zorder=1)
