"""A supremum as a JSON file that can be checked without the code that found it."""

import json
from pathlib import Path

from ..files import replacing
from .optimize import supremum
from .quantities import QUANTITIES

__all__ = ["certify", "write_certificate"]

FORMAT = "madpo-theory supremum 1"


def certify(name, schedule, *, tolerance=1e-6):
    """Certificate, as plain data, of the supremum of the quantity called `name`.

    Parameters
    ----------
    name : a key of :data:`~madpo_theory.certify.quantities.QUANTITIES`.
    schedule : MarginSchedule whose parameters are exact (Fraction, or log of an integer).
    tolerance : absolute width of the enclosure.

    Returns a dict of JSON types: the schedule, the enclosure [lower, upper], the box whose middle
    attains `lower`, and the boxes [level, index], meaning [index, index + 1] / 2^level, on which
    the quantity stays below `upper`.
    """
    if name not in QUANTITIES:
        raise ValueError(f"name must be one of {sorted(QUANTITIES)}, got {name!r}")
    found = supremum(QUANTITIES[name], schedule, tolerance=tolerance)
    return {
        "format": FORMAT,
        "quantity": name,
        "schedule": {p: str(getattr(schedule, p)) for p in ("c_max", "c_min", "lam", "tau")},
        "lower": found.lower,
        "upper": found.upper,
        "lo": found.lo,
        "hi": found.hi,
        "witness": [found.witness.level, found.witness.index],
        "boxes": [[box.level, box.index] for box in found.boxes],
    }


def write_certificate(certificate, folder):
    """Write the certificate into `folder`, atomically; returns its path."""
    tag = "-".join(
        f"{value}".replace("/", "_").replace("(", "").replace(")", "")
        for value in certificate["schedule"].values()
    )
    path = Path(folder) / f"{certificate['quantity']}-{tag}.json"
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(certificate) + "\n")
    return path
