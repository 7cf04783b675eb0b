"""What a batch of fitted tables comes with, and which masses and options the solvers accept."""

import math
from dataclasses import dataclass
from enum import IntEnum

import torch

from ...ops import check_number, not_finite_error

__all__ = ["Reason", "TableFits", "check_masses", "check_offsets", "check_tables"]


class Reason(IntEnum):
    """Why a table has, or has not, been solved."""

    CONVERGED = 0
    #: the loss falls forever along some direction: Ford's condition is violated, or (a loss
    #: outside the slots) the scores run away.
    NO_MINIMIZER = 1
    #: no comparison connects some responses with the rest: the minimizer is not unique.
    UNCONNECTED = 2
    #: the step budget is spent.
    STEPS = 3
    #: float64 cannot locate the minimizer so closely: the gradient is down to its rounding, or (a
    #: loss outside the slots) it jumps or the curvature vanishes there.
    PRECISION = 4
    #: a weight underflows to 0 where there are labels (set by the methods, not by the solver).
    UNDERFLOW = 5
    #: a method that sets its own temperature has none, or more than one, that reproduces itself.
    TEMPERATURE = 6


@dataclass(frozen=True, eq=False)
class TableFits:
    """The minimizers of B tables and what is proved of each; tensors on the input's device.

    Attributes
    ----------
    scores : (B, K) nats of z, mean 0; NaN where not converged, so that nothing averages over it.
    converged : (B,) boolean: gradient_norm <= tolerance and error_bound <= accuracy.
    reason : (B,) int8 of :class:`Reason`.
    gradient_norm : (B,) length of the gradient for masses scaled to a largest pair N_ij = 1, at
        the last iterate; inf if none was taken.
    curvature : (B,) lower bound on the smallest curvature on scores of mean 0, in the same
        units. It is proved by one vector and may be up to 2 (K - 1) times too small. 0 where not
        converged.
    error_bound : (B,) nats: the minimizer exists, is unique, and lies within this Euclidean
        distance of `scores`; rounding included. inf where not converged.
    iterations : (B,) Newton steps taken, the start not counted.
    """

    scores: torch.Tensor
    converged: torch.Tensor
    reason: torch.Tensor
    gradient_norm: torch.Tensor
    curvature: torch.Tensor
    error_bound: torch.Tensor
    iterations: torch.Tensor

    def require(self):
        """These fits, or RuntimeError with the tables that have none."""
        if not self.converged.all():
            bad = (~self.converged).nonzero().flatten()
            listing = ", ".join(
                f"{b} ({Reason(int(self.reason[b])).name})" for b in bad[:8].tolist()
            )
            raise RuntimeError(
                f"{len(bad)} of {len(self.converged)} tables have no fit: {listing}"
                f"{', ...' if len(bad) > 8 else ''}; drop them by `converged`, or see Reason"
            )
        return self


def empty_fits(count, size, device):
    def full(shape, value, dtype=torch.float64):
        return torch.full(shape, value, dtype=dtype, device=device)

    return TableFits(
        full((count, size), math.nan),
        full((count,), False, torch.bool),
        full((count,), int(Reason.STEPS), torch.int8),
        full((count,), math.inf),
        full((count,), 0.0),
        full((count,), math.inf),
        full((count,), 0, torch.int32),
    )


def check_masses(name, value, shape, *, signed=False):
    """`value` as a finite float64 tensor of the wanted shape (None: any length), or an error."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(
            f"{name} must be a torch tensor, got {type(value).__qualname__}; torch.as_tensor it"
        )
    if value.is_complex() or value.dtype == torch.bool:
        raise TypeError(f"{name} must hold real numbers, got {value.dtype}; cast it to float64")
    if value.ndim != len(shape) or any(
        want not in (None, got) for want, got in zip(shape, value.shape, strict=True)
    ):
        wanted = ", ".join("*" if want is None else str(want) for want in shape)
        raise ValueError(
            f"{name} must have shape ({wanted}), got {tuple(value.shape)}; the first axis is the "
            "batch"
        )
    value = value.detach().to(torch.float64)
    if not value.numel():
        return value
    low, high = torch.aminmax(value)  # NaN wins both
    if not (math.isfinite(low) and math.isfinite(high)):
        index = tuple((~torch.isfinite(value)).nonzero()[0].tolist())
        raise not_finite_error(name, index, value[index].item())
    if low < 0 and not signed:
        index = tuple((value < 0).nonzero()[0].tolist())
        raise ValueError(
            f"{name}{list(index)} = {value[index].item():g} breaks the rule {name} >= 0; pass "
            "masses, or signed=True if only the mass of both labels together is nonnegative"
        )
    return value


def check_tables(name, value, *, signed=False):
    """`value` as (B, K, K) float64 masses with a zero diagonal, K >= 2, or an error."""
    value = check_masses(name, value, (None, None, None), signed=signed)
    size = value.shape[1]
    if value.shape[2] != size or size < 2:
        raise ValueError(
            f"{name} must be (B, K, K) with K >= 2, got shape {tuple(value.shape)}; one row a "
            "response"
        )
    own = value.diagonal(dim1=1, dim2=2)
    if own.any():
        b, i = own.nonzero()[0].tolist()
        raise ValueError(
            f"{name}[{b}, {i}, {i}] = {own[b, i].item():g} breaks the rule of a zero diagonal; no "
            "response beats itself"
        )
    return value


def check_offsets(value, wins):
    """`value` as finite float64 offsets (B, K, K) of checked `wins`, or an error."""
    value = check_masses("offsets", value, tuple(wins.shape), signed=True)
    if value.device != wins.device:
        raise ValueError(f"offsets are on {value.device}, wins on {wins.device}; move one of them")
    uneven = (torch.minimum(wins, wins.mT) < 0) & (value != -value.mT)
    if uneven.any():
        b, i, j = uneven.nonzero()[0].tolist()
        raise ValueError(
            f"offsets[{b}, {i}, {j}] = {value[b, i, j].item():g} and offsets[{b}, {j}, {i}] = "
            f"{value[b, j, i].item():g} break the rule that they are opposite where a mass is "
            "negative; the loss is not convex otherwise"
        )
    return value


def check_pair_total(total, where):
    """Refuse pairs whose two labels together have negative mass: the loss would not be convex."""
    if total.numel() and total.min() < 0:
        index = (total < 0).nonzero()[0].tolist()
        raise ValueError(
            f"{where} at {index} sum to {total[tuple(index)].item():g}, breaking the rule that the "
            "two labels of a pair have mass >= 0 together; the loss is not convex otherwise"
        )


def check_options(tolerance, accuracy, steps, chunk):
    check_number("tolerance", tolerance, "tolerance > 0", lambda v: v > 0)
    check_number("accuracy", accuracy, "accuracy > 0", lambda v: v > 0)
    check_number("steps", steps, "steps >= 1", lambda v: v >= 1)
    if chunk is not None:
        check_number("chunk", chunk, "chunk >= 1", lambda v: v >= 1)
