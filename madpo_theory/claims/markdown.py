"""The state of the claims as a Markdown table."""

from .ledger import VERDICTS

__all__ = ["table"]


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
