"""Study (a): regret and target shift against the level of each kind of reward-model error."""

import numpy as np

from .style import BLACK, BLUE, GREEN, ORANGE, PAGE, PINK, RED, SKY, column, new, styled, unique

__all__ = ["band", "draw"]

STYLES = {
    "madpo": ("MADPO, released", BLUE, "o"),
    "madpo_class": ("MADPO, class defaults", SKY, "v"),
    "bounded_ratio": ("bounded ratio", RED, "s"),
    "target_shaped": ("target shaped", GREEN, "^"),
    "efficient": ("efficient", PINK, "D"),
    "distillation": ("distillation", ORANGE, "P"),
    "dpo": ("DPO", BLACK, "x"),
}
TITLES = {
    "gaussian": "independent, Gaussian",
    "student": "independent, Student t",
    "heteroscedastic": "growing with the margin",
    "potential": "additive, Gaussian",
    "length": "a liking for length",
    "scaled": "overconfident",
    "flipped": "signs flipped",
    "bradley_terry_table": "fitted on labels",
}


def band(levels, values):
    """Mean over worlds at each level, and 95 % limits of the mean; NaN worlds are left out."""
    at = np.unique(levels)
    groups = [values[(levels == x) & np.isfinite(values)] for x in at]
    mean = np.array([g.mean() if len(g) else np.nan for g in groups])
    half = np.array([1.96 * g.std(ddof=1) / np.sqrt(len(g)) if len(g) > 1 else 0 for g in groups])
    return at, mean, mean - half, mean + half


@styled
def draw(table):
    """A panel for each kind of error: regret less the exact reward model's, for each method.

    Columns: error, method, world, noise, regret, target_shift, target_shift_bound. The last panel
    row sets MADPO's target shift beside its bound L x error.
    """
    kinds = unique(table, "error")
    figure, panels = new(PAGE, 2.0 * (-(-len(kinds) // 4) + 1), 4, rows=-(-len(kinds) // 4) + 1)
    for axes, kind in zip(panels.flat, kinds, strict=False):
        here = column(table, "error") == kind
        for method, (label, color, marker) in STYLES.items():
            rows = here & (column(table, "method") == method)
            levels, mean, low, high = band(
                column(table, "noise")[rows], column(table, "regret")[rows]
            )
            axes.fill_between(levels, low, high, color=color, alpha=0.2, lw=0)
            axes.plot(levels, mean, color=color, marker=marker, ms=3.5, lw=1.1, label=label)
        axes.set_title(TITLES.get(kind, kind), fontsize=9.5)
        unit = "share of pairs" if kind == "flipped" else "error (nats)"
        axes.set_xlabel(unit, fontsize=9)
        axes.set_ylim(bottom=0)
    for axes in panels[:-1, 0]:
        axes.set_ylabel("regret (nats)")
    _shifts(panels[-1], table)
    panels[-1, -1].axis("off")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    panels[-1, -1].legend(handles, labels, loc="center left", fontsize=9)
    return figure


def _shifts(panels, table):
    for axes, kind in zip(panels[:-1], ("gaussian", "student", "potential"), strict=True):
        rows = (column(table, "error") == kind) & (column(table, "method") == "madpo")
        levels = column(table, "noise")[rows]
        for name, label, dash in (
            ("target_shift", "measured", "-"),
            ("target_shift_bound", "bound, R1", (0, (4, 2))),
            ("influence_limit", "limit, R2", (0, (1, 1.4))),
        ):
            at, mean, low, high = band(levels, column(table, name)[rows])
            axes.fill_between(at, low, high, color=BLUE, alpha=0.2, lw=0)
            axes.plot(at, mean, color=BLUE, ls=dash, lw=1.2, label=label)
        axes.set_title(TITLES[kind], fontsize=9.5)
        axes.set_ylim(0, 6.5)
        axes.set_xlabel("error (nats)", fontsize=9)
    panels[0].set_ylabel("MADPO's target shift (nats)")
    panels[0].legend(fontsize=8.5, loc="upper left", borderaxespad=0, labelspacing=0.2)
