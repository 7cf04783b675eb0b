"""What the losses of a method must be before anything rests on them."""

import numpy as np

from ..ops import PRIMITIVES, STABLE, numpy_world

__all__ = ["one_a_pair", "tried"]

CHANGES = (0.0, 3.0, -3.0, 40.0, -40.0)
"""Nats by which the log-ratio of a pair has moved where a method is tried."""


def tried(method, *, every=False):
    """The method; ValueError unless it gives each of a few pairs one finite loss with a slope.

    A method of a user's is tried so before anything rests on it. One that needs whole batches or
    single tokens is not, nor is one of the house, unless `every` is.
    """
    own = type(method).__module__.partition(".")[0] != __name__.partition(".")[0]
    if not (own or every) or method.needs & {"batch", "token"}:
        return method
    import torch

    from ..ops import torch_world
    from .base import Pairs
    from .slots import Slots

    if method.has_slots:
        found = method.slots(numpy_world, np.array(CHANGES))
        if not isinstance(found, Slots):
            raise ValueError(
                f"slots of {method.title} returns {type(found).__qualname__}; it must return what "
                "madpo_theory.methods.Slots makes, as in Slots(offset=h)"
            )
    moved = torch.tensor(CHANGES, dtype=torch.float64)
    start = torch.full_like(moved, -50.0)
    chosen, rejected = (s + start for s in (moved / 2, -moved / 2))
    policy = [x.requires_grad_() for x in (chosen, rejected)]
    lengths = torch.full_like(moved, 20.0)
    margin = moved.flip(0) / 8
    pairs = Pairs(*policy, start, start, margin, lengths, lengths + 1)
    with torch.enable_grad():
        losses = method.losses(torch_world, pairs)
        one_a_pair(method, losses, moved)
        slopes = torch.autograd.grad(losses.sum(), policy, allow_unused=True)
    found = torch.stack([losses, *(torch.zeros_like(moved) if s is None else s for s in slopes)])
    wrong = ~found.isfinite()
    if wrong.any():
        row, pair = wrong.nonzero()[0].tolist()
        what = f"a loss of {losses[pair].item()}" if row == 0 else "a loss without a finite slope"
        m = (chosen - rejected - (pairs.reference_chosen - pairs.reference_rejected))[pair].item()
        raise ValueError(
            f"method {method.title} gives {what} to a pair whose log-ratio is {m:g} nats and whose "
            f"margin is {margin[pair].item():g}; a loss must be finite at every pair: {STABLE}"
        )
    return method


def one_a_pair(method, losses, pairs):
    """ValueError unless losses are a tensor with one entry a pair that depends on the policy."""
    import torch

    if isinstance(losses, torch.Tensor) and losses.shape == pairs.shape and losses.requires_grad:
        return
    if not isinstance(losses, torch.Tensor):
        what = f"returns {type(losses).__qualname__} for tensors"
    elif losses.shape != pairs.shape:
        what = f"has shape {tuple(losses.shape)} for {pairs.numel()} pairs"
    else:
        what = "does not depend on the policy"
    raise ValueError(
        f"the loss of {method.title} {what}; it must be one number a pair, without a mean or a sum "
        f"over them, made of its arguments and the primitives of xp, {PRIMITIVES}"
    )
