"""Study (b): reward lost at equal KL over c_max, tau and lam, and where T5 is safe."""

import numpy as np

from madpo_theory import safe_tau

from .study_parts import band
from .style import BLUE, GREEN, INK, ORANGE, PAGE, RED, column, new, styled

__all__ = ["draw"]

LOOKS = ((BLUE, "o"), (GREEN, "^"), (ORANGE, "s"), (RED, "D"))


@styled
def draw(table):
    """A column of panels for each lam, a row for each noise level; filled markers are safe.

    Columns: c_max, tau, lam, noise, world, best_at_0.5, reward_at_0.5.
    """
    noises, lams, c_maxes = (np.unique(column(table, n)) for n in ("noise", "lam", "c_max"))
    figure, panels = new(PAGE, 1.75 * len(noises) + 0.5, len(lams), rows=len(noises), sharex=True)
    lost = column(table, "best_at_0.5") - column(table, "reward_at_0.5")
    for row, noise in enumerate(noises):
        for place, lam in enumerate(lams):
            axes = panels[row, place]
            for c_max, (color, marker) in zip(c_maxes, LOOKS, strict=False):
                keep = (column(table, "noise") == noise) & (column(table, "lam") == lam)
                keep &= column(table, "c_max") == c_max
                at, mean, low, high = band(column(table, "tau")[keep], lost[keep])
                axes.fill_between(at, low, high, color=color, alpha=0.2, lw=0)
                axes.plot(at, mean, color=color, lw=1.1, label=rf"$c_{{\mathrm{{max}}}}={c_max:g}$")
                safe = at <= safe_tau(c_max=c_max, c_min=1 / c_max, lam=lam) * (1 + 1e-12)
                for kept, face in ((safe, color), (~safe, "white")):
                    axes.plot(at[kept], mean[kept], marker, color=color, mfc=face, ms=4.5)
            axes.set_ylim(bottom=0)
            if row == 0:
                axes.set_title(rf"$\lambda={lam:g}$")
            if row == len(noises) - 1:
                axes.set_xlabel(r"$\tau$ (nats)")
        panels[row, 0].set_ylabel(f"error {noise:g} nats\nreward lost (nats)", fontsize=9)
        top = max(axes.get_ylim()[1] for axes in panels[row])
        for axes in panels[row]:
            axes.set_ylim(top=top)
    panels[0, 0].legend(fontsize=8, loc="upper left", labelspacing=0.2, borderaxespad=0.1)
    panels[0, 1].text(
        0.02, 0.97, "filled: inside T5's region", transform=panels[0, 1].transAxes, va="top",
        fontsize=8.5, color=INK,
    )  # fmt: skip
    return figure
