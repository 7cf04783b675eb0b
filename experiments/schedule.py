"""Study (b): c_max, tau and lam at several levels of reward-model noise, and T5's safe region."""

import numpy as np
from scipy.stats import spearmanr

from madpo_theory import MarginSchedule, safe_tau
from madpo_theory.methods import Madpo
from madpo_theory.simulate.bands import bands, stacked
from madpo_theory.simulate.cell import Cell, measure_cell
from madpo_theory.simulate.predictions import Prediction, Rival, estimate, exact, matrix, worst
from madpo_theory.simulate.reward_models import reward_model
from madpo_theory.simulate.study import Study

from ._catalog import BETA, WIDE

C_MAX = (1.5, 2.0, 3.0, 4.0)  # c_min = 1/c_max, as released
TAU = (1.0, 2.0, 3.0, 5.0, 7.0)
LAM = (0.5, 1.0, 2.0)
LEVELS = (0.0, 0.5, 1.0, 2.0)
KL = 0.5
REACHED = 5.0  # margins of these worlds reach this tau often


def study(worlds=WIDE):
    """The study."""
    methods = tuple(
        (f"madpo {c_max:g} {tau:g} {lam:g}", Madpo(MarginSchedule(c_max, 1 / c_max, lam, tau)))
        for c_max in C_MAX
        for tau in TAU
        for lam in LAM
    )
    return Study(
        "schedule",
        tuple(
            Cell(
                methods=methods,
                worlds=worlds,
                model=reward_model("gaussian", level),
                beta=BETA,
                keys=(("study", "schedule"),),
                divergences=(KL,),
                order=True,
            )
            for level in LEVELS
        ),
        measure_cell,
        block=5,
        predictions=PREDICTIONS,
        reading=reading,
    )


def is_safe(table):
    """Whether each row's schedule keeps the order of the margins (T5)."""
    limits = {
        (c_max, lam): safe_tau(c_max=c_max, c_min=1 / c_max, lam=lam)
        for c_max in set(table["c_max"])
        for lam in set(table["lam"])
    }
    allowed = [limits[key] for key in zip(table["c_max"], table["lam"], strict=True)]
    return table["tau"] <= np.array(allowed) * (1 + 1e-12)


def loss(table):
    """Reward at equal KL below the best (a Series), nats."""
    return table[f"best_at_{KL:g}"] - table[f"reward_at_{KL:g}"]


def by_schedule(table, noise, column):
    """(worlds, schedules) of a column at a noise level, and which schedules are safe."""
    rows = table[table["noise"] == noise]
    values, names = matrix(rows.assign(loss=loss(rows)), column, "method")
    first = rows.drop_duplicates("method").set_index("method").loc[names]
    return values, is_safe(first).to_numpy(), first


def safe_reversals(table):
    values, safe, _ = by_schedule(table, 0.0, "target_reversals")
    return worst(values[:, safe])


def unsafe_reversals(table):
    values, safe, first = by_schedule(table, 0.0, "target_reversals")
    reached = ~safe & (first["tau"] <= REACHED).to_numpy()
    return exact(float((values[:, reached].mean(axis=0) > 0).mean()), len(values))


def price_of_unsafe(table):
    values, safe, _ = by_schedule(table, 0.0, "loss")
    return estimate(
        np.column_stack([values[:, ~safe].mean(axis=1), values[:, safe].mean(axis=1)]),
        lambda means: means[..., 0] - means[..., 1],
    )


def sensitivity_decides(table):
    losses, _, _ = by_schedule(table, 1.0, "loss")
    slopes, _, _ = by_schedule(table, 1.0, "local_sensitivity")
    slopes = slopes.mean(axis=0)

    def rank(means):
        return np.apply_along_axis(lambda row: spearmanr(row, slopes).statistic, -1, means)

    return estimate(losses, rank)


def no_free_schedule(table):
    """Smallest loss of any schedule at 1 nat less that of the gentlest, c_max 1.5 and tau 1."""
    values, _, first = by_schedule(table, 1.0, "loss")
    gentle = ((first["c_max"] == min(C_MAX)) & (first["tau"] == min(TAU))).to_numpy()
    return estimate(
        np.column_stack([values[:, gentle].mean(axis=1), values[:, ~gentle].mean(axis=1)]),
        lambda means: means[..., 0] / means[..., 1],
    )


PREDICTIONS = (
    Prediction(
        "b1",
        "largest share of couples of pairs whose targets are in the wrong order, safe schedules, "
        "exact reward model",
        (0.0, 1e-12),
        "T5: no target falls with the margin if tau <= safe_tau",
        safe_reversals,
        dict(no_effect=Rival((0, 1e-12)), paper=Rival((0, 1e-12), "A3: order kept")),
    ),
    Prediction(
        "b2",
        f"share of the unsafe schedules with tau <= {REACHED:g} that put some couple in the wrong "
        "order",
        (1.0, 1.0),
        "T5 is exact left of tau: the target of some pair there falls, and pairs are there",
        unsafe_reversals,
        dict(no_effect=Rival(0), paper=Rival(0, "A3: order kept")),
    ),
    Prediction(
        "b3",
        "mean reward lost at equal KL by unsafe less that by safe schedules, exact reward model "
        "(nats)",
        (0.0, np.inf),
        "T5: reversed targets are no temperature, equal KL does not take them out",
        price_of_unsafe,
        dict(no_effect=Rival(0), paper=Rival(None, "ranks no schedules")),
    ),
    Prediction(
        "b4",
        "rank correlation over schedules of the reward lost at equal KL at 1 nat of noise with the "
        "rms of delta'(h*)",
        (0.9, 1.0),
        "R1: what of the error arrives is delta'(h*) times it",
        sensitivity_decides,
        dict(no_effect=Rival(0), paper=Rival(None, "ranks no schedules")),
    ),
    Prediction(
        "b5",
        "loss at 1 nat of noise of the gentlest schedules (c_max 1.5, tau 1) over the others' mean",
        (0.0, 0.5),
        "R2: D <= max((c_max - 1) tau, log 2) is 0.5 nats there and several elsewhere",
        no_free_schedule,
        dict(no_effect=Rival(1), paper=Rival(None, "ranks no schedules")),
    ),
)


def reading(table):
    """Two lines."""
    lines = []
    for noise in (0.0, 1.0):
        values, safe, first = by_schedule(table, noise, "loss")
        best = f"{table[f'best_at_{KL:g}'].mean():.2f}"
        mean = values.mean(axis=0)
        worst_one = first.iloc[int(mean.argmax())]
        lines.append(
            f"{'With an exact reward model' if noise == 0 else 'With an error of 1 nat'} the "
            f"{safe.sum()} schedules inside T5's region lose {mean[safe].mean():.4f} nats of the "
            f"{best} that are to be had at KL {KL:g}, the {(~safe).sum()} outside "
            f"{mean[~safe].mean():.4f}; most, {mean.max():.4f}, at c_max {worst_one['c_max']:g}, "
            f"tau {worst_one['tau']:g}, lam {worst_one['lam']:g}."
        )
    return "\n".join(lines)


def drawn(table):
    """Reward lost at equal KL. Columns: noise, lam, c_max, safe (T5), x (tau), y, low, high."""
    rows = table.assign(safe=is_safe(table))
    return stacked([bands(rows, "tau", loss(table), by=("noise", "lam", "c_max", "safe"))])
