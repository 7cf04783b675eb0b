"""The methods of the sentiment experiment on the plane of reward and KL."""

from madpo_theory.show import tables
from madpo_theory.show.figures import Figure

from ._plane import plane
from ._style import styled, unique

__all__ = ["FIGURE", "draw"]

FIGURE = Figure(
    title="Reward against KL",
    caption=r"""The methods of the sentiment experiment with 95 % intervals in both directions, from
    the supervised model (SFT) at $\mathrm{KL}=0$. Read it as a frontier: a method is better only if
    it earns more reward at the same KL. Higher and further right is what any smaller $\beta$
    buys.""",
    alt="Reward and KL of each method with intervals; SFT is the reference at the left.",
    table=tables.reward_kl,
    source="experiment",
)


@styled
def draw(table):
    """Each method a point with 95 % intervals both ways; SFT is the reference at KL = 0.

    Columns: setting ("preset ..." or "run ..."), method, label, seed, reward, reward_lo,
    reward_hi, kl, kl_lo, kl_hi.
    """
    seeds = len(unique(table, "seed"))
    setting = unique(table, "setting")[0].replace("$", r"\$")
    title = f"Sentiment, {setting}, {seeds} seed{'s' if seeds != 1 else ''}"
    return plane(table, title, "mean true reward")
