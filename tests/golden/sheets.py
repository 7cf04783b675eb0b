"""Write sheets.json: the verdict sheet of every registered method, at its defaults.

Run from the repository root, on what ``madpo audit --all --json FILE`` wrote: ``python
tests/golden/sheets.py FILE``; tests/test_audit.py compares.
"""

import json
import math
import sys
from pathlib import Path

FILE = Path(__file__).with_name("sheets.json")
SECONDS = 60.0
"""What a sheet may take here: six times the default, so that a busy machine changes no verdict."""


def digits(x):
    """A number at six digits; infinities as text, None for none."""
    if x is None or math.isinf(x):
        return x if x is None else str(x)
    return float(f"{x:.6g}")


def golden(sheet):
    """{row id: [verdict, kind, value, lower, upper]} of a sheet as a dict."""
    return {
        row["id"]: [row["verdict"], row["kind"], *(digits(row[n]) for n in NUMBERS)]
        for row in sheet["rows"]
    }


NUMBERS = ("value", "lower", "upper")

if __name__ == "__main__":
    made = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    found = {sheet["method"]: golden(sheet) for sheet in made}
    rows = [
        f' "{name}": {{\n'
        + ",\n".join(f'  "{row}": {json.dumps(answer)}' for row, answer in sheet.items())
        + "\n }"
        for name, sheet in found.items()
    ]
    FILE.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")
