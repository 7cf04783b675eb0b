"""Study (c): reward-KL frontiers of all methods, with exact and wrong reward models and labels."""

import numpy as np

from madpo_theory.simulate.bands import bands, stacked
from madpo_theory.simulate.cell import Cell, measure_cell
from madpo_theory.simulate.predictions import Prediction, Rival, estimate, worst
from madpo_theory.simulate.reward_models import reward_model
from madpo_theory.simulate.study import Study
from madpo_theory.simulate.worlds import ExactLabels, SampledLabels

from ._catalog import BETA, WORLDS, named

DIVERGENCES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
KL = 0.5
FLIP = 0.1
LABELS = {
    "exact": ExactLabels(),
    "16 a pair": SampledLabels(16),
    "a tenth flipped": ExactLabels(flip=FLIP),
}
MODELS = {
    "exact": reward_model("exact"),
    "independent, 1 nat": reward_model("gaussian", 1.0),
    "additive, 1 nat": reward_model("potential", 1.0),
    "overconfident, 1 nat": reward_model("scaled", 1.0),
    "a tenth flipped": reward_model("flipped", FLIP),
}
METHODS = named(
    "dpo", "madpo", "madpo_4", "madpo_class", "bounded_ratio", "target_shaped", "efficient",
    "distillation", "ipo", "beta_dpo", "beta_dpo_madpo", "cdpo",
)  # fmt: skip


def study(worlds=WORLDS):
    """The study; rDPO is asked where labels are flipped as often as it is told."""
    return Study(
        "frontier",
        tuple(
            Cell(
                methods=METHODS + (named("rdpo") if labels == "a tenth flipped" else ()),
                worlds=worlds,
                model=model,
                labels=law,
                beta=BETA,
                keys=(("study", "frontier"), ("labels", labels), ("model", name)),
                divergences=DIVERGENCES,
            )
            for labels, law in LABELS.items()
            for name, model in MODELS.items()
        ),
        measure_cell,
        predictions=PREDICTIONS,
        reading=reading,
    )


def gaps_at(table, labels, model, *methods, kl=KL):
    """Reward below the best at a divergence (worlds, methods), nats; worlds that all solve."""
    rows = table[(table["labels"] == labels) & (table["model"] == model)]
    rows = rows.assign(gap=rows[f"best_at_{kl:g}"] - rows[f"reward_at_{kl:g}"])
    wide = rows.pivot(index="world", columns="method", values="gap")[list(methods)]
    return wide.dropna().to_numpy()


def largest_gap(method, labels):
    """Over all worlds, reward models and divergences."""

    def measure(table):
        rows = table[(table["method"] == method) & (table["labels"] == labels)]
        every = [rows[f"best_at_{kl:g}"] - rows[f"reward_at_{kl:g}"] for kl in DIVERGENCES]
        return worst(np.abs(every))

    return measure


def share_lost(table):
    gap = gaps_at(table, "exact", "exact", "madpo")[:, 0]
    best = table[table["method"] == "madpo"].groupby("world")[f"best_at_{KL:g}"].first().mean()
    return estimate(gap / best)


def difference(labels, model, more, less):
    def measure(table):
        gaps = gaps_at(table, labels, model, more, less)
        return estimate(gaps[:, 0] - gaps[:, 1])

    return measure


def averaging_ratio(table):
    """MADPO's gap over DPO's, 16 labels a pair and an exact reward model, times slope^2."""
    gaps = gaps_at(table, "16 a pair", "exact", "madpo", "dpo")
    rows = table[(table["method"] == "madpo") & (table["labels"] == "exact")]
    slope = 1 + rows[rows["model"] == "exact"]["local_slope"].mean()
    return estimate(gaps, lambda means: means[..., 0] / means[..., 1] * slope**2)


