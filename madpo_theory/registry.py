"""What weights and methods share: a name, a look, settings with ranges, a folder that finds them.

A class that gives itself a `name` is registered under it, wherever it is defined: in a file of the
library's folder, in a test, in a notebook. ``find("path/to/file.py:Name")`` takes one from a file.
"""

import dataclasses
import importlib
import importlib.util
import pkgutil
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from .files import near
from .ops import PRIMITIVES, check_number
from .ops.checks import UnknownNameError, nearest

__all__ = ["Look", "Named", "Registry", "in_user_file", "setting"]

NAME = r"[a-z][a-z0-9_]*"


@dataclass(frozen=True)
class Look:
    """How every figure shows it: a colour "#rrggbb", and a marker and a dash of matplotlib."""

    color: str
    marker: str
    dash: object = "-"


def setting(default, rule, holds, origin, *, training=False, **options):
    """A field of a method or weight: its default, its range, and where the default comes from.

    Parameters
    ----------
    default : a number; None for one that may be left out, which None says.
    rule : the range in words, "0 < gamma < 1"; `holds` the same as a function of the value.
    origin : "paper", "code" (what the authors released) or "here".
    training : whether it is one of the training and none of the loss.
    options : of :func:`dataclasses.field`, such as ``kw_only=True``.
    """
    metadata = {"rule": rule, "holds": holds, "origin": origin, "training": training}
    return dataclasses.field(default=default, metadata=metadata, **options)


class Named:
    """Base of what is registered; subclasses are frozen dataclasses.

    Attributes
    ----------
    name : as in commands, tables and keys: lower case, digits, underscores. A class without one of
        its own is not registered.
    label : as in figures and pages.
    source : "arXiv NUMBER", or "derived here".
    look : :class:`Look`, None for the next spare one.
    """

    name: ClassVar[str] = ""
    label: ClassVar[str] = ""
    source: ClassVar[str] = ""
    look: ClassVar[Look | None] = None
    registry: ClassVar["Registry"]

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        if cls.__dict__.get("name"):
            cls.registry.add(cls)

    @property
    def own_name(self):
        """The name that its own class is registered under, else that of the class."""
        return vars(type(self)).get("name") or type(self).__name__

    @property
    def title(self):
        """What pages call it: its own class's label, else its :attr:`own_name`."""
        return vars(type(self)).get("label") or self.own_name

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            left_out = value is None and field.default is None
            if "holds" in field.metadata and not left_out:
                check_number(field.name, value, field.metadata["rule"], field.metadata["holds"])

    def __reduce_ex__(self, protocol):
        """As ever, but by its file where a class comes from one that no import would find."""
        file = type(self).__dict__.get("_file")
        if file is None:
            return super().__reduce_ex__(protocol)
        return _made, (file, {f.name: getattr(self, f.name) for f in dataclasses.fields(self)})


def _made(spec, fields):
    return class_of_file(spec)(**fields)


