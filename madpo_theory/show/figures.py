"""Figures of the paper, each a file of a folder registered as "madpo_theory.figures".

Such a file holds what a reader is told, as ``FIGURE = Figure(...)``, and ``draw(table)``. A study's
is named study_NAME, draws what the study says of its table, and has no FIGURE.
"""

import csv
import functools
import inspect
import io
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..extensions import FIGURES, TABLES
from ..files import replacing, write_text
from ..ops.checks import check_choice
from .experiment import SENTIMENT
from .style import styled
from .svg import svg_of

__all__ = ["Figure", "drawn", "figures", "make_figures", "save", "table_bytes"]

COMMAND = "madpo figures"
SOURCES = {  # what a figure may be built from besides the theory, and what makes that
    "experiment": ("experiment run", SENTIMENT),
    "results": ("recorded study", "madpo study"),
    "second": ("second recorded study", "madpo study --second cpu"),
}


@dataclass(frozen=True)
class Figure:
    """A figure: what a reader should see, and the table that it shows.

    Attributes
    ----------
    title, caption, alt : the caption may hold $...$ mathematics; `alt` is plain.
    table : a function that returns a dict of equally long columns; or "GROUP.NAME", the function
        that an experiment registered for it (:data:`~madpo_theory.extensions.TABLES`).
    source : None, or one of :data:`SOURCES`; the function then takes that folder.
    name : of its file; :func:`figures` sets it.
    """

    title: str
    caption: str
    alt: str
    table: Callable | str
    source: str | None = None
    name: str = ""

    @property
    def takes(self):
        """What a user may put into it: names of arguments of its table's function."""
        if not callable(self.table):
            return set()
        return {"schedules", "methods"} & set(inspect.signature(self.table).parameters)

    def build(self, folder=None, **theirs):
        """Its table, from the folder of its source if it has one, of what a user put in."""
        build = self.table
        if isinstance(build, str):
            group, name = build.split(".")
            build = TABLES[group][name]
        return build(**theirs) if self.source is None else build(folder)

    def draw(self, table):
        """The matplotlib Figure of a table; imports matplotlib."""
        return drawn(self.name, table)


def drawn(name, table):
    """What the figure file called `name` makes of a table: a matplotlib Figure."""
    if name not in FIGURES:
        raise ValueError(
            f"there is no figure {name}: a file {name}.py with draw(table) belongs in a folder "
            'that is registered as "madpo_theory.figures"'
        )
    return FIGURES[name].draw(table)


@functools.cache
def figures():
    """{name: :class:`Figure`} of all that are registered; the theory's come first."""
    found = [
        replace(file.FIGURE, name=name) for name, file in FIGURES.items() if hasattr(file, "FIGURE")
    ]
    order = (None, *SOURCES)
    return {f.name: f for f in sorted(found, key=lambda f: order.index(f.source))}


def make_figures(
    out, *, experiment, results=None, second=None, names=None, say=None, schedule=None, method=None
):
    """Write each figure as SVG (of two looks), PDF and the CSV of its table; returns the paths.

    Parameters
    ----------
    out : folder, created if missing.
    experiment : folder of a finished sentiment run, or None: figures that need one are skipped.
    results, second : folders of the recorded sentiment studies, or None: the same.
    names : names of :func:`figures`, all of them by default.
    schedule, method : show this schedule, and this method's target, in the place of the released
        ones: in the figures that can, by default all of those and no others.
    say : called with one line of text for each figure skipped; prints to stderr by default.

    The same inputs give the same bytes. Raises ValueError, naming file, column and remedy, for
    an unknown name or a summary that is missing, empty, incomplete or not finite.
    """
    out, known = Path(out), figures()
    folders = {"experiment": experiment, "results": results, "second": second}
    say = say or (lambda text: print(text, file=sys.stderr))
    theirs = {}
    if schedule is not None:
        theirs["schedules"] = {"madpo_yours": schedule}
    if method is not None:
        theirs["methods"] = (method,)
    able = [name for name in known if known[name].takes >= set(theirs)]
    chosen = able if names is None else list(names)
    for name in chosen:
        check_choice("figure of your schedule or method" if theirs else "figure", name, able)
        if names is not None and known[name].source and folders[known[name].source] is None:
            what, command = SOURCES[known[name].source]
            raise ValueError(
                f"figure {name} shows the {what}, and there is none; make one with `{command}`"
            )
    written = []
    for name in chosen:
        figure = known[name]
        folder = folders.get(figure.source)
        if figure.source and folder is None:
            what, command = SOURCES[figure.source]
            say(f"figure {name} skipped: there is no {what}; make one with `{command}`")
            continue
        table = figure.build(folder, **theirs)
        picture = figure.draw(table)
        written += [save(picture, out / f"{name}.{kind}") for kind in ("svg", "pdf")]
        written.append(out / f"{name}.csv")
        with replacing(written[-1]) as path:
            path.write_bytes(table_bytes(table))
    return written


def save(figure, target):
    """Write a Figure, without dates, versions or anything else that changes between runs.

    By the ending of `target`: .svg (:func:`~.svg.svg_of`), .pdf, or .png at 200 dpi.
    """
    kind = target.suffix[1:]
    if kind == "svg":
        return write_text(target, svg_of(figure))
    unstamped = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    with replacing(target) as path:
        styled(figure.savefig)(path, format=kind, metadata=unstamped[kind])
    return target


def table_bytes(table):
    """A table as CSV in UTF-8: ten significant digits, empty where not a number."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    for row in zip(*(np.asarray(column).tolist() for column in table.values()), strict=True):
        writer.writerow(_cell(value) for value in row)
    return text.getvalue().encode()


def _cell(value):
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.10g}"
    return "" if value is None else value
