"""Targets of losses without a closed form."""

import numpy as np

from .trial import one_a_pair

__all__ = ["margin_slope", "searched_target"]

FAR = 1e4
"""Nats within which a target is looked for; a risk that falls up to there counts as endless."""


def margin_slope(method, z, h):
    """d/dz of a method's :meth:`~.base.Method.margin_loss`, by automatic differentiation.

    z and h are float64 tensors of one shape; returns one of that shape.
    """
    import torch

    from ..ops import torch_world

    with torch.enable_grad():
        z = z.detach().clone().requires_grad_()
        losses = method.margin_loss(torch_world, z, h)
        one_a_pair(method, losses, z)
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
