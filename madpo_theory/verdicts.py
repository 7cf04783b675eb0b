"""How a claim can stand and what can bear it out, in the words of the ledger and of pages."""

from typing import NamedTuple

__all__ = ["KINDS", "VERDICTS", "Verdict"]


class Verdict(NamedTuple):
    """What a claim's verdict is called."""

    text: str
    """In front of the condition, if there is one."""
    mark: str
    counted: tuple[str, str]
    """What is said of one claim, and of several."""


VERDICTS = {  # the mildest first
    "holds": Verdict("holds", "✓", ("holds", "hold")),
    "conditional": Verdict(
        "holds if", "◐", ("holds under a stated condition", "hold under a stated condition")
    ),
    "open": Verdict("is open", "○", ("is open", "are open")),
    "fails": Verdict("fails", "✗", ("fails", "fail")),
}
KINDS = {  # kind of evidence: what it is, and what it can show
    "symbolic": "derived in computer algebra; proves the step it shows",
    "certified": "enclosed in ball arithmetic over whole intervals; a certificate others can check",
    "proof": "proved for all arguments named, and the proof checked by Coq",
    "property": "searched for a counterexample over the ranges it names; can refute, not prove",
    "simulation": "trained or sampled with the library's own losses; can refute, not prove",
    "experiment": "measured in the sentiment experiment",
    "roll-up": "the verdicts of the statements that the claim needs; it is as good as the weakest",
}
