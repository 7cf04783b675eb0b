"""Tables of Markdown pages."""

__all__ = ["markdown_table"]


def markdown_table(head, rows):
    """The lines of a Markdown table; a cell is text, and may hold ``|``."""
    for number, cells in enumerate((head, *rows)):
        texts = (cell.replace("|", "\\|") for cell in cells)
        yield "|" + "|".join(f" {text} " if text else " " for text in texts) + "|"
        if number == 0:
            yield "|" + "---|" * len(head)
