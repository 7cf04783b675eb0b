"""The verdict sheet: a loss goes in, rows of verdicts come out."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from ..files import replacing
from ..ops.checks import UnknownNameError
from .questions import POINT_ENOUGH, QUESTIONS, Inquiry, ask
from .subject import Subject, subject_of
from .text import sheet_text

__all__ = ["Row", "Sheet", "audit"]


@dataclass(frozen=True)
class Row:
    """One question and its answer.

    Attributes
    ----------
    id, question : "yes" and "no" answer the sentence.
    verdict : "yes", "no" or "undecided".
    kind : "proved" (the slots' formula, or an identity), "certified" (interval arithmetic, checked
        by :mod:`~madpo_theory.audit.checker`) or "searched" (points; nothing is known between).
    value, lower, upper : the number of the question and what encloses it, at the method's settings,
        nats of z; inf allowed, None where there is none.
    domain : where the verdict is known to hold.
    counterexample : Python that shows a "no", to be pasted; None otherwise.
    reading : one sentence for whoever picks a loss.
    """

    id: str
    question: str
    verdict: str
    kind: str
    value: float | None
    lower: float | None
    upper: float | None
    domain: str
    counterexample: str | None
    reading: str

    @property
    def number(self):
        """The number as text, "" where there is none; of an open end, "≥" what is known."""
        if self.value is None:
            return ""
        open_ = self.upper == math.inf and math.isfinite(self.value)
        return (
            "≥" * open_
            + ("-" if self.value < 0 else "")
            + ("∞" if math.isinf(self.value) else f"{abs(self.value):.4g}")
        )


class Sheet:
    """The rows of one method, in the order of :data:`QUESTIONS`.

    Attributes
    ----------
    method, label, settings : name, label and settings by name of what was audited.
    rows : tuple of :class:`Row`; ``sheet["order"]`` is one of them.
    subject : the :class:`~.subject.Subject`, with the loss's graphs.
    quick : whether only points were looked at.
    certificates : {row id: certificates}, plain data.
    """

    def __init__(self, inquiry):
        subject = inquiry.subject
        self.method, self.label, self.settings = subject.name, subject.label, subject.settings
        self.title, self.quick, self.subject = subject.title, inquiry.quick, subject
        rows, self.certificates = [], {}
        for name, found in inquiry.answers.items():
            if found.certificates and not inquiry.quick:
                self.certificates[name] = found.certificates
            shown = None if found.shown is None else f"{subject.code}\n{found.shown}"
            rows.append(
                Row(
                    name, QUESTIONS[name][0], found.verdict, found.kind, found.value, found.lower,
                    found.upper, found.domain, shown, found.reading,
                )
            )  # fmt: skip
        self.rows = tuple(rows)

    def __getitem__(self, name):
        for row in self.rows:
            if row.id == name:
                return row
        known = [row.id for row in self.rows]
        raise UnknownNameError.of("row", name, known, "[row.id for row in sheet.rows]")

    @property
    def is_margin_loss(self):
        """Whether the loss is a function of the margin, so that a pair has a target."""
        return self.subject.form != "other"

    @property
    def uses_model(self):
        """Whether the loss depends on the reward model's margin."""
        return self.is_margin_loss and "h" in self.subject.loss.names

    def as_dict(self):
        """Plain data: method, label, settings, rows."""
        return {
            "method": self.method,
            "label": self.label,
            "settings": self.settings,
            "rows": [asdict(row) for row in self.rows],
        }

    def write_json(self, path):
        """Write :meth:`as_dict`; infinities are Python's and JavaScript's `Infinity`."""
        with replacing(Path(path)) as part:
            part.write_text(
                json.dumps(self.as_dict(), indent=1, ensure_ascii=False) + "\n", "utf-8"
            )

    def write_certificates(self, folder):
        """Write every certificate as FOLDER/ROW-K.json; returns the paths."""
        folder, paths = Path(folder), []
        folder.mkdir(parents=True, exist_ok=True)
        for name, found in self.certificates.items():
            for k, certificate in enumerate(found):
                paths.append(folder / f"{self.method}-{name}-{k}.json")
                with replacing(paths[-1]) as part:
                    part.write_text(json.dumps(certificate) + "\n")
        return paths

    def __str__(self):
        return sheet_text(self)

    def _repr_html_(self):
        from .page import fragment

        return fragment(self)


def audit(method, assignments=(), *, quick=False, seconds=10.0, progress=None):
    """The verdict :class:`Sheet` of a method.

    Parameters
    ----------
    method : a Method, a Weighting, a MarginSchedule, the name of a registered one,
        ``path/to/file.py:Name`` of one or of a function, or a plain function ``f(xp, z, h)`` of
        z = beta m and the reward model's margin h, nats, over the primitives of a world; or the
        :class:`~.subject.Subject` that one of these stands for.
    assignments : texts "name=value" of settings, as on the command line.
    quick : look at points only; every verdict is then "searched" or follows from a formula.
    seconds : how long may be searched, without the checking; a question that does not finish is
        "undecided" with what is known.
    progress : called with the id of each question that is answered.

    ValueError or TypeError, with the name, the point and the fix, for a formula that is not one
    finite float a pair, the same at every call and in every number world, without jumps in z.
    """
    subject = method if isinstance(method, Subject) else subject_of(method, assignments)
    inquiry = Inquiry(subject, seconds=seconds, quick=quick)
    ask(inquiry, progress)
    checked = set()
    for name, answer in inquiry.answers.items():
        _confirmed(inquiry.subject, name, answer, checked)
    return Sheet(inquiry)


def _confirmed(subject, name, answer, checked):
    """Take back what the checker does not confirm; two rows may rest on one certificate."""
    from . import checker  # not with the package: `python -m` of the checker would warn

    named = [{**c, "method": subject.title, "row": name} for c in answer.certificates]
    answer.certificates = named
    try:
        for certificate in named:
            if id(certificate["boxes"]) not in checked:
                checker.check(certificate)
                checked.add(id(certificate["boxes"]))
    except ValueError as refusal:
        answer.certificates, answer.kind = [], "searched"
        if name in POINT_ENOUGH and answer.verdict == "yes" and answer.lower > POINT_ENOUGH[name]:
            answer.upper = math.inf
        elif answer.verdict == "yes" or answer.shown is None:
            answer.verdict = "undecided"
            answer.reading = f"What was found could not be confirmed: {refusal}."
