"""Files that are there whole or not at all."""

import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

__all__ = ["RunError", "insert_between", "must_be_writable", "replacing", "write_text"]


class RunError(RuntimeError):
    """A run directory does not hold what its manifest says."""


@contextmanager
def replacing(target):
    """A temporary path beside `target` that takes its place once the block has ended well.

    Of a symbolic link, the file that it points to is replaced. ValueError for what is no file.
    """
    target = Path(os.path.realpath(target))
    if target.exists() and not target.is_file():
        kind = "folder" if target.is_dir() else "pipe or a device"
        raise ValueError(f"{target} is a {kind}; give the name of a file to write")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def must_be_writable(folder):
    """Make a folder, parents too, and try a file in it; an OSError names the folder."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(b"0")
            file.flush()
    except OSError as error:
        raise OSError(
            error.errno, f"{error.strerror}: nothing can be written there", str(folder)
        ) from None


def write_text(path, text):
    """Write a text file, in UTF-8, whole or not at all; returns the path."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def insert_between(path, name, content):
    """Renew what stands between the marks of that name in a Markdown file.

    The marks are ``<!-- NAME: begin (make readme) -->`` and ``<!-- NAME: end -->``; ValueError if
    either does not stand there once.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}: begin (make readme) -->", f"<!-- {name}: end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{path} must hold each of the lines {begin!r} and {end!r} once")
    head, rest = text.split(begin)
    tail = rest.split(end)[1]
    write_text(path, f"{head}{begin}\n{content}\n{end}{tail}")
