"""Files that are there whole or not at all."""

import errno
import functools
import os
import re
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

__all__ = [
    "RunError", "check_output", "clear_abandoned", "first_line", "held", "insert_between",
    "must_be_writable", "near", "replacing", "system_error", "write_text", "written",
]  # fmt: skip

SUFFIX = ".madpo-tmp"
_WRITTEN = []


class RunError(RuntimeError):
    """A run directory does not hold what its manifest says, or a run's processes were lost."""


def first_line(error):
    """What an error of another library says, in its first line; its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def near(path):
    """A path as its user would name it: from the working folder, where it lies in that."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


@contextmanager
def replacing(target):
    """A temporary path beside `target` that takes its place once the block has ended well.

    A symbolic link stays, and what it names is replaced. The temporary is locked while its writer
    lives: whoever writes into the folder next removes what a killed one left. An OSError names
    `target`; ValueError if it is there and no regular file.
    """
    place = _place(target)
    place.parent.mkdir(parents=True, exist_ok=True)
    _clear_once(place.parent)
    # of the name only what surely fits into one
    name = f".{place.name[:40]}.{os.getpid()}-{os.urandom(4).hex()}{SUFFIX}"
    temporary = place.with_name(name)
    try:
        with _locked_anew(temporary):
            yield temporary
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, place)
        _WRITTEN.append(Path(target))
    except Exception as error:
        refused = system_error(error)
        if refused is None:
            raise
        if refused.errno is not None and refused.filename in (None, str(temporary)):
            refused.filename, refused.filename2 = str(target), None
        if refused is error:
            raise
        raise refused from error
    finally:
        with suppress(OSError):  # what cannot be removed now is by the next writer
            temporary.unlink(missing_ok=True)


_TAKES_NO_MORE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


def system_error(error):
    """The OSError that an exception is or, of a disk that takes no more, stands for; else None.

    A library may fail once more when it closes its file, or raise an error of its own in the words
    of Rust, "No space left on device (os error 28)", as safetensors and tokenizers do; torch's
    writer knows that it failed, and not why.
    """
    if isinstance(error, OSError):
        return error
    while error is not None:
        if isinstance(error, OSError) and error.errno in _TAKES_NO_MORE:
            return error
        found = re.search(r"\(os error (\d+)\)", str(error))
        if found and (number := int(found[1])) in _TAKES_NO_MORE:
            return OSError(number, os.strerror(number))
        if re.search("PytorchStreamWriter failed|iostream error", str(error)):
            return OSError(errno.EIO, "a file could not be written; make room on the disk")
        error = error.__cause__ or error.__context__
    return None


def _place(path):
    """Where a file is, links followed; ValueError if it is there and no regular file."""
    place = Path(os.path.realpath(path))
    if place.is_dir():
        raise ValueError(f"{path} is a folder; give the path of a file")
    if place.exists() and not place.is_file():
        raise ValueError(f"{path} is a device or a pipe; give the path of a file")
    return place


@contextmanager
def _locked_anew(path):
    """Create a file and lock it, as long as the block runs or the process lives."""
    with ExitStack() as held_open:
        locked = False
        while not locked:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
            held_open.callback(os.close, descriptor)
            if _lock(descriptor) is None:  # no locks: nor may it be open where it is to be moved
                held_open.close()
                break
            with suppress(FileNotFoundError):  # was it taken for abandoned before it was locked?
                locked = os.path.samestat(os.stat(path), os.fstat(descriptor))
        yield


def _lock(descriptor, *, wait=True):
    """Lock an open file: True; False if another process holds it, None if there are no locks."""
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows: there nobody is held off, and nothing is cleared
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


@contextmanager
def held(path, *, wait=True):
    """Hold a lock file against other processes; yields False if another holds it already.

    The lock dies with its process: a kill leaves none. Without `wait`, nobody is waited for.
    """
    with open(path, "w") as file:
        yield _lock(file.fileno(), wait=wait) is not False


def clear_abandoned(folder):
    """Remove the temporaries in `folder` whose writers are gone: no such process, and no lock.

    The lock alone would not do: a library may write by putting another file in the place of ours.
    """
    for path in Path(folder).glob(f".*{SUFFIX}"):
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDWR)
            try:
                if _lock(descriptor, wait=False) and not _lives(path):
                    path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)


def _lives(temporary):
    """Whether the process that a temporary is named after is there; True if it has no such name."""
    found = re.fullmatch(rf"\..*\.(\d+)-[0-9a-f]+{re.escape(SUFFIX)}", temporary.name)
    if found is None:
        return True
    try:
        os.kill(int(found[1]), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


@functools.cache
def _clear_once(folder):
    """A process clears a folder at its first file there: of its own none is ever abandoned."""
    clear_abandoned(folder)


def written():
    """The files that this process has put in their places, in their order."""
    return tuple(_WRITTEN)


def check_output(*paths):
    """Refuse, before any work, a file that could not be written at its end.

    None stands for no file. ValueError if it is a folder, a device or a pipe; OSError if nothing
    can be written where it belongs.
    """
    for path in paths:
        if path is not None:
            must_be_writable(_place(path).parent, path)


def must_be_writable(folder, told=None):
    """Try a file in a folder, or where it would be made; an OSError names `told`, or the folder."""
    folder = nearest = Path(folder)
    try:
        while not nearest.exists() and nearest != nearest.parent:
            nearest = nearest.parent
        with TemporaryFile(dir=nearest) as file:
            file.write(b"0")
            file.flush()
    except OSError as error:
        said = f"{error.strerror}: nothing can be written there"
        raise OSError(error.errno, said, str(told or folder)) from None


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
