"""Either half of the published weight alone, and both."""

import math

from madpo_theory.show.figures import Figure

from ._sentiment import interval, published
from ._style import COLUMN, PAGE, named, new, pick, styled, unique

__all__ = ["FIGURE", "draw"]

FIGURE = Figure(
    title="Ablation",
    caption=r"""DPO, either half of the published weight alone, and both, on the high tier at one
    seed. Hollow: published, at $\tau=7$ for both values of $c_{\max}$.""",
    alt="Reward of Reg-Only, Amp-Only and the full weight at two values of c max.",
    table="sentiment.ablation",
    source="results",
)


@styled
def draw(table):
    """Columns: c_max, tau, method, reward, lo, hi, runs, published."""
    values = unique(table, "c_max")
    figure, panels = new(
        max(COLUMN, 0.8 * PAGE * len(values) / 2), 2.7, len(values), sharey=True, squeeze=False
    )
    for axes, c_max in zip(panels[0], values, strict=True):
        names = ("method", "tau", "reward", "lo", "hi", "published")
        method, tau, *numbers = pick(table, *names, c_max=c_max)
        for x, (name, *row) in enumerate(zip(method, *numbers, strict=True)):
            reward, low, high, known = row
            interval(axes, x - 0.08, reward, low, high, name)
            if not math.isnan(known):
                published(axes, x + 0.12, known, name)
        axes.set_xticks(range(len(method)), map(named, method))
        axes.set_xlim(-0.5, len(method) - 0.5)
        axes.set_title(rf"$c_{{\mathrm{{max}}}}={c_max:g}$, $\tau={tau[0]:.3g}$ (published: 7)")
    panels[0, 0].set_ylabel("mean true reward")
    return figure
