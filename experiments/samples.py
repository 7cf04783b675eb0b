"""Study (d): how errors fall with the number of labels, with exact and fitted reward models."""

import math

import numpy as np

from madpo_theory.simulate.bands import bands, stacked
from madpo_theory.simulate.cell import Cell, Repeated, measure_repeated
from madpo_theory.simulate.predictions import Prediction, Rival, estimate, matrix, slope
from madpo_theory.simulate.reward_models import BradleyTerryTable, ExactModel, GaussianModel
from madpo_theory.simulate.study import Study
from madpo_theory.simulate.worlds import SampledLabels

from ._catalog import BETA, WORLDS, named

COUNTS = (8, 16, 32, 64, 128, 256, 1024)  # labels of every pair
MANY = (128, 256, 1024)
METHODS = named(
    "dpo", "madpo", "madpo_class", "bounded_ratio", "target_shaped", "efficient", "distillation",
    "ipo", "beta_dpo", "cdpo",
)  # fmt: skip


def models(count, responses):
    """Reward models beside `count` labels of a pair: a fit gets as many labels as the policy."""
    labels = count * responses * (responses - 1) / 2
    # BradleyTerryTable turns a noise level into ceil(4 (K - 1)/noise^2) labels
    level = math.sqrt(4 * (responses - 1) / labels) * (1 + 1e-12)
    return {
        "exact": ExactModel(),
        "wrong by 1/2 nat": GaussianModel(0.5),
        "fitted, its own labels": BradleyTerryTable(level),
        "fitted, the same labels": BradleyTerryTable(None, data="policy"),
    }


def study(worlds=WORLDS):
    """The study."""
    responses = worlds.responses
    return Study(
        "samples",
        tuple(
            Repeated(
                Cell(
                    methods=METHODS,
                    worlds=worlds,
                    model=model,
                    labels=SampledLabels(count),
                    beta=BETA,
                    keys=(("study", "samples"), ("model", name)),
                )
            )
            for count in COUNTS
            for name, model in models(count, responses).items()
        ),
        measure_repeated,
        block=5,
        predictions=PREDICTIONS,
        reading=reading,
    )


def falls(column, method, model="exact", power=1):
    """Slope of the log of a column's mean power against log labels, where they are many."""

    def measure(table):
        rows = table[table["labels"].isin(MANY)]
        values, levels = matrix(rows, column, "labels", method=method, model=model)
        return estimate(values**power, slope(levels))

    return measure


def of_sandwich(method, model="exact"):
    """Root mean square sampling error over the sandwich's, most labels."""

    def measure(table):
        rows = table[(table["labels"] == max(COUNTS)) & (table["model"] == model)]
        rows = rows[rows["method"] == method][["sampling_error", "predicted_sampling_error"]]
        return estimate(
            rows.dropna().to_numpy() ** 2, lambda means: np.sqrt(means[..., 0] / means[..., 1])
        )

    return measure


def of_efficiency(table):
    """MADPO's mean squared sampling error over the efficient weight's, over the sandwiches'."""
    rows = table[(table["labels"] == max(COUNTS)) & (table["model"] == "exact")]
    wide = [
        rows.pivot(index="world", columns="method", values=column)[["madpo", "efficient"]]
        for column in ("sampling_error", "predicted_sampling_error")
    ]
    values = np.hstack([w.to_numpy() for w in wide]) ** 2
    return estimate(
        values[np.isfinite(values).all(axis=1)],
        lambda m: (m[..., 0] / m[..., 1]) / (m[..., 2] / m[..., 3]),
    )


def reuse(table):
    """Squared distance of MADPO's z from its exact-model limit: same labels over fresh ones."""
    rows = table[(table["labels"] == max(COUNTS)) & (table["method"] == "madpo")]
    squares = rows.assign(square=rows["full_error"] ** 2)
    wide = squares.pivot(index="world", columns="model", values="square")
    pair = wide[["fitted, the same labels", "fitted, its own labels"]].dropna()
    exact = table[(table["model"] == "exact") & (table["method"] == "madpo")]
    mean, square = exact["local_slope"].mean(), (exact["local_sensitivity"] ** 2).mean()
    predicted = (1 + 2 * mean + square) / (1 + square)
    return estimate(pair.to_numpy(), lambda means: means[..., 0] / means[..., 1] / predicted)