class Registry(Mapping):
    """The classes of one kind by name, those of a package's files and any that came later.

    Parameters
    ----------
    kind : what they are, in a word, for messages.
    package : dotted name of the folder whose files are looked at when first asked.
    """

    def __init__(self, kind, package):
        self._kind, self._package, self._found, self._loaded = kind, package, {}, False

    def add(self, cls):
        """Register a class under its name; ValueError if another file's has it already."""
        name = cls.__dict__["name"]
        if not re.fullmatch(NAME, name):
            raise ValueError(
                f"name = {name!r} of {cls.__qualname__} breaks the rule of lower-case letters, "
                "digits and underscores; a command must be able to spell it"
            )
        known = self._found.get(name)
        # A module that is loaded again, and dataclass(slots=True), make the same class anew.
        if known is not None and known.__qualname__ != cls.__qualname__:
            raise ValueError(
                f"name = {name!r} of {cls.__qualname__} is taken by the {self._kind} "
                f"{known.__module__}.{known.__qualname__}; choose another"
            )
        self._found[name] = cls

    def find(self, name, argument=None):
        """The class that a name, or ``path/to/file.py:Name``, stands for.

        Raises ValueError that names the `argument`, by default the kind, if there is none.
        """
        if ".py:" in name:
            cls = class_of_file(name)
            if not (isinstance(cls, type) and getattr(cls, "registry", None) is self):
                raise ValueError(f"{name} is no {self._kind}: {cls!r}; name a subclass of its base")
            return cls
        if name not in self:
            near = nearest(name, self)
            raise ValueError(
                f"{argument or self._kind} = {name!r} breaks the rule that it is a {self._kind}, "
                f"one of {', '.join(self)}; {near and f'did you mean {near!r}? '}correct it, or "
                "give a class in a file, path/to/file.py:Name"
            )
        return self[name]

    def named(self, class_name):
        """The class that is called so in its file; AttributeError, as of a module, if none is.

        A file that has its name, as dr_dpo.py has DrDpo's, is the only one that is read.
        """
        found = None
        if not class_name.startswith("_"):
            self._look(re.sub(r"(?<!^)(?=[A-Z])", "_", class_name).lower())
            found = self._of_class(class_name)
            if found is None:
                self._load()
                found = self._of_class(class_name)
        if found is None:
            raise AttributeError(f"module {self._package!r} has no attribute {class_name!r}")
        return found

    def _of_class(self, class_name):
        return next((cls for cls in self._found.values() if cls.__name__ == class_name), None)

    def _look(self, name):
        """Read the file of a name, if there is one and the whole folder was not read."""
        if not self._loaded and name not in self._found:
            with suppress(ModuleNotFoundError):
                importlib.import_module(f"{self._package}.{name}")

    def _load(self):
        if not self._loaded:
            self._loaded = True
            package = importlib.import_module(self._package)
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{self._package}.{module.name}")

    def __getitem__(self, name):
        if isinstance(name, str) and re.fullmatch(NAME, name):
            self._look(name)
        if name not in self._found:
            self._load()
        if name not in self._found:
            raise UnknownNameError.of(self._kind, name, self, f"list({self._kind.upper()}S)")
        return self._found[name]

    def __iter__(self):
        self._load()
        return iter(sorted(self._found))

    def __len__(self):
        self._load()
        return len(self._found)


_RUN = set()
"""Paths of the users' files that were run, or could not be."""


def in_user_file(error, *, causes=True):
    """Where in a user's file an error came up, and what it says, in one line; None if in none.

    Of the error and, with `causes`, of those that it was raised from the first that came through
    such a file counts: the last line of it that ran, or that Python cannot read.
    """
    while error is not None:
        if isinstance(error, SyntaxError) and error.filename in _RUN:
            where = f"{near(error.filename)}, line {error.lineno}"
            return f"{where}: {_said(error, error.msg)}; correct it"
        ran = [f for f in traceback.walk_tb(error.__traceback__) if _file_of(f[0]) in _RUN]
        if ran:
            frame, line = ran[-1]
            name = frame.f_code.co_name
            inside = "" if name.startswith("<") else f", in {name}"
            of_world = "xp" in frame.f_locals and not isinstance(error, NameError)
            told = f"{near(_file_of(frame))}, line {line}{inside}: {_said(error, error)}"
            return f"{told}; correct it{_OF_WORLDS * of_world}"
        later = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        error = later if causes else None
    return None


_OF_WORLDS = f": what a formula computes with are the primitives of xp, {PRIMITIVES}"


def _file_of(frame):
    return frame.f_code.co_filename


def _said(error, words):
    return " ".join(f"{type(error).__name__}: {words}".split())


def class_of_file(spec) -> Callable:
    """What ``path/to/file.py:Name`` names; the file runs once in a process."""
    file, _, name = spec.rpartition(":")
    path = Path(file).resolve()
    module_name = "madpo_file_" + re.sub(r"\W", "_", str(path))
    if not path.is_file():
        raise ValueError(f"{spec}: there is no file {path}; give path/to/file.py:Name")
    _RUN.add(str(path))
    if module_name not in sys.modules:
        loader = importlib.util.spec_from_file_location(module_name, path)
        module = importlib.util.module_from_spec(loader)
        sys.modules[module_name] = module
        try:
            loader.loader.exec_module(module)
        except BaseException:
            del sys.modules[module_name]
            raise
    found = getattr(sys.modules[module_name], name, None)
    if found is None:
        raise ValueError(f"{spec}: {path.name} defines no {name}; correct the name after the colon")
    if isinstance(found, type):
        found._file = f"{path}:{name}"
    return found
