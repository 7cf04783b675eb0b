"""The clone of the repository that this library runs in, which holds what no wheel does."""

from pathlib import Path

__all__ = ["ROOT", "folder", "needed"]

_ABOVE = Path(__file__).resolve().parents[1]
ROOT = _ABOVE if (_ABOVE / "proofs" / "_CoqProject").is_file() else None
"""The clone's folder; None if the library was installed from a wheel."""


def folder(*names):
    """A folder of the clone, ``ROOT/names...``; None where there is no clone."""
    return None if ROOT is None else ROOT.joinpath(*names)


def needed(what):
    """:data:`ROOT` for `what`, "madpo study"; ValueError where there is no clone."""
    if ROOT is None:
        raise ValueError(
            f"{what} needs the repository, of which a wheel brings the library alone: clone it and "
            "run `make test` there once"
        )
    return ROOT
