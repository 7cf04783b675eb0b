"""Study (j): an offset beside the weights whose targets it has, as labels grow."""

from dataclasses import replace

import numpy as np

from madpo_theory import MarginSchedule
from madpo_theory.methods import Efficient, OffsetMadpo
from madpo_theory.simulate.bands import bands, stacked
from madpo_theory.simulate.cell import Cell, Repeated, measure_repeated
from madpo_theory.simulate.predictions import Prediction, Rival, estimate, worst
from madpo_theory.simulate.reward_models import reward_model
from madpo_theory.simulate.study import Study
from madpo_theory.simulate.worlds import FileRewards, SampledLabels

from ._catalog import BETA, WORLDS, named

KL = 0.5
COUNTS = (16, 64, 256, 1024)  # labels of every pair
FEW, MANY = COUNTS[0], COUNTS[-1]
MODELS = {
    "exact": reward_model("exact"),
    "wrong by 1 nat": reward_model("gaussian", 1.0),
    "wrong by 2 nats": reward_model("gaussian", 2.0),
}
WORST = "wrong by 2 nats"
STEEP = MarginSchedule.released(4)
METHODS = named("dpo", "madpo", "efficient", "offset_madpo", "madpo_4") + (
    ("efficient_4", Efficient(STEEP)),
    ("offset_madpo_4", OffsetMadpo(STEEP)),
    ("offset_madpo_clipped", OffsetMadpo(STEEP, 1.0)),
)
TRIPLES = (
    ("madpo", "efficient", "offset_madpo"),
    ("madpo_4", "efficient_4", "offset_madpo_4"),
)
"""Three losses of the same pair targets each: the published weight, N4's, the offset."""


def study(worlds=WORLDS):
    """The study: tables of several responses, and single pairs, which each loss must fit alike."""
    alone = replace(worlds, responses=2)
    designs = {"together": (worlds, COUNTS), "alone": (alone, (MANY,))}
    if isinstance(worlds.rewards, FileRewards):  # a file's prompts have the responses they have
        del designs["alone"]
    return Study(
        "offset",
        tuple(
            Repeated(
                Cell(
                    methods=METHODS,
                    worlds=law,
                    model=model,
                    labels=SampledLabels(count),
                    beta=BETA,
                    keys=(("study", "offset"), ("design", design), ("model", name)),
                    divergences=(KL,),
                )
            )
            for design, (law, counts) in designs.items()
            for count in counts
            for name, model in MODELS.items()
        ),
        measure_repeated,
        block=5,
        predictions=PREDICTIONS,
        reading=reading,
    )


def values(table, column, *methods, model, labels, design="together"):
    """A column (worlds, methods) in the worlds that all of them solve."""
    keep = (table["design"] == design) & (table["model"] == model) & (table["labels"] == labels)
    rows = table[keep]
    rows = rows.assign(gap=rows[f"best_at_{KL:g}"] - rows[f"reward_at_{KL:g}"])
    wide = rows.pivot(index="world", columns="method", values=column)
    return wide.reindex(columns=list(methods)).dropna().to_numpy()


def variance_ratio(above, below, model, labels=MANY):
    """Mean squared sampling error of one method over another's."""

    def measure(table):
        found = values(table, "sampling_error", above, below, model=model, labels=labels) ** 2
        return estimate(found, lambda means: means[..., 0] / means[..., 1])

    return measure


def gap_ratio(above, below, model, labels):
    """Mean reward below the best at equal KL of one method over another's."""

    def measure(table):
        found = values(table, "gap", above, below, model=model, labels=labels)
        return estimate(found, lambda means: means[..., 0] / means[..., 1])

    return measure


def gap_difference(more, less, model, labels):
    def measure(table):
        found = values(table, "gap", more, less, model=model, labels=labels)
        return estimate(found[:, 0] - found[:, 1])

    return measure


def largest_apart(table):
    """Of the root mean square sampling errors of three losses of the same targets, single pairs."""
    found = [
        np.ptp(values(table, "sampling_error", *names, model=m, labels=MANY, design="alone"), 1)
        for names in TRIPLES
        for m in MODELS
    ]
    return worst(np.concatenate(found))


def solved_apart(table):
    """Worlds that an offset solves and its weight does not, or the other way round."""
    keys = ["design", "model", "labels", "world"]
    wide = table.pivot(index=keys, columns="method", values="converged").astype(float)
    return worst(np.concatenate([np.abs(wide[a] - wide[c]) for a, _, c in TRIPLES]))


