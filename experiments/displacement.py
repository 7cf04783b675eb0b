"""Study (h): whose chosen response loses probability, at the optimum and in the first step."""

from dataclasses import replace

import numpy as np
from scipy.special import expit, softmax

from madpo_theory.simulate.bands import stacked
from madpo_theory.simulate.cell import Cell, measure_displacement
from madpo_theory.simulate.predictions import Prediction, Rival, estimate, worst
from madpo_theory.simulate.study import Study
from madpo_theory.simulate.worlds import FileRewards, SoftmaxReference, UniformReference, gaps

from ._catalog import BETA, PAIRWISE, WORLDS, named

REFERENCES = {
    "uniform": UniformReference(),
    "knows the reward": SoftmaxReference(0.5),  # correlation with it
}
SIZES = (2, 3, 6)
ORDERED = (
    "dpo", "madpo", "bounded_ratio", "target_shaped", "efficient", "distillation", "ipo", "cdpo",
)  # fmt: skip
"""Margin losses with a reference whose tables of two responses have a minimizer."""


def study(worlds=WORLDS):
    """The study; a user's rewards keep their number of responses."""
    sizes = (worlds.responses,) if isinstance(worlds.rewards, FileRewards) else SIZES
    return Study(
        "displacement",
        tuple(
            Cell(
                methods=named(*PAIRWISE),
                worlds=replace(worlds, responses=size, reference=law),
                beta=BETA,
                keys=(("study", "displacement"), ("policy", name)),
            )
            for size in sizes
            for name, law in REFERENCES.items()
        ),
        measure_displacement,
        predictions=PREDICTIONS,
        reading=reading,
    )


def by_formula(size, correlation=0.0, beta=BETA, prompts=20_000):
    """(chosen falls, both fall) at DPO's optimum, (the same) in its first step, shares of labels.

    Of the formulas alone: standard normal rewards, a reference of that correlation with them, or
    a uniform one. h3, h4, h5 and h7 were predicted from it.
    """
    rng = np.random.default_rng(1)
    rewards = rng.normal(size=(prompts, size))
    score = correlation * rewards
    if correlation:
        score = score + np.sqrt(1 - correlation**2) * rng.normal(size=rewards.shape)
    reference, wins = softmax(score, axis=1), expit(gaps(rewards)) * (1 - np.eye(size))
    level = np.log((reference * np.exp(rewards / beta)).sum(1, keepdims=True))
    won = wins.sum(2)
    shares = []
    for falls in (rewards / beta < level, won < (reference * won).sum(1, keepdims=True)):
        for seen in (falls[:, :, None], falls[:, :, None] & falls[:, None, :]):
            shares.append(float((wins * seen).sum() / wins.sum()))
    return tuple(shares[:2]), tuple(shares[2:])


def values(table, column, *methods, size=6, policy="uniform"):
    """A column (worlds, methods) in the worlds that all of them solve."""
    rows = table[(table["responses"] == size) & (table["policy"] == policy)]
    wide = rows.pivot(index="world", columns="method", values=column)
    return wide.reindex(columns=list(methods)).dropna().to_numpy()


def mean(column, method="dpo", **where):
    return lambda table: estimate(values(table, column, method, **where))


def difference(column, more, less, **where):
    def measure(table):
        found = values(table, column, more, less, **where)
        return estimate(found[:, 0] - found[:, 1])

    return measure


def largest_of_two(table):
    """How far the share that falls is from that of labels which z disagrees with, K = 2."""
    rows = table[(table["responses"] == 2) & table["method"].isin(ORDERED)]
    return worst(abs(rows["chosen_falls"] - (1 - rows["label_accuracy"])))


def largest_difference(column, *methods):
    """Of any two methods in any world, six responses and a uniform reference."""

    def measure(table):
        found = values(table, column, *methods)
        return worst(np.ptp(found, axis=1))

    return measure


def knowing(table):
    """DPO's share under the reference that knows the reward, less that under the uniform one."""
    known = values(table, "chosen_falls", "dpo", policy="knows the reward")
    return estimate((known - values(table, "chosen_falls", "dpo"))[:, 0])


