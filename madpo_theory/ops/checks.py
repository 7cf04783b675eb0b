"""Arrays that come from outside: finite float64 of the wanted shape, or the error they earn."""

import numpy as np

from . import not_finite_error

__all__ = ["finite_array"]


def finite_array(name, value, *, ndim=None, shape=None):
    """`value` as a finite float64 array of the wanted `ndim` or `shape`, or the error it earns."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}; cast to float64")
    array = array.astype(np.float64)
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got shape {array.shape}; reshape it")
    if shape is not None and array.shape != tuple(shape):
        raise ValueError(
            f"{name} must have shape {tuple(shape)}, got {array.shape}; one entry for each row "
            "or parameter of the others"
        )
    if not np.isfinite(array).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise not_finite_error(name, index, array[index])
    return array
