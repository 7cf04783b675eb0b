"""A finished experiment's files, read and checked."""

import json
import math
from pathlib import Path

from .names import look

__all__ = ["MEASURED", "SENTIMENT", "label_of", "read_json", "read_summary", "setting_of"]

SENTIMENT = "madpo sentiment --preset cpu"
MEASURED = ("reward", "reward_lo", "reward_hi", "kl", "kl_lo", "kl_hi")


def label_of(method, beta):
    """Name of a method as a reader meets it, with its temperature."""
    name = look(method).label
    return name if beta is None or math.isnan(beta) else f"{name}, β = {beta:g}"


def read_json(path, *, remedy):
    """A JSON file; a ValueError names the file, the fault and the command that writes it."""
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    except ValueError as error:  # also UnicodeDecodeError
        raise ValueError(f"{path}: not valid JSON ({error}); {remedy}") from error


def read_summary(experiment):
    """Columns of an experiment's ``summary.parquet``, checked, as lists of Python values.

    Raises ValueError, naming file, column and remedy, where a column is missing, a measured
    value is absent or not finite, an interval is reversed, or there is no method.
    """
    import pyarrow
    from pyarrow import parquet

    from ..align.summary import COLUMNS

    path = Path(experiment) / "summary.parquet"
    remedy = f"run the evaluation again with `{SENTIMENT}`"
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file; {remedy}")
    try:
        table = parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise ValueError(f"{path}: not a readable Parquet file ({error}); {remedy}") from error
    if missing := [name for name in COLUMNS if name not in table.column_names]:
        raise ValueError(f"{path}: column {', '.join(map(repr, missing))} is missing; {remedy}")
    summary = {name: table.column(name).to_pylist() for name in COLUMNS}
    if not any(method != "sft" for method in summary["method"]):
        raise ValueError(f"{path}: column 'method' names no method besides sft; {remedy}")
    for name in MEASURED:
        for method, value in zip(summary["method"], summary[name], strict=True):
            if not isinstance(value, (int, float)) or not math.isfinite(value):
                raise ValueError(
                    f"{path}: column {name!r} holds {value} for method {method!r}, "
                    f"where a finite number belongs; {remedy}"
                )
    for name in ("reward", "kl"):
        lo, hi = summary[f"{name}_lo"], summary[f"{name}_hi"]
        for method, a, x, b in zip(summary["method"], lo, summary[name], hi, strict=True):
            if not a - 1e-9 <= x <= b + 1e-9:
                raise ValueError(
                    f"{path}: for method {method!r}, column {name!r} ({x}) lies outside its "
                    f"interval [{a}, {b}]; {remedy}"
                )
    return summary


def setting_of(experiment):
    """ "preset NAME" as config.json or details.json tell it, else "run FOLDER"."""
    experiment = Path(experiment)
    for name in ("config.json", "details.json"):
        found = read_json(experiment / name, remedy=f"run the experiment again with `{SENTIMENT}`")
        for level in (found, found.get("config") if isinstance(found, dict) else None):
            if isinstance(level, dict) and isinstance(level.get("preset"), str):
                return f"preset {level['preset']}"
    return f"run {experiment.name}"