PREDICTIONS = (
    Prediction(
        "h1",
        "two responses: largest distance of the share whose chosen response falls from the share "
        "of labels that the fitted margin disagrees with; eight margin losses, both references",
        (0.0, 1e-9),
        "of two probabilities that add up to 1 the preferred one rises, whatever the reference: "
        "only the chosen responses of labels against the order fall",
        largest_of_two,
        dict(no_effect=Rival(None, "an identity"), paper=Rival(None, "speaks of no displacement")),
    ),
    Prediction(
        "h2",
        "two responses: largest share of labels both of whose responses lose probability, any "
        "method",
        (0.0, 1e-9),
        "two probabilities add up to 1",
        lambda table: worst(table[table["responses"] == 2]["both_fall"].dropna()),
        dict(no_effect=Rival(None, "an identity"), paper=Rival(None, "speaks of no displacement")),
    ),
    Prediction(
        "h3",
        "six responses: share of labels whose chosen response falls at DPO's optimum",
        (0.541, 0.571),
        "B1: log pi - log pi_ref = r/beta - log E e^(r/beta); 0.556 by that formula (by_formula)",
        mean("chosen_falls"),
        dict(
            no_effect=Rival(None, "no weight in it"), paper=Rival(None, "speaks of no displacement")
        ),
    ),
    Prediction(
        "h4",
        "six responses: the same share in DPO's first step",
        (0.318, 0.348),
        "a response falls that wins less often than the reference's mean; 0.333 by the formula",
        mean("step_chosen_falls"),
        dict(
            no_effect=Rival(None, "no weight in it"), paper=Rival(None, "speaks of no displacement")
        ),
    ),
    Prediction(
        "h5",
        "six responses: that share at MADPO's optimum less DPO's at the same beta",
        (0.04, 0.085),
        "L5: nearly a temperature; twice as sharp a policy would be 0.633 - 0.556 = 0.077",
        difference("chosen_falls", "madpo", "dpo"),
        dict(no_effect=Rival(0), paper=Rival(None, "speaks of no displacement")),
    ),
    Prediction(
        "h6",
        "six responses: MADPO's share less DPO's in the first step",
        (-0.02, 0.02),
        "a step's sign depends on whether a response wins, not on how its labels are weighed",
        difference("step_chosen_falls", "madpo", "dpo"),
        dict(no_effect=Rival(0), paper=Rival(None, "speaks of no displacement")),
    ),
    Prediction(
        "h7",
        "six responses: DPO's share under a reference that knows the reward (correlation 1/2) less "
        "that under the uniform one",
        (0.029, 0.059),
        "what the reference likes already counts more in E e^(r/beta): 0.601 - 0.556",
        knowing,
        dict(no_effect=Rival(0), paper=Rival(None, "speaks of no displacement")),
    ),
    Prediction(
        "h8",
        "six responses, first step: largest difference in a world between DPO, DPO-Shift and RPO",
        (0.0, 1e-9),
        "where all pairs are labelled both change the push on a response by a multiple of its "
        "wins and a constant, which a softmax of equal probabilities takes out; the paper of "
        "DPO-Shift claims that the chosen response falls less",
        largest_difference("step_chosen_falls", "dpo", "dpo_shift", "rpo"),
        dict(no_effect=Rival((0, 1e-9)), paper=Rival(None, "speaks of no displacement")),
    ),
    Prediction(
        "h9",
        "six responses: RPO's share at its optimum less DPO's",
        (-0.2, -0.01),
        "the likelihood term alone has its optimum at the shares of wins, a flatter policy than "
        "pi_ref e^(r/beta)",
        difference("chosen_falls", "rpo", "dpo"),
        dict(no_effect=Rival(0), paper=Rival(None, "speaks of no displacement")),
    ),
    Prediction(
        "h10",
        "six responses: IPO's share at its optimum less DPO's",
        (-0.12, -0.02),
        "IPO asks for tanh(h*/2)/2 where DPO asks for h*: a policy less than half as sharp, and "
        "the flatter the policy, the nearer E e^(r/beta) is to the middle",
        difference("chosen_falls", "ipo", "dpo"),
        dict(no_effect=Rival(0), paper=Rival(None, "speaks of no displacement")),
    ),
    Prediction(
        "h11",
        "six responses: the offset MADPO's share at its optimum less MADPO's",
        (-0.01, 0.01),
        "N5: the same pair targets, which nearly add up with an exact model: nearly one policy",
        difference("chosen_falls", "offset_madpo", "madpo"),
        dict(no_effect=Rival(0), paper=Rival(None, "speaks of no displacement")),
    ),
    Prediction(
        "h12",
        "six responses: the offset MADPO's share less DPO's in the first step",
        (-0.02, 0.02),
        "as h6: each label pushes its response up, and how hard decides no sign",
        difference("step_chosen_falls", "offset_madpo", "dpo"),
        dict(no_effect=Rival(0), paper=Rival(None, "speaks of no displacement")),
    ),
)


def reading(table):
    """Two lines."""
    shares = _shares(table)
    low, high = shares["chosen_falls"].idxmin(), shares["chosen_falls"].idxmax()
    dpo = shares.loc["dpo"]
    steps = shares["step_chosen_falls"]
    return (
        f"With six responses and a uniform reference {100 * dpo['chosen_falls']:.0f} % of DPO's "
        f"labels see their chosen response lose probability at the optimum, "
        f"{100 * dpo['both_fall']:.0f} % both responses, and "
        f"{100 * dpo['step_chosen_falls']:.0f} % the chosen one in the first step; with two "
        "responses it is the labels against the order.\n"
        f"Over {len(shares)} methods at their defaults the share at the optimum runs from "
        f"{100 * shares['chosen_falls'][low]:.0f} % ({low}) to "
        f"{100 * shares['chosen_falls'][high]:.0f} % ({high}), in the first step from "
        f"{100 * steps.min():.0f} % ({steps.idxmin()}) to {100 * steps.max():.0f} % "
        f"({steps.idxmax()})."
    )


def _shares(table, policy="uniform"):
    """Means by method of the methods that all worlds solve, at the most responses."""
    most = table["responses"] == table["responses"].max()
    rows = table[most & (table["policy"] == policy)]
    columns = ["chosen_falls", "both_fall", "step_chosen_falls"]
    solved = rows.groupby("method")["converged"].all()
    return rows[rows["method"].isin(solved.index[solved])].groupby("method")[columns].mean()


def drawn(table):
    """Shares of labels. Columns: policy, method, optimum, both, step; the most responses."""
    return stacked(
        _shares(table, policy=policy)
        .rename(
            columns={"chosen_falls": "optimum", "both_fall": "both", "step_chosen_falls": "step"}
        )
        .reset_index()
        .assign(policy=policy)
        for policy in REFERENCES
    )
