"""Which columns of a file the margin is made of, and which rows have a usable one."""

import re
from dataclasses import dataclass

import numpy as np

from ..formats import listing, pairs_of_two
from ..schedule import LARGEST
from ..score import SCORED

__all__ = ["Columns", "columns_of", "margin_line", "margins_of"]


@dataclass(frozen=True)
class Columns:
    """The columns that the margin is made of; `guessed` if nobody named them."""

    rewards: tuple
    label: str | None = None
    guessed: bool = False

    @property
    def names(self):
        return (*self.rewards, *filter(None, (self.label,)))

    def __str__(self):
        text = " - ".join(self.rewards)
        return text if self.label is None else f"{text}, turned to the label {self.label}"


def margin_line(columns, scale, guessed):
    """What the margin is made of, for people: `columns` as text, and whether nobody named them."""
    scaled = "" if scale == 1 else f", times {scale:g}"
    return f"{columns}{scaled}{' (guessed; --margin or --rewards names others)' * guessed}"


MARGINS = ("margin", "margins", "model_margin", "reward_margin", "score_margin")
LABEL = "first_chosen"
"""Name of the label that a file may have; no other is guessed."""
_REWARD = re.compile("reward|score|rating", re.IGNORECASE)


def _partners(names, one, other):
    """Pairs of reward columns whose names differ by `one` against `other`."""
    pairs = [(name, name.replace(one, other)) for name in names if one in name]
    return [(a, b) for a, b in pairs if b in names and _REWARD.search(a)]


def columns_of(names, reading, where, inner=()):
    """The :class:`Columns` that a :class:`Reading` asks for, or the only ones that suggest it.

    `names` are those of the columns, and `inner` of the places in them that hold numbers, which are
    looked at where no column suggests itself.
    """
    if reading.margin is not None and "[]" in reading.margin:
        return Columns(pairs_of_two(reading.margin), reading.label)
    asked = (reading.margin,) if reading.margin is not None else reading.rewards
    if asked:
        return Columns(tuple(asked), reading.label)
    names = list(dict.fromkeys(names))
    if reading.label is None and set(SCORED) <= set(names):  # as `madpo score` writes them
        return Columns(SCORED[:1], guessed=True)
    margins = [(name,) for name in names if name in MARGINS]
    oriented = margins + _partners(names, "chosen", "rejected")
    turned = _partners(names, "first", "second")
    if reading.label is None and LABEL in names and not oriented:
        candidates, label = turned, LABEL
    elif reading.label is None and LABEL in names and margins and not turned:
        raise ValueError(
            f"{where}: {margins[0][0]} may point to the chosen response or, as there is {LABEL}, "
            f"to the first; margin (--margin {margins[0][0]}) says the chosen one, label (--label "
            f"{LABEL}) the first"
        )
    else:
        candidates, label = (oriented if reading.label is None else margins + turned), reading.label
    if not candidates:
        candidates = _partners(inner, *(("first", "second") if label else ("chosen", "rejected")))
    if len(candidates) == 1:
        return Columns(candidates[0], label, guessed=True)
    what = "several columns could be the margin" if candidates else "no column looks like a margin"
    found = "".join(f", {' - '.join(c)}" for c in candidates).removeprefix(", ")
    raise ValueError(
        f"{where}: {what}{f' ({found})' if found else ''}; name it with margin (--margin NAME) or "
        f"rewards (--rewards CHOSEN REJECTED); {listing([*names, *inner])}"
    )


def margins_of(values, columns, reading, where):
    """(margins, faults): margins toward the label, scaled, and faulty rows by reason, or None.

    `values` maps each of the columns to an array, `where(row, column)` says where a value stands.
    A row with several faults counts once, for the first reason. ValueError at the first fault,
    unless `reading` says to drop them; ties are no fault, but dropped if it says so.
    """
    drop = "drop_invalid (--drop-invalid) leaves such rows out"
    with np.errstate(invalid="ignore", over="ignore"):
        rewards = [values[name] for name in columns.rewards]
        margins = rewards[0] if len(rewards) == 1 else rewards[0] - rewards[1]
        if reading.scale != 1:
            margins = reading.scale * margins
        label = None if columns.label is None else values[columns.label]
        if label is not None:
            margins = np.where(label > 0, margins, -margins)
        usable = np.abs(margins) <= LARGEST
        if label is not None:
            usable &= (label == 0) | (label == 1)
        if not reading.keep_ties:
            usable &= margins != 0
    if usable.all():
        return margins, None
    faults = {}

    def fault(reason, bad, column, explain):
        """Note bad rows that are not yet noted; `explain(row)` says what is wrong and the fix."""
        bad = bad & ~np.logical_or.reduce([*faults.values(), np.zeros(len(margins), bool)])
        if bad.any():
            row = int(np.argmax(bad))
            if not reading.drop_invalid:
                raise ValueError(f"{where(row, column)}: {explain(row)}; {drop}")
            faults[reason] = bad

    if label is not None:
        odd = ~((label == 0) | (label == 1) | (label == 0.5) | np.isnan(label))
        if odd.any():  # another convention, which dropping rows would not mend
            row = int(np.argmax(odd))
            raise ValueError(
                f"{where(row, columns.label)}: {label[row]:g} breaks the rule that a label is true "
                "or 1 where the first response was chosen, false or 0 where the second was; recode "
                "it"
            )
        fault(
            "label without a choice", np.isnan(label) | (label == 0.5), columns.label,
            lambda row: f"{label[row]:g} chooses neither response; give the label",
        )  # fmt: skip
    for name, value in zip(columns.rewards, rewards, strict=True):
        fault(
            "missing or NaN", np.isnan(value), name,
            lambda row: "missing or NaN, and must be a finite number; fill it in",
        )  # fmt: skip
        fault(
            "infinite", np.isinf(value), name,
            lambda row, value=value: f"{value[row]:g}, and must be a finite number; correct it",
        )  # fmt: skip
    both = ", ".join(columns.rewards)
    fault(
        "too large", ~(np.abs(margins) <= LARGEST), both,
        lambda row: f"a margin of {margins[row]:g} breaks the rule |margin| <= {LARGEST:g} nats; "
        "lower scale (--scale), or correct it",
    )  # fmt: skip
    if not reading.keep_ties:
        faulty = np.logical_or.reduce([*faults.values(), np.zeros(len(margins), bool)])
        if (ties := (margins == 0) & ~faulty).any():
            faults["tie"] = ties
    return margins, faults
