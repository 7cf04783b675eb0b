"""SymPy expressions as terms of Coq's real numbers."""

import textwrap
from collections import Counter

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.logic.boolalg import ITE, Boolean

__all__ = ["coq_argument", "coq_definition", "coq_term"]

# Coq's levels of binding: the smaller, the tighter.
_ATOM, _APPLIED, _POWER, _NEGATED, _PRODUCT, _SUM, _ANY = 0, 10, 30, 35, 40, 50, 200
_FUNCTIONS = {
    sp.exp: "exp",
    sp.log: "ln",
    sp.tanh: "tanh",
    sp.sinh: "sinh",
    sp.asinh: "arcsinh",
}
_COLUMNS = 96


def coq_definition(name, parameters, expression, names=None):
    """The text ``Definition name parameters : R := term.``; what repeats is named by a ``let``.

    `names` maps SymPy symbols to the Coq terms that stand for them; other symbols and undefined
    functions keep their names. Raises ValueError for what the printer does not know.
    """
    expression, names = sp.sympify(expression), dict(names or {})
    lines = []
    for number, part in enumerate(_repeated(expression), 1):
        lines.append(f"let x{number} := {coq_term(part, names)} in")
        names[part] = f"x{number}"
    lines.append(f"{coq_term(expression, names)}.")
    head = _folded(f"Definition {name} {parameters} : R :=", "")
    return "\n".join((head, *(_folded(line, "  ") for line in lines))) + "\n"


def _folded(text, indent):
    return textwrap.fill(text, _COLUMNS, initial_indent=indent, subsequent_indent=indent + "  ")


def coq_term(expression, names=None):
    """An expression as a Coq term of type R, or of type bool if it is a relation."""
    return _within(_ANY, sp.sympify(expression), names or {})


def coq_argument(expression):
    """A term in the parentheses that an argument of a function needs."""
    return _within(_ATOM, sp.sympify(expression), {})


def _repeated(expression):
    """The subexpressions worth a name: they occur more than once; the smallest come first."""
    count = Counter()

    def visit(part):
        count[part] += 1
        if count[part] == 1:
            for argument in part.args:
                visit(argument)

    visit(expression)
    listed = dict.fromkeys(sp.postorder_traversal(expression))
    return [part for part in listed if count[part] > 1 and _worth_naming(part)]


def _worth_naming(part):
    factor = part.args[0] if part.is_Mul else sp.S.One
    if factor.is_Rational and factor < 0:  # a sum prints its minus itself
        return factor == -1 and (len(part.args) > 2 or bool(part.args[1].args))
    return bool(part.args) and not isinstance(part, Boolean | sp.Tuple) and not _is_inverse(part)


def _is_inverse(part):
    return part.is_Pow and part.exp.is_Rational and part.exp < 0


def _within(level, expression, names):
    """The term, in parentheses if it binds more loosely than `level`."""
    text, own = _term(expression, names)
    return text if own <= level else f"({text})"


def _term(e, names):
    """(text, level of binding) of an expression."""
    if e in names:
        return names[e], _ATOM if names[e].isidentifier() else _APPLIED
    if e.is_Symbol:
        return e.name, _ATOM
    if e.is_Integer:
        return (str(e), _ATOM) if e >= 0 else (f"- {-e}", _NEGATED)
    if e.is_Rational:
        return f"{e.p} / {e.q}", _PRODUCT
    if e.is_Add:
        return _sum(e, names), _SUM
    if e.is_Mul:
        return _product(e, names)
    if _is_inverse(e):
        return f"/ {_within(_NEGATED, 1 / e, names)}", _NEGATED
    if e.is_Pow and e.exp == sp.S.Half:
        return f"sqrt {_within(_ATOM, e.base, names)}", _APPLIED
    if e.is_Pow and e.exp.is_Integer and e.exp > 0:
        return f"{_within(_APPLIED, e.base, names)} ^ {e.exp}", _POWER
    if e.func in _FUNCTIONS or isinstance(e, AppliedUndef):
        head = _FUNCTIONS.get(e.func) or e.func.__name__
        arguments = " ".join(_within(_ATOM, argument, names) for argument in e.args)
        return f"{head} {arguments}", _APPLIED
    if isinstance(e, sp.Min) and len(e.args) == 2:
        first, second = (_within(_ATOM, argument, names) for argument in e.args)
        return f"Rmin {first} {second}", _APPLIED
    if isinstance(e, sp.Piecewise) and len(e.args) == 2 and e.args[1].cond == sp.true:
        (above, condition), (below, _) = e.args
        return _choice(condition, above, below, names)
    if isinstance(e, ITE):
        return _choice(*e.args, names)
    if isinstance(e, sp.Gt | sp.Lt):
        low, high = (e.lts, e.gts)
        return f"Rltb {_within(_ATOM, low, names)} {_within(_ATOM, high, names)}", _APPLIED
    raise ValueError(
        f"no Coq term for {type(e).__name__} {sp.sstr(e)}; teach madpo_theory/coq/printer.py"
    )


def _choice(condition, above, below, names):
    terms = (_within(_SUM, part, names) for part in (condition, above, below))
    return "if {} then {} else {}".format(*terms), _ANY


def _sum(e, names):
    text = ""
    for term in e.as_ordered_terms():
        negative = term.could_extract_minus_sign() and not term.is_Add
        shown = _within(_PRODUCT, -term if negative else term, names)
        if text:
            text += f" - {shown}" if negative else f" + {shown}"
        else:
            text = f"- {_within(_NEGATED, -term, names)}" if negative else shown
    return text


def _product(e, names):
    over = [1 / a for a in e.args if _is_inverse(a)]
    under = [a for a in e.args if not _is_inverse(a)]
    sign, rest = "", under
    if under and under[0] == -1:
        sign, rest = "- ", under[1:]
    if len(rest) == 1 and not over:
        return f"{sign}{_within(_NEGATED, rest[0], names)}", _NEGATED
    text = " * ".join(_within(_PRODUCT - 1, a, names) for a in rest) or "1"
    if over:
        bottom = " * ".join(_within(_PRODUCT - 1, a, names) for a in over)
        text += f" / {bottom}" if len(over) == 1 else f" / ({bottom})"
    return (f"- ({text})", _NEGATED) if sign else (text, _PRODUCT)
