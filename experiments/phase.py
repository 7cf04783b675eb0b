"""Study (g): label noise against reward-model noise, where weighting starts to hurt."""

import itertools

import numpy as np

from madpo_theory.methods import Rdpo
from madpo_theory.simulate.bands import stacked
from madpo_theory.simulate.cell import Cell, Repeated, measure_repeated
from madpo_theory.simulate.predictions import Prediction, Rival, estimate, worst
from madpo_theory.simulate.reward_models import reward_model
from madpo_theory.simulate.study import Study
from madpo_theory.simulate.worlds import SampledLabels

from ._catalog import BETA, WORLDS, named

LEVELS = (0.0, 0.125, 0.25, 0.375, 0.5, 0.75, 1.0, 1.5, 2.0)  # nats of additive error
FLIPS = (0.0, 0.05, 0.1, 0.2, 0.3)
COUNTS = (16, 32, 64, 128, 256)  # labels of every pair
ENDLESS = 10**9  # labels of every pair that stand for infinitely many
KL = 0.5
SHOWN = ("madpo", "target_shaped", "distillation")
METHODS = named("dpo", "madpo", "madpo_class", "bounded_ratio", "target_shaped", "distillation")


def study(worlds=WORLDS):
    """The study: flips of endless labels, and finitely many labels without flips."""
    corners = [("flips", ENDLESS, flip) for flip in FLIPS]
    corners += [("counts", count, 0.0) for count in COUNTS]
    return Study(
        "phase",
        tuple(
            Repeated(
                Cell(
                    methods=METHODS + ((("rdpo", Rdpo(flip)),) if axis == "flips" else ()),
                    worlds=worlds,
                    model=reward_model("potential", level),
                    labels=SampledLabels(count, flip=flip),
                    beta=BETA,
                    keys=(("study", "phase"), ("axis", axis), ("flip", flip)),
                    divergences=(KL,),
                )
            )
            for axis, count, flip in corners
            for level in LEVELS
        ),
        measure_repeated,
        predictions=PREDICTIONS,
        reading=reading,
    )


def gains(table, method="madpo", **where):
    """Reward over DPO's at equal KL, nats: a DataFrame, a row a world, a column a level."""
    rows = table
    for column, value in where.items():
        rows = rows[rows[column] == value]
    wide = rows.pivot(index="world", columns=["method", "noise"], values=f"reward_at_{KL:g}")
    return wide[method] - wide["dpo"]


def advantage(table, method="madpo", **where):
    """:func:`gains` as (worlds, levels) in the worlds that both solve, and the levels."""
    gain = gains(table, method, **where).dropna()
    return gain.to_numpy(), gain.columns.to_numpy()


