"""Every number in a claim's sentences is one that its evidence computes: no digit can be changed.

A claim names its numbers once, as constants of its module; its sentences print them and its
evidence stands on them. Here each constant is moved by one unit of the last digit that a sentence
prints, in the source, and some evidence of the claim must disagree.
"""

import ast
import re
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

from madpo_theory import claims, extensions
from madpo_theory.claims import CLAIMS, FILES, verify

SENTENCES = ("statement", "reading", "condition", "counterexample")
# arXiv numbers, names of claims, and logarithms of whole numbers are not results
NOT_RESULTS = (
    r"\d{4}\.\d{4,5}|\b(?:[SCTLRBNA]|RM)\d+\b|log\(? ?\d+|TRL \d[\d.]*"
    r"|Theorem \d+\.\d+|equations? \d+"
)
TYPED = r"\d+\.\d+|\d+(?:\.\d+)? ?\\?%|(?<![\w^_{])(?:[5-9]|\d{2,})(?![\w}])|\d+(?:\.\d+)?e-?\d+"


def modules():
    """{claim id: its module}"""
    registered = {m.__name__.rpartition(".")[2]: m for m in extensions.CLAIMS.values()}
    return {
        i: registered.get(name) or import_module(f"{claims.__name__}.{name}")
        for i, name in FILES.items()
    }


MODULES = modules()


def tree_of(claim):
    return ast.parse(Path(MODULES[claim.id].__file__).read_text())


def names_of(node):
    """The names that a statement assigns, one or several side by side; else none."""
    if not isinstance(node, ast.Assign):
        return []
    (target, *_) = node.targets
    sides = target.elts if isinstance(target, ast.Tuple) else [target]
    return [side.id for side in sides if isinstance(side, ast.Name)]


def sentences(tree):
    """The expressions behind the sentences of a module's claim."""
    (call,) = (n.value for n in tree.body if "CLAIM" in names_of(n))
    return {k.arg: k.value for k in call.keywords if k.arg in SENTENCES}


def parts(expression):
    """(typed text, printed fields) of a string expression, f-strings taken apart."""
    typed, printed, inside = [], [], set()
    for node in ast.walk(expression):
        if isinstance(node, ast.FormattedValue):
            printed.append(node)
            inside |= {id(n) for n in ast.walk(node)}
    for node in ast.walk(expression):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in inside
        ):
            typed.append(node.value)
    return "".join(typed), printed


def typed_numbers(text):
    """Numbers in a text that look like results: decimals, percentages, whole numbers above 4."""
    return re.findall(TYPED, re.sub(NOT_RESULTS, "", text))


def holds_a_number(expression):
    return any(
        isinstance(n, ast.Constant) and type(n.value) in (int, float) for n in ast.walk(expression)
    )


@dataclass(frozen=True)
class Printed:
    """A constant of a claim's module in one of its sentences: `unit` is of the last digit shown."""

    claim: object
    constant: str
    place: object  # None, or where in the constant the number stands
    text: str
    unit: float

    def __str__(self):
        where = "" if self.place is None else f"[{self.place!r}]"
        return f"{self.claim.id}-{self.constant}{where}={self.text}"


def homes_of_constants(claim):
    """{name of a constant: the claim in whose module it is typed}: itself, or a roll-up's part."""
    tree, owners = tree_of(claim), {name: i for i, name in FILES.items()}
    numeric = (n for n in tree.body if names_of(n) and holds_a_number(n.value))
    typed = {name for n in numeric for name in names_of(n) if name.isupper()}
    homes = dict.fromkeys(typed, claim)
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module in owners:
            (part,) = (c for c in CLAIMS if c.id == owners[node.module])
            homes |= {alias.name: part for alias in node.names}
    return homes


