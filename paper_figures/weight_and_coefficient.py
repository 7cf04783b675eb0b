"""The weight w(h) and the coefficient c(|h|) of MADPO's schedules."""

import math

from madpo_theory.show import tables
from madpo_theory.show.figures import Figure

from ._style import INK, PAGE, SHADE, line, mark, named, new, pick, styled, unique

__all__ = ["FIGURE", "draw"]

FIGURE = Figure(
    title="Weight and coefficient",
    caption=r"""Left: the weight of a pair's loss against the reward model's margin $h$ toward the
    observed label. Look at how little the curves rise above 1 and how far they fall below it: a
    schedule acts by suppressing labels that the reward model disputes, $-\tau < h < 0$ (shaded for
    the released $\tau$), and gives full weight again to the most strongly disputed ones. Hollow
    markers: the kink at $h=-\tau$. Right: the temperature coefficient against the size of the
    margin; it crosses 1 at $\tau$ (hollow markers).""",
    alt=(
        "Weights dip towards zero between minus tau and zero and stay near one elsewhere; "
        "coefficients fall from below c max through one at tau."
    ),
    table=tables.weight_and_coefficient,
)


@styled
def draw(table):
    """Two panels: w against h, c against |h|; hollow markers at the kink and at c = 1.

    Columns: panel (weight, coefficient), schedule, element (curve, kink, crossing), x, y.
    """
    figure, (left, right) = new(PAGE, 3.15, 2, width_ratios=[1.35, 1])
    for axes, panel, place in ((left, "weight", "kink"), (right, "coefficient", "crossing")):
        axes.axhline(1, color=INK, lw=0.6)
        for schedule in unique(table, "schedule"):
            x, y = pick(table, "x", "y", panel=panel, schedule=schedule, element="curve")
            axes.plot(x, y, label=named(schedule).removeprefix("MADPO, "), **line(schedule))
            axes.set_xlim(x[0], x[-1])
        for schedule in unique(table, "schedule"):
            x, y = pick(table, "x", "y", panel=panel, schedule=schedule, element=place)
            axes.plot(x, y, **mark(schedule, ms=5.5, mew=1.2, zorder=5))
    name = unique(table, "schedule")[0]
    (tau,) = pick(table, "x", panel="coefficient", schedule=name, element="crossing")[0]
    _regimes(left, (-tau, 0, tau), 1.79)
    left.axvspan(-tau, 0, color=SHADE, lw=0, zorder=0)
    low, high = left.get_xlim()
    for start, end, text in (
        (low, -tau, "strongly\ndisputed:\n$w=1$"),
        (-tau, 0, "disputed:\nsuppressed"),
        (0, tau, "agreed:\nraised a little"),
        (tau, high, "easy:\n$w\\approx 1$"),
    ):
        if end - start > 0.18 * (high - low):  # narrower, its words would lie on its neighbours'
            middle = (start + end) / 2
            left.text(middle, 1.75, text, ha="center", va="top", fontsize=9.5, linespacing=1.05)
    left.set(xlabel="reward-model margin $h$ (nats)", ylabel="weight $w(h)$", ylim=(0, 1.8))
    right.set(
        xlabel="size of the margin $|h|$ (nats)", ylabel="coefficient $c(|h|)$", ylim=(0, 4.1)
    )
    _regimes(right, (tau,), 1.75)
    value = r"\log 999" if math.isclose(tau, math.log(999)) else f"{tau:.3g}"
    right.text(tau + 0.25, 1.42, rf"$\tau={value}$", fontsize=9.5)
    right.legend(loc="upper right", borderaxespad=0, labelspacing=0.3)
    left.set_title("a  Weight of a pair's loss")
    right.set_title("b  Temperature coefficient")
    return figure


def _regimes(axes, places, top):
    axes.vlines(places, 0, top, color=INK, lw=0.5, linestyles=(0, (2, 3)), zorder=1)
