"""Study (h): the labels whose chosen response loses probability, by method."""

import numpy as np

from ._style import BLACK, PAGE, SKY, named, new, pick, styled, unique

__all__ = ["draw"]


@styled
def draw(table):
    """A panel for each reference policy, a line for each method, by their share at the optimum.

    Columns: policy, method, optimum, both, step: shares of labels.
    """
    policies, names = unique(table, "policy"), unique(table, "method")
    shares = dict(zip(*pick(table, "method", "optimum", policy=policies[0]), strict=True))
    order = sorted(names, key=lambda name: (shares.get(name, np.inf), name))
    figure, panels = new(PAGE, 1.2 + 0.17 * len(order), len(policies), sharey=True)
    for axes, policy in zip(np.atleast_1d(panels), policies, strict=True):
        columns = pick(table, "method", "optimum", "both", "step", policy=policy)
        for name, optimum, both, step in zip(*columns, strict=True):
            place = order.index(name)
            axes.plot([both, optimum], [place, place], color=SKY, lw=2, zorder=1)
            axes.plot(optimum, place, "o", ms=5, color=BLACK)
            axes.plot(both, place, "|", ms=8, mew=1.5, color=BLACK)
            axes.plot(step, place, "o", ms=5, mfc="white", mec=BLACK)
        axes.set(xlim=(0, 1), xlabel="share of labels", ylim=(-0.7, len(order) - 0.3))
        axes.set_title(f"reference: {policy}", fontsize=9.5)
    first = np.atleast_1d(panels)[0]
    first.set_yticks(range(len(order)), map(named, order), fontsize=7)
    for style, label in (
        (dict(marker="o", color=BLACK), "chosen falls, optimum"),
        (dict(marker="|", mew=1.5, color=BLACK), "both fall, optimum"),
        (dict(marker="o", mfc="white", mec=BLACK), "chosen falls, first step"),
    ):
        first.plot([], [], ls="", ms=5, label=label, **style)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return figure
