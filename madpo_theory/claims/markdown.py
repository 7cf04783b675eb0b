"""The state of the claims as a Markdown table."""

from ..markdown import markdown_table, prose
from ..verdicts import VERDICTS

__all__ = ["table"]


def table(claims):
    """One row a claim: id, title, what it means, verdict, kinds of evidence or parts."""
    return "\n".join(
        markdown_table(("claim", "in practice", "verdict", "evidence"), map(_cells, claims))
    )


def _cells(claim):
    verdict, reading = VERDICTS[claim.verdict].text, prose(claim.reading)
    if claim.condition:
        verdict += f" {prose(claim.condition)}"
    if claim.counterexample:
        reading += f" *Counterexample: {prose(claim.counterexample)}.*"
    kinds = claim.parts or dict.fromkeys(e.kind for e in claim.evidence)
    return f"**{claim.id}** {prose(claim.title)}", reading, verdict, ", ".join(kinds)
