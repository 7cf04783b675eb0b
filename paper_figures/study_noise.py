"""Study (a): what each kind of reward-model error costs, and R1, R2, R5 beside it."""

from ._studies import curve, curves, legend
from ._style import BLACK, PAGE, line, new, pick, point, styled

__all__ = ["draw"]

SHOWN = (
    "madpo", "madpo_class", "bounded_ratio", "target_shaped", "efficient", "distillation", "dpo",
)  # fmt: skip
TITLES = {
    "gaussian": "independent, Gaussian",
    "student": "independent, Student t",
    "heteroscedastic": "growing with margin",
    "potential": "additive, Gaussian",
    "length": "a liking for length",
    "scaled": "overconfident",
    "flipped": "signs flipped",
    "bradley_terry_table": "fitted on labels",
}


@styled
def draw(table):
    """A panel for each kind of error: regret of each method; then the predictions for MADPO.

    Columns: panel (an error, shift, lost, regret), method, x (noise), y, low, high, slope, theory.
    """
    figure, panels = new(PAGE, 6.2, 4, rows=3)
    for axes, (kind, title) in zip(panels.flat, TITLES.items(), strict=False):
        curves(axes, table, SHOWN, panel=kind)
        axes.set_title(title, fontsize=9.5)
        axes.set_xlabel("share of pairs" if kind == "flipped" else "error (nats)", fontsize=9)
        axes.set_ylim(bottom=0)
    for axes in panels[:2, 0]:
        axes.set_ylabel("regret (nats)")
    shift, lost, regret, last = panels[2]
    _logarithmic(shift, table, "shift", "MADPO: target shift")
    shift.legend(fontsize=7, loc="upper left", handlelength=1.6, labelspacing=0.1, borderaxespad=0)
    shift.set_ylim(top=shift.get_ylim()[1] * 30)
    _logarithmic(lost, table, "lost", "reward lost at equal KL")
    _logarithmic(regret, table, "regret", "regret and its bound")
    regret.legend(
        fontsize=7, loc="center left", handlelength=1.6, labelspacing=0.1, borderaxespad=0
    )
    legend(last, panels[0, 0])
    return figure


THEORY = {  # what a curve says beside the measured one: its dash
    "first order": ":",
    "square": ":",
    "bound, R1": "--",
    "bound, R5": "--",
    "limit 2 D, R2": "-.",
}


def _logarithmic(axes, table, panel, title):
    names = ("x", "y", "low", "high")
    measured = line("madpo") | point("madpo") | dict(label="measured", ms=3)
    curve(axes, *pick(table, *names, panel=panel, method="measured"), **measured)
    for name, dash in THEORY.items():
        found = pick(table, *names, panel=panel, method=name, missing=None)
        if found is not None:
            curve(axes, *found, color=BLACK, ls=dash, label=name)
    slope, theory = (v[0] for v in pick(table, "slope", "theory", panel=panel, method="measured"))
    if theory == theory:  # NaN where no slope is predicted
        text = f"slope {slope:.2f}\ntheory {theory:g}"
        axes.text(0.97, 0.05, text, transform=axes.transAxes, ha="right", va="bottom", fontsize=8.5)
    axes.set(xscale="log", yscale="log", ylabel="nats")
    axes.set_xlabel("error (nats)", fontsize=9)
    axes.set_title(title, fontsize=9.5)
