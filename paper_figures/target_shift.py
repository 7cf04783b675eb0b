"""The target shift delta(h), its certified bound D and its certified Lipschitz constant L."""

import math

import numpy as np

from madpo_theory.show import tables
from madpo_theory.show.figures import Figure

from ._style import PAGE, line, named, new, pick, point, styled, unique

__all__ = ["FIGURE", "draw"]

FIGURE = Figure(
    title="Target shift and its certified bounds",
    caption=r"""How far the schedule moves a target, $\delta(h)=\log w(h)-\log w(-h)$. No reward
    model, however wrong, moves it beyond the dotted lines at $\pm D$; no error in the reward
    model's margin is magnified by more than $L$, the slope of the dashed tangent at the steepest
    point. Both numbers are upper bounds certified in ball arithmetic over the whole real line,
    tails included.""",
    alt=(
        "The target shift is odd, peaks inside the dotted bound lines, and is steepest just "
        "before tau where it returns to zero."
    ),
    table=tables.target_shift,
)


@styled
def draw(table):
    """delta against h, a panel a schedule, with the lines +-D and the steepest tangent.

    Columns: schedule, element (curve, influence, tangent), h, shift, bound (the certified upper
    bound of the element, nan for the curve). Elements other than curve are drawn where present.
    """
    schedules = unique(table, "schedule")
    figure, panels = new(PAGE, 2.9, len(schedules))
    panels = np.atleast_1d(panels)
    for axes, schedule, letter in zip(panels, schedules, "abcdef", strict=False):
        h, shift = pick(table, "h", "shift", schedule=schedule, element="curve")
        axes.axhline(0, color="#999999", lw=0.6, zorder=0)
        axes.plot(h, shift, **line(schedule))
        axes.set_xlim(h[0], h[-1])
        present = pick(table, "element", schedule=schedule)[0].tolist()
        color = point(schedule)["color"]
        if "influence" in present:
            _, level, bound = pick(
                table, "h", "shift", "bound", schedule=schedule, element="influence"
            )
            for y in level:
                axes.axhline(y, color="black", lw=0.9, ls=(0, (1, 1.5)))
            axes.text(h[0], level.max(), f" $D\\leq{_up(bound[0])}$", va="bottom", ha="left")
            axes.set_ylim(1.28 * level.min(), 1.28 * level.max())
        if "tangent" in present:
            x, y, bound = pick(table, "h", "shift", "bound", schedule=schedule, element="tangent")
            axes.plot(x, y, color="black", lw=1, ls=(0, (4, 2)))
            axes.annotate(
                f"$L\\leq{_up(bound[0])}$", (x[0], y[0]), (9, 0), textcoords="offset points",
                va="center",
            )  # fmt: skip
        axes.set_title(f"{letter}  {named(schedule)}", color=color)
        axes.set_xlabel("reward-model margin $h$ (nats)")
    panels[0].set_ylabel(r"target shift $\delta(h)$ (nats)")
    return figure


def _up(bound):
    """An upper bound at four decimals: still an upper bound."""
    return f"{math.ceil(bound * 1e4) / 1e4:.4f}"
