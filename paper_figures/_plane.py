"""Methods as points on the plane of reward and KL, from their reference at KL = 0."""

from ._style import INK, PAGE, column, new, place_labels, point, symbols

__all__ = ["KL", "plane"]

KL = r"KL$(\pi\,\|\,\pi_{\mathrm{ref}})$ per continuation (nats)"


def plane(table, title, reward):
    """Each row a point with its intervals both ways; the method sft is the reference.

    Columns: method, label, reward, reward_lo, reward_hi, kl, kl_lo, kl_hi. `reward` is the label
    of that axis.
    """
    figure, axes = new(0.72 * PAGE, 3.7)
    names = (
        "method", "label", "reward", "reward_lo", "reward_hi", "kl", "kl_lo", "kl_hi",
    )  # fmt: skip
    rows = list(zip(*(column(table, name).tolist() for name in names), strict=True))
    sft = [row for row in rows if row[0] == "sft"]
    labels, crosses, labelled = [], [], set()
    for method, label, mean, low, high, kl, left, right in rows:
        if method == "sft":
            axes.axhline(mean, color=INK, lw=0.7, ls=(0, (2, 3)), zorder=1)
        axes.errorbar(
            kl, mean,
            xerr=[[max(kl - left, 0)], [max(right - kl, 0)]],
            yerr=[[max(mean - low, 0)], [max(high - mean, 0)]],
            ls="", elinewidth=0.9, capsize=2, zorder=4, ms=11 if method == "sft" else 7,
            mec="white", mew=0.6, **point(method),
        )  # fmt: skip
        crosses += [(left, mean, right, mean), (kl, low, kl, high), (kl, mean, kl, mean)]
        if label not in labelled:  # one label a method, at its first seed
            labelled.add(label)
            labels.append((kl, mean, symbols(label), INK))
    low, high = axes.get_xlim()
    low, high = min(-0.04 * high, low), high + 0.12 * (high - low)
    axes.set_xlim(low, high)
    axes.margins(y=0.12)
    axes.set(xlabel=KL, ylabel=reward)
    axes.set_title(title)
    crosses += [(low, mean, high, mean) for _, _, mean, *_ in sft]
    place_labels(axes, labels, crosses)
    return figure
