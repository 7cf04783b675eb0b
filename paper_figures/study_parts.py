"""What the figures of the studies share: a style for each method, bands over worlds, curves."""

import numpy as np

from .style import BLACK, BLUE, GREEN, INK, ORANGE, PINK, RED, SKY, column

__all__ = ["METHODS", "band", "curves", "legend", "where"]

GREY, INDIGO = "#888888", "#332288"
METHODS = {
    "dpo": ("DPO", BLACK, "x"),
    "madpo": ("MADPO, released", BLUE, "o"),
    "madpo_4": (r"MADPO, $c_{\mathrm{max}}=4$", INDIGO, "h"),
    "madpo_class": ("MADPO, class defaults", SKY, "v"),
    "madpo_flat": (r"MADPO, $c=2$ throughout", SKY, "*"),
    "bounded_ratio": ("bounded ratio", RED, "s"),
    "target_shaped": ("target shaped", GREEN, "^"),
    "efficient": ("efficient", PINK, "D"),
    "distillation": ("distillation", ORANGE, "P"),
    "ipo": ("IPO", GREY, "1"),
    "beta_dpo": ("β-DPO, its authors'", GREY, "2"),
    "beta_dpo_madpo": ("β-DPO, MADPO's author's", GREY, "3"),
    "cdpo": ("cDPO", GREY, "4"),
    "rdpo": ("rDPO", INK, "+"),
}


def where(table, **wanted):
    """The rows of a table that match every ``column=value``, as a dict of arrays."""
    keep = np.ones(len(column(table, "method")), dtype=bool)
    for name, value in wanted.items():
        keep &= column(table, name) == value
    return {name: column(table, name)[keep] for name in table}


def band(levels, values):
    """Mean over worlds at each level, and 95 % limits of the mean; NaN worlds are left out."""
    at = np.unique(levels)
    groups = [values[(levels == x) & np.isfinite(values)] for x in at]
    mean = np.array([g.mean() if len(g) else np.nan for g in groups])
    half = np.array([1.96 * g.std(ddof=1) / np.sqrt(len(g)) if len(g) > 1 else 0 for g in groups])
    return at, mean, mean - half, mean + half


def curves(axes, table, x, y, methods, **options):
    """A curve with its band for each method; x and y are columns."""
    for method in methods:
        rows = where(table, method=method)
        if not len(rows["method"]):
            continue
        label, color, marker = METHODS[method]
        at, mean, low, high = band(column(rows, x), column(rows, y))
        axes.fill_between(at, low, high, color=color, alpha=0.2, lw=0)
        style = dict(color=color, marker=marker, ms=4, lw=1.1) | options
        axes.plot(at, mean, label=label, **style)


def legend(axes, source):
    """The legend of other axes, alone in its place."""
    axes.axis("off")
    axes.legend(*source.get_legend_handles_labels(), loc="center left", fontsize=9)