PREDICTIONS = (
    *(
        Prediction(
            f"d{number}",
            f"slope of log sampling error against log labels, 128 to 1,024 a pair, {method}",
            (-0.55, -0.45),
            "R6: the square root law",
            falls("sampling_error", method),
            dict(no_effect=rival, paper=Rival(None, "speaks of no sampling")),
        )
        for number, method, rival in (
            (1, "dpo", Rival(None, "no weight in it")),
            (2, "madpo", Rival((-0.55, -0.45), "DPO's")),
        )
    ),
    Prediction(
        "d3",
        "slope of log regret of DPO against log labels, 128 to 1,024 a pair",
        (-1.1, -0.9),
        "R5 and R6: regret is quadratic in an error that falls as the square root",
        falls("regret", "dpo"),
        dict(no_effect=Rival(None, "no weight in it"), paper=Rival(None, "speaks of no sampling")),
    ),
    *(
        Prediction(
            f"d{number}",
            f"rms sampling error at 1,024 labels a pair over the sandwich's: {method}, model "
            f"{model}",
            (0.95, 1.05),
            "R6: the sandwich is exact to first order; curvature changes it by O(1/labels)",
            of_sandwich(method, model),
            dict(no_effect=Rival(*rival), paper=Rival(None, "speaks of no sampling")),
        )
        for number, method, model, rival in (
            (4, "dpo", "exact", (None, "no weight in it")),
            (5, "madpo", "exact", (0.92, "DPO's error")),  # rivals: ratios of sandwiches
            (6, "efficient", "exact", (0.999, "DPO's error")),
            (7, "madpo", "wrong by 1/2 nat", (0.906, "DPO's error")),
        )
    ),
    Prediction(
        "d8",
        "MADPO's squared sampling error over the efficient weight's, over the sandwiches' ratio",
        (0.95, 1.05),
        "N4 and R6: same targets, different variance",
        of_efficiency,
        # 1/1.178, the sandwiches' ratio
        dict(no_effect=Rival(0.849, "errors alike"), paper=Rival(None, "speaks of no sampling")),
    ),
    Prediction(
        "d9",
        "MADPO's squared error, reward model from the same over from other labels, over its "
        "first-order value",
        (0.8, 1.25),
        "the labels' error e and the model's arrive as e + delta' e if they are the same, as two "
        "independent ones if not: mean (1 + delta')^2 over mean (1 + delta'^2)",
        reuse,
        dict(  # 1/1.994, the first-order value
            no_effect=Rival(0.502, "reuse costs nothing"),
            paper=Rival(None, "speaks of no sampling"),
        ),
    ),
    Prediction(
        "d10",
        "slope of log regret of MADPO against log labels, 128 to 1,024 a pair, exact model",
        (-0.1, 0.0),
        "T1: its targets are not the true margins, at one beta the regret has a floor",
        falls("regret", "madpo"),
        dict(
            no_effect=Rival((-1.1, -0.9), "DPO's"),
            paper=Rival((-np.inf, -0.9), "A7: DPO's or steeper"),
        ),
    ),
)


def reading(table):
    """Two lines."""
    most = table[table["labels"] == max(COUNTS)].groupby(["model", "method"])

    def of(column, model, method):
        return most[column].mean()[model, method]

    few = table[table["labels"] == min(COUNTS)]
    return (
        f"At {max(COUNTS):,} labels a pair z is off by {of('sampling_error', 'exact', 'dpo'):.3f} "
        f"nats for DPO (sandwich {of('predicted_sampling_error', 'exact', 'dpo'):.3f}), "
        f"{of('sampling_error', 'exact', 'madpo'):.3f} for MADPO "
        f"({of('predicted_sampling_error', 'exact', 'madpo'):.3f}) and "
        f"{of('sampling_error', 'exact', 'efficient'):.3f} for the efficient weight "
        f"({of('predicted_sampling_error', 'exact', 'efficient'):.3f}).\n"
        "A reward model fitted to the policy's own labels leaves MADPO an error of "
        f"{of('full_error', 'fitted, the same labels', 'madpo'):.3f} nats, one fitted to as many "
        f"others {of('full_error', 'fitted, its own labels', 'madpo'):.3f}; "
        f"{100 - 100 * few['converged'].mean():.1f} % of the fits at {min(COUNTS)} labels a pair "
        "have no minimizer and are left out."
    )


def drawn(table):
    """Errors against the number of labels, and the sandwich's sampling error.

    Columns: quantity (sampling_error, full_error, regret, predicted_sampling_error), model,
    method, x (labels of a pair), y, low, high.
    """
    return stacked(
        bands(table, "labels", quantity, by=("model", "method"), quantity=quantity)
        for quantity in ("sampling_error", "predicted_sampling_error", "full_error", "regret")
    )
