"""Mean reward by tier and method, beside the published numbers."""

import math

from madpo_theory.show.figures import Figure

from ._sentiment import TIERS, interval, published
from ._style import PAGE, column, named, new, pick, styled, unique

__all__ = ["FIGURE", "draw"]

FIGURE = Figure(
    title="Performance by tier",
    caption=r"""Mean true reward of each method over the seeds recorded, with 95 % intervals over
    prompts and seeds; hollow markers are the published means, whose policy, judge and data are
    larger. All at $\beta=0.1$ but the second, DPO at $\beta/4$. Reward alone ranks temperatures as
    much as methods: see the frontier.""",
    alt="Mean reward by tier and method with intervals, and the published numbers.",
    table="sentiment.tiers",
    source="results",
)


@styled
def draw(table):
    """Columns: tier, method, reward, lo, hi, runs, published (NaN where there is none)."""
    figure, axes = new(0.85 * PAGE, 3.2)
    methods = unique(table, "method")
    names = ("reward", "lo", "hi", "published")
    tiers = [tier for tier in TIERS if tier in unique(table, "tier")]
    for place, tier in enumerate(tiers):
        for index, method in enumerate(methods):
            x = place + 0.15 * (index - (len(methods) - 1) / 2)
            found = pick(table, *names, tier=tier, method=method, missing=None)
            if found is None:  # not recorded yet
                continue
            reward, low, high, known = (values[0] for values in found)
            interval(axes, x, reward, low, high, method, label=named(method))
            if not math.isnan(known):
                published(axes, x + 0.05, known, method)
    axes.set_xticks(range(len(tiers)), [TIERS[tier] for tier in tiers])
    fewest, most = (f(column(table, "runs")) for f in (min, max))
    seeds = f"{most}" if fewest == most else f"{fewest} to {most}"
    axes.set(ylabel=f"mean true reward (seeds: {seeds})")
    handles, labels = axes.get_legend_handles_labels()
    entries = dict(zip(labels, handles, strict=True))
    (hollow,) = axes.plot([], [], marker="o", mfc="none", mec="0.3", ls="")
    axes.legend(
        [*entries.values(), hollow], [*entries, "published"], ncols=3, fontsize=9,
        loc="lower center", bbox_to_anchor=(0.5, 1.0),
    )  # fmt: skip
    return figure
