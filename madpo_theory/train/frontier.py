"""Runs on the plane of reward and KL."""

import json
from pathlib import Path

from ..files import check_output, replacing
from ..show.figures import drawn, save, table_bytes
from . import EVALUATION

__all__ = ["draw", "frontier"]

AXES = ("reward", "kl")
NORMAL = 1.959964
"""Standard errors to either side of a mean, of a 95 % interval."""


def frontier(runs):
    """The table of the figure: a row for the common reference, at KL 0, and one for each run.

    runs : folders of `madpo train`. ValueError if one is not finished, knows no reward, or was
    judged by another model, or from another reference, than the first.
    """
    if not runs:
        raise ValueError("runs names none; give the output folders of madpo train")
    found = {Path(run): _evaluation(Path(run)) for run in runs}
    first, start = next(iter(found.items()))
    table = {"method": [], "label": [], "reward": [], "kl": []}
    table |= {f"{name}_{side}": [] for name in AXES for side in ("lo", "hi")}

    def add(method, label, **values):
        table["method"].append(method)
        table["label"].append(label)
        for name, (value, error) in values.items():
            table[name].append(value)
            table[f"{name}_lo"].append(value - NORMAL * error)
            table[f"{name}_hi"].append(value + NORMAL * error)

    add("sft", "reference", kl=(0.0, 0.0),
        reward=(start["reference_reward"], start["reference_error"]))  # fmt: skip
    for run, row in found.items():
        for name in ("reward_model", "reference_reward"):
            if row[name] != start[name]:
                raise ValueError(
                    f"{run} has the {name} {row[name]}, and {first} {start[name]}; they are not "
                    "on one plane: judge the same held-out prompts by the same model"
                )
        method = "madpo" if row["method"] == "weighted_dpo" else row["method"]
        label = f"{run.name}: {row['label']}, beta {row['beta']:.3g}"
        add(method, label, **{name: (row[name], row[f"{name}_error"]) for name in AXES})
    return table


def _evaluation(run):
    try:
        row = json.loads((run / EVALUATION).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(
            f"{run} holds no {EVALUATION}; name the output folder of a finished madpo train"
        ) from None
    if "reward" not in row:
        raise ValueError(
            f"{run} was judged by no reward model; name one with reward_model in its config, and "
            f"run it again without its {EVALUATION}"
        )
    return row


def draw(runs, out):
    """(table, files): the figure in `out`, .png or .pdf, and its table beside it."""
    out = Path(out)
    if out.suffix not in (".png", ".pdf"):
        raise ValueError(f"out = {out} must end in .png or .pdf; rename it")
    beside = out.with_suffix(".csv")
    check_output(out, beside)
    table = frontier(runs)
    save(drawn("runs_frontier", table), out)
    with replacing(beside) as path:
        path.write_bytes(table_bytes(table))
    return table, (out, beside)
