"""Bradley-Terry worlds in which the losses are trained on sampled labels."""

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
    "TableFit",
    "expected_wins",
    "fit_pairs",
    "fit_table",
    "minimize_table",
    "sampled_wins",
    "table_certificate",
    "weigh_wins",
]
