"""Study (a): what each kind of reward-model error costs, and R1, R2, R5 beside it."""

import numpy as np

from .study_parts import band, curves, legend, where
from .style import BLACK, BLUE, PAGE, column, new, styled

__all__ = ["draw"]

SHOWN = (
    "madpo", "madpo_class", "bounded_ratio", "target_shaped", "efficient", "distillation", "dpo",
)  # fmt: skip
TITLES = {
    "gaussian": "independent, Gaussian",
    "student": "independent, Student t",
    "heteroscedastic": "growing with the margin",
    "potential": "additive, Gaussian",
    "length": "a liking for length",
    "scaled": "overconfident",
    "flipped": "signs flipped",
    "bradley_terry_table": "fitted on labels",
}


@styled
def draw(table):
    """A panel for each kind of error: regret of each method; then the predictions for MADPO.

    Columns: error, method, world, noise, regret, target_shift, target_shift_bound,
    influence_limit, local_sensitivity, regret_bound, reward_at_0.5.
    """
    figure, panels = new(PAGE, 6.2, 4, rows=3)
    for axes, (kind, title) in zip(panels.flat, TITLES.items(), strict=False):
        curves(axes, where(table, error=kind), "noise", "regret", SHOWN, ms=3.5)
        axes.set_title(title, fontsize=9.5)
        axes.set_xlabel("share of pairs" if kind == "flipped" else "error (nats)", fontsize=9)
        axes.set_ylim(bottom=0)
    for axes in panels[:2, 0]:
        axes.set_ylabel("regret (nats)")
    rows = where(table, error="gaussian", method="madpo")
    _shift(panels[2, 0], rows)
    _lost(panels[2, 1], rows)
    _regret(panels[2, 2], rows)
    legend(panels[2, 3], panels[0, 0])
    return figure


def _logarithmic(axes, title, ylabel):
    axes.set(xscale="log", yscale="log", ylabel=ylabel)
    axes.set_xlabel("error (nats)", fontsize=9)
    axes.set_title(title, fontsize=9.5)


def _line(axes, rows, values, label, **style):
    some = column(rows, "noise") > 0
    at, mean, low, high = band(column(rows, "noise")[some], values[some])
    axes.fill_between(at, low, high, color=style["color"], alpha=0.2, lw=0)
    axes.plot(at, mean, lw=1.1, label=label, **style)
    return at, mean


def _slope(axes, at, mean, expected):
    first = slice(0, 3)
    fitted = np.polyfit(np.log(at[first]), np.log(mean[first]), 1)[0]
    text = f"slope {fitted:.2f}\ntheory {expected}"
    axes.text(0.97, 0.05, text, transform=axes.transAxes, ha="right", va="bottom", fontsize=8.5)


def _shift(axes, rows):
    noise = column(rows, "noise")
    at, mean = _line(
        axes, rows, column(rows, "target_shift"), "measured", color=BLUE, marker="o", ms=3
    )
    for name, label, dash in (
        (noise * column(rows, "local_sensitivity"), "first order", ":"),
        (column(rows, "target_shift_bound"), "bound, R1", "--"),
        (column(rows, "influence_limit") * 2, "limit 2 D, R2", "-."),
    ):
        _line(axes, rows, name, label, color=BLACK, ls=dash)
    _logarithmic(axes, "MADPO: target shift", "nats")
    _slope(axes, at, mean, 1)
    axes.legend(fontsize=7, loc="upper left", handlelength=1.6, labelspacing=0.1, borderaxespad=0)
    axes.set_ylim(top=axes.get_ylim()[1] * 30)


def _lost(axes, rows):
    noise, reward = column(rows, "noise"), column(rows, "reward_at_0.5")
    worlds = column(rows, "world")
    exact = dict(zip(worlds[noise == 0], reward[noise == 0], strict=True))
    lost = np.array([exact[w] for w in worlds]) - reward
    at, mean = _line(axes, rows, lost, "measured", color=BLUE, marker="o", ms=3)
    axes.plot(at, mean[1] * (at / at[1]) ** 2, color=BLACK, ls=":", lw=1.1)
    _logarithmic(axes, "reward lost at equal KL", "nats")
    _slope(axes, at, mean, 2)


def _regret(axes, rows):
    _line(axes, rows, column(rows, "regret"), "measured", color=BLUE, marker="o", ms=3)
    _line(axes, rows, column(rows, "regret_bound"), "bound, R5", color=BLACK, ls="--")
    _logarithmic(axes, "regret and its bound", "nats")
    axes.legend(fontsize=7, loc="center left", handlelength=1.6, labelspacing=0.1, borderaxespad=0)
