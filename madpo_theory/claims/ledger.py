"""The ledger: claims, their evidence, and the verdict that the evidence must bear out."""

import json
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tqdm import tqdm

from ..coq.coqc import compile_meanwhile
from ..files import write_text
from ..verdicts import VERDICTS

__all__ = ["Claim", "Evidence", "Ledger", "verify"]


@dataclass(frozen=True)
class Evidence:
    """One independent look at a claim.

    Attributes
    ----------
    kind : one of :data:`~madpo_theory.verdicts.KINDS`.
    name : what was looked at, in a few words.
    computed, theory : what came out, beside what the verdict says should have.
    agrees : whether the two match.
    detail : how it was done; steps : a derivation, line by line; certificate : a file.
    checked : False if this machine lacks what the check takes: no evidence then, either way.
    """

    kind: str
    name: str
    computed: str
    theory: str
    agrees: bool
    detail: str = ""
    steps: tuple = ()
    certificate: str = ""
    checked: bool = True


@dataclass(frozen=True)
class Claim:
    """A statement, where it comes from, what it assumes, and how it stands.

    `reading` is what it means to a practitioner, in one sentence. `evidence` are functions of no
    argument, or of the folder that certificates go to (those
    marked ``writes = True``), each returning :class:`Evidence`. `verdict` is what the evidence
    must agree with: ``holds``, ``conditional`` (on `condition`) or ``fails`` (by
    `counterexample`). `figure` names the figure of :mod:`madpo_theory.show.figures` that shows it.

    `uses` are the ids of the claims that it rests on, as the ledger settles them (what is shown
    of a claim that fails is its refutation). The theorems and certificates of its evidence need no
    second naming: :attr:`rests_on` gathers all.

    A roll-up has `parts`, ids of other claims, in place of evidence: it stands as the weakest of
    them does.
    """

    id: str
    statement: str
    reading: str
    source: str
    assumptions: str
    verdict: str
    evidence: tuple[Callable, ...] = ()
    condition: str = ""
    counterexample: str = ""
    figure: str = ""
    parts: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()

    @property
    def rests_on(self):
        """Ids of claims, Coq theorems as "File.theorem", names of certified quantities."""
        of_evidence = (name for e in self.evidence for name in getattr(e, "uses", ()))
        return tuple(dict.fromkeys((*self.parts, *self.uses, *of_evidence)))

    def __post_init__(self):
        if self.verdict not in VERDICTS:
            raise ValueError(f"{self.id}: verdict must be one of {sorted(VERDICTS)}")
        if (self.verdict == "conditional") != bool(self.condition):
            raise ValueError(f"{self.id}: a conditional verdict, and no other, states a condition")
        if self.verdict == "fails" and not self.counterexample:
            raise ValueError(f"{self.id}: a claim that fails shows its counterexample")
        if bool(self.evidence) == bool(self.parts):
            raise ValueError(f"{self.id}: a claim has either evidence or parts that have it")


@dataclass(frozen=True)
class Ledger:
    """Every claim with the evidence gathered in one run."""

    rows: tuple = field(default=())
    seconds: float = 0.0

    @property
    def disagreements(self):
        """(claim id, evidence) of everything that contradicts its claim's verdict."""
        return [(i, e) for i, e in self._pieces() if e.checked and not e.agrees]

    @property
    def unchecked(self):
        """(claim id, evidence) of everything that this machine could not check."""
        return [(i, e) for i, e in self._pieces() if not e.checked]

    def _pieces(self):
        return [(claim.id, e) for claim, evidence in self.rows for e in evidence]

    def to_dict(self):
        """The ledger as JSON types."""
        claims = []
        for claim, evidence in self.rows:
            row = {k: v for k, v in vars(claim).items() if k != "evidence"}
            row |= {"uses": claim.rests_on, "evidence": [asdict(e) for e in evidence]}
            claims.append(row)
        return {"claims": claims, "seconds": round(self.seconds, 1)}

    def write(self, path):
        """Write the ledger as JSON, atomically."""
        write_text(path, json.dumps(self.to_dict(), indent=1) + "\n")


def verify(claims, *, certificates=Path("runs/certificates"), progress=False):
    """Gather the evidence of the given claims; returns a :class:`Ledger`.

    An evidence function that raises counts as evidence that disagrees, with the error as what
    was computed. Certificates are written to the folder `certificates`.
    """
    start, rows = time.perf_counter(), {}
    if any(getattr(e, "kind", "") == "proof" for claim in claims for e in claim.evidence):
        compile_meanwhile()
    bar = tqdm(claims, desc="verify", unit="claim", disable=not progress)
    for claim in bar:
        bar.set_postfix_str(claim.id)
        if claim.parts:
            found = _roll_up(claim, rows)
        else:
            found = tuple(_gather(e, Path(certificates)) for e in claim.evidence)
        rows[claim.id] = (claim, found)
    return Ledger(tuple(rows.values()), time.perf_counter() - start)


def _roll_up(claim, rows):
    """One piece of evidence for each part, and one for the verdict that follows from them."""
    missing = [part for part in claim.parts if part not in rows]
    if missing:
        raise ValueError(
            f"{claim.id} rolls up {', '.join(missing)}, which must come before it; take the claims "
            "from select()"
        )
    pieces = []
    for part, evidence in (rows[part] for part in claim.parts):
        checked = [e for e in evidence if e.checked]
        agreeing = sum(e.agrees for e in checked)
        pieces.append(
            Evidence(
                "roll-up",
                part.id,
                f"{VERDICTS[part.verdict].text}; {agreeing} of {len(checked)} pieces agree",
                "all of them agree",
                agreeing == len(checked) > 0,
                part.reading,
            )
        )
    weakest = max((rows[part][0].verdict for part in claim.parts), key=list(VERDICTS).index)
    verdict = Evidence(
        "roll-up",
        "verdict",
        f"the weakest of its parts: {VERDICTS[weakest].text}",
        VERDICTS[claim.verdict].text,
        weakest == claim.verdict,
    )
    return (*pieces, verdict)


def _gather(evidence, certificates):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return evidence(certificates) if getattr(evidence, "writes", False) else evidence()
    except Exception as error:  # evidence that cannot be obtained is evidence against the row
        return Evidence(
            kind=getattr(evidence, "kind", "symbolic"),
            name=evidence.__name__,
            computed=f"{type(error).__name__}: {error}",
            theory="",
            agrees=False,
        )
