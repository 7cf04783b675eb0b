"""Study (e): easy and hard pairs, who is amplified and who is dampened, by method."""

import itertools
from dataclasses import replace

import numpy as np

from madpo_theory.simulate.bands import stacked
from madpo_theory.simulate.cell import Binned, Cell, measure_bins
from madpo_theory.simulate.predictions import Prediction, Rival, estimate, worst
from madpo_theory.simulate.reward_models import reward_model
from madpo_theory.simulate.study import Study
from madpo_theory.simulate.worlds import FileRewards

from ._catalog import BETA, WIDE, named

EDGES = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 12.0)
MODELS = {"exact": reward_model("exact"), "independent, 1 nat": reward_model("gaussian", 1.0)}
METHODS = named(
    "dpo", "madpo", "madpo_4", "madpo_class", "bounded_ratio", "target_shaped", "efficient",
    "distillation", "ipo", "beta_dpo", "cdpo",
)  # fmt: skip


def study(worlds=WIDE):
    """The study: the pairs of two responses, each alone, and those of several, which must add."""
    more = 1 if isinstance(worlds.rewards, FileRewards) else 8  # a file has the prompts it has
    alone = replace(worlds, prompts=more * worlds.prompts, responses=2)
    return Study(
        "pairs",
        tuple(
            Binned(
                Cell(
                    methods=METHODS,
                    worlds=law,
                    model=model,
                    beta=BETA,
                    keys=(("study", "pairs"), ("design", design), ("model", name)),
                ),
                EDGES,
            )
            for design, law in (("alone", alone), ("together", worlds))
            for name, model in MODELS.items()
        ),
        measure_bins,
        predictions=PREDICTIONS,
        reading=reading,
    )


def in_bin(table, design, low, method, model="exact"):
    """Rows of a bin, a world each."""
    keep = (table["design"] == design) & (table["low"] == low) & (table["method"] == method)
    rows = table[keep & (table["model"] == model) & (table["share"] > 0)].set_index("world")
    return rows.sort_index()


def ratio(design, low, above, below="true_margin", method="madpo", other=None, model="exact"):
    """Sum over pairs of a bin of one column over that of another (of another method)."""

    def measure(table):
        first = in_bin(table, design, low, method, model)
        second = first if other is None else in_bin(table, design, low, other, model)
        values = np.column_stack(
            [first["share"] * first[above], (second["share"] * second[below]).loc[first.index]]
        )
        values = values[np.isfinite(values).all(axis=1)]
        return estimate(values, lambda means: means[..., 0] / means[..., 1])

    return measure


def unmet(table):
    rows = table[(table["design"] == "alone")].dropna(subset=["fitted", "pair_target"])
    return worst(np.abs(rows["fitted"] - rows["pair_target"]))


