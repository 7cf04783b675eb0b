"""The bridge to Coq: formulas printed as definitions, and proofs about them checked by coqc.

`python -m madpo_theory.coq` writes ``proofs/Generated.v``.
"""

from .coqc import PROOFS, Checked, NotChecked, check
from .definitions import generated
from .printer import coq_definition, coq_term

__all__ = [
    "PROOFS",
    "Checked",
    "NotChecked",
    "check",
    "coq_definition",
    "coq_term",
    "generated",
]
