"""Study (a): what each kind of reward-model error costs each method, level by level."""

import numpy as np

from madpo_theory import MarginSchedule
from madpo_theory.certify import QUANTITIES, supremum
from madpo_theory.simulate.bands import bands, stacked
from madpo_theory.simulate.cell import Cell, measure_cell
from madpo_theory.simulate.predictions import Prediction, Rival, estimate, matrix, slope, worst
from madpo_theory.simulate.reward_models import reward_model
from madpo_theory.simulate.study import Study

from ._catalog import BETA, WORLDS, named

TINY, SMALL = 1 / 64, 1 / 4
LEVELS = (0.0, TINY, 1 / 16, SMALL, 0.5, 1.0, 2.0)  # nats, root mean square
KINDS = {
    "gaussian": LEVELS,
    "student": LEVELS,
    "heteroscedastic": LEVELS,
    "potential": LEVELS,
    "length": LEVELS,
    "scaled": LEVELS,
    "flipped": (0.0, 0.025, 0.05, 0.1, 0.2, 0.4),  # probability of a wrong sign
    "bradley_terry_table": LEVELS,
}
METHODS = named(
    "dpo", "madpo", "madpo_class", "bounded_ratio", "target_shaped", "efficient", "distillation",
    "ipo", "beta_dpo", "beta_dpo_madpo", "cdpo",
)  # fmt: skip
KL = 0.5


def constants():
    """(method, L, D) of the weights whose suprema are certified."""
    schedules = {
        "madpo": MarginSchedule.released(exact=True),
        "madpo_class": MarginSchedule.class_defaults(exact=True),
    }
    return tuple(
        (name, *(supremum(QUANTITIES[q], s).upper for q in ("sensitivity", "influence")))
        for name, s in schedules.items()
    )


def study(worlds=WORLDS):
    """The study; its suprema are computed when it is made."""
    limits = constants()
    return Study(
        "noise",
        tuple(
            Cell(
                methods=METHODS,
                worlds=worlds,
                model=reward_model(kind, level),
                beta=BETA,
                keys=(("study", "noise"), ("error", kind)),
                constants=limits,
                divergences=(KL,),
            )
            for kind, levels in KINDS.items()
            for level in levels
        ),
        measure_cell,
        predictions=PREDICTIONS,
        reading=reading,
    )


def excess(column, bound):
    """The largest excess of a column over another one, over every row that has both."""

    def measure(table):
        rows = table[[column, bound]].dropna()
        return worst(rows[column] - rows[bound])

    return measure


def loss(table, levels, error, method):
    """Reward at equal KL lost to the error (worlds, levels), nats."""
    rewards, _ = matrix(
        table[table["noise"].isin((0.0, *levels))], f"reward_at_{KL:g}", "noise",
        error=error, method=method,
    )  # fmt: skip
    return rewards[:, :1] - rewards[:, 1:]


def loss_ratio(of, to, unit=lambda responses: 1.0):
    """Loss of one (error, method) over another's at the level SMALL, in units of K responses."""

    def measure(table):
        losses = [loss(table, (SMALL,), *which) for which in (of, to)]
        one = unit(table["responses"].iloc[0])
        return estimate(np.hstack(losses), lambda means: means[..., 0] / means[..., 1] / one)

    return measure


def shift_slope(table):
    rows = table[table["noise"].isin((TINY, 1 / 16))]
    values, levels = matrix(rows, "target_shift", "noise", error="gaussian", method="madpo")
    return estimate(values, slope(levels))


def local_ratio(table):
    rows = table[table["noise"].isin((0.0, TINY))]
    where = dict(error="gaussian", method="madpo")
    shifts, _ = matrix(rows, "target_shift", "noise", **where)
    slopes, _ = matrix(rows, "local_sensitivity", "noise", **where)
    squares = np.column_stack([shifts[:, 1] ** 2, (TINY * slopes[:, 1]) ** 2])
    return estimate(squares, lambda means: np.sqrt(means[..., 0] / means[..., 1]))


