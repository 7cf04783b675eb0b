"""Which mutants there are: cosmic-ray's operators, applied to the source of one module."""

import ast
import difflib
import pickle
import random
import warnings
from collections import Counter
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import cosmic_ray.plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import MutationVisitor

ROOT = Path(__file__).resolve().parents[2]


def _files(folder):
    """The modules of a folder, a file each."""
    names = sorted(path.stem for path in (ROOT / "madpo_theory" / folder).glob("*.py"))
    return [f"{folder}.{name}" for name in names if name != "__init__"]


FORMULAS = (
    "ops",
    "ops.stable",
    "ops.numpy_world",
    "ops.torch_world",
    "ops.sympy_world",
    "ops.arb_world",
    "schedule",
    *_files("weights"),
    *_files("methods"),
    "losses",
    "targets",
    "risk",
)
ROOMS = {
    "formulas": FORMULAS,
    "certificates": (*_files("certify"), "audit.checker"),
    "ledger": ("claims.ledger", "claims.evidence"),
}
REQUIRED = {"formulas": 0.97, "certificates": 0.95, "ledger": 0.95}
"""The share of the mutants of a room, without equivalent ones, that the tests must notice."""
MODULES = tuple(module for modules in ROOMS.values() for module in modules)

ARITHMETIC = ("Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow")
LOGIC = ("BitOr", "BitAnd", "BitXor")


def chosen(operator):
    """Whether an operator of cosmic-ray is applied; docs/mutation.md says why or why not."""
    kind, *change = operator.removeprefix("core/").split("_")
    if kind == "ReplaceBinaryOperator":
        return set(change) <= set(ARITHMETIC) or set(change) <= set(LOGIC)
    if kind == "ReplaceUnaryOperator":
        return change in (["Delete", "USub"], ["Delete", "Not"], ["USub", "Not"])
    return kind not in ("VariableReplacer", "VariableInserter")


@dataclass(frozen=True)
class Mutant:
    """One change: where it is, what it does, and the whole source of the module with it."""

    module: str
    operator: str
    line: int
    function: str  # of the innermost function whose body holds it; "" at the module's level
    code: tuple[int, ...]  # first line of that function's code, as its code object has it
    original: str
    source: str

    @cached_property
    def change(self):
        """``before -> after``, the changed lines without their indentation."""
        lines = list(difflib.ndiff(self.original.splitlines(), self.source.splitlines()))
        before = " ".join(line[2:].strip() for line in lines if line.startswith("- "))
        after = " ".join(line[2:].strip() for line in lines if line.startswith("+ "))
        return f"{before} -> {after}"

    @property
    def key(self):
        """What a person calls it: stable as long as its function and line are."""
        return self.module, self.function, self.change


def path_of(module):
    """The file of a module of the library."""
    path = ROOT / "madpo_theory" / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def room_of(module):
    """The room that a module of :data:`MODULES` is in."""
    return next(room for room, modules in ROOMS.items() if module in modules)


@dataclass(frozen=True)
class Place:
    """A change that an operator can make: which operator, which of its occurrences, and where."""

    module: str
    operator: str
    occurrence: int
    at: tuple[int, int]


@cache
def places_of(module):
    """Every :class:`Place` of a module, operator by operator, in the order of the text."""
    nodes = list(ast_nodes(pickle.loads(_tree(module))))
    found = []
    for name in filter(chosen, cosmic_ray.plugins.operator_names()):
        operator = cosmic_ray.plugins.get_operator(name)()
        starts = [start for node in nodes for start, _ in operator.mutation_positions(node)]
        found += [Place(module, name, i, start) for i, start in enumerate(starts)]
    looks = _looks(module)
    return [place for place in found if not any(a <= place.at <= b for a, b in looks)]


def _looks(module):
    """(start, end) of every Look(...) of a module: how figures draw it is no formula."""
    return [
        ((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset))
        for node in ast.walk(ast.parse(path_of(module).read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Look"
    ]


@cache
def _tree(module):
    """A module's syntax tree, pickled: an operator changes the one that it is given."""
    return pickle.dumps(get_ast(path_of(module).read_text()))


def drawn(modules, number, seed):
    """The first `number` places of some modules in a random order, all if None.

    A larger number continues a smaller one, and any beginning of it is a simple random sample.
    """
    places = [place for module in modules for place in places_of(module)]
    if number is not None:
        random.Random(seed).shuffle(places)
    return places[:number]


def mutants_of(places):
    """(mutants, number that do not compile) of some places, in their order."""
    mutants, broken, twins = [], 0, Counter()
    for place in places:
        source, tree = path_of(place.module).read_text(), pickle.loads(_tree(place.module))
        operator = cosmic_ray.plugins.get_operator(place.operator)()
        mutated = MutationVisitor(place.occurrence, operator).walk(tree).get_code()
        if not _compiles(mutated):
            broken += 1
            continue
        function, code = _innermost(_functions(source), *place.at)
        line, _ = place.at
        mutant = Mutant(place.module, place.operator, line, function, code, source, mutated)
        twins[mutant.key] += 1
        if twins[mutant.key] > 1:  # the same change twice in one function
            mutant.__dict__["change"] = f"{mutant.change} (#{twins[mutant.key]})"
        mutants.append(mutant)
    return mutants, broken


def _compiles(source):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(source, "mutant", "exec")
        except SyntaxError:
            return False
    return True


@cache
def _functions(source):
    """(start, end, qualified name, first line of the code object) of every function's body."""
    found = []

    def walk(node, names):
        for child in ast.iter_child_nodes(node):
            inside = names
            if isinstance(child, ast.FunctionDef | ast.Lambda):
                is_lambda = isinstance(child, ast.Lambda)
                inside = (*names, "<lambda>" if is_lambda else child.name)
                first = child.body if is_lambda else child.body[0]
                decorators = [] if is_lambda else child.decorator_list
                line = min([child.lineno, *(d.lineno for d in decorators)])
                body = ((first.lineno, first.col_offset), (child.end_lineno, child.end_col_offset))
                found.append((*body, ".".join(inside), line))
            elif isinstance(child, ast.ClassDef):
                inside = (*names, child.name)
            walk(child, inside)

    walk(ast.parse(source), ())
    return found


def _innermost(functions, line, column):
    around = [f for f in functions if f[0] <= (line, column) < f[1]]
    if not around:
        return "", ()
    _, _, name, first = max(around, key=lambda f: f[0])
    return name, (first,)
