"""Reward against KL of every run of the second study, a panel for each tier."""

import math

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from madpo_theory.show.figures import Figure

from ._sentiment import TIERS
from ._style import INK, PAGE, named, new, pick, point, styled, unique

__all__ = ["FIGURE", "draw"]

FIGURE = Figure(
    title="The second study: reward and KL by tier",
    caption=r"""Each recorded run a point; the lines are DPO at six $\beta$, one for each seed. A
    method is better only above the line of its own seed.""",
    alt="Reward against KL for every run of the second study, a panel for each tier.",
    table="second.frontier",
    source="second",
)

ENTRIES = 5  # of a line of the legend


@styled
def draw(table):
    """Columns: tier, seed, arm, method, reward, kl, is_dpo."""
    tiers = [tier for tier in TIERS if tier in unique(table, "tier")]
    height = 2.25 + 0.17 * math.ceil(len(unique(table, "method")) / ENTRIES)
    figure, panels = new(PAGE, height, len(tiers), sharex=True, sharey=True, squeeze=False)
    entries = {}
    for axes, tier in zip(panels[0], tiers, strict=True):
        for seed in unique(table, "seed"):
            curve = pick(table, "kl", "reward", tier=tier, seed=seed, is_dpo=True, missing=None)
            if curve is not None:
                order = np.argsort(curve[0])
                axes.plot(*(values[order] for values in curve), color=INK, lw=0.8, zorder=1)
        for method in unique(table, "method"):
            found = pick(table, "kl", "reward", tier=tier, method=method, missing=None)
            if found is not None:
                style = dict(ls="", mec="white", mew=0.4, ms=4.5)
                (drawn,) = axes.plot(*found, **(style | point(method)))
                entries.setdefault(named(method), drawn)
        axes.set(xscale="log", title=TIERS[tier], xlabel="KL to SFT (nats)")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    panels[0, 0].set_ylabel("mean true reward")
    figure.legend(
        entries.values(), entries.keys(), loc="outside upper center", ncols=ENTRIES, fontsize=8,
        handlelength=1, columnspacing=1,
    )  # fmt: skip
    return figure
