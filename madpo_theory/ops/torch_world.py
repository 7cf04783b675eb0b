"""torch tensors: CPU or CUDA, autograd, float64 to bfloat16 (half types compute in float32)."""

import math
import sys
from functools import partial

import torch
from torch.nn.functional import logsigmoid

from . import mixed_dtype_error, not_finite_error, shape_error, stable

exp, expm1, log, log1p, tanh, sigmoid, sinh, asinh = (
    torch.exp,
    torch.expm1,
    torch.log,
    torch.log1p,
    torch.tanh,
    torch.sigmoid,
    torch.sinh,
    torch.asinh,
)
infinity = math.inf


def softplus(x):
    """log(1 + e^x), by the function that the field's losses are written in: the same bits."""
    return -logsigmoid(-x)


def minimum(x, y):
    """Elementwise minimum; a tie halves the gradient between the two."""
    return torch.minimum(x, torch.as_tensor(y, dtype=x.dtype, device=x.device))


def where_greater(x, threshold, above, below):
    """`above` where x > threshold, else `below`."""
    return torch.where(x > threshold, above, below)


def stop_gradient(x):
    """The value, detached."""
    return x.detach()


def number(value, like):
    """A schedule parameter as a Python float (torch keeps the tensor's dtype)."""
    return float(value)


def evaluate(formula, values):
    """formula(values)."""
    return formula(values)


def lift(values, same_shape):
    """Tensors of one floating dtype, and the function that gives results back as they came."""
    strong = {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}
    for name, tensor in strong.items():
        if not tensor.is_floating_point():
            raise TypeError(
                f"{name} must be a floating tensor, got {tensor.dtype}; cast it, for example "
                ".to(torch.float64)"
            )
    dtypes = {name: tensor.dtype for name, tensor in strong.items()}
    if len(set(dtypes.values())) > 1:
        raise mixed_dtype_error(dtypes)
    dtype = next(iter(dtypes.values()))
    working = torch.float32 if dtype.itemsize < 4 else dtype
    device = next(iter(strong.values())).device
    tensors = {
        name: value.to(working)
        if name in strong
        else torch.as_tensor(value, dtype=working, device=device)
        for name, value in values.items()
    }
    if same_shape and len({t.shape for t in tensors.values()}) > 1:
        raise shape_error({n: t.shape for n, t in tensors.items()})
    for name, tensor in tensors.items():
        finite = torch.isfinite(tensor)
        if not finite.all():
            index = tuple((~finite).nonzero()[0].tolist())
            raise not_finite_error(name, index, tensor[index].item())
    return tensors, lambda result: result.to(dtype)


_this = sys.modules[__name__]
exp_difference = partial(stable.exp_difference, _this)
logistic = partial(stable.logistic, _this)
mobius_exp = partial(stable.mobius_exp, _this)
