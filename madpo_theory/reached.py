"""A hash of the code that objects reach, by which what that code has computed is found again.

Code is taken by top-level definitions: a function, a class with its body, a module's constant with
everything that the module assigns to it. A definition reaches what its names stand for, through
imports (those inside functions too) and ``module.attribute``, into our own code: this package, and
whatever lies outside the standard library and site-packages, such as a user's study and the files
beside it. Other packages enter by the dotted names of what is used; their versions are the
caller's to add. Where a definition lies, how it is imported, comments, docstrings and how a class
is shown (its name, label, source and look) do not count.

What no name says is not seen: a module imported by a string, an entry of a registry, a file that
is read. Whoever depends on one passes it, as an object, too.
"""

import ast
import copyreg
import functools
import hashlib
import importlib.util
import pickle
import symtable
import sys
import sysconfig
import types
import warnings
from collections import deque
from dataclasses import fields, is_dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NamedTuple

__all__ = ["digest_of"]

HOUSE = __name__.partition(".")[0]
STANDARD = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")}
PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))
SHOWN = {"name", "label", "source", "look"}  # of a class: what registry.Named says it looks like
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def digest_of(*objects):
    """Hash, 64 hexadecimal digits, of values and of all the code that they reach.

    Parameters
    ----------
    objects : functions, classes, modules (all that they define), and values: plain ones,
        containers, dataclasses by their fields, anything else by what pickle would write. An
        instance reaches its class, a class its bases and methods, a closure its cells and
        defaults. Lambdas, and functions without a file, count by their compiled code and what
        their globals now hold.

    The same in every process and for every place of the files. Raises TypeError for an object that
    cannot be told from others of its type, such as an open file.
    """
    walk = _Walk()
    for one in objects:
        walk.value(one)
    return walk.finish()


