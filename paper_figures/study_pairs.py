"""Study (e): who is amplified and who is dampened, by the size of the true margin."""

from ._studies import curves, legend
from ._style import PAGE, new, styled

__all__ = ["draw"]

SHOWN = (
    "dpo", "madpo", "madpo_4", "madpo_class", "bounded_ratio", "target_shaped", "efficient",
    "distillation",
)  # fmt: skip
TITLES = {
    ("alone", "exact"): "pairs alone, exact model",
    ("together", "exact"): "six responses, exact model",
    ("alone", "independent, 1 nat"): "pairs alone, error 1 nat",
    ("together", "independent, 1 nat"): "six responses, error 1 nat",
}


@styled
def draw(table):
    """z over true margin in bins of it, and the first gradient step over DPO's (T6).

    Columns: quantity (z, step), design, model, method, x (true margin), y, low, high.
    """
    figure, panels = new(PAGE, 6.6, 2, rows=3)
    for axes, ((design, model), title) in zip(panels[:2].flat, TITLES.items(), strict=True):
        curves(axes, table, SHOWN, quantity="z", design=design, model=model)
        axes.axhline(1, color="#999999", lw=0.7, zorder=0)
        axes.set_title(title, fontsize=9.5)
        axes.set_ylabel("z / true margin")
        axes.set_xlabel("true margin (nats)")
    step, last = panels[2]
    first = [method for method in SHOWN if method != "efficient"]  # whose weights have another
    curves(step, table, first, quantity="step")  # scale, which a first step shows
    step.set_title("first gradient step, pairs alone, exact model", fontsize=9.5)
    step.set_ylabel("over DPO's")
    step.set_xlabel("true margin (nats)")
    legend(last, panels[0, 0])
    return figure
