"""Bradley-Terry worlds in which the losses are trained on sampled labels."""

from .problem import PairProblem, Solution, first_step, pair_targets, solve
from .solve.pairs import PairFit, fit_pairs
from .solve.table import (
    TableFit,
    expected_wins,
    fit_table,
    minimize_table,
    sampled_wins,
    table_certificate,
    weigh_wins,
)

__all__ = [
    "PairFit",
    "PairProblem",
    "Solution",
    "TableFit",
    "expected_wins",
    "first_step",
    "fit_pairs",
    "fit_table",
    "minimize_table",
    "pair_targets",
    "sampled_wins",
    "solve",
    "table_certificate",
    "weigh_wins",
]