PREDICTIONS = (
    Prediction(
        "j1",
        "single pairs: largest distance in a world between the sampling errors of the published "
        "weight, N4's and the offset (nats)",
        (0.0, 1e-5),
        "N5: a lone pair is fitted to log(k/(n - k)) + delta by all three, exactly; what the "
        "solver leaves remains",
        largest_apart,
        dict(no_effect=Rival(None, "an identity"), paper=Rival(None, "not in the paper")),
    ),
    Prediction(
        "j2",
        "worlds that have a minimizer under the offset and none under the published weight, or the "
        "other way round (0: none)",
        (0.0, 0.0),
        "L3: which labels were given decides, and neither a weight nor an offset",
        solved_apart,
        dict(no_effect=Rival(None, "an identity"), paper=Rival(None, "not in the paper")),
    ),
    Prediction(
        "j3",
        "exact model, 1,024 labels a pair: squared sampling error of the offset over DPO's",
        (0.97, 1.05),
        "N5: it is DPO's wherever the targets add up, and T is nearly linear at these margins",
        variance_ratio("offset_madpo", "dpo", "exact"),
        dict(no_effect=Rival(1), paper=Rival(None, "not in the paper")),
    ),
    Prediction(
        "j4",
        "the same of the published weight over the offset's",
        (1.1, 1.4),
        "N4: the published weight wastes labels; its field of study (i) had 1.27 at 16 labels",
        variance_ratio("madpo", "offset_madpo", "exact"),
        dict(no_effect=Rival(1), paper=Rival(None, "not in the paper")),
    ),
    Prediction(
        "j5",
        "the same of N4's weight over the offset's",
        (0.97, 1.06),
        "N4, N5: both are at the bound where the model is exact and the targets add up",
        variance_ratio("efficient", "offset_madpo", "exact"),
        dict(no_effect=Rival(1), paper=Rival(None, "not in the paper")),
    ),
    Prediction(
        "j6",
        "model wrong by 2 nats, 1,024 labels: squared sampling error of the published weight over "
        "the offset's",
        (1.2, 2.2),
        "N5: the offset weighs labels by what they tell whatever the model says; the published "
        "weight by what the model says",
        variance_ratio("madpo", "offset_madpo", WORST),
        dict(no_effect=Rival(1), paper=Rival(None, "not in the paper")),
    ),
    Prediction(
        "j7",
        "the same of N4's weight over the offset's",
        (1.05, 1.8),
        "N4's weight is the least for an exact model alone",
        variance_ratio("efficient", "offset_madpo", WORST),
        dict(no_effect=Rival(1), paper=Rival(None, "not in the paper")),
    ),
    Prediction(
        "j8",
        "c_max = 4, exact model, 1,024 labels: squared sampling error of the published weight over "
        "the offset's",
        (1.5, 6.0),
        "weights from 0.0001 to 2 instead of 0.02 to 2: more labels are lost",
        variance_ratio("madpo_4", "offset_madpo_4", "exact"),
        dict(no_effect=Rival(1), paper=Rival(None, "not in the paper")),
    ),
    Prediction(
        "j9",
        "model wrong by 2 nats, 16 labels: gap of the offset over the published weight's, reward "
        "at equal KL",
        (0.6, 0.97),
        "where targets do not add up the table compromises, and equal weights average independent "
        "errors better: ODPO's gap over that of the weight sigma(h) was 0.83 in study (i) at 1 nat",
        gap_ratio("offset_madpo", "madpo", WORST, FEW),
        dict(no_effect=Rival(1), paper=Rival(None, "not in the paper")),
    ),
    Prediction(
        "j10",
        "model wrong by 2 nats, 16 labels: gap of the offset less DPO's (nats)",
        (0.0, np.inf),
        "R2: the offset adds the model's errors to the targets as the weight does; 16 labels a "
        "pair know more than such a model",
        gap_difference("offset_madpo", "dpo", WORST, FEW),
        dict(no_effect=Rival(0), paper=Rival(None, "not in the paper")),
    ),
    Prediction(
        "j11",
        "exact model, 16 labels: gap of the offset over DPO's",
        (0.22, 0.36),
        "as ODPO's, 0.27 in study (i): the labels' error arrives once, the margin nearly twice",
        gap_ratio("offset_madpo", "dpo", "exact", FEW),
        dict(no_effect=Rival(1), paper=Rival(None, "not in the paper")),
    ),
    Prediction(
        "j12",
        "c_max = 4, model wrong by 2 nats, 16 labels: gap of the offset clipped at 1 nat less that "
        "of the free one (nats)",
        (-np.inf, 0.0),
        "N5: clipped, no model moves a target by more than 1 nat",
        gap_difference("offset_madpo_clipped", "offset_madpo_4", WORST, FEW),
        dict(no_effect=Rival(0), paper=Rival(None, "not in the paper")),
    ),
    Prediction(
        "j13",
        "exact model, 16 labels: gap of the clipped offset less DPO's (nats)",
        (-np.inf, 0.0),
        "a nat of an exact model's margin is still more than labels alone tell",
        gap_difference("offset_madpo_clipped", "dpo", "exact", FEW),
        dict(no_effect=Rival(0), paper=Rival(None, "not in the paper")),
    ),
)


def reading(table):
    """Two lines."""

    def variance(name, model):
        found = values(table, "sampling_error", name, "dpo", model=model, labels=MANY) ** 2
        return found[:, 0].mean() / found[:, 1].mean()

    def gap(name, model):
        return values(table, "gap", name, model=model, labels=FEW).mean()

    lines = [
        f"{MANY:,} labels a pair, squared sampling error over DPO's, exact model and model "
        f"{WORST}: "
        + ", ".join(
            f"{name} {variance(name, 'exact'):.2f} and {variance(name, WORST):.2f}"
            for name in TRIPLES[0]
        )
        + "; at c_max = 4 "
        + ", ".join(
            f"{variance(name, 'exact'):.2f} and {variance(name, WORST):.2f}" for name in TRIPLES[1]
        )
        + ".",
        f"{FEW} labels a pair, reward below the best at equal KL: exact model "
        + ", ".join(f"{n} {gap(n, 'exact'):.4f}" for n in ("dpo", *TRIPLES[0]))
        + f"; model {WORST} "
        + ", ".join(
            f"{n} {gap(n, WORST):.4f}" for n in ("dpo", *TRIPLES[0], "offset_madpo_clipped")
        )
        + ".",
    ]
    return "\n".join(lines)


def drawn(table):
    """Sampling errors and gaps against the number of labels.

    Columns: quantity (sampling_error, gap), model, method, x (labels of a pair), y, low, high.
    """
    rows = table[table["design"] == "together"]
    rows = rows.assign(gap=rows[f"best_at_{KL:g}"] - rows[f"reward_at_{KL:g}"])
    return stacked(
        bands(rows, "labels", quantity, by=("model", "method"), quantity=quantity)
        for quantity in ("sampling_error", "gap")
    )