class _Walk:
    """Writes what it meets, in an order that only the code decides, each definition once.

    A definition is written as its text, in which references are numbered, and the numbers of the
    definitions that these stand for: so cycles end, and no name of a file enters.
    """

    def __init__(self):
        self.hash, self.numbers, self.queue = hashlib.sha256(), {}, deque()
        self.modules, self.resolving, self.inside, self.kept = {}, set(), [], []

    def say(self, *words):
        for word in words:
            self.hash.update(f"{len(word)}:{word}".encode(errors="surrogatepass"))

    def finish(self):
        while self.queue:
            module, name = self.queue.popleft()
            if name is None:  # a module that is passed about: any of its names may be used
                for known in module.names():
                    self.say(known)
                    self.refer(module, (known,))
                continue
            found = module.definition(name)
            self.say(found.text)
            for chain in found.chains:
                self.say("stands for")
                self.refer(module, chain, found.imports)
        return self.hash.hexdigest()

    # ------------------------------------------------------------------------------- by name

    def refer(self, module, chain, imports=types.MappingProxyType({})):
        """Say what ``a.b.c`` stands for in a module, given what a definition imports itself."""
        name, *rest = chain
        if (id(module), chain) in self.resolving:
            return  # two modules that import a name from each other
        self.resolving.add((id(module), chain))
        sources = (*imports.get(name, ()), *module.imports.get(name, ()))
        if name in module.statements:
            self.enter(module, name, *rest)
        for source, attribute in sources:
            self.refer_to(source, (attribute, *rest) if attribute else tuple(rest))
        if name not in module.statements and not sources:  # it comes with a star, or is a builtin
            self.say(*chain)
            for source in module.stars:
                self.refer_to(source, chain)
        self.resolving.discard((id(module), chain))

    def refer_to(self, source, chain):
        """Say what ``source.a.b`` stands for, source being a module's dotted name."""
        module = self.module(source)
        if module is not None and not chain:
            self.enter(module, None)
        elif module is not None and chain[0] in module:
            self.refer(module, chain)
        elif chain and not self.foreign(source) and self.module(f"{source}.{chain[0]}"):
            self.refer_to(f"{source}.{chain[0]}", chain[1:])
        elif module is not None:
            self.refer(module, chain)
        else:
            self.say(source, *chain)

    def enter(self, module, name, *rest):
        """The number of a definition, or of a whole module if name is None; written in its turn."""
        key = (id(module), name)
        if key not in self.numbers:
            self.numbers[key] = len(self.numbers)
            self.queue.append((module, name))
        self.say(f"#{self.numbers[key]}", *rest)

    def module(self, name):
        """The :class:`_Module` of that name, if it is ours; found without importing anything."""
        if name not in self.modules:
            file, _, package = self.located(name)
            self.modules[name] = _read(name, file, package)
        return self.modules[name]

    def located(self, name):
        """(file, folders of its submodules, package) of a module; None where there is none."""
        loaded = sys.modules.get(name)
        if loaded is not None and (name == "__main__" or getattr(loaded, "__file__", None)):
            file = getattr(loaded, "__file__", None)
            folders = getattr(loaded, "__path__", None)
            return file, folders, getattr(loaded, "__package__", None) or ""
        parent, _, _ = name.rpartition(".")
        try:
            if parent:
                folders = self.located(parent)[1]
                spec = folders and PathFinder.find_spec(name, list(folders))
            else:
                spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            spec = None
        if not spec:
            return None, None, ""
        file = spec.origin if spec.has_location else None
        return file, spec.submodule_search_locations, spec.parent

    def foreign(self, name):
        """Whether a module is another package's or Python's own, so that its name says enough."""
        if name == "__main__" or self.module(name) is not None:
            return False
        standard = name.partition(".")[0] in sys.stdlib_module_names
        return standard or self.located(name)[0] is not None

    # ------------------------------------------------------------------------------ by object

    def value(self, one):
        """Say what an object is, and whatever it holds."""
        kind = type(one)
        if kind in PLAIN:
            return self.say(kind.__name__, repr(one))
        if isinstance(one, types.ModuleType):
            return self.refer_to(one.__name__, ())
        if isinstance(one, (type, types.FunctionType)):
            return self.known(one)
        if id(one) in self.inside:
            return self.say("inside itself", str(len(self.inside) - self.inside.index(id(one))))
        self.inside.append(id(one))
        self.say(kind.__name__)
        if kind in (tuple, list):
            self.values(one)
        elif kind is dict:
            self.values(one.items())
        elif kind in (set, frozenset):
            self.values(sorted(map(digest_of, one)))
        elif is_dataclass(one):
            self.value(kind)
            self.values(getattr(one, field.name, None) for field in fields(one))
        elif callable(one) and hasattr(one, "__wrapped__"):  # a cache, a compiled function
            self.value(one.__wrapped__)
        else:
            self.reduced(one)
        self.inside.pop()

    def values(self, many):
        many = list(many)
        self.say(str(len(many)))
        for one in many:
            self.value(one)

    def reduced(self, one):
        """Say what pickle would write."""
        try:
            reducer = copyreg.dispatch_table.get(type(one))
            parts = reducer(one) if reducer else one.__reduce_ex__(4)
        except (TypeError, pickle.PicklingError) as error:
            raise TypeError(
                f"{one!r} of type {type(one).__qualname__} cannot be told from others of its type "
                f"({error}); use functions of a module, and values that pickle takes"
            ) from None
        if isinstance(parts, str):
            self.say(str(getattr(one, "__module__", None)), parts)
        else:
            self.values(list(part) if hasattr(part, "__next__") else part for part in parts)

    def known(self, one):
        """Say what a function or class is: its definition, and what its object holds besides."""
        if id(one) in self.numbers:
            return self.say(f"#{self.numbers[id(one)]}")
        self.numbers[id(one)] = len(self.numbers)
        self.kept.append(one)  # so that no other object gets its id
        of_function = isinstance(one, types.FunctionType)
        home = str(one.__globals__.get("__name__") if of_function else one.__module__)
        name = one.__code__.co_qualname if of_function else one.__qualname__
        if self.foreign(home):
            self.say(home, name)
            if hasattr(one, "__wrapped__"):
                return self.value(one.__wrapped__)
            found = True
        else:
            self.say(name)
            module, top = self.module(home), name.partition(".")[0]
            found = module is not None and top in module.statements
            found = found and (not of_function or module.holds(one.__code__))
            if found:
                self.enter(module, top)
        if found and "<" not in name:
            return
        if of_function:  # made by a call, a lambda, or nowhere to be read
            self.function(one, {} if found else one.__globals__)
        else:
            self.members(one)

    def function(self, one, space):
        """Say what a function does: its compiled code, cells, defaults, and names in `space`."""
        for word in self.compiled(one.__code__, one.__doc__):
            if word in space:
                self.say(word)
                self.value(space[word])
        self.values(_contents(one))
        self.values((one.__defaults__, one.__kwdefaults__))

    def compiled(self, code, doc=None):
        """Say a code object, but for places and its docstring; returns the names in it."""
        names = list(code.co_names)
        self.say(code.co_code.hex(), *code.co_names, *code.co_varnames, *code.co_freevars)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                names += self.compiled(constant)
            elif constant != doc:
                self.value(constant)
        return names

    def members(self, one):
        """Say the bases of a class and what its body has bound."""
        self.values(one.__bases__)
        for name, member in sorted(vars(one).items()):
            parts = [getattr(member, of, None) for of in ("__func__", "fget", "fset", "func")]
            parts = [part for part in parts if part is not None] or [member]
            if name != "_abc_impl" and (callable(parts[0]) or not name.startswith("__")):
                self.say(name, type(member).__name__)
                self.values(parts)


