"""SymPy expressions: the same formulas, to derive with."""

import sympy as sp

exp, log, tanh, minimum, sinh, asinh = sp.exp, sp.log, sp.tanh, sp.Min, sp.sinh, sp.asinh
infinity = sp.oo


def expm1(x):
    """e^x - 1."""
    return sp.exp(x) - 1


def log1p(x):
    """log(1 + x)."""
    return sp.log(1 + x)


def sigmoid(x):
    """1 / (1 + e^-x)."""
    return 1 / (1 + sp.exp(-x))


def softplus(x):
    """log(1 + e^x)."""
    return sp.log(1 + sp.exp(x))


def exp_difference(a, b, x):
    """e^-a - e^-b: as no product of 0 and infinity, where a compiled formula would have one."""
    return sp.exp(-a) - sp.exp(-b)


def logistic(a, k):
    """1 / (1 + k e^a)."""
    return 1 / (1 + k * sp.exp(a))


def mobius_exp(a, k):
    """(1 - e^a) / (1 + k e^a): with one e^a, which may be infinite where this is compiled."""
    return ((1 + k) * logistic(a, k) - 1) / k


def where_greater(x, threshold, above, below):
    """`above` where x > threshold, else `below`: a Piecewise unless the relation is decided."""
    return sp.Piecewise((above, sp.Gt(x, threshold)), (below, True))


def stop_gradient(x):
    """The value, held constant; here just x."""
    return x


def number(value, like):
    """A schedule parameter as an exact SymPy number (or the symbol it is)."""
    return sp.sympify(value)


def evaluate(formula, values):
    """formula(values)."""
    return formula(values)


def lift(values, same_shape):
    """Expressions, refused if SymPy knows them to be infinite, NaN or not real."""
    expressions = {name: sp.sympify(value) for name, value in values.items()}
    for name, expression in expressions.items():
        if expression is sp.nan or expression.is_finite is False or expression.is_real is False:
            raise ValueError(
                f"{name} must be a finite real expression, got {expression}; substitute a real "
                "number or declare the symbol real=True"
            )
    return expressions, lambda result: result
