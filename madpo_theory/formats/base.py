"""What all formats share: a table of named columns, and how errors speak of what it holds."""

import re
from types import MappingProxyType
from typing import ClassVar

__all__ = [
    "BYTES", "FORMATS", "MISSING", "ROWS", "Table", "listing", "named", "pairs_of_two", "short",
    "steps",
]  # fmt: skip

ROWS = 1 << 17
"""Rows to a batch of numbers: its arrays fit a core's cache."""
BYTES = 1 << 25
"""Bytes, about, that a batch of whole rows may hold."""
MISSING = frozenset(
    "|#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|None|n/a|"
    "nan|null".split("|")
)
"""Words for a missing value: those of pandas."""
FORMATS = {}
"""The format of a file by the suffix of its name: a class of :class:`Table` registers its own."""

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)(?: of (\d+))?\]")
_LEAF = re.compile(r"\[\]")


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


def steps(name, names):
    """(column, steps) of a name: a column of `names`, or a place in one, such as ``chosen.score``.

    ``a.b`` is the entry b of the objects in a, ``a[0]`` the first entry of the lists in it, and
    ``a[0 of 2]`` that of lists of just two. A step is the key of an entry, or (index, length or
    None). ``(None, ())`` if there is no such column.
    """
    if name in names:
        return name, ()
    for cut in (found.start() for found in re.finditer(r"[.\[]", name)):
        column, rest = name[:cut], name[cut:]
        if column in names and re.fullmatch(f"({_STEP.pattern})+", rest):
            return column, tuple(
                key or (int(index), int(length) if length else None)
                for key, index, length in _STEP.findall(rest)
            )
    return None, ()


def pairs_of_two(name):
    """The two names that a name with ``[]`` stands for: both entries of lists of just two."""
    return tuple(_LEAF.sub(f"[{k} of 2]", name, count=1) for k in range(2))


class Table:
    """Rows of named columns in a file.

    A format of files is a subclass, in a file of this folder, that says its `suffixes`.

    Attributes
    ----------
    path : of the file. names : of its columns, in order. inner : places within them that hold
        numbers, as ``chosen.score`` and ``completions[].reward``.
    late : {name: row} of columns that only later rows of the file have; known once it is read.
    metadata : of the file, bytes by bytes.
    suffixes : of its files, the first one for new ones. compresses : whether with .gz, too.
    keeps_record : whether a file of it holds metadata.
    """

    suffixes: ClassVar[tuple] = ()
    compresses: ClassVar[bool] = False
    keeps_record: ClassVar[bool] = False
    late = MappingProxyType({})
    metadata = MappingProxyType({})
    inner = ()

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        for suffix in cls.__dict__.get("suffixes", ()):
            FORMATS[suffix] = cls
            if cls.compresses:
                FORMATS[f"{suffix}.gz"] = cls

    @staticmethod
    def begins(head):
        """Whether a file that begins with these bytes may be of this format."""
        return False

    def has(self, name):
        """Whether there is a column of that name, or such a place in one."""
        return steps(name, self.names)[0] is not None

    def require(self, name):
        """ValueError unless there is one column of that name, or such a place in one."""
        if not self.has(name):
            raise ValueError(
                f"{self.path}: there is no column {short(name)}; "
                f"{listing([*self.names, *self.inner])}"
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

    def objects(self, payload):
        """The rows of a payload as dicts of what JSON holds, and of dates and the like."""
        raise NotImplementedError

    def arrow_schema(self):
        """The Arrow schema of all columns; of a text the whole file is read for it."""
        raise NotImplementedError

    def arrow_batch(self, payload, schema):
        """The rows of a payload as a record batch with that schema."""
        raise NotImplementedError

    @classmethod
    def writing(cls, path, target):
        """A context manager of write(payload, copies, values) into a new file of the format.

        `target` is the :class:`~.writing.Extended` that is written, `copies` (n,) says how often
        each row of the payload is, and `values` has an array, (rows written,), for each new column.
        """
        raise NotImplementedError

    @classmethod
    def check_holds(cls, source):
        """ValueError with the first column of a :class:`Table` that this format cannot hold."""
