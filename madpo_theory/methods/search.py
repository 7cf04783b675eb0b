"""Targets of losses without a closed form."""

import numpy as np

from ..ops import PRIMITIVES, numpy_world

__all__ = ["margin_slope", "searched_target", "tried"]

FAR = 1e4
"""Nats within which a target is looked for; a risk that falls up to there counts as endless."""


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
        _one_a_pair(method, losses, moved)
        slopes = torch.autograd.grad(losses.sum(), policy, allow_unused=True)
    found = torch.stack([losses, *(torch.zeros_like(moved) if s is None else s for s in slopes)])
    wrong = ~found.isfinite()
    if wrong.any():
        row, pair = wrong.nonzero()[0].tolist()
        what = f"a loss of {losses[pair].item()}" if row == 0 else "a loss without a finite slope"
        m = (chosen - rejected - (pairs.reference_chosen - pairs.reference_rejected))[pair].item()
        raise ValueError(
            f"method {method.title} gives {what} to a pair whose log-ratio is {m:g} nats and whose "
            f"margin is {margin[pair].item():g}; a loss must be finite at every pair: use "
            "xp.softplus, xp.log1p and the like, which do not overflow"
        )
    return method


def _one_a_pair(method, losses, pairs):
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


def margin_slope(method, z, h):
    """d/dz of a method's :meth:`~.base.Method.margin_loss`, by automatic differentiation.

    z and h are float64 tensors of one shape; returns one of that shape.
    """
    import torch

    from ..ops import torch_world

    with torch.enable_grad():
        z = z.detach().clone().requires_grad_()
        losses = method.margin_loss(torch_world, z, h)
        _one_a_pair(method, losses, z)
        return torch.autograd.grad(losses.sum(), z)[0]


def searched_target(xp, h_true, h_model, method):
    """Where the slope of a pair's risk changes sign, by bisection to float64's last digits.

    ``R(z) = sigma(h*) f(z; h) + sigma(-h*) f(-z; -h)``, its slope by automatic differentiation.
    Infinite where the slope has one sign up to FAR. Numbers, arrays and tensors; TypeError for
    other worlds and for a loss that is no function of the margin.
    """
    import torch

    if not method.is_margin_loss:
        raise TypeError(
            f"{type(method).__name__} has no target: its loss is no function of the margin alone; "
            + (
                "minimize its risk on a table (madpo_theory.simulate.solve)"
                if method.is_pair_loss
                else "it watches the batch or the policy itself, so that a pair has no risk alone"
            )
        )
    if not isinstance(h_true + h_model, (np.ndarray, np.generic, float, torch.Tensor)):
        raise TypeError(
            f"the target of {type(method).__name__} has no closed form; pass numbers, arrays or "
            "tensors"
        )
    like = h_true + h_model
    truth, model = torch.broadcast_tensors(
        *(torch.as_tensor(h, dtype=torch.float64) for h in (h_true, h_model))
    )
    truth, model = truth.detach(), model.detach()
    won, lost = torch.sigmoid(truth), torch.sigmoid(-truth)

    def slope(z):
        return won * margin_slope(method, z, model) - lost * margin_slope(method, -z, -model)

    low, high = torch.full_like(won, -1.0), torch.full_like(won, 1.0)
    while (short := (high < FAR) & (slope(high) < 0)).any():
        high = torch.where(short, 2 * high, high)
    while (short := (low > -FAR) & (slope(low) > 0)).any():
        low = torch.where(short, 2 * low, low)
    endless = (slope(high) < 0).double() - (slope(low) > 0).double()
    for _ in range(80):
        middle = (low + high) / 2
        falling = slope(middle) < 0
        low, high = torch.where(falling, middle, low), torch.where(falling, high, middle)
    found = torch.where(endless == 0, (low + high) / 2, endless * torch.inf)
    if isinstance(like, torch.Tensor):
        return found.to(like)
    return found.numpy().astype(like.dtype) if isinstance(like, np.ndarray) else found.item()
