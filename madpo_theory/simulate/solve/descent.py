"""Gradient descent on thousands of tables, and where it stands on the way (T6)."""

from dataclasses import dataclass

import torch

from ...ops import check_number, torch_world
from ...risk import logistic_risk
from .fits import check_offsets, check_pair_total, check_tables
from .layout import chunks, fold, layout_of, length_of
from .newton import derivatives

__all__ = ["Trajectory", "train_tables"]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Where first-order training stood after chosen numbers of steps.

    Attributes
    ----------
    steps : (T,) the numbers of steps, ascending.
    scores : (T, B, K) nats of z; gradient steps from equal scores keep mean 0.
    loss : (T, B) the loss there, in the unit of the masses.
    gradient_norm : (T, B) length of its gradient.
    """

    steps: tuple[int, ...]
    scores: torch.Tensor
    loss: torch.Tensor
    gradient_norm: torch.Tensor


def train_tables(wins, *, rate, record, offsets=None, signed=False, chunk=None):
    """Train B tables from s = 0 by full-batch gradient descent, and look on (T6).

    Parameters
    ----------
    wins, offsets, signed : as in :func:`~madpo_theory.simulate.solve.newton.minimize_tables`; the
        loss is ``sum_ij wins[b, i, j] l(s_i - s_j - offsets[b, i, j])`` as it stands, so that the
        scale of the masses scales the steps.
    rate : step size > 0 for the scores z. A rate eta on log-probabilities of temperature beta is
        beta^2 eta here.
    record : numbers of steps after which to record, ascending, from 0 on; the last is the budget.
    """
    wins = check_tables("wins", wins, signed=signed)
    if signed:
        check_pair_total(wins + wins.mT, "wins: pair masses")
    if offsets is not None:
        offsets = check_offsets(offsets, wins)
    check_number("rate", rate, "rate > 0", lambda v: v > 0)
    record = tuple(record)
    whole = all(isinstance(n, int) and n >= 0 for n in record)
    if not record or not whole or list(record) != sorted(set(record)):
        raise ValueError(f"record must be ascending numbers of steps >= 0, got {record}")
    count, size = wins.shape[:2]
    scores = wins.new_empty((len(record), count, size))
    losses, norms = wins.new_empty((2, len(record), count))
    layout = layout_of(size, wins.device)
    for at in chunks(count, size, chunk):
        p, q = layout.labels(wins[at])
        moved = None if offsets is None else layout.labels(offsets[at])
        total, s, at_record = p + q, wins.new_zeros((size, p.shape[1])), 0
        for step in range(record[-1] + 1):
            gradient = derivatives(layout, p, q, total, s, moved)[0]
            if step == record[at_record]:
                scores[at_record, at] = s.t()
                z = layout.differences(s)
                losses[at_record, at] = fold(logistic_risk(torch_world, z, p, q, moved))
                norms[at_record, at] = length_of(gradient)
                at_record += 1
            s = s - rate * gradient
    return Trajectory(record, scores, losses, norms)
