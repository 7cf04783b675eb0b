"""docs/robustness.md: a section for each record, which renews its own."""

import re
from pathlib import Path

from madpo_theory.files import write_text

PAGE = Path(__file__).parents[2] / "docs" / "robustness.md"
HEAD = """# Robustness

What becomes of files and processes that are not as they should be.
"""


def write_section(text, page=PAGE):
    """Put a section, from its line ``## NAME`` on, into the page; the others stay."""
    old = page.read_text(encoding="utf-8") if page.is_file() else HEAD
    head, *sections = re.split(r"^(?=## )", old, flags=re.M)
    kept = {section.splitlines()[0]: section for section in sections}
    kept[text.splitlines()[0]] = text
    parts = (head, *(kept[name] for name in sorted(kept)))
    write_text(page, "\n".join(part.rstrip() + "\n" for part in parts))
