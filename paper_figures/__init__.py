"""One module per figure: ``draw(table) -> Figure``. Layout only; the numbers come in the table."""
