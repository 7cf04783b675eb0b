"""Number worlds: one formula, evaluated wherever its argument lives.

A formula of this library is written once, as a function ``formula(xp, x, ...)`` over the
primitives of a *world* ``xp``, and the type of the argument picks the world:

========================  =============================  ==========================
argument                  world                          used to
========================  =============================  ==========================
float, NumPy array        :mod:`~madpo_theory.ops.numpy_world`  compute
torch tensor              :mod:`~madpo_theory.ops.torch_world`  train, differentiate
SymPy expression          :mod:`~madpo_theory.ops.sympy_world`  derive
Arb ball, power series    :mod:`~madpo_theory.ops.arb_world`    certify
========================  =============================  ==========================

Every world has the same primitives: ``exp expm1 log log1p sigmoid softplus tanh sinh asinh minimum
where_greater stop_gradient``, the number ``infinity``, ``number`` and ``lift``, which bring
settings and arguments into it, ``evaluate``, which takes a formula to them, and three whose
numerical care is their whole point, ``exp_difference(a, b, b - a) = e^-a - e^-b``, ``logistic(a,
k) = 1/(1 + k e^a)`` and ``mobius_exp(a, k) = (1 - e^a)/(1 + k e^a)``.
"""

import functools
import importlib
import inspect
import math
import sys
from fractions import Fraction

import numpy as np

__all__ = ["PRIMITIVES", "STABLE", "check_number", "elementwise", "world_of"]

PRIMITIVES = (
    "exp, expm1, log, log1p, sigmoid, softplus, tanh, sinh, asinh, minimum, where_greater, "
    "stop_gradient and number"
)
"""The primitives that a user's formula is written in, for messages."""
STABLE = "use xp.softplus, xp.log1p and the like, which do not overflow"
"""What mends a formula that is not finite, for messages."""

# (package that must already be imported, attribute names of its value types, world module)
_WORLDS = (
    ("torch", ("Tensor",), "torch_world"),
    ("sympy", ("Basic",), "sympy_world"),
    ("flint", ("arb", "arb_series"), "arb_world"),
)


def _strong_world(value):
    """Name of the world `value` belongs to, None for plain Python numbers."""
    if isinstance(value, (np.ndarray, np.generic)):
        return "numpy_world"
    for package, types, world in _WORLDS:
        module = sys.modules.get(package)  # a value of the type exists only if it is imported
        if module is not None and isinstance(value, tuple(getattr(module, t) for t in types)):
            return world
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return None
    raise TypeError(
        f"unsupported type {type(value).__module__}.{type(value).__qualname__}; pass a float, a "
        "NumPy array, a torch tensor, a SymPy expression or a python-flint arb / arb_series"
    )


def world_of(**values):
    """The world module that the named values share.

    Python numbers join any world. Raises TypeError, with the argument's name, for an
    unsupported type or for values of two worlds.
    """
    found = {}
    for name, value in values.items():
        try:
            world = _strong_world(value)
        except TypeError as error:
            raise TypeError(f"{name}: {error}") from None
        if world is not None:
            found.setdefault(world, name)
    if len(found) > 1:
        (world_a, a), (world_b, b) = list(found.items())[:2]
        raise TypeError(
            f"{a} lives in {world_a.removesuffix('_world')} and {b} in "
            f"{world_b.removesuffix('_world')}; convert one so that all arguments are of one kind"
        )
    return importlib.import_module(f"{__name__}.{next(iter(found), 'numpy_world')}")


