"""The questions of the sheet, in their order, and how each is answered.

A question is a function of an :class:`Inquiry`. Losses with slots are answered by their closed
forms, others by boxes of (z, h) with the risk's slope

    R'(z) = sigma(h*) f_1(z; h) - sigma(-h*) f_1(-z; -h),

stationary where h* = Lambda(z; h) = log[f_1(-z; -h)/f_1(z; h)].
"""

from . import errors, loss, steps, targets
from .inquiry import ASKED, OTHER, Answer, Inquiry, undecided
from .steps import first_step_gains, label_shares

__all__ = [
    "POINT_ENOUGH",
    "QUESTIONS",
    "Answer",
    "Inquiry",
    "ask",
    "first_step_gains",
    "label_shares",
]

QUESTIONS = {
    name: (asked, function)
    for room in (loss, targets, errors, steps)
    for name, (asked, function) in ASKED.items()
    if function.__module__ == room.__name__
}
"""{id: (question, function)}, in the sheet's order."""

POINT_ENOUGH = {"amplifies": 1.0, "dampens": 0.0}
"""{id: number} of the questions whether there is some margin: a "yes" needs no more than a point at
which the number is passed, and a "no" needs all of them."""


def ask(inquiry, progress=None):
    """{id: Answer} of every question, in order."""
    for name, (_, function) in QUESTIONS.items():
        if inquiry.subject.form == "other" and name not in ("margin_form", "displacement"):
            inquiry.answers[name] = undecided(OTHER)
        else:
            inquiry.answers[name] = function(inquiry)
        if progress is not None:
            progress(name)
    return inquiry.answers
