"""Mean reward by tier and method, beside the published numbers."""

import math

from .sentiment_parts import TIERS, interval, published
from .style import PAGE, new, pick, styled, unique

__all__ = ["draw"]


@styled
def draw(table):
    """Columns: tier, method, label, reward, lo, hi, runs, published (NaN where there is none)."""
    figure, axes = new(0.85 * PAGE, 3.2)
    methods = unique(table, "method")
    names = ("reward", "lo", "hi", "published", "label")
    tiers = [tier for tier in TIERS if tier in unique(table, "tier")]
    for place, tier in enumerate(tiers):
        for index, method in enumerate(methods):
            x = place + 0.15 * (index - (len(methods) - 1) / 2)
            try:
                reward, low, high, known, label = (v[0] for v in pick(table, *names, tier=tier,
                                                              method=method))  # fmt: skip
            except ValueError:  # not recorded yet
                continue
            interval(axes, x, reward, low, high, method, label=label)
            if not math.isnan(known):
                published(axes, x + 0.05, known, method)
    axes.set_xticks(range(len(tiers)), [TIERS[tier] for tier in tiers])
    axes.set(ylabel="mean true reward")
    handles, labels = axes.get_legend_handles_labels()
    entries = dict(zip(labels, handles, strict=True))
    (hollow,) = axes.plot([], [], marker="o", mfc="none", mec="0.3", ls="")
    axes.legend(
        [*entries.values(), hollow], [*entries, "published"], ncols=3, fontsize=9,
        loc="lower center", bbox_to_anchor=(0.5, 1.0),
    )  # fmt: skip
    return figure