def _contents(function):
    """What the cells of a closure hold."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # nothing yet
            yield None


# ------------------------------------------------------------------------------------- by file


def _read(name, file, package):
    """The :class:`_Module` of a file that is ours; None for another's, or where there is none."""
    if file is None or not file.endswith(".py"):
        return None
    path = Path(file).resolve()
    installed = not {"site-packages", "dist-packages"}.isdisjoint(path.parts)
    if name.partition(".")[0] != HOUSE and (installed or not STANDARD.isdisjoint(path.parents)):
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return _parsed(str(path), package, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=1024)
def _parsed(path, package, modified, size):
    return _Module(path, package)


class _Definition(NamedTuple):
    """What is said of a name: `text`, the names `chains` in it, and what it imports itself."""

    text: str
    chains: tuple
    imports: dict


class _Module:
    """A file by its top-level statements.

    Attributes
    ----------
    statements : name -> statements that make it what it is, in their order.
    imports : name -> (module, attribute or None) of each import that binds it.
    stars : modules of which everything is imported.
    """

    def __init__(self, path, package):
        self.path, self.package = path, package
        text = importlib.util.decode_source(Path(path).read_bytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they were given when the file was imported
            body = ast.parse(text, path).body
            self.tables = symtable.symtable(text, path, "exec").get_children()
        shallow = [(s, [s] if isinstance(s, SCOPES) else list(_shallow(s))) for s in body]
        self.imports, self.stars = self.imported(n for _, nodes in shallow for n in nodes)
        bound = [_bound(nodes) for _, nodes in shallow]
        defined = set().union(*bound)
        self.statements, self.definitions = {}, {}
        for (statement, nodes), names in zip(shallow, bound, strict=True):
            also = _affected(statement, nodes, defined, self.imports.keys())
            for name in names | also:
                self.statements.setdefault(name, []).append(statement)

    def __contains__(self, name):
        return name in self.statements or name in self.imports

    def names(self):
        """What the module binds, but for what Python asks of modules, such as __all__."""
        return sorted(n for n in {*self.statements, *self.imports} if not n.startswith("__"))

    def holds(self, code):
        """Whether a function was compiled from this file."""
        return Path(code.co_filename).resolve() == Path(self.path)

    def imported(self, nodes):
        """(name -> (module, attribute) pairs, modules imported whole by a star) of statements."""
        names, stars = {}, []
        for node in nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    bound = alias.asname or alias.name.partition(".")[0]
                    source = alias.name if alias.asname else bound
                    names.setdefault(bound, []).append((source, None))
            elif isinstance(node, ast.ImportFrom):
                source = self.absolute(node)
                for alias in node.names:
                    if alias.name == "*":
                        stars.append(source)
                    else:
                        bound = alias.asname or alias.name
                        names.setdefault(bound, []).append((source, alias.name))
        return names, stars

    def absolute(self, node):
        name = "." * node.level + (node.module or "")
        try:
            return importlib.util.resolve_name(name, self.package)
        except ImportError:  # too many dots: Python, too, will find nothing
            return name

    def definition(self, name):
        """The :class:`_Definition` of a name in `statements`."""
        if name not in self.definitions:
            statements = self.statements[name]
            imports, _ = self.imported(_inner(statements))
            used = set(imports).union(*map(self.used, statements))
            text = _Text(used)
            text.write(statements)
            self.definitions[name] = _Definition("".join(text.words), tuple(text.chains), imports)
        return self.definitions[name]

    def used(self, statement):
        """Names that a statement, or a function or class in it, takes from the module."""
        names = {node.id for node in _shallow(statement) if isinstance(node, ast.Name)}
        decorators = getattr(statement, "decorator_list", [])
        first = min(node.lineno for node in (statement, *decorators))
        left = [t for t in self.tables if first <= t.get_lineno() <= statement.end_lineno]
        while left:
            table = left.pop()
            in_class = table.get_type() == "class"  # where `x = x` takes the module's x
            names.update(
                symbol.get_name()
                for symbol in table.get_symbols()
                if symbol.is_global() or (in_class and symbol.is_referenced())
            )
            left += table.get_children()
        return names


def _shallow(node):
    """The nodes of a statement that run in its module's scope, no body of a function or class."""
    left = [node]
    while left:
        node = left.pop()
        yield node
        hidden = node.body if isinstance(node, (*SCOPES, ast.Lambda)) else ()
        hidden = {id(part) for part in hidden} if isinstance(hidden, list) else {id(hidden)}
        left += [child for child in ast.iter_child_nodes(node) if id(child) not in hidden]


def _inner(statements):
    """The statements within statements."""
    for statement in statements:
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(statement, part, [])
            yield from inner
            yield from _inner(inner)


def _bound(nodes):
    """Names that nodes of a module's scope bind, imports aside."""
    return {node.name for node in nodes if isinstance(node, SCOPES)} | {
        node.id
        for node in nodes
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    }


def _affected(statement, nodes, defined, imported):
    """Names that a statement binds not, but may change: ``X[k] = v``, ``register(X)``, ``@X.add``.

    A block under ``if __name__ == "__main__"`` uses what the module defines, and changes nothing.
    """
    if isinstance(statement, SCOPES):
        called = (d.func if isinstance(d, ast.Call) else d for d in statement.decorator_list)
        chains = [_chain(node) for node in called]
        return {chain[0] for chain in chains if len(chain) > 1} & defined
    named = {node.id for node in nodes if isinstance(node, ast.Name)}
    places = (node for node in nodes if isinstance(node, (ast.Attribute, ast.Subscript)))
    within = any(not isinstance(node.ctx, ast.Load) for node in places)
    if isinstance(statement, (ast.Assign, ast.AnnAssign)) and not within:
        return set()
    test = ast.walk(statement.test) if isinstance(statement, ast.If) else ()
    of_main = any(isinstance(node, ast.Name) and node.id == "__name__" for node in test)
    return set() if of_main else named & (defined | imported)


def _chain(node):
    """("a", "b", "c") of the node of ``a.b.c``; empty for anything else."""
    attributes = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return (node.id, *reversed(attributes)) if isinstance(node, ast.Name) else ()


class _Text:
    """Statements as words that only their meaning decides, references numbered as they come."""

    def __init__(self, used):
        self.used, self.words, self.chains = used, [], {}

    def write(self, part):
        if isinstance(part, list):
            self.words.append("[")
            for one in part:
                if not _silent(one):
                    self.write(one)
            self.words.append("]")
        elif isinstance(part, ast.Constant):
            self.words.append(f"{part.value!r},")
        elif not isinstance(part, ast.AST):
            self.words.append(f"{part!r},")
        elif (chain := _chain(part)) and chain[0] in self.used:
            self.words.append(f"${self.chains.setdefault(chain, len(self.chains))},")
        else:
            self.words.append(f"{type(part).__name__}(")
            for field in part._fields:
                value = getattr(part, field, None)
                if field == "body" and isinstance(part, ast.ClassDef):
                    value = [statement for statement in value if not _shown(statement)]
                if value is not None and value != [] and field not in ("ctx", "type_comment"):
                    self.words.append(f"{field}=")
                    self.write(value)
            self.words.append(")")


def _silent(node):
    """Whether a statement does nothing by itself: an import, a docstring, `pass`."""
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return text or isinstance(node, (ast.Import, ast.ImportFrom, ast.Pass))


def _shown(statement):
    """Whether a statement of a class's body only says how it is shown."""
    if not isinstance(statement, ast.Assign):
        return False
    targets = {node.id for target in statement.targets for node in ast.walk(target)
               if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}  # fmt: skip
    return bool(targets) and targets <= SHOWN
