"""Compile the proofs with Coq, and read what they prove and what they rest on.

The work is done by ``proofs/Makefile``, which anyone can run without Python; here it is run and its
record read. Nothing is compiled twice while the sources stay as they are.
"""

import contextlib
import functools
import re
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

from .. import clone, leash
from ..files import held
from .definitions import generated

__all__ = ["PROOFS", "Checked", "NotChecked", "check", "compile_meanwhile"]

PROOFS = clone.folder("proofs")
_BLOCK = re.compile(
    r"^(theorem|definition|axioms) (.+)\n((?:(?!theorem |definition |axioms ).*\n)*)", re.M
)


class NotChecked(Exception):
    """Coq, or what the proofs need of it, is not on this machine; says what to install."""


@dataclass(frozen=True)
class Checked:
    """What coqc accepted on this machine.

    `statements` maps (file, theorem) to Coq's statement of it, which is that of the committed
    ``proofs/statements.txt``; `axioms` maps a file to what its
    theorems, and those of its group, rest on: names of the allowed list ``proofs/axioms.txt``.
    """

    statements: dict
    axioms: dict


def check(folder=PROOFS):
    """Compile the proofs of `folder`, unless that is done already, and audit them.

    Returns :class:`Checked`. Raises :class:`NotChecked` where Coq is missing, and ValueError with
    the compiler's words if a proof fails, rests on an axiom that is not allowed, says something
    else than ``statements.txt`` (it shows both), or is about other formulas than those of the code.
    """
    folder = folder and Path(folder)
    if folder is None or shutil.which("make") is None or not (folder / "Makefile").is_file():
        raise NotChecked("it takes make, and the folder proofs/ of the repository")
    tools = _make(folder, "tools")
    if tools.returncode:
        raise NotChecked(tools.stderr.strip().splitlines()[0].removeprefix("proofs: "))
    if (folder / "Generated.v").read_text() != generated():
        raise ValueError(
            f"{folder.name}/Generated.v is not what the formulas print today; write it again with "
            "`python -m madpo_theory.coq` and mend the proofs that no longer hold"
        )
    with _alone(folder):
        done = _make(folder, "all")
        if done.returncode:
            said = (done.stdout + done.stderr).strip().splitlines()
            lines = (line.strip() for line in said if not line.startswith("make"))
            raise ValueError("; ".join(lines)[-1200:])
        return _read(folder / "audit.txt")


@contextlib.contextmanager
def _alone(folder):
    """One compiler at a time."""
    with held(folder / ".lock"):
        yield


def compile_meanwhile():
    """Begin to compile the proofs, if Coq is here, beside what the caller does; :func:`check` waits
    for it, and says what came of it."""

    def compiled():
        with _alone(PROOFS):
            _make(PROOFS, "all")

    if PROOFS is not None and shutil.which("make") and shutil.which("coqc"):
        threading.Thread(target=compiled, daemon=True).start()


@functools.cache
def checked_once():
    """The outcome of :func:`check` in this process: Checked, or the exception."""
    try:
        return check()
    except (NotChecked, ValueError) as error:
        return error


def _make(folder, target):
    command = ["make", "--no-print-directory", "-C", str(folder), target]
    return leash.run(command)


def _read(record):
    statements, axioms = {}, {}
    for kind, head, body in _BLOCK.findall(record.read_text()):
        if kind == "theorem":
            file, name = head.split(".")
            statements[file, name] = " ".join(body.split())
        elif kind == "axioms":
            _, *files = head.split()
            found = re.findall(r"^(\w[\w.]*)(?= :|$)", body, re.M)
            axioms |= dict.fromkeys(files, tuple(sorted(found)))
    return Checked(statements, axioms)
