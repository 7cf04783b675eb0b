"""Study (f): does the optimum depend on which pairs are compared (L4)?"""

import numpy as np

from madpo_theory.simulate.bands import bands, stacked
from madpo_theory.simulate.cell import Cell, Resampled, measure_resampled
from madpo_theory.simulate.predictions import Prediction, Rival, estimate, matrix, slope, worst
from madpo_theory.simulate.reward_models import reward_model
from madpo_theory.simulate.study import Study
from madpo_theory.simulate.worlds import GapSampled, OnPolicySampled

from ._catalog import WORLDS, named

BETA = 1.0  # at smaller ones two draws of a fitted policy are too often the same response
SAMPLINGS = (
    ("near pairs", GapSampled(-1.0)),
    ("far pairs", GapSampled(1.0)),
    ("own policy", OnPolicySampled()),
)
LEVELS = (0.25, 0.5, 1.0)
MODELS = {
    "exact": (0.0,),
    "gaussian": LEVELS,
    "potential": LEVELS,
}
METHODS = named(
    "dpo", "madpo_flat", "madpo", "madpo_4", "madpo_class", "bounded_ratio", "target_shaped",
    "efficient", "distillation", "ipo", "cdpo",
)  # fmt: skip


def study(worlds=WORLDS):
    """The study."""
    return Study(
        "sampling",
        tuple(
            Resampled(
                Cell(
                    methods=METHODS,
                    worlds=worlds,
                    model=reward_model(kind, level),
                    beta=BETA,
                    keys=(("study", "sampling"), ("model", kind)),
                ),
                SAMPLINGS,
            )
            for kind, levels in MODELS.items()
            for level in levels
        ),
        measure_resampled,
        predictions=PREDICTIONS,
        reading=reading,
    )


def largest_shift(method, *models):
    def measure(table):
        rows = table[(table["method"] == method) & table["model"].isin(models)]
        return worst(rows["sampling_shift"])

    return measure


def mean_shift(method, model, sampling):
    def measure(table):
        rows = table[(table["model"] == model) & (table["sampling"] == sampling)]
        return estimate(rows[rows["method"] == method]["sampling_shift"].dropna().to_numpy())

    return measure


def flat_slope(table):
    values, levels = matrix(
        table, "sampling_shift", "noise",
        method="madpo_flat", model="gaussian", sampling="near pairs",
    )  # fmt: skip
    return estimate(values, slope(levels))


def wider(more, less):
    """Mean largest z of a prompt under one sampling less that under another, MADPO."""

    def measure(table):
        rows = table[(table["model"] == "exact") & (table["method"] == "madpo")]
        wide = rows.pivot(index="world", columns="sampling", values="z_range").dropna()
        return estimate((wide[more] - wide[less]).to_numpy())

    return measure


PREDICTIONS = (
    Prediction(
        "f1",
        "largest change of DPO's z by the sampling, any reward model (nats)",
        (0.0, 1e-5),
        "L4: its targets add up, one table meets them all, however they are weighed",
        largest_shift("dpo", *MODELS),
        dict(no_effect=Rival(None, "no weight in it"), paper=Rival(None, "speaks of MADPO alone")),
    ),
    Prediction(
        "f2",
        "largest change of z by the sampling, c = 2 at every margin, exact and additive errors "
        "(nats)",
        (0.0, 1e-5),
        "L5 and T4: targets h* + (c - 1) h add up where h does",
        largest_shift("madpo_flat", "exact", "potential"),
        dict(no_effect=Rival((0, 1e-5)), paper=Rival((0, 1e-5), "A3: one optimum")),
    ),
    Prediction(
        "f3",
        "slope of log change of z (near pairs against all) against log error, c = 2 at every "
        "margin, independent errors",
        (0.9, 1.1),
        "T4: the targets fail to add up by (c - 1) times the errors, to first order in them",
        flat_slope,
        dict(no_effect=Rival(0, "no growth"), paper=Rival(None, "A4 names no rate")),
    ),
    *(
        Prediction(
            f"f{number}",
            f"mean change of MADPO's z, exact reward model, {sampling} against all (nats)",
            (1e-4, np.inf),
            "L4: its targets do not add up, so each sampling has a compromise of its own; above "
            "what the solver leaves",
            mean_shift("madpo", "exact", sampling),
            dict(no_effect=Rival((0, 1e-5)), paper=Rival((0, 1e-5), "A3: one optimum")),
        )
        for number, (sampling, _) in zip((4, 5, 6), SAMPLINGS, strict=True)
    ),
    Prediction(
        "f7",
        "largest z of a prompt, near pairs less all pairs, MADPO, exact reward model (nats)",
        (0.0, np.inf),
        "L4: below tau T(h12) + T(h23) > T(h13): near pairs ask for wider scores than far ones",
        wider("near pairs", "all"),
        dict(no_effect=Rival(0), paper=Rival(0, "A3: one optimum")),
    ),
    Prediction(
        "f8",
        "the same, all pairs less far pairs",
        (0.0, np.inf),
        "as f7",
        wider("all", "far pairs"),
        dict(no_effect=Rival(0), paper=Rival(0, "A3: one optimum")),
    ),
)


def reading(table):
    """Two lines."""
    rows = table[(table["sampling"] != "all") & (table["model"] == "exact")]
    mean = rows.groupby(["method", "sampling"])["sampling_shift"].mean()
    noisy = table[(table["model"] == "gaussian") & (table["noise"] == 1.0)]
    noisy = noisy.groupby(["method", "sampling"])["sampling_shift"].mean()
    return (
        "Comparing near instead of all pairs moves MADPO's z by "
        f"{mean['madpo', 'near pairs']:.3f} nats, far ones by {mean['madpo', 'far pairs']:.3f}, "
        f"its own policy's by {mean['madpo', 'own policy']:.3f}; at c_max 4 by "
        f"{mean['madpo_4', 'near pairs']:.3f}, {mean['madpo_4', 'far pairs']:.3f} and "
        f"{mean['madpo_4', 'own policy']:.3f}; DPO's by "
        f"{mean['dpo'].max():.0e} at most.\n"
        "An independent error of 1 nat in the reward model makes that "
        f"{noisy['madpo', 'near pairs']:.3f}, {noisy['madpo', 'far pairs']:.3f} and "
        f"{noisy['madpo', 'own policy']:.3f}: errors that do not add up matter more than the "
        "schedule's own curvature."
    )


def drawn(table):
    """Change of z by the sampling. Columns: model, sampling, method, x (noise), y, low, high."""
    rows = table[table["sampling"] != "all"]
    return stacked([bands(rows, "noise", "sampling_shift", by=("model", "sampling", "method"))])
