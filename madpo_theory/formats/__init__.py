"""The rows of a table, batch by batch, from wherever a user has them.

Files of Parquet, Arrow, JSONL, JSON, CSV and TSV, the texts packed by gzip or not; shards by a
pattern or in a folder; what `datasets` saves or loads; standard input; a frame of pandas or polars,
a Dataset, a list of dicts. One reader for all that the library reads of a user's: pairs and
rewards. What is read is what pandas, polars and datasets read of the same rows; what is not is
refused in one line. A format is one file of this folder.
"""

import pkgutil
from importlib import import_module
from pathlib import Path

from .arrow import pyarrow
from .base import FORMATS, ROWS, Table, listing, named, pairs_of_two, short
from .memory import in_memory, loaded
from .places import STDIN, endings, format_of, no_splits, place_of, unknown

__all__ = [
    "FORMATS", "ROWS", "STDIN", "Table", "endings", "format_of", "listing", "named",
    "opened", "pairs_of_two", "pyarrow", "short", "tabular",
]  # fmt: skip

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")


def tabular(source):
    """Whether it is a path, or something in memory that has columns, and not an array."""
    return isinstance(source, (str, Path)) or in_memory(source) is not None


def opened(source, what, *, several=True, split=None, kind=None):
    """The :class:`~.base.Table` of a source.

    Parameters
    ----------
    source : a path, a pattern of paths, a folder, "-" for standard input, a name owner/name that
        `datasets` loads; or a frame, a Dataset, a list of dicts.
    what : names the argument in errors: ValueError with it, the path, the rule and the fix.
    several : whether it may be anything but one file.
    split : of a dataset with several. kind : the format of a file whose name does not say it.
    """
    if not isinstance(source, (str, Path)):
        return in_memory(source)(source, what, split)
    try:
        place = place_of(source, what, several=several, split=split, kind=kind)
        if place is not None:
            found, files = place
            if split is not None and not Path(source).is_dir():
                raise no_splits(source, split)
            table = found(source if str(source) != STDIN else files[0].name, files)
        elif several and (data := loaded(str(source), split)) is not None:
            table = in_memory(data)(data, str(source), split)
        elif format_of(source) is None:
            raise unknown(source, what)
        else:
            raise ValueError(f"{what} = {source}: there is no such file or folder; correct it")
    except OSError as error:
        said = error.strerror or error
        raise ValueError(f"{what} = {source} cannot be read ({said}); correct it") from None
    if not table.names:
        raise ValueError(f"{table.path}: holds no rows; write one row for each of the {what}")
    return table
