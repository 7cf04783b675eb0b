"""One cell of a study: some worlds, one reward model, several methods, everything measured."""

from dataclasses import dataclass, field

import numpy as np

from ..corrected import BoundedRatioWeight, EfficientWeight, TargetShapedWeight
from ..ops import check_number
from .measure import frontier, measure
from .methods import BoundedRatio, Efficient, Madpo, PairProblem, TargetShaped, method_of, solve
from .reward_models import ExactModel, RewardModel, draw_margins
from .worlds import (
    AllPairs,
    ExactLabels,
    WorldsConfig,
    draw_labels,
    draw_worlds,
    pair_sampling,
    to_problems,
)

__all__ = ["Cell", "measure_cell"]


@dataclass(frozen=True)
class Cell:
    """Settings that share worlds, labels and a reward model.

    Attributes
    ----------
    methods : (name, Method) pairs, or names of :data:`~madpo_theory.simulate.methods.METHODS`.
    keys : (column, value) pairs that tell the cell from others in the table.
    constants : (method name, L, D) triples: the certified sensitivity and influence of a method's
        weight, for the theory's columns.
    divergences : KL values, nats, at which the reward on the method's own frontier is taken.
    """

    methods: tuple
    worlds: WorldsConfig = field(default_factory=WorldsConfig)
    model: RewardModel = field(default_factory=ExactModel)
    sampling: object = field(default_factory=AllPairs)
    labels: object = field(default_factory=ExactLabels)
    beta: float = 0.1
    keys: tuple = ()
    constants: tuple = ()
    divergences: tuple = ()

    def __post_init__(self):
        check_number("beta", self.beta, "beta > 0", lambda v: v > 0)
        for _, method in self.named():
            method_of(method)

    def named(self):
        """(name, Method) of each method."""
        return [(m, method_of(m)) if isinstance(m, str) else m for m in self.methods]


def weighting_behind(method):
    """What a method weighs labels by; None for unit weights and for distillation, whose do not."""
    made = {
        BoundedRatio: lambda m: BoundedRatioWeight(m.schedule),
        TargetShaped: lambda m: TargetShapedWeight(m.target),
        Efficient: lambda m: EfficientWeight(m.base),
        Madpo: lambda m: m.weighting,
    }
    return made[type(method)](method) if type(method) in made else None


def measure_cell(cell, indices, seed, device):
    """Columns with a row for each method and world: keys, method, world, converged, measurements.

    A world in which a prompt has not converged is a row with converged false and NaN measurements.
    """
    worlds = draw_worlds(cell.worlds, seed, indices)
    sampling = pair_sampling(cell.sampling, worlds)
    labels = draw_labels(cell.labels, worlds, sampling)
    margins = draw_margins(cell.model, worlds, labels)
    problem = PairProblem(
        to_problems(labels.masses, device), to_problems(margins, device), beta=cell.beta
    )
    pieces = []
    for name, method in cell.named():
        solution = solve(method, problem)
        m = solution.m.cpu().numpy().reshape(worlds.shape)
        converged = np.isfinite(m).all(axis=(1, 2))
        m = np.where(np.isfinite(m), m, 0.0)
        known = {n: limits for n, *limits in cell.constants}
        sensitivity, influence = known.get(name, (None, None))
        found = measure(
            worlds,
            margins,
            sampling,
            labels.masses,
            m,
            beta=cell.beta,
            weighting=weighting_behind(method),
            lipschitz=sensitivity,
            limit=influence,
        )
        columns = found.columns()
        if cell.divergences:
            at = frontier(worlds, m, cell.divergences).reward
            columns |= {f"reward_at_{kl:g}": at[:, k] for k, kl in enumerate(cell.divergences)}
        count = len(worlds.indices)
        pieces.append(
            {
                **{key: [value] * count for key, value in cell.keys},
                "method": [name] * count,
                "world": list(worlds.indices),
                "seed": [seed] * count,
                "noise": [float(cell.model.noise or 0)] * count,
                "beta": [cell.beta] * count,
                "converged": converged.tolist(),
                **{k: np.where(converged, v, np.nan).tolist() for k, v in columns.items()},
            }
        )
    return {key: [x for piece in pieces for x in piece[key]] for key in pieces[0]}
