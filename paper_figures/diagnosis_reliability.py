"""Agreement of a diagnosis' labels against the reward model's confidence."""

from ._style import BLUE, INK, PAGE, column, line, new, pick, styled

__all__ = ["draw"]


@styled
def draw(table):
    """Agreement of the labels against the reward model's confidence, with 95 % intervals.

    Columns: element (bin, fit), x, y, low, high, share; the fit is the curve of the
    fitted scale and flip rate.
    """
    figure, axes = new(0.56 * PAGE, 3.8)
    axes.plot([0.5, 1], [0.5, 1], color=INK, lw=0.8, ls=(0, (2, 2)), label="calibrated")
    if (column(table, "element") == "fit").any():
        x, y = pick(table, "x", "y", element="fit")
        axes.plot(x, y, label="scale and flips fitted", **line("recommended"))
    x, y, low, high, share = pick(table, "x", "y", "low", "high", "share", element="bin")
    axes.errorbar(x, y, [y - low, high - y], fmt="none", ecolor=BLUE, elinewidth=1, capsize=2)
    axes.scatter(x, y, 15 + 300 * share, color=BLUE, alpha=0.75, zorder=3, label="labels")
    axes.set(
        xlabel=r"confidence $\sigma(|h|)$ of the reward model", ylabel="labels that agree",
        xlim=(0.49, 1.01), ylim=(min(0.49, float(low.min()) - 0.02), 1.01),
    )  # fmt: skip
    axes.legend(loc="upper left", labelspacing=0.4)
    return figure