PREDICTIONS = (
    Prediction(
        "c1",
        "largest distance of DPO from the best frontier, exact labels, any reward model (nats)",
        (0.0, 1e-6),
        "B1: its scores are the true rewards, whose tilt is the best policy at every KL",
        largest_gap("dpo", "exact"),
        dict(no_effect=Rival((0, 1e-6)), paper=Rival((1e-6, np.inf), "A7: DPO can be beaten")),
    ),
    Prediction(
        "c2",
        f"share of the best reward at KL {KL:g} that MADPO loses, exact labels and reward model",
        (0.0, 1e-3),
        "L5: nearly all that the schedule does to margins of about 1.4 nats is a temperature",
        share_lost,
        dict(no_effect=Rival((0, 1e-6)), paper=Rival((-np.inf, 1e-6), "A7: no more than DPO")),
    ),
    Prediction(
        "c3",
        "gap of distillation less gap of MADPO, exact labels, additive error of 1 nat (nats)",
        (0.0, np.inf),
        "N3: without labels the error arrives 1 + delta' times, with them delta' times",
        difference("exact", "additive, 1 nat", "distillation", "madpo"),
        dict(no_effect=Rival(0), paper=Rival(None, "no distillation there")),
    ),
    Prediction(
        "c4",
        "gap of MADPO less gap of the target-shaped weight, same setting (nats)",
        (0.0, np.inf),
        "R1: delta' is about 1 for MADPO's small margins and at most 1 and falling for the other",
        difference("exact", "additive, 1 nat", "madpo", "target_shaped"),
        dict(no_effect=Rival(0), paper=Rival(None, "not in the paper")),
    ),
    Prediction(
        "c5",
        "gap of MADPO over gap of DPO, 16 labels a pair, exact reward model, times (1 + mean "
        "delta')^2",
        (0.8, 1.25),
        "the labels' error arrives once, the margin 1 + delta' times: at equal KL it counts that "
        "much less, and its square decides",
        averaging_ratio,
        # (1 + mean delta')^2
        dict(no_effect=Rival(3.82, "gaps alike"), paper=Rival((0, 3.82), "A7: less than DPO's")),
    ),
    Prediction(
        "c6",
        "gap of MADPO less gap of DPO, 16 labels a pair, additive error of 1 nat (nats)",
        (0.0, np.inf),
        "weighting helps while the model's error variance is below (2 + delta')/delta' times the "
        "labels'; 16 labels a pair leave about 0.1 square nats, and three times that is below 1",
        difference("16 a pair", "additive, 1 nat", "madpo", "dpo"),
        dict(no_effect=Rival(0), paper=Rival((-np.inf, 0), "A4, A7")),
    ),
    Prediction(
        "c7",
        "largest distance of rDPO, told the rate, from the best frontier, flipped labels (nats)",
        (0.0, 1e-6),
        "its expected loss is DPO's on clean labels",
        largest_gap("rdpo", "a tenth flipped"),
        dict(no_effect=Rival(0.0032, "DPO's"), paper=Rival(None, "not in the paper")),
    ),
    Prediction(
        "c8",
        "gap of MADPO less gap of DPO, a tenth of the labels flipped, exact reward model (nats)",
        (-np.inf, 0.0),
        "flips flatten DPO's large targets; delta(h) adds to them what an exact model knows",
        difference("a tenth flipped", "exact", "madpo", "dpo"),
        dict(no_effect=Rival(0), paper=Rival((-np.inf, 0), "A7")),
    ),
)


def reading(table):
    """Two lines."""
    names = [name for name, _ in METHODS]

    def order(labels, model):
        mean = dict(zip(names, gaps_at(table, labels, model, *names).mean(axis=0), strict=True))
        told = sorted(mean, key=mean.get)
        return f"{told[0]} ({abs(mean[told[0]]):.4f}) to {told[-1]} ({mean[told[-1]]:.4f})"

    return (
        f"Nats of reward below the best frontier at KL {KL:g}: with exact labels and reward model "
        f"{order('exact', 'exact')}; with an additive error of 1 nat "
        f"{order('exact', 'additive, 1 nat')}.\n"
        f"With 16 labels a pair and an exact model {order('16 a pair', 'exact')}; with that error "
        f"{order('16 a pair', 'additive, 1 nat')}; with a tenth of the labels flipped and an exact "
        f"model {order('a tenth flipped', 'exact')}."
    )


def drawn(table):
    """Nats below the best frontier. Columns: labels, model, method, x (KL), y, low, high."""
    return stacked(
        bands(
            table.assign(kl=kl),
            "kl",
            table[f"best_at_{kl:g}"] - table[f"reward_at_{kl:g}"],
            by=("labels", "model", "method"),
        )
        for kl in DIVERGENCES
    )