def loss_slope(table):
    levels = (1 / 16, SMALL)
    return estimate(loss(table, levels, "gaussian", "madpo"), slope(levels))


def trust_ratio(table):
    """Distillation's loss over MADPO's, over the ratio of their mean squared sensitivities."""
    distilled, weighted = (
        loss(table, (SMALL,), "potential", name) for name in ("distillation", "madpo")
    )
    rows = table[table["noise"] == 0]
    where = dict(error="potential", method="madpo")
    mean, _ = matrix(rows, "local_slope", "noise", **where)
    size, _ = matrix(rows, "local_sensitivity", "noise", **where)
    return estimate(
        np.hstack([distilled, weighted, mean, size**2]),
        lambda m: m[..., 0] / m[..., 1] / ((1 + 2 * m[..., 2] + m[..., 3]) / m[..., 3]),
    )


PREDICTIONS = (
    Prediction(
        "a1",
        "largest excess of a world's target shift over L x its error (nats)",
        (-np.inf, 1e-12),
        "R1, with the certified L of each schedule; holds pair by pair, so of root mean squares",
        excess("target_shift", "target_shift_bound"),
        dict(
            no_effect=Rival((-np.inf, 1e-12), "no shift"),
            paper=Rival((-np.inf, 1e-12), "A4: bounded"),
        ),
    ),
    Prediction(
        "a2",
        "largest excess of a pair's influence over D (nats)",
        (-np.inf, 1e-12),
        "R2, with the certified D of each schedule, whatever the error",
        excess("influence", "influence_limit"),
        dict(
            no_effect=Rival(-0.364, "no influence, less the smaller D"),
            paper=Rival((-np.inf, 1e-12), "A4: bounded"),
        ),
    ),
    Prediction(
        "a3",
        "largest excess of a world's regret over R5's bound by its score errors (nats)",
        (-np.inf, 1e-12),
        "R5, for every method",
        excess("regret", "regret_bound"),
        dict(
            no_effect=Rival(None, "a bound for any policy"),
            paper=Rival(None, "a bound for any policy"),
        ),
    ),
    Prediction(
        "a4",
        "largest regret of DPO (nats), whatever the reward model",
        (0.0, 1e-6),
        "B1: exact labels make its targets true; the solver leaves 1e-4 nats of z, whose square "
        "it costs",
        lambda table: worst(table[table["method"] == "dpo"]["regret"]),
        dict(no_effect=Rival((0, 1e-6)), paper=Rival((1e-6, np.inf), "A7: DPO can be beaten")),
    ),
    Prediction(
        "a5",
        "slope of log target shift against log error, 1/64 to 1/16 nats, MADPO, independent errors",
        (0.95, 1.05),
        "R1 locally: the shift is delta'(h*) e + O(e^2); a kink at tau that pairs reach is O(e)",
        shift_slope,
        dict(no_effect=Rival(0, "no growth"), paper=Rival(None, "A4 names no rate")),
    ),
    Prediction(
        "a6",
        "root mean square target shift at 1/64 nats over its first-order value",
        (0.95, 1.05),
        "rms shift = level x rms of delta'(h*) over the pairs, no fitted number",
        local_ratio,
        dict(no_effect=Rival(0, "no shift"), paper=Rival(None, "A4 names no size")),
    ),
    Prediction(
        "a7",
        "slope of log reward lost at equal KL against log error, 1/16 to 1/4 nats, MADPO",
        (1.8, 2.2),
        "the best scores at equal KL are the true ones, where the reward is flat: the loss is "
        "quadratic once the first-order term of a symmetric error has averaged out (R5's square)",
        loss_slope,
        dict(no_effect=Rival(0, "no growth"), paper=Rival(None, "A4 names no rate")),
    ),
    Prediction(
        "a8",
        "loss to independent over loss to additive errors of 1/4 nat, times K/2, MADPO",
        (0.8, 1.25),
        "scores of K responses can follow K - 1 of the K (K - 1)/2 directions of independent "
        "errors: a share of 2/K of their variance arrives, if all directions weigh alike",
        loss_ratio(("gaussian", "madpo"), ("potential", "madpo"), lambda k: 2 / k),
        # K/2
        dict(no_effect=Rival(3, "losses alike"), paper=Rival(None, "tells no errors apart")),
    ),
    Prediction(
        "a9",
        "distillation's loss over MADPO's (additive errors, 1/4 nat), over its first-order value",
        (0.8, 1.25),
        "distillation moves by T'(h) = 1 + delta'(h) a nat of error, MADPO by delta'(h): "
        "mean (1 + delta')^2 over mean delta'^2, if both are tilted to equal KL alike (T4, N3)",
        trust_ratio,
        # 1/4.154, the first-order value
        dict(no_effect=Rival(0.241, "losses alike"), paper=Rival(None, "no distillation there")),
    ),
    Prediction(
        "a10",
        "loss to an overconfident over loss to an additive error of 1/4 nat, MADPO",
        (-0.05, 0.1),
        "L5: a scale is nearly a temperature, which equal KL takes out",
        loss_ratio(("scaled", "madpo"), ("potential", "madpo")),
        dict(no_effect=Rival(1, "losses alike"), paper=Rival(None, "tells no errors apart")),
    ),
)


