"""The state of the claims as a Markdown table, kept between two markers of a file."""

from pathlib import Path

from ..files import replacing
from .ledger import VERDICTS

__all__ = ["insert_table", "table"]

BEGIN, END = "<!-- claims: begin (make readme) -->", "<!-- claims: end -->"


def table(claims):
    """One row a claim: id, what it means in practice, verdict, kinds of evidence or parts."""
    rows = ["| claim | in practice | verdict | evidence |", "|---|---|---|---|"]
    for claim in claims:
        kinds = ", ".join(claim.parts or dict.fromkeys(e.kind for e in claim.evidence))
        verdict = VERDICTS[claim.verdict]
        verdict += f" {claim.condition}" if claim.condition else ""
        reading = claim.reading
        if claim.counterexample:
            reading += f" *Counterexample: {claim.counterexample}.*"
        cells = (claim.id, reading, verdict, kinds)
        rows.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(rows)


def insert_table(path, claims):
    """Replace what stands between the markers of the file; ValueError if they are missing."""
    path = Path(path)
    text = path.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"{path} must hold each of the lines {BEGIN!r} and {END!r} once")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    with replacing(path) as temporary:
        temporary.write_text(f"{head}{BEGIN}\n{table(claims)}\n{END}{tail}")