PREDICTIONS = (
    Prediction(
        "e1",
        "largest distance of z from its own pair target, pairs alone, all methods (nats)",
        (0.0, 1e-5),
        "T1 and B2: the minimizer of one pair is its target; what the solver leaves remains",
        unmet,
        dict(
            no_effect=Rival(11.1, "z is h*"),
            paper=Rival((0, 1e-5), "A2: targets are met"),
        ),
    ),
    Prediction(
        "e2",
        "first gradient step of MADPO over DPO's, pairs alone of less than 1/2 nat",
        (1.88, 2.0),
        "T6: tanh(c h/2)/tanh(h/2), between its value at h = 1/2 and its limit c(0) < 2",
        ratio("alone", 0.0, "first_step", "first_step", other="dpo"),
        dict(no_effect=Rival(1), paper=Rival((1, np.inf), "A2: amplified")),
    ),
    Prediction(
        "e3",
        "the same, pairs alone of 5 to 6 nats",
        (1.0, 1.02),
        "T6: both hyperbolic tangents are nearly 1",
        ratio("alone", 5.0, "first_step", "first_step", other="dpo"),
        dict(no_effect=Rival(1), paper=Rival((1, np.inf), "A2: amplified below tau")),
    ),
    Prediction(
        "e4",
        "z over true margin, MADPO, pairs alone of 7 to 8 nats",
        (1 - 0.0053 / 7, 1.0),
        "T3: not dampened; at most 0.0052 nats are lost at the released schedule",
        ratio("alone", 7.0, "fitted"),
        dict(no_effect=Rival(1), paper=Rival((0.71, 0.98), "A2: dampened by c(h)")),
    ),
    Prediction(
        "e5",
        "z over true margin, bounded ratio, pairs alone of 7 to 8 nats",
        (0.71, 0.98),
        "N1: c(|h*|), which is 0.977 at 7 and 0.715 at 8 nats",
        ratio("alone", 7.0, "fitted", method="bounded_ratio"),
        dict(no_effect=Rival(1), paper=Rival(None, "not in the paper")),
    ),
    Prediction(
        "e6",
        "z over its own target, MADPO, six responses, pairs of less than 1/2 nat",
        (0.5, 1.0),
        "L4: below tau targets of adjacent pairs add to more than that of the outer one; the fit "
        "lies between, so near pairs get less than their target",
        ratio("together", 0.0, "fitted", "pair_target"),
        # mean true margin over mean target, as in e7
        dict(no_effect=Rival(0.501, "z is h*"), paper=Rival(1, "A2: targets are met")),
    ),
    Prediction(
        "e7",
        "z over its own target, MADPO, six responses, pairs of 5 to 6 nats",
        (1.0, 2.0),
        "L4: and far pairs get more",
        ratio("together", 5.0, "fitted", "pair_target"),
        dict(no_effect=Rival(0.658, "z is h*"), paper=Rival(1, "A2: targets are met")),
    ),
    Prediction(
        "e8",
        "z over true margin, MADPO, six responses, pairs of 7 to 8 nats",
        (1.0, 2.0),
        "T3 and L4: not dampened even by the other pairs",
        ratio("together", 7.0, "fitted"),
        dict(no_effect=Rival(1), paper=Rival((0.71, 0.98), "A2: dampened by c(h)")),
    ),
)


def reading(table):
    """What near and far pairs get, alone and together; only of pairs that the worlds have."""
    named = {"madpo": "MADPO", "bounded_ratio": "the bounded ratio"}
    shaped = {"target_shaped": "the target-shaped weight"}
    bins = {0.0: "pairs below 1/2 nat", 7.0: "pairs of 7 to 8 nats"}

    def times(design, low, methods):
        """How much of its margin a pair of that bin gets, by method; empty if there is none."""
        found = []
        for method, name in methods.items():
            rows = in_bin(table, design, low, method, "exact")
            total = (rows["share"] * rows["true_margin"]).sum()
            if total > 0:
                share = (rows["share"] * rows["fitted"]).sum() / total
                unit = "" if found else " times their margin"
                found.append(f"{share:.{2 if low == 0 else 3}f}{unit} from {name}")
        return f"{bins[low]} get {', '.join(found)}" if found else ""

    lines = {
        "Alone": [times("alone", low, named | shaped) for low in bins],
        "In a policy that must add them": [times("together", low, named) for low in bins],
    }
    told = [f"{how}, {'; '.join(filter(None, of))}." for how, of in lines.items() if any(of)]
    return "\n".join(told) or "No pair has a margin below 1/2 nat or of 7 to 8 nats."


def drawn(table):
    """z over true margin, and the first gradient step over DPO's (T6), by size of the margin.

    Columns: quantity (z, step), design, model, method, x (mean true margin of a bin), y, low, high.
    """
    import pandas

    cells = [("z", design, name) for design in ("alone", "together") for name in MODELS]
    rows = []
    for quantity, design, model in (*cells, ("step", "alone", "exact")):
        step = quantity == "step"
        columns = ("first_step", "first_step") if step else ("fitted", "true_margin")
        for (method, _), low in itertools.product(METHODS, EDGES[:-1]):
            here = in_bin(table, design, low, method, model)
            if not len(here):
                continue
            other = "dpo" if step else None
            found = ratio(design, low, *columns, method=method, other=other, model=model)(table)
            x = (here["share"] * here["true_margin"]).sum() / here["share"].sum()
            rows.append((quantity, design, model, method, x, found.value, found.low, found.high))
    names = ["quantity", "design", "model", "method", "x", "y", "low", "high"]
    return stacked([pandas.DataFrame(rows, columns=names).dropna()])
