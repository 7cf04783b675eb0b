"""Study (f): how far the optimum moves when other pairs are compared."""

from ._studies import curves
from ._style import PAGE, named, new, pick, point, styled, unique

__all__ = ["draw"]

SAMPLINGS = ("near pairs", "far pairs", "own policy")
FLOOR = 1e-6


@styled
def draw(table):
    """Above, each method under an exact reward model; below, against the error's size.

    Columns: model, method, sampling, x (noise), y (change of z), low, high.
    """
    figure, panels = new(PAGE, 6.4, 3, rows=3)
    names = unique(table, "method")
    for axes, sampling in zip(panels[0], SAMPLINGS, strict=True):
        for place, name in enumerate(names):
            where = dict(model="exact", sampling=sampling, method=name)
            y, low, high = (v.clip(FLOOR) for v in pick(table, "y", "low", "high", **where))
            axes.plot([*low, *high], [place, place], color=point(name)["color"], lw=2)
            axes.plot(y, [place], ls="", ms=5, **point(name))
        axes.set(xscale="log", xlim=(FLOOR / 2, 2))
        axes.set_yticks(range(len(names)), map(named, names), fontsize=8)
        axes.tick_params(labelleft=sampling == SAMPLINGS[0])
        axes.invert_yaxis()
        axes.set_title(f"exact model, {sampling}", fontsize=9.5)
        axes.set_xlabel("change of z (nats)", fontsize=9)
    shown = [name for name in names if name not in ("ipo", "cdpo")]
    for row, (kind, title) in enumerate(
        (("gaussian", "independent errors"), ("potential", "additive errors")), start=1
    ):
        for axes, sampling in zip(panels[row], SAMPLINGS, strict=True):
            curves(axes, table, shown, floor=FLOOR, model=kind, sampling=sampling)
            axes.set(xscale="log", yscale="log", ylim=(FLOOR / 2, 2))
            axes.set_xticks([0.25, 0.5, 1], ["1/4", "1/2", "1"])
            axes.minorticks_off()
            axes.set_title(f"{title}, {sampling}", fontsize=9.5)
            axes.set_xlabel("error (nats)", fontsize=9)
        panels[row, 0].set_ylabel("change of z (nats)")
    return figure
