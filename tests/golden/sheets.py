"""Write sheets.json: the verdict sheet of every registered method, at its defaults.

Run from the repository root: ``python tests/golden/sheets.py``; tests/test_audit.py compares.
"""

import json
import math
from pathlib import Path

from madpo_theory import METHODS, audit

FILE = Path(__file__).with_name("sheets.json")
SECONDS = 60.0
"""What a sheet may take here: six times the default, so that a busy machine changes no verdict."""


def digits(x):
    """A number at six digits; infinities as text, None for none."""
    if x is None or math.isinf(x):
        return x if x is None else str(x)
    return float(f"{x:.6g}")


def golden(sheet):
    """{row id: [verdict, kind, value, lower, upper]}."""
    return {
        row.id: [row.verdict, row.kind, *map(digits, (row.value, row.lower, row.upper))]
        for row in sheet.rows
    }


if __name__ == "__main__":
    found = {name: golden(audit(name, seconds=SECONDS)) for name in METHODS}
    rows = [
        f' "{name}": {{\n'
        + ",\n".join(f'  "{row}": {json.dumps(answer)}' for row, answer in sheet.items())
        + "\n }"
        for name, sheet in found.items()
    ]
    FILE.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")
