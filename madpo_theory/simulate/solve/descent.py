"""First-order training of thousands of tables, and where it stands on the way (T6)."""

from dataclasses import dataclass

import torch

from ...ops import check_number
from .fits import check_pair_total, check_tables
from .layout import chunks, columns_of, fold, layout_of, length_of
from .newton import derivatives

__all__ = ["Trajectory", "train_tables"]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Where first-order training stood after chosen numbers of steps.

    Attributes
    ----------
    steps : (T,) the numbers of steps, ascending.
    scores : (T, B, K) nats of z; first-order steps from equal scores keep mean 0.
    loss : (T, B) the loss there, in the unit of the masses.
    gradient_norm : (T, B) length of its gradient.
    """

    steps: tuple[int, ...]
    scores: torch.Tensor
    loss: torch.Tensor
    gradient_norm: torch.Tensor


OPTIMIZERS = ("gd", "adam")


def _loss(pairs, p, q, scores):
    """p l(z) + q l(-z) summed over pairs (n,)."""
    z = pairs.differences(scores)
    tail = torch.log1p(torch.exp(-z.abs()))
    return fold(p * (tail - z.clamp_max(0)) + q * (tail + z.clamp_min(0)))


def train_tables(
    wins,
    *,
    rate,
    record,
    optimizer="gd",
    signed=False,
    betas=(0.9, 0.999),
    eps=1e-8,
    chunk=None,
):
    """Train B tables from s = 0 by full-batch gradient descent or Adam, and look on (T6).

    Parameters
    ----------
    wins, signed : as in :func:`~madpo_theory.simulate.solve.newton.minimize_tables`; the loss is
        ``sum_ij wins[b, i, j] l(s_i - s_j)`` as it stands, so that the scale of the masses scales
        the steps of gradient descent.
    rate : step size > 0 for the scores z. A rate eta on log-probabilities of temperature beta is
        beta^2 eta here for gradient descent, beta eta for Adam.
    record : numbers of steps after which to record, ascending, from 0 on; the last is the budget.
    betas, eps : Adam's, as in torch.optim.Adam.
    """
    wins = check_tables("wins", wins, signed=signed)
    if signed:
        check_pair_total(wins + wins.mT, "wins: pair masses")
    check_number("rate", rate, "rate > 0", lambda v: v > 0)
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer must be one of {OPTIMIZERS}, got {optimizer!r}")
    for name, value in zip(("betas[0]", "betas[1]"), betas, strict=True):
        check_number(name, value, f"0 <= {name} < 1", lambda v: 0 <= v < 1)
    check_number("eps", eps, "eps > 0", lambda v: v > 0)
    record = tuple(record)
    whole = all(isinstance(n, int) and n >= 0 for n in record)
    if not record or not whole or list(record) != sorted(set(record)):
        raise ValueError(f"record must be ascending numbers of steps >= 0, got {record}")
    count, size = wins.shape[:2]
    scores = wins.new_empty((len(record), count, size))
    losses, norms = wins.new_empty((2, len(record), count))
    layout = layout_of(size, wins.device)
    for at in chunks(count, size, chunk):
        columns = columns_of(wins[at])
        p, q = (columns.index_select(0, rows) for rows in (layout.forward, layout.backward))
        total, s = p + q, wins.new_zeros((size, p.shape[1]))
        first, second, at_record = torch.zeros_like(s), torch.zeros_like(s), 0
        for step in range(record[-1] + 1):
            gradient = derivatives(layout, p, q, total, s)[0]
            if step == record[at_record]:
                scores[at_record, at] = s.t()
                losses[at_record, at] = _loss(layout, p, q, s)
                norms[at_record, at] = length_of(gradient)
                at_record += 1
            if optimizer == "gd":
                s = s - rate * gradient
                continue
            first.mul_(betas[0]).add_(gradient, alpha=1 - betas[0])
            second.mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
            scale = (second / (1 - betas[1] ** (step + 1))).sqrt_().add_(eps)
            s = s - rate / (1 - betas[0] ** (step + 1)) * first / scale
    return Trajectory(record, scores, losses, norms)