def numbers_in(claim):
    """Every :class:`Printed` of a claim whose constant is typed in its module or in a part's."""
    homes, module, found = homes_of_constants(claim), MODULES[claim.id], {}
    for expression in sentences(tree_of(claim)).values():
        for field in parts(expression)[1]:
            value = field.value
            place = ast.literal_eval(value.slice) if isinstance(value, ast.Subscript) else None
            constant = ast.unparse(value if place is None else value.value)
            if constant in homes:
                number = vars(module)[constant]
                number = number if place is None else number[place]
                text = format(
                    number, ast.unparse(field.format_spec)[2:-1] if field.format_spec else ""
                )
                printed = Printed(homes[constant], constant, place, text, unit_of(text))
                found[constant, place, text] = printed
    return list(found.values())


def unit_of(text):
    """What one in the last digit of a printed number is."""
    mantissa, _, exponent = text.rstrip("%").partition("e")
    decimals = len(mantissa.partition(".")[2])
    return 10.0 ** (int(exponent or 0) - decimals - 2 * text.endswith("%"))


PRINTED = list(dict.fromkeys(number for claim in CLAIMS for number in numbers_in(claim)))
MOVED = "{constant} += {step}"
MOVED_INSIDE = """
{constant} = dict({constant}) if isinstance({constant}, dict) else list({constant})
{constant}[{place!r}] += {step}
"""


def moved(number, by):
    """The claim of the module's source with the constant moved by so many units."""
    tree = tree_of(number.claim)
    (index,) = (k for k, node in enumerate(tree.body) if number.constant in names_of(node))
    template = MOVED if number.place is None else MOVED_INSIDE
    step = by * (int(number.unit) if number.unit >= 1 else number.unit)  # of a count, a count
    change = template.format(constant=number.constant, place=number.place, step=step)
    tree.body[index + 1 : index + 1] = ast.parse(change).body
    true = MODULES[number.claim.id]
    module = module_from_spec(spec_from_loader(true.__name__, None))
    module.__file__, module.__package__ = true.__file__, true.__package__
    exec(compile(tree, module.__file__, "exec"), vars(module))
    return module.CLAIM


def disagreeing(claim, folder):
    """The first evidence of a claim that disagrees, quick kinds first; None if all agree."""
    rank = {"symbolic": 0, "property": 1, "simulation": 3}
    for evidence in sorted(claim.evidence, key=lambda e: rank.get(e.kind, 2)):
        if evidence.kind == "proof":
            continue
        ((_, (found,)),) = verify([replace(claim, evidence=(evidence,))], certificates=folder).rows
        if found.outcome == "DISAGREES":
            return found
    return None


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")


@pytest.mark.slow
@pytest.mark.parametrize("by", [1, pytest.param(-1, marks=pytest.mark.long)])
@pytest.mark.parametrize("number", PRINTED, ids=str)
def test_a_changed_digit_is_noticed(number, by, no_shrinking, certificates):
    assert disagreeing(moved(number, by), certificates) is not None


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_no_result_is_typed_into_a_sentence(claim):
    tree = tree_of(claim)
    typed = {k: typed_numbers(parts(e)[0]) for k, e in sentences(tree).items()}
    assert not {k: found for k, found in typed.items() if found}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("up to 2.31 nats", ["2.31"]),
        ("under 4 %", ["4 %"]),
        ("tau = log 999, of T5 and arXiv 2510.05342", []),
        ("at 20 nats", ["20"]),
        ("by 9e-5", ["9e-5"]),
        (r"c_max = 2, $w^{12}$, x_10, 1/2", []),
    ],
)
def test_what_counts_as_a_typed_result(text, found):
    assert typed_numbers(text) == found


@pytest.mark.parametrize(
    ("text", "unit"), [("2.31", 0.01), ("4%", 0.01), ("12", 1), ("9.2e-05", 1e-6), ("1.5%", 1e-3)]
)
def test_the_unit_of_the_last_digit(text, unit):
    assert unit_of(text) == pytest.approx(unit, rel=1e-12)
