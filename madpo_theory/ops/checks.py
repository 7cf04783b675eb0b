"""Arguments that come from outside: a value of the wanted kind, or the error it earns."""

import difflib
import inspect

import numpy as np

from . import PRIMITIVES, check_number, not_finite_error

__all__ = [
    "UnknownNameError",
    "check_antisymmetric",
    "check_choice",
    "check_count",
    "check_elements",
    "check_kind",
    "check_nonnegative",
    "check_positive",
    "check_signature",
    "finite_array",
    "nearest",
]


class UnknownNameError(KeyError):
    """A key that is not there; what it says is a sentence, and shown as one."""

    def __str__(self):
        return str(self.args[0])

    @classmethod
    def of(cls, kind, name, choices, listed):
        """Of a `name` that is none of the `choices`, which the Python `listed` lists."""
        near = nearest(name, choices)
        advice = f"did you mean {near!r}? " if near else ""
        return cls(f"there is no {kind} {name!r}; {advice}{listed} names all {len(choices)}")


def check_count(name, value, least):
    """`value` as an integer of at least `least`, or the error it earns."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {value!r}; the rule is {name} >= {least}")
    if value < least:
        raise ValueError(f"{name} = {value} breaks the rule {name} >= {least}; raise it")
    return int(value)


def check_signature(called, function, *names):
    """ValueError unless a user's function can be called with as many arguments as are named."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # of what is compiled, nothing is known
        return
    try:
        signature.bind(*names)
    except TypeError as error:
        taken, wanted = ", ".join(signature.parameters), ", ".join(names)
        own = wanted if inspect.isfunction(function) else f"self, {wanted}"
        raise ValueError(
            f"{called} takes ({taken}) but must take ({wanted}): {error}; write it as "
            f"def {function.__name__}({own}), in the primitives of xp, {PRIMITIVES}"
        ) from error


def check_kind(name, value, *kinds):
    """`value`, or a TypeError that says which configs the argument takes."""
    if not isinstance(value, kinds):
        known = ", ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{name} must be one of {known}, got {type(value).__qualname__}; make one")
    return value


def check_choice(name, value, choices):
    """`value`, or a ValueError that lists what it may be."""
    if value not in choices:
        near = nearest(value, choices)
        advice = f"did you mean {near!r}?" if near else "choose one"
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}; {advice}")
    return value


def nearest(value, choices):
    """The one of `choices` that `value` may be a slip of, whatever its case; "" if none is near."""
    folded = {choice.casefold(): choice for choice in choices}
    return next(
        (folded[n] for n in difflib.get_close_matches(str(value).casefold(), folded, n=1)), ""
    )


def check_positive(name, value):
    """`value` if it is one finite number > 0, or the error it earns."""
    return check_number(name, value, f"{name} > 0", lambda v: v > 0)


def check_nonnegative(name, value):
    """`value` if it is one finite number >= 0, or the error it earns."""
    return check_number(name, value, f"{name} >= 0", lambda v: v >= 0)


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


def check_antisymmetric(name, margins):
    """`margins` (..., K, K), an array or a tensor, if swapping two responses flips every sign."""
    broken = margins != -margins.swapaxes(-1, -2)
    if broken.any():
        *where, i, j = map(int, np.argwhere(broken.tolist())[0])
        raise ValueError(
            f"{name} must be antisymmetric: swapping two responses flips a margin's sign, but "
            f"{name}{[*where, i, j]} = {margins[*where, i, j]:g} and {name}{[*where, j, i]} = "
            f"{margins[*where, j, i]:g}; pass ({name} - {name}^T)/2"
        )
    return margins


def check_elements(name, values, rule, holds):
    """`values` of any world, if `holds` of every element, or the error it earns.

    An Arb ball holds what all of it holds. A SymPy relation that is undecided holds: the derivation
    carries it as an assumption.
    """
    good = holds(values)
    if not hasattr(good, "all"):
        return check_number(name, values, rule, holds)
    if not good.all():
        index = tuple(map(int, np.argwhere(np.logical_not(good.tolist()))[0]))
        where = f" at index {index}" if index else ""
        raise ValueError(f"{name} = {values[index]}{where} breaks the rule {rule}; choose it so")
    return values
