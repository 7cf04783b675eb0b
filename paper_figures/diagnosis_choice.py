"""ESS and D of a diagnosis against c_max."""

from ._style import INK, PAGE, column, line, new, pick, point, styled, unique

__all__ = ["draw"]

LOOKS = {"asked": "published", "recommended": "recommended"}


@styled
def draw(table):
    """ESS and D against c_max, with tau as asked and with targets in order.

    Columns: panel (ess, D), element (curve, mark, wanted), name (asked, recommended), x, y.
    """
    figure, panels = new(PAGE, 3.1, 2)
    titles = {"ess": "a  Effective share of the pairs", "D": "b  Influence of a wrong reward model"}
    names = {"asked": r"$\lambda$, $\tau$ as asked", "recommended": "targets in order"}
    for axes, panel in zip(panels, titles, strict=True):
        here = column(table, "panel") == panel
        for name in unique(table, "name"):
            if not (here & (column(table, "name") == name)).any():
                continue
            kept = {"panel": panel, "name": name}
            if name == "wanted":
                y = pick(table, "y", element="wanted", **kept)[0][0]
                axes.axhline(y, color=INK, lw=0.8, ls=(0, (2, 2)), label="wanted")
                continue
            x, y = pick(table, "x", "y", element="curve", **kept)
            axes.plot(x, y, label=names[name], **line(LOOKS[name]))
            if (
                here & (column(table, "name") == name) & (column(table, "element") == "mark")
            ).any():
                x, y = pick(table, "x", "y", element="mark", **kept)
                axes.plot(x, y, ls="", ms=7, **point(LOOKS[name]))
        axes.set_xlabel(r"$c_{\mathrm{max}}$")
        axes.set_title(titles[panel])
        axes.set_ylim(0, None)
    panels[0].set_ylim(0, 1.02)
    panels[0].set_ylabel("ESS / pairs")
    panels[1].set_ylabel("D (nats)")
    panels[0].legend(loc="lower left", labelspacing=0.3)
    return figure
