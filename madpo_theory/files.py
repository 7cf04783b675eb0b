"""Files that are there whole or not at all."""

import os
from contextlib import contextmanager
from pathlib import Path

__all__ = ["RunError", "replacing"]


class RunError(RuntimeError):
    """A run directory does not hold what its manifest says."""


@contextmanager
def replacing(target):
    """A temporary path beside `target` that takes its place once the block has ended well."""
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
