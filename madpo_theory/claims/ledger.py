"""The ledger: claims, their evidence, and the verdict that the evidence must bear out."""

import json
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from ..coq.coqc import compile_meanwhile
from ..files import must_be_writable, write_text
from ..verdicts import VERDICTS

__all__ = ["Claim", "Contradiction", "Evidence", "Ledger", "must", "verify"]


class Contradiction(Exception):
    """What was computed contradicts the claim. Any other exception is an error, no evidence."""


def must(truth, told="false here"):
    """Raise :class:`Contradiction`, with what is to be told, unless `truth` is true.

    Evidence says with it what has to be so; unlike ``assert`` it is never compiled away.
    """
    if not truth:
        raise Contradiction(told)


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
    error : True if it could not be computed; it is not checked then.
    foils : false statements near this one, on which the same code disagrees: the tests run them.
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
    error: bool = False
    foils: tuple = ()

    @property
    def outcome(self):
        """In words: whether it agrees, or why it says nothing."""
        if self.error:
            return "ERROR"
        if not self.checked:
            return "not checked here"
        return "agrees" if self.agrees else "DISAGREES"


@dataclass(frozen=True)
class Claim:
    """A statement, where it comes from, what it assumes, and how it stands.

    `title` says in a few words how it stands, `reading` what it means to a practitioner, in one
    sentence. `evidence` are functions of no
    argument, or of the folder that certificates go to (those
    marked ``writes = True``), each returning :class:`Evidence`. `verdict` is what the evidence
    must agree with: ``holds``, ``conditional`` (on `condition`), ``open`` (not measured yet) or
    ``fails`` (by `counterexample`). `figure` names the figure of :mod:`madpo_theory.show.figures`
    that shows it.

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
    title: str = ""

    @property
    def heading(self):
        """Its id, and its title if it has one."""
        return f"{self.id}: {self.title}" if self.title else self.id

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
        return [(i, e) for i, e in self._pieces() if not e.checked and not e.error]

    @property
    def errors(self):
        """(claim id, evidence) of everything that ended in an error."""
        return [(i, e) for i, e in self._pieces() if e.error]

    @property
    def unverified(self):
        """Ids of the claims of which nothing at all was checked."""
        return [claim.id for claim, found in self.rows if not any(e.checked for e in found)]

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

    Evidence disagrees if what it computed says so, or raises :class:`Contradiction`. Any other
    exception makes it an error, which counts neither way; one of the system (no space, no right to
    write) is raised, as an OSError. Certificates are written to the folder `certificates`.
    """
    start, rows = time.perf_counter(), {}
    if any(getattr(e, "writes", False) for claim in claims for e in claim.evidence):
        must_be_writable(certificates)
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
                checked=bool(checked),
            )
        )
    weakest = max((rows[part][0].verdict for part in claim.parts), key=list(VERDICTS).index)
    verdict = Evidence(
        "roll-up",
        "verdict",
        f"the weakest of its parts: {VERDICTS[weakest].text}",
        VERDICTS[claim.verdict].text,
        weakest == claim.verdict,
        checked=any(piece.checked for piece in pieces),
    )
    return (*pieces, verdict)


def _gather(evidence, certificates):
    kind, name = getattr(evidence, "kind", "symbolic"), getattr(evidence, "title", "")
    nothing = partial(
        Evidence, kind, name or evidence.__name__, theory=getattr(evidence, "theory", ""),
        agrees=False,
    )  # fmt: skip
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = evidence(certificates) if getattr(evidence, "writes", False) else evidence()
    except Contradiction as contradiction:
        found = nothing(computed=f"{contradiction}")
    except (OSError, MemoryError):  # of this machine, not of the claim
        raise
    except Exception as error:
        found = nothing(computed=f"{type(error).__name__}: {error}", checked=False, error=True)
    return replace(found, foils=tuple(foil.statement for foil in getattr(evidence, "foils", ())))
