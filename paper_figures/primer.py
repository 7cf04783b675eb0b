"""One pair, from its margin to its target: the picture of the primer."""

from madpo_theory.show import tables
from madpo_theory.show.figures import Figure

from ._style import BLACK, BLUE, INK, PAGE, RED, line, new, pick, styled

__all__ = ["FIGURE", "draw"]

FIGURE = Figure(
    title="One pair, from margin to target",
    caption=r"""A pair with a margin of 2 nats under the released schedule, $c_{\max}=2$. a: its
    margin gives a coefficient. b: the coefficient gives two weights, one if the label agrees with
    the reward model and a smaller one if it disputes it. c: both labels occur, in the proportion
    that Bradley-Terry says; the two weights move the minimum of the expected loss, from the margin
    itself under DPO to the coefficient times the margin.""",
    alt=(
        "Three panels: the coefficient at a margin of 2, the weights at plus and minus 2, and the "
        "expected loss of the pair, whose minimum moves from 2 to nearly 4."
    ),
    table=tables.primer,
)


@styled
def draw(table):
    """Three panels: coefficient, weights of the pair's two labels, its risk.

    Columns: panel, element, x, y; the pair's points stand beside the curves.
    """
    figure, (left, middle, right) = new(PAGE, 2.7, 3)

    def curve(axes, panel, element, **look):
        x, y = pick(table, "x", "y", panel=panel, element=element)
        axes.plot(x, y, **look)

    def point(axes, panel, element, color, words, offset, **options):
        (x,), (y,) = pick(table, "x", "y", panel=panel, element=element)
        axes.plot(x, y, "o", color=color, ms=6)
        axes.annotate(
            words.format(x=x, y=y), (x, y), offset, textcoords="offset points", color=color,
            **options,
        )  # fmt: skip

    curve(left, "coefficient", "curve", **line("madpo"))
    point(left, "coefficient", "pair", INK, "$c({x:g}) = {y:.2f}$", (-4, -20), ha="center")
    left.axhline(1, color=INK, lw=0.6, ls=(0, (2, 3)))
    left.set(xlabel="size of the margin $|h|$ (nats)", ylabel="coefficient $c$", ylim=(0, 2.2))
    left.set_title("a  Margin to coefficient")
    curve(middle, "weight", "curve", **line("madpo"))
    point(middle, "weight", "agreed", BLUE, "label agrees\n$w = {y:.2f}$", (9, 4), ha="left")
    point(middle, "weight", "disputed", RED, "label disputed\n$w = {y:.2f}$", (4, -22), ha="left")
    middle.set(xlabel="margin $h$ toward the label (nats)", ylabel="weight $w$", ylim=(-0.25, 1.5))
    middle.set_title("b  Coefficient to weights")
    curve(right, "risk", "madpo", **line("madpo"), label="MADPO")
    curve(right, "risk", "dpo", **line("dpo"), label="DPO")
    point(right, "risk", "madpo target", BLUE, "$z^* = {x:.2f}$", (4, 7), ha="center")
    point(right, "risk", "dpo target", BLACK, "$z^* = {x:.2f}$", (-2, 28), ha="left")
    right.set(xlabel=r"$z = \beta m$ (nats)", ylabel="expected loss (nats)", ylim=(0, None))
    right.legend(loc="upper right")
    right.set_title("c  Weights to target")
    return figure
