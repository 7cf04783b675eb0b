"""What the library finds without knowing it: studies, figures, tables, sections, claims, commands.

A distribution registers its own by entry points; this one does so too, in ``pyproject.toml``. Two
groups name folders, of which every file whose name does not begin with ``_`` counts::

    [project.entry-points."madpo_theory.studies"]
    mine = "my_package.my_studies"

The other groups name objects. Nothing is imported before it is asked for.
"""

import pkgutil
from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points

__all__ = ["CLAIMS", "COMMANDS", "FIGURES", "SECTIONS", "STUDIES", "TABLES", "Files", "Found"]


class Found(Mapping):
    """What is registered in a group of entry points, by name; loaded when asked for.

    Iterates over the names in their order; ValueError, at the first look, if one stands twice.
    """

    def __init__(self, group):
        self._group = group

    def _registered(self):
        return entry_points(group=self._group)

    @cached_property
    def _entries(self):
        found = {}
        for entry in sorted(self._registered(), key=lambda entry: entry.name):
            if entry.name in found:
                raise ValueError(
                    f"{self._group}: {entry.name!r} stands for both {found[entry.name].value} and "
                    f"{entry.value}; rename one, or uninstall the distribution that brings it"
                )
            found[entry.name] = entry
        return found

    def __getitem__(self, name):
        return self._entries[name].load()

    def __iter__(self):
        return iter(self._entries)

    def __len__(self):
        return len(self._entries)


class Files(Found):
    """The modules in the folders that are registered in a group, by the names of their files."""

    def _registered(self):
        for folder in super()._registered():
            for file in pkgutil.iter_modules(folder.load().__path__):
                if not file.ispkg and not file.name.startswith("_"):
                    yield EntryPoint(file.name, f"{folder.value}.{file.name}", self._group)


STUDIES = Files("madpo_theory.studies")
"""Modules with ``study(worlds=...)``, which returns a Study, and perhaps ``drawn(table)``."""
FIGURES = Files("madpo_theory.figures")
"""Modules with ``draw(table)`` and, if the paper shows it, a ``FIGURE``."""
TABLES = Found("madpo_theory.tables")
"""Mappings of name to function: a folder of recorded runs -> the table that a figure draws."""
SECTIONS = Found("madpo_theory.sections")
"""Functions: a folder of recorded runs -> what the report says of them."""
CLAIMS = Found("madpo_theory.claims")
"""Modules with a ``CLAIM``; its id begins the name of the file, as in a7_sentiment."""
COMMANDS = Found("madpo_theory.commands")
"""Functions: a list of arguments -> exit status; the docstring's first line is the help."""
