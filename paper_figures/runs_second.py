"""The second sentiment study: reward against KL by tier, and each arm's reward at equal KL."""

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from ._sentiment import TIERS
from ._style import INK, PAGE, SHADE, named, new, pick, point, styled, symbols, unique

__all__ = ["draw"]


@styled
def draw(tables):
    """`tables`: two, of columns.

    runs : tier, seed, arm, method, reward, kl, is_dpo.
    gaps : arm, label, method, gap, lo, hi, cells; and `published`, the least published gain.
    """
    runs, gaps = tables["runs"], tables["gaps"]
    tiers = [tier for tier in TIERS if tier in unique(runs, "tier")]
    figure, axes = new(PAGE, 3.2 + 0.16 * len(gaps["arm"]))
    axes.remove()
    grid = figure.add_gridspec(2, len(tiers), height_ratios=[2.4, 0.4 + 0.16 * len(gaps["arm"])])
    frontier(figure, grid, runs, tiers)
    compared(figure.add_subplot(grid[1, :]), gaps)
    return figure


def frontier(figure, grid, runs, tiers):
    first, entries = None, {}
    for place, tier in enumerate(tiers):
        first = axes = figure.add_subplot(grid[0, place], sharex=first, sharey=first)
        for seed in unique(runs, "seed"):
            curve = pick(runs, "kl", "reward", tier=tier, seed=seed, is_dpo=True, missing=None)
            if curve is not None:
                order = np.argsort(curve[0])
                axes.plot(*(values[order] for values in curve), color=INK, lw=0.8, zorder=1)
        for method in unique(runs, "method"):
            found = pick(runs, "kl", "reward", tier=tier, method=method, missing=None)
            if found is not None:
                style = dict(ls="", mec="white", mew=0.4, ms=4.5)
                (drawn,) = axes.plot(*found, **(style | point(method)))
                entries.setdefault(named(method), drawn)
        axes.set(xscale="log", title=TIERS[tier], xlabel="KL to SFT (nats)")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(labelleft=place == 0)
        if place == 0:
            axes.set_ylabel("mean true reward")
    figure.legend(
        entries.values(), entries.keys(), loc="outside upper center", ncols=5, fontsize=8,
        handlelength=1, columnspacing=1,
    )  # fmt: skip


def compared(axes, gaps):
    y = -np.arange(len(gaps["arm"]))
    axes.axvspan(gaps["published"][0], 10, color=SHADE, lw=0, zorder=0)
    axes.axvline(0, color=INK, lw=0.8)
    for at, method, value, low, high in zip(
        y, *(gaps[name] for name in ("method", "gap", "lo", "hi")), strict=True
    ):
        style = point(method) | dict(ls="", ms=5, mec="white", mew=0.4, elinewidth=1, capsize=2)
        axes.errorbar(value, at, xerr=[[value - low], [high - value]], **style)
    axes.set_yticks(y, [symbols(label) for label in gaps["label"]], fontsize=7.5)
    ends = np.concatenate([gaps["lo"], gaps["hi"], [0, gaps["published"][0]]])
    low, high = np.nanmin(ends), np.nanmax(ends)
    axes.set(xlim=(low - 0.08, high + 0.15), ylim=(y[-1] - 0.7, 0.7) if len(y) else None)
    axes.set_xlabel("reward minus DPO's at the same KL (shaded: what the paper published, or more)")