def crossing(levels):
    """Statistic: the first level at which means fall to 0, between levels by the square of them.

    0 if they are never above; NaN if they never fall to it.
    """
    squares = np.asarray(levels, dtype=float) ** 2

    def first(means):
        below = np.asarray(means) <= 0
        k = below.argmax(axis=-1)
        before = np.maximum(k - 1, 0)
        high, low = (
            np.take_along_axis(np.asarray(means), i[..., None], -1)[..., 0] for i in (before, k)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            at = squares[before] + (squares[k] - squares[before]) * high / (high - low)
        return np.where(below.any(axis=-1), np.where(k > 0, np.sqrt(np.abs(at)), 0.0), np.nan)

    return first


def predicted_crossing(table, count):
    """s with s^2 = v (2 + delta')/delta', v the variance that the labels leave a margin (R6)."""
    rows = table[(table["axis"] == "counts") & (table["labels"] == count) & (table["noise"] == 0)]
    labels = (rows[rows["method"] == "dpo"]["predicted_sampling_error"] ** 2).mean()
    slope = rows[rows["method"] == "madpo"]["local_slope"].mean()
    return float(np.sqrt(labels * (2 + slope) / slope))


def boundary(count):
    def measure(table):
        gain, levels = advantage(table, axis="counts", labels=count)
        predicted, cross = predicted_crossing(table, count), crossing(levels)
        return estimate(gain, lambda means: cross(means) / predicted)

    return measure


def never_better(table):
    gain, _ = advantage(table, axis="flips", flip=0.0)
    return worst(gain)


def rdpo_exact(table):
    rows = table[table["method"] == "rdpo"]
    return worst(np.abs(rows[f"best_at_{KL:g}"] - rows[f"reward_at_{KL:g}"]).dropna())


def rises(table):
    """Boundary at a fifth of the labels flipped less that at a twentieth."""
    few, levels = advantage(table, axis="flips", flip=0.05)
    many, _ = advantage(table, axis="flips", flip=0.2)
    cross, n = crossing(levels), len(levels)
    return estimate(
        np.hstack([few, many]), lambda means: cross(means[..., n:]) - cross(means[..., :n])
    )


PREDICTIONS = (
    Prediction(
        "g1",
        "largest reward of MADPO over DPO at equal KL, endless unflipped labels (nats)",
        (-np.inf, 1e-5),
        "B1: DPO is on the best frontier there; a billion labels a pair leave 1e-4 nats of z",
        never_better,
        dict(no_effect=Rival((-1e-5, 1e-5)), paper=Rival((1e-5, np.inf), "A7")),
    ),
    *(
        Prediction(
            f"g{number}",
            f"model error at which MADPO stops helping, {count} labels a pair, over its "
            "first-order value",
            (0.8, 1.25),
            "labels' error e, model's s: MADPO has (e^2 + delta'^2 s^2)/(1 + delta')^2 at equal "
            "KL, DPO e^2: equal at s^2 = e^2 (2 + delta')/delta', e^2 from the sandwich",
            boundary(count),
            dict(
                no_effect=Rival(None, "methods alike, none stops"),
                paper=Rival((beyond, np.inf), "A4, A7: not below 2 nats"),
            ),
        )
        # beyond: the largest error tried, 2 nats, over the first-order value 0.4448 sqrt(32/count)
        for number, count, beyond in ((2, 32, 4.5), (3, 64, 6.36), (4, 128, 8.99), (5, 256, 12.7))
    ),
    Prediction(
        "g6",
        "that error at a fifth of the labels flipped less at a twentieth (nats)",
        (0.0, np.inf),
        "the more flips flatten DPO's targets, the more an exact model has to add",
        rises,
        dict(
            no_effect=Rival(None, "methods alike, none stops"), paper=Rival(None, "A4: never stops")
        ),
    ),
    Prediction(
        "g7",
        "largest distance of rDPO, told the rate, from the best frontier, endless labels (nats)",
        (0.0, 1e-5),
        "its expected loss is DPO's on clean labels, so it needs no reward model against flips",
        rdpo_exact,
        # DPO's largest distance, at 30 % flipped
        dict(no_effect=Rival(0.0085, "DPO's"), paper=Rival(None, "not in the paper")),
    ),
)


def reading(table):
    """Two lines."""
    found = {}
    for axis, column, values in (("counts", "labels", (32, 256)), ("flips", "flip", (0.05, 0.2))):
        for value in values:
            gain, levels = advantage(table, axis=axis, **{column: value})
            found[value] = float(crossing(levels)(gain.mean(axis=0)))

    def words(value):
        at = found[value]
        return f"beyond {max(LEVELS):g}" if np.isnan(at) else f"{at:.2f}"

    return (
        f"With 32 labels a pair MADPO earns more than DPO at equal KL while the reward model errs "
        f"by less than {words(32)} nats (first order: {predicted_crossing(table, 32):.2f}), with "
        f"256 labels {words(256)} ({predicted_crossing(table, 256):.2f}).\n"
        f"With endless labels of which 5 % are flipped it does so below {words(0.05)} nats, with "
        f"20 % below {words(0.2)}; rDPO, told the rate, needs no reward model for it."
    )


def drawn(table):
    """Reward over DPO's at equal KL by label noise and model error, and where it should be 0.

    Columns: axis (counts, flips), method, across (labels of a pair, share flipped), noise, y,
    decided (1: its 95 % interval leaves out 0); axis "first order": the predicted noise.
    """
    import pandas

    pieces = []
    for axis, column in (("counts", "labels"), ("flips", "flip")):
        rows = table[table["axis"] == axis]
        for method, across in itertools.product(SHOWN, sorted(set(rows[column]))):
            gain = gains(rows, method, **{column: across})
            mean, error = gain.mean(), gain.std() / np.sqrt(gain.count())
            cells = pandas.DataFrame({"noise": gain.columns, "y": mean.to_numpy()})
            cells["decided"] = (mean.abs() > 1.96 * error).to_numpy().astype(int)
            pieces.append(cells.assign(axis=axis, method=method, across=across))
    line = [(count, predicted_crossing(table, count)) for count in COUNTS]
    pieces.append(pandas.DataFrame(line, columns=["across", "noise"]).assign(axis="first order"))
    return stacked(pieces)
