"""Where rows stand: a file, packed or not, standard input, shards by a pattern, a folder."""

import functools
import glob
import gzip
import json
import re
import shutil
import sys
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from .base import FORMATS, named, short

__all__ = [
    "DAMAGED", "STDIN", "File", "chosen_split", "endings", "format_of", "gzipped", "no_splits",
    "place_of", "standard_input", "unknown",
]  # fmt: skip

STDIN = "-"
DAMAGED = (OSError, EOFError, zlib.error)
"""What reading a file may raise, packed or not."""
HEAD = 1 << 12
SHARD = re.compile(r"[-_](\d{5})[-_]of[-_](\d{5})$")
"""How the name of a shard ends."""


@dataclass(frozen=True)
class File:
    """A file of rows: where its bytes are, and what errors call it."""

    path: Path
    name: str

    def open(self):
        """Its bytes, unpacked where they are packed by gzip."""
        with open(self.path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        return gzip.open(self.path) if packed else open(self.path, "rb")

    def __fspath__(self):
        return str(self.path)


def format_of(path):
    """The format of a file by the end of its name, or None."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    return FORMATS.get("".join(suffixes[-2:])) or FORMATS.get("".join(suffixes[-1:]))


def endings():
    """How the names of files end, for errors."""
    kinds = sorted({kind.suffixes[0] for kind in FORMATS.values()})
    return f"{', '.join(kinds)} (a text also in .gz)"


def gzipped(path):
    """Whether a file to write is packed, by its name."""
    return Path(path).suffix.lower() == ".gz"


@functools.cache
def standard_input():
    """Standard input, kept in a temporary file for as long as the process lives."""
    if sys.stdin.isatty():
        raise ValueError("pairs = - is standard input, which is a terminal; pipe the rows into it")
    kept = tempfile.NamedTemporaryFile(prefix="madpo-")
    shutil.copyfileobj(sys.stdin.buffer, kept)
    kept.flush()
    return kept


def place_of(source, what, *, several, split, kind):
    """(format, files) of a path, a pattern, a folder or standard input; None: there is no such.

    `several` says whether it may be more than one file; `kind` names the format of one that has no
    suffix that says it. ValueError with argument, value, rule and fix.
    """
    path = Path(source)
    if str(source) == STDIN and several:
        name = "standard input"
        found = [File(Path(standard_input().name), name)]
        return _kind(kind, what) or _recognised(found[0], what), found
    if several and path.is_dir():
        return _folder(path, what, split)
    if path.exists() and not path.is_file():
        form = "folder" if path.is_dir() else "pipe or a device"
        raise ValueError(f"{what} = {path} is a {form}; write it to a file, and pass that")
    if path.is_file():
        found = [path]
    elif several and glob.has_magic(str(path)):
        found = [Path(p) for p in sorted(glob.glob(str(path), recursive=True)) if Path(p).is_file()]
        if not found:
            raise ValueError(f"{what} = {path} is a pattern that no file fits; correct it")
    else:
        return None
    return _kind(kind, what) or _common(found, what), [File(p, str(p)) for p in found]


def unknown(path, what):
    """The ValueError of a name whose end no format has."""
    return ValueError(
        f"{what} = {path} must end in one of {endings()}, or be a folder that datasets' "
        "save_to_disk wrote; convert it, or name its format (--format)"
    )


def _kind(kind, what):
    """The format of a name such as csv or jsonl.gz; None of None."""
    if kind is None:
        return None
    found = FORMATS.get(f".{kind.lower().removeprefix('.')}")
    if found is None:
        known = ", ".join(suffix[1:] for suffix in FORMATS)
        raise ValueError(f"format = {kind!r} is none that {what} may have: {known}; correct it")
    return found


def _recognised(file, what):
    """The format of a file by what it begins with."""
    with file.open() as stream:
        head = stream.read(HEAD)
    found = {kind for kind in FORMATS.values() if kind.begins(head)}
    if len(found) != 1:
        raise ValueError(
            f"{what} = {file.name}: its format cannot be told from how it begins, "
            f"{short(head[:40])}; name it (--format jsonl)"
        )
    return found.pop()


def _common(paths, what):
    """The one format of all these files."""
    kinds = {format_of(path): path for path in paths}
    if None in kinds:
        raise unknown(kinds[None], what)
    if len(kinds) > 1:
        names = ", ".join(path.name for path in kinds.values())
        raise ValueError(f"{what}: {names} are of several formats; name the files of one")
    return next(iter(kinds))


def _folder(path, what, split):
    """(format, files) of a folder: what datasets saved, or the shards of one name."""
    if (path / "dataset_dict.json").is_file():
        splits = sorted(p.name for p in path.iterdir() if p.is_dir())
        path, split = path / chosen_split(path, splits, split), None
    state = path / "state.json"
    if state.is_file():
        if split is not None:
            raise no_splits(path, split)
        files = _listed(state)
    else:
        files = _shards(path, split)
    if not files:
        raise ValueError(
            f"{path}: holds no rows; pass a folder that datasets' save_to_disk wrote, or a file "
            f"that ends in one of {endings()}"
        )
    return _common(files, what), [File(file, str(file)) for file in files]


def chosen_split(where, splits, split):
    """The split that is asked for, or the only one; ValueError with their names."""
    if split is None and len(splits) == 1:
        return splits[0]
    if split not in splits:
        wrong = "holds several splits" if split is None else f"holds no split {short(split)}"
        raise ValueError(
            f"{where}: {wrong}; name one of {', '.join(map(named, splits))} (--split NAME)"
        )
    return split


def no_splits(where, split):
    """The ValueError of a split that was named where there are none."""
    return ValueError(f"{where}: holds no splits, and split = {split!r} names one; leave it out")


def _listed(state):
    try:
        found = json.loads(state.read_text(encoding="utf-8"))
        files = [state.parent / entry["filename"] for entry in found.get("_data_files", [])]
        chosen = found.get("_indices_data_files") or found.get("_indices_files")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError(
            f"{state}: is not what datasets' save_to_disk writes; save the dataset again"
        ) from None
    if chosen:
        raise ValueError(
            f"{state}: selects rows by a file of indices; save the dataset again after "
            "flatten_indices()"
        )
    return files


def _shards(folder, split):
    """The files of a folder, or of its data/, whose names say that they are the parts of one."""
    files = _of_a_format(folder) or _of_a_format(folder / "data")
    datasets = {}
    for file in files:
        name = file.name[: file.name.index(".")]
        datasets.setdefault(SHARD.sub("", name), []).append((SHARD.search(name), file))
    if split is not None:
        datasets = {
            name: parts for name, parts in datasets.items() if re.split("[-_]", name)[-1] == split
            or name == split
        }  # fmt: skip
    if len(datasets) != 1 and files:
        raise ValueError(
            f"{folder}: holds {len(datasets) or 'no'} datasets {'of that split ' * bool(split)}and "
            f"no state.json that says which; pass one of its files "
            f"({', '.join(file.name for file in files[-4:])}), name a split (--split NAME), or "
            "save the one you mean with save_to_disk"
        )
    for parts in datasets.values():
        numbers = [part and part.groups() for part, _ in parts]
        every = [(f"{k:05}", f"{len(parts):05}") for k in range(len(parts))]
        if numbers not in ([None], every):
            name = parts[0][1].name
            raise ValueError(f"{folder}: holds other shards than its {name} says; complete them")
    return [file for parts in datasets.values() for _, file in parts]


def _of_a_format(folder):
    """Its files of one format; what stands in JSON beside others is about them."""
    if not folder.is_dir():
        return []
    files = [p for p in sorted(folder.iterdir()) if p.is_file() and format_of(p) is not None]
    rows = [p for p in files if p.suffix.lower() != ".json"]
    return [p for p in rows or files if not p.name.startswith(".")]
