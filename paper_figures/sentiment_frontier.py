"""Reward against KL of every recorded run, a panel for each tier."""

import numpy as np

from .sentiment_parts import STYLES, TIERS, style_of
from .style import INK, PAGE, new, pick, styled, unique

__all__ = ["draw"]


@styled
def draw(table):
    """Columns: tier, seed, method, label, beta, reward, kl."""
    tiers = [tier for tier in TIERS if tier in unique(table, "tier")]
    figure, panels = new(PAGE, 3.6, len(tiers), sharey=True, squeeze=False)
    entries = {}
    for axes, tier in zip(panels[0], tiers, strict=True):
        names = ("seed", "method", "label", "reward", "kl")
        seed, method, label, reward, kl = pick(table, *names, tier=tier)
        curve = np.isin(method, ("sft", "dpo")) & (seed == seed.min())
        order = np.argsort(kl[curve])
        axes.plot(kl[curve][order], reward[curve][order], color=INK, lw=0.8, zorder=1)
        for name in STYLES:
            for first, rows in ((True, seed == seed.min()), (False, seed != seed.min())):
                at = rows & (method == name)
                if not at.any():
                    continue
                size = dict(ms=9 if name == "sft" else 6) if first else dict(ms=4, alpha=0.6)
                (drawn,) = axes.plot(
                    kl[at], reward[at], ls="", mec="white", mew=0.4, **style_of(name), **size
                )
                entries.setdefault(label[at][0], drawn)
        axes.set_title(TIERS[tier])
        axes.set_xlabel("KL to SFT (nats)")
    panels[0, 0].set_ylabel("mean true reward")
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
