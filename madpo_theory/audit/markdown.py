"""The page of every method's sheet, as Markdown."""

from ..markdown import markdown_table
from .questions import QUESTIONS
from .text import MARK, reading_of, summary

__all__ = ["sheets_page"]

HEAD = """# What every loss does

One row of verdicts for each method of the library, at its default settings, written by
`madpo audit --all` (`make sheets`). A number is that of the row's question, in nats of
$z = \\beta m$ where it has a unit; **NO** stands for the opposite of the statement, **?** for what
was not decided. [How to read a sheet, and make one of your own loss](how-to/audit.md).
"""


def sheets_page(made):
    """The page of [(sheet, seconds)]: the statements, the table of all methods, then each sheet."""
    made = list(made)
    lines = [HEAD]
    lines += markdown_table(
        ("row", "statement"), [(n, asked) for n, (asked, _) in QUESTIONS.items()]
    )
    lines += ["", "## All methods", ""]
    lines += markdown_table(
        ("method", *QUESTIONS),
        [(f"[{s.label}](#{s.method})", *map(_cell, s.rows)) for s, _ in made],
    )
    for sheet, seconds in made:
        lines += ["", f"## {sheet.title} {{#{sheet.method}}}", ""]
        lines += [f"{summary(sheet)}; {seconds:.1f} s on one core.", ""]
        lines += markdown_table(
            ("row", "verdict", "number", "known", "reading"),
            [(r.id, MARK[r.verdict], r.number, r.kind, reading_of(r)) for r in sheet.rows],
        )
    return "\n".join(lines) + "\n"


def _cell(row):
    return f"{MARK[row.verdict]} {row.number}".strip()
