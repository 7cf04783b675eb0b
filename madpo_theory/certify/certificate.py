"""Suprema as JSON files that can be checked without the code that found them, and kept."""

import functools
import hashlib
import json
from fractions import Fraction
from pathlib import Path

import flint

from ..files import write_text
from ..ops import arb_world
from ..reached import digest_of
from ..weights import WEIGHTS
from .boxes import PARAMETERS, ScheduleBox, box_supremum
from .optimize import supremum
from .quantities import quantity_of, weighting_kind

__all__ = ["certify", "certify_box", "check", "kept_certificate", "write_certificate"]

FORMAT = "madpo-theory supremum 2"
BOX_FORMAT = "madpo-theory box supremum 1"


def check(certificate):
    """Raise ValueError, with the reason, unless the independent checker accepts a certificate."""
    from . import checker  # not with the package: `python -m` of the checker would warn

    checker.check(certificate)


def certify(name, weighting, *, tolerance=1e-6):
    """Certificate, as plain data, of the supremum of the quantity called `name`.

    Parameters
    ----------
    name : a key of :data:`~madpo_theory.certify.quantities.QUANTITIES`.
    weighting : MarginSchedule (the published weight) or BoundedRatioWeight, whose parameters are
        exact (Fraction, or log of an integer). TypeError for another, whose formula the checker
        does not know.
    tolerance : absolute width of the enclosure.

    Returns a dict of JSON types: the weight and its schedule, the enclosure [lower, upper], the
    box whose middle attains `lower`, and the boxes [level, index], meaning [index, index + 1] /
    2^level, on which the quantity stays below `upper`.
    """
    kind, schedule = weighting_kind(weighting)
    found = supremum(quantity_of(name), weighting, tolerance=tolerance)
    return {
        "format": FORMAT,
        "quantity": name,
        "weighting": kind,
        "schedule": _schedule_entry(schedule),
        "lower": found.lower,
        "upper": found.upper,
        "lo": found.lo,
        "hi": found.hi,
        "witness": [found.witness.level, found.witness.index],
        "boxes": [[box.level, box.index] for box in found.boxes],
    }


def certify_box(
    name, box, *, kind="published", bound=None, tolerance=1e-3, within=None, limit=100_000
):
    """Certificate of a supremum over all margins and all schedules of a box.

    Parameters and errors as in :func:`~madpo_theory.certify.boxes.box_supremum`. Returns a dict
    of JSON types: the quantity, the weight, the box, the range of margins in taus (None: all,
    tails included), the enclosure [lower, upper], the witness (s, c_max, c_min, lam, tau) that
    attains `lower` at h = s tau, and for each sign of the quantity the proof trees of the unit
    intervals of s, in preorder: a digit halves the box in a dimension (0 is s, then the
    parameters), a letter keeps its lower (a-e) or upper (A-E) face, as the quantity is monotone
    in that dimension, and a dot is a box on which it stays below `upper`.
    """
    within = _limits(within)
    found = box_supremum(
        name, box, kind=kind, bound=bound, tolerance=tolerance, within=within, limit=limit
    )
    return {
        "format": BOX_FORMAT,
        "quantity": name,
        "weighting": kind,
        "box": _box_entry(box),
        "within": None if within is None else list(map(str, within)),
        "lower": found.lower,
        "upper": found.upper,
        "witness": list(map(str, found.witness)),
        "trees": {"+" if sign > 0 else "-": list(t) for sign, t in found.trees.items()},
    }


def _limits(within):
    if within is None:
        return None
    low, high = within if isinstance(within, (tuple, list)) else (within, within)
    low, high = Fraction(low), Fraction(high)
    if not -1 <= low <= high:
        raise ValueError(f"within = {within} must be (low, high) in taus with -1 <= low <= high")
    return low, high


def write_certificate(certificate, folder, *, key=None):
    """Write the certificate into `folder`, atomically; returns its path.

    The name tells the quantity, the weight and the schedule or box, and ends in twelve digits of
    `key`, by default a hash of the content.
    """
    path = Path(folder) / _file_name(certificate, key or _hash(certificate))
    return write_text(path, json.dumps(certificate) + "\n")


def kept_certificate(folder, name, subject, **options):
    """(certificate, path): read from `folder` if it is there, produced and written if not.

    The file's name holds a hash of everything the certificate depends on: what was asked for, and
    the code of the search, of the quantities and of the weight. A file found there is believed
    only once the checker has accepted it and it answers the question; otherwise it is produced
    anew.

    Parameters
    ----------
    subject : a weighting, for :func:`certify`, or a ScheduleBox, for :func:`certify_box`, which
        take the options.
    """
    asked, produce = _asked(name, subject, options)
    by = _sources(produce.func, asked["weighting"])
    key = _hash({**asked, "options": {k: str(v) for k, v in options.items()}, "by": by})
    path = Path(folder) / _file_name(asked, key)
    from .checker import read  # late, as in :func:`check`

    try:
        certificate = read(path)
        check(certificate)
        if asked.items() <= certificate.items():
            return certificate, path
    except (OSError, ValueError):
        pass  # absent, damaged or false: produce it
    certificate = produce()
    check(certificate)
    return certificate, write_certificate(certificate, folder, key=key)


def _asked(name, subject, options):
    """The entries that a certificate must have to answer the question, and how to produce it."""
    if isinstance(subject, ScheduleBox):
        produce = functools.partial(certify_box, name, subject, **options)
        limits = _limits(options.get("within"))
        asked = {
            "format": BOX_FORMAT,
            "quantity": name,
            "weighting": options.get("kind", "published"),
            "box": _box_entry(subject),
            "within": None if limits is None else list(map(str, limits)),
        }
        if options.get("bound") is not None:
            asked["upper"] = float(options["bound"])
        return asked, produce
    kind, schedule = weighting_kind(subject)
    entry = {"format": FORMAT, "quantity": name, "weighting": kind}
    entry["schedule"] = _schedule_entry(schedule)
    return entry, functools.partial(certify, name, subject, **options)


def _schedule_entry(schedule):
    """Its parameters as exact text; a float stands for itself."""
    values = {p: getattr(schedule, p) for p in PARAMETERS}
    return {p: str(Fraction(v) if isinstance(v, float) else v) for p, v in values.items()}


def _box_entry(box):
    return {p: list(map(str, side)) for p, side in zip(PARAMETERS, box.sides, strict=True)}


def _file_name(entries, key):
    sides = entries["schedule" if "schedule" in entries else "box"].values()
    texts = [s if isinstance(s, str) else "_to_".join(dict.fromkeys(s)) for s in sides]
    tag = "-".join(t.replace("/", "_").replace("(", "").replace(")", "") for t in texts)
    weight = "" if entries["weighting"] == "published" else f"-{entries['weighting']}"
    return f"{entries['quantity']}{weight}-{tag}-{key[:12]}.json"


def _hash(data):
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _sources(produce, weight):
    """Hash of the code that produces a certificate, and of the arithmetic's version."""
    # A weight and a number world are found by their names, which no reader of the code can follow.
    found = WEIGHTS.find(weight)
    return digest_of(produce, found, arb_world, flint.__version__)
