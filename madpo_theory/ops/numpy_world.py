"""Python floats and NumPy arrays."""

import sys
from functools import partial

import numpy as np

from . import mixed_dtype_error, not_finite_error, shape_error, stable

exp, expm1, log, log1p, tanh = np.exp, np.expm1, np.log, np.log1p, np.tanh
minimum, sinh, asinh = np.minimum, np.sinh, np.arcsinh
infinity = np.inf


def sigmoid(x):
    """1/(1 + e^-x), as exact where it is next to 0; SciPy's is slow to import."""
    decay = np.exp(-np.abs(x))
    return np.where(x > 0, 1.0, decay) / (1.0 + decay)


def softplus(x):
    """log(1 + e^x)."""
    return np.logaddexp(0.0, x)


def where_greater(x, threshold, above, below):
    """`above` where x > threshold, else `below`."""
    return np.where(x > threshold, above, below)


def stop_gradient(x):
    """The value, held constant; here just x."""
    return x


def number(value, like):
    """A schedule parameter as a Python float (NumPy keeps the array's dtype)."""
    return float(value)


def evaluate(formula, values):
    """formula(values)."""
    return formula(values)


def lift(values, same_shape):
    """Arrays of one floating dtype, and the function that gives results back as they came."""
    arrays = {name: np.asarray(value) for name, value in values.items()}
    strong = {
        n: a.dtype for n, a in arrays.items() if isinstance(values[n], (np.ndarray, np.generic))
    }
    for name, dtype in strong.items():
        if dtype.kind not in "fiu":
            raise TypeError(f"{name} must hold real numbers, got dtype {dtype}; cast it to float64")
        if dtype.kind in "iu":
            strong[name] = np.dtype(np.float64)
    if len(set(strong.values())) > 1:
        raise mixed_dtype_error(strong)
    if same_shape and len({a.shape for a in arrays.values()}) > 1:
        raise shape_error({n: a.shape for n, a in arrays.items()})
    dtype = next(iter(strong.values()), np.dtype(np.float64))
    working = np.float32 if dtype.itemsize < 4 else dtype
    for name, array in arrays.items():
        array = arrays[name] = array.astype(working, copy=False)
        if not np.isfinite(array).all():
            index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise not_finite_error(name, index, array[index])

    def lower(result):
        return np.asarray(result).astype(dtype, copy=False)[()] if strong else float(result)

    return arrays, lower


_this = sys.modules[__name__]
exp_difference = partial(stable.exp_difference, _this)
logistic = partial(stable.logistic, _this)
mobius_exp = partial(stable.mobius_exp, _this)
