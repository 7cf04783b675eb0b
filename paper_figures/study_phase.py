"""Study (g): where weighting by a reward model helps, and where it hurts."""

import numpy as np

from .style import INK, PAGE, column, new, styled

__all__ = ["draw"]

METHODS = {
    "madpo": "MADPO, released",
    "target_shaped": "target shaped",
    "distillation": "distillation",
}


@styled
def draw(table):
    """Reward over DPO's at equal KL, label noise across, model error up; dots: decided at 95 %.

    Columns: axis, flip, labels, noise, method, world, reward_at_0.5, predicted_sampling_error,
    local_slope.
    """
    figure, panels = new(PAGE, 5.6, len(METHODS), rows=2, sharey=True)
    largest = 0
    maps = {}
    for row, (axis, key) in enumerate((("counts", "labels"), ("flips", "flip"))):
        for place, method in enumerate(METHODS):
            maps[row, place] = _map(table, axis, key, method)
            largest = max(largest, np.nanmax(np.abs(maps[row, place][2])))
    for (row, place), (across, up, mean, decided) in maps.items():
        axes = panels[row, place]
        x, y = np.meshgrid(np.arange(len(across)), np.arange(len(up)), indexing="ij")
        scale = np.sign(mean) * np.sqrt(np.abs(mean) / largest)
        drawn = axes.pcolormesh(x, y, scale, cmap="RdBu", vmin=-1, vmax=1, shading="nearest")
        axes.plot(x[decided], y[decided], ".", color=INK, ms=2)
        if row == 0 and list(METHODS)[place] == "madpo":
            at = [np.interp(s, up, np.arange(len(up))) for s in _predicted(table, across)]
            axes.plot(np.arange(len(across)), at, color=INK, lw=1.3, ls="--", label="first order")
            axes.legend(loc="upper right", fontsize=8, frameon=True)
        axes.set_xticks(range(len(across)), [f"{v:g}" for v in across])
        axes.set_yticks(range(len(up)), [f"{v:g}" for v in up])
        axes.set_title(list(METHODS.values())[place], fontsize=9.5)
        axes.set_xlabel("share of labels flipped" if row else "labels of a pair")
    for axes in panels[:, 0]:
        axes.set_ylabel("model error (nats)")
    bar = figure.colorbar(drawn, ax=panels, shrink=0.6, aspect=30)
    ticks = np.array([-1, -0.5, 0, 0.5, 1])
    bar.set_ticks(ticks, labels=[f"{np.sign(t) * t * t * largest:+.3f}" for t in ticks])
    bar.set_label("reward over DPO's at equal KL (nats)")
    return figure


def _map(table, axis, key, method):
    """Levels across and up, mean advantage there, and where its 95 % interval leaves out 0."""
    rows = column(table, "axis") == axis
    across, up = (np.unique(column(table, name)[rows]) for name in (key, "noise"))
    mean, decided = np.full((len(across), len(up)), np.nan), np.zeros((len(across), len(up)), bool)
    reward, world = column(table, "reward_at_0.5"), column(table, "world")
    for i, a in enumerate(across):
        for j, b in enumerate(up):
            here = rows & (column(table, key) == a) & (column(table, "noise") == b)
            of = [
                dict(zip(world[keep], reward[keep], strict=True))
                for keep in (here & (column(table, "method") == name) for name in (method, "dpo"))
            ]
            gain = np.array([of[0][w] - of[1][w] for w in of[0] if w in of[1]])
            gain = gain[np.isfinite(gain)]
            if len(gain) > 1:
                mean[i, j] = gain.mean()
                decided[i, j] = abs(gain.mean()) > 1.96 * gain.std(ddof=1) / np.sqrt(len(gain))
    return across, up, mean, decided


def _predicted(table, counts):
    """First-order boundary of MADPO for each number of labels, nats."""
    import pandas

    from experiments.phase import predicted_crossing

    return [predicted_crossing(pandas.DataFrame(table), count) for count in counts]
