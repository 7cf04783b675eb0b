"""The methods of the sentiment experiment on the plane of reward and KL."""

from madpo_theory.show import tables
from madpo_theory.show.figures import Figure

from ._style import INK, PAGE, column, new, place_labels, point, styled, symbols, unique

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
    figure, axes = new(0.72 * PAGE, 3.7)
    names = (
        "method", "label", "reward", "reward_lo", "reward_hi", "kl", "kl_lo", "kl_hi",
    )  # fmt: skip
    rows = list(zip(*(column(table, name).tolist() for name in names), strict=True))
    sft = [row for row in rows if row[0] == "sft"]
    labels, crosses, labelled = [], [], set()
    for method, label, reward, low, high, kl, left, right in rows:
        if method == "sft":
            axes.axhline(reward, color=INK, lw=0.7, ls=(0, (2, 3)), zorder=1)
        axes.errorbar(
            kl, reward,
            xerr=[[max(kl - left, 0)], [max(right - kl, 0)]],
            yerr=[[max(reward - low, 0)], [max(high - reward, 0)]],
            ls="", elinewidth=0.9, capsize=2, zorder=4, ms=11 if method == "sft" else 7,
            mec="white", mew=0.6, **point(method),
        )  # fmt: skip
        crosses += [(left, reward, right, reward), (kl, low, kl, high), (kl, reward, kl, reward)]
        if label not in labelled:  # one label a method, at its first seed
            labelled.add(label)
            labels.append((kl, reward, symbols(label), INK))
    low, high = axes.get_xlim()
    low, high = min(-0.04 * high, low), high + 0.12 * (high - low)
    axes.set_xlim(low, high)
    axes.margins(y=0.12)
    axes.set(
        xlabel=r"KL$(\pi\,\|\,\pi_{\mathrm{ref}})$ per continuation (nats)",
        ylabel="mean true reward",
    )
    seeds = len(unique(table, "seed"))
    setting = unique(table, "setting")[0].replace("$", r"\$")
    axes.set_title(f"Sentiment, {setting}, {seeds} seed{'s' if seeds != 1 else ''}")
    crosses += [(low, reward, high, reward) for _, _, reward, *_ in sft]
    place_labels(axes, labels, crosses)
    return figure
