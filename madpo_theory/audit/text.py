"""A verdict sheet as text that fits a terminal: one, and two side by side."""

import textwrap

__all__ = ["against_text", "differing", "sheet_text", "summary"]

COLUMNS = 100
MARK = {"yes": "yes", "no": "NO", "undecided": "?"}


def summary(sheet):
    """How many rows are of each verdict, in words."""
    verdicts = [row.verdict for row in sheet.rows]
    return ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in MARK)


def reading_of(row):
    """The row's reading, with the domain where that is not every margin."""
    return row.reading if row.domain == "every margin" else f"{row.reading} ({row.domain})"


def _wrapped(head, text):
    """A line that begins with `head`; what does not fit goes on below `text`."""
    first, *more = textwrap.wrap(text, COLUMNS - len(head)) or [""]
    yield (head + first).rstrip()
    for line in more:
        yield " " * len(head) + line


def sheet_text(sheet, *, show=False):
    """The rows of a sheet: verdict, number, how it is known, and the reading.

    show : also the Python that shows each "no".
    """
    lines = [sheet.title]
    if sheet.quick:
        lines.append("quick: only points were looked at, and nothing between them is known")
    lines.append(f"\n  {'row':<14}{'verdict':<8}{'number':>9}  {'known':<11}reading")
    for row in sheet.rows:
        head = f"  {row.id:<14}{MARK[row.verdict]:<8}{row.number:>9}  {row.kind:<11}"
        lines += _wrapped(head, reading_of(row))
        if show and row.verdict == "no" and row.counterexample:
            lines += ["", textwrap.indent(row.counterexample, " " * 8), ""]
    return "\n".join([*lines, "", summary(sheet)])


def differing(first, second):
    """{row id: "≠" where the verdicts of two sheets differ, "~" where only their numbers do}."""
    return {
        a.id: "≠" if a.verdict != b.verdict else "~" if a.number != b.number else ""
        for a, b in zip(first.rows, second.rows, strict=True)
    }


def against_text(first, second, *, show=False):
    """Two sheets side by side: verdicts and numbers, and a mark where they differ."""
    marks = differing(first, second)
    lines = [f"A  {first.title}", f"B  {second.title}"]
    lines.append(f"\n  {'row':<14}{'A':<4}{'':>9}   {'B':<4}{'':>9}   statement")
    for a, b in zip(first.rows, second.rows, strict=True):
        head = (
            f"{marks[a.id]:<2}{a.id:<14}{MARK[a.verdict]:<4}{a.number:>9}   "
            f"{MARK[b.verdict]:<4}{b.number:>9}   "
        )
        lines += _wrapped(head, a.question)
        for sheet, row in ((first, a), (second, b)) if show else ():
            if row.verdict == "no" and row.counterexample:
                code = f"# {sheet.title}\n{row.counterexample}"
                lines += ["", textwrap.indent(code, " " * 8), ""]
    verdicts, numbers = ([*marks.values()].count(mark) for mark in "≠~")
    lines.append(f"\n{verdicts} verdicts differ (≠), and {numbers} numbers of equal verdicts (~)")
    return "\n".join(lines)
