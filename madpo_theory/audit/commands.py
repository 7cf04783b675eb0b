"""``madpo audit``: parse, call, print."""

import json as json_
import math
import sys
import time
from pathlib import Path
from typing import Annotated

import tyro

from ..command import grouped, parsed
from ..files import check_output, must_be_writable

__all__ = ["audit"]

WRONG = (TypeError, AttributeError, ArithmeticError, LookupError, NameError, SyntaxError)
"""What a user's file or formula may raise besides a ValueError."""


@grouped("theory")
@parsed
def audit(
    method: Annotated[str | None, tyro.conf.arg(metavar="METHOD")] = None,
    /,
    assignments: Annotated[
        tuple[str, ...], tyro.conf.arg(name="set", metavar="NAME=VALUE"), tyro.conf.UseAppendAction
    ] = (),
    against: str | None = None,
    json: Path | None = None,
    html: Path | None = None,
    certificates: Path | None = None,
    quick: bool = False,
    show: bool = False,
    seconds: float = 10.0,
    all: bool = False,
    page: Path | None = None,
) -> int:
    """Say what a preference loss does, proved or certified, with a counterexample for every no.

    METHOD is a name, such as simpo, madpo or bounded-ratio, or path/to/file.py:Name of a method, a
    weight, a schedule or a plain function f(xp, z, h) of your own. Exit status: 0, or 2 for wrong
    use and for a loss that is not one finite number a pair.

    Args:
        assignments: a setting of the method, as in --set gamma=1.6; may be repeated.
        against: another method, at its defaults, to set beside it.
        json: also write the sheet here, as JSON; with --against or --all a list of sheets.
        html: also write one self-contained page here, with the target curve and the loss.
        certificates: folder for the certificates of what is certified.
        quick: look at points only: nothing is certified.
        show: print the Python that shows each "no", too.
        seconds: how long one sheet may search; what does not finish is undecided.
        all: audit every registered method instead.
        page: with --all, the Markdown page to write.
    """
    from .subject import subject_of

    if all:
        given = (method, assignments or None, against, html, certificates, show or None)
        if any(value is not None for value in given):
            raise ValueError(
                "--all takes --page, --json, --quick and --seconds alone; drop the others"
            )
    elif method is None or page is not None:
        raise ValueError(
            "METHOD must be given, such as simpo or my_file.py:my_loss; --all --page FILE audits "
            "every registered method"
        )
    if all and page is None:
        raise ValueError("--all writes a Markdown page; say where, as in --page sheets.md")
    if not 0 < seconds < math.inf:
        raise ValueError(f"--seconds {seconds:g} must be > 0 and finite; 10 is the default")
    check_output(json, html, page)
    if certificates is not None and certificates.exists() and not certificates.is_dir():
        raise ValueError(f"--certificates {certificates} is a file; give the path of a folder")
    if certificates is not None:
        must_be_writable(certificates)
    if all:
        print(_every(page, json, quick=quick, seconds=seconds))
        return 0

    specs = [(method, assignments), *([(against, ())] if against is not None else [])]
    try:
        subjects = [subject_of(*spec) for spec in specs]
    except WRONG as error:
        raise ValueError(" ".join(f"{type(error).__name__}: {error}".split())) from error
    sheets = [_made(subject, quick=quick, seconds=seconds)[0] for subject in subjects]
    _written(sheets, json=json, html=html, certificates=certificates, show=show)
    return 0


def _made(subject, **options):
    """(sheet, seconds), with a bar over the questions where stderr is a terminal."""
    from tqdm import tqdm

    from . import audit as sheet_of
    from .questions import QUESTIONS

    started = time.monotonic()
    with tqdm(total=len(QUESTIONS), leave=False, disable=not sys.stderr.isatty()) as bar:

        def progress(name):
            bar.set_description(f"{subject.label}: {name}")
            bar.update()

        sheet = sheet_of(subject, progress=progress, **options)
    return sheet, time.monotonic() - started


def _written(sheets, *, json, html, certificates, show):
    """Print one sheet, or two side by side, and write what was asked for."""
    from .page import write_html
    from .text import against_text, sheet_text

    print((sheet_text if len(sheets) == 1 else against_text)(*sheets, show=show))
    if json is not None and len(sheets) == 1:
        sheets[0].write_json(json)
    elif json is not None:
        _write_list(json, sheets)
    if html is not None:
        print(write_html(*sheets, out=html))
    if certificates is not None:
        paths = [path for sheet in sheets for path in sheet.write_certificates(certificates)]
        print(f"{len(paths)} certificates in {certificates}")


def _write_list(path, sheets):
    """Sheets as a JSON list."""
    from ..files import replacing

    with replacing(path) as part:
        listed = [sheet.as_dict() for sheet in sheets]
        part.write_text(json_.dumps(listed, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _every(page, json, **options):
    """Write the Markdown page of every registered method, and their sheets; returns its path."""
    from ..files import replacing
    from ..methods import METHODS
    from .markdown import sheets_page
    from .subject import subject_of

    made = [_made(subject_of(name), **options) for name in METHODS]
    with replacing(page) as part:
        part.write_text(sheets_page(made), encoding="utf-8")
    if json is not None:
        _write_list(json, [sheet for sheet, _ in made])
    return page
