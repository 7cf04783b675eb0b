"""Tables and prose of Markdown pages."""

import re

__all__ = ["markdown_table", "prose"]


def prose(text):
    """A plain sentence for Markdown: a star is a star, as in h*, but in $formulas$ and `code`."""
    return re.sub(r"(\$[^$]*\$|`[^`]*`)|\*", lambda found: found[1] or r"\*", text)


def markdown_table(head, rows):
    """The lines of a Markdown table; a cell is text, and may hold ``|``."""
    for number, cells in enumerate((head, *rows)):
        texts = (cell.replace("|", "\\|") for cell in cells)
        yield "|" + "|".join(f" {text} " if text else " " for text in texts) + "|"
        if number == 0:
            yield "|" + "---|" * len(head)
