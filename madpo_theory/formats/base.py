"""What all formats share: a table of named columns, and how errors speak of what it holds."""

from types import MappingProxyType

__all__ = ["BYTES", "MISSING", "ROWS", "Table", "listing", "named", "short"]

ROWS = 1 << 17
"""Rows to a batch of numbers: its arrays fit a core's cache."""
BYTES = 1 << 25
"""Bytes, about, that a batch of whole rows may hold."""
MISSING = frozenset(
    "|#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|None|n/a|"
    "nan|null".split("|")
)
"""Words for a missing value: those of pandas."""


def short(value, length=60):
    """A value as errors show it: on one line, and never the whole of a user's text."""
    text = repr(value[: length + 1] if isinstance(value, str) else value)
    return text if len(text) <= length else f"{text[:length]}..."


def named(name):
    """The name of a column, as errors show it: its own, if it is one line, and short."""
    return name if name.isprintable() and len(name) <= 60 else short(name)


def listing(names):
    """The names of a file's columns, as errors show them."""
    shown = map(named, names[:20])
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"the columns are {', '.join(shown)}{more}"


class Table:
    """Rows of named columns in a file.

    Attributes
    ----------
    path : of the file. names : of its columns, in order.
    late : {name: row} of columns that only later rows of the file have; known once it is read.
    suffix : of a file that its rows can be written to.
    """

    late = MappingProxyType({})

    def require(self, name):
        """ValueError unless there is one column of that name."""
        if name not in self.names:
            raise ValueError(
                f"{self.path}: there is no column {short(name)}; {listing(self.names)}"
            )
        if self.names.count(name) > 1:
            raise ValueError(f"{self.path}: has the column {short(name)} twice; rename one of them")

    def require_numbers(self, name, *, label=False):
        """ValueError unless the one column can hold numbers; a `label` may be of truth values."""
        self.require(name)

    def parts(self, names, label, *, whole, rows):
        """({name: (n,) float64}, payload) of batches: NaN is what is missing.

        `label` is the one of the names, or None, whose truth values count as 1 and 0. The payload
        is None or, of `whole` rows, what the format's writer takes.
        """
        raise NotImplementedError

    def cells(self, names):
        """Tuples of the values in these columns, row by row; None for what is missing."""
        raise NotImplementedError

    @staticmethod
    def number(value):
        """A cell as a float, NaN if it is missing; TypeError or ValueError if it is no number."""
        raise NotImplementedError
