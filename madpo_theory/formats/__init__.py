"""The files that rows stand in, batch by batch: Parquet, Arrow, JSONL, CSV, TSV.

One reader for all that the library reads of a user's: pairs and rewards. What is read is what
pandas, polars and datasets read of the same file; what is not is refused in one line.
"""

from pathlib import Path

from .arrow import ArrowFile, ArrowFolder, Parquet, pyarrow
from .base import ROWS, Table, listing, named, short
from .text import Csv, Jsonl, Tsv

__all__ = ["FORMATS", "ROWS", "Table", "listing", "named", "opened", "pyarrow", "short"]

FORMATS = {".parquet": Parquet, ".arrow": ArrowFile, ".jsonl": Jsonl, ".csv": Csv, ".tsv": Tsv}
"""The format of a file by the suffix of its name."""


def opened(path, what, *, folders=False):
    """The :class:`~.base.Table` of a file, by its suffix, or of a folder of Arrow files.

    `what` names the argument in errors: ValueError with it, the path, the rule and the fix.
    """
    path = Path(path)
    try:
        if folders and path.is_dir():
            table = ArrowFolder(path)
        elif path.exists() and not path.is_file():
            kind = "folder" if path.is_dir() else "pipe or a device"
            raise ValueError(f"{what} = {path} is a {kind}; write it to a file, and pass that")
        elif path.suffix.lower() not in FORMATS:
            folder = ", or be a folder that datasets' save_to_disk wrote" if folders else ""
            raise ValueError(
                f"{what} = {path} must end in one of {', '.join(FORMATS)}{folder}; convert it"
            )
        elif not path.exists():
            raise ValueError(f"{what} = {path}: there is no such file or folder; correct it")
        else:
            table = FORMATS[path.suffix.lower()](path)
    except OSError as error:
        raise ValueError(f"{what} = {path} cannot be read ({error.strerror}); correct it") from None
    if not table.names:
        raise ValueError(f"{path}: holds no rows; write one row for each of the {what}")
    return table
