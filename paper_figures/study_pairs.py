"""Study (e): who is amplified and who is dampened, by the size of the true margin."""

import numpy as np

from .study_parts import METHODS, legend, where
from .style import PAGE, column, new, styled

__all__ = ["draw"]

SHOWN = (
    "dpo", "madpo", "madpo_4", "madpo_class", "bounded_ratio", "target_shaped", "efficient",
    "distillation",
)  # fmt: skip
TITLES = {
    ("alone", "exact"): "pairs alone, exact model",
    ("together", "exact"): "six responses, exact model",
    ("alone", "independent, 1 nat"): "pairs alone, error 1 nat",
    ("together", "independent, 1 nat"): "six responses, error 1 nat",
}


@styled
def draw(table):
    """z over true margin in bins of it, and the first gradient step over DPO's (T6).

    Columns: design, model, method, world, low, share, fitted, true_margin, first_step.
    """
    figure, panels = new(PAGE, 6.6, 2, rows=3)
    for axes, ((design, model), title) in zip(panels[:2].T.flat, _order(), strict=True):
        rows = where(table, design=design, model=model)
        for method in SHOWN:
            own = where(rows, method=method)
            _ratio(axes, own, own, "fitted", "true_margin", method)
        axes.axhline(1, color="#999999", lw=0.7, zorder=0)
        axes.set_title(title, fontsize=9.5)
        axes.set_ylabel("z / true margin")
        axes.set_xlabel("true margin (nats)")
    rows = where(table, design="alone", model="exact")
    base = where(rows, method="dpo")
    for method in SHOWN:
        if method != "efficient":  # its weights have another scale, which a first step shows
            _ratio(
                panels[2, 0], where(rows, method=method), base, "first_step", "first_step", method
            )
    panels[2, 0].set_title("first gradient step, pairs alone, exact model", fontsize=9.5)
    panels[2, 0].set_ylabel("over DPO's")
    panels[2, 0].set_xlabel("true margin (nats)")
    legend(panels[2, 1], panels[0, 0])
    return figure


def _order():
    keys = [(d, m) for d in ("alone", "together") for m in ("exact", "independent, 1 nat")]
    return [(key, TITLES[key]) for key in keys]


def _ratio(axes, rows, others, above, below, method):
    """Ratio of sums over worlds and pairs, with the delta method's 95 % band."""
    label, color, marker = METHODS[method]
    x, mean, half = [], [], []
    for low in np.unique(column(rows, "low")):
        a, b = ({w: i for i, w in enumerate(column(r, "world")) if r["low"][i] == low}
                for r in (rows, others))  # fmt: skip
        worlds = [w for w in a if w in b and rows["share"][a[w]] > 0]
        first, second = [a[w] for w in worlds], [b[w] for w in worlds]
        up = rows["share"][first] * column(rows, above)[first]
        down = others["share"][second] * column(others, below)[second]
        kept = np.isfinite(up) & np.isfinite(down)
        if kept.sum() < 2:
            continue
        up, down, share = up[kept], down[kept], rows["share"][first][kept]
        ratio = up.sum() / down.sum()
        spread = np.std(up - ratio * down, ddof=1) / np.sqrt(kept.sum()) / down.mean()
        x.append((share * column(rows, "true_margin")[first][kept]).sum() / share.sum())
        mean.append(ratio)
        half.append(1.96 * spread)
    x, mean, half = map(np.array, (x, mean, half))
    axes.fill_between(x, mean - half, mean + half, color=color, alpha=0.2, lw=0)
    axes.plot(x, mean, color=color, marker=marker, ms=4, lw=1.1, label=label)