def reading(table):
    """Two lines."""
    at = table[(table["noise"] == 1.0) & (table["error"] != "flipped")]
    mean = at.groupby(["error", "method"])["regret"].mean().unstack()
    lost = {
        name: 100 * loss(table, (1.0,), "potential", name).mean()
        / table[table["noise"] == 0][f"best_at_{KL:g}"].mean()
        for name in ("madpo", "madpo_class", "target_shaped", "distillation")
    }  # fmt: skip
    worst_kind = mean["madpo"].idxmax()
    return (
        f"A reward model that is off by 1 nat, in an additive way, costs MADPO {lost['madpo']:.1f} "
        f"% of the reward at equal KL, the class defaults {lost['madpo_class']:.1f} %, the target-"
        f"shaped weight {lost['target_shaped']:.1f} %, distillation {lost['distillation']:.1f} %; "
        "DPO asks no reward model and loses nothing.\n"
        f"At one beta MADPO's regret at 1 nat lies between {mean['madpo'].min():.3f} and "
        f"{mean['madpo'].max():.3f} nats by the kind of error, most for '{worst_kind}'."
    )


def drawn(table):
    """Regret by kind of error; then MADPO's shift, loss and regret beside what theory says.

    Columns: panel (an error, shift, lost, regret), method (or what a curve is), x (noise), y, low,
    high; of measured curves slope and theory, those of the logs at the three smallest errors.
    """
    kinds = (bands(table[table["error"] == kind], "noise", "regret", panel=kind) for kind in KINDS)
    own = table[(table["error"] == "gaussian") & (table["method"] == "madpo")]
    rows, reward = own[own["noise"] > 0], f"reward_at_{KL:g}"
    exact = own[own["noise"] == 0].set_index("world")[reward]

    def curve(panel, name, values):
        return bands(rows.assign(method=name), "noise", values, panel=panel)

    shift = curve("shift", "measured", rows["target_shift"])
    lost = curve("lost", "measured", rows["world"].map(exact) - rows[reward])
    square = lost["y"].iloc[1] * (lost["x"] / lost["x"].iloc[1]) ** 2
    return stacked(
        (
            *kinds,
            shift.assign(slope=fitted_slope(shift), theory=1),
            curve("shift", "first order", rows["noise"] * rows["local_sensitivity"]),
            curve("shift", "bound, R1", rows["target_shift_bound"]),
            curve("shift", "limit 2 D, R2", 2 * rows["influence_limit"]),
            lost.assign(slope=fitted_slope(lost), theory=2),
            lost.assign(method="square", y=square, low=square, high=square),
            curve("regret", "measured", rows["regret"]),
            curve("regret", "bound, R5", rows["regret_bound"]),
        )
    )


def fitted_slope(curve, points=3):
    """Of log mean against log error, where errors are smallest."""
    return slope(curve["x"][:points])(curve["y"].to_numpy()[:points])
