"""Weights of right and wrong labels, by tier."""

import numpy as np

from madpo_theory.show.figures import Figure

from ._sentiment import TIERS
from ._style import BLUE, ORANGE, PAGE, new, pick, styled, unique

__all__ = ["FIGURE", "draw"]

FIGURE = Figure(
    title="What the weights do to right and wrong labels",
    caption=r"""MADPO's weights ($c_{\max}=4$) of the training pairs, by whether the label is that
    of the larger true reward. The weight works by suppressing labels that the reward model
    disputes; it is worth what the reward model knows.""",
    alt="Histograms of weights of pairs with right and with wrong labels, by tier.",
    table="sentiment.weights",
    source="results",
)

BINS = np.linspace(0.0, 1.45, 30)


@styled
def draw(table):
    """Columns: tier, right (label agrees with the true rewards), model_margin, weight."""
    tiers = [tier for tier in TIERS if tier in unique(table, "tier")]
    figure, panels = new(PAGE, 2.6, len(tiers), sharey=True, squeeze=False)
    for axes, tier in zip(panels[0], tiers, strict=True):
        right, weight = pick(table, "right", "weight", tier=tier)
        for wanted, name, color in ((True, "right label", BLUE), (False, "wrong label", ORANGE)):
            chosen = weight[right == wanted]
            if not len(chosen):
                continue
            shares = np.full(len(chosen), 1 / len(weight))
            axes.hist(chosen, BINS, weights=shares, histtype="stepfilled", alpha=0.35, color=color)
            axes.hist(
                chosen, BINS, weights=shares, histtype="step", color=color,
                label=f"{name}: {len(chosen) / len(weight):.0%}, mean {chosen.mean():.2f}",
            )  # fmt: skip
        axes.set_title(TIERS[tier])
        axes.set_xlabel("weight")
        axes.legend(fontsize=8, loc="upper left", handlelength=1.2)
    panels[0, 0].set_ylabel("share of pairs")
    low, high = panels[0, 0].get_ylim()
    panels[0, 0].set_ylim(low, 1.25 * high)
    return figure