def check_number(name, value, rule, holds):
    """Return `value` if it is one finite real number for which `holds(value)` is not false.

    Floats, fractions, SymPy expressions, Arb balls and 0-d arrays or tensors are numbers. A
    SymPy relation between symbols stays undecided: the derivation carries it as an assumption.
    Raises TypeError or ValueError with the name, the value and the rule.
    """
    if not isinstance(value, Fraction):
        world_of(**{name: value})
    if getattr(value, "ndim", 0):
        raise ValueError(
            f"{name} must be one number, got shape {tuple(value.shape)}; call once per value"
        )
    finite = value.is_finite if hasattr(value, "is_finite") else math.isfinite(value)
    finite = finite() if callable(finite) else finite
    if finite is None:  # SymPy does not decide it: for a symbol that is fine, for NaN it is not
        finite = not value.is_number
    if not finite or getattr(value, "is_real", None) is False:
        raise ValueError(f"{name} must be finite and real, got {value}; the rule is {rule}")
    if holds(value) == False:  # noqa: E712  (SymPy's and NumPy's False are not Python's)
        raise ValueError(f"{name} = {value} breaks the rule {rule}; choose it so")
    return value


def elementwise(*names, same_shape=False):
    """Decorator: turn ``formula(xp, *values, **rest)`` into a public function of the values.

    The arguments called `names` are the values: they are checked (one world, one dtype,
    finite, and of one shape if `same_shape`), lifted into that world, and results come
    back as the kind and dtype that came in. The undecorated formula stays reachable as
    ``function.formula`` for use inside other formulas, where the values are lifted already.
    """

    def decorate(formula):
        signature = inspect.signature(formula)
        public = signature.replace(parameters=list(signature.parameters.values())[1:])

        @functools.wraps(formula)
        def function(*args, **kwargs):
            bound = public.bind(*args, **kwargs)
            bound.apply_defaults()
            values = {n: bound.arguments[n] for n in names}
            xp = world_of(**values)
            lifted, lower = xp.lift(values, same_shape)

            def evaluated(values):
                bound.arguments.update(values)
                return formula(xp, *bound.args, **bound.kwargs)

            result = xp.evaluate(evaluated, lifted)
            return tuple(map(lower, result)) if isinstance(result, tuple) else lower(result)

        function.formula = formula
        function.__signature__ = public
        return function

    return decorate


def of_sympy(expression, rational, exp, log):
    """A SymPy number in another world: `rational(p, q)`, `exp` and `log` are that world's.

    TypeError unless it is built from rationals with +, *, **, log and exp.
    """
    import sympy

    if isinstance(expression, sympy.Rational):
        return rational(int(expression.p), int(expression.q))
    parts = [of_sympy(part, rational, exp, log) for part in expression.args]
    for kind, made in (
        (sympy.Add, lambda: sum(parts[1:], parts[0])),
        (sympy.Mul, lambda: math.prod(parts[1:], start=parts[0])),
        (sympy.Pow, lambda: parts[0] ** parts[1]),
        (sympy.log, lambda: log(parts[0])),
        (sympy.exp, lambda: exp(parts[0])),
    ):
        if isinstance(expression, kind):
            return made()
    raise TypeError(
        f"cannot enclose {expression}; schedule parameters in interval arithmetic are built from "
        "rationals with +, *, **, log and exp"
    )


def mixed_dtype_error(dtypes):
    """The error for values of several floating types; `dtypes` maps argument name to dtype."""
    listing = ", ".join(f"{name}: {dtype}" for name, dtype in dtypes.items())
    return TypeError(
        f"mixed floating types ({listing}); cast to one of them first, so that the precision "
        "of the result is your choice"
    )


def not_finite_error(name, index, value):
    """The error for a NaN or an infinity at `index` of argument `name`."""
    where = f" at index {index}" if index != () else ""
    return ValueError(
        f"{name} must be finite, got {value}{where}; drop or repair that entry before the call"
    )


def shape_error(shapes):
    """The error for values that must share one shape; `shapes` maps argument name to shape."""
    listing = ", ".join(f"{name}: {tuple(shape)}" for name, shape in shapes.items())
    return ValueError(
        f"arguments must have one shape, got {listing}; per-pair values are 1-D, one entry a "
        "pair (squeeze a trailing axis of length 1)"
    )
