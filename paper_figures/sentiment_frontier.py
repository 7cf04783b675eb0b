"""Reward against KL of every recorded run, a panel for each tier."""

import numpy as np

from madpo_theory.show.figures import Figure

from ._sentiment import TIERS
from ._style import INK, PAGE, named, new, pick, point, styled, unique

__all__ = ["FIGURE", "draw"]

FIGURE = Figure(
    title="Reward and KL by tier",
    caption=r"""Each recorded run a point; the line joins DPO at several $\beta$ (seed 0) and the
    fine-tuned model. A method is better only above that line; where DPO's true frontier bends, the
    line lies below it, which favours the rival.""",
    alt="Reward against KL for every run, a panel for each tier.",
    table="sentiment.frontier",
    source="results",
)

FIRST, OTHERS = dict(ms=6), dict(ms=4, alpha=0.6)  # how the points of a seed are drawn


@styled
def draw(table):
    """Columns: tier, seed, method, beta, reward, kl."""
    tiers = [tier for tier in TIERS if tier in unique(table, "tier")]
    figure, panels = new(PAGE, 3.6, len(tiers), sharey=True, squeeze=False)
    entries = {}
    for axes, tier in zip(panels[0], tiers, strict=True):
        names = ("seed", "method", "reward", "kl")
        seed, method, reward, kl = pick(table, *names, tier=tier)
        curve = np.isin(method, ("sft", "dpo")) & (seed == seed.min())
        order = np.argsort(kl[curve])
        axes.plot(kl[curve][order], reward[curve][order], color=INK, lw=0.8, zorder=1)
        for name in unique(table, "method"):
            for first, rows in ((True, seed == seed.min()), (False, seed != seed.min())):
                at = rows & (method == name)
                if not at.any():
                    continue
                size = FIRST if first else OTHERS
                (drawn,) = axes.plot(
                    kl[at], reward[at], ls="", mec="white", mew=0.4, **point(name), **size
                )
                entries.setdefault(named(name), drawn)
        axes.set_title(TIERS[tier])
        axes.set_xlabel("KL to SFT (nats)")
    panels[0, 0].set_ylabel("mean true reward")
    if len(unique(table, "seed")) > 1:
        first = min(unique(table, "seed"))
        for label, size in ((f"seed {first}", FIRST), ("other seeds", OTHERS)):
            (entries[label],) = axes.plot([], [], "o", color=INK, mec="white", mew=0.4, **size)
    figure.legend(
        entries.values(),
        entries.keys(),
        loc="outside lower center",
        ncols=5,
        fontsize=9,
        handlelength=1,
        columnspacing=1.2,
    )
    return figure
